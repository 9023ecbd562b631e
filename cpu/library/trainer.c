/* A session on a thread of its own, which waits between the iterations that the caller asks for. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/base/text.h"
#include "cpu/library/words.h"
#include "cpu/run/session.h"
#include "envs/hosted.h"
#include "include/volley.h"

typedef enum { TRAINER_OPENING, TRAINER_WAITS, TRAINER_RUNS, TRAINER_ENDED } trainer_state;

struct vly_trainer {
    vly_assignments given;
    char run[VLY_PATH]; /* to resume; "" for a new one */
    vly_host_step host; /* steps the environments; NULL: they are the library's */
    void *host_arg;
    vly_session *session;
    pthread_t thread;
    pid_t process;
    atomic_flag busy;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* From here on under the lock. */
    trainer_state state;
    bool quit, save;
    int64_t until_steps, until_ns; /* the iteration ends when both are reached */
    int64_t saves;
    vly_status status;
    char words[1024];
    char folder[VLY_PATH], checkpoint[VLY_PATH];
    vly_report report;
    vly_metric metrics[VLY_METRICS_MAX];
    int metric_count;
    vly_text said;
};

/* ---- on the session's thread ---- */

static void trainer_say(void *arg, const char *text) {
    enum { SAID_MOST = 1 << 16 };
    vly_trainer *t = arg;
    pthread_mutex_lock(&t->lock);
    if (t->said.n < SAID_MOST) vly_text_add(&t->said, "%s\n", text);
    pthread_mutex_unlock(&t->lock);
}

static void keep_report(vly_trainer *t, const vly_train_report *r) {
    vly_session_info info;
    vly_session_get_info(t->session, &info);
    const size_t bytes = t->report.bytes;
    t->report = (vly_report){.bytes = bytes,
                             .steps = r->total_steps,
                             .updates = r->updates,
                             .episodes = r->episodes,
                             .return_mean_100 = r->return_mean_100,
                             .length_mean_100 = r->length_mean_100,
                             .wall_s = r->wall_s,
                             .steps_per_s = r->steps_per_s,
                             .frames_per_s = r->steps_per_s * info.env->frames_per_step};
    t->metric_count = r->metric_count;
    memcpy(t->metrics, r->metrics, (size_t)r->metric_count * sizeof *t->metrics);
    snprintf(t->checkpoint, sizeof t->checkpoint, "%s", info.checkpoint);
}

/* After every update: the iteration goes on, or the thread waits for the next. */
static int trainer_updated(void *arg, const vly_train_report *report) {
    vly_trainer *t = arg;
    pthread_mutex_lock(&t->lock);
    keep_report(t, report);
    const bool enough = report->total_steps >= t->until_steps && vly_now_ns() >= t->until_ns;
    if (enough && !t->save) { /* a checkpoint that is asked for is written first */
        t->state = TRAINER_WAITS;
        pthread_cond_broadcast(&t->changed);
    }
    while (t->state == TRAINER_WAITS && !t->quit) pthread_cond_wait(&t->changed, &t->lock);
    const int flags = (t->save ? VLY_TRAIN_SAVE : 0) | (t->quit ? VLY_TRAIN_STOP : 0);
    t->saves += t->save;
    t->save = false;
    pthread_mutex_unlock(&t->lock);
    return flags;
}

static int step_host(void *arg, const vly_hosted_batch *b) {
    const vly_trainer *t = arg;
    const vly_host_batch batch = {.bytes = sizeof batch,
                                  .n = b->n,
                                  .env = b->number,
                                  .seed = b->seed,
                                  .action = b->action,
                                  .observation = b->observation,
                                  .reward = b->reward,
                                  .terminated = b->terminated,
                                  .truncated = b->truncated,
                                  .mask = b->mask,
                                  .name = b->name,
                                  .description = b->description};
    return t->host(t->host_arg, &batch);
}

/* Every opening of a run is a part of its own: environments are not saved with it. */
static vly_status trainer_opened(void *arg, vly_env *env) {
    vly_trainer *t = arg;
    const uint64_t part = t->run[0] ? (uint64_t)vly_now_ns() : 0;
    const vly_hosted_rules rules = {step_host, t, part};
    return t->host ? vly_hosted_attach(env, &rules) : VLY_OK;
}

