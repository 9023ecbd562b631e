/* `volley train --device cuda:0,1` as users start it, on the shim's devices: trains, survives
 * nothing silently, and goes on from its checkpoint with another number of devices. */
#include "tests/kit/runs.h"
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include "common/base/clock.h"

static json_t *result; /* of the last run */

static pid_t start(const char *args) {
    return runs_start("out", "%s", args);
}

static int finish(pid_t child) {
    int code;
    json_decref(result);
    result = runs_finish("out", child, &code);
    return code;
}

static void must_say(const char *words) {
    char *err = runs_read("out.err");
    if (!strstr(err, words)) fprintf(stderr, "nothing about \"%s\" in:\n%s\n", words, err);
    CHECK(strstr(err, words) != NULL);
    free(err);
}

/* The only thing on standard output is one object. */
static double number(const char *key) {
    char *out = runs_read("out.out");
    json_t *object = json_loads(out, 0, NULL);
    if (!object) fprintf(stderr, "not one object: %s\n", out);
    CHECK(object != NULL);
    free(out);
    json_decref(object);
    return runs_number(result, key);
}

static double run(const char *args, const char *key) {
    const double at = vly_now_s();
    const int code = finish(start(args));
    fprintf(stderr, "%5.1f s: %s\n", vly_now_s() - at, args);
    CHECK_EQ(code, 0);
    return number(key);
}

#define SMALL "--run.envs 8 --run.precision fp32 --ppo.rollout 16 --ppo.epochs 1"

static void several_ranks_share_the_steps(void) {
    CHECK(run("train cartpole --seed 3 --steps 600 --device cuda:0,1 --dist.compare_every 1 --out "
              "two " SMALL,
              "steps") >= 600);
    CHECK(number("updates") <= 4); /* of 2 x 8 x 16 rows; alone it would be five or more */
    CHECK(run("train minatar/breakout --algo a2c --seed 3 --steps 20 --net.hidden 16 --device "
              "cuda:1,0 --dist.reduce bf16 --run.envs 2 --out conv",
              "steps") >= 20);
}

static void wait_for_checkpoint(const char *run_name) {
    char pattern[160];
    snprintf(pattern, sizeof pattern, "%s/%s/checkpoints/step-*", runs_folder, run_name);
    for (int i = 0; i < 600; i++) {
        glob_t found = {0};
        const bool there = glob(pattern, 0, NULL, &found) == 0;
        globfree(&found);
        if (there) return;
        usleep(50000);
    }
    CHECK(!"a checkpoint came");
}

static pid_t child_of(pid_t parent) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    const int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    return (pid_t)atoi(text);
}

static void a_killed_rank_is_named_and_resume_goes_on_with_more_or_fewer(void) {
    const pid_t parent = start("train cartpole --seed 4 --steps 10M --device cuda:0,1 "
                               "--checkpoint.every_s 0.3 --out killed " SMALL);
    wait_for_checkpoint("killed");
    const double at = vly_now_s();
    CHECK_EQ(kill(child_of(parent), SIGKILL), 0);
    CHECK_EQ(finish(parent), 1);
    CHECK(vly_now_s() - at < 30);
    must_say("rank 1 is gone");
    must_say("resume");
    char args[200];
    const double before = run("resume killed --steps 1 --device cuda:0",
                              "steps"); /* nothing left to do: says where it is */
    CHECK(before > 0);
    snprintf(args, sizeof args, "resume killed --steps %.0f --device cuda:0,1,2", before + 500);
    const double three = run(args, "steps");
    CHECK(three >= before + 500 && three < before + 500 + 3 * 8 * 16);
    snprintf(args, sizeof args, "resume killed --steps %.0f --device cuda:0", three + 200);
    const double one = run(args, "steps");
    CHECK(one >= three + 200 && one < three + 200 + 8 * 16);
}

static void what_cannot_be_is_refused(void) {
    CHECK_EQ(finish(start("train cartpole --device cuda:0,x --out x")), 2);
    must_say("is not one of auto, cpu, cuda");
    CHECK_EQ(finish(start("train cartpole --device cuda:1,1 --out x")), 2);
    must_say("twice");
    CHECK(finish(start("train cartpole --device cuda:0,7 --out x")) != 0);
    must_say("before the start");
    CHECK(finish(start("train gridworld --algo qlearning --device cuda:0,1 --out x")) != 0);
    must_say("qlearning learns a table on the CPU: give one --device");
    CHECK_EQ(
        finish(start("train cartpole --algo a3c --store redis://127.0.0.1:1/0 --device cuda:0,1 "
                     "--out x")),
        2);
    must_say("works through a store");
    setenv("VLY_NCCL_LIBRARY", "/nowhere/libnccl.so.2", 1);
    CHECK(finish(start("train cartpole --device cuda:0,1 --out x")) != 0);
    must_say("several GPUs need NCCL");
}

int main(void) {
    if (access(VLY_TEST_PROGRAM, X_OK) != 0 || access(VLY_TEST_SHIM_PLUGIN, R_OK) != 0)
        SKIP("no build tree: %s is not here", VLY_TEST_SHIM_PLUGIN);
    CHECK(mkdtemp(runs_folder) != NULL);
    setenv("VLY_CUDA_PLUGIN", VLY_TEST_SHIM_PLUGIN, 1);
    setenv("VLY_NCCL_LIBRARY", VLY_TEST_FAKE_NCCL, 1);
    setenv("VLY_SHIM_DEVICES", "3", 1);
    several_ranks_share_the_steps();
    a_killed_rank_is_named_and_resume_goes_on_with_more_or_fewer();
    what_cannot_be_is_refused();
    json_decref(result);
    return runs_clean();
}
