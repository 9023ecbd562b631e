/* A pipe, a device or a folder where a file is expected, and a disk that is full from the start:
 * nothing hangs, and what is said names the thing and what is wrong with it. */
#include <stdbool.h>
#include <sys/stat.h>
#include "tests/kit/program.h"

/* Seconds in which a program that does not hang ends here. */
#define PATIENCE "timeout -k 1 120 "

static void make_odd_things(void) {
    char path[128];
    static const char *const pipes[] = {"pipe",     "pipe.png", "pipe.mp4",
                                        "pipe.npz", "pipe.csv", "pipe.so"};
    static const char *const folders[] = {"dir", "dir.png", "dir.npz", "dir.csv"};
    for (size_t i = 0; i < sizeof pipes / sizeof *pipes; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, pipes[i]);
        CHECK_EQ(mkfifo(path, 0600), 0);
    }
    snprintf(path, sizeof path, "%s/circle", folder);
    CHECK_EQ(symlink("circle", path), 0);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        CHECK_EQ(mkdir(path, 0700), 0);
    }
}

/* Exit code 2, and the words. */
static void is_refused(const char *args, const char *words) {
    char command[1024];
    snprintf(command, sizeof command, PATIENCE "%s %s >out 2>err </dev/null", VLY_TEST_PROGRAM,
             args);
    const int code = shell(command);
    if (code != 2) fprintf(stderr, "%s: %d\n%s%s", args, code, out, err);
    CHECK_EQ(code, 2);
    SAYS(err, words);
}

static void odd_inputs_are_refused(void) {
    is_refused("train cartpole --steps 9 --config pipe --out n", "pipe is not a file");
    is_refused("train cartpole --steps 9 --config /dev/zero --out n", "/dev/zero is not a file");
    is_refused("train cartpole --steps 9 --config dir --out n", "dir is not a file");
    is_refused("train cartpole --steps 9 --config circle --out n", "circle: Too many levels");
    is_refused("train ./pipe.so --steps 9 --out n", "pipe.so is not a file");
    is_refused("train ./dir --steps 9 --out n", "dir is not a file");
    static const char *const verbs[] = {"resume", "eval", "inspect", "plot", "export", "record"};
    static const char *const things[] = {"pipe", "/dev/zero", "/dev/null"};
    for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++)
        for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
            char args[128];
            snprintf(args, sizeof args, "%s %s%s", verbs[v], things[i],
                     strcmp(verbs[v], "plot") == 0     ? " --out o.png"
                     : strcmp(verbs[v], "record") == 0 ? " --out o.gif"
                                                       : "");
            is_refused(args, things[i]);
        }
    is_refused("trace cartpole --actions pipe", "pipe contains no actions");
    is_refused("trace cartpole --actions dir", "dir is a folder");
}

static void odd_outputs_are_refused(void) {
    is_refused("train cartpole --steps 9 --out pipe", "pipe is not a folder");
    is_refused("train cartpole --steps 9 --out /dev/null", "/dev/null is not a folder");
    is_refused("train cartpole --steps 9 --out /sys/kernel/run", "cannot create the folder");
    is_refused("plot r --out /sys/kernel/curves.svg", "cannot create /sys/kernel/curves.svg");
    is_refused("plot r --out pipe.png", "cannot write pipe.png");
    is_refused("plot r --out dir.png", "cannot write dir.png");
    is_refused("record r --steps 5 --out pipe.mp4", "cannot write pipe.mp4");
    is_refused("export r --format npz --out pipe.npz", "cannot write pipe.npz");
    is_refused("export r --format npz --out dir.npz", "cannot write dir.npz");
    is_refused("export r --format csv --out pipe.csv", "cannot write pipe.csv");
    is_refused("export r --format csv --out /dev/full", "cannot write /dev/full");
    is_refused("export r --format npz --out -", "takes records (csv, jsonl) alone");
    CHECK_EQ(shell("ln -s err link.npz && ln -s err link.csv && ln -s err link.svg && ln -s err "
                   "link.png && "
                   "ln -s err link.mp4 >out 2>err"),
             0);
    is_refused("export r --format npz --out link.npz", "link.npz: it is there and is a link");
    is_refused("export r --format csv --out link.csv", "link.csv: it is there and is a link");
    is_refused("plot r --out link.svg", "link.svg: it is there and is a link");
    is_refused("record r --steps 5 --out link.png", "link.png: it is there and is a link");
    is_refused("record r --steps 5 --out link.mp4", "link.mp4: it is there and is a link");
    /* a table that could not be written is removed, a link to where it was to go is not */
    CHECK_EQ(shell("ln -s table link.tsv && (ulimit -f 1; exec " VLY_TEST_PROGRAM
                   " trace cartpole --random 1000 --out link.tsv) >out 2>err; test $? = 1 && "
                   "test -L link.tsv"),
             0);
    is_refused("trace cartpole --random 5 --out pipe", "nobody reads this pipe");
    is_refused("trace cartpole --random 5 --out dir", "dir is a folder");
}

