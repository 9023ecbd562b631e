/* Signals while training: what it was doing is saved, whatever else is going on. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include "tests/kit/program.h"

/* Seconds in which anything happens here, on a loaded machine and under a sanitizer. */
enum { PATIENCE = 120 };

static void doze(int ms) {
    const struct timespec wait = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&wait, NULL);
}

static long bytes_of(const char *file) {
    char path[256];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return stat(path, &info) == 0 ? (long)info.st_size : 0;
}

/* Until a file of the folder is larger than that. */
static void await_growth(pid_t child, const char *file, long bytes) {
    for (int i = 0; i < PATIENCE * 50 && bytes_of(file) <= bytes; i++) doze(20);
    if (bytes_of(file) > bytes) return;
    fprintf(stderr, "%s does not grow beyond %ld bytes\n", file, bytes);
    kill(child, SIGKILL);
    exit(TEST_FAIL);
}

static bool is_running(pid_t child) {
    siginfo_t how = {.si_pid = 0};
    CHECK_EQ(waitid(P_PID, (id_t)child, &how, WEXITED | WNOHANG | WNOWAIT), 0);
    return how.si_pid == 0;
}

/* Its exit code; -1: it did not end. */
static int await_end(pid_t child) {
    for (int i = 0; i < PATIENCE * 50 && is_running(child); i++) doze(20);
    if (is_running(child)) {
        kill(child, SIGKILL);
        program_finish(child);
        return -1;
    }
    return program_finish(child);
}

/* Starts one; once it has trained, there are metrics. */
static pid_t train(const char *args, const char *name) {
    char command[2048], metrics[128];
    snprintf(command, sizeof command,
             "exec %s train %s --steps 1e9 --metrics.every_s 0.05 --metrics.plain_s 0.1 "
             "--out %s --json >out 2>err",
             VLY_TEST_PROGRAM, args, name);
    const pid_t child = program_start(command);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", name);
    await_growth(child, metrics, 0);
    return child;
}

static void is_interrupted(void) {
    json_t *o = program_json();
    CHECK_STR(text_of(o, "stop"), "interrupted");
    json_decref(o);
}

/* Millions of updates follow the first steps that are learned from, minutes: nothing is written
 * meanwhile, so the signal comes some time later. */
static void a_stop_does_not_wait_for_all_updates_of_a_ratio(void) {
    char digest[40];
    const pid_t child = train("cartpole --algo dqn --envs 256 --dqn.learning_starts 1000 "
                              "--replay.ratio 1e6",
                              "ratio");
    doze(500);
    kill(child, SIGTERM);
    CHECK_EQ(await_end(child), 143);
    is_interrupted();
    digest_of("ratio", digest);
}

/* The first update takes minutes: there is no checkpoint before the signal, and the one that it
 * makes is resumed from. */
static void a_stop_does_not_wait_for_a_long_update(const char *overlap) {
    char command[1024], config[64], digest[40];
    snprintf(command, sizeof command,
             "exec %s train cartpole --algo ppo --envs 64 --ppo.rollout 1024 --ppo.epochs 1000 "
             "--ppo.minibatches 256 --ppo.overlap %s --steps 1e9 --out epochs-%s --json >out 2>err",
             VLY_TEST_PROGRAM, overlap, overlap);
    const pid_t child = program_start(command);
    snprintf(config, sizeof config, "epochs-%s/config.yaml", overlap);
    await_growth(child, config, 0);
    doze(2000);
    kill(child, SIGTERM);
    CHECK_EQ(await_end(child), 143);
    is_interrupted();
    config[strlen(config) - strlen("/config.yaml")] = '\0';
    digest_of(config, digest);
}

static void a_second_signal_does_not_undo_the_first(void) {
    char digest[40];
    const pid_t child = train("cartpole --algo ppo --envs 64 --ppo.epochs 32", "twice");
    kill(child, SIGTERM);
    kill(child, SIGINT);
    const int code = await_end(child);
    CHECK(code == 143 || code == 130); /* the system chooses which comes first */
    is_interrupted();
    digest_of("twice", digest);
}

/* A step that does not return keeps the run from stopping. */
static void a_third_signal_gives_up(void) {
    char args[1024];
    snprintf(args, sizeof args,
             "%s --env.args hangs --algo ppo --envs 4 --ppo.rollout 16 --ppo.minibatches 1 "
             "--pool.deadline_s 86400 --checkpoint.every_steps 64",
             VLY_TEST_PLUGIN_BAD);
    const pid_t child = train(args, "hangs");
    await_growth(child, "hanging", 0);
    const long said = bytes_of("err");
    kill(child, SIGTERM);
    kill(child, SIGINT);
    await_growth(child, "err", said);
    doze(1100);
    CHECK(is_running(child));
    kill(child, SIGTERM);
    CHECK_EQ(await_end(child), 1);
    SAYS(err, "since the last checkpoint is lost");
    CHECK_EQ(volley("inspect hangs"), 0);
    SAYS(out, "all checksums good");
}

