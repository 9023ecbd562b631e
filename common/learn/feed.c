#include "common/learn/feed.h"
#include <stdlib.h>

enum { LINE = 256 };
static size_t lines(size_t bytes) {
    return (bytes + LINE - 1) / LINE * LINE;
}
static size_t frame_bytes(const vly_feed *f) {
    return lines((size_t)f->n * (size_t)f->window * f->obs.bytes);
}
static size_t age_bytes(const vly_feed *f) {
    return lines((size_t)f->n * (size_t)f->window);
}
static size_t column(const vly_feed *f) {
    return lines((size_t)f->n * sizeof(vly_real));
}
static size_t input_bytes(const vly_feed *f) {
    return frame_bytes(f) + age_bytes(f) + 6 * column(f);
} /* the errors come last */

vly_frames vly_feed_frames(const vly_feed *f) {
    const vly_frames out = {f->frames, f->age, (int64_t)f->n * f->window, 1, f->obs};
    return out;
}

vly_status vly_feed_upload(vly_feed *f, vly_queue *q) {
    return f->c->info.is_host ? VLY_OK : f->c->upload(q, f->memory, f->host_memory, input_bytes(f));
}

vly_status vly_feed_download(vly_feed *f, vly_queue *q) {
    return f->c->info.is_host ? VLY_OK
                              : f->c->download(q, f->host.td_abs, f->batch.td_abs,
                                               (size_t)f->n * sizeof(vly_real));
}

/* The same layout on both sides: one copy moves all of it. */
static void feed_divide(vly_feed *f) {
    const size_t line = column(f);
    char *at = f->memory, *host = f->host_memory;
    f->frames = (uint8_t *)at, f->host.frames = (uint8_t *)host;
    at += frame_bytes(f), host += frame_bytes(f);
    f->age = (uint8_t *)at, f->host.age = (uint8_t *)host;
    at += age_bytes(f), host += age_bytes(f);
    f->batch = (vly_replay_batch){.row = (int32_t *)at,
                                  .bootstrap_row = (int32_t *)(at + line),
                                  .action = (int32_t *)(at + 2 * line),
                                  .n_return = (vly_real *)(at + 3 * line),
                                  .discount = (vly_real *)(at + 4 * line),
                                  .weight = (vly_real *)(at + 5 * line),
                                  .td_abs = (vly_real *)(at + 6 * line)};
    f->host.row = (int32_t *)host, f->host.bootstrap_row = (int32_t *)(host + line),
    f->host.action = (int32_t *)(host + 2 * line);
    f->host.n_return = (vly_real *)(host + 3 * line),
    f->host.discount = (vly_real *)(host + 4 * line);
    f->host.weight = (vly_real *)(host + 5 * line), f->host.td_abs = (vly_real *)(host + 6 * line);
}

vly_status vly_feed_create(vly_feed **out, vly_compute *c, const vly_obs_spec *obs, int n,
                           int n_step) {
    vly_feed *f = calloc(1, sizeof *f);
    if (!f) return vly_fail(VLY_ENOMEM, "no memory for a batch of experience");
    f->c = c, f->obs = *obs, f->n = n, f->window = obs->stack + n_step;
    const size_t bytes = input_bytes(f) + column(f);
    vly_status status = c->alloc(c, bytes, "a batch of experience", "--dqn.batch", &f->memory);
    f->host_memory = f->memory;
    if (status == VLY_OK && !c->info.is_host)
        status = c->alloc_host(c, bytes, "a batch of experience", &f->host_memory);
    if (status != VLY_OK) {
        f->host_memory = f->memory;
        vly_feed_destroy(f);
        return status;
    }
    feed_divide(f);
    *out = f;
    return VLY_OK;
}

void vly_feed_destroy(vly_feed *f) {
    if (!f) return;
    if (f->host_memory && f->host_memory != f->memory) f->c->free_host(f->c, f->host_memory);
    if (f->memory) f->c->free(f->c, f->memory);
    free(f);
}
