#include "common/learn/replay.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/learn/algo.h"

static int64_t slot(const vly_replay *r, int64_t step) {
    return (step % r->T + r->T) % r->T;
}

/* First row of a group's at a step; step may be -1. */
static int64_t row_of(const vly_replay *r, int64_t step, int group) {
    return slot(r, step) * r->N + group * r->M;
}

/* Whether what comes in passes through host memory of its own. */
static bool has_slabs(const vly_replay *r) {
    return !r->c->info.is_host || sizeof(vly_real) != sizeof(float);
}

/* ---- rows come in ---- */

void vly_replay_place(vly_replay *r, int group, vly_rows *rows) {
    const int64_t t = r->step[group] + 1, before = row_of(r, t - 1, group), first = group * r->M;
    rows->obs = r->frames + (size_t)row_of(r, t, group) * r->o.obs.bytes;
    rows->obs_stride = r->o.obs.bytes;
    rows->score = r->score_slab + first;
    rows->reward = has_slabs(r) ? r->reward_slab + first : (float *)r->reward + before;
    rows->flags = has_slabs(r) ? r->flags_slab + first : r->flags + before;
    if (!r->allowed) return;
    rows->mask = r->allowed_slab + first * r->o.choices;
    rows->mask_stride = (size_t)r->o.choices;
}

/* Reward and flags answer the actions of the step before. */
static vly_status upload_answers(vly_replay *r, vly_queue *q, int group, int64_t before) {
    const int64_t first = group * r->M;
    VLY_TRY(r->c->upload(q, r->flags + before, r->flags_slab + first, (size_t)r->M));
    if (sizeof(vly_real) == sizeof(float))
        return r->c->upload(q, r->reward + before, r->reward_slab + first,
                            (size_t)r->M * sizeof(float));
    for (int64_t i = 0; i < r->M; i++)
        r->reward[before + i] = r->reward_slab[first + i]; /* double: on the host */
    return VLY_OK;
}

static vly_status count_transitions(const uint8_t *flags, int64_t n, int32_t *count) {
    uint8_t any = 0;
    *count = 0;
    for (int64_t i = 0; i < n; i++) {
        *count += (flags[i] & (VLY_ROW_RESET | VLY_ROW_FAILED)) == 0;
        any |= flags[i];
    }
    if (!(any & VLY_ROW_IDLE)) return VLY_OK;
    return vly_fail(VLY_EUNSUPPORTED,
                    "a player waits while others move: a replay memory has no transitions over "
                    "several rows; --algo ppo, a2c and reinforce learn from turns");
}

static int32_t *replay_transitions_of(const vly_replay *r, int64_t step, int group) {
    return &r->transitions[slot(r, step) * r->o.groups + group];
}

/* The steps that can be sampled once step h has arrived. The next frame takes the place of step h +
 * 1 - T: no stack may reach that one any more. */
static int64_t oldest_of(const vly_replay *r, int64_t h) {
    const int64_t oldest = h + 1 - r->T + r->o.obs.stack;
    return oldest > 0 ? oldest : 0;
}
static int64_t ready_of(const vly_replay *r, int64_t h) {
    return h - r->o.n_step;
}

static vly_status move_window(vly_replay *r, vly_queue *q, int group, int64_t h) {
    const int64_t gone = oldest_of(r, h) - 1, ready = ready_of(r, h);
    if (gone >= 0) {
        VLY_TRY(r->c->tree_insert(q, &r->tree, row_of(r, gone, group), (int)r->M, NULL));
        r->size -= *replay_transitions_of(r, gone, group);
    }
    if (ready < 0) return VLY_OK;
    const int64_t row = row_of(r, ready, group);
    r->size += *replay_transitions_of(r, ready, group);
    return r->c->tree_insert(q, &r->tree, row, (int)r->M, r->flags + row);
}

vly_status vly_replay_arrived(vly_replay *r, vly_queue *q, int group, const uint8_t *age) {
    const int64_t h = ++r->step[group], row = row_of(r, h, group), before = row_of(r, h - 1, group),
                  first = group * r->M;
    if (r->age) {
        uint8_t *host = r->age_slab + first;
        memcpy(host, age, (size_t)r->M);
        VLY_TRY(r->c->upload(q, r->age + row, host, (size_t)r->M));
    }
    if (r->allowed)
        VLY_TRY(r->c->upload(q, r->allowed + row * r->o.choices,
                             r->allowed_slab + first * r->o.choices,
                             (size_t)(r->M * r->o.choices)));
    if (has_slabs(r)) VLY_TRY(upload_answers(r, q, group, before));
    if (r->o.batch == 0) return VLY_OK;
    VLY_TRY(count_transitions(has_slabs(r) ? r->flags_slab + first : r->flags + before, r->M,
                              replay_transitions_of(r, h - 1, group)));
    return move_window(r, q, group, h);
}

