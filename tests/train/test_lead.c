/* A leader through the public interface: it counts, the trainer reports, saves and decides the end. */
#include <unistd.h>
#include "common/base/clock.h"
#include "common/learn/algo.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/lead.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

typedef struct {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    int64_t stop_at; /* ticks; then the leader has no more work */
    int64_t interrupt_at;
    double score; /* of each episode */
    int64_t waited_ms;
    int ticks, updates_seen, saves, episodes;
} led;

static int saw_update(void *arg, const vly_train_report *report) {
    led *l = arg;
    l->updates_seen++;
    CHECK_EQ(report->metric_count, 1);
    CHECK_STR(report->metrics[0].name, "led/ticks");
    return report->updates % 4 == 0 ? VLY_TRAIN_SAVE : VLY_TRAIN_GO_ON;
}

static void saw_episode(void *arg, const vly_episode *episode, int64_t steps) {
    led *l = arg;
    CHECK_EQ(episode->actor, -1);
    CHECK_EQ(steps, vly_lead_get_counts(l->t).steps);
    l->episodes++;
}

static vly_status save_led(void *arg, vly_train *t) {
    led *l = arg;
    CHECK(t == l->t);
    l->saves++;
    return VLY_OK;
}

/* 10 steps and an update a tick, an episode each. */
static vly_status lead_run(void *arg, vly_train *t) {
    led *l = arg;
    const vly_lead_parts parts = vly_lead_get_parts(t);
    CHECK(parts.compute == l->c && parts.env == &l->env && parts.algo == vly_train_algo(t));
    vly_lead_counts counts = vly_lead_get_counts(t);
    while (vly_lead_stop(t) == VLY_STOP_NONE) {
        if (l->ticks == l->stop_at) {
            vly_lead_finish(t);
            break;
        }
        if (l->ticks == l->interrupt_at) {
            CHECK(!vly_lead_interrupted(t));
            vly_train_stop(t);
            CHECK(vly_lead_interrupted(t));
        }
        const vly_metric metric = {"led/ticks", ++l->ticks};
        counts.steps += 10, counts.updates++;
        vly_lead_episode(t, l->score);
        vly_lead_learned(t, 32);
        vly_lead_mark(t, VLY_PHASE_LEARN);
        VLY_TRY(vly_lead_tick(t, &counts, &metric, 1));
        CHECK_EQ(vly_lead_progress(t).steps, counts.steps);
        CHECK_EQ(vly_lead_progress(t).updates, counts.updates);
    }
    return VLY_OK;
}

static vly_status (*led_by)(void *arg, vly_train *t) = lead_run;

static void open_led(led *l, const char *more) {
    char text[128];
    memset(l, 0, sizeof *l);
    l->stop_at = l->interrupt_at = -1;
    snprintf(text, sizeof text, "run.algo=dqn run.steps=2000 %s", more);
    settings_resolve(&l->config, "cartpole", "classic", text);
    CHECK_OK(vly_env_open(&l->env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&l->c, 1));
    const vly_train_options o = {.compute = l->c,
                                 .env = &l->env,
                                 .config = &l->config,
                                 .lead = led_by,
                                 .lead_arg = l,
                                 .arg = l,
                                 .on_update = saw_update,
                                 .on_episode = saw_episode,
                                 .on_save = save_led};
    CHECK_OK(vly_train_create(&l->t, &o));
}

static void close_led(led *l) {
    vly_train_destroy(l->t);
    l->c->destroy(l->c);
    l->env.close(&l->env);
}

static vly_stop run_led(led *l) {
    vly_train_result result;
    CHECK_OK(vly_train_run(l->t, &result));
    CHECK_EQ(l->updates_seen, l->ticks);
    CHECK_EQ(l->episodes, l->ticks);
    CHECK_EQ(result.report.updates, l->ticks);
    CHECK_EQ(result.report.steps, 10 * l->ticks);
    CHECK_EQ(result.report.episodes, l->ticks);
    CHECK_NEAR(result.report.return_mean_100, l->score, 1e-12);
    return result.stop;
}

static void a_budget_of_steps_ends_a_led_run(void) {
    led l;
    open_led(&l, "");
    l.score = 7;
    CHECK_EQ(run_led(&l), VLY_STOP_BUDGET);
    CHECK_EQ(l.ticks, 200);
    CHECK_EQ(l.saves, 50); /* the one at the end had been asked for already */
    close_led(&l);
}

static void a_target_ends_a_led_run_after_100_episodes(void) {
    led l;
    open_led(&l, "run.until_return=20");
    l.score = 21;
    CHECK_EQ(run_led(&l), VLY_STOP_TARGET);
    CHECK_EQ(l.ticks, 100);
    close_led(&l);
}

static void a_leader_without_work_ends_the_run_and_it_is_saved(void) {
    led l;
    open_led(&l, "");
    l.stop_at = 6;
    CHECK_EQ(run_led(&l), VLY_STOP_BUDGET);
    CHECK_EQ(l.ticks, 6);
    CHECK_EQ(l.saves, 2); /* after 4, and at the end */
    close_led(&l);
}

static void a_stop_is_seen_at_the_next_tick(void) {
    led l;
    open_led(&l, "");
    l.interrupt_at = 10;
    CHECK_EQ(run_led(&l), VLY_STOP_INTERRUPTED);
    CHECK_EQ(l.ticks, 11);
    close_led(&l);
}

static void a_stop_before_the_run_is_not_lost(void) {
    led l;
    open_led(&l, "");
    vly_train_stop(l.t);
    CHECK_EQ(run_led(&l), VLY_STOP_INTERRUPTED);
    CHECK_EQ(l.ticks, 1);
    close_led(&l);
}

static vly_status wait_beside_a_closing_descriptor(void *arg, vly_train *t) {
    led *l = arg;
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    CHECK(!vly_lead_await(t, ends[0], false, 1));
    CHECK(vly_lead_await(t, ends[1], true, 10000));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK(vly_lead_await(t, ends[0], false, 10000));
    for (int i = 0; i < 2; i++) CHECK(vly_lead_await(t, ends[i], false, -1));
    const int64_t begun = vly_now_ms();
    CHECK(!vly_lead_await(t, -1, false, 60));
    l->waited_ms = vly_now_ms() - begun;
    close(ends[0]), close(ends[1]);
    vly_lead_finish(t);
    return VLY_OK;
}

static void a_wait_for_time_is_as_long_as_asked(void) {
    led l;
    led_by = wait_beside_a_closing_descriptor;
    open_led(&l, "");
    vly_train_result result;
    CHECK_OK(vly_train_run(l.t, &result));
    CHECK(l.waited_ms >= 59);
    close_led(&l);
    led_by = lead_run;
}

int main(void) {
    a_budget_of_steps_ends_a_led_run();
    a_target_ends_a_led_run_after_100_episodes();
    a_leader_without_work_ends_the_run_and_it_is_saved();
    a_stop_is_seen_at_the_next_tick();
    a_stop_before_the_run_is_not_lost();
    a_wait_for_time_is_as_long_as_asked();
    return TEST_PASS;
}