static vly_status open_session(vly_trainer *t) {
    const vly_session_callbacks callbacks = {
        .arg = t, .opened = trainer_opened, .say = trainer_say, .updated = trainer_updated};
    return t->run[0] ? vly_session_resume(&t->session, t->run, &t->given, false, &callbacks)
                     : vly_session_start(&t->session, &t->given, &callbacks);
}

static void set_trainer_state(vly_trainer *t, trainer_state state) {
    pthread_mutex_lock(&t->lock);
    t->state = state;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* Under the lock, or before anyone else looks. */
static void keep_status(vly_trainer *t, vly_status status) {
    t->status = status;
    if (status != VLY_OK) snprintf(t->words, sizeof t->words, "%s", vly_error_text());
}

/* Until the first iteration is asked for; false: close instead. */
static bool wait_for_start(vly_trainer *t) {
    pthread_mutex_lock(&t->lock);
    while (t->state == TRAINER_WAITS && !t->quit) pthread_cond_wait(&t->changed, &t->lock);
    const bool go = !t->quit;
    pthread_mutex_unlock(&t->lock);
    return go;
}

static void run_session_to_end(vly_trainer *t) {
    vly_session_result result;
    const vly_status status = vly_session_run(t->session, &result);
    pthread_mutex_lock(&t->lock);
    keep_report(t, &result.train.report);
    t->report.stop = result.train.stop;
    snprintf(t->checkpoint, sizeof t->checkpoint, "%s", result.checkpoint);
    keep_status(t, status);
    pthread_mutex_unlock(&t->lock);
}

/* From here on nobody stops it. */
static void close_session(vly_trainer *t) {
    pthread_mutex_lock(&t->lock);
    vly_session *session = t->session;
    t->session = NULL;
    pthread_mutex_unlock(&t->lock);
    vly_session_close(session);
}

static void *trainer_main(void *arg) {
    vly_trainer *t = arg;
    vly_session_info info;
    const vly_status status = open_session(t);
    if (status != VLY_OK) {
        keep_status(t, status);
        set_trainer_state(t, TRAINER_ENDED);
        return NULL;
    }
    vly_session_get_info(t->session, &info);
    snprintf(t->folder, sizeof t->folder, "%s", info.folder);
    snprintf(t->checkpoint, sizeof t->checkpoint, "%s", info.checkpoint);
    t->report.steps = info.steps_at_start;
    set_trainer_state(t, TRAINER_WAITS);
    if (wait_for_start(t)) run_session_to_end(t);
    close_session(t);
    set_trainer_state(t, TRAINER_ENDED);
    return NULL;
}

/* ---- opening and closing ---- */

static vly_status start_trainer_thread(vly_trainer *t) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    const int error = vly_words_thread(&t->thread, trainer_main, t);
    return error ? vly_fail(VLY_ENOMEM, "cannot start a thread for training: %s", strerror(error))
                 : VLY_OK;
}

static void free_trainer(vly_trainer *t) {
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    vly_assignments_free(&t->given);
    vly_text_free(&t->said);
    free(t);
}

static vly_status give_assignment(void *arg, const char *key, const char *value) {
    vly_trainer *t = arg;
    char where[96];
    snprintf(where, sizeof where, "--%s", key);
    return vly_assignments_add(&t->given, key, value, where);
}

/* Waits until the session is opened; an error then ends the thread. */
static vly_status await_opening(vly_trainer *t) {
    pthread_mutex_lock(&t->lock);
    while (t->state == TRAINER_OPENING) pthread_cond_wait(&t->changed, &t->lock);
    const vly_status status = t->status;
    pthread_mutex_unlock(&t->lock);
    return status == VLY_OK ? VLY_OK : vly_fail(status, "%s", t->words);
}

