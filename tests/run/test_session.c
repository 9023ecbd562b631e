/* A session as a library uses it: no terminal, no signals, nothing printed. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/file.h"
#include "cpu/run/run_folder.h"
#include "cpu/run/session.h"
#include "tests/kit/check.h"

static char folder[64] = "/tmp/volley-session-XXXXXX";

typedef struct {
    vly_session *s;
    int progress, lines, stop_after; /* 0: not stopped */
    char line[2048];                 /* the last */
} listener;

/* A start that takes more than a second says what it is at: test_startup. */
static void on_line(void *arg, const char *text) {
    listener *l = arg;
    if (strncmp(text, "starting: ", 10) == 0) return;
    l->lines++;
    snprintf(l->line, sizeof l->line, "%s", text);
}

static void on_progress(void *arg, vly_metrics *metrics) {
    listener *l = arg;
    CHECK(vly_metrics_get(metrics, VLY_M_STEPS_TOTAL).set);
    if (++l->progress == l->stop_after) vly_session_stop(l->s);
}

static vly_session_callbacks callbacks_of(listener *l) {
    memset(l, 0, sizeof *l);
    return (vly_session_callbacks){.arg = l, .say = on_line, .progress = on_progress};
}

static void give(vly_assignments *given, const char *key, const char *value) {
    CHECK_OK(vly_assignments_add(given, key, value, "test"));
}

static vly_status start(listener *l, const vly_session_callbacks *cb, const char *steps) {
    vly_assignments given = {0};
    char out[128];
    snprintf(out, sizeof out, "%s/run", folder);
    give(&given, "run.env", "cartpole");
    give(&given, "run.out", out);
    give(&given, "run.steps", steps);
    const vly_status status = vly_session_start(&l->s, &given, cb);
    vly_assignments_free(&given);
    return status;
}

static vly_status go_on(listener *l, const vly_session_callbacks *cb, const char *steps) {
    vly_assignments given = {0};
    char run[128];
    snprintf(run, sizeof run, "%s/run/", folder);
    if (steps) give(&given, "run.steps", steps);
    const vly_status status = vly_session_resume(&l->s, run, &given, false, cb);
    vly_assignments_free(&given);
    return status;
}

static void a_run_is_stopped_from_a_callback_and_saved(void) {
    listener l;
    vly_session_info info;
    vly_session_result result;
    const vly_session_callbacks cb = callbacks_of(&l);
    CHECK_OK(start(&l, &cb, "1000000"));
    vly_session_get_info(l.s, &info);
    CHECK_STR(info.env->name, "cartpole");
    CHECK_STR(info.device->kind, "cpu");
    CHECK_STR(info.checkpoint, "");
    CHECK(info.first && !info.page && info.config->run.steps == 1000000);
    l.stop_after = 3;
    CHECK_OK(vly_session_run(l.s, &result));
    CHECK_EQ(result.train.stop, VLY_STOP_INTERRUPTED);
    CHECK_EQ(result.updates, 4); /* the one after which it was asked, and the one that saw it */
    CHECK_STR(l.line, "");
    CHECK_EQ(l.progress, 5); /* once more at the end */
    CHECK(!result.checkpoint_lost && access(result.checkpoint, R_OK) == 0);
    vly_session_get_info(l.s, &info);
    CHECK_STR(info.checkpoint, result.checkpoint);
    vly_session_close(l.s);
}

static void a_folder_holds_one_run(void) {
    listener l;
    const vly_session_callbacks cb = callbacks_of(&l);
    CHECK_EQ(start(&l, &cb, "1000"), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "holds a run already"));
}

/* Between the look at the folder and its lock another run has begun and ended there. */
static void a_run_that_was_quicker_keeps_the_folder(void) {
    static vly_config config;
    static vly_run_folder f;
    const vly_compute_info device = {.name = "none"};
    char path[128];
    CHECK_OK(vly_config_defaults(&config));
    snprintf(config.run.out, sizeof config.run.out, "%s/quick", folder);
    CHECK_OK(vly_run_folder_choose(&f, &config, "cartpole"));
    CHECK_OK(vly_run_folder_claim(&f));
    snprintf(path, sizeof path, "%s/quick/config.yaml", folder);
    CHECK_OK(vly_file_make_folder(config.run.out));
    CHECK_OK(vly_file_replace(path, "theirs", 6));
    CHECK_EQ(vly_run_folder_open(&f, &config, &device), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "holds a run that saved no checkpoint"));
    vly_run_folder_close(&f);
}

static void a_stop_before_the_run_is_not_lost(void) {
    listener l;
    vly_session_result result;
    const vly_session_callbacks cb = callbacks_of(&l);
    CHECK_OK(go_on(&l, &cb, NULL));
    vly_session_stop(l.s);
    CHECK_OK(vly_session_run(l.s, &result));
    CHECK_EQ(result.train.stop, VLY_STOP_INTERRUPTED);
    CHECK_EQ(result.updates, 5);
    vly_session_close(l.s);
}

/* Callbacks may be NULL, and the budget is the whole run's. */
static void a_run_goes_on_without_callbacks(void) {
    listener l = {0};
    vly_session_result result;
    const vly_session_callbacks none = {0};
    CHECK_OK(go_on(&l, &none, "6000"));
    CHECK_OK(vly_session_run(l.s, &result));
    CHECK_EQ(result.train.stop, VLY_STOP_BUDGET);
    CHECK(result.steps >= 6000 && result.updates > 5);
    vly_session_close(l.s);
}

