/* What a run reports of changes of the rules: WindyGridWorld whose wind turns. */
#include <math.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

enum { EVERY = 20000, STEPS = 50000, RECENT = 20, MOST = 8192, BUFFERS = 64 };

typedef struct {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    int n;
    double score[MOST];
    int actor[MOST];
    int64_t length[MOST], end[MOST]; /* end: steps of all when it ended */
} drift_run;

static void see_episode(void *arg, const vly_episode *e, int64_t steps) {
    drift_run *r = arg;
    CHECK(r->n < MOST);
    r->score[r->n] = e->score, r->actor[r->n] = e->actor;
    r->length[r->n] = e->length, r->end[r->n++] = steps;
}

/* more: a setting of its own. max_steps 0: no limit. */
static void open_run(drift_run *r, const char *env, const char *algo, const char *const more[2],
                     const char *drift, int max_steps) {
    vly_assignments given = {0};
    const char *const settings[][2] = {{"run.env", env},  {"run.algo", algo}, {"run.steps", "50k"},
                                       {"run.seed", "3"}, {more[0], more[1]}, {"env.args", drift}};
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        CHECK_OK(vly_assignments_add(&given, settings[i][0], settings[i][1], "test"));
    CHECK_OK(vly_algo_resolve(&r->config, &given, env, "classic"));
    vly_assignments_free(&given);
    const vly_env_args args = {.extra = drift, .max_steps = max_steps};
    CHECK_OK(vly_env_open(&r->env, env, &args));
    CHECK_OK(vly_compute_create_cpu(&r->c, 1));
    const vly_train_options o = {
        .compute = r->c, .env = &r->env, .config = &r->config, .arg = r, .on_episode = see_episode};
    CHECK_OK(vly_train_create(&r->t, &o));
}

static void open_drift(drift_run *r, const char *drift) {
    static const char *const steady[2] = {"tabular.alpha_power", "0"};
    open_run(r, "windy", "qlearning", steady, drift, 0);
}

static void close_drift(drift_run *r) {
    vly_train_destroy(r->t);
    r->c->destroy(r->c);
    r->env.close(&r->env);
}

static double mean_of(const double *x) {
    double sum = 0;
    for (int i = 0; i < RECENT; i++) sum += x[i];
    return sum / RECENT;
}

/* The same from the list of episodes: one environment, whose phase is that of its moves so far. */
static void check_change(const drift_run *r, const vly_train_change *c) {
    int first = 0, last;
    int64_t moves = 0;
    while (first < r->n && moves / EVERY < c->phase) moves += r->length[first++];
    for (last = first; last < r->n && moves / EVERY == c->phase; last++) moves += r->length[last];
    CHECK_EQ(c->episodes, last - first);
    CHECK_EQ(c->steps, r->end[first] - r->length[first]);
    const double before = mean_of(r->score + first - RECENT);
    double lowest = INFINITY;
    int64_t recovery = -1;
    for (int i = first + RECENT; i <= last && recovery < 0; i++) {
        const double mean = mean_of(r->score + i - RECENT);
        lowest = fmin(lowest, mean);
        if (mean >= lowest + 0.9 * (before - lowest)) recovery = r->end[i - 1] - c->steps;
    }
    CHECK_NEAR(c->return_before, before, 1e-9);
    CHECK_NEAR(c->return_lowest, lowest, 1e-9);
    CHECK_NEAR(c->return_mean, mean_of(r->score + last - RECENT), 1e-9);
    CHECK_EQ(c->recovery_steps, recovery);
}

static void a_change_is_reported_with_its_fall_and_recovery(drift_run *r) {
    vly_train_result result;
    CHECK_OK(vly_train_run(r->t, &result));
    CHECK_EQ(result.report.change_count, STEPS / EVERY);
    for (int i = 0; i < result.report.change_count; i++) {
        const vly_train_change *c = &result.report.changes[i];
        fprintf(
            stderr, "change %lld: %.1f before, %.1f at the lowest, recovered after %lld steps\n",
            (long long)c->phase, c->return_before, c->return_lowest, (long long)c->recovery_steps);
        CHECK_EQ(c->phase, i + 1);
        check_change(r, c);
        /* the optimum is -15, on either side of the field, and the old way does not lead there */
        CHECK(c->return_before > -30 && c->return_lowest < c->return_before - 10);
        CHECK(c->recovery_steps > 0 && c->recovery_steps < EVERY);
    }
}

static void a_checkpoint_keeps_it(drift_run *from) {
    drift_run to;
    vly_train_report before, after;
    vly_buffer have[BUFFERS], want[BUFFERS];
    open_drift(&to, "drift=20000");
    const int n = vly_train_buffers(from->t, have, BUFFERS);
    CHECK(n <= BUFFERS && n == vly_train_buffers(to.t, want, BUFFERS));
    for (int i = 0; i < n; i++)
        if (!strcmp(have[i].name, "train.changes") || !strcmp(have[i].name, "train.counters")) {
            void *host = malloc(vly_buffer_bytes(&have[i]));
            CHECK_OK(vly_train_read(from->t, &have[i], host));
            if (!strcmp(have[i].name, "train.counters")) ((int64_t *)host)[1] = 0; /* not begun */
            CHECK_OK(vly_train_write(to.t, &want[i], host));
            free(host);
        }
    CHECK_OK(vly_train_restored(to.t));
    vly_train_get_report(from->t, &before);
    vly_train_get_report(to.t, &after);
    CHECK_EQ(before.change_count, after.change_count);
    CHECK(!memcmp(before.changes, after.changes,
                  (size_t)before.change_count * sizeof *before.changes));
    close_drift(&to);
}