int64_t vly_replay_newest(const vly_replay *r, int group) {
    return row_of(r, r->step[group], group);
}

vly_status vly_replay_acted(vly_replay *r, vly_queue *q, int group, const int32_t *action) {
    return r->c->copy(q, r->action + vly_replay_newest(r, group), action,
                      (size_t)r->M * sizeof(int32_t));
}

vly_status vly_replay_acted_numbers(vly_replay *r, vly_queue *q, int group,
                                    const vly_real *numbers) {
    return r->c->copy(q, r->numbers + vly_replay_newest(r, group) * r->o.numbers, numbers,
                      (size_t)(r->M * r->o.numbers) * sizeof(vly_real));
}

vly_frames vly_replay_frames(const vly_replay *r) {
    const vly_frames f = {r->frames, r->age, r->T * r->N, r->N, r->o.obs};
    return f;
}

/* ---- samples go out ---- */

/* Actions and masks beside the rows are gathered as frames are. */
static vly_status gather_beside(const vly_replay *r, vly_queue *q, const void *rows, int width,
                                vly_dtype type, const int32_t *row, void *out) {
    const size_t bytes = (size_t)width * (type == VLY_U8 ? 1 : sizeof(vly_real));
    const vly_frames f = {
        rows,
        NULL,
        r->T * r->N,
        r->N,
        {.dtype = type, .ndim = 1, .shape = {width}, .stack = 1, .scale = 1, .bytes = bytes}};
    return r->c->gather(q, &f, r->o.batch, row, 0, type, out);
}

static vly_status sample_beside(const vly_replay *r, vly_queue *q) {
    const vly_replay_batch *b = &r->batch;
    if (r->numbers)
        VLY_TRY(gather_beside(r, q, r->numbers, r->o.numbers, VLY_F32, b->row, b->numbers));
    if (!r->allowed) return VLY_OK;
    VLY_TRY(gather_beside(r, q, r->allowed, r->o.choices, VLY_U8, b->row, b->allowed));
    return gather_beside(r, q, r->allowed, r->o.choices, VLY_U8, b->bootstrap_row, b->next_allowed);
}

vly_status vly_replay_sample(vly_replay *r, vly_queue *q, const vly_rng *rng,
                             const vly_hyper *hyper) {
    const vly_replay_batch *b = &r->batch;
    VLY_TRY(r->c->tree_sample(q, &r->tree, r->o.batch, rng, hyper, b->row, b->weight));
    const vly_nstep_args nstep = {.rows = {r->T, r->N, r->reward, r->action, r->flags},
                                  .n = r->o.batch,
                                  .steps = r->o.n_step,
                                  .row = b->row,
                                  .hyper = hyper,
                                  .action = b->action,
                                  .n_return = b->n_return,
                                  .discount = b->discount,
                                  .bootstrap_row = b->bootstrap_row};
    VLY_TRY(r->c->nstep(q, &nstep));
    return sample_beside(r, q);
}

vly_status vly_replay_update(vly_replay *r, vly_queue *q, const vly_hyper *hyper) {
    if (!r->o.prioritized) return VLY_OK;
    return r->c->tree_set(q, &r->tree, r->o.batch, r->batch.row, r->batch.td_abs, hyper, false);
}

/* ---- saving ---- */

void vly_replay_buffers(const vly_replay *r, vly_buffer_list *list) {
    const int64_t rows = r->T * r->N;
    const int groups = r->o.groups;
    vly_buffer_add(list, "replay.step", VLY_BUFFER_REPLAY, VLY_I64, groups, r->step, false);
    vly_buffer_add(list, "replay.transitions", VLY_BUFFER_REPLAY, VLY_I32, r->T * groups,
                   r->transitions, false);
    vly_buffer_add(list, "replay.frames", VLY_BUFFER_REPLAY, VLY_U8, rows * (int64_t)r->o.obs.bytes,
                   r->frames, true);
    if (r->age) vly_buffer_add(list, "replay.age", VLY_BUFFER_REPLAY, VLY_U8, rows, r->age, true);
    vly_buffer_add(list, "replay.flags", VLY_BUFFER_REPLAY, VLY_U8, rows, r->flags, true);
    vly_buffer_add(list, "replay.reward", VLY_BUFFER_REPLAY, VLY_F32, rows, r->reward, true);
    vly_buffer_add(list, "replay.action", VLY_BUFFER_REPLAY, VLY_I32, rows, r->action, true);
    if (r->numbers)
        vly_buffer_add(list, "replay.numbers", VLY_BUFFER_REPLAY, VLY_F32, rows * r->o.numbers,
                       r->numbers, true);
    if (r->allowed)
        vly_buffer_add(list, "replay.allowed", VLY_BUFFER_REPLAY, VLY_U8, rows * r->o.choices,
                       r->allowed, true);
    vly_buffer_add(list, "replay.tree", VLY_BUFFER_REPLAY, VLY_U64, r->tree_words, r->tree_memory,
                   true);
}

