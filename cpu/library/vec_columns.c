#include <stdbool.h>
#include <string.h>
#include "cpu/library/vec_impl.h"
#include "envs/atari/atari.h"
#include "envs/atari/drift.h"

enum { RAM_BYTES = 128, ATARI_NUMBERS = 3 /* lives, frames of all and of the episode */ };

static void add_info_column(vly_vec *v, vec_column_kind kind, const char *name, int32_t type,
                            int32_t count, int info) {
    v->columns[v->column_count++] = (vec_column){kind, info, name, type, count};
}

static bool has_column(const vly_vec *v, const char *name) {
    for (int i = 0; i < v->column_count; i++)
        if (!strcmp(v->columns[i].name, name)) return true;
    return false;
}

/* Those from number `first` on. */
static vly_status add_own_columns(vly_vec *v, int first) {
    v->own_column = v->column_count;
    for (int i = first; i < v->env.info_count; i++) {
        const char *name = v->env.info_names[i];
        if (has_column(v, name))
            return vly_fail(VLY_EINVAL,
                            "%s: its number '%.64s' has the name of a column that vectors have: "
                            "give it another name",
                            v->env.name, name);
        add_info_column(v, VEC_INFO, name, VLY_TYPE_F64, 1, i);
    }
    return VLY_OK;
}

/* Instead of the game's own numbers, which are the first. */
static int add_atari_columns(vly_vec *v) {
    add_info_column(v, VEC_LIVES, "lives", VLY_TYPE_I32, 1, 0);
    add_info_column(v, VEC_FRAME_NUMBER, "frame_number", VLY_TYPE_I32, 1, 0);
    add_info_column(v, VEC_EPISODE_FRAME_NUMBER, "episode_frame_number", VLY_TYPE_I32, 1, 0);
    add_info_column(v, VEC_RAM, "ram", VLY_TYPE_U8, RAM_BYTES, 0);
    return ATARI_NUMBERS;
}

vly_status vec_choose_columns(vly_vec *v) {
    add_info_column(v, VEC_ELAPSED_STEP, "elapsed_step", VLY_TYPE_I32, 1, 0);
    add_info_column(v, VEC_SCORE, "score", VLY_TYPE_F32, 1, 0);
    add_info_column(v, VEC_GAME_OVER, "game_over", VLY_TYPE_U8, 1, 0);
    if (v->env.masked) add_info_column(v, VEC_MASK, "action_mask", VLY_TYPE_U8, v->env.action.n, 0);
    if (v->players > 1) add_info_column(v, VEC_IDLE, "idle", VLY_TYPE_U8, 1, 0);
    const bool atari = vly_atari_is(&v->env) || vly_atari_drift_is(&v->env);
    return add_own_columns(v, atari ? add_atari_columns(v) : 0);
}

/* ---- rows `from` .. `from` + n - 1 into row `row` of a caller's array, and on ---- */

static void write_numbers_of_envs(const vly_vec *v, const int32_t *number, int from, int n,
                                  int32_t *to) {
    if (v->players == 1) memcpy(to, number + from, (size_t)n * sizeof *to);
    for (int i = 0; i < n && v->players > 1; i++) to[i] = number[(from + i) / v->players];
}

static void write_game_over(const uint8_t *flags, int n, uint8_t *to) {
    for (int i = 0; i < n; i++)
        to[i] = (flags[i] & (VLY_ROW_GAME_OVER | VLY_ROW_TRUNCATED)) == VLY_ROW_GAME_OVER;
}

static void write_idle(const uint8_t *flags, int n, uint8_t *to) {
    for (int i = 0; i < n; i++) to[i] = (flags[i] & VLY_ROW_IDLE) != 0;
}

static bool wants_own_columns(const vly_vec *v, void *const *column) {
    for (int k = v->own_column; k < v->column_count; k++)
        if (column[k]) return true;
    return false;
}

/* One call of the environment for all its numbers: they may be dear. */
static void write_own_columns(const vly_vec *v, int from, int row, int n, void *const *column) {
    double numbers[VLY_ENV_INFO_MAX] = {0};
    if (!wants_own_columns(v, column)) return;
    for (int i = 0; i < n; i++) {
        const int env = (from + i) / v->players;
        if (i == 0 || env != (from + i - 1) / v->players)
            v->env.info(&v->env, vec_state(v, env), numbers);
        for (int k = v->own_column; k < v->column_count; k++)
            if (column[k]) ((double *)column[k])[row + i] = numbers[v->columns[k].info];
    }
}

static vly_atari_view look_at(const vly_vec *v, int env) {
    const void *state = vec_state(v, env);
    const vly_env *game = vly_atari_drift_inner(&v->env, &state);
    return vly_atari_look(game, state);
}

static void write_atari_column(const vly_vec *v, vec_column_kind kind, int from, int n, void *to) {
    int32_t *number = to;
    for (int i = 0; i < n; i++) {
        const vly_atari_view view = look_at(v, from + i);
        switch (kind) {
        case VEC_LIVES: number[i] = view.lives; break;
        case VEC_FRAME_NUMBER: number[i] = view.frames; break;
        case VEC_EPISODE_FRAME_NUMBER: number[i] = view.episode_frames; break;
        default: memcpy((uint8_t *)to + (size_t)i * RAM_BYTES, view.ram, RAM_BYTES);
        }
    }
}

static void write_column(const vly_vec *v, const vec_column *c, int from, int row, int n,
                         void *to) {
    const uint8_t *flags = v->flags + from;
    const size_t count = (size_t)c->count;
    uint8_t *byte = (uint8_t *)to + (size_t)row * count;
    switch (c->kind) {
    case VEC_ELAPSED_STEP:
        write_numbers_of_envs(v, v->elapsed, from, n, (int32_t *)to + row);
        break;
    case VEC_SCORE: memcpy((float *)to + row, v->score + from, (size_t)n * sizeof(float)); break;
    case VEC_GAME_OVER: write_game_over(flags, n, byte); break;
    case VEC_MASK: memcpy(byte, v->mask + (size_t)from * count, (size_t)n * count); break;
    case VEC_IDLE: write_idle(flags, n, byte); break;
    case VEC_RAM: write_atari_column(v, c->kind, from, n, byte); break;
    default: write_atari_column(v, c->kind, from, n, (int32_t *)to + row);
    }
}

void vec_write_columns(const vly_vec *v, int from, int row, int n, void *const *column) {
    for (int i = 0; i < v->own_column; i++)
        if (column[i]) write_column(v, &v->columns[i], from, row, n, column[i]);
    write_own_columns(v, from, row, n, column);
}

size_t vec_column_bytes(const vec_column *c) {
    const size_t one = c->type == VLY_TYPE_F64 ? 8 : c->type == VLY_TYPE_U8 ? 1 : 4;
    return one * (size_t)c->count;
}

int vly_vec_column(const vly_vec *v, int i, vly_column *out) {
    if (!v || !out || out->bytes < sizeof *out)
        return vly_fail(VLY_EINVAL, "vly_column needs its size in `bytes`");
    if (i < 0 || i >= v->column_count)
        return vly_fail(VLY_ENOTFOUND, "%s has no column %d", v->env.name, i);
    const vec_column *c = &v->columns[i];
    *out = (vly_column){out->bytes, c->name, c->type, c->count};
    return VLY_OK;
}
