#include "envs/trace.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/crc32.h"
#include "common/base/philox.h"
#include "envs/plugin.h"

/* The one actor and the row that it writes. */
typedef struct {
    const vly_env *env;
    void *state;
    uint8_t *obs;
    float reward, score;
    uint8_t flags;
} actor;

static vly_rows rows_of(actor *a) {
    vly_rows rows = {a->obs, a->env->obs.bytes, &a->reward, &a->score, &a->flags};
    return rows;
}

static size_t values(const vly_obs_spec *obs) {
    size_t n = 1;
    for (int i = 0; i < obs->ndim; i++) n *= (size_t)obs->shape[i];
    return n;
}

static void write_header(FILE *out, const vly_env *env) {
    fputs("step\taction\treward\tterminated\ttruncated", out);
    if (env->states > 0)
        fputs("\tobs0", out);
    else if (env->obs.dtype == VLY_U8)
        fputs("\tobs_crc32\tbits", out);
    else
        for (size_t i = 0; i < values(&env->obs); i++) fprintf(out, "\tobs%zu", i);
    fputc('\n', out);
}

static void write_bits(FILE *out, const vly_obs_spec *obs, const uint8_t *bytes) {
    const int height = obs->ndim == 3 ? obs->shape[0] : 1;
    const int width = obs->ndim == 3 ? obs->shape[1] : obs->shape[0];
    const int channels = obs->ndim == 3 ? obs->shape[2] : 1;
    const char *before = "";
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                if (bytes[((size_t)y * (size_t)width + (size_t)x) * (size_t)channels + (size_t)c]) {
                    fprintf(out, "%s%d,%d,%d", before, c, y, x);
                    before = ";";
                }
}

static void write_floats(FILE *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float value;
        memcpy(&value, bytes + i * sizeof value, sizeof value);
        fprintf(out, "\t%.9g", (double)value);
    }
}

static void write_step(FILE *out, const actor *a, size_t step, int action) {
    const vly_env *env = a->env;
    fprintf(out, "%zu\t%d\t%.9g\t%d\t%d", step, action, (double)a->score,
            (a->flags & VLY_ROW_TERMINATED) != 0, (a->flags & VLY_ROW_TRUNCATED) != 0);
    if (env->states > 0) {
        fprintf(out, "\t%d", env->state_index(env, a->state));
    } else if (env->obs.dtype == VLY_U8) {
        fprintf(out, "\t%08x\t", vly_crc32(0, a->obs, env->obs.bytes));
        write_bits(out, &env->obs, a->obs);
    } else {
        write_floats(out, a->obs, values(&env->obs));
    }
    fputc('\n', out);
}

static vly_status play_actions(FILE *out, actor *a, uint64_t seed, const int32_t *actions,
                               size_t n) {
    const vly_env *env = a->env;
    const int32_t ignored = 0;
    env->reset(env, a->state, seed, rows_of(a));
    for (size_t i = 0; i < n; i++) {
        if (a->flags & VLY_ROW_ENDED) env->step(env, a->state, 1, &ignored, rows_of(a));
        env->step(env, a->state, 1, &actions[i], rows_of(a));
        VLY_TRY(vly_plugin_check(env));
        if (a->flags & VLY_ROW_FAILED)
            return vly_fail(VLY_EPEER, "%s failed at step %zu, action %d", env->name, i,
                            actions[i]);
        write_step(out, a, i, actions[i]);
        if (ferror(out)) break;
    }
    if (ferror(out) || fflush(out) != 0)
        return vly_fail(VLY_EIO, "cannot write the trace: %s", strerror(errno));
    return VLY_OK;
}

