#include "cpu/train/train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "cpu/train/train_impl.h"
#include "cpu/ops/workers.h"

const char *vly_stop_name(vly_stop stop) {
    static const char *const names[] = {"none", "target", "budget", "interrupted", "failed"};
    return names[stop];
}

const char *vly_phase_name(vly_phase phase) {
    static const char *const names[] = {"env", "act", "learn", "other"};
    return names[phase];
}

void vly_train_mark(vly_train *t, vly_phase phase) {
    const uint64_t now = uv_hrtime();
    t->phase_s[phase] += (double)(now - t->mark_ns) * 1e-9;
    t->mark_ns = now;
}

/* ---- rows in and out ---- */

vly_status vly_train_submit(vly_train *t, int group, const int32_t *action, bool *room) {
    vly_rows *rows = &t->rows[group];
    *room = t->algo->place(t->algo, group, rows);
    if (!*room) return VLY_OK;
    if (t->slab) {
        t->device_obs[group] = rows->obs;
        rows->obs_stride = t->o.env->obs.bytes;
        rows->obs = t->slab + (size_t)group * (size_t)t->M * rows->obs_stride;
    }
    if (t->async)
        return action ? vly_pool_submit_chunk(t->pool, group, action, *rows)
                      : vly_pool_reset_chunk(t->pool, group, *rows);
    return action ? vly_pool_submit_group(t->pool, group, action, *rows)
                  : vly_pool_reset_group(t->pool, group, *rows);
}

vly_status vly_train_receive(vly_train *t, int group) {
    const vly_rows *rows = &t->rows[group];
    for (int i = 0; i < t->M; i++) t->counters.steps += !(rows->flags[i] & VLY_ROW_RESET);
    if (t->slab)
        VLY_TRY(
            t->c->upload(t->act, t->device_obs[group], rows->obs, (size_t)t->M * rows->obs_stride));
    return t->algo->arrived(t->algo, t->act, group, vly_pool_age(t->pool, group * t->M));
}

/* A hanging environment must not hold the person at the keyboard. */
vly_status vly_train_wait(vly_train *t, int group) {
    vly_status status;
    while ((status = vly_pool_wait_group(t->pool, group, 200)) == VLY_ETIMEOUT) {
        vly_pool_stats stats;
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
        vly_pool_get_stats(t->pool, &stats);
        if (atomic_load(&t->stop_asked) && stats.hung > 0)
            return vly_fail(VLY_ETIMEOUT,
                            "interrupted while %d environments hang: nothing since the last "
                            "checkpoint was saved",
                            stats.hung);
    }
    return status;
}

static int64_t ranks(const vly_train *t) {
    return t->o.sync && t->o.sync->world > 1 ? t->o.sync->world : 1;
}

/* Ranks that tell each other what they have done. */
static bool several(const vly_train *t) {
    return t->o.sync && t->o.sync->agree;
}

static int64_t own_episodes(const vly_train *t) {
    return t->counters.episodes + t->counters.episodes_shift;
}

static int64_t fleet_steps(const vly_train *t) {
    if (several(t)) return t->counters.fleet_steps; /* as of the last update */
    return t->o.sync && t->o.sync->steps ? t->o.sync->steps(t->o.sync)
                                         : t->counters.steps * ranks(t);
}

void vly_train_episodes(vly_train *t) {
    int n;
    while ((n = vly_pool_episodes(t->pool, t->episodes, EPISODES_AT_ONCE)) > 0) {
        for (int i = 0; i < n; i++) {
            if (t->algo->counts && !t->algo->counts(t->algo, t->episodes[i].actor)) continue;
            const int64_t at = t->counters.episodes++ % RETURNS;
            t->returns[at] = t->episodes[i].score;
            t->lengths[at] = t->episodes[i].length;
            if (t->o.on_episode) t->o.on_episode(t->o.arg, &t->episodes[i], fleet_steps(t));
        }
        if (n < EPISODES_AT_ONCE) break;
    }
}

