/* Rules that change while they are learned (an environment with the number "phase" among its info):
 * how far returns fall with each change, and after how many steps they are back. Of several
 * environments each has phases and returns of its own. */
#include <math.h>
#include <stdlib.h>
#include "cpu/train/train_impl.h"

static const double REGAINED = 0.9; /* share of the fall */

vly_status vly_train_create_changes(vly_train *t) {
    const vly_env *env = t->o.env;
    const int at = vly_source_phase_at(env);
    if (at < 0 || t->o.eval) return VLY_OK;
    const size_t n = (size_t)env->tasks * CHANGES;
    t->changes = calloc(n, sizeof *t->changes);
    t->change_reports = calloc(n, sizeof *t->change_reports);
    t->info = calloc((size_t)env->info_count, sizeof *t->info);
    t->phase_at = at;
    return t->changes && t->change_reports && t->info
               ? VLY_OK
               : vly_fail(VLY_ENOMEM, "no memory for the phases of %s", env->name);
}

void vly_train_free_changes(vly_train *t) {
    free(t->changes);
    free(t->change_reports);
    free(t->info);
}

static train_change *change_of(const vly_train *t, int task, double phase) {
    return &t->changes[task * CHANGES + (int64_t)phase % CHANGES];
}

/* Of the last episodes of a phase, RECENT at most; NAN: there was none. */
static double recent_mean(const train_change *c) {
    const int n = c->episodes < RECENT ? (int)c->episodes : RECENT;
    double sum = 0;
    for (int i = 0; i < n; i++) sum += c->recent[i];
    return n ? sum / n : NAN;
}

/* The newest phase before one in which an episode has ended: some pass without. NULL: none that is
 * still known. */
static const train_change *change_before(const vly_train *t, int task, double phase) {
    for (double p = phase - 1; p >= 0 && p > phase - CHANGES; p--) {
        const train_change *c = change_of(t, task, p);
        if (c->episodes > 0 && c->phase == p) return c;
    }
    return NULL;
}

/* The first episode of a phase has ended. */
static void begin_change(const vly_train *t, int task, train_change *c, double phase,
                         double begun) {
    const train_change *last = change_before(t, task, phase);
    *c = (train_change){.phase = phase,
                        .begun = begun > 0 ? begun : 0,
                        .before = last ? recent_mean(last) : NAN,
                        .lowest = NAN,
                        .recovered = -1};
}

static void follow_change(train_change *c, double steps) {
    const double mean = recent_mean(c);
    if (c->episodes < RECENT || c->recovered >= 0 || isnan(c->before)) return;
    if (!(mean >= c->lowest)) c->lowest = mean;
    if (mean >= c->lowest + REGAINED * (c->before - c->lowest)) c->recovered = steps;
}

/* NAN: its environment is being stepped. */
static double phase_of(const vly_train *t, int actor) {
    const vly_env *env = t->o.env;
    if (t->source->phase) return t->source->phase(t->source, actor);
    const void *state = t->source->state(t->source, actor);
    if (!state) return NAN;
    env->info(env, state, t->info);
    return t->info[t->phase_at];
}

void vly_train_count_change(vly_train *t, const vly_episode *episode) {
    if (!t->changes || episode->actor < 0) return;
    const double phase = phase_of(t, episode->actor / t->o.env->players),
                 steps = (double)vly_train_total_steps(t);
    if (!vly_is_count_of_ones(phase)) return;
    const int task = vly_train_task_of(t, episode->actor);
    train_change *c = change_of(t, task, phase);
    if (c->episodes > 0 && c->phase > phase) return; /* of an actor that is far behind */
    if (c->episodes == 0 || c->phase < phase)
        begin_change(t, task, c, phase, steps - (double)episode->length * t->N);
    c->recent[(int64_t)c->episodes % RECENT] = episode->score;
    c->episodes++;
    follow_change(c, steps);
}

static bool change_is_sane(const train_change *c) {
    return vly_is_count_of_ones(c->episodes) && vly_is_count_of_ones(c->phase) &&
           vly_is_count_of_ones(c->begun) &&
           (c->recovered == -1 || vly_is_count_of_ones(c->recovered));
}

vly_status vly_train_check_changes(const vly_train *t) {
    for (int i = 0; t->changes && i < t->o.env->tasks * CHANGES; i++)
        if (!change_is_sane(&t->changes[i]))
            return vly_fail(VLY_ECORRUPT, "the saved change %d of the environment is damaged", i);
    return VLY_OK;
}

static void report_change(const train_change *c, int task, vly_train_change *out) {
    *out = (vly_train_change){
        .task = task,
        .phase = (int64_t)c->phase,
        .steps = (int64_t)c->begun,
        .episodes = (int64_t)c->episodes,
        .return_before = c->before,
        .return_lowest = c->lowest,
        .return_mean = recent_mean(c),
        .recovery_steps = c->recovered < 0 ? -1 : (int64_t)(c->recovered - c->begun)};
}

static void report_task_changes(vly_train *t, int task, vly_train_report *out) {
    double newest = 0;
    for (int i = 0; i < CHANGES; i++) {
        const train_change *c = change_of(t, task, i);
        if (c->episodes > 0) newest = fmax(newest, c->phase);
    }
    for (double phase = fmax(1, newest - CHANGES + 1); phase <= newest; phase++) {
        const train_change *c = change_of(t, task, phase);
        if (c->episodes > 0 && c->phase == phase)
            report_change(c, task, &t->change_reports[out->change_count++]);
    }
}

void vly_train_report_changes(vly_train *t, vly_train_report *out) {
    if (!t->changes) return;
    for (int i = 0; i < t->o.env->tasks; i++) report_task_changes(t, i, out);
    out->changes = t->change_reports;
}
