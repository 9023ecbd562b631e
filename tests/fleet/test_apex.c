/* Ape-X started from the command line: real processes around a real Redis, some of which are
 * killed. */
#include "tests/kit/runs.h"
#include "tests/kit/sanitized.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include "cpu/fleet/store.h"

static void show(const char *what, const json_t *o, const char *run) {
    fprintf(stderr,
            "%-22s %s after %.0f steps, %.0f updates, %.1f s; mean return %.1f; ratio %.2f, lost "
            "%.0f transitions, %.0f blocks missed, workers started again %.0f times\n",
            what, json_string_value(json_object_get(o, "stop")), runs_number(o, "steps"),
            runs_number(o, "updates"), runs_number(o, "wall_s"), runs_number(o, "return_mean_100"),
            runs_metric(run, "charts/replay_ratio", -1), runs_metric(run, "store/lost", -1),
            runs_metric(run, "store/missed_blocks", -1), runs_metric(run, "dist/restarts", -1));
}

/* Returns the bytes that went through the store per step. */
static double reaches_475(const char *name, const char *args) {
    int code;
    json_t *o = runs_finish(
        name,
        runs_start(name, "train cartpole --algo apex %s --seed 1 --until-return 475 --out %s", args,
                   name),
        &code);
    CHECK(o != NULL);
    show(name, o, name);
    CHECK_EQ(code, 0);
    CHECK(runs_number(o, "return_mean_100") >= 475);
    const double ratio = runs_metric(name, "charts/replay_ratio", -1);
    CHECK(ratio > 7 && ratio <= 8); /* at most 8 rows learned from per transition acted */
    const double bytes = runs_metric(name, "store/taken_bytes", -1) / runs_number(o, "steps");
    json_decref(o);
    return bytes;
}

/* One of the learner's children: an actor or its Redis. */
static bool hit(pid_t learner, const char *who, int signal) {
    char command[256];
    snprintf(command, sizeof command,
             "p=$(pgrep -P %d -f '%s' | shuf -n 1); [ -n \"$p\" ] && kill -%d $p", (int)learner,
             who, signal);
    return system(command) == 0;
}

static bool ended(pid_t child) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == child;
}

/* Waits until the run has made `steps` more steps. */
static void wait_for_steps(const char *name, pid_t learner, double steps) {
    const double from = runs_metrics_bytes(name) ? runs_metric(name, "step", -1) : 0;
    for (int i = 0; !(runs_metric(name, "step", -1) >= from + steps); i++) {
        if (i == 10000)
            fprintf(stderr, "%s: step %.0f, %.0f wanted, no more for 200 s\n", name,
                    runs_metric(name, "step", -1), from + steps);
        CHECK(i < 10000 && !ended(learner));
        usleep(20000);
    }
}

/* Actors and the store are killed under a live learner; after each fault the run continues, and
 * it still reaches 475. Without an append-only file the store restarts empty. */
static void a_run_survives_killed_actors_and_stores(const char *name, const char *args) {
    const pid_t learner = runs_start(name,
                                     "train cartpole --algo apex --apex.replay store --workers 2 "
                                     "%s --seed 2 --steps 1G --metrics.every_s 0.05 --out %s",
                                     args, name);
    int code, killed = 0;
    wait_for_steps(name, learner, 2000);
    while (killed < 6) {
        killed += hit(learner, killed % 2 ? "redis-server" : "volley actor", SIGKILL);
        wait_for_steps(name, learner, 2000);
    }
    CHECK(runs_metric(name, "store/corrupt", -1) == 0);
    CHECK_EQ(kill(learner, SIGTERM), 0);
    json_decref(runs_finish(name, learner, &code));
    CHECK_EQ(code, 143);
    char then[48];
    snprintf(then, sizeof then, "%s-then", name);
    json_t *o = runs_finish(then,
                            runs_start(then, "resume %s --steps %.0f --until-return 475", name,
                                       runs_metric(name, "step", -1) + 2e6),
                            &code);
    CHECK(o != NULL);
    fprintf(stderr, "%d killed: ", killed);
    show(name, o, name);
    CHECK_EQ(code, 0);
    CHECK(runs_number(o, "return_mean_100") >= 475);
    CHECK(runs_metric(name, "store/corrupt", -1) == 0);
    json_decref(o);
}

/* A learner is killed; its actors, started separately, wait. It resumes from its checkpoint and
 * finds the replay memory in the store. */
