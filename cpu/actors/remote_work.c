#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "cpu/actors/remote_actor_impl.h"
#include "cpu/machine/processors.h"
#ifdef VLY_HAVE_LZ4
#include <lz4.h>
#endif

/* Below this a step of all environments is over before a thread is awake. */
enum { INLINE_NS = 20000, HUNG_MS = 60000, TRIAL_STEPS = 64, TRIAL_NS = 1000000 };

/* ---- packing ---- */

bool vly_remote_can_pack(void) {
#ifdef VLY_HAVE_LZ4
    return true;
#else
    return false;
#endif
}

static size_t pack_bound(size_t bytes) {
#ifdef VLY_HAVE_LZ4
    return bytes <= LZ4_MAX_INPUT_SIZE ? (size_t)LZ4_compressBound((int)bytes) : 0;
#else
    (void)bytes;
    return 0;
#endif
}

/* 0: it does not get smaller. */
static size_t pack_bytes(const uint8_t *from, size_t bytes, uint8_t *to, size_t room) {
#ifdef VLY_HAVE_LZ4
    const int n = bytes <= LZ4_MAX_INPUT_SIZE
                      ? LZ4_compress_default((const char *)from, (char *)to, (int)bytes, (int)room)
                      : 0;
    return n > 0 && (size_t)n < bytes ? (size_t)n : 0;
#else
    (void)from, (void)bytes, (void)to, (void)room;
    return 0;
#endif
}

/* ---- a scratch environment, to measure ---- */

typedef struct {
    void *state;
    uint8_t *memory; /* rows, then an action */
    vly_rows rows;
    vly_actions action;
} trial;

/* The parts of rows as ROWS have them, so that they lie as in a message. */
static vly_rows rows_in(const vly_wire_shape *s, int n, uint8_t *fixed, uint8_t *obs) {
    const vly_wire_parts p = vly_wire_parts_of(s, n, fixed);
    return (vly_rows){.obs = obs,
                      .obs_stride = s->obs_bytes,
                      .reward = (float *)(void *)p.reward,
                      .score = (float *)(void *)p.score,
                      .flags = p.flags,
                      .mask = s->mask_bytes ? p.mask : NULL,
                      .mask_stride = s->mask_bytes,
                      .shared = s->shared_bytes ? p.shared : NULL,
                      .shared_stride = s->shared_bytes};
}

static bool begin_trial(const remote_link *l, trial *t) {
    const vly_wire_shape *s = &l->welcome.shape;
    const size_t fixed = (vly_wire_fixed_bytes(s, 1) + 63) / 64 * 64,
                 obs = vly_wire_obs_bytes(s, 1), rows = fixed + (obs + 63) / 64 * 64;
    memset(t, 0, sizeof *t);
    t->state = aligned_alloc(64, l->env.state_bytes);
    t->memory = calloc(1, rows + vly_wire_step_bytes(s, 1));
    if (!t->state || !t->memory) return false;
    t->rows = rows_in(s, 1, t->memory, t->memory + fixed);
    t->action = (vly_actions){t->memory + rows, s->action_bytes};
    memset(t->state, 0, l->env.state_bytes);
    l->env.reset(&l->env, t->state, 0, t->rows);
    return true;
}

static void end_trial(trial *t) {
    free(t->state);
    free(t->memory);
}

/* Nanoseconds of one step. */
static double trial_step_ns(const remote_link *l) {
    trial t;
    double cost = 1e9;
    if (begin_trial(l, &t)) {
        const int64_t start = vly_now_ns();
        int steps = 0;
        for (; steps < TRIAL_STEPS && vly_now_ns() - start < TRIAL_NS; steps++)
            l->env.step(&l->env, t.state, 1, t.action, t.rows);
        cost = (double)(vly_now_ns() - start) / steps;
    }
    end_trial(&t);
    return cost;
}