vly_status vly_train_first_rows(vly_train *t) {
    bool room;
    if (t->counters.started) return VLY_OK;
    for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_submit(t, g, NULL, &room));
    if (t->async) {
        const int n = vly_pool_take(t->pool, t->G, t->taken, -1);
        if (n != t->G)
            return vly_fail(VLY_ETIMEOUT, "only %d of %d groups of environments have started", n,
                            t->G);
    } else {
        for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_wait(t, g));
    }
    for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_receive(t, g));
    t->counters.started = 1;
    vly_train_mark(t, VLY_PHASE_ENV);
    return VLY_OK;
}

/* ---- numbers ---- */

vly_progress vly_train_progress(const vly_train *t) {
    const int64_t all = fleet_steps(t);
    const bool shared = t->o.sync && t->o.sync->steps; /* members come and go: no share of the whole
                                                          is one's own */
    return (vly_progress){.steps = all,
                          .total_steps = t->o.config->run.steps,
                          .own_steps = shared ? t->counters.steps : all / ranks(t),
                          .updates = t->counters.updates};
}

static double seconds(const vly_train *t) {
    return (double)(uv_hrtime() - t->created_ns) * 1e-9;
}

static void take_sample(vly_train *t) {
    const train_sample now = {seconds(t), (double)t->counters.steps, t->rows_learned};
    if (t->sample_count > 0 && now.time - t->samples[t->sample_count - 1].time < 0.25) return;
    if (t->sample_count == SAMPLES)
        memmove(t->samples, t->samples + 1, (size_t)--t->sample_count * sizeof t->samples[0]);
    t->samples[t->sample_count++] = now;
}

static void mean_returns(const vly_train *t, vly_train_report *out) {
    double sum = 0, length = 0;
    const int n = t->counters.episodes < RETURNS ? (int)t->counters.episodes : RETURNS;
    for (int i = 0; i < n; i++) sum += t->returns[i], length += t->lengths[i];
    out->window = n;
    out->return_mean_100 = n ? sum / n : NAN;
    out->length_mean_100 = n ? length / n : NAN;
}

void vly_train_get_report(vly_train *t, vly_train_report *out) {
    memset(out, 0, sizeof *out);
    out->steps = t->counters.steps;
    out->total_steps = fleet_steps(t);
    out->frames = t->counters.steps * t->o.env->frames_per_step;
    out->rounds = t->counters.updates;
    out->updates = t->algo->made ? *t->algo->made : t->counters.updates;
    out->episodes = several(t) ? t->counters.fleet_episodes : own_episodes(t);
    mean_returns(t, out);
    out->wall_s = seconds(t);
    const train_sample *oldest = t->samples;
    if (t->sample_count > 0 && out->wall_s > oldest->time) {
        out->steps_per_s = ((double)t->counters.steps - oldest->steps) /
                           (out->wall_s - oldest->time);
        out->learn_rows_per_s = (t->rows_learned - oldest->rows) / (out->wall_s - oldest->time);
    }
    memcpy(out->phase_s, t->phase_s, sizeof out->phase_s);
    out->lag_mean = t->algo->async.lag_mean;
    out->lag_max = t->algo->async.lag_max;
    out->dropped = t->algo->async.dropped;
    out->ready = t->algo->async.ready;
    out->learning = t->algo->async.learning;
    out->stalled = t->stalled_count;
    vly_pool_get_stats(t->pool, &out->pool);
    out->metrics = t->metrics;
    out->metric_count = t->metric_count;
}

vly_algo *vly_train_algo(vly_train *t) {
    return t->algo;
}
const void *vly_train_state(vly_train *t, int actor) {
    return t->o.lead || !t->counters.started || actor < 0 || actor >= t->N
               ? NULL
               : vly_pool_state(t->pool, actor);
}

void vly_train_stop(vly_train *t) {
    atomic_store(&t->stop_asked, 1);
}

static vly_stop why_stop(vly_train *t) {
    const vly_config *config = t->o.config;
    if (atomic_load(&t->stop_asked)) return VLY_STOP_INTERRUPTED;
    const bool judge = !t->o.sync || t->o.sync->rank == 0; /* of the target: one rank, or they would
                                                              differ */
    if (judge && !isnan(config->run.until_return) && t->counters.episodes >= RETURNS) {
        vly_train_report report;
        mean_returns(t, &report);
        if (report.return_mean_100 >= (double)config->run.until_return) return VLY_STOP_TARGET;
    }
    return fleet_steps(t) >= config->run.steps ? VLY_STOP_BUDGET : VLY_STOP_NONE;
}

