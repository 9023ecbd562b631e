/* Runs whose environments are stepped by other processes, as users start them. */
#include <stdbool.h>
#include <sys/stat.h>
#include "tests/kit/runs.h"
#include "tests/kit/sanitized.h"

enum { ACTORS = 2 };

static void write_token(const char *name, const char *words) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", runs_folder, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fprintf(f, "%s\n", words) > 0 && fclose(f) == 0);
}

static bool said(const char *file, const char *words) {
    char *text = runs_read(file);
    const bool found = strstr(text, words) != NULL;
    free(text);
    return found;
}

static void await_words(const char *file, const char *words) {
    for (int i = 0; i < 600 && !said(file, words); i++) usleep(100000);
    CHECK(said(file, words));
}

/* What an actor connects to: the socket, or the port that the learner has chosen and says. */
static void find_address(const char *run, const char *listen, char *address, size_t bytes) {
    static const char before[] = "volley actor ";
    char file[96];
    snprintf(address, bytes, "%s", listen);
    if (!strncmp(listen, "unix:", 5)) return;
    snprintf(file, sizeof file, "%s.err", run);
    await_words(file, "volley actor tcp://");
    char *text = runs_read(file), *at = strstr(text, before) + sizeof before - 1;
    at[strcspn(at, " ")] = '\0';
    snprintf(address, bytes, "%s", at);
    free(text);
}

/* What an actor prints at its end. Rows of resets are no steps. */
static double steps_of_actor(json_t *did, const char *address) {
    CHECK(did != NULL);
    CHECK_STR(json_string_value(json_object_get(did, "address")), address);
    CHECK_STR(json_string_value(json_object_get(did, "stop")), "done");
    CHECK(runs_number(did, "wall_s") > 0);
    const double steps = runs_number(did, "steps");
    if (steps > 0) { /* 0: it came when all was over */
        CHECK(json_string_value(json_object_get(did, "env")) != NULL);
        CHECK(runs_number(did, "connections") >= 1);
        CHECK(runs_number(did, "rows") > steps);
    }
    json_decref(did);
    return steps;
}

/* A run with its actors, "train ENV --out RUN" or "resume RUN"; the object that it printed. */
static json_t *learn_remotely(const char *run, const char *listen, const char *command,
                              const char *settings) {
    char address[96], name[32];
    pid_t actors[ACTORS];
    int code;
    double stepped = 0;
    const pid_t learner = runs_start(run,
                                     "%s --listen %s --token-file token --remote.deadline_s 30 %s",
                                     command, listen, settings);
    find_address(run, listen, address, sizeof address);
    for (int i = 0; i < ACTORS; i++) {
        snprintf(name, sizeof name, "%s-actor%d", run, i);
        actors[i] = runs_start(name, "actor %s --token-file token --envs 4", address);
    }
    json_t *result = runs_finish(run, learner, &code);
    CHECK_EQ(code, 0);
    for (int i = 0; i < ACTORS; i++) {
        snprintf(name, sizeof name, "%s-actor%d", run, i);
        stepped += steps_of_actor(runs_finish(name, actors[i], &code), address);
        CHECK_EQ(code, 0);
    }
    CHECK(stepped > 0);
    if (!strncmp(command, "train ", 6)) CHECK(stepped >= runs_number(result, "steps"));
    return result;
}

static json_t *inspect(const char *run) {
    int code;
    json_t *o = runs_finish("inspect", runs_start("inspect", "inspect %s", run), &code);
    CHECK_EQ(code, 0);
    return o;
}

/* All tensors but the environments, which are elsewhere; `least` are compared. */
static void same_tensors(const char *one, const char *other, int least) {
    json_t *a = inspect(one), *b = inspect(other);
    const json_t *x = json_object_get(a, "tensors"), *y = json_object_get(b, "tensors");
    int same = 0;
    CHECK_EQ(json_array_size(x), json_array_size(y));
    for (size_t i = 0; i < json_array_size(x); i++) {
        const json_t *s = json_array_get(x, i), *t = json_array_get(y, i);
        const char *name = json_string_value(json_object_get(s, "name"));
        CHECK_STR(name, json_string_value(json_object_get(t, "name")));
        if (!strcmp(name, "train.pool") || !strcmp(name, "run.settings")) continue;
        CHECK_STR(json_string_value(json_object_get(s, "xxh3")),
                  json_string_value(json_object_get(t, "xxh3")));
        same++;
    }
    CHECK(same >= least);
    json_decref(a);
    json_decref(b);
}