bool vly_remote_packing_pays(remote_link *l) {
    const size_t bytes = l->env.obs.bytes, room = pack_bound(bytes);
    trial t;
    bool pays = false;
    uint8_t *to = malloc(room ? room : 1);
    if (begin_trial(l, &t) && to && room) {
        const int64_t start = vly_now_ns();
        size_t n = 0;
        for (int i = 0; i < 8; i++) n = pack_bytes(t.rows.obs, bytes, to, room);
        const double packing = (double)(vly_now_ns() - start) * 1e-9 / 8,
                     saved = n ? (double)(bytes - n) / (double)l->bytes_per_s : 0;
        pays = saved > packing;
    }
    end_trial(&t);
    free(to);
    return pays;
}

/* ---- opening ---- */

static int greatest_divisor(int a, int b) {
    return b == 0 ? a : greatest_divisor(b, a % b);
}

/* Divides every slice; at least two for each thread where there are as many environments. */
static int choose_chunk(const remote_link *l, int workers) {
    int all = 0, most = workers > 0 ? l->envs / (2 * workers) : l->envs;
    for (int i = 0; i < l->slice_count; i++) all = greatest_divisor(all, l->slices[i].n);
    if (most < 1) most = 1;
    for (int n = all < most ? all : most; n > 1; n--)
        if (all % n == 0) return n;
    return 1;
}

static vly_status open_link_env(remote_link *l) {
    const vly_status status = l->o->open(l->o->arg, &l->welcome, &l->env);
    if (status != VLY_OK) return status;
    l->env_open = true;
    const vly_wire_shape own = vly_wire_shape_of(&l->env);
    if (!vly_wire_same_shape(&own, &l->welcome.shape))
        return vly_fail(VLY_EVERSION,
                        "%s has observations of %u bytes here and of %u at the learner: use the "
                        "same release on both",
                        l->env.name, own.obs_bytes, l->welcome.shape.obs_bytes);
    return VLY_OK;
}

static vly_status alloc_slice(remote_link *l, link_slice *s) {
    const vly_wire_shape *shape = &l->welcome.shape;
    const size_t fixed = vly_wire_fixed_bytes(shape, s->n), obs = vly_wire_obs_bytes(shape, s->n);
    s->message = calloc(1, sizeof(vly_wire_head) + fixed);
    s->obs = calloc(1, obs);
    s->action = calloc(1, vly_wire_step_bytes(shape, s->n));
    s->packed = pack_bound(obs) ? malloc(pack_bound(obs)) : NULL;
    if (!s->message || !s->obs || !s->action || (pack_bound(obs) && !s->packed))
        return vly_fail(VLY_ENOMEM, "no memory for %d environments", s->n);
    s->rows = rows_in(shape, s->n, s->message + sizeof(vly_wire_head), s->obs);
    return VLY_OK;
}

static vly_status read_slices(remote_link *l) {
    const vly_wire_slice *from = (const void *)(l->body + sizeof l->welcome);
    l->slices = calloc(l->welcome.slices, sizeof *l->slices);
    if (!l->slices) return vly_fail(VLY_ENOMEM, "no memory for %u slices", l->welcome.slices);
    l->slice_count = (int)l->welcome.slices;
    for (int i = 0; i < l->slice_count; i++) {
        l->slices[i].first = l->envs, l->slices[i].n = from[i].n;
        if (from[i].n > 65536 - l->envs)
            return vly_fail(VLY_ECORRUPT, "the learner gives this actor too many environments");
        l->envs += from[i].n;
        VLY_TRY(alloc_slice(l, &l->slices[i]));
    }
    l->names = calloc((size_t)l->envs, sizeof *l->names);
    l->draws = calloc((size_t)l->envs, sizeof *l->draws);
    l->info = calloc((size_t)l->env.info_count + 1, sizeof *l->info);
    if (!l->names || !l->draws || !l->info)
        return vly_fail(VLY_ENOMEM, "no memory for environments");
    for (int i = 0; i < l->slice_count; i++)
        for (int k = 0; k < from[i].n; k++) {
            l->names[l->slices[i].first + k] = (uint32_t)(from[i].first + k);
            l->draws[l->slices[i].first + k] = from[i].draws;
        }
    return VLY_OK;
}

