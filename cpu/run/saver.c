#include "cpu/run/saver.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include "common/base/clock.h"
#include "common/learn/algo.h"
#include "cpu/machine/system.h"
#include "cpu/run/settings.h"

/* `bytes` of a buffer from `offset` on. */
static vly_buffer part_of(const vly_buffer *b, size_t offset, size_t bytes) {
    vly_buffer part = *b;
    part.dtype = VLY_U8, part.ndim = 1, part.shape[0] = (int64_t)bytes;
    part.data = (char *)b->data + offset;
    return part;
}

/* ---- out ---- */

/* Before each checkpoint: where the newest observations lie moves with a replay memory. */
static void list_tensors(vly_saver *s) {
    const int n = vly_train_buffers(s->train, s->buffers, s->room);
    s->tensor_count = 0;
    for (int i = 0; i < n; i++) {
        const vly_buffer *b = &s->buffers[i];
        if (b->role == VLY_BUFFER_REPLAY && !s->config->checkpoint.replay) continue;
        vly_array *t = &s->tensors[s->tensor_count];
        memset(t, 0, sizeof *t);
        snprintf(t->name, sizeof t->name, "%s", b->name);
        t->dtype = b->dtype, t->ndim = b->ndim, t->state = true,
        t->weight = b->role == VLY_BUFFER_WEIGHT;
        memcpy(t->shape, b->shape, sizeof t->shape);
        t->data = b->device ? NULL : b->data;
        s->buffers[s->tensor_count++] = *b;
    }
}

vly_status vly_saver_open(vly_saver *s, vly_train *train, const vly_config *config, const char *env,
                          const char *folder, const char *shown) {
    *s = (vly_saver){.train = train,
                     .config = config,
                     .env = env,
                     .folder = folder,
                     .shown = shown,
                     .best_return = -INFINITY,
                     .room = vly_train_buffers(train, NULL, 0)};
    s->buffers = calloc((size_t)s->room + 1, sizeof *s->buffers);
    s->tensors = calloc((size_t)s->room + 2, sizeof *s->tensors); /* and the settings */
    if (!s->buffers || !s->tensors)
        return vly_fail(VLY_ENOMEM, "no memory to list %d tensors", s->room);
    list_tensors(s);
    return VLY_OK;
}

void vly_saver_close(vly_saver *s) {
    free(s->buffers);
    free(s->tensors);
    free(s->settings);
    s->buffers = NULL, s->tensors = NULL, s->settings = NULL;
}

bool vly_saver_due(const vly_saver *s, const vly_train_report *r) {
    const int64_t every = s->config->checkpoint.every_steps;
    if (every > 0) return r->total_steps / every > s->last_steps / every;
    return r->wall_s - s->last_s >= (double)s->config->checkpoint.every_s;
}

__attribute__((format(printf, 4, 5))) static void
add_note(vly_saver *s, bool state, const char *name, const char *format, ...) {
    vly_note *v = &s->notes[s->note_count++];
    va_list args;
    va_start(args, format);
    vsnprintf(v->value, sizeof v->value, format, args);
    va_end(args);
    v->state = state;
    snprintf(v->name, sizeof v->name, "%s", name);
}

static void write_notes(vly_saver *s, const vly_train_report *r) {
    const bool state = true; /* the digest covers it */
    char when[40];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    s->note_count = 0;
    add_note(s, state, "env", "%s", s->env);
    add_note(s, state, "config", "%016" PRIx64, vly_algo_config_hash(s->config));
    add_note(s, !state, "algo", "%s", s->config->run.algo);
    add_note(s, !state, "seed", "%lld", (long long)s->config->run.seed);
    add_note(s, !state, "steps", "%lld", (long long)r->total_steps);
    add_note(s, !state, "updates", "%lld", (long long)r->updates);
    add_note(s, !state, "episodes", "%lld", (long long)r->episodes);
    add_note(s, !state, "return_mean_100", "%.9g", r->return_mean_100);
    add_note(s, !state, "best_return", "%.9g", s->best_return);
    add_note(s, !state, "time", "%s", when);
    add_note(s, !state, "commit", "%s", vly_system_commit());
}

static vly_status read_tensor(void *arg, int i, size_t offset, void *to, size_t bytes) {
    vly_saver *s = arg;
    const vly_buffer part = part_of(&s->buffers[i], offset, bytes);
    return vly_train_read(s->train, &part, to);
}

/* The configuration, after the tensors of the trainer. */
static vly_status write_settings(vly_saver *s) {
    size_t bytes;
    free(s->settings);
    s->settings = NULL;
    VLY_TRY(vly_settings_text(s->config, &s->settings, &bytes));
    s->tensors[s->tensor_count] = (vly_array){.name = VLY_SETTINGS_TENSOR,
                                              .dtype = VLY_U8,
                                              .ndim = 1,
                                              .shape = {(int64_t)bytes},
                                              .data = s->settings};
    return VLY_OK;
}

static vly_status write_checkpoint(vly_saver *s, const vly_train_report *r, char *path) {
    const bool best = r->window >= VLY_SAVER_BEST_EPISODES && r->return_mean_100 > s->best_return;
    if (best) s->best_return = r->return_mean_100;
    write_notes(s, r);
    list_tensors(s);
    VLY_TRY(write_settings(s));
    const vly_checkpoint_data data = {.tensors = s->tensors,
                                      .tensor_count = s->tensor_count + 1,
                                      .notes = s->notes,
                                      .note_count = s->note_count,
                                      .fetch = read_tensor,
                                      .arg = s};
    return vly_checkpoints_save(s->folder, r->total_steps, s->config->checkpoint.keep, best, &data,
                                path, NULL);
}

