#include "cpu/train/lead.h"
#include <string.h>
#include "cpu/train/train_impl.h"

vly_lead_parts vly_lead_get_parts(vly_train *t) {
    return (vly_lead_parts){t->c, t->learn, t->algo, t->o.env};
}

vly_lead_counts vly_lead_get_counts(const vly_train *t) {
    return (vly_lead_counts){t->counters.steps, t->counters.updates};
}

void vly_lead_set_counts(vly_train *t, const vly_lead_counts *counts) {
    t->counters.steps = counts->steps;
    t->counters.updates = counts->updates;
}

void vly_lead_learned(vly_train *t, int64_t rows) {
    t->rows_learned += (double)rows;
}

vly_progress vly_lead_progress(const vly_train *t) {
    return vly_train_progress(t);
}

void vly_lead_episode(vly_train *t, double score) {
    vly_train_count_episode(t, &(vly_episode){.actor = -1, .score = score});
}

void vly_lead_count_episodes(vly_train *t, int64_t n) {
    t->counters.episodes_shift += n;
}

void vly_lead_mark(vly_train *t, vly_phase phase) {
    vly_train_mark(t, phase);
}

vly_status vly_lead_tick(vly_train *t, const vly_lead_counts *counts, const vly_metric *metrics,
                         int metric_count) {
    bool save = false;
    vly_train_poll(t);
    vly_lead_set_counts(t, counts);
    t->metric_count = metric_count < VLY_METRICS_MAX ? metric_count : VLY_METRICS_MAX;
    if (t->metric_count > 0) memcpy(t->metrics, metrics, (size_t)t->metric_count * sizeof *metrics);
    VLY_TRY(vly_train_changed(t, &save));
    return save ? vly_train_save(t) : VLY_OK;
}

vly_stop vly_lead_stop(const vly_train *t) {
    return t->stop;
}

void vly_lead_finish(vly_train *t) {
    if (t->stop == VLY_STOP_NONE) t->stop = VLY_STOP_BUDGET;
}

bool vly_lead_interrupted(const vly_train *t) {
    return atomic_load(&t->stop_asked) != 0;
}