/* Phases of 2^53 and more do not count by ones, and are no place in a ring. */
static void damaged_changes_are_refused(void) {
    static const double bad[] = {1e300, -1, NAN, INFINITY};
    drift_run r;
    vly_buffer list[BUFFERS];
    open_drift(&r, "drift=20000");
    const int n = vly_train_buffers(r.t, list, BUFFERS);
    for (int i = 0; i < n; i++) {
        double *const changes = list[i].data; /* phase, begun, episodes, ... */
        if (strcmp(list[i].name, "train.changes")) continue;
        for (int at = 0; at < 3; at++)
            for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
                const double kept = changes[at];
                changes[at] = bad[k];
                CHECK_EQ(vly_train_restored(r.t), VLY_ECORRUPT);
                changes[at] = kept;
            }
        CHECK_OK(vly_train_restored(r.t));
    }
    close_drift(&r);
}

static void without_phases_nothing_is_reported(void) {
    drift_run r;
    vly_train_report report;
    open_drift(&r, "");
    vly_train_get_report(r.t, &report);
    CHECK_EQ(report.change_count, 0);
    close_drift(&r);
}

/* Some episodes are longer than a phase, which then passes without: what counts is the newest with one. */
static void a_phase_without_episodes_is_passed_over(void) {
    enum { SHORT = 1000 };
    static drift_run r;
    vly_train_result result;
    int skipped = 0;
    open_drift(&r, "drift=1000");
    CHECK_OK(vly_train_run(r.t, &result));
    CHECK(result.report.change_count > 5);
    for (int i = 0; i < result.report.change_count; i++) {
        const vly_train_change *c = &result.report.changes[i];
        int64_t moves = 0, phase_of_last = -1;
        double last = NAN, sum = 0;
        int n = 0;
        for (int k = 0; k < r.n && moves / SHORT < c->phase; moves += r.length[k++]) {
            if (moves / SHORT != phase_of_last) sum = 0, n = 0;
            phase_of_last = moves / SHORT;
            sum += r.score[k], n++;
            last = sum / n;
        }
        skipped += phase_of_last < c->phase - 1;
        CHECK_NEAR(c->return_before, last, 1e-9);
    }
    CHECK(skipped > 0);
    close_drift(&r);
}

enum { ENVS = 4, TASKS = 2, TURN = 5000, LIMIT = 200 };

/* From the list of episodes: the mean of the task's last 20 in the phase before, when its first in
 * this one ended. An actor's phase is that of its own moves so far. */
static double task_mean_before(const drift_run *r, int task, int64_t phase) {
    int64_t moves[ENVS] = {0};
    double last[RECENT];
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        const int64_t at = moves[r->actor[i]] / TURN;
        moves[r->actor[i]] += r->length[i];
        if (r->actor[i] % TASKS != task) continue;
        if (at == phase) break;
        if (at == phase - 1) last[n++ % RECENT] = r->score[i];
    }
    CHECK(n >= RECENT);
    return mean_of(last);
}

/* Each task's returns by themselves: both turn after as many moves of their own. */
static void changes_within_several_environments_are_reported(void) {
    static const char *const envs[2] = {"run.envs", "4"};
    static drift_run r;
    vly_train_result result;
    double apart = 0;
    open_run(&r, "multi:windy,windy", "ppo", envs, "drift=5000", LIMIT);
    CHECK_OK(vly_train_run(r.t, &result));
    const int each = STEPS / ENVS / TURN;
    const vly_train_change *c = result.report.changes;
    CHECK_EQ(result.report.change_count, TASKS * each);
    for (int i = 0; i < TASKS * each; i++, c++) {
        CHECK_EQ(c->task, i / each);
        CHECK_EQ(c->phase, i % each + 1);
        CHECK(c->steps > c->phase * ENVS * TURN - ENVS * LIMIT);
        CHECK(c->steps < c->phase * ENVS * (TURN + LIMIT) && c->episodes >= ENVS);
        CHECK_NEAR(c->return_before, task_mean_before(&r, c->task, c->phase), 1e-9);
    }
    for (int i = 0; i < each; i++)
        apart += fabs(result.report.changes[i].return_before -
                      result.report.changes[each + i].return_before);
    CHECK(apart > 0);
    close_drift(&r);
}

int main(void) {
    static drift_run r;
    open_drift(&r, "drift=20000");
    a_change_is_reported_with_its_fall_and_recovery(&r);
    a_checkpoint_keeps_it(&r);
    close_drift(&r);
    damaged_changes_are_refused();
    without_phases_nothing_is_reported();
    a_phase_without_episodes_is_passed_over();
    changes_within_several_environments_are_reported();
    return TEST_PASS;
}
