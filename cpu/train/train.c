#include "cpu/train/train.h"
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "cpu/machine/processors.h"
#include "cpu/train/train_impl.h"

const char *vly_stop_name(vly_stop stop) {
    static const char *const names[] = {"none", "target", "budget", "interrupted", "failed"};
    return names[stop];
}

const char *vly_phase_name(vly_phase phase) {
    static const char *const names[] = {"env", "act", "learn", "other"};
    return names[phase];
}

/* ---- creation ---- */

static void pass_warning(void *arg, const char *text) {
    const vly_train *t = arg;
    if (t->o.on_warning) t->o.on_warning(t->o.arg, text);
}

/* Synchronous: pool.groups, or the next smaller number that divides the environments. Asynchronous:
 * pool.chunk, or 16 groups at least where there are as many environments. */
static void choose_groups(vly_train *t) {
    const vly_config *config = t->o.config;
    const int actors = t->o.eval ? t->o.eval_actors : config->run.envs;
    const int players = t->o.env->players;
    t->N = actors * players;
    if (t->async) {
        int chunk = config->pool.chunk > 0 ? config->pool.chunk : (actors + 15) / 16;
        if (chunk > actors) chunk = actors;
        while (actors % chunk) chunk--;
        t->M = chunk * players;
        t->G = actors / chunk;
        const int batch = config->pool.batch > 0 ? config->pool.batch : (actors + 1) / 2;
        t->batch = (batch + chunk - 1) / chunk;
        if (t->batch > t->G) t->batch = t->G;
        return;
    }
    t->G = t->o.eval ? 1 : config->pool.groups;
    if (t->G > actors) t->G = actors;
    while (actors % t->G) t->G--;
    t->M = t->N / t->G;
}

/* One actor and its rows, to be stepped before there is a pool. */
typedef struct {
    void *state;
    uint8_t *obs, *mask, *flags;
    float *numbers;
    int32_t *action; /* the first allowed choices, or the middle of a box */
    size_t values;   /* of an action */
} scratch;

static bool open_scratch(scratch *s, const vly_env *env) {
    const size_t k = (size_t)env->players;
    s->values = (size_t)env->action.count;
    s->state = aligned_alloc(64, (env->state_bytes + 63) / 64 * 64);
    s->obs = malloc(k * env->obs.bytes);
    s->mask = malloc(k * (size_t)env->action.n + 1);
    s->flags = malloc(k);
    s->numbers = malloc(2 * k * sizeof *s->numbers);
    s->action = calloc(k * s->values, sizeof *s->action);
    return s->state && s->obs && s->mask && s->flags && s->numbers && s->action;
}

static void close_scratch(scratch *s) {
    free(s->state), free(s->obs), free(s->mask), free(s->flags), free(s->numbers), free(s->action);
}

static void choose_first(const scratch *s, const vly_env *env) {
    const vly_space *space = &env->action;
    for (int row = 0; row < env->players; row++) {
        const uint8_t *mask = s->mask + (size_t)row * (size_t)space->n;
        int32_t *action = s->action + (size_t)row * s->values;
        for (int i = 0; i < space->count; i++) {
            if (space->kind == VLY_SPACE_BOX) {
                const float middle = (float)((space->bounds[i].low + space->bounds[i].high) / 2);
                memcpy(&action[i], &middle, sizeof middle);
                continue;
            }
            const int n = vly_space_size(space, i);
            action[i] = 0;
            while (env->masked && action[i] + 1 < n && !mask[action[i]]) action[i]++;
            mask += n;
        }
    }
}

/* Nanoseconds of one step of one actor, measured on a scratch actor for a millisecond at most. */
static double step_cost(const vly_env *env) {
    double cost = 1e9;
    scratch s;
    if (open_scratch(&s, env)) {
        const vly_rows rows = {.obs = s.obs,
                               .obs_stride = env->obs.bytes,
                               .reward = s.numbers,
                               .score = s.numbers + env->players,
                               .flags = s.flags,
                               .mask = env->masked ? s.mask : NULL,
                               .mask_stride = (size_t)env->action.n};
        const vly_actions action = {s.action, env->action.bytes};
        int steps = 0;
        memset(s.state, 0, env->state_bytes);
        if (env->assign) env->assign(env, s.state, 0);
        env->reset(env, s.state, 0, rows);
        const uint64_t start = uv_hrtime();
        uint64_t now = start;
        for (; steps < 64 && now - start < 1000000; steps++, now = uv_hrtime()) {
            choose_first(&s, env);
            env->step(env, s.state, 1, action, rows);
        }
        cost = (double)(now - start) / steps;
    }
    close_scratch(&s);
    return cost;
}

/* Waking a thread takes some 10 us: groups that step in less than twice that are stepped by the
 * waiting thread. */
static int choose_workers(const vly_train *t, bool trusted) {
    const int given = t->o.config->run.workers, processors = vly_processors();
    if (given > 1 || (given == 1 && !trusted)) return given;
    if (!trusted) return processors;
    if (step_cost(t->o.env) * t->M / t->o.env->players < 20e3) return 0;
    return given == 1 ? 1 : processors > 1 && !t->async ? processors - 1 : processors;
}