/* Ranks stop at the same update, for the same reason: whoever went on alone would wait for the
 * others forever. */
static vly_status agree(vly_train *t) {
    const vly_standing mine = {
        .steps = t->counters.steps, .episodes = own_episodes(t), .stop = (int)t->stop};
    vly_standing all;
    if (!several(t)) return VLY_OK;
    VLY_TRY(t->o.sync->agree(t->o.sync, &mine, &all));
    t->counters.fleet_steps = all.steps, t->counters.fleet_episodes = all.episodes;
    t->stop = (vly_stop)all.stop;
    /* the same numbers on all ranks, hence the same answer */
    if (t->stop == VLY_STOP_NONE && t->counters.fleet_steps >= t->o.config->run.steps)
        t->stop = VLY_STOP_BUDGET;
    return VLY_OK;
}

/* Something changed: is it the end, and what does the caller want? */
static vly_status tell(vly_train *t, bool *save) {
    t->dirty = true;
    take_sample(t);
    if (t->stop == VLY_STOP_NONE) t->stop = why_stop(t);
    const vly_status agreed = agree(t);
    if (!t->o.on_update) return agreed;
    vly_train_report report;
    vly_train_get_report(t, &report);
    const int wants = t->o.on_update(t->o.arg, &report);
    *save = wants & VLY_TRAIN_SAVE;
    if ((wants & VLY_TRAIN_STOP) && t->stop == VLY_STOP_NONE) t->stop = VLY_STOP_INTERRUPTED;
    return agreed;
}

vly_status vly_train_passed(vly_train *t, vly_queue *q) {
    const vly_status status = t->c->queue_sync(q);
    if (t->o.sync && t->o.sync->check)
        VLY_TRY(t->o.sync->check(t->o.sync)); /* what the queue says is what came of it */
    return status;
}

vly_status vly_train_updated(vly_train *t, bool *save) {
    *save = false;
    t->counters.updates++;
    t->rows_learned += (double)t->algo->rows_per_update;
    const vly_status status = t->algo->metrics(t->algo, t->metrics, &t->metric_count);
    if (status != VLY_OK)
        return vly_fail(status, "update %lld: %s", (long long)t->counters.updates,
                        vly_error_text());
    return tell(t, save);
}

vly_status vly_train_led(vly_train *t, int64_t steps, int64_t updates, const vly_metric *metrics,
                         int count, bool *save) {
    *save = false;
    t->counters.steps = steps;
    t->counters.updates = updates;
    t->metric_count = count < VLY_METRICS_MAX ? count : VLY_METRICS_MAX;
    memcpy(t->metrics, metrics, (size_t)t->metric_count * sizeof *metrics);
    return tell(t, save);
}

/* ---- the whole state ---- */

vly_status vly_train_save(vly_train *t) {
    if (!t->o.on_save || !t->dirty) return VLY_OK;
    VLY_TRY(t->c->queue_sync(t->act));
    VLY_TRY(t->c->queue_sync(t->learn));
    VLY_TRY(vly_pool_save(t->pool, t->pool_state, t->pool_bytes));
    t->dirty = false;
    return t->o.on_save(t->o.arg, t);
}

static void add_buffer(vly_buffer *out, int *n, int max, const char *name, vly_dtype dtype,
                       int64_t count, void *data) {
    if (*n < max) {
        out[*n] = (vly_buffer){
            .role = VLY_BUFFER_STATE, .dtype = dtype, .ndim = 1, .shape = {count}, .data = data};
        snprintf(out[*n].name, sizeof out[*n].name, "%s", name);
    }
    ++*n;
}

