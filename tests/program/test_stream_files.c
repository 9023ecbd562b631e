/* A run that a file of numbers drives (prices=FILE): used from another folder, and after the file was
 * changed. */
#include "tests/kit/program.h"

#define RUN "--algo ppo --envs 4 --ppo.rollout 16 --workers 1 --steps 1000 "

/* `volley ARGS` in a folder within the test's own. */
static int volley_in(const char *where, const char *args) {
    char command[1024];
    snprintf(command, sizeof command, "cd %s && exec %s %s >../out 2>../err", where,
             VLY_TEST_PROGRAM, args);
    return shell(command);
}

static bool is_said(const char *words) {
    return strstr(out, words) || strstr(err, words);
}

static void a_run_finds_its_file_from_another_folder(void) {
    CHECK_EQ(shell("mkdir here there && (seq 10 60 && seq 60 -1 10) >here/p.txt && "
                   "printf '1\n2\n' >there/p.txt; exec >out 2>err"),
             0);
    CHECK_EQ(
        volley_in("here", "train storage --env.args hours=24,prices=./p.txt " RUN "--out ../r"), 0);
    char *config = program_read("r/config.yaml"), path[128];
    snprintf(path, sizeof path, "hours=24,prices=%s/here/p.txt", folder);
    SAYS(config, path);
    free(config);
    CHECK_EQ(volley_in("there", "eval ../r --episodes 2"), 0);
    CHECK(!is_said("was not trained with"));
    CHECK_EQ(volley_in("there", "resume ../r --steps 2000"), 0);
    CHECK_EQ(volley_in("there", "export ../r --format onnx --out ../r.onnx"), 0);
}

static void a_file_that_changed_is_named(void) {
    CHECK_EQ(shell("cp there/p.txt here/p.txt; exec >out 2>err"), 0);
    CHECK_EQ(volley_in("here", "eval ../r --episodes 2"), 0);
    CHECK(is_said("was not trained with the /") && is_said("/here/p.txt that is there now"));
    CHECK_EQ(volley_in("here", "resume ../r --steps 3000"), 2);
    SAYS(err, "another file of rows");
    CHECK_EQ(shell("rm here/p.txt; exec >out 2>err"), 0);
    CHECK(volley_in("there", "eval ../r --episodes 2") != 0);
    SAYS(err, "/here/p.txt");
}

static void a_word_is_no_file(void) {
    CHECK_EQ(volley_in("here", "train windy --env.args wind=gusts --algo qlearning --envs 4 "
                               "--steps 1000 --out ../w"),
             0);
    char *config = program_read("w/config.yaml");
    SAYS(config, "wind=gusts");
    free(config);
}

int main(void) {
    program_open();
    a_run_finds_its_file_from_another_folder();
    a_file_that_changed_is_named();
    a_word_is_no_file();
    return program_close();
}