/* The numbers "phase" of environments that have just been stepped. */
static void write_slice_phases(remote_link *l, link_slice *s) {
    const vly_wire_shape *shape = &l->welcome.shape;
    uint8_t *to = vly_wire_parts_of(shape, s->n, s->message + sizeof(vly_wire_head)).phase;
    const int at = vly_source_phase_at(&l->env);
    for (int i = 0; shape->phase_bytes && i < s->n; i++) {
        const void *state = vly_pool_state(l->pool, s->first + i);
        if (!state) continue;
        l->env.info(&l->env, state, l->info);
        memcpy(to + (size_t)i * sizeof(double), &l->info[at], sizeof(double));
    }
}

static void send_slice(remote_link *l, link_slice *s, uint32_t index) {
    vly_wire_head *head = (vly_wire_head *)(void *)s->message;
    const size_t fixed = vly_wire_fixed_bytes(&l->welcome.shape, s->n),
                 obs = vly_wire_obs_bytes(&l->welcome.shape, s->n),
                 packed = l->packed ? pack_bytes(s->obs, obs, s->packed, pack_bound(obs)) : 0;
    write_slice_phases(l, s);
    *head = vly_wire_make(VLY_WIRE_ROWS, index, s->sequence, fixed + (packed ? packed : obs));
    head->flags = packed ? VLY_WIRE_PACKED : 0;
    uv_buf_t bufs[2] = {
        uv_buf_init((char *)s->message, (unsigned)(sizeof *head + fixed)),
        uv_buf_init((char *)(packed ? s->packed : s->obs), (unsigned)(packed ? packed : obs))};
    s->busy = false;
    l->sent_steps += s->steps ? s->n : 0;
    l->sent_rows += (int64_t)s->n * l->env.players;
    vly_remote_link_write(l, bufs, 2);
}

static void take_finished(remote_link *l, int count) {
    const int n = vly_pool_take(l->pool, count, l->finished, 0);
    const vly_status status = vly_pool_check(l->pool);
    if (status != VLY_OK) vly_remote_link_fault(l, status);
    for (int i = 0; i < n; i++) {
        const int index = l->slice_of_chunk[l->finished[i]];
        link_slice *s = &l->slices[index];
        if (--s->left == 0) send_slice(l, s, (uint32_t)index);
    }
}

static void on_link_chunks(void *arg, int finished) {
    remote_link *l = arg;
    if (l->how == LINK_OPEN && finished > 0) take_finished(l, finished);
}

static void say_pool_warning(void *arg, const char *text) {
    vly_remote_say(arg, "%s", text);
}

static vly_status open_link_pool(remote_link *l) {
    const int given = l->o->workers < 0 ? vly_processors() : l->o->workers;
    l->inline_steps = l->o->workers < 0 && !l->env.plugin && trial_step_ns(l) * l->envs < INLINE_NS;
    const int workers = l->inline_steps ? 0 : given > 0 ? given : 1;
    const int chunk = choose_chunk(l, workers);
    const vly_pool_options o = {.actors = l->envs,
                                .chunk = chunk,
                                .workers = workers,
                                .seed = l->welcome.seed,
                                .names = l->names,
                                .draws = l->draws,
                                .deadline_ms = HUNG_MS,
                                .arg = l,
                                .on_chunks = on_link_chunks,
                                .on_warning = say_pool_warning};
    VLY_TRY(vly_pool_create(&l->pool, &l->loop, &l->env, &o));
    l->chunk_count = vly_pool_chunks(l->pool);
    l->slice_of_chunk = calloc((size_t)l->chunk_count, sizeof *l->slice_of_chunk);
    l->finished = calloc((size_t)l->chunk_count, sizeof *l->finished);
    if (!l->slice_of_chunk || !l->finished) return vly_fail(VLY_ENOMEM, "no memory for chunks");
    for (int i = 0; i < l->slice_count; i++) {
        link_slice *s = &l->slices[i];
        s->first_chunk = s->first / chunk, s->chunks = s->n / chunk;
        for (int k = 0; k < s->chunks; k++) l->slice_of_chunk[s->first_chunk + k] = i;
    }
    return VLY_OK;
}

