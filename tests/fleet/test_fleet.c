/* Fleets started from the command line: real processes around a real Redis, real mpirun;
 * learning results for each scheme. */
#include "tests/kit/runs.h"
#include "tests/kit/sanitized.h"
#include <time.h>
#include "common/base/clock.h"
#include "common/record/checkpoint.h"
#include "cpu/fleet/store.h"

/* One run at a time; its output is in out.out and out.err. */
static char *const folder = runs_folder;
static json_t *finish(pid_t child, int *code) {
    return runs_finish("out", child, code);
}
static double number(const json_t *object, const char *key) {
    return runs_number(object, key);
}
static double last_metric(const char *run_name, const char *metric) {
    return runs_metric(run_name, metric, -1);
}

__attribute__((format(printf, 3, 4))) static json_t *run(const char *before, int *code,
                                                         const char *format, ...) {
    va_list list;
    va_start(list, format);
    const pid_t child = runs_spawn(before, "out", format, list);
    va_end(list);
    return finish(child, code);
}

__attribute__((format(printf, 1, 2))) static pid_t start(const char *format, ...) {
    va_list list;
    va_start(list, format);
    const pid_t child = runs_spawn("", "out", format, list);
    va_end(list);
    return child;
}

/* Trains to 475 within the budget. */
__attribute__((format(printf, 3, 4))) static void reaches_475(const char *what, const char *before,
                                                              const char *format, ...) {
    char args[512];
    int code;
    va_list list;
    va_start(list, format);
    vsnprintf(args, sizeof args, format, list);
    va_end(list);
    json_t *o = run(before, &code, "%s --until-return 475", args);
    CHECK(o != NULL);
    if (o) CHECK(number(o, "updates") > 0);
    fprintf(stderr, "%-24s exit %d %s after %.0f steps, %.0f updates, %.1f s\n", what, code,
            json_string_value(json_object_get(o, "stop")), number(o, "steps"), number(o, "updates"),
            number(o, "wall_s"));
    CHECK_EQ(code, 0);
    CHECK(number(o, "return_mean_100") >= 475);
    json_decref(o);
}

static void tables_become_optimal_in_every_scheme(void) {
    static const char *const schemes[] = {"--merge mean",         "--merge max",
                                          "--merge visits",       "--sharding state",
                                          "--sharding time",      "--dist.tables share",
                                          "--dist.tables gossip", "--dist.tables allreduce"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        int code;
        json_t *o = run("", &code,
                        "train gridworld --algo qlearning --workers 3 %s --steps 300k --out t%zu",
                        schemes[i], i);
        CHECK(o && code == 0);
        /* all but those in flight at the end */
        CHECK(number(o, "updates") >= 0.5 * number(o, "steps"));
        json_decref(o);
        char name[16];
        snprintf(name, sizeof name, "t%zu", i);
        const double error = last_metric(name, "tabular/error_max"),
                     bytes = last_metric(name, "dist/bytes");
        fprintf(stderr, "%-24s largest error %.2g, %.0f bytes exchanged\n", schemes[i], error,
                bytes);
        CHECK(error < 1e-2);
        CHECK(bytes > 1000);
        o = run("", &code, "eval t%zu --episodes 5", i);
        CHECK(o && code == 0);
        CHECK_NEAR(number(o, "return_mean"), 0.89, 1e-6);
        json_decref(o);
    }
}

static void gradients_through_a_server_reach_475(void) {
    static const char *const updates[] = {"sync", "async", "coordinated", "overlapped", "fedavg"};
    reaches_475("a3c", "", "train cartpole --algo a3c --workers 3 --seed 1 --out a3c");
    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        char what[32];
        snprintf(what, sizeof what, "gorila %s", updates[i]);
        reaches_475(what, "",
                    "train cartpole --algo gorila --workers 2 --seed 1 --dist.update %s --out g%zu",
                    updates[i], i);
    }
}

/* A learner with actors that were started separately; it is killed, resumed, and a second
 * learner is refused while it runs. */