static void a_killed_learner_resumes(void) {
    vly_store_server *server;
    char redis[96];
    int code;
    pid_t actor[2];
    snprintf(redis, sizeof redis, "%s/server", runs_folder);
    CHECK_OK(vly_store_server_start(&server, redis, false, NULL));
    const char *url = vly_store_server_url(server);
    pid_t learner = runs_start("d",
                               "train cartpole --algo apex --store %s --role learner --workers 2 "
                               "--seed 3 --checkpoint.every_s 0.5 --metrics.every_s 0.2 --out d",
                               url);
    for (int i = 0; i < 1200 && runs_metrics_bytes("d") == 0; i++) usleep(50000);
    for (int i = 0; i < 2; i++)
        actor[i] = runs_start(i ? "a1" : "a0", "actor --store %s --run d --rank %d", url, i);
    char saved[128];
    snprintf(saved, sizeof saved, "ls %s/d/checkpoints/*.safetensors >/dev/null 2>&1", runs_folder);
    for (int i = 0; i < 1200; i++) { /* until it has written a checkpoint */
        usleep(50000);
        if (runs_metric("d", "charts/replay_size", -1) >= 3000 &&
            runs_metric("d", "losses/td_loss", -1) > 0 && system(saved) == 0)
            break;
    }
    kill(learner, SIGKILL);
    json_decref(runs_finish("d", learner, &code));
    const long before = runs_metrics_bytes("d");
    const double size = runs_metric("d", "charts/replay_size", -1);
    learner = runs_start("r", "resume d --until-return 475");
    json_t *o = runs_finish("r", learner, &code);
    CHECK(o != NULL);
    show("learner killed", o, "d");
    const double found = runs_metric("d", "charts/replay_size", before);
    fprintf(stderr, "memory: %.0f transitions before, %.0f found after\n", size, found);
    CHECK_EQ(code, 0);
    CHECK(runs_number(o, "return_mean_100") >= 475);
    CHECK(found >= size * 0.9);
    json_decref(o);
    for (int i = 0; i < 2; i++) {
        json_t *did = runs_finish(i ? "a1" : "a0", actor[i], &code);
        CHECK_EQ(code, 0); /* stopped by the end of the run */
        CHECK(did && runs_number(did, "steps") > 0 && runs_number(did, "wall_s") > 0);
        CHECK_EQ(runs_number(did, "rank"), i);
        CHECK_STR(json_string_value(json_object_get(did, "run")), "d");
        CHECK_STR(json_string_value(json_object_get(did, "stop")), "done");
        json_decref(did);
    }
    vly_store_server_stop(server);
}

static void short_runs_with_either_memory_end_well(void) {
    static const char *const places[] = {
        "--apex.replay local", "--apex.replay store --workers 2 --apex.shards 2 --apex.cache 0"};
    for (int i = 0; i < 2; i++) {
        int code;
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        json_t *o = runs_finish(
            name,
            runs_start(name, "train cartpole --algo apex %s --steps 3k --out %s", places[i], name),
            &code);
        CHECK(o && code == 0);
        /* the preset's replay ratio, learning_starts and batch */
        const double steps = runs_number(o, "steps"), owed = floor(8 * (steps - 1000) / 64);
        CHECK(steps >= 3000);
        CHECK(runs_number(o, "updates") >= owed - 8 && runs_number(o, "updates") <= owed + 8);
        json_decref(o);
    }
}

int main(void) {
    CHECK(mkdtemp(runs_folder) != NULL);
    if (system("command -v redis-server >/dev/null 2>&1") != 0)
        SKIP("redis-server is not installed: apt-get install redis-server");
    short_runs_with_either_memory_end_well();
    if (SANITIZED) {
        SKIP_PART("under a sanitizer: learning results are tested in the plain build only");
        return runs_clean();
    }
    reaches_475("local", "--apex.replay local");
    const double all = reaches_475("store", "--apex.replay store --workers 2 --steps 1M");
    const double some = reaches_475("stratified",
                                    "--apex.replay store --workers 2 --steps 1M --apex.send 0.5");
    fprintf(stderr, "bytes through the store per step: %.1f, with --apex.send 0.5 %.1f\n", all,
            some);
    CHECK(all < 60 && some < 0.85 * all);
    a_run_survives_killed_actors_and_stores("forgetful", "--checkpoint.replay false");
    a_killed_learner_resumes();
    return runs_clean();
}
#endif