int vly_train_buffers(vly_train *t, vly_buffer *out, int max) {
    int n = t->algo->buffers(t->algo, out, max);
    if (t->o.eval) return n;
    add_buffer(out, &n, max, "train.counters", VLY_I64, sizeof t->counters / sizeof(int64_t),
               &t->counters);
    add_buffer(out, &n, max, "train.returns", VLY_F64, RETURNS, t->returns);
    add_buffer(out, &n, max, "train.lengths", VLY_I32, RETURNS, t->lengths);
    add_buffer(out, &n, max, "train.pool", VLY_U8, (int64_t)t->pool_bytes, t->pool_state);
    return n;
}

vly_status vly_train_read(vly_train *t, const vly_buffer *buffer, void *host) {
    if (buffer->device) {
        VLY_TRY(t->c->download(t->act, host, buffer->data, vly_buffer_bytes(buffer)));
        return t->c->queue_sync(t->act);
    }
    memcpy(host, buffer->data, vly_buffer_bytes(buffer));
    return VLY_OK;
}

vly_status vly_train_write(vly_train *t, const vly_buffer *buffer, const void *host) {
    if (buffer->device) {
        VLY_TRY(t->c->upload(t->act, buffer->data, host, vly_buffer_bytes(buffer)));
        return t->c->queue_sync(t->act);
    }
    memcpy(buffer->data, host, vly_buffer_bytes(buffer));
    return VLY_OK;
}

/* The run may go on with another number of ranks: what all had done together counts as the first
 * one's. */
static void share_counts(vly_train *t) {
    train_counters *k = &t->counters;
    const int64_t steps = k->steps > k->fleet_steps ? k->steps : k->fleet_steps;
    const int64_t alone = k->episodes + k->episodes_shift,
                  episodes = alone > k->fleet_episodes ? alone : k->fleet_episodes;
    const bool first = !several(t) || t->o.sync->rank == 0;
    k->steps = first ? steps : 0, k->fleet_steps = several(t) ? steps : 0;
    k->episodes_shift = (first ? episodes : 0) - k->episodes,
    k->fleet_episodes = several(t) ? episodes : 0;
}

vly_status vly_train_restored(vly_train *t) {
    VLY_TRY(t->algo->restored(t->algo, t->act));
    if (t->o.eval) return VLY_OK;
    const train_counters *k = &t->counters;
    if (k->version != 1)
        return vly_fail(VLY_EVERSION,
                        "the run's counters are of version %lld; this program knows 1",
                        (long long)k->version);
    if (k->steps < 0 || k->updates < 0 || k->episodes < 0)
        return vly_fail(VLY_ECORRUPT, "the run's counters are negative");
    share_counts(t);
    if (t->o.sync && t->o.sync->rank > 0)
        t->counters.started = 0; /* its environments are its own, and begin anew */
    if (k->started) VLY_TRY(vly_pool_load(t->pool, t->pool_state, t->pool_bytes));
    t->sample_count = 0; /* rates are of this process, not of the steps before */
    take_sample(t);
    t->dirty = false;
    return VLY_OK;
}

/* ---- creation ---- */

static bool is_plugin(const vly_config *config) {
    return strstr(config->run.env, ".so") != NULL;
}

static void warn(void *arg, const char *text) {
    const vly_train *t = arg;
    if (t->o.on_warning) t->o.on_warning(t->o.arg, text);
}

/* Synchronous: pool.groups, fewer where they do not divide. Asynchronous: small groups, sixteen at
 * least where there are as many environments. */
static void divide(vly_train *t) {
    const vly_config *config = t->o.config;
    t->N = t->o.eval ? t->o.eval_actors : config->run.envs;
    if (t->async) {
        t->M = config->pool.chunk > 0 ? config->pool.chunk : (t->N + 15) / 16;
        if (t->M > t->N) t->M = t->N;
        while (t->N % t->M) t->M--;
        t->G = t->N / t->M;
        const int batch = config->pool.batch > 0 ? config->pool.batch : (t->N + 1) / 2;
        t->batch = (batch + t->M - 1) / t->M;
        if (t->batch > t->G) t->batch = t->G;
        return;
    }
    t->G = t->o.eval ? 1 : config->pool.groups;
    if (t->G > t->N) t->G = t->N;
    while (t->N % t->G) t->G--;
    t->M = t->N / t->G;
}

