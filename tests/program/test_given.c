/* What is given counts or is refused by name, with exit code 2: nothing that was asked for is left out
 * in silence. */
#include <stdbool.h>
#include "tests/kit/program.h"

#define PROGRAM VLY_TEST_PROGRAM " "

static void is_refused_with(const char *line, const char *words) {
    const int code = volley("%s", line);
    if (code != 2) fprintf(stderr, "volley %s: exit %d\n%s%s", line, code, out, err);
    CHECK_EQ(code, 2);
    SAYS(err, words);
}

static bool has_rom(void) {
    return volley("trace pong --random 1") == 0;
}

/* ---- what an option's value may be ---- */

static void ppo_anneals(const char *run, bool wanted) {
    char path[64];
    snprintf(path, sizeof path, "%s/config.yaml", run);
    char *text = program_read(path), *at = strstr(text, "\nppo:\n");
    CHECK(at && (at = strstr(at, "  anneal: ")));
    CHECK(!strncmp(at + strlen("  anneal: "), wanted ? "true" : "false", wanted ? 4 : 5));
    free(text);
}

/* As in a file and behind an equals sign. A word without a section may be followed by a name. */
static void zero_and_one_are_false_and_true(void) {
    CHECK_EQ(volley("train --ppo.anneal 0 cartpole --algo ppo --steps 200 --out 0"), 0);
    ppo_anneals("0", false);
    CHECK_EQ(volley("train cartpole --ppo.anneal 1 --algo ppo --steps 200 --out 1"), 0);
    ppo_anneals("1", true);
    CHECK_EQ(volley("eval --greedy 1 --episodes 1"), 0);
    SAYS(out, "1/checkpoints/");
}

static void an_empty_name_of_a_folder_is_refused(void) {
    is_refused_with("train cartpole --steps 200 --out ''", "--out is empty: ");
    is_refused_with("train cartpole --steps 200 --run.out=", "--run.out is empty: ");
    CHECK_EQ(shell("test -e runs >out 2>err"), 1);
    CHECK_EQ(shell("echo 'run: {out: \"\"}' >c.yaml && exec " PROGRAM "train cartpole --algo ppo "
                   "--steps 200 --config c.yaml >out 2>err"),
             0); /* config.yaml of a run has it too */
    SAYS(out, "run: runs/cartpole-ppo-1-");
    CHECK_EQ(shell("rm -r runs >out 2>err"), 0);
}

/* ---- what a verb takes ---- */