static void damage_newest(void) {
    char path[512], newest[512] = "";
    snprintf(path, sizeof path, "%s/run/checkpoints", folder);
    DIR *dir = opendir(path);
    CHECK(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (!strncmp(e->d_name, "step-", 5) && strcmp(e->d_name, newest) > 0)
            snprintf(newest, sizeof newest, "%s", e->d_name);
    closedir(dir);
    snprintf(path, sizeof path, "%s/run/checkpoints/%.255s", folder, newest);
    CHECK_EQ(truncate(path, 100), 0);
}

static void a_damaged_checkpoint_is_said_and_skipped(void) {
    listener l;
    vly_session_info info;
    const vly_session_callbacks cb = callbacks_of(&l);
    damage_newest();
    CHECK_OK(go_on(&l, &cb, NULL));
    CHECK_EQ(l.lines, 1);
    CHECK(strstr(l.line, "skipped: ") && !strchr(l.line, '\n'));
    vly_session_get_info(l.s, &info);
    CHECK(strstr(info.checkpoint, "/checkpoints/step-"));
    vly_session_close(l.s);
}

static int redirect(int fd, const char *path) {
    const int saved = dup(fd), file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(saved >= 0 && file >= 0 && dup2(file, fd) == fd);
    close(file);
    return saved;
}

static void run_all(void) {
    a_run_is_stopped_from_a_callback_and_saved();
    a_folder_holds_one_run();
    a_run_that_was_quicker_keeps_the_folder();
    a_stop_before_the_run_is_not_lost();
    a_run_goes_on_without_callbacks();
    a_damaged_checkpoint_is_said_and_skipped();
}

static int saved_out = -1, saved_err = -1;

/* After a failed check too: what was printed is copied to standard error. */
static void restore_output(void) {
    char path[128], text[4096];
    if (saved_err < 0) return;
    fflush(stdout);
    dup2(saved_out, STDOUT_FILENO), dup2(saved_err, STDERR_FILENO);
    close(saved_out), close(saved_err);
    saved_out = saved_err = -1;
    snprintf(path, sizeof path, "%s/err", folder);
    FILE *f = fopen(path, "r");
    for (size_t n; f && (n = fread(text, 1, sizeof text, f)) > 0;) fwrite(text, 1, n, stderr);
    if (f) fclose(f);
}

static void nothing_is_printed(void) {
    char out[128], err[128];
    struct stat printed;
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(err, sizeof err, "%s/err", folder);
    saved_out = redirect(STDOUT_FILENO, out), saved_err = redirect(STDERR_FILENO, err);
    run_all();
    restore_output();
    CHECK(stat(out, &printed) == 0 && printed.st_size == 0);
    CHECK(stat(err, &printed) == 0 && printed.st_size == 0);
}

static void configured(const char *env, const char *key, const char *value, vly_config *c) {
    vly_assignments given = {0};
    CHECK_OK(vly_assignments_add(&given, "run.env", env, "ENV"));
    if (key) CHECK_OK(vly_assignments_add(&given, key, value, key));
    CHECK_OK(vly_session_configure(c, &given, NULL));
    CHECK_STR(c->run.env, "pong");
    vly_assignments_free(&given);
}

/* The run's settings say what is played. */
static void what_an_id_sets_stands_under_what_is_given(void) {
    static vly_config c;
    configured("pong", NULL, NULL, &c);
    CHECK_EQ(c.atari.sticky, 0);
    configured("ALE/Pong-v5", NULL, NULL, &c);
    CHECK(c.atari.sticky == 0.25f && c.atari.frame_skip == 4 && c.atari.max_frames == 108000);
    configured("ALE/Pong-v5", "atari.sticky", "0", &c);
    CHECK(c.atari.sticky == 0 && c.atari.max_frames == 108000);
    configured("ALE/Pong-v5", "atari.frame_skip", "2", &c);
    CHECK(c.atari.sticky == 0.25f && c.atari.frame_skip == 2);
    configured("PongNoFrameskip-v4", "atari.sticky", "0.25", &c);
    CHECK(c.atari.sticky == 0.25f && c.atari.frame_skip == 1);
    configured("ALE/Pong-v5", "atari.preset", "machado", &c); /* once the id's were over it */
    CHECK(c.atari.full_actions && c.atari.frame_skip == 5 && c.atari.max_frames == 18000);
    configured("ALE/Pong-v5", "atari.preset", "ale", &c);
    CHECK(c.atari.sticky == 0 && c.atari.frame_skip == 4 && !c.atari.episodic_life);
}

static vly_status configure_list(const char *list, const char *sticky, vly_config *c) {
    vly_assignments given = {0};
    give(&given, "run.env", list);
    if (sticky) give(&given, "atari.sticky", sticky);
    const vly_status status = vly_session_configure(c, &given, NULL);
    vly_assignments_free(&given);
    return status;
}

static void the_ids_of_a_list_set_what_one_would(void) {
    static vly_config c;
    CHECK_OK(configure_list("multi:ALE/Pong-v5,ALE/Breakout-v5", NULL, &c));
    CHECK_STR(c.run.env, "multi:pong,breakout");
    CHECK(c.atari.sticky == 0.25f);
    CHECK_OK(configure_list("multi:ALE/Pong-v5,ALE/Breakout-v5", "0", &c));
    CHECK(c.atari.sticky == 0);
    CHECK_EQ(configure_list("multi:pong,ALE/Breakout-v5", NULL, &c), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "pong and ALE/Breakout-v5 play by different settings"));
    CHECK_OK(configure_list("multi:CartPole-v1,acrobot", NULL, &c));
    CHECK_STR(c.run.env, "multi:CartPole-v1,acrobot");
}

int main(void) {
    CHECK(mkdtemp(folder));
    CHECK_EQ(atexit(restore_output), 0);
    nothing_is_printed();
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    what_an_id_sets_stands_under_what_is_given();
    the_ids_of_a_list_set_what_one_would();
    return system(command) == 0 ? TEST_PASS : TEST_FAIL;
}