/* Nanoseconds of one step of one actor, measured on a scratch actor for a millisecond at most. */
static double step_cost(const vly_env *env) {
    double cost = 1e9;
    void *state = aligned_alloc(64, (env->state_bytes + 63) / 64 * 64);
    uint8_t *obs = malloc(env->obs.bytes), flags = 0;
    float reward = 0, score = 0;
    if (state && obs) {
        const vly_rows row = {obs, env->obs.bytes, &reward, &score, &flags};
        const int32_t action = 0;
        int steps = 0;
        env->reset(env, state, 0, row);
        const uint64_t start = uv_hrtime();
        uint64_t now = start;
        for (; steps < 64 && now - start < 1000000; steps++, now = uv_hrtime())
            env->step(env, state, 1, &action, row);
        cost = (double)(now - start) / steps;
    }
    free(state);
    free(obs);
    return cost;
}

/* Waking a thread costs some ten microseconds: groups that step faster than that are stepped by the
 * one who waits. */
static int choose_workers(const vly_train *t, bool trusted) {
    const int given = t->o.config->run.workers, processors = vly_processors();
    if (given > 1 || (given == 1 && !trusted)) return given;
    if (!trusted) return processors;
    if (step_cost(t->o.env) * t->M < 20e3) return 0;
    return given == 1 ? 1 : processors > 1 && !t->async ? processors - 1 : processors;
}

/* Ranks see different episodes; their weights are made equal by vly_sync.broadcast. */
static uint64_t seed_of(const vly_train *t) {
    const uint64_t seed = t->o.eval ? t->o.eval_seed : (uint64_t)t->o.config->run.seed;
    if (!t->o.sync || t->o.sync->rank == 0) return seed;
    const vly_u32x4 r = vly_philox(seed, VLY_STREAM_ENV, UINT64_MAX, (uint32_t)t->o.sync->rank);
    return (uint64_t)r.v[0] << 32 | r.v[1];
}

static vly_status create_pool(vly_train *t) {
    const vly_config *config = t->o.config;
    const bool trusted = !is_plugin(config);
    vly_pool_options o = {.actors = t->N,
                          .groups = t->async ? 1 : t->G,
                          .seed = seed_of(t),
                          .deadline_ms = (int)(config->pool.deadline_s * 1000.0f),
                          .arg = t,
                          .on_warning = t->o.on_warning ? warn : NULL};
    o.chunk = t->async ? t->M : config->pool.chunk;
    o.caller_steps = trusted && !t->async;
    o.workers = choose_workers(t, trusted);
    if (o.deadline_ms < 1) o.deadline_ms = 1;
    VLY_TRY(vly_pool_create(&t->pool, NULL, t->o.env, &o));
    if (t->async && vly_pool_chunks(t->pool) != t->G)
        return vly_fail(VLY_EINVAL, "%d environments in chunks of %d make %d chunks", t->N, t->M,
                        vly_pool_chunks(t->pool));
    return VLY_OK;
}

static vly_status create_algo(vly_train *t) {
    const vly_config *config = t->o.config;
    const vly_algo_args args = {.compute = t->c,
                                .env = t->o.env,
                                .config = config,
                                .sync = t->o.sync,
                                .seed = seed_of(t),
                                .actors = t->N,
                                .groups = t->G,
                                .queue = t->act,
                                .eval = t->o.eval,
                                .greedy = t->o.greedy};
    return vly_algo_create(&t->algo, config->run.algo, &args);
}

static vly_status alloc_arrays(vly_train *t) {
    const size_t G = (size_t)t->G, N = (size_t)t->N;
    t->rows = calloc(G, sizeof *t->rows);
    t->device_obs = calloc(G, sizeof *t->device_obs);
    t->taken = calloc(G, sizeof *t->taken);
    t->waiting = calloc(G, sizeof *t->waiting);
    t->acting = calloc(G, sizeof *t->acting);
    t->stalled = calloc(G, sizeof *t->stalled);
    t->pool_bytes = vly_pool_snapshot_bytes(t->pool);
    t->pool_state = t->o.eval ? NULL : malloc(t->pool_bytes);
    if (!t->rows || !t->device_obs || !t->taken || !t->waiting || !t->acting || !t->stalled ||
        (!t->o.eval && !t->pool_state))
        return vly_fail(VLY_ENOMEM, "no memory for a run of %d environments", t->N);
    if (t->c->info.is_host) return VLY_OK;
    void *slab;
    VLY_TRY(t->c->alloc_host(t->c, N * t->o.env->obs.bytes, "observations on their way", &slab));
    t->slab = slab;
    return VLY_OK;
}