static void what_a_verb_does_not_use_is_refused(void) {
    static const char *const cases[][2] = {
        {"train cartpole --env pong", "volley train takes no --env: "},
        {"trace cartpole --random 3 --steps 5", "volley trace takes no --steps: "},
        {"trace cartpole --random 3 --until-return 5", "takes no --until-return"},
        {"trace cartpole --random 3 --run.seed 5", "takes no --run.seed"},
        {"trace cartpole --random 3 --no-monitor", "takes no --monitor"},
        {"trace cartpole --random 3 --ppo.lr 1e-3", "takes no --ppo.lr"},
        {"trace cartpole --random 3 --observations", "--observations is for an Atari game"},
        {"estimate cartpole --out x", "volley estimate takes no --out: "},
        {"estimate cartpole --monitor", "takes no --monitor"},
        {"ls envs --markdown", "--markdown is the form of `volley ls options`"},
        {"ls --man", "--man is the form of"},
        {"eval 1 --minutes 3", "--protocol machado"},
        {"actor tcp://127.0.0.1:1 --token-file token --store redis://h",
         "--store is for a learner"},
        {"actor tcp://127.0.0.1:1 --token-file token --rank 3", "--rank is for a learner"},
#ifdef VLY_HAVE_REDIS
        {"actor --store redis://127.0.0.1:1 --wait 0 --envs 4", "--envs goes with an ADDRESS"},
#endif
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_refused_with(cases[i][0], cases[i][1]);
    CHECK_EQ(shell("test -e x >out 2>err"), 1);
    CHECK_EQ(volley("trace cartpole --random 3 --config 1/config.yaml"),
             0); /* of a run, as it is */
    CHECK_EQ(volley("trace --help all"), 0);
    SAYS(out, "--atari.sticky");
    SAYS(out, "--roms");
    CHECK(!strstr(out, "--steps") && !strstr(out, "--ppo.lr"));
    CHECK_EQ(volley("trace --help ppo"), 2);
}

static void what_the_caller_of_bench_got_wrong_is_exit_2(void) {
    is_refused_with(
        "bench envs --filter cartpole/step --seconds 0.01 --samples 1 --record none/x.json",
        "there is no folder none");
    is_refused_with("bench envs --filter cartpole/step --seconds 0.01 --samples 1 --record 1",
                    "it is there and is not a file");
    CHECK_EQ(shell("VOLLEY_ROMS=none XDG_CACHE_HOME=none HOME=none " PROGRAM
                   "bench envs --env pong --seconds 0.01 >out 2>err"),
             2);
    CHECK_EQ(shell("VLY_PYTHON=/bin/false " PROGRAM
                   "bench envs --env pong --vs ale --seconds 0.01 --samples 1 >out 2>err"),
             2);
}

/* ---- Atari ---- */

static int largest_action(const char *line) {
    int most = -1, action;
    CHECK_EQ(volley("%s", line), 0);
    for (const char *row = out; (row = strchr(row, '\n')) && sscanf(row, "%*d %d", &action) == 1;
         row++)
        if (action > most) most = action;
    return most;
}

static void a_preset_goes_before_what_an_id_sets(void) {
    CHECK_EQ(largest_action("trace pong --observations --random 100 --atari.preset machado"), 17);
    CHECK_EQ(largest_action("trace ALE/Pong-v5 --observations --random 100 --atari.preset machado"),
             17);
    CHECK(largest_action("trace ALE/Pong-v5 --observations --random 100") < 17);
}

static void actions_are_checked_before_the_first_row(void) {
    CHECK_EQ(shell("printf '0\\n0\\n17\\n' >actions"), 0);
    is_refused_with("trace pong --observations --actions actions", "action 2 is 17 (DOWNLEFTFIRE)");
    CHECK_STR(out, "");
}

/* ---- folders ---- */

/* They start in one second, and once took one name. */
static void runs_that_start_at_once_have_a_folder_each(void) {
    CHECK_EQ(shell("for i in 1 2 3 4 5 6; do " PROGRAM
                   "train cartpole --algo ppo --seed 3 --steps 400 "
                   "--json >run$i 2>&1 & all=\"$all $!\"; done; "
                   "for p in $all; do wait $p || exit 9; done; "
                   "ls -d runs/cartpole-ppo-3-*/checkpoints/step-* | wc -l >out 2>err"),
             0);
    CHECK_EQ(atoi(out), 6);
    CHECK_EQ(shell("rm -r runs >out 2>err"), 0);
}

static void a_start_that_fails_leaves_no_folder(void) {
    is_refused_with("train cartpole --algo ppo --envs 65536 --ppo.rollout 65536", "rows");
    CHECK_EQ(shell("test -e runs >out 2>err"), 1);
}

/* ---- what to do ---- */

static void a_run_without_a_checkpoint_can_start_again(void) {
    static const char *const verbs[] = {"eval", "play", "export", "inspect"};
    char line[64];
    CHECK_EQ(volley("train cartpole --algo ppo --envs 1 --ppo.rollout 64 --steps 64 --out few"), 0);
    is_refused_with("eval few --best",
                    "few has no best checkpoint: the first is saved after 20 episodes");
    CHECK_EQ(shell("rm few/checkpoints/* >out 2>err"), 0);
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "%s few", verbs[i]);
        is_refused_with(line, "few has no checkpoint: `volley resume few` starts it again");
    }
    CHECK_EQ(shell("flock few/lock " PROGRAM "eval few >out 2>err"), 2);
    SAYS(err, "goes on: wait for the first");
    CHECK_EQ(volley("resume few"), 0);
}

static void where_nothing_listens_it_is_said_what_to_start(void) {
    CHECK_EQ(shell("echo 0123456789abcdef >token"), 0);
    CHECK_EQ(volley("actor tcp://127.0.0.1:1 --token-file token --wait 0"), 1);
    SAYS(err, "; start `volley train ENV --listen ...` there first, or raise --wait");
#ifdef VLY_HAVE_REDIS
    CHECK_EQ(volley("cluster status --store redis://127.0.0.1:1"), 1);
    SAYS(err, "; start redis-server there, or give another --store");
    CHECK_EQ(volley("actor --store redis://127.0.0.1:1 --wait 0"), 1);
    SAYS(err, "; start redis-server there, or give another --store");
#endif
}

int main(void) {
    program_open();
    CHECK_EQ(shell(">out 2>err"), 0);
    an_empty_name_of_a_folder_is_refused();
    runs_that_start_at_once_have_a_folder_each();
    a_start_that_fails_leaves_no_folder();
    zero_and_one_are_false_and_true();
    what_a_verb_does_not_use_is_refused();
    what_the_caller_of_bench_got_wrong_is_exit_2();
    a_run_without_a_checkpoint_can_start_again();
    where_nothing_listens_it_is_said_what_to_start();
    if (has_rom()) {
        a_preset_goes_before_what_an_id_sets();
        actions_are_checked_before_the_first_row();
    } else
        SKIP_PART("no ROM of Pong (make roms): its traces were not tried");
    return program_close();
}
