/* A run is whole or refused: settings that were edited, notes that were edited, a folder that
 * vanished, a run that was killed before its first checkpoint. */
#include "tests/kit/program.h"
#include <stdbool.h>
#include <sys/stat.h>

/* A command of the shell in the test's folder; $VOLLEY is the program. */
static int in_folder(const char *line) {
    char command[2048];
    snprintf(command, sizeof command,
             "cd %s && export VOLLEY=%s && { until_is() { for i in $(seq 300); do "
             "eval \"$1\" >/dev/null 2>&1 && return; sleep 0.1; done; false; }; %s\n}",
             folder, VLY_TEST_PROGRAM, line);
    const int how = system(command);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 1000 + how;
}

static void says(const char *file, const char *words) {
    char *text = program_read(file);
    if (!strstr(text, words)) {
        fprintf(stderr, "'%s' is not in %s:\n%s\n", words, file, text);
        exit(TEST_FAIL);
    }
    free(text);
}

static void edited_settings_are_refused_by_name(void) {
    static const char *const edits[][2] = {
        {"head -n 40 r/config.yaml", "rollout"},
        {"sed 's/^  lr: .*/  lr: 0.5/' r/config.yaml", "ppo.lr 0.5 instead of "},
        {"sed 's/^  hidden: .*/  hidden: [8]/' r/config.yaml", "net.hidden [8] instead of "},
        {"sed '/^  gamma:/d; s/^  envs: .*/  envs: 9/' r/config.yaml", "run.envs 9 instead of "},
        {"true", "truncated"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char line[512];
        snprintf(line, sizeof line, "rm -rf e && cp -r r e && %s >e/config.yaml", edits[i][0]);
        CHECK_EQ(in_folder(line), 0);
        CHECK_EQ(volley("resume e --steps 9k"), 2);
        says("err", edits[i][1]);
        CHECK_EQ(volley("eval e --episodes 1"), 2);
        says("err", edits[i][1]);
        CHECK_EQ(volley("export e --format onnx --out e.onnx"), 2);
        says("err", edits[i][1]);
        CHECK_EQ(in_folder("ls e/checkpoints | wc -l >n; ls r/checkpoints | wc -l | cmp - n"), 0);
    }
    CHECK_EQ(in_folder("sed 's/^  lr: .*/  lr: 0.5/' r/config.yaml >e/config.yaml"), 0);
    CHECK_EQ(volley("eval e --episodes 1 --accept-config"), 0);
    CHECK_EQ(volley("export e --format onnx --out e.onnx --accept-config"), 0);
    CHECK_EQ(volley("record e --steps 5 --out e.png"), 2);
    CHECK_EQ(volley("resume e --steps 9k --accept-config"), 0);
    CHECK_EQ(volley("resume e --steps 10k"), 0); /* accepted settings are the run's from then on */
}

static void words_about_nothing_that_decides_are_kept(void) {
    CHECK_EQ(in_folder("rm -rf e && cp -r r e && sed 's/^  status: .*/  status: none/; 1i # mine' "
                       "r/config.yaml >e/config.yaml"),
             0);
    CHECK_EQ(volley("resume e --steps 9k"), 0);
}

/* config.yaml has the new options before a checkpoint has them. */
static void a_resume_that_was_killed_resumes(void) {
    CHECK_EQ(in_folder("rm -rf e && cp -r r e"), 0);
    CHECK_EQ(in_folder("$VOLLEY resume e --steps 1G --ppo.lr 0.001 --checkpoint.every_s 1000 >out "
                       "2>err & p=$!; until_is \"grep -q '  lr: 0.001' e/config.yaml\"; "
                       "kill -KILL $p; wait $p; test $? = 137"),
             0);
    CHECK_EQ(in_folder("grep -q '  lr: 0.001' e/config.yaml"), 0);
    CHECK_EQ(volley("eval e --episodes 1"), 0);
    CHECK_EQ(in_folder("sed -i 's/^  lr: 0.001/  lr: 0.002/' e/config.yaml"), 0);
    CHECK_EQ(volley("resume e --steps 9k"), 2);
    says("err", "ppo.lr 0.002 instead of ");
    CHECK_EQ(in_folder("sed -i 's/^  lr: 0.002/  lr: 0.001/' e/config.yaml"), 0);
    CHECK_EQ(volley("resume e --steps 9k"), 0);
}

static void edited_notes_are_damage(void) {
    CHECK_EQ(in_folder("rm -rf e && cp -r r e && sed -i "
                       "'s/\"note:best_return\":\"[0-9]/\"note:best_return\":\"9/' "
                       "e/checkpoints/best.safetensors"),
             0);
    CHECK_EQ(in_folder("cmp -s r/checkpoints/best.safetensors e/checkpoints/best.safetensors"), 1);
    CHECK_EQ(volley("inspect e/checkpoints/best.safetensors"), 2);
    says("err", "its notes do not match their checksum");
}

static void a_lost_folder_is_made_again(void) {
    CHECK_EQ(
        in_folder(
            "$VOLLEY train cartpole --steps 1G --checkpoint.every_s 0.2 --out l >lost "
            "2>&1 & p=$!; saved='ls l/checkpoints/step-*'; "
            "until_is \"$saved\" && mv l m && until_is \"$saved\"; kill -STOP $p; "
            "rm -rf l; kill -CONT $p; until_is \"$saved\"; kill -INT $p; wait $p; test $? = 130"),
        0);
    says("lost", "l was moved or removed: it is made again");
    CHECK_EQ(volley("resume l --steps 1k"), 0);
    CHECK_EQ(volley("resume m --steps 1k"), 0);
}

/* Copied, removed, and the copy put in its place, as when a folder moves to another disk; the run
 * is stopped meanwhile, as it removes and writes files that are copied. */
static void a_copy_in_its_place_keeps_its_records(void) {
    CHECK_EQ(in_folder("$VOLLEY train cartpole --steps 1G --checkpoint.every_s 0.2 --out c >moved "
                       "2>&1 & p=$!; until_is 'ls c/checkpoints/step-* && "
                       "test $(wc -l <c/metrics.jsonl) -ge 3'; kill -STOP $p; cp -r c d; "
                       "rm -rf c; mv d c; head -n 3 c/metrics.jsonl >first; kill -CONT $p; "
                       "until_is 'grep -q removed moved'; kill -INT $p; wait $p; test $? = 130"),
             0);
    says("moved", "c was moved or removed: it is made again");
    CHECK_EQ(in_folder("head -n 3 c/metrics.jsonl | cmp - first"), 0);
}

static void what_was_not_saved_is_not_said_to_be(void) {
    CHECK_EQ(in_folder("$VOLLEY train cartpole --steps 1G --checkpoint.every_s 0.2 --out u >last "
                       "2>&1 & p=$!; until_is 'ls u/checkpoints/step-*'; kill -STOP $p; "
                       "rm -rf u/checkpoints; : >u/checkpoints; kill -CONT $p; kill -INT $p; "
                       "wait $p; test $? = 1"),
             0);
    says("last", "the last checkpoint could not be saved");
    says("last", "go on from before:");
    CHECK_EQ(in_folder("grep -q 'saved; go on' last"), 1);
}

static void a_run_without_a_checkpoint_starts_again(void) {
    CHECK_EQ(
        in_folder("rm -rf k; $VOLLEY train cartpole --steps 1G --checkpoint.every_s 1000 --seed 4 "
                  "--out k >out 2>err & p=$!; until_is 'test -s k/metrics.jsonl'; "
                  "$VOLLEY train cartpole --steps 2k --out k 2>live; test $? = 2; kill -KILL $p; "
                  "wait $p; test $? = 137"),
        0);
    says("live", "k is being written by a run that goes on");
    CHECK_EQ(volley("train cartpole --steps 2k --out k"), 2);
    says("err", "saved no checkpoint: `volley resume k` starts it again");
    CHECK_EQ(volley("resume k --steps 2k"), 0);
    says("out", "it starts again");
    CHECK_EQ(volley("train cartpole --steps 2k --seed 4 --out k2"), 0);
    CHECK_EQ(in_folder("d() { $VOLLEY inspect $1 --json 2>/dev/null | sed "
                       "'s/.*\"digest\":\"\\([0-9a-f]*\\).*/\\1/'; }; "
                       "test \"$(d k)\" = \"$(d k2)\""),
             0);
    CHECK_EQ(volley("train cartpole --steps 2k --out k"), 2);
    says("err", "`volley resume k` continues it");
}

int main(void) {
    program_open();
    CHECK_EQ(volley("train cartpole --algo ppo --steps 8k --seed 1 --out r"), 0);
    edited_settings_are_refused_by_name();
    words_about_nothing_that_decides_are_kept();
    a_resume_that_was_killed_resumes();
    edited_notes_are_damage();
    a_lost_folder_is_made_again();
    a_copy_in_its_place_keeps_its_records();
    what_was_not_saved_is_not_said_to_be();
    a_run_without_a_checkpoint_starts_again();
    return program_close();
}