void vly_replay_recent_buffers(const vly_replay *r, vly_buffer_list *list) {
    const size_t bytes = r->o.obs.bytes;
    char name[64];
    for (int back = 0; back < r->o.obs.stack; back++) {
        snprintf(name, sizeof name, "observation.%d", back);
        const int64_t row = vly_replay_recent(r, back);
        vly_buffer_add(list, name, VLY_BUFFER_STATE, VLY_U8, r->N * (int64_t)bytes,
                       r->frames + (size_t)row * bytes, true);
    }
    if (r->age)
        vly_buffer_add(list, "age", VLY_BUFFER_STATE, VLY_U8, r->N,
                       r->age + vly_replay_recent(r, 0), true);
    if (r->allowed)
        vly_buffer_add(list, "allowed", VLY_BUFFER_STATE, VLY_U8, r->N * r->o.choices,
                       r->allowed + vly_replay_recent(r, 0) * r->o.choices, true);
}

/* A copy of tree_memory: a search among sums that are not those of their children ends anywhere. */
static bool priorities_add_up(const vly_tree *t, const uint64_t *sum) {
    for (int64_t i = 0; i < t->width[0]; i++)
        if (sum[i] > (i < t->capacity ? VLY_PRIORITY_MOST : 0)) return false;
    for (int l = 0; l < t->levels; l++) {
        const uint64_t *above = sum + t->width[l];
        const int64_t nodes = t->width[l] / VLY_TREE_RADIX,
                      above_them = l + 1 < t->levels ? t->width[l + 1] : 1;
        for (int64_t node = 0; node < above_them; node++) {
            uint64_t children = 0;
            for (int k = 0; k < VLY_TREE_RADIX && node < nodes; k++) children += *sum++;
            if (children != above[node]) return false;
        }
    }
    return sum[1] <= VLY_PRIORITY_MOST; /* sum: the totals, after the last level */
}

static vly_status check_priorities(vly_replay *r, vly_queue *q) {
    const size_t bytes = (size_t)r->tree_words * sizeof(uint64_t);
    uint64_t *copy = malloc(bytes);
    if (!copy) return vly_fail(VLY_ENOMEM, "no memory for %zu bytes of priorities", bytes);
    vly_status status = r->c->download(q, copy, r->tree_memory, bytes);
    if (status == VLY_OK) status = r->c->queue_sync(q);
    if (status == VLY_OK && !priorities_add_up(&r->tree, copy))
        status = vly_fail(VLY_ECORRUPT, "the replay memory's priorities do not add up");
    free(copy);
    return status;
}

vly_status vly_replay_restored(vly_replay *r, vly_queue *q) {
    VLY_TRY(check_priorities(r, q));
    int64_t size = 0;
    for (int g = 0; g < r->o.groups; g++) {
        const int64_t h = r->step[g];
        if (h != -1 && !vly_is_count(h))
            return vly_fail(VLY_ECORRUPT, "the replay memory's group %d stands at step %lld", g,
                            (long long)h);
        for (int64_t t = oldest_of(r, h); t <= ready_of(r, h); t++) {
            const int32_t n = *replay_transitions_of(r, t, g);
            if (n < 0 || n > r->M)
                return vly_fail(VLY_ECORRUPT,
                                "the replay memory counts %d transitions of %lld actors", n,
                                (long long)r->M);
            size += n;
        }
    }
    r->size = size;
    return VLY_OK;
}

int64_t vly_replay_recent(const vly_replay *r, int back) {
    return slot(r, r->step[0] - back) * r->N;
}