static void remote_actors_give_the_same_weights_as_threads(void) {
    int code;
    json_t *local = runs_finish(
        "here", runs_start("here", "train cartpole --seed 3 --out here --steps 20000"), &code);
    CHECK_EQ(code, 0);
    json_t *remote = learn_remotely("there", "127.0.0.1:0", "train cartpole --seed 3 --out there",
                                    "--steps 20000");
    CHECK(runs_number(local, "return_mean_100") == runs_number(remote, "return_mean_100"));
    CHECK(runs_number(local, "episodes") == runs_number(remote, "episodes"));
    same_tensors("here", "there", 16);
    CHECK(runs_metric("there", "actors/round_trip_p50_ms", -1) > 0);
    CHECK(runs_metric("there", "actors/round_trip_p99_ms", -1) > 0);
    CHECK_EQ(runs_metric("there", "actors/connected", -1), ACTORS);
    json_t *status = runs_finish("status", runs_start("status", "cluster status there"), &code);
    CHECK_EQ(code, 0);
    CHECK_EQ(runs_number(status, "connected"), ACTORS);
    CHECK_EQ(json_array_size(json_object_get(status, "actors")), ACTORS);
    json_decref(status);
    json_decref(local);
    json_decref(remote);
}

static json_t *list_of(const json_t *result, const char *name) {
    json_t *list = json_object_get(result, name);
    CHECK(json_array_size(list) > 0);
    return list;
}

/* What a run lists at its end is the same with its environments elsewhere. */
static void is_listed_elsewhere_too(const char *list, int least, const char *train) {
    int code;
    char command[256], away[32], socket[48];
    snprintf(away, sizeof away, "%s-away", list);
    snprintf(socket, sizeof socket, "unix:%s-socket", list);
    json_t *local = runs_finish(list, runs_start(list, "%s --out %s", train, list), &code);
    CHECK_EQ(code, 0);
    snprintf(command, sizeof command, "%s --out %s", train, away);
    json_t *remote = learn_remotely(away, socket, command, "");
    CHECK(json_equal(list_of(local, list), list_of(remote, list)));
    same_tensors(list, away, least);
    json_decref(local);
    json_decref(remote);
}

/* An environment is in the task of its number in the run, not of its number in the actor. */
static void each_actor_has_its_task_elsewhere_too(void) {
    is_listed_elsewhere_too(
        "tasks", 16, "train multi:cartpole,acrobot --algo ppo --seed 3 --envs 8 --steps 20000");
}

static void changes_of_the_rules_are_reported_elsewhere_too(void) {
    is_listed_elsewhere_too("changes", 5,
                            "train windy --algo qlearning --seed 3 --envs 8 --steps "
                            "60000 --env.args drift=2500");
}

static void is_further(json_t *result, double steps) {
    CHECK(runs_number(result, "steps") >= steps);
    CHECK(runs_number(result, "return_mean_100") > 50); /* it had learned */
    json_decref(result);
}

/* Weights, optimiser and counters go on; episodes begin anew. */
static void a_run_moves_its_environments(void) {
    int code;
    is_further(learn_remotely("here", "unix:moved-socket", "resume here", "--steps 24000"), 24000);
    is_further(learn_remotely("here", "unix:moved-socket", "resume here", "--steps 28000"), 28000);
    for (int i = 0; i < 2; i++) {
        const pid_t run = runs_start("here", "resume here --listen \"\" --steps %d",
                                     32000 + 4000 * i);
        is_further(runs_finish("here", run, &code), 32000 + 4000 * i);
        CHECK_EQ(code, 0);
    }
}

/* Impala corrects for the lag of what arrives. Sanitizers: that it learns is tested elsewhere. */
static void cartpole_is_learned(const char *algo, const char *until) {
    char settings[160], command[64];
    snprintf(settings, sizeof settings, "--algo %s --until-return %s --steps 2M", algo,
             SANITIZED ? "30" : until);
    snprintf(command, sizeof command, "train cartpole --seed 3 --out %s", algo);
    json_t *r = learn_remotely(algo, "unix:socket", command, settings);
    CHECK_STR(json_string_value(json_object_get(r, "stop")), "target");
    json_decref(r);
}