static vly_status create_queues(vly_train *t) {
    VLY_TRY(t->c->queue_create(t->c, t->async ? VLY_QUEUE_ACT : VLY_QUEUE_LEARN, &t->act));
    t->learn = t->act;
    if (!t->async) return VLY_OK;
    VLY_TRY(t->c->queue_create(t->c, VLY_QUEUE_LEARN, &t->learn));
    return t->c->event_create(t->c, &t->event);
}

static vly_status choose_schedule(vly_train *t) {
    const vly_algo_entry *entry = vly_algo_find(t->o.config->run.algo);
    const int wanted = t->o.config->pool.schedule;
    if (!entry) return VLY_OK; /* create_algo names it */
    t->async = !t->o.eval &&
               (wanted == VLY_SCHEDULE_AUTO ? entry->schedule : (vly_schedule)wanted) ==
                   VLY_SCHEDULE_ASYNC;
    if (t->async && entry->schedule != VLY_SCHEDULE_ASYNC)
        return vly_fail(VLY_EINVAL,
                        "--pool.schedule async: %s learns only from what it has just acted; use "
                        "sync, or --algo impala",
                        entry->name);
    return VLY_OK;
}

static vly_status fill(vly_train *t) {
    VLY_TRY(choose_schedule(t));
    divide(t);
    VLY_TRY(create_queues(t));
    VLY_TRY(create_algo(t));
    VLY_TRY(create_pool(t));
    return alloc_arrays(t);
}

vly_status vly_train_create(vly_train **out, const vly_train_options *options) {
    *out = NULL;
    vly_train *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "no memory for a run");
    t->o = *options;
    t->c = options->compute;
    if (t->o.eval_actors < 1) t->o.eval_actors = 16;
    t->counters.version = 1;
    t->created_ns = t->mark_ns = uv_hrtime();
    const vly_status status = fill(t);
    if (status != VLY_OK) {
        vly_train_destroy(t);
        return status;
    }
    take_sample(t);
    *out = t;
    return VLY_OK;
}

void vly_train_destroy(vly_train *t) {
    if (!t) return;
    /* An environment that hangs still writes into the rows: then nothing that it may touch is
     * freed. */
    const bool hung = t->pool && vly_pool_destroy(t->pool) == VLY_ETIMEOUT;
    if (!hung) {
        if (t->algo) t->algo->destroy(t->algo);
        if (t->slab) t->c->free_host(t->c, t->slab);
        if (t->event) t->c->event_destroy(t->event);
        if (t->learn && t->learn != t->act) t->c->queue_destroy(t->learn);
        if (t->act) t->c->queue_destroy(t->act);
        free(t->rows);
    }
    free(t->device_obs);
    free(t->taken);
    free(t->waiting);
    free(t->acting);
    free(t->stalled);
    free(t->pool_state);
    if (!hung) free(t);
}

/* ---- running ---- */

static vly_status run(vly_train *t) {
    t->stop = why_stop(t);
    if (t->stop == VLY_STOP_INTERRUPTED) t->stop = VLY_STOP_NONE, atomic_store(&t->stop_asked, 0);
    if (t->stop != VLY_STOP_NONE) return VLY_OK;
    const vly_status status = t->o.lead  ? t->o.lead(t->o.lead_arg, t)
                              : t->async ? vly_train_run_async(t)
                                         : vly_train_run_sync(t);
    return status == VLY_OK ? vly_train_save(t) : status;
}

vly_status vly_train_run(vly_train *t, vly_train_result *result) {
    t->mark_ns = uv_hrtime();
    const vly_status status = run(t);
    if (status != VLY_OK) t->stop = VLY_STOP_FAILED;
    result->stop = t->stop;
    vly_train_get_report(t, &result->report);
    return status;
}
