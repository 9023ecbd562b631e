#include <math.h>
#include <string.h>
#include "cpu/train/train_impl.h"

void vly_train_mark(vly_train *t, vly_phase phase) {
    const uint64_t now = uv_hrtime();
    t->phase_s[phase] += (double)(now - t->mark_ns) * 1e-9;
    t->mark_ns = now;
}

static int64_t world_size(const vly_train *t) {
    return t->o.sync && t->o.sync->world > 1 ? t->o.sync->world : 1;
}

bool vly_train_has_ranks(const vly_train *t) {
    return t->o.sync && t->o.sync->agree;
}

static int64_t own_episodes(const vly_train *t) {
    return t->counters.episodes + t->counters.episodes_shift;
}

int64_t vly_train_total_steps(const vly_train *t) {
    if (vly_train_has_ranks(t)) return t->counters.fleet_steps; /* as of the last update */
    return t->o.sync && t->o.sync->steps ? t->o.sync->steps(t->o.sync)
                                         : t->counters.steps * world_size(t);
}

vly_progress vly_train_progress(const vly_train *t) {
    const int64_t all = vly_train_total_steps(t);
    /* Members of a fleet come and go: then a member's share of all steps is not known. */
    const bool shared = t->o.sync && t->o.sync->steps;
    return (vly_progress){.steps = all,
                          .total_steps = t->o.config->run.steps,
                          .own_steps = shared ? t->counters.steps : all / world_size(t),
                          .updates = t->counters.updates};
}

static double seconds_since_create(const vly_train *t) {
    return (double)(uv_hrtime() - t->created_ns) * 1e-9;
}

static void take_sample(vly_train *t) {
    const train_sample now = {seconds_since_create(t), (double)t->counters.steps, t->rows_learned};
    if (t->sample_count > 0 && now.time - t->samples[t->sample_count - 1].time < 0.25) return;
    if (t->sample_count == SAMPLES)
        memmove(t->samples, t->samples + 1, (size_t)--t->sample_count * sizeof t->samples[0]);
    t->samples[t->sample_count++] = now;
}

void vly_train_restart_rates(vly_train *t) {
    t->sample_count = 0;
    take_sample(t);
}

static void mean_returns(const vly_train *t, vly_train_report *out) {
    double sum = 0, length = 0;
    const int n = t->counters.episodes < RETURNS ? (int)t->counters.episodes : RETURNS;
    for (int i = 0; i < n; i++) sum += t->returns[i], length += t->lengths[i];
    out->window = n;
    out->return_mean_100 = n ? sum / n : NAN;
    out->length_mean_100 = n ? length / n : NAN;
}

static void report_tasks(vly_train *t, vly_train_report *out) {
    for (int i = 0; t->tasks && i < t->o.env->tasks; i++) {
        const train_task *task = &t->tasks[i];
        const int n = task->episodes < RETURNS ? (int)task->episodes : RETURNS;
        double sum = 0;
        for (int k = 0; k < n; k++) sum += task->returns[k];
        t->task_reports[i] = (vly_train_task){.env = t->o.env->task_names[i],
                                              .episodes = (int64_t)task->episodes,
                                              .return_mean_100 = n ? sum / n : NAN};
    }
    out->tasks = t->task_reports;
    out->task_count = t->tasks ? t->o.env->tasks : 0;
}

void vly_train_get_report(vly_train *t, vly_train_report *out) {
    memset(out, 0, sizeof *out);
    out->steps = t->counters.steps;
    out->total_steps = vly_train_total_steps(t);
    out->frames = t->counters.steps * t->o.env->frames_per_step;
    out->rounds = t->counters.updates;
    const int64_t *made = t->o.lead ? NULL : t->algo->made; /* a leader counts updates itself */
    out->updates = made ? *made : t->counters.updates;
    out->episodes = vly_train_has_ranks(t) ? t->counters.fleet_episodes : own_episodes(t);
    mean_returns(t, out);
    report_tasks(t, out);
    vly_train_report_changes(t, out);
    out->wall_s = seconds_since_create(t);
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
    t->source->stats(t->source, &out->pool);
    out->sleeps = t->sleeps;
    out->asleep_s = (double)uv_metrics_idle_time(t->loop) * 1e-9;
    out->metrics = t->metrics;
    out->metric_count = t->metric_count;
}