/* Files of a run that have become something else. */
static void odd_files_of_a_run_are_refused(void) {
    static const struct {
        const char *file, *words;
    } odd[] = {{"config.yaml", "is not a file"},
               {"metrics.jsonl", "is not a file"},
               {"system.json", "is not a file"},
               {"checkpoints", "is not a folder"}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char command[512];
        snprintf(command, sizeof command,
                 "rm -rf b && cp -r r b && rm -rf b/%s && mkfifo b/%s >out 2>err", odd[i].file,
                 odd[i].file);
        CHECK_EQ(shell(command), 0);
        is_refused("resume b --steps 9000", odd[i].words);
    }
}

/* A run of somebody else's may hold links: nothing is written through them. */
static void links_out_of_a_run_are_not_followed(void) {
    static const struct {
        const char *file, *words;
    } links[] = {
        {"metrics.jsonl", "is a link"}, {"lock", "is a link"}, {"checkpoints", "is a link"}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        char command[512];
        snprintf(command, sizeof command,
                 "rm -rf b o && cp -r r b && mkdir o && mv b/%s o && ln -s ../o/%s b/%s && "
                 "find o -type f | xargs md5sum >before 2>err; : >out",
                 links[i].file, links[i].file, links[i].file);
        CHECK_EQ(shell(command), 0);
        is_refused("resume b --steps 9000", links[i].words);
        CHECK_EQ(shell("md5sum --quiet -c before >out 2>err && find o -type f | wc -l >n 2>err && "
                       "wc -l <before | cmp - n >out"),
                 0);
    }
}

/* What is written beside a file does not go where a link of that name leads. */
static void links_at_a_temporary_name_are_not_followed(void) {
    char path[128], beside[160], target[128];
    snprintf(path, sizeof path, "%s/whole", folder);
    snprintf(beside, sizeof beside, "%s.tmp-%ld", path, (long)getpid());
    snprintf(target, sizeof target, "%s/target", folder);
    CHECK_OK(vly_file_replace(target, "kept", 4));
    CHECK_EQ(symlink(target, beside), 0);
    CHECK_OK(vly_file_replace(path, "new", 3));
    unlink(path);
    CHECK_EQ(symlink(target, path), 0); /* as /dev/stdout is one */
    CHECK_EQ(vly_file_replace(path, "new", 3), VLY_EINVAL);
    CHECK_EQ(unlink(path), 0);
    CHECK_OK(vly_file_replace(path, "new", 3));
    char *kept = program_read("target"), *written = program_read("whole");
    CHECK_STR(kept, "kept");
    CHECK_STR(written, "new");
    free(kept);
    free(written);
}

static void pipes_with_somebody_at_the_other_end_work(void) {
    CHECK_EQ(shell("printf '0\\n1\\n' | " PATIENCE VLY_TEST_PROGRAM
                   " trace cartpole --actions /dev/stdin --out /dev/stdout 2>err | cat >out"),
             0);
    SAYS(out, "step\taction\treward");
    CHECK_EQ(shell("cat pipe >copied & " PATIENCE VLY_TEST_PROGRAM
                   " trace cartpole --random 3 --out /dev/null >out 2>err; : >pipe; wait"),
             0);
    CHECK_EQ(shell(PATIENCE VLY_TEST_PROGRAM " trace cartpole --random 3 --out - >out 2>err"), 0);
    SAYS(out, "step\taction\treward");
    CHECK(access("-", F_OK) != 0);
}

static void a_password_file_without_a_writer_is_empty(void) {
    CHECK_EQ(shell("VOLLEY_STORE_PASSWORD_FILE=pipe " PATIENCE VLY_TEST_PROGRAM
                   " actor --store redis://127.0.0.1:1 >out 2>err"),
             2);
    SAYS(err, "holds no password");
}

/* It is said before the first step, and at the end; the exit code is 1. */
static void a_disk_that_is_full_from_the_start_is_told_at_once(void) {
    if (shell("unshare -rm true >out 2>err") != 0) {
        SKIP_PART("no file system may be mounted here: a full disk was not tried");
        return;
    }
    const int code = shell("mkdir -p small && unshare -rm sh -c 'mount -t tmpfs -o size=16k tmpfs "
                           "small && exec " PATIENCE VLY_TEST_PROGRAM
                           " train cartpole --steps 3000 --out small/r' >out 2>err");
    if (strstr(err, "mount:")) {
        SKIP_PART("no file system may be mounted here: a full disk was not tried");
        return;
    }
    CHECK_EQ(code, 1);
    const char *told = strstr(out, "nothing is saved until there is room");
    CHECK(told != NULL);
    SAYS(out, "checkpoint not saved");
    CHECK(told < strstr(out, "checkpoint not saved"));
    SAYS(err, "the last checkpoint could not be saved");
}

int main(void) {
    program_open();
    CHECK_EQ(volley("train cartpole --steps 3000 --out r"), 0);
    make_odd_things();
    odd_inputs_are_refused();
    odd_outputs_are_refused();
    odd_files_of_a_run_are_refused();
    links_out_of_a_run_are_not_followed();
    links_at_a_temporary_name_are_not_followed();
    pipes_with_somebody_at_the_other_end_work();
    a_password_file_without_a_writer_is_empty();
    a_disk_that_is_full_from_the_start_is_told_at_once();
    return program_close();
}