vly_status vly_replay_restart(vly_replay *r, vly_queue *q) {
    VLY_TRY(r->c->fill(q, r->flags, VLY_ROW_RESET, (size_t)(r->T * r->N))); /* nothing here is a
                                                                               transition */
    VLY_TRY(r->c->fill(q, r->tree_memory, 0, (size_t)r->tree_words * sizeof(uint64_t)));
    memset(r->transitions, 0, (size_t)(r->T * r->o.groups) * sizeof *r->transitions);
    for (int g = 0; g < r->o.groups; g++) r->step[g] = r->T - 1; /* the slot of step -1 */
    r->size = 0;
    return VLY_OK;
}

/* ---- creation ---- */

size_t vly_replay_row_bytes(const vly_obs_spec *obs) {
    const size_t tree = sizeof(uint64_t) + sizeof(uint64_t) / (VLY_TREE_RADIX - 1) + 1;
    return obs->bytes + (obs->stack > 1) + 1 + sizeof(vly_real) + sizeof(int32_t) + tree;
}

static vly_status device(vly_replay *r, size_t bytes, const char *what, void *out) {
    void *memory = NULL;
    const vly_status status = r->c->alloc(r->c, bytes, what, "--replay.bytes or --replay.capacity",
                                          &memory);
    r->bytes += bytes;
    memcpy(out, &memory, sizeof memory);
    return status;
}

static vly_status host(vly_replay *r, size_t bytes, void *out) {
    void *memory = NULL;
    const vly_status status = r->c->alloc_host(r->c, bytes, "replay rows on their way", &memory);
    memcpy(out, &memory, sizeof memory);
    return status;
}

/* Widths from the leaves up, then one array for all levels and the totals. */
static vly_status create_tree(vly_replay *r) {
    vly_tree *t = &r->tree;
    t->capacity = r->T * r->N;
    int64_t nodes = t->capacity, words = 0;
    do {
        t->width[t->levels] = (nodes + VLY_TREE_RADIX - 1) / VLY_TREE_RADIX * VLY_TREE_RADIX;
        nodes = t->width[t->levels] / VLY_TREE_RADIX;
        words += t->width[t->levels++];
    } while (nodes > 1);
    r->tree_words = words + VLY_TREE_RADIX;
    VLY_TRY(device(r, (size_t)r->tree_words * sizeof(uint64_t), "priorities", &r->tree_memory));
    uint64_t *at = r->tree_memory;
    for (int l = 0; l < t->levels; at += t->width[l++]) t->sum[l] = at;
    t->total = at;
    return VLY_OK;
}

static vly_status create_batch(vly_replay *r) {
    const size_t n = (size_t)(r->o.batch > 0 ? r->o.batch : 1),
                 line = (n * sizeof(vly_real) + 255) / 256 * 256;
    vly_replay_batch *b = &r->batch;
    VLY_TRY(device(r, 7 * line, "a sample", &r->batch_memory));
    char *at = r->batch_memory;
    b->row = (int32_t *)at;
    b->bootstrap_row = (int32_t *)(at + line);
    b->action = (int32_t *)(at + 2 * line);
    b->n_return = (vly_real *)(at + 3 * line);
    b->discount = (vly_real *)(at + 4 * line);
    b->weight = r->o.prioritized ? (vly_real *)(at + 5 * line) : NULL;
    b->td_abs = r->o.prioritized ? (vly_real *)(at + 6 * line) : NULL;
    if (r->o.numbers > 0)
        VLY_TRY(device(r, n * (size_t)r->o.numbers * sizeof(vly_real), "a sample", &b->numbers));
    if (r->o.choices > 0) {
        VLY_TRY(device(r, n * (size_t)r->o.choices, "a sample", &b->allowed));
        VLY_TRY(device(r, n * (size_t)r->o.choices, "a sample", &b->next_allowed));
    }
    return VLY_OK;
}

static vly_status create_ring(vly_replay *r) {
    const size_t rows = (size_t)(r->T * r->N), N = (size_t)r->N;
    VLY_TRY(device(r, rows * r->o.obs.bytes, "replay frames", &r->frames));
    VLY_TRY(device(r, rows, "replay flags", &r->flags));
    VLY_TRY(device(r, rows * sizeof(vly_real), "replay rewards", &r->reward));
    VLY_TRY(device(r, rows * sizeof(int32_t), "replay actions", &r->action));
    if (r->o.obs.stack > 1) VLY_TRY(device(r, rows, "replay ages", &r->age));
    if (r->o.numbers > 0)
        VLY_TRY(device(r, rows * (size_t)r->o.numbers * sizeof(vly_real), "replay actions",
                       &r->numbers));
    if (r->o.choices > 0) {
        VLY_TRY(device(r, rows * (size_t)r->o.choices, "replay masks", &r->allowed));
        VLY_TRY(host(r, N * (size_t)r->o.choices, &r->allowed_slab));
    }
    VLY_TRY(host(r, N * sizeof(float), &r->score_slab));
    VLY_TRY(host(r, N * sizeof(float), &r->reward_slab));
    VLY_TRY(host(r, N, &r->flags_slab));
    VLY_TRY(host(r, N, &r->age_slab));
    r->step = calloc((size_t)r->o.groups, sizeof *r->step);
    r->transitions = calloc((size_t)(r->T * r->o.groups), sizeof *r->transitions);
    if (!r->step || !r->transitions)
        return vly_fail(VLY_ENOMEM, "no memory for the replay's counters");
    for (int g = 0; g < r->o.groups; g++) r->step[g] = -1;
    return VLY_OK;
}