/* Ranks see different episodes; vly_sync.broadcast makes their weights equal. */
static uint64_t seed_of(const vly_train *t) {
    const uint64_t seed = t->o.eval ? t->o.eval_seed : (uint64_t)t->o.config->run.seed;
    if (!t->o.sync || t->o.sync->rank == 0) return seed;
    const vly_u32x4 r = vly_philox(seed, VLY_STREAM_ENV, UINT64_MAX, (uint32_t)t->o.sync->rank);
    return (uint64_t)r.v[0] << 32 | r.v[1];
}

static vly_status create_source(vly_train *t) {
    vly_pool *pool;
    if (vly_train_is_remote(t)) return vly_train_create_remote(t, seed_of(t));
    const vly_config *config = t->o.config;
    const bool trusted = !t->o.env->plugin;
    const int players = t->o.env->players;
    vly_pool_options o = {.actors = t->N / players,
                          .groups = t->async ? 1 : t->G,
                          .seed = seed_of(t),
                          .deadline_ms = (int)(config->pool.deadline_s * 1000.0f),
                          .arg = t,
                          .on_warning = t->o.on_warning ? pass_warning : NULL};
    o.chunk = t->async ? t->M / players : config->pool.chunk;
    o.caller_steps = trusted && !t->async;
    o.workers = choose_workers(t, trusted);
    if (o.deadline_ms < 1) o.deadline_ms = 1;
    VLY_TRY(vly_pool_create(&pool, t->loop, t->o.env, &o));
    t->source = vly_pool_source(pool, t->async);
    return VLY_OK;
}

static vly_status create_algo(vly_train *t) {
    const vly_config *config = t->o.config;
    const vly_algo_args args = {.compute = t->c,
                                .env = t->o.env,
                                .config = config,
                                .sync = t->o.sync,
                                .led = t->o.lead != NULL,
                                .seed = seed_of(t),
                                .actors = t->N,
                                .groups = t->G,
                                .queue = t->act,
                                .eval = t->o.eval,
                                .greedy = t->o.greedy};
    return vly_algo_create(&t->algo, config->run.algo, &args);
}

static vly_status alloc_tasks(vly_train *t) {
    const int tasks = t->o.env->tasks, actors = t->N / t->o.env->players;
    if (tasks < 2) return VLY_OK;
    if (!t->o.eval && actors < tasks)
        return vly_fail(VLY_EINVAL,
                        "%s: %d environments for %d games: --envs has to be at least %d, and is "
                        "best a multiple",
                        t->o.env->name, actors, tasks, tasks);
    t->tasks = calloc((size_t)tasks, sizeof *t->tasks);
    t->task_reports = calloc((size_t)tasks, sizeof *t->task_reports);
    return t->tasks && t->task_reports ? VLY_OK
                                       : vly_fail(VLY_ENOMEM, "no memory for %d tasks", tasks);
}

static vly_status alloc_arrays(vly_train *t) {
    const size_t G = (size_t)t->G, N = (size_t)t->N;
    t->rows = calloc(G, sizeof *t->rows);
    t->device_obs = calloc(G, sizeof *t->device_obs);
    t->taken = calloc(G, sizeof *t->taken);
    t->waiting = calloc(G, sizeof *t->waiting);
    t->acting = calloc(G, sizeof *t->acting);
    t->stalled = calloc(G, sizeof *t->stalled);
    t->pool_bytes = t->source->snapshot_bytes(t->source);
    t->pool_state = t->o.eval ? NULL : malloc(t->pool_bytes);
    if (!t->rows || !t->device_obs || !t->taken || !t->waiting || !t->acting || !t->stalled ||
        (!t->o.eval && !t->pool_state))
        return vly_fail(VLY_ENOMEM, "no memory for a run of %d environments", t->N);
    VLY_TRY(alloc_tasks(t));
    VLY_TRY(vly_train_create_changes(t));
    if (t->c->info.is_host) return VLY_OK;
    void *slab;
    VLY_TRY(t->c->alloc_host(t->c, N * t->o.env->obs.bytes, "observations in transfer", &slab));
    t->slab = slab;
    return VLY_OK;
}

static vly_status create_queues(vly_train *t) {
    VLY_TRY(t->c->queue_create(t->c, t->async ? VLY_QUEUE_ACT : VLY_QUEUE_LEARN, &t->act));
    t->learn = t->act;
    VLY_TRY(vly_train_point_create(t, &t->acted));
    VLY_TRY(vly_train_point_create(t, &t->learned));
    if (!t->learner.threaded) return VLY_OK;
    VLY_TRY(t->c->queue_create(t->c, VLY_QUEUE_LEARN, &t->learn));
    return t->c->event_create(t->c, &t->uploads);
}

