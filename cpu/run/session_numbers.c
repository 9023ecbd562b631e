#include "cpu/run/session_impl.h"
#include <math.h>
#include "cpu/program/cli.h"
#include "cpu/machine/system.h"

void vly_session_observe(void *arg, const vly_episode *episode, int64_t steps) {
    vly_session *s = arg;
    (void)steps;
    vly_metrics_observe(s->metrics, VLY_M_EPISODIC_RETURN, episode->score);
    vly_metrics_observe(s->metrics, VLY_M_EPISODIC_LENGTH, episode->length);
}

static void count_since(vly_metrics *m, int id, int64_t now, int64_t *before) {
    if (now != *before) vly_metrics_count(m, id, now - *before);
    *before = now;
}

/* Shares of the time since the last record; the trainer books saving under `other`. */
static void record_phases(vly_session *s, const vly_train_report *r, double elapsed) {
    static const int ids[VLY_PHASES] = {VLY_M_TIME_STEP, VLY_M_TIME_ACT, VLY_M_TIME_LEARN,
                                        VLY_M_TIME_OTHER};
    double saving = s->save_s - s->save_s_recorded;
    for (int i = 0; i < VLY_PHASES; i++) {
        double spent = r->phase_s[i] - s->phase_recorded[i] - (i == VLY_PHASE_OTHER ? saving : 0);
        vly_metrics_set(s->metrics, ids[i], elapsed > 0 ? fmin(fmax(spent / elapsed, 0), 1) : 0);
        s->phase_recorded[i] = r->phase_s[i];
    }
    vly_metrics_set(s->metrics, VLY_M_TIME_SAVE, elapsed > 0 ? fmin(saving / elapsed, 1) : 0);
    s->save_s_recorded = s->save_s;
}

static void record_rates(vly_session *s, const vly_train_report *r, double elapsed) {
    double cpu = vly_system_cpu_seconds();
    vly_metrics_set(s->metrics, VLY_M_SPS, r->steps_per_s);
    vly_metrics_set(s->metrics, VLY_M_FPS, r->steps_per_s * s->env.frames_per_step);
    vly_metrics_set(s->metrics, VLY_M_SPS_LEARN, r->learn_rows_per_s);
    vly_metrics_set(s->metrics, VLY_M_QUEUE_STEP, r->pool.queued + r->pool.running);
    vly_metrics_set(s->metrics, VLY_M_QUEUE_ACT, r->pool.finished);
    if (r->lag_max > 0 || r->ready || r->learning) {
        vly_metrics_set(s->metrics, VLY_M_POLICY_LAG, r->lag_mean);
        vly_metrics_set(s->metrics, VLY_M_QUEUE_LEARN, r->ready);
    }
    vly_metrics_set(s->metrics, VLY_M_MEMORY, (double)vly_system_resident_bytes());
    if (elapsed > 0.01) vly_metrics_set(s->metrics, VLY_M_CPU, (cpu - s->cpu_s) / elapsed);
    s->cpu_s = cpu;
    double busy, memory;
    if (vly_gpu_use_read(s->gpu, &busy, &memory)) {
        vly_metrics_set(s->metrics, VLY_M_GPU, busy);
        vly_metrics_set(s->metrics, VLY_M_GPU_MEMORY, memory);
    }
}

void vly_session_record(vly_session *s, const vly_train_report *r) {
    double elapsed = r->wall_s - s->wall_recorded;
    s->wall_recorded = r->wall_s;
    count_since(s->metrics, VLY_M_STEPS, r->total_steps, &s->steps_recorded);
    count_since(s->metrics, VLY_M_UPDATES, r->updates, &s->updates_recorded);
    count_since(s->metrics, VLY_M_EPISODES, r->episodes, &s->episodes_recorded);
    count_since(s->metrics, VLY_M_RESTARTS, r->pool.restarts, &s->restarts_recorded);
    count_since(s->metrics, VLY_M_HUNG, r->pool.hung_total, &s->hung_recorded);
    if (r->window) vly_metrics_set(s->metrics, VLY_M_RETURN_MEAN_100, r->return_mean_100);
    record_rates(s, r, elapsed);
    record_phases(s, r, elapsed);
    for (int i = 0; i < r->metric_count; i++)
        vly_metrics_set_by_name(s->metrics, r->metrics[i].name, r->metrics[i].value);
    if (vly_metrics_record(s->metrics, r->total_steps) != VLY_OK)
        vly_status_line_say(s->line, vly_error_text());
    vly_status_line_update(s->line, s->metrics);
}

static const void *state_of(void *train, int actor) {
    return vly_train_state(train, actor);
}

static bool save_is_due(const vly_session *s, const vly_train_report *r) {
    int64_t every = s->config.checkpoint.every_steps;
    if (every > 0) return r->total_steps / every > s->steps_saved / every;
    return r->wall_s - s->last_save >= (double)s->config.checkpoint.every_s;
}

/* Every every_s, and closer together in the first seconds: a run that is over in one has a curve
 * too. */
static bool record_is_due(const vly_session *s, const vly_train_report *r) {
    const double early = fmax(0.005, 0.05 * r->wall_s), every = (double)s->config.metrics.every_s;
    return s->last_record == 0 || r->wall_s - s->last_record >= fmin(every, early);
}

int vly_session_on_update(void *arg, const vly_train_report *r) {
    vly_session *s = arg;
    if (record_is_due(s, r)) {
        s->last_record = r->wall_s;
        vly_session_record(s, r);
    } else
        vly_status_line_update(s->line, s->metrics);
    vly_shots_offer(s->shots, state_of, s->train);
    s->too_many_restarts = r->pool.restarts > s->config.pool.restarts;
    return (vly_cli_signal() || s->too_many_restarts ? VLY_TRAIN_STOP : VLY_TRAIN_GO_ON) |
           (save_is_due(s, r) ? VLY_TRAIN_SAVE : VLY_TRAIN_GO_ON);
}