vly_status vly_saver_check_room(const vly_saver *s) {
    struct statvfs disk;
    uint64_t bytes = 0;
    for (int i = 0; i < s->tensor_count; i++) bytes += vly_array_bytes(&s->tensors[i]);
    if (statvfs(s->folder, &disk)) return VLY_OK; /* the first save says more */
    const uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    return room > bytes ? VLY_OK
                        : vly_fail(VLY_ENOSPACE,
                                   "%s: a checkpoint takes %.3g MB, the disk has %.3g MB left: "
                                   "nothing is saved until there is room",
                                   s->shown, (double)bytes * 1e-6, (double)room * 1e-6);
}

vly_status vly_saver_save(vly_saver *s) {
    const double begun = vly_now_s();
    char path[VLY_PATH];
    vly_train_report r;
    vly_train_get_report(s->train, &r);
    const double best = s->best_return;
    const vly_status status = write_checkpoint(s, &r, path);
    s->failed = status != VLY_OK;
    if (s->failed) /* what is not saved is not the best of what is */
        s->best_return = best, snprintf(s->error, sizeof s->error, "%s", vly_error_text());
    else
        snprintf(s->path, sizeof s->path, "%.1200s/checkpoints%s", s->shown, strrchr(path, '/'));
    s->last_seconds = vly_now_s() - begun;
    s->seconds += s->last_seconds;
    s->last_s = r.wall_s + s->last_seconds;
    s->last_steps = r.total_steps;
    return status;
}

/* ---- in ---- */

typedef struct {
    vly_train *train;
    const vly_buffer *buffer;
} restoring;

static vly_status write_piece(void *arg, size_t offset, const void *piece, size_t n) {
    const restoring *r = arg;
    const vly_buffer part = part_of(r->buffer, offset, n);
    return vly_train_write(r->train, &part, piece);
}

static bool is_restored(const vly_buffer *b, vly_restore_kind kind) {
    switch (kind) {
    case VLY_RESTORE_WEIGHTS: return b->role == VLY_BUFFER_WEIGHT;
    case VLY_RESTORE_SHARED:
        return b->role == VLY_BUFFER_WEIGHT || b->role == VLY_BUFFER_OPTIMIZER ||
               !strcmp(b->name, "train.counters");
    default: return true;
    }
}

/* Environments that were stepped here and are elsewhere now, or the other way: their arrays differ in
 * size. */
static bool is_of_other_actors(const vly_checkpoint *c, const vly_buffer *b) {
    const vly_array *saved = strcmp(b->name, VLY_TRAIN_POOL) ? NULL
                                                             : vly_checkpoint_find(c, b->name);
    return saved && vly_array_bytes(saved) != vly_buffer_bytes(b);
}

/* Of a run that is saved without its memory, which it fills anew. One that holds a part of it is
 * damaged. */
static bool holds_replay(const vly_checkpoint *c, const vly_buffer *list, int n) {
    for (int i = 0; i < n; i++)
        if (list[i].role == VLY_BUFFER_REPLAY && vly_checkpoint_find(c, list[i].name)) return true;
    return false;
}

static vly_status keep_piece(void *arg, size_t offset, const void *piece, size_t n) {
    memcpy((char *)arg + offset, piece, n);
    return VLY_OK;
}

static vly_status restore_other_actors(vly_checkpoint *c, vly_train *t) {
    const vly_array *saved = vly_checkpoint_find(c, VLY_TRAIN_POOL);
    const size_t bytes = vly_array_bytes(saved);
    void *host = malloc(bytes + 1);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for %zu bytes of environments", bytes);
    vly_status status = vly_checkpoint_stream(c, VLY_TRAIN_POOL, saved->dtype, bytes, keep_piece,
                                              host);
    if (status == VLY_OK) status = vly_train_convert(t, host, bytes);
    free(host);
    return status;
}

vly_status vly_run_restore(vly_checkpoint *c, vly_train *t, vly_restore_kind kind) {
    const int n = vly_train_buffers(t, NULL, 0);
    vly_buffer *list = calloc((size_t)n + 1, sizeof *list);
    if (!list) return vly_fail(VLY_ENOMEM, "no memory to list %d tensors", n);
    vly_train_buffers(t, list, n);
    const bool replay = holds_replay(c, list, n);
    vly_status status = VLY_OK;
    for (int i = 0; i < n && status == VLY_OK; i++) {
        restoring r = {t, &list[i]};
        if (!is_restored(&list[i], kind)) continue;
        if (list[i].role == VLY_BUFFER_REPLAY && !replay) continue;
        status = is_of_other_actors(c, &list[i])
                     ? restore_other_actors(c, t)
                     : vly_checkpoint_stream(c, list[i].name, list[i].dtype,
                                             vly_buffer_bytes(&list[i]), write_piece, &r);
    }
    free(list);
    return status == VLY_OK ? vly_train_restored(t) : status;
}

vly_status vly_saver_restore(vly_saver *s, vly_checkpoint *c, vly_restore_kind kind) {
    int64_t steps;
    const char *env = vly_checkpoint_note_text(c, "env"),
               *best = vly_checkpoint_note_text(c, "best_return");
    if (env && strcmp(env, s->env))
        return vly_fail(VLY_EINVAL, "%s is of %s, not of %s", vly_checkpoint_path(c), env, s->env);
    VLY_TRY(vly_checkpoint_note_int(c, "steps", &steps));
    VLY_TRY(vly_run_restore(c, s->train, kind));
    if (best) s->best_return = strtod(best, NULL);
    snprintf(s->path, sizeof s->path, "%s", vly_checkpoint_path(c));
    s->last_steps = steps;
    return VLY_OK;
}