vly_status vly_trace_write(FILE *out, const vly_env *env, uint64_t seed, const int32_t *actions,
                           size_t n) {
    for (size_t i = 0; i < n; i++)
        if (actions[i] < 0 || actions[i] >= env->actions)
            return vly_fail(VLY_EINVAL, "action %d at step %zu: %s has actions 0 to %d", actions[i],
                            i, env->name, env->actions - 1);
    actor a = {.env = env};
    a.state = aligned_alloc(64, env->state_bytes);
    a.obs = malloc(env->obs.bytes);
    vly_status status = VLY_ENOMEM;
    if (a.state && a.obs) {
        write_header(out, env);
        status = play_actions(out, &a, seed, actions, n);
    } else {
        vly_fail(status, "no memory to trace %s", env->name);
    }
    free(a.state);
    free(a.obs);
    return status;
}

/* Reads the action of one line, -1 when there is none; fails on anything else. */
static vly_status parse_line(const char *path, size_t line, char *text, int actions,
                             int32_t *action) {
    while (isspace((unsigned char)*text)) text++;
    *action = -1;
    if (!*text || *text == '#') return VLY_OK;
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    while (isspace((unsigned char)*end)) end++;
    if (end == text || *end) {
        text[strcspn(text, "\r\n")] = '\0';
        return vly_fail(VLY_EINVAL, "%s:%zu: '%.40s' is not one action number", path, line, text);
    }
    if (errno || value < 0 || value >= actions)
        return vly_fail(VLY_EINVAL, "%s:%zu: action %.40s is outside 0 to %d", path, line,
                        strtok(text, " \t\r\n"), actions - 1);
    *action = (int32_t)value;
    return VLY_OK;
}

typedef struct {
    int32_t *at;
    size_t n, room;
} list;

static vly_status append(list *l, int32_t action) {
    if (l->n == l->room) {
        const size_t room = l->room ? 2 * l->room : 4096;
        int32_t *more = realloc(l->at, room * sizeof *more);
        if (!more) return vly_fail(VLY_ENOMEM, "no memory for %zu actions", room);
        l->at = more, l->room = room;
    }
    l->at[l->n++] = action;
    return VLY_OK;
}

static vly_status read_lines(FILE *file, const char *path, int actions, list *l) {
    char text[256];
    for (size_t line = 1; fgets(text, sizeof text, file); line++) {
        int32_t action;
        if (!strchr(text, '\n') && !feof(file))
            return vly_fail(VLY_EINVAL, "%s:%zu: the line is longer than %zu characters", path,
                            line, sizeof text - 2);
        VLY_TRY(parse_line(path, line, text, actions, &action));
        if (action >= 0) VLY_TRY(append(l, action));
    }
    if (ferror(file)) return vly_fail(VLY_EIO, "cannot read %s: %s", path, strerror(errno));
    return VLY_OK;
}

vly_status vly_trace_read_actions(const char *path, int actions, int32_t **out, size_t *n) {
    *out = NULL, *n = 0;
    const int standard = !strcmp(path, "-");
    FILE *file = standard ? stdin : fopen(path, "r");
    if (!file) return vly_fail(VLY_ENOTFOUND, "cannot open %s: %s", path, strerror(errno));
    list l = {NULL, 0, 0};
    vly_status status = read_lines(file, path, actions, &l);
    if (!standard) fclose(file);
    if (status == VLY_OK && l.n == 0)
        status = vly_fail(VLY_EINVAL, "%s contains no actions (one number per line)", path);
    if (status != VLY_OK) {
        free(l.at);
        return status;
    }
    *out = l.at, *n = l.n;
    return VLY_OK;
}

int32_t vly_trace_random_action(uint64_t seed, uint64_t step, int actions) {
    return (int32_t)vly_below(vly_philox(seed, VLY_STREAM_TEST, step, 0).v[0], (uint32_t)actions);
}

vly_status vly_trace_random_actions(uint64_t seed, int actions, size_t n, int32_t **out) {
    *out = n <= SIZE_MAX / sizeof **out ? malloc((n ? n : 1) * sizeof **out) : NULL;
    if (!*out) return vly_fail(VLY_ENOMEM, "no memory for %zu actions", n);
    for (size_t i = 0; i < n; i++) (*out)[i] = vly_trace_random_action(seed, i, actions);
    return VLY_OK;
}
