/* What the program says of a plugin that crashes, exits, moves the working directory, writes outside
 * its rows or gives numbers that are none. */
#include <signal.h>
#include <sys/stat.h>
#include "tests/kit/program.h"

#define RUN \
    "--algo ppo --seed 1 --envs 4 --pool.groups 1 --ppo.rollout 16 --workers 1 --pool.chunk 4 "

static int train(const char *wish, const char *more) {
    const int code = volley("train %s " RUN "--env.args %s --steps 1e6 %s", VLY_TEST_PLUGIN_HOSTILE,
                            wish, more);
    if (code != 1) fprintf(stderr, "%s: exit %d\n%s%s\n", wish, code, out, err);
    return code;
}

static void a_crash_names_plugin_actor_action_and_checkpoint(void) {
    static const char *const kinds[][2] = {{"step-segv", "SIGSEGV"},  {"step-stack", "SIGSEGV"},
                                           {"step-abort", "SIGABRT"}, {"step-fpe", "SIGFPE"},
                                           {"step-ill", "SIGILL"},    {"step-bus", "SIGBUS"}};
    char more[96], says[160];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(more, sizeof more, "--checkpoint.every_steps 64 --out %s", kinds[i][0]);
        CHECK_EQ(train(kinds[i][0], more), 1);
        SAYS(err, VLY_TEST_PLUGIN_HOSTILE);
        snprintf(says, sizeof says, "%s in step of actor 0 with action ", kinds[i][1]);
        SAYS(err, says);
        snprintf(says, sizeof says, "the last good checkpoint is %s/checkpoints/step-",
                 kinds[i][0]);
        SAYS(err, says);
    }
    CHECK_EQ(volley("inspect step-segv"), 0);
}

static void a_crash_before_training_says_where(void) {
    CHECK_EQ(train("open-segv", "--out o"), 1);
    SAYS(err, "SIGSEGV in open; no checkpoint was saved");
    CHECK_EQ(train("reset-abort", "--out r"), 1);
    SAYS(err, "SIGABRT in reset of actor 0; no checkpoint was saved");
    CHECK_EQ(volley("trace %s --random 300 --env.args step-segv", VLY_TEST_PLUGIN_HOSTILE), 1);
    SAYS(err, "SIGSEGV in step of actor 0 with action ");
}

static void an_exit_in_a_plugin_is_no_success(void) {
    static const char *const places[] = {"open", "reset", "step"};
    char wish[32], says[64];
    for (int i = 0; i < 6; i++) {
        const char *place = places[i % 3];
        snprintf(wish, sizeof wish, "%s-%s", place, i < 3 ? "exit" : "quick");
        snprintf(says, sizeof says, "called exit in %s", place);
        CHECK_EQ(train(wish, ""), 1);
        SAYS(err, VLY_TEST_PLUGIN_HOSTILE);
        SAYS(err, says);
    }
    setenv("HOSTILE_LOAD", "exit", 1);
    CHECK_EQ(train("none", ""), 1);
    SAYS(err, "called exit in open");
    unsetenv("HOSTILE_LOAD");
}

static void numbers_that_are_none_are_the_plugins(void) {
    CHECK_EQ(train("step-nan", "--out nan"), 1);
    SAYS(err, VLY_TEST_PLUGIN_HOSTILE);
    SAYS(err, "gave an observation with number 1 = ");
    SAYS(err, "actor 3, after action ");
    CHECK_EQ(train("step-infinite", "--out infinite"), 1);
    SAYS(err, "gave a reward of inf: actor 3, after action ");
}

static void a_write_outside_the_rows_is_found(void) {
    static const char *const cases[][2] = {
        {"step-past", "past the end of its observation: actor 3, after action "},
        {"step-before", "wrote before the observations: actor 0, after action "},
        {"step-row", "past the last actor's: actor 3, after action "},
        {"step-reward", "past the last actor's: actor 3, after action "},
        {"step-score", "before the first actor's: actor 0, after action "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQ(train(cases[i][0], ""), 1);
        SAYS(err, VLY_TEST_PLUGIN_HOSTILE);
        SAYS(err, cases[i][1]);
    }
}

/* The folder stays the one that was named from the directory in which the program was started. */
static void a_run_stays_where_it_was_started(void) {
    static const char *const wishes[] = {"open-chdir", "step-chdir", "load"};
    char says[96];
    struct stat info;
    for (int i = 0; i < 3; i++) {
        if (i == 2) setenv("HOSTILE_LOAD", "chdir", 1);
        CHECK_EQ(volley("train %s " RUN "--env.args %s --steps 4000 --checkpoint.every_steps 64 "
                        "--out moved/%s",
                        VLY_TEST_PLUGIN_HOSTILE, wishes[i], wishes[i]),
                 0);
        CHECK(!strstr(out, "was moved or removed"));
        snprintf(says, sizeof says, "checkpoint: moved/%s/checkpoints/step-", wishes[i]);
        SAYS(out, says);
        CHECK_EQ(volley("resume moved/%s --steps 8000", wishes[i]), 0);
        snprintf(says, sizeof says, "%s/moved/%s/checkpoints", folder, wishes[i]);
        CHECK_EQ(stat(says, &info), 0);
    }
    unsetenv("HOSTILE_LOAD");
}

static void other_crashes_stay_as_they_are(void) {
    char command[640];
    /* The thread sanitizer's own report deadlocks when such a signal interrupts the sanitizer: none. */
    snprintf(command, sizeof command,
             "TSAN_OPTIONS=\"$TSAN_OPTIONS handle_segv=0\" "
             "%s train cartpole --algo ppo --steps 1e9 --out killed >out 2>err & p=$!; "
             "until [ -s killed/metrics.jsonl ]; do sleep 0.05; done; kill -SEGV $p; wait $p",
             VLY_TEST_PROGRAM);
    const int code = shell(command);
    CHECK(code == 128 + SIGSEGV || strstr(err, "Sanitizer")); /* whose handler was there before */
    CHECK(!strstr(err, "plugin"));
}

int main(void) {
    program_open();
    a_crash_names_plugin_actor_action_and_checkpoint();
    a_crash_before_training_says_where();
    an_exit_in_a_plugin_is_no_success();
    numbers_that_are_none_are_the_plugins();
    a_write_outside_the_rows_is_found();
    a_run_stays_where_it_was_started();
    other_crashes_stay_as_they_are();
    return program_close();
}
