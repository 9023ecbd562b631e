/* How long a run takes: the rule with rates that are made up, and the verb as scripts use it. */
#include <math.h>
#include "cpu/program/estimate.h"
#include "tests/kit/program.h"

static vly_config config;

static void settle(const char *env, const char *algo, const char *preset) {
    CHECK_OK(vly_config_defaults(&config));
    CHECK_OK(vly_config_set(&config, "env", env));
    CHECK_OK(vly_config_set(&config, "algo", algo));
    CHECK_OK(vly_config_set(&config, "preset", preset));
    CHECK_OK(vly_config_set(&config, "steps", "3M"));
}

/* 1,450 steps/s after a first update that took three seconds. */
static void the_rate_is_that_of_the_updates_after_the_first(void) {
    vly_estimate e;
    settle("pong", "ppo", "pong-ppo");
    vly_estimate_begin(&e, "pong", &config, 0);
    CHECK(!vly_estimate_measured(&e, 0, 0, 2));
    CHECK(!vly_estimate_measured(&e, 2048, 1, 3));
    CHECK(!vly_estimate_measured(&e, 2048, 1, 4.5)); /* no update since */
    CHECK(!vly_estimate_measured(&e, 2048 + 1160, 2, 3.8));
    CHECK(vly_estimate_measured(&e, 2048 + 2900, 3, 5));
    CHECK_NEAR(e.steps_per_s, 1450, 1e-9);
}

static void a_rate_that_changes_is_said_again(void) {
    vly_estimate e;
    settle("pong", "ppo", "pong-ppo");
    vly_estimate_begin(&e, "pong", &config, 0);
    CHECK(!vly_estimate_measured(&e, 0, 1, 0));
    CHECK(vly_estimate_measured(&e, 2000, 2, 1));
    CHECK(!vly_estimate_measured(&e, 20000, 20, 29)); /* too early */
    CHECK(!vly_estimate_measured(&e, 54000, 30, 30)); /* a tenth slower */
    CHECK(!vly_estimate_measured(&e, 60000, 40, 60)); /* not yet again */
    CHECK(vly_estimate_measured(&e, 120000, 80, 120));
    CHECK_NEAR(e.steps_per_s, 1000, 1e-9);
    CHECK_NEAR(vly_estimate_budget_s(&e), 2880, 1e-9); /* of what is left */
}

static vly_estimate at_rate(const char *env, double rate, int64_t start) {
    vly_estimate e;
    vly_estimate_begin(&e, env, &config, start);
    e.steps_per_s = rate;
    return e;
}

static void says_of_pong(double rate, const char *words) {
    const vly_estimate e = at_rate("pong", rate, 0);
    char text[512];
    vly_estimate_words(&e, text, sizeof text);
    SAYS(text, words);
}

static void the_target_of_the_table_is_divided_by_the_rate(void) {
    settle("pong", "ppo", "pong-ppo");
    const vly_learned *l = vly_learned_find("pong", "ppo", "pong-ppo");
    CHECK(l != NULL && l->seeds > 0);
    vly_estimate e = at_rate("pong", (double)l->steps / 240, 0);
    CHECK_NEAR(vly_estimate_target_s(&e), 240, 1e-6);
    CHECK_NEAR(vly_estimate_budget_s(&e), 3e6 / ((double)l->steps / 240), 1e-6);
    char text[512];
    vly_estimate_words(&e, text, sizeof text);
    SAYS(text, "about 4 minutes to a mean return of 18 on this machine (");
    SAYS(text, "in the median of ");
    CHECK_NEAR(vly_estimate_least_s(&e), 240 * (double)l->least / (double)l->steps, 1e-6);
    CHECK_NEAR(vly_estimate_most_s(&e), 240 * (double)l->most / (double)l->steps, 1e-6);
    says_of_pong((double)l->most / 600, ", the slowest 10 minutes)");
    says_of_pong((double)l->steps / 40, "about 40 seconds to");
    says_of_pong((double)l->steps / 118, "about 120 seconds to");
    says_of_pong((double)l->steps / 155, "about 2.5 minutes to");
    says_of_pong((double)l->steps / 7200, "about 2.0 hours to");
    e = at_rate("pong", 100, l->steps - 6000); /* a resumed run has most of its steps */
    CHECK_NEAR(vly_estimate_target_s(&e), 60, 1e-6);
}

