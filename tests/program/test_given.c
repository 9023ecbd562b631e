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

int main(void) {
    program_open();
    CHECK_EQ(shell(">out 2>err"), 0);
    an_empty_name_of_a_folder_is_refused();
    zero_and_one_are_false_and_true();
    return program_close();
}