static vly_status create_trainer(vly_trainer **out, const char *run, const char *options,
                                 vly_host_step host, void *host_arg) {
    if (!out) return vly_fail(VLY_EINVAL, "nowhere to put the trainer");
    *out = NULL;
    vly_trainer *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "no memory for a trainer");
    t->process = getpid();
    t->host = host, t->host_arg = host_arg;
    atomic_flag_clear(&t->busy);
    if (run) snprintf(t->run, sizeof t->run, "%s", run);
    vly_status status = vly_words_read(options, give_assignment, t);
    if (status == VLY_OK) status = start_trainer_thread(t);
    if (status != VLY_OK) {
        vly_assignments_free(&t->given);
        free(t);
        return status;
    }
    status = await_opening(t);
    if (status != VLY_OK) {
        pthread_join(t->thread, NULL);
        free_trainer(t);
        return status;
    }
    *out = t;
    return VLY_OK;
}

int vly_trainer_open(vly_trainer **out, const char *run, const char *options) {
    return create_trainer(out, run, options, NULL, NULL);
}

int vly_trainer_open_hosted(vly_trainer **out, const char *run, const char *options,
                            vly_host_step step, void *arg) {
    if (!step) return vly_fail(VLY_EINVAL, "a hosted environment without a function that steps it");
    return create_trainer(out, run, options, step, arg);
}

void vly_trainer_close(vly_trainer *t) {
    if (!t || t->process != getpid()) return;
    pthread_mutex_lock(&t->lock);
    t->quit = true;
    if (t->state == TRAINER_RUNS && t->session) vly_session_stop(t->session);
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    free_trainer(t);
}

/* ---- calls ---- */

static vly_status enter_trainer(vly_trainer *t) {
    if (!t) return vly_fail(VLY_EINVAL, "no trainer: it was closed, or never opened");
    if (t->process != getpid())
        return vly_fail(VLY_EINVAL, "this trainer belongs to process %d, which forked",
                        (int)t->process);
    if (atomic_flag_test_and_set(&t->busy))
        return vly_fail(VLY_EINVAL, "another thread is in a call with this trainer: one at a time");
    return VLY_OK;
}

static int leave_trainer(vly_trainer *t, vly_status status) {
    atomic_flag_clear(&t->busy);
    return status;
}

/* Under the lock: until the thread waits or has ended. */
static vly_status await_pause(vly_trainer *t, int timeout_ms) {
    const int64_t until = vly_now_ns() + (int64_t)timeout_ms * 1000000;
    const struct timespec at = {until / 1000000000, until % 1000000000};
    while (t->state == TRAINER_RUNS) {
        if (timeout_ms < 0)
            pthread_cond_wait(&t->changed, &t->lock);
        else if (pthread_cond_timedwait(&t->changed, &t->lock, &at) == ETIMEDOUT)
            return vly_fail(VLY_ETIMEOUT, "the iteration is not done after %d ms", timeout_ms);
    }
    return t->status == VLY_OK ? VLY_OK : vly_fail(t->status, "%s", t->words);
}

static vly_status copy_report(const vly_trainer *t, vly_report *out) {
    const size_t bytes = out->bytes;
    *out = t->report;
    out->bytes = bytes;
    return VLY_OK;
}

static vly_status check_report(const vly_report *out) {
    return out && out->bytes >= sizeof *out
               ? VLY_OK
               : vly_fail(VLY_EINVAL, "vly_report needs its size in `bytes`");
}

static vly_status train_iteration(vly_trainer *t, int64_t steps, int timeout_ms, vly_report *out) {
    VLY_TRY(check_report(out));
    if (steps < 0) return vly_fail(VLY_EINVAL, "%lld steps", (long long)steps);
    pthread_mutex_lock(&t->lock);
    if (t->state == TRAINER_WAITS) {
        const int64_t most = INT64_MAX - t->report.steps;
        t->until_steps = steps ? t->report.steps + (steps < most ? steps : most) : 0;
        t->until_ns = steps ? 0 : vly_now_ns() + 1000000000;
        t->state = TRAINER_RUNS;
        pthread_cond_broadcast(&t->changed);
    }
    vly_status status = await_pause(t, timeout_ms);
    if (status == VLY_OK) status = copy_report(t, out);
    pthread_mutex_unlock(&t->lock);
    return status;
}