vly_status vly_remote_work_open(remote_link *l) {
    VLY_TRY(vly_wire_check_welcome(l->body, l->in.head.bytes));
    memcpy(&l->welcome, l->body, sizeof l->welcome);
    VLY_TRY(open_link_env(l));
    VLY_TRY(read_slices(l));
    return open_link_pool(l);
}

void vly_remote_work_close(remote_link *l) {
    l->stuck = l->pool && vly_pool_destroy(l->pool) == VLY_ETIMEOUT;
    if (l->stuck) return;
    for (int i = 0; i < l->slice_count; i++) {
        free(l->slices[i].message);
        free(l->slices[i].obs);
        free(l->slices[i].action);
        free(l->slices[i].packed);
    }
    free(l->slices);
    free(l->slice_of_chunk);
    free(l->finished);
    free(l->names);
    free(l->draws);
    free(l->info);
    if (l->env_open) l->env.close(&l->env);
}

/* ---- stepping ---- */

vly_status vly_remote_work_place(remote_link *l, const vly_wire_head *h) {
    link_slice *s = h->slice < (uint32_t)l->slice_count ? &l->slices[h->slice] : NULL;
    if (!s || s->busy)
        return vly_fail(VLY_ECORRUPT, "the learner asks for slice %u of %d%s", h->slice,
                        l->slice_count, s ? ", which is being stepped" : "");
    const size_t bytes = vly_wire_step_bytes(&l->welcome.shape, s->n);
    if (h->bytes != (h->type == VLY_WIRE_STEP ? bytes : 0))
        return vly_fail(VLY_ECORRUPT, "%u bytes of actions, not %zu", h->bytes, bytes);
    if (h->type == VLY_WIRE_STEP) vly_wire_place(&l->in, s->action, bytes);
    return VLY_OK;
}

/* Of numbers: finite; an environment bounds them itself. */
static bool is_in_space(const vly_space *space, const uint8_t *action) {
    for (int k = 0; k < space->count; k++) {
        int32_t choice;
        float number;
        memcpy(&choice, action + 4 * k, sizeof choice);
        memcpy(&number, action + 4 * k, sizeof number);
        if (space->kind == VLY_SPACE_BOX ? !isfinite(number)
                                         : choice < 0 || choice >= vly_space_size(space, k))
            return false;
    }
    return true;
}

/* The learner is trusted with its actions as a program, not as a source of indices. */
static vly_status check_slice_actions(const remote_link *l, const link_slice *s) {
    const size_t bytes = l->welcome.shape.action_bytes,
                 rows = (size_t)s->n * l->welcome.shape.players;
    for (size_t i = 0; i < rows; i++)
        if (!is_in_space(&l->env.action, s->action + i * bytes)) {
            char text[64];
            vly_action_text(&l->env.action, (vly_actions){s->action + i * bytes, bytes}, text,
                            sizeof text);
            return vly_fail(VLY_ECORRUPT, "action %s is none of %s", text, l->env.name);
        }
    return VLY_OK;
}

static vly_status submit_slice(remote_link *l, link_slice *s, bool step) {
    const int chunk = s->n / s->chunks, players = l->env.players;
    const vly_actions action = {s->action, l->welcome.shape.action_bytes};
    if (step) VLY_TRY(check_slice_actions(l, s));
    s->busy = true, s->steps = step, s->left = s->chunks;
    for (int k = 0; k < s->chunks; k++) {
        const vly_rows rows = vly_rows_of(s->rows, (size_t)(k * chunk), players);
        const vly_actions these = vly_actions_at(action, (size_t)(k * chunk * players));
        VLY_TRY(step ? vly_pool_submit_chunk(l->pool, s->first_chunk + k, these, rows)
                     : vly_pool_reset_chunk(l->pool, s->first_chunk + k, rows));
    }
    return VLY_OK;
}

void vly_remote_work_begin(remote_link *l, const vly_wire_head *h) {
    link_slice *s = &l->slices[h->slice];
    s->sequence = h->sequence;
    const vly_status status = submit_slice(l, s, h->type == VLY_WIRE_STEP);
    if (status != VLY_OK)
        vly_remote_link_fault(l, status);
    else if (l->inline_steps)
        take_finished(l, s->chunks);
}