/* Nobody reads the pipe that is standard output and standard error; it becomes full. */
static void output_that_nobody_reads_holds_up_nothing(void) {
    char command[2048], pipes[64], digest[40];
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    CHECK(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
    snprintf(command, sizeof command,
             ">out; >err; exec %s train cartpole --algo ppo --steps 1e9 --metrics.every_s 0.05 "
             "--metrics.plain_s 0.1 --out full --json >&%d 2>&1",
             VLY_TEST_PROGRAM, ends[1]);
    const pid_t child = program_start(command);
    await_growth(child, "full/metrics.jsonl", 0);
    snprintf(pipes, sizeof pipes, "/proc/self/fd/%d", ends[1]);
    const int filler = open(pipes, O_WRONLY | O_NONBLOCK); /* for this end alone */
    CHECK(filler >= 0);
    while (write(filler, ".", 1) == 1) {
    }
    await_growth(child, "full/metrics.jsonl", bytes_of("full/metrics.jsonl") + 20000);
    kill(child, SIGTERM);
    CHECK_EQ(await_end(child), 143);
    close(filler);
    close(ends[0]);
    close(ends[1]);
    digest_of("full", digest);
}

/* Started by nohup, the terminal's end is not the run's. */
static void a_hangup_that_is_ignored_stays_ignored(void) {
    const pid_t child = program_start("trap '' HUP; exec " VLY_TEST_PROGRAM
                                      " train cartpole --algo ppo --steps 1e9 --metrics.every_s "
                                      "0.05 --out hangup --json >out 2>err");
    await_growth(child, "hangup/metrics.jsonl", 0);
    kill(child, SIGHUP);
    await_growth(child, "hangup/metrics.jsonl", bytes_of("hangup/metrics.jsonl") + 20000);
    kill(child, SIGTERM);
    CHECK_EQ(await_end(child), 143);
}

/* What is left of a limit of processor time is enough to save. */
static void a_limit_of_processor_time_is_a_stop(void) {
    char digest[40];
    const pid_t child = train("cartpole --algo ppo", "limit");
    kill(child, SIGXCPU);
    CHECK_EQ(await_end(child), 143);
    is_interrupted();
    digest_of("limit", digest);
}

/* Starts `volley ARGS`; its environment is being opened. */
static pid_t begin(const char *args) {
    char command[2048];
    CHECK_EQ(shell("rm -f opening >out 2>err"), 0);
    snprintf(command, sizeof command, "exec %s %s --json >out 2>err", VLY_TEST_PROGRAM, args);
    const pid_t child = program_start(command);
    await_growth(child, "opening", 0);
    return child;
}

#define OPENS_SLOWLY VLY_TEST_PLUGIN_BAD " --algo ppo --envs 4 --steps 1e9 --env.args slow="

/* Twice at once, as timeout(1) sends it. */
static void a_signal_while_a_run_starts_is_a_stop(void) {
    char digest[40];
    pid_t child = begin("train " OPENS_SLOWLY "1 --out early");
    kill(child, SIGTERM);
    kill(child, SIGTERM);
    CHECK_EQ(await_end(child), 143);
    SAYS(err, "interrupted while it starts");
    is_interrupted();
    digest_of("early", digest);
    child = begin("resume early");
    kill(child, SIGINT);
    CHECK_EQ(await_end(child), 130);
    is_interrupted();
    digest_of("early", digest);
}

static void a_signal_a_second_later_ends_a_start(void) {
    const pid_t child = begin("train " OPENS_SLOWLY "3600 --out never");
    kill(child, SIGTERM);
    doze(1100);
    CHECK(is_running(child));
    kill(child, SIGTERM);
    CHECK_EQ(await_end(child), 1);
    SAYS(err, "the run had not started");
    CHECK_EQ(shell("test -e never >out 2>err"), 1);
}

int main(void) {
    program_open();
    a_signal_while_a_run_starts_is_a_stop();
    a_signal_a_second_later_ends_a_start();
    a_limit_of_processor_time_is_a_stop();
    a_stop_does_not_wait_for_all_updates_of_a_ratio();
    a_stop_does_not_wait_for_a_long_update("off");
    a_stop_does_not_wait_for_a_long_update("on");
    a_second_signal_does_not_undo_the_first();
    a_third_signal_gives_up();
    output_that_nobody_reads_holds_up_nothing();
    a_hangup_that_is_ignored_stays_ignored();
    return program_close();
}