static void unrolls_of_separate_actors_reach_475(void) {
#ifdef VLY_HAVE_REDIS
    vly_store_server *redis;
    char path[128], url[96], command[512];
    int code, how;
    reaches_475("impala, processes", "",
                "train cartpole --algo impala --dist.processes true --workers 2 --seed 1 --out i0");
    snprintf(path, sizeof path, "%s/redis", folder);
    CHECK_OK(vly_store_server_start(&redis, path, true, NULL));
    snprintf(url, sizeof url, "%s", vly_store_server_url(redis));
    pid_t actors[2];
    for (int i = 0; i < 2; i++) {
        actors[i] = fork();
        CHECK(actors[i] >= 0);
        if (actors[i] == 0) {
            execl(VLY_TEST_PROGRAM, "volley", "actor", "--store", url, "--run", "far", "--quiet",
                  (char *)NULL);
            _exit(127);
        }
    }
    const pid_t learner = start("train cartpole --algo impala --role learner --store %s --seed 4 "
                                "--steps 1G --until-return 490 --impala.lr 1e-5 "
                                "--checkpoint.every_s 0.1 --dist.ttl_s 1 --out far",
                                url);
    snprintf(command, sizeof command,
             "for i in $(seq 300); do ls %s/far/checkpoints/step-* >/dev/null 2>&1 && break; sleep "
             "0.1; done",
             folder);
    CHECK_EQ(system(command), 0);
    snprintf(command, sizeof command,
             "cp -r %s/far %s/else && rm -rf %s/else/lock && mkdir %s/second && mv %s/else "
             "%s/second/far",
             folder, folder, folder, folder, folder, folder);
    CHECK_EQ(kill(learner, SIGSTOP), 0); /* it would write while the folder is copied */
    CHECK_EQ(system(command), 0);
    CHECK_EQ(kill(learner, SIGCONT), 0);
    snprintf(command, sizeof command, "cd %s && %s resume second/far >second.out 2>second.err",
             folder, VLY_TEST_PROGRAM);
    CHECK_EQ(WEXITSTATUS(system(command)), 1);
    char *words = runs_read("second.err");
    CHECK(strstr(words, "already has a learner") != NULL);
    free(words);
    CHECK_EQ(kill(learner, SIGKILL), 0);
    CHECK_EQ(waitpid(learner, &how, 0), learner);
    json_t *o = run("", &code, "resume far --impala.lr 3e-3 --steps %.0f --until-return 475",
                    last_metric("far", "step") + 5e6);
    CHECK(o != NULL);
    fprintf(stderr, "%-24s exit %d %s after %.0f steps\n", "impala, resumed", code,
            json_string_value(json_object_get(o, "stop")), number(o, "steps"));
    CHECK_EQ(code, 0);
    json_decref(o);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(waitpid(actors[i], &how, 0), actors[i]);
        CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    vly_store_server_stop(redis);
#endif
}

/* NAN if no metric is written yet. */
static double steps_of(const char *run_name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s/metrics.jsonl", folder, run_name);
    return access(path, R_OK) == 0 ? last_metric(run_name, "step") : NAN;
}