vly_status vly_train_check_restarts(vly_train *t) {
    const vly_config *config = t->o.config;
    vly_pool_stats stats;
    t->source->stats(t->source, &stats);
    if (stats.restarts <= config->pool.restarts) return VLY_OK;
    return vly_fail(VLY_EPEER,
                    "%s failed %lld times and was started again, more than --pool.restarts %d: it "
                    "is broken",
                    config->run.env, (long long)stats.restarts, config->pool.restarts);
}

vly_stop vly_train_check_stop(vly_train *t) {
    const vly_config *config = t->o.config;
    if (atomic_load(&t->stop_asked)) return VLY_STOP_INTERRUPTED;
    const bool first = !t->o.sync || t->o.sync->rank == 0; /* ranks see different episodes: the
                                                              first decides about the target */
    if (first && !isnan(config->run.until_return) && t->counters.episodes >= RETURNS) {
        vly_train_report report;
        mean_returns(t, &report);
        if (report.return_mean_100 >= (double)config->run.until_return) return VLY_STOP_TARGET;
    }
    return vly_train_total_steps(t) >= config->run.steps ? VLY_STOP_BUDGET : VLY_STOP_NONE;
}

/* Ranks stop at the same update, for the same reason: one that went on alone would wait for the
 * others forever. */
static vly_status agree_with_ranks(vly_train *t) {
    const vly_standing mine = {
        .steps = t->counters.steps, .episodes = own_episodes(t), .stop = (int)t->stop};
    vly_standing all;
    if (!vly_train_has_ranks(t)) return VLY_OK;
    VLY_TRY(t->o.sync->agree(t->o.sync, &mine, &all));
    t->counters.fleet_steps = all.steps, t->counters.fleet_episodes = all.episodes;
    t->stop = (vly_stop)all.stop;
    /* from the sum, which is the same on all ranks */
    if (t->stop == VLY_STOP_NONE && t->counters.fleet_steps >= t->o.config->run.steps)
        t->stop = VLY_STOP_BUDGET;
    return VLY_OK;
}

vly_status vly_train_changed(vly_train *t, bool *save) {
    t->dirty = true;
    take_sample(t);
    if (t->stop == VLY_STOP_NONE) t->stop = vly_train_check_stop(t);
    const vly_status agreed = agree_with_ranks(t);
    if (!t->o.on_update) return agreed;
    vly_train_report report;
    vly_train_get_report(t, &report);
    const int wants = t->o.on_update(t->o.arg, &report);
    *save = wants & VLY_TRAIN_SAVE;
    if ((wants & VLY_TRAIN_STOP) && t->stop == VLY_STOP_NONE) t->stop = VLY_STOP_INTERRUPTED;
    return agreed;
}

vly_status vly_train_finish_learn(vly_train *t, vly_queue *q) {
    const vly_status status = t->c->queue_sync(q);
    vly_sync *s = t->o.sync;
    if (s && s->gradients && s->gradients->check)
        VLY_TRY(s->gradients->check(s)); /* the cause; what failed on the queue follows from it */
    return status;
}

static vly_status take_metrics(vly_train *t, int64_t update) {
    t->rows_learned += (double)t->algo->rows_per_update;
    const vly_status status = t->algo->metrics(t->algo, t->metrics, &t->metric_count);
    return status == VLY_OK
               ? VLY_OK
               : vly_fail(status, "update %lld: %s", (long long)update, vly_error_text());
}

vly_status vly_train_updated(vly_train *t, bool *save) {
    *save = false;
    VLY_TRY(take_metrics(t, ++t->counters.updates));
    return vly_train_changed(t, save);
}

vly_status vly_train_cut(vly_train *t) {
    t->counters.started = TRAIN_LEARNING;
    t->dirty = true;
    t->stop = VLY_STOP_INTERRUPTED;
    return take_metrics(t, t->counters.updates + 1);
}