int vly_trainer_train(vly_trainer *t, int64_t steps, int timeout_ms, vly_report *out) {
    VLY_TRY(enter_trainer(t));
    return leave_trainer(t, train_iteration(t, steps, timeout_ms, out));
}

static vly_status read_report(vly_trainer *t, vly_report *out) {
    VLY_TRY(check_report(out));
    pthread_mutex_lock(&t->lock);
    const vly_status status = copy_report(t, out);
    pthread_mutex_unlock(&t->lock);
    return status;
}

int vly_trainer_report(vly_trainer *t, vly_report *out) {
    VLY_TRY(enter_trainer(t));
    return leave_trainer(t, read_report(t, out));
}

int vly_trainer_metric(vly_trainer *t, int i, const char **name, double *value) {
    VLY_TRY(enter_trainer(t));
    pthread_mutex_lock(&t->lock);
    const bool there = name && value && i >= 0 && i < t->metric_count;
    if (there) *name = t->metrics[i].name, *value = t->metrics[i].value;
    pthread_mutex_unlock(&t->lock);
    return leave_trainer(t, there ? VLY_OK : vly_fail(VLY_ENOTFOUND, "no metric number %d", i));
}

/* The trainer saves where nothing is in flight, which is at the latest after one more update. */
static vly_status save_trainer(vly_trainer *t) {
    pthread_mutex_lock(&t->lock);
    vly_status status = VLY_OK;
    if (t->state == TRAINER_WAITS && t->report.updates == 0 && !t->checkpoint[0])
        status = vly_fail(VLY_EINVAL, "nothing was trained yet: there is nothing to save");
    if (status == VLY_OK && t->state != TRAINER_ENDED) {
        t->save = true;
        t->until_steps = 0, t->until_ns = 0;
        t->state = TRAINER_RUNS;
        pthread_cond_broadcast(&t->changed);
        status = await_pause(t, -1);
    }
    if (status == VLY_OK && !t->checkpoint[0])
        status = vly_fail(VLY_EIO, "no checkpoint was written: %s",
                          t->said.at ? t->said.at : "the run does not save");
    pthread_mutex_unlock(&t->lock);
    return status;
}

int vly_trainer_save(vly_trainer *t) {
    VLY_TRY(enter_trainer(t));
    return leave_trainer(t, save_trainer(t));
}

/* From any thread, during another call too. */
int vly_trainer_stop(vly_trainer *t) {
    if (!t || t->process != getpid()) return vly_fail(VLY_EINVAL, "no trainer");
    pthread_mutex_lock(&t->lock);
    t->quit = true;
    if (t->state == TRAINER_RUNS && t->session) vly_session_stop(t->session);
    if (t->state == TRAINER_WAITS && t->report.updates > 0) t->state = TRAINER_RUNS;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return VLY_OK;
}

const char *vly_trainer_folder(const vly_trainer *t) {
    return t ? t->folder : NULL;
}

/* The run writes its own at any update, so a thread is told a copy. In a forked child nobody writes,
 * and the lock may be another's. */
const char *vly_trainer_checkpoint(const vly_trainer *t) {
    static _Thread_local char told[VLY_PATH];
    if (!t || t->process != getpid()) return t ? t->checkpoint : NULL;
    pthread_mutex_t *lock = &((vly_trainer *)(uintptr_t)t)->lock;
    pthread_mutex_lock(lock);
    memcpy(told, t->checkpoint, sizeof told);
    pthread_mutex_unlock(lock);
    return told;
}

static vly_status take_said(vly_trainer *t, char *text, size_t bytes) {
    if (!text || !bytes) return vly_fail(VLY_EINVAL, "nowhere to put the lines");
    pthread_mutex_lock(&t->lock);
    snprintf(text, bytes, "%s", t->said.at && !t->said.failed ? t->said.at : "");
    vly_text_clear(&t->said);
    pthread_mutex_unlock(&t->lock);
    return VLY_OK;
}

int vly_trainer_said(vly_trainer *t, char *text, size_t bytes) {
    VLY_TRY(enter_trainer(t));
    return leave_trainer(t, take_said(t, text, bytes));
}