static void wait_for_steps(const char *run_name, pid_t learner, double steps) {
    const double before = steps_of(run_name), from = isnan(before) ? 0 : before;
    while (!(steps_of(run_name) >= from + steps)) {
        siginfo_t info = {0};
        CHECK(waitid(P_PID, (id_t)learner, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
              info.si_pid == 0);
        usleep(20000);
    }
}

/* Actors are killed and stopped, and the store is killed; after each fault the run continues,
 * and it still reaches 475. */
static void a_run_survives_killed_workers_and_stores(void) {
    enum { FAULTS = 9 };
    const pid_t learner = start("train cartpole --algo a3c --workers 3 --steps 1G --seed 2 "
                                "--a2c.lr 5e-4 --metrics.every_s 0.05 --out faults");
    char command[256];
    int code;
    wait_for_steps("faults", learner, 2000);
    /* its children: actors, and every third time the store */
    for (int killed = 0; killed < FAULTS;) {
        snprintf(command, sizeof command,
                 "p=$(pgrep -P %d -f '%s' | shuf -n 1); [ -n \"$p\" ] && kill -%s $p", (int)learner,
                 killed % 3 == 2 ? "redis-server" : "volley actor",
                 killed % 4 == 3 ? "STOP" : "KILL");
        killed += system(command) == 0;
        wait_for_steps("faults", learner, 2000);
        if (killed % 4 == 0) {
            snprintf(command, sizeof command, "pkill -CONT -P %d; true", (int)learner);
            CHECK_EQ(system(command), 0);
        }
    }
    CHECK_EQ(kill(learner, SIGTERM), 0);
    json_decref(finish(learner, &code));
    CHECK_EQ(code, 143);
    fprintf(stderr, "%d faults: workers started again %.0f times, gradients lost %.0f; ", FAULTS,
            last_metric("faults", "dist/restarts"), last_metric("faults", "dist/lost"));
    json_t *o = run("", &code, "resume faults --steps %.0f --until-return 475",
                    steps_of("faults") + 5e6);
    CHECK(o != NULL);
    fprintf(stderr, "exit %d %s after %.0f steps\n", code,
            json_string_value(json_object_get(o, "stop")), number(o, "steps"));
    CHECK_EQ(code, 0);
    CHECK(number(o, "return_mean_100") >= 475);
    json_decref(o);
}

/* What was asked for could be done: that a worker died is a failure (1), not a wrong command (2). */
static void a_run_that_lost_its_worker_fails(void) {
    const pid_t learner = start(
        "train cartpole --algo a3c --workers 2 --dist.restarts 0 --steps 1G "
        "--metrics.every_s 0.05 --out unlucky");
    char command[256];
    int code;
    wait_for_steps("unlucky", learner, 1000);
    snprintf(command, sizeof command, "pkill -KILL -P %d -f 'volley actor'", (int)learner);
    CHECK_EQ(system(command), 0);
    json_decref(finish(learner, &code));
    CHECK_EQ(code, 1);
}

static void a_run_with_workers_resumes(void) {
    int code;
    json_t *o = run("", &code, "train cartpole --algo a3c --workers 2 --steps 20k --out led");
    CHECK(o && code == 0);
    json_decref(o);
    o = run("", &code, "resume led --steps 40k");
    CHECK(o && code == 0);
    CHECK(number(o, "steps") >= 40000);
    json_decref(o);
    /* it once ended at 4,000, or began again from an empty table */
    static const char *const schemes[] = {"--dist.tables gossip", "--sharding time"};
    for (int i = 0; i < 2; i++) {
        o = run("", &code, "train gridworld --algo qlearning --workers 2 %s --steps 4k --out tab%d",
                schemes[i], i);
        CHECK(o && code == 0);
        const double updates = number(o, "updates");
        json_decref(o);
        o = run("", &code, "resume tab%d --steps 12k", i);
        CHECK(o && code == 0);
        CHECK_EQ(number(o, "steps"), 12000);
        CHECK(number(o, "updates") > updates);
        json_decref(o);
        char falls[256];
        snprintf(
            falls, sizeof falls,
            "sed '1,/\"step\":4000,/d' %s/tab%d/metrics.jsonl | grep -q '\"step\":[1-3]\\?[0-9]"
            "\\{1,3\\},'",
            folder, i);
        CHECK(system(falls) != 0);
    }
}

static bool said(const char *words) {
    char *text = runs_read("out.err");
    const bool found = strstr(text, words) != NULL;
    free(text);
    return found;
}

static void ranks_average_their_gradients(void) {
    if (system("command -v mpirun >/dev/null 2>&1") != 0) {
        SKIP_PART("no mpirun: apt-get install openmpi-bin libopenmpi-dev");
        return;
    }
    static const char mpirun[] =
        "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2";
    reaches_475("ppo allreduce", mpirun,
                "train cartpole --algo ppo --sync allreduce --steps 500k --seed 1 --out m0");
    reaches_475("ppo gossip", mpirun,
                "train cartpole --algo ppo --sync gossip --steps 500k --seed 1 --out m1");
    int code;
    json_t *o = run(
        "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 3",
        &code, "train cartpole --algo ppo --sync allreduce --steps 50k --seed 3 --out m3");
    CHECK(o && code == 0);
    const double episodes = number(o, "episodes");
    /* summed over all ranks: an untrained policy has episodes of about 20 steps, and is not good
     * after so few */
    CHECK(number(o, "steps") / episodes < 120);
    json_decref(o);
    o = run("", &code, "resume m3 --steps 51k"); /* one process */
    CHECK(o && code == 0);
    CHECK(number(o, "episodes") >= episodes);
    json_decref(o);
    /* each rank's replay memory is its own, and the first's alone is saved */
    json_decref(run(mpirun, &code,
                    "train cartpole --algo dqn --sync allreduce --steps 4k --envs 4 --out m4"));
    CHECK_EQ(code, 0);
    json_decref(run(mpirun, &code, "resume m4 --steps 8k"));
    CHECK_EQ(code, 2);
    o = run("", &code, "resume m4 --steps 8k");
    CHECK(o && code == 0);
    json_decref(o);
    /* the environment of one rank fails too often: the other does not wait for it in an update */
    json_decref(run(mpirun, &code,
                    "train %s --env.args 'fails in one rank' --algo ppo --sync allreduce "
                    "--pool.restarts 5 --steps 1G --out m5",
                    VLY_TEST_PLUGIN_BAD));
    CHECK_EQ(code, 1);
    CHECK(said("--pool.restarts 5: it is broken"));
    /* without --sync */
    o = run(mpirun, &code, "train cartpole --algo ppo --steps 1k --out m2");
    CHECK_EQ(code, 2);
    json_decref(o);
}

/* Once an actor was silent for 30 s, whatever --wait said. */
static void a_store_that_is_not_there_is_waited_for_aloud(void) {
    int code;
    const double began = vly_now_s();
    json_decref(run("", &code, "actor --store redis://127.0.0.1:1 --wait 2"));
    CHECK_EQ(code, 1);
    CHECK(vly_now_s() - began > 1.9 && vly_now_s() - began < 15);
    CHECK(said("store 127.0.0.1:1: ") && said("; waiting for it, up to 2 s\n"));
    json_decref(run("", &code, "actor --store redis://127.0.0.1:1 --run any --wait 0"));
    CHECK_EQ(code, 1);
    CHECK(!said("waiting"));
    const pid_t learner = start("train cartpole --algo a3c --store redis://127.0.0.1:1 --out mute");
    for (int i = 0; i < 100 && !said("waiting for it"); i++) usleep(100000);
    CHECK(said("; waiting for it, up to 30 s\n"));
    /* and a stop is one; it came after those 30 s */
    const double asked = vly_now_s();
    kill(learner, SIGINT);
    json_decref(finish(learner, &code));
    CHECK_EQ(code, 130);
    CHECK(vly_now_s() - asked < 15);
}

#ifdef VLY_HAVE_REDIS
/* A run that is known to the store, and has not published its settings. */
static void an_actor_waits_for_the_settings_of_the_only_run(void) {
    vly_store_server *redis;
    vly_store *store;
    char path[128];
    int code;
    snprintf(path, sizeof path, "%s/redis-only", folder);
    CHECK_OK(vly_store_server_start(&redis, path, false, NULL));
    CHECK_OK(vly_store_open(&store, vly_store_server_url(redis), "only", NULL));
    CHECK_OK(vly_store_beat(store, "learner", "{}", 60000));
    json_decref(run("", &code, "actor --store %s --wait 1", vly_store_server_url(redis)));
    CHECK_EQ(code, 2);
    CHECK(said("waiting for its learner") && said("run only is not in the store"));
    vly_store_close(store);
    vly_store_server_stop(redis);
}

static bool has_settings(const char *url, const char *run_name) {
    vly_store *store;
    char text[1];
    size_t got;
    CHECK_OK(vly_store_open(&store, url, run_name, NULL));
    const vly_status status = vly_store_get(store, "config", text, sizeof text, &got);
    CHECK(status == VLY_OK || status == VLY_ENOTFOUND);
    vly_store_close(store);
    return status == VLY_OK;
}

static void await_settings(const char *url, const char *run_name) {
    for (int i = 0; i < 200 && !has_settings(url, run_name); i++) usleep(50000);
    CHECK(has_settings(url, run_name));
}

/* A Redis of somebody else, without files: actors that come later find the run all the same. */
static void a_store_that_comes_back_empty_has_the_settings_again(void) {
    vly_store_server *redis;
    char path[128], url[128], password[64];
    bool restarted = false;
    int code;
    snprintf(path, sizeof path, "%s/redis-empty", folder);
    CHECK_OK(vly_store_server_start(&redis, path, false, NULL));
    snprintf(url, sizeof url, "%s", vly_store_server_url(redis));
    CHECK_EQ(sscanf(url, "redis://:%63[0-9a-f]@", password), 1);
    const pid_t learner = start("train cartpole --algo a3c --role learner --store %s --out bare",
                                url);
    await_settings(url, "bare");
    CHECK_EQ(kill(vly_store_server_pid(redis), SIGKILL), 0);
    while (!restarted) {
        usleep(20000);
        CHECK_OK(vly_store_server_mend(redis, &restarted));
    }
    await_settings(url, "bare");
    CHECK_EQ(kill(learner, SIGTERM), 0);
    json_decref(finish(learner, &code));
    CHECK_EQ(code, 143);
    char *words = runs_read("out.err");
    CHECK(strstr(words, "run.store: redis://127.0.0.1:") && !strstr(words, password));
    free(words);
    vly_store_server_stop(redis);
}

/* With a learner that starts none itself; one more than the table is divided among is refused. */
static void actors_take_the_shards_of_a_table(void) {
    vly_store_server *redis;
    char path[128], url[128];
    pid_t actors[2];
    int code, how;
    snprintf(path, sizeof path, "%s/redis-shards", folder);
    CHECK_OK(vly_store_server_start(&redis, path, false, NULL));
    snprintf(url, sizeof url, "%s", vly_store_server_url(redis));
    const pid_t learner = start("train gridworld --algo qlearning --sharding state --role learner "
                                "--workers 2 --store %s --steps 20k --out shards",
                                url);
    await_settings(url, "shards");
    for (int i = 0; i < 2; i++) {
        actors[i] = fork();
        CHECK(actors[i] >= 0);
        if (actors[i] == 0) {
            execl(VLY_TEST_PROGRAM, "volley", "actor", "--store", url, "--run", "shards", "--quiet",
                  (char *)NULL);
            _exit(127);
        }
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(waitpid(actors[i], &how, 0), actors[i]);
        CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    json_t *o = finish(learner, &code);
    CHECK(o && code == 0);
    CHECK(number(o, "steps") >= 20000);
    json_decref(o);
    json_decref(run("", &code, "actor --store %s --run shards", url));
    CHECK_EQ(code, 2);
    CHECK(said("give --rank, 0 to 1"));
    vly_store_server_stop(redis);
}
#endif

static void bad_use_is_reported(void) {
    int code;
    json_decref(run("", &code, "actor"));
    CHECK_EQ(code, 2);
    static const char *const unused[] = {"--algo ppo --store redis://127.0.0.1:1",
                                         "--algo dqn --role learner",
                                         "--algo ppo --merge mean",
                                         "--algo a2c --sharding state",
                                         "--algo ppo --dist.processes true",
                                         "--algo qlearning --dist.update sync",
                                         "--algo ppo --dist.tables share",
                                         "--algo apex --apex.replay local --store redis://h"};
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        json_decref(run("", &code, "train cartpole --steps 100 --out unused %s", unused[i]));
        CHECK_EQ(code, 2);
    }
    json_decref(run("", &code, "actor --store nonsense"));
    CHECK_EQ(code, 2);
    json_decref(run("", &code, "train cartpole --algo a3c --store redis:/h --out unused"));
    CHECK_EQ(code, 2); /* before anything starts; once it was a run that failed */
    json_decref(run("", &code, "cluster what --store redis://127.0.0.1:1"));
    CHECK_EQ(code, 2);
    json_decref(run("", &code, "cluster status --store redis://127.0.0.1:1"));
    CHECK_EQ(code, 1);
}

/* Under a sanitizer, which is ten times slower, short runs test memory and races, not learning. */

static void a_short_run_of_each_kind_ends_well(void) {
    static const char *const runs[] = {
        "gridworld --algo qlearning --workers 2 --merge visits --steps 20k",
        "gridworld --algo sarsa --workers 2 --sharding time --steps 20k",
        "gridworld --algo qlearning --workers 2 --dist.tables share --steps 20k",
        "cartpole --algo a3c --workers 2 --steps 10k",
        "cartpole --algo gorila --workers 2 --steps 3k --dist.update overlapped",
        "cartpole --algo ppo --workers 2 --steps 6k --dist.update fedavg",
        "cartpole --algo impala --dist.processes true --workers 2 --steps 20k",
        "minatar/breakout --algo impala --dist.processes true --workers 2 --steps 10k --net.lstm "
        "16"};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        int code;
        json_t *o = run("", &code, "train %s --out s%zu", runs[i], i);
        CHECK(o && code == 0);
        CHECK(number(o, "steps") >= 3000);
        json_decref(o);
    }
}

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    if (system("command -v redis-server >/dev/null 2>&1") != 0)
        SKIP("redis-server is not installed: apt-get install redis-server");
#ifndef VLY_HAVE_REDIS
    SKIP("built without hiredis: apt-get install libhiredis-dev");
#endif
    bad_use_is_reported();
    a_store_that_is_not_there_is_waited_for_aloud();
#ifdef VLY_HAVE_REDIS
    an_actor_waits_for_the_settings_of_the_only_run();
    a_store_that_comes_back_empty_has_the_settings_again();
    actors_take_the_shards_of_a_table();
#endif
    a_short_run_of_each_kind_ends_well();
    if (SANITIZED) {
        SKIP_PART("under a sanitizer: learning results are tested in the plain build only");
        return TEST_PASS;
    }
    tables_become_optimal_in_every_scheme();
    gradients_through_a_server_reach_475();
    unrolls_of_separate_actors_reach_475();
    a_run_survives_killed_workers_and_stores();
    a_run_that_lost_its_worker_fails();
    a_run_with_workers_resumes();
    ranks_average_their_gradients();
    return runs_clean();
}
