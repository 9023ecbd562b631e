#include "cpu/run/recorder.h"
#include <math.h>
#include <stdio.h>
#include "common/record/checkpoint.h"
#include "cpu/machine/system.h"

static vly_status open_files(vly_recorder *r, const char *folder, int64_t resumed) {
    char path[VLY_PATH];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    if (r->config->metrics.jsonl) VLY_TRY(vly_metrics_open_jsonl(r->metrics, path, resumed));
    return r->config->metrics.tensorboard
               ? vly_metrics_open_tensorboard(r->metrics, folder, resumed)
               : VLY_OK;
}

vly_status vly_recorder_reopen(vly_recorder *r, const char *folder, int64_t steps) {
    return open_files(r, folder, steps);
}

vly_status vly_recorder_open(vly_recorder *r, const vly_config *config, const vly_env *env,
                             const char *folder, int64_t resumed) {
    *r = (vly_recorder){.config = config, .env = env};
    VLY_TRY(vly_metrics_create(&r->metrics));
    VLY_TRY(open_files(r, folder, resumed));
    vly_metrics_set(r->metrics, VLY_M_STEPS_TOTAL, (double)config->run.steps);
    if (!isnan(config->run.until_return))
        vly_metrics_set(r->metrics, VLY_M_RETURN_TARGET, (double)config->run.until_return);
    return VLY_OK;
}

void vly_recorder_close(vly_recorder *r) {
    vly_gpu_use_close(r->gpu);
    vly_metrics_destroy(r->metrics);
    r->gpu = NULL, r->metrics = NULL;
}

void vly_recorder_watch_gpu(vly_recorder *r) {
    r->gpu = vly_gpu_use_open(NULL, vly_gpu_use_index(r->config->run.device));
}

void vly_recorder_episode(vly_recorder *r, const vly_episode *episode) {
    vly_metrics_observe(r->metrics, VLY_M_EPISODIC_RETURN, episode->score);
    vly_metrics_observe(r->metrics, VLY_M_EPISODIC_LENGTH, episode->length);
}

bool vly_recorder_due(const vly_recorder *r, const vly_train_report *report) {
    const double early = fmax(0.005, 0.05 * report->wall_s),
                 every = (double)r->config->metrics.every_s;
    return !r->written || report->wall_s - r->wall_s >= fmin(every, early);
}

static void count_since(vly_metrics *m, int id, int64_t now, int64_t *before) {
    if (now != *before) vly_metrics_count(m, id, now - *before);
    *before = now;
}

static void write_counters(vly_recorder *r, const vly_train_report *report) {
    count_since(r->metrics, VLY_M_STEPS, report->total_steps, &r->steps);
    count_since(r->metrics, VLY_M_UPDATES, report->updates, &r->updates);
    count_since(r->metrics, VLY_M_EPISODES, report->episodes, &r->episodes);
    count_since(r->metrics, VLY_M_RESTARTS, report->pool.restarts, &r->restarts);
    count_since(r->metrics, VLY_M_HUNG, report->pool.hung_total, &r->hung);
}

/* Shares of the time since the last record. The trainer books saving under `other`. */
static void write_phases(vly_recorder *r, const vly_train_report *report, double elapsed,
                         double save_s) {
    static const int ids[VLY_PHASES] = {VLY_M_TIME_STEP, VLY_M_TIME_ACT, VLY_M_TIME_LEARN,
                                        VLY_M_TIME_OTHER};
    const double saving = save_s - r->save_s;
    for (int i = 0; i < VLY_PHASES; i++) {
        const double spent = report->phase_s[i] - r->phase_s[i] -
                             (i == VLY_PHASE_OTHER ? saving : 0);
        vly_metrics_set(r->metrics, ids[i], elapsed > 0 ? fmin(fmax(spent / elapsed, 0), 1) : 0);
        r->phase_s[i] = report->phase_s[i];
    }
    vly_metrics_set(r->metrics, VLY_M_TIME_SAVE, elapsed > 0 ? fmin(saving / elapsed, 1) : 0);
    r->save_s = save_s;
    const double asleep = report->asleep_s - r->asleep_s;
    vly_metrics_set(r->metrics, VLY_M_TIME_ASLEEP, elapsed > 0 ? fmin(asleep / elapsed, 1) : 0);
    r->asleep_s = report->asleep_s;
}