/* Steps that the ring must keep beside those to sample: n to complete, the stack's, the one being
 * written. */
static int64_t margin(const vly_replay_options *o) {
    return o->n_step + o->obs.stack;
}

static vly_status choose_size(vly_replay *r) {
    const vly_replay_options *o = &r->o;
    const size_t step = (vly_replay_row_bytes(&o->obs) + (size_t)o->numbers * sizeof(vly_real) +
                         (size_t)o->choices) *
                        (size_t)o->actors;
    const int64_t held = (int64_t)((uint64_t)o->bytes / step),
                  least = margin(o) +
                          (o->batch > o->actors ? (o->batch + o->actors - 1) / o->actors : 1);
    r->T = (o->capacity + o->actors - 1) / o->actors + margin(o);
    if (o->bytes > 0 && held < r->T) {
        if (held < least)
            return vly_fail(VLY_EINVAL,
                            "a replay memory of %lld bytes does not hold %lld steps of %d "
                            "environments (%zu bytes each): raise --replay.bytes",
                            (long long)o->bytes, (long long)least, o->actors, step);
        r->T = held;
    }
    if (r->T > INT32_MAX / o->actors)
        return vly_fail(
            VLY_EINVAL,
            "a replay memory of %lld transitions: at most 2^31 rows; lower --replay.capacity",
            (long long)o->capacity);
    return VLY_OK;
}

static vly_status check_options(const vly_replay_options *o) {
    if (o->actors < 1 || o->groups < 1 || o->actors % o->groups)
        return vly_fail(VLY_EINVAL, "%d actors do not divide into %d groups", o->actors, o->groups);
    if (o->capacity < 1 || o->bytes < 0 || o->n_step < 1 || o->batch < 0 || o->obs.stack < 1 ||
        o->obs.bytes < 1 || o->numbers < 0 || o->choices < 0)
        return vly_fail(VLY_EINVAL, "replay of %lld transitions, n-step %d, batch %d: out of range",
                        (long long)o->capacity, o->n_step, o->batch);
    return VLY_OK;
}

vly_status vly_replay_create(vly_replay **out, vly_compute *c, const vly_replay_options *options) {
    *out = NULL;
    VLY_TRY(check_options(options));
    vly_replay *r = calloc(1, sizeof *r);
    if (!r) return vly_fail(VLY_ENOMEM, "no memory for a replay");
    r->c = c;
    r->o = *options;
    r->N = options->actors, r->M = options->actors / options->groups;
    vly_status status = choose_size(r);
    if (status == VLY_OK) status = create_ring(r);
    if (status == VLY_OK) status = create_tree(r);
    if (status == VLY_OK) status = create_batch(r);
    if (status != VLY_OK) {
        vly_replay_destroy(r);
        return status;
    }
    *out = r;
    return VLY_OK;
}

void vly_replay_destroy(vly_replay *r) {
    if (!r) return;
    void *const on_device[] = {r->frames,        r->age,           r->flags,
                               r->reward,        r->action,        r->numbers,
                               r->allowed,       r->tree_memory,   r->batch_memory,
                               r->batch.numbers, r->batch.allowed, r->batch.next_allowed};
    void *const on_host[] = {r->score_slab, r->reward_slab, r->flags_slab, r->age_slab,
                             r->allowed_slab};
    for (size_t i = 0; i < sizeof on_device / sizeof on_device[0]; i++)
        if (on_device[i]) r->c->free(r->c, on_device[i]);
    for (size_t i = 0; i < sizeof on_host / sizeof on_host[0]; i++)
        if (on_host[i]) r->c->free_host(r->c, on_host[i]);
    free(r->step);
    free(r->transitions);
    free(r);
}
