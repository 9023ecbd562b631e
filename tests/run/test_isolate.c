/* --env.isolate: environments in processes of their own, as users start them. */
#include <dirent.h>
#include "tests/kit/program.h"

#define RUN "--algo ppo --seed 1 --envs 2 --pool.groups 1 --ppo.rollout 16 --remote.deadline_s 30 "

static int isolated(const char *wish, const char *more) {
    return volley("train %s " RUN "--env.args %s --env.isolate %s", VLY_TEST_PLUGIN_HOSTILE, wish,
                  more);
}

static int times(const char *text, const char *words) {
    int n = 0;
    for (; (text = strstr(text, words)); text++) n++;
    return n;
}

/* Each actor crashes after 200 steps, and begins anew. */
static void a_crash_costs_an_episode_and_not_the_run(void) {
    static const char *const wishes[] = {"step-segv", "step-exit"};
    char says[160];
    for (int i = 0; i < 2; i++) {
        snprintf(says, sizeof says, "--steps 1200 --out %s", wishes[i]);
        CHECK_EQ(isolated(wishes[i], says), 0);
        CHECK(times(out, "the process of actor 0 after action ") >= 1);
        CHECK(times(out, "the process of actor 1 after action ") >= 1);
        CHECK(times(out, "has ended (exit 1); another goes on with fresh episodes") >= 3);
        SAYS(out, VLY_TEST_PLUGIN_HOSTILE);
        CHECK(strstr(err, "no checkpoint was saved") == NULL);
    }
    SAYS(err, "called exit in step of actor ");
    CHECK_EQ(volley("inspect step-segv"), 0);
    CHECK_EQ(volley("resume step-segv --steps 1600"), 0);
}

static void what_the_plugin_did_wrong_is_said(void) {
    CHECK_EQ(isolated("step-nan", "--steps 600"), 0);
    SAYS(out, "gave an observation with number 1 = nan");
    CHECK_EQ(isolated("step-past", "--steps 600"), 0);
    SAYS(out, "wrote past the end of its observation");
}

static void one_that_never_steps_ends_the_run(void) {
    CHECK_EQ(isolated("reset-abort", "--steps 600"), 1);
    SAYS(err, "ends its process before the first step (actor ");
    CHECK_EQ(isolated("step-segv", "--steps 1e6 --pool.restarts 3"), 1);
    SAYS(err, "more than --pool.restarts 3");
}

typedef struct {
    double episodes, mean;
} outcome;

static outcome train_cartpole(const char *more) {
    CHECK_EQ(volley("train cartpole " RUN "--steps 6000 --json --out %s", more), 0);
    json_t *o = program_json();
    const outcome result = {json_number_value(json_object_get(o, "episodes")),
                            json_number_value(json_object_get(o, "return_mean_100"))};
    json_decref(o);
    return result;
}

static void the_run_is_the_same_as_without(void) {
    const outcome plain = train_cartpole("plain"), apart = train_cartpole("apart --env.isolate");
    CHECK(plain.episodes > 30);
    CHECK(plain.episodes == apart.episodes && plain.mean == apart.mean);
}

static void options_that_exclude_each_other_are_refused(void) {
    CHECK_EQ(volley("train cartpole --env.isolate --listen unix:s --token-file t"), 2);
    SAYS(err, "--listen and --env.isolate");
}

/* What stays of processes that were started in this folder. */
static int left_behind(void) {
    int n = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[300], cwd[300] = "";
        snprintf(path, sizeof path, "/proc/%.20s/cwd", e->d_name);
        if (readlink(path, cwd, sizeof cwd - 1) > 0) n += !strcmp(cwd, folder);
    }
    closedir(dir);
    return n;
}

static void no_process_outlives_its_run(void) {
    char command[512];
    snprintf(command, sizeof command,
             "%s train cartpole --env.isolate --steps 1e9 --out killed >out 2>err & p=$!; "
             "until [ -s killed/metrics.jsonl ]; do sleep 0.05; done; kill -KILL $p; wait $p",
             VLY_TEST_PROGRAM);
    shell(command);
    for (int i = 0; i < 300 && left_behind(); i++) usleep(100000);
    CHECK_EQ(left_behind(), 0);
}

int main(void) {
    program_open();
    a_crash_costs_an_episode_and_not_the_run();
    what_the_plugin_did_wrong_is_said();
    one_that_never_steps_ends_the_run();
    the_run_is_the_same_as_without();
    options_that_exclude_each_other_are_refused();
    no_process_outlives_its_run();
    return program_close();
}