static void write_rates(vly_recorder *r, const vly_train_report *report) {
    vly_metrics *m = r->metrics;
    vly_metrics_set(m, VLY_M_SPS, report->steps_per_s);
    vly_metrics_set(m, VLY_M_FPS, report->steps_per_s * r->env->frames_per_step);
    vly_metrics_set(m, VLY_M_SPS_LEARN, report->learn_rows_per_s);
    vly_metrics_set(m, VLY_M_QUEUE_STEP, report->pool.queued + report->pool.running);
    vly_metrics_set(m, VLY_M_QUEUE_ACT, report->pool.finished);
    if (report->lag_max > 0 || report->ready || report->learning) {
        vly_metrics_set(m, VLY_M_POLICY_LAG, report->lag_mean);
        vly_metrics_set(m, VLY_M_QUEUE_LEARN, report->ready);
    }
}

static void write_resources(vly_recorder *r, double elapsed) {
    const double cpu = vly_system_cpu_seconds();
    double busy, memory;
    vly_metrics_set(r->metrics, VLY_M_MEMORY, (double)vly_system_resident_bytes());
    if (elapsed > 0.01) vly_metrics_set(r->metrics, VLY_M_CPU, (cpu - r->cpu_s) / elapsed);
    r->cpu_s = cpu;
    if (vly_gpu_use_read(r->gpu, &busy, &memory)) {
        vly_metrics_set(r->metrics, VLY_M_GPU, busy);
        vly_metrics_set(r->metrics, VLY_M_GPU_MEMORY, memory);
    }
}

void vly_recorder_actors(vly_recorder *r, const vly_remote_stats *stats) {
    vly_metrics *m = r->metrics;
    vly_metrics_set(m, VLY_M_ACTORS, stats->connections);
    vly_metrics_set(m, VLY_M_ACTORS_SERVING, stats->serving);
    vly_metrics_set(m, VLY_M_ACTORS_SLOW, stats->slow);
    count_since(m, VLY_M_ACTORS_LOST, stats->lost, &r->lost);
    count_since(m, VLY_M_ACTORS_LATE, stats->late, &r->late);
    vly_metrics_set(m, VLY_M_ACTORS_P50, stats->round_trip_p50_ms);
    vly_metrics_set(m, VLY_M_ACTORS_P99, stats->round_trip_p99_ms);
}

/* Of several environments, whose returns have no common scale, the furthest phase alone. */
static void write_change(vly_recorder *r, const vly_train_report *report) {
    double phase = 0;
    if (report->change_count == 0) return;
    for (int i = 0; i < report->change_count; i++)
        phase = fmax(phase, (double)report->changes[i].phase);
    vly_metrics_set(r->metrics, VLY_M_DRIFT_PHASE, phase);
    if (report->task_count > 0) return;
    const vly_train_change *c = &report->changes[report->change_count - 1];
    if (!isnan(c->return_lowest))
        vly_metrics_set(r->metrics, VLY_M_DRIFT_FALL, c->return_before - c->return_lowest);
    if (c->recovery_steps >= 0)
        vly_metrics_set(r->metrics, VLY_M_DRIFT_RECOVERY, (double)c->recovery_steps);
}

vly_status vly_recorder_write(vly_recorder *r, const vly_train_report *report, double save_s) {
    const double elapsed = report->wall_s - r->wall_s;
    r->written = true;
    r->wall_s = report->wall_s;
    write_counters(r, report);
    if (report->window) vly_metrics_set(r->metrics, VLY_M_RETURN_MEAN_100, report->return_mean_100);
    write_change(r, report);
    write_rates(r, report);
    write_resources(r, elapsed);
    write_phases(r, report, elapsed, save_s);
    for (int i = 0; i < report->metric_count; i++)
        vly_metrics_set_by_name(r->metrics, report->metrics[i].name, report->metrics[i].value);
    return vly_metrics_record(r->metrics, report->total_steps);
}
