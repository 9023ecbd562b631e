/* One seed is one run: the digest of the last checkpoint is the same for 1, 2 and 8 workers, and
 * after a run was stopped and resumed. tests/run/kill9.py makes the same claim of runs that were
 * killed. Asynchronous schedules are not claimed to repeat. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "tests/kit/built.h"
#include "tests/kit/program.h"
#include "tests/kit/sanitized.h"

typedef struct {
    const char *name, *env, *algo, *steps, *more;
} repeated;

static void train(const repeated *r, const char *folder_prefix, const char *more) {
    CHECK_EQ(volley("train %s --algo %s --steps %s %s --out %s-%s %s", r->env, r->algo, r->steps,
                    r->more, folder_prefix, r->name, more),
             0);
}

static void check_digest(const repeated *r, const char *folder_prefix, const char *expected) {
    char run[64], digest[40];
    snprintf(run, sizeof run, "%s-%s", folder_prefix, r->name);
    digest_of(run, digest);
    if (strcmp(digest, expected)) fprintf(stderr, "%s: %s, not %s\n", run, digest, expected);
    CHECK_STR(digest, expected);
}

/* Stops after a hundred episodes. Where they take too long a smaller budget stops it, which is the
 * same run as long as nothing is annealed over the budget. */
static bool has_short_episodes(const char *env) {
    static const char *const brief[] = {"cartpole", "gridworld", "cliffwalking", "windy"};
    for (size_t i = 0; i < sizeof brief / sizeof *brief; i++)
        if (!strcmp(env, brief[i])) return true;
    return false;
}

static void workers_and_stops_do_not_change_a_run(const repeated *r) {
    char name[64], expected[40], other[40];
    train(r, "one", "--seed 4 --workers 1");
    snprintf(name, sizeof name, "one-%s", r->name);
    digest_of(name, expected);
    if (!SANITIZED) { /* one worker beside eight says as much there, in less time */
        train(r, "two", "--seed 4 --workers 2");
        check_digest(r, "two", expected);
    }
    const bool quick = has_short_episodes(r->env);
    train(r, "parts",
          quick ? "--seed 4 --workers 8 --until-return -1000"
                : "--seed 4 --workers 8 --steps 5000");
    CHECK_EQ(volley("inspect parts-%s --json", r->name), 0);
    json_t *o = program_json();
    const double at = json_number_value(json_object_get(json_object_get(o, "counters"), "steps"));
    CHECK(at > 0 && at < atof(r->steps));
    json_decref(o);
    CHECK_EQ(volley("resume parts-%s --until-return none --steps %s", r->name, r->steps), 0);
    check_digest(r, "parts", expected);
    train(r, "other", "--seed 5 --workers 2");
    snprintf(name, sizeof name, "other-%s", r->name);
    digest_of(name, other);
    CHECK(strcmp(expected, other) != 0);
}