static vly_status choose_schedule(vly_train *t) {
    const vly_algo_entry *entry = vly_algo_find(t->o.config->run.algo);
    const int wanted = t->o.config->pool.schedule;
    if (!entry) return VLY_OK; /* create_algo names it */
    t->async = !t->o.eval &&
               (wanted == VLY_POOL_SCHEDULE_AUTO ? entry->schedule == VLY_SCHEDULE_ASYNC
                                                 : wanted == VLY_POOL_SCHEDULE_ASYNC);
    if (t->async && entry->schedule != VLY_SCHEDULE_ASYNC)
        return vly_fail(VLY_EINVAL,
                        "--pool.schedule async: %s learns only from what it has just acted; use "
                        "sync, or --algo impala",
                        entry->name);
    return VLY_OK;
}

static vly_status choose_learner(vly_train *t) {
    const vly_algo_entry *entry = vly_algo_find(t->o.config->run.algo);
    const bool overlaps = !t->o.eval && entry && entry->overlaps && entry->overlaps(t->o.config);
    if (overlaps && (t->o.sync || t->o.lead))
        return vly_fail(VLY_EUNSUPPORTED,
                        "--%s.overlap on: a run of several processes meets in every update, on one "
                        "thread; leave it off",
                        entry->name);
    t->learner.threaded = t->async || overlaps;
    return VLY_OK;
}

static vly_status create_parts(vly_train *t) {
    VLY_TRY(vly_train_open_loop(t));
    VLY_TRY(choose_schedule(t));
    t->schedule = t->async ? &vly_train_async : &vly_train_sync;
    VLY_TRY(choose_learner(t));
    choose_groups(t);
    VLY_TRY(create_queues(t));
    VLY_TRY(create_algo(t));
    VLY_TRY(create_source(t));
    return alloc_arrays(t);
}

vly_status vly_train_create(vly_train **out, const vly_train_options *options) {
    *out = NULL;
    vly_train *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "no memory for a run");
    t->o = *options;
    t->c = options->compute;
    if (t->o.eval_actors < 1) t->o.eval_actors = 16;
    const int tasks = t->o.env->tasks;
    if (tasks > 1 && t->o.eval_actors > 1) /* each task as often */
        t->o.eval_actors = (t->o.eval_actors + tasks - 1) / tasks * tasks;
    t->counters.version = 1;
    t->created_ns = t->mark_ns = uv_hrtime();
    const vly_status status = create_parts(t);
    if (status != VLY_OK) {
        vly_train_destroy(t);
        return status;
    }
    vly_train_restart_rates(t);
    *out = t;
    return VLY_OK;
}

void vly_train_destroy(vly_train *t) {
    if (!t) return;
    /* An environment that hangs still writes into the rows: then nothing that it may touch is
     * freed. */
    vly_isolate_stop(t->isolate);
    const bool hung = t->source && t->source->destroy(t->source) == VLY_ETIMEOUT;
    vly_train_close_loop(t);
    if (!hung) {
        if (t->algo) t->algo->destroy(t->algo);
        if (t->slab) t->c->free_host(t->c, t->slab);
        if (t->uploads) t->c->event_destroy(t->uploads);
        vly_train_point_destroy(&t->acted);
        vly_train_point_destroy(&t->learned);
        if (t->learn && t->learn != t->act) t->c->queue_destroy(t->learn);
        if (t->act) t->c->queue_destroy(t->act);
        free(t->rows);
    }
    free(t->device_obs);
    free(t->taken);
    free(t->waiting);
    free(t->acting);
    free(t->stalled);
    free(t->tasks);
    free(t->task_reports);
    vly_train_free_changes(t);
    free(t->pool_state);
    vly_train_free_undo(t);
    if (!hung) free(t);
}

/* ---- running ---- */

/* A stop that was asked for before takes effect at the first update, so that ranks agree on it; and
 * an update that was cut short is finished even where the budget of steps is spent. */
static vly_status run_schedule(vly_train *t) {
    t->stop = vly_train_check_stop(t);
    if (t->stop == VLY_STOP_INTERRUPTED || t->counters.started == TRAIN_LEARNING)
        t->stop = VLY_STOP_NONE;
    if (t->stop != VLY_STOP_NONE) return VLY_OK;
    const vly_status status = t->o.lead ? t->o.lead(t->o.lead_arg, t) : vly_train_run_schedule(t);
    return status == VLY_OK ? vly_train_save(t) : status;
}

vly_status vly_train_run(vly_train *t, vly_train_result *result) {
    t->mark_ns = uv_hrtime();
    const vly_status status = run_schedule(t);
    atomic_store(&t->stop_asked, 0);
    if (status != VLY_OK) t->stop = VLY_STOP_FAILED;
    result->stop = t->stop;
    vly_train_get_report(t, &result->report);
    return status;
}

void vly_train_stop(vly_train *t) {
    atomic_store(&t->stop_asked, 1);
    uv_async_send(&t->wake);
}

vly_algo *vly_train_algo(vly_train *t) {
    return t->algo;
}
const void *vly_train_state(vly_train *t, int actor) {
    const bool known = actor >= 0 && actor < t->N / t->o.env->players;
    return t->o.lead || !t->counters.started || !known ? NULL : t->source->state(t->source, actor);
}
