#include "cpu/run/session_impl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    vly_train *train;
    const vly_buffer *buffer;
} restoring;

static vly_status give(void *arg, size_t offset, const void *piece, size_t n) {
    restoring *r = arg;
    vly_buffer part = vly_buffer_part(r->buffer, offset, n);
    return vly_train_write(r->train, &part, piece);
}

typedef enum { RESTORE_ALL, RESTORE_WEIGHTS, RESTORE_SHARED } restore_kind;

/* SHARED: what a rank other than the first takes over; its environments and random numbers stay its
 * own. */
static bool wanted(const vly_buffer *b, restore_kind kind) {
    switch (kind) {
    case RESTORE_WEIGHTS: return b->role == VLY_BUFFER_WEIGHT;
    case RESTORE_SHARED:
        return b->role == VLY_BUFFER_WEIGHT || b->role == VLY_BUFFER_OPTIMIZER ||
               !strcmp(b->name, "train.counters");
    default: return true;
    }
}

static vly_status restore(vly_checkpoint *c, vly_train *t, restore_kind kind) {
    int n = vly_train_buffers(t, NULL, 0);
    vly_buffer *list = calloc((size_t)n + 1, sizeof *list);
    if (!list) return vly_fail(VLY_ENOMEM, "no memory to list %d tensors", n);
    vly_train_buffers(t, list, n);
    vly_status status = VLY_OK;
    for (int i = 0; i < n && status == VLY_OK; i++) {
        restoring r = {t, &list[i]};
        if (!wanted(&list[i], kind)) continue;
        status = vly_checkpoint_stream(c, list[i].name, list[i].dtype, vly_buffer_bytes(&list[i]),
                                       give, &r);
    }
    free(list);
    return status == VLY_OK ? vly_train_restored(t) : status;
}

vly_status vly_run_restore(vly_checkpoint *c, vly_train *t) {
    return restore(c, t, RESTORE_WEIGHTS);
}

bool vly_run_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static void name_bad(void *arg, const char *path, const char *words) {
    (void)path;
    fprintf(arg, "volley: skipped: %s\n", words);
}

static vly_status check_run(const char *run) {
    return access(run, F_OK)
               ? vly_fail(VLY_ENOTFOUND, "there is no run %s; `volley ls runs` lists them", run)
               : VLY_OK;
}

vly_status vly_run_open_checkpoint(const char *run, bool best, FILE *people, vly_checkpoint **out) {
    char path[VLY_PATH];
    VLY_TRY(check_run(run));
    if (!vly_run_is_folder(run)) {
        VLY_TRY(vly_checkpoint_open(out, run));
        vly_status status = vly_checkpoint_verify(*out);
        if (status != VLY_OK) vly_checkpoint_close(*out);
        return status;
    }
    snprintf(path, sizeof path, "%.1200s/checkpoints%s", run, best ? "/best.safetensors" : "");
    if (best) return vly_checkpoint_open(out, path);
    if (!vly_run_is_folder(path))
        return vly_fail(VLY_ENOTFOUND, "%s is not a run: it has no checkpoints", run);
    return vly_checkpoints_open_newest(out, path, name_bad, people);
}

vly_status vly_run_load_config(const char *run, vly_config *config) {
    char path[VLY_PATH];
    VLY_TRY(check_run(run));
    if (vly_run_is_folder(run))
        snprintf(path, sizeof path, "%.1200s/config.yaml", run);
    else { /* RUN/checkpoints/step-N.safetensors */
        snprintf(path, sizeof path, "%.1200s", run);
        char *slash = strrchr(path, '/');
        snprintf(slash ? slash : path, sizeof path - (size_t)(slash ? slash - path : 0),
                 "%s../config.yaml", slash ? "/" : "");
    }
    if (access(path, F_OK))
        return vly_fail(VLY_ENOTFOUND, "%s is not a run: there is no %s", run, path);
    return vly_algo_restore(config, path);
}

vly_status vly_session_restore(vly_session *s, vly_checkpoint *c) {
    int64_t steps;
    const char *env = vly_checkpoint_note_text(c, "env"),
               *best = vly_checkpoint_note_text(c, "best_return");
    if (env && strcmp(env, s->env.name))
        return vly_fail(VLY_EINVAL, "%s is of %s, not of %s", vly_checkpoint_path(c), env,
                        s->env.name);
    VLY_TRY(vly_checkpoint_note_int(c, "steps", &steps));
    VLY_TRY(restore(c, s->train, vly_session_is_first(s) ? RESTORE_ALL : RESTORE_SHARED));
    if (best) s->best_return = strtod(best, NULL);
    snprintf(s->checkpoint, sizeof s->checkpoint, "%s", vly_checkpoint_path(c));
    s->steps_at_start = s->steps_saved = steps;
    return VLY_OK;
}