/* Masks, several choices, players, streams and several environments of one run. */
static void spaces_and_streams_repeat(void) {
    char *masked = strdup(built_file(VLY_TEST_PLUGIN_MASKED)),
         *factors = strdup(built_file(VLY_TEST_PLUGIN_FACTORS)),
         *players = strdup(built_file(VLY_TEST_PLUGIN_PLAYERS));
    const repeated runs[] = {
        {"masked-ppo", masked, "ppo", "7000", "--ppo.anneal false"},
        {"masked-dqn", masked, "dqn", "7000", "--dqn.learning_starts 500 --replay.capacity 2000"},
        {"masked-sac", masked, "sac", "7000",
         "--net.hidden 16 --sac.batch 16 --sac.learning_starts 500 --replay.ratio 2 "
         "--replay.capacity 2000"},
        {"factors", factors, "ppo", "7000", "--ppo.anneal false"},
        {"players", players, "ppo", "7000", "--ppo.anneal false"},
        {"storage", "storage", "dqn", "7000",
         "--dqn.learning_starts 500 --dqn.anneal false --dqn.batch 16 --net.hidden 16 "
         "--replay.ratio 2 --replay.capacity 2000"},
        {"gusts", "windy", "qlearning", "40000", "--env.args wind=gusts"},
        {"multi", "multi:cartpole,acrobot", "ppo", "7000", "--ppo.anneal false"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        workers_and_stops_do_not_change_a_run(&runs[i]);
    free(masked), free(factors), free(players);
    /* evaluation opens no closed door, which would end a game before its twentieth room */
    CHECK_EQ(volley("eval one-masked-ppo --episodes 20 --json"), 0);
    json_t *o = program_json();
    CHECK_EQ(json_number_value(json_object_get(o, "length_mean")), 20);
    json_decref(o);
}

static void simulations_repeat(void) {
    static const repeated run = {"hopper", "mujoco/hopper", "ppo", "7000",
                                 "--ppo.anneal false --ppo.rollout 128 --envs 2"};
    if (volley("trace mujoco/hopper --random 1") != 0)
        SKIP_PART("no MuJoCo (make mujoco): a run of the hopper was not repeated");
    else
        workers_and_stops_do_not_change_a_run(&run);
}

int main(void) {
    static const repeated runs[] = {
        {"ppo", "cartpole", "ppo", "9000", ""},
        {"a2c", "cartpole", "a2c", "9000", ""},
        {"reinforce", "cartpole", "reinforce", "9000", ""},
        {"lstm", "cartpole", "ppo", "9000", "--net.lstm 16"},
        {"overlap", "cartpole", "ppo", "9000", "--ppo.overlap on"},
        {"numbers", "pendulum", "ppo", "12000",
         "--net.normalize true --ppo.rollout 64 --ppo.epochs 2"},
        {"sac", "pendulum", "sac", "9000",
         "--net.hidden 32,32 --sac.batch 32 --sac.learning_starts 500 --replay.ratio 8 "
         "--replay.capacity 4000"},
        {"td3", "pendulum", "td3", "9000",
         "--net.normalize true --net.hidden 32,32 --td3.batch 32 --td3.learning_starts 500 "
         "--replay.ratio 8 "
         "--replay.capacity 4000"},
        {"impala", "cartpole", "impala", "9000", "--pool.schedule sync"},
        {"impala-rewards", "pendulum", "impala", "9000",
         "--pool.schedule sync --net.normalize true --impala.normalize_reward true "
         "--impala.anneal false"},
        {"dqn", "cartpole", "dqn", "9000",
         "--dqn.learning_starts 500 --replay.capacity 5000 --replay.prioritized true"},
        {"dqn-normal", "cartpole", "dqn", "16000",
         "--net.normalize true --dqn.target_every 50 --dqn.learning_starts 500 "
         "--replay.capacity 5000"},
        {"apex", "cartpole", "apex", "16000", "--apex.replay local --replay.capacity 5000"},
        {"qlearning", "gridworld", "qlearning", "9000", ""},
        {"drift", "windy", "qlearning", "40000", "--env.args drift=10000"},
        {"sarsa", "cliffwalking", "sarsa", "9000", ""},
        {"minatar-ppo", "minatar/breakout", "ppo", "7000",
         "--envs 16 --net.hidden 32 --ppo.rollout 32 --ppo.anneal false"},
        {"minatar-dqn", "minatar/space_invaders", "dqn", "6000",
         "--net.hidden 32 --dqn.learning_starts 500 --replay.capacity 5000"},
        {"pong", "pong", "ppo", "9000",
         "--envs 8 --net.hidden 32 --ppo.rollout 64 --ppo.epochs 1 --ppo.minibatches 8 "
         "--ppo.anneal false"},
    };
    program_open();
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        if (strcmp(runs[i].env, "pong") == 0 && volley("trace pong --random 1") != 0)
            SKIP_PART("no ROM of Pong (make roms): its run was not repeated");
        else
            workers_and_stops_do_not_change_a_run(&runs[i]);
    }
    spaces_and_streams_repeat();
    simulations_repeat();
    return program_close();
}