static void without_a_measurement_there_is_only_the_budget(void) {
    char text[512];
    settle("pong", "ppo", "none");
    vly_estimate e = at_rate("pong", 1000, 0);
    CHECK(isnan(vly_estimate_target_s(&e)));
    vly_estimate_words(&e, text, sizeof text);
    SAYS(text, "about 50 minutes for all 3 M steps on this machine (1,000 steps/s)");
}

static void a_pair_that_was_not_measured_is_said(void) {
    char text[512];
    settle("acrobot", "gorila", "none");
    vly_estimate_warning("my_env", &config, text, sizeof text);
    SAYS(text, "no preset for my_env with gorila");
    settle("my_env", "ppo", "classic-ppo");
    vly_estimate_warning("my_env", &config, text, sizeof text);
    SAYS(text, "what ppo reaches in my_env with preset classic-ppo has not been measured");
    settle("pong", "ppo", "pong-ppo");
    vly_estimate_warning("pong", &config, text, sizeof text);
    CHECK_STR(text, "");
}

static void every_row_of_the_table_is_whole(void) {
    for (int i = 0; vly_learned_list(i); i++) {
        const vly_learned *l = vly_learned_list(i);
        CHECK(vly_learned_find(l->env, l->algo, l->preset) == l); /* none stands twice */
        CHECK(l->steps > 0 && isfinite(l->target) && isfinite(l->reached));
        CHECK(l->seeds > 0 ? l->reached == l->target : l->reached < l->target);
        CHECK(0 < l->least && l->least <= l->steps && l->steps <= l->most);
    }
}

static void the_verb_says_it_and_keeps_nothing(void) {
    CHECK_EQ(volley("estimate cartpole --algo a2c --steps 1e9 --json"), 0);
    json_t *o = program_json();
    CHECK_STR(json_string_value(json_object_get(o, "env")), "cartpole");
    CHECK_STR(json_string_value(json_object_get(o, "preset")), "cartpole-a2c");
    const double rate = json_number_value(json_object_get(o, "steps_per_s"));
    CHECK(rate > 0);
    CHECK_NEAR(json_number_value(json_object_get(o, "steps_s")), 1e9 / rate, 1e-3 * 1e9 / rate);
    const double target = json_number_value(json_object_get(o, "target_s"));
    CHECK(json_number_value(json_object_get(o, "target_least_s")) <= target);
    CHECK(json_number_value(json_object_get(o, "target_most_s")) >= target);
    json_decref(o);
    CHECK_EQ(volley("estimate mountaincar --preset none --steps 1e12 --within 1"), 3);
    CHECK_EQ(volley("estimate nowhere"), 2);
    CHECK_EQ(volley("estimate cartpole --algo a3c"), 2);
    CHECK_EQ(shell("echo 0123456789abcdef >token; timeout 60 " VLY_TEST_PROGRAM
                   " estimate cartpole --listen unix:here --token-file token >out 2>err"),
             2); /* it would wait for actors */
    CHECK_EQ(shell("test ! -e runs >out 2>err"), 0);
}

static void training_says_it_after_its_first_updates(void) {
    CHECK_EQ(shell(VLY_TEST_PROGRAM
                   " train cartpole --algo a2c --steps 1e9 --until-return 1e6 --out r "
                   "--metrics.plain_s 0.1 >out 2>err & p=$!; "
                   "until grep -q 'at most' out && grep -q 'on this machine' out; do "
                   "kill -0 $p || break; sleep 0.1; done; kill -INT $p; wait $p"),
             130);
    SAYS(out, " on this machine (");
    SAYS(out, " at most");
}

int main(void) {
    the_rate_is_that_of_the_updates_after_the_first();
    a_rate_that_changes_is_said_again();
    the_target_of_the_table_is_divided_by_the_rate();
    without_a_measurement_there_is_only_the_budget();
    a_pair_that_was_not_measured_is_said();
    every_row_of_the_table_is_whole();
    program_open();
    the_verb_says_it_and_keeps_nothing();
    training_says_it_after_its_first_updates();
    return program_close();
}
