#include "cpu/run/session_impl.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/base/clock.h"
#include "cpu/machine/system.h"

static vly_status fetch(void *arg, int i, size_t offset, void *to, size_t bytes) {
    vly_session *s = arg;
    vly_buffer part = vly_buffer_part(&s->buffers[i], offset, bytes);
    return vly_train_read(s->saving, &part, to);
}

vly_status vly_session_list_tensors(vly_session *s) {
    int n = vly_train_buffers(s->train, NULL, 0);
    s->buffers = calloc((size_t)n + 1, sizeof *s->buffers);
    s->tensors = calloc((size_t)n + 1, sizeof *s->tensors);
    if (!s->buffers || !s->tensors) return vly_fail(VLY_ENOMEM, "no memory to list %d tensors", n);
    vly_train_buffers(s->train, s->buffers, n);
    for (int i = 0; i < n; i++) {
        const vly_buffer *b = &s->buffers[i];
        if (b->role == VLY_BUFFER_REPLAY && !s->config.checkpoint.replay) continue;
        vly_array *t = &s->tensors[s->tensor_count];
        snprintf(t->name, sizeof t->name, "%s", b->name);
        t->dtype = b->dtype, t->ndim = b->ndim, t->state = true,
        t->weight = b->role == VLY_BUFFER_WEIGHT;
        memcpy(t->shape, b->shape, sizeof t->shape);
        t->data = b->device ? NULL : b->data;
        s->buffers[s->tensor_count++] = *b;
    }
    return VLY_OK;
}

__attribute__((format(printf, 4, 5))) static void note(vly_session *s, int *n, const char *name,
                                                       const char *format, ...) {
    vly_note *v = &s->notes[(*n)++];
    va_list args;
    va_start(args, format);
    vsnprintf(v->value, sizeof v->value, format, args);
    va_end(args);
    v->state = name[0] == '*'; /* decides how training goes on */
    snprintf(v->name, sizeof v->name, "%s", name + v->state);
}

static int write_notes(vly_session *s, const vly_train_report *r) {
    int n = 0;
    char when[40];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    note(s, &n, "*env", "%s", s->env.name);
    note(s, &n, "*config", "%016" PRIx64, vly_algo_config_hash(&s->config));
    note(s, &n, "algo", "%s", s->config.run.algo);
    note(s, &n, "seed", "%lld", (long long)s->config.run.seed);
    note(s, &n, "steps", "%lld", (long long)r->total_steps);
    note(s, &n, "updates", "%lld", (long long)r->updates);
    note(s, &n, "episodes", "%lld", (long long)r->episodes);
    note(s, &n, "return_mean_100", "%.9g", r->return_mean_100);
    note(s, &n, "best_return", "%.9g", s->best_return);
    note(s, &n, "time", "%s", when);
    note(s, &n, "commit", "%s", vly_system_commit());
    return n;
}

/* A checkpoint that cannot be written does not end the run: the one before stays, and everybody
 * hears of it. */
vly_status vly_session_on_save(void *arg, vly_train *t) {
    vly_session *s = arg;
    double begun = vly_now_s();
    vly_train_report r;
    vly_train_get_report(t, &r);
    bool best = r.window >= 20 && r.return_mean_100 > s->best_return;
    if (best) s->best_return = r.return_mean_100;
    s->saving = t;
    vly_checkpoint_data data = {.tensors = s->tensors,
                                .tensor_count = s->tensor_count,
                                .notes = s->notes,
                                .note_count = write_notes(s, &r),
                                .fetch = fetch,
                                .arg = s};
    char path[VLY_PATH];
    vly_status status = vly_checkpoints_save(s->checkpoints, r.total_steps,
                                             s->config.checkpoint.keep, best, &data, path, NULL);
    s->save_failed = status != VLY_OK;
    if (status == VLY_OK) {
        vly_metrics_count(s->metrics, VLY_M_CHECKPOINTS, 1);
        snprintf(s->checkpoint, sizeof s->checkpoint, "%s", path);
    } else {
        vly_metrics_count(s->metrics, VLY_M_CHECKPOINT_FAILURES, 1);
        snprintf(s->save_words, sizeof s->save_words, "%s", vly_error_text());
        char words[2048];
        snprintf(words, sizeof words, "volley: checkpoint not saved: %s; %s%s", s->save_words,
                 s->checkpoint[0] ? "the one before stays: " : "", s->checkpoint);
        vly_status_line_say(s->line, words);
    }
    double took = vly_now_s() - begun;
    s->save_s += took;
    s->last_save = r.wall_s + took;
    s->steps_saved = r.total_steps;
    vly_metrics_set(s->metrics, VLY_M_CHECKPOINT_SECONDS, took);
    return VLY_OK;
}