static void what_is_missing_is_said(void) {
    static const struct {
        const char *args, *words;
    } bad[] = {{"train cartpole --listen unix:s", "--token-file"},
               {"train cartpole --listen unix:s --token-file none", "none"},
               {"train cartpole --listen unix:s --token-file short", "16 to 127"},
               {"train cartpole --listen nowhere --token-file token", "not an address"},
               {"train cartpole --listen unix:none/s --token-file token", "no folder none"},
               {"train cartpole --listen unix:/none/s --token-file token", "no folder /none"},
               {"actor unix:s", "--token-file"},
               {"actor udp:s --token-file token", "not an address"},
               {"actor fd:9 --token-file token", "not a connected socket"}};
    write_token("short", "short");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code;
        json_t *none = runs_finish("bad", runs_start("bad", "%s", bad[i].args), &code);
        CHECK(none == NULL);
        CHECK_EQ(code, 2);
        CHECK(said("bad.err", bad[i].words));
    }
}

static void a_wrong_token_ends_the_actor(void) {
    int code;
    const pid_t learner = runs_start(
        "asks", "train cartpole --out asks --listen unix:asks-socket --token-file token");
    await_words("asks.err", "actors connect with");
    json_decref(runs_finish(
        "wrong", runs_start("wrong", "actor unix:asks-socket --token-file other"), &code));
    CHECK_EQ(code, 2);
    CHECK(said("wrong.err", "the token is not the learner's"));
    kill(learner, SIGTERM); /* nobody steps its environments: it ends all the same */
    json_decref(runs_finish("asks", learner, &code));
    CHECK_EQ(code, 143);
}

static void a_stopped_actor_says_what_it_did(void) {
    int code;
    const pid_t actor = runs_start("alone", "actor unix:nobody --token-file token --wait 600");
    await_words("alone.err", "no such file");
    kill(actor, SIGTERM);
    json_t *did = runs_finish("alone", actor, &code);
    CHECK_EQ(code, 143);
    CHECK(did && runs_number(did, "connections") == 0 && runs_number(did, "steps") == 0);
    CHECK(json_is_null(json_object_get(did, "env")));
    CHECK_STR(json_string_value(json_object_get(did, "stop")), "interrupted");
    json_decref(did);
}

/* What a run writes of its actors (actor_list.c; states: test_remote.c). */
static void the_status_tells_slow_actors_from_dead_ones(void) {
    char folder[128];
    int code;
    snprintf(folder, sizeof folder, "%s/told", runs_folder);
    CHECK_EQ(mkdir(folder, 0777), 0);
    write_token("told/actors.json",
                "{\"time\": 0, \"listen\": \"tcp://0.0.0.0:7400\", \"connected\": 1, "
                "\"environments\": 0, \"slow\": 1, \"lost\": 1, \"round_trip_p50_ms\": 0.5, "
                "\"round_trip_p99_ms\": 7.25, \"actors\": ["
                "{\"name\": \"a:1\", \"state\": \"slow\", \"environments\": 4}, "
                "{\"name\": \"b:2\", \"state\": \"gone\", \"environments\": 4}]}");
    json_t *status = runs_finish("told-status", runs_start("told-status", "cluster status told"),
                                 &code);
    CHECK_EQ(code, 0);
    CHECK_EQ(json_array_size(json_object_get(status, "actors")), 2);
    CHECK(said("told-status.err", "1 actors, 0 environments; 1 slow, 1 connections lost"));
    CHECK(said("told-status.err", "median 0.5 ms, 99th percentile 7.25 ms"));
    CHECK(said("told-status.err", "a:1                              slow"));
    CHECK(said("told-status.err", "b:2                              gone"));
    json_decref(status);
}

int main(void) {
    CHECK(mkdtemp(runs_folder) != NULL);
    write_token("token", "a-token-of-the-tests");
    write_token("other", "another-token-of-the-tests");
    what_is_missing_is_said();
    the_status_tells_slow_actors_from_dead_ones();
    remote_actors_give_the_same_weights_as_threads();
    each_actor_has_its_task_elsewhere_too();
    changes_of_the_rules_are_reported_elsewhere_too();
    a_run_moves_its_environments();
    cartpole_is_learned("ppo", "475");
    cartpole_is_learned("impala", "195");
    a_wrong_token_ends_the_actor();
    a_stopped_actor_says_what_it_did();
    return runs_clean();
}
