/* bench_envs.c -- steps per second of the environments on one core.
 *
 *   NAME/step   the batched step of 256 actors with random actions, observations written
 *   NAME/actor, NAME/bare   MuJoCo, where its library is here: bench_mujoco.h
 *   GAME/raw, GAME/obs84   Atari, where its ROM is found: bench_atari.h
 *   NAME/pool   the same through the actor pool, one worker thread, two groups that alternate
 *               (cpu/actors/pool.h; the caller only submits and waits, as a training loop does)
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "benchmarks/bench_atari.h"
#include "benchmarks/bench_mujoco.h"
#include "common/record/bench.h"
#include "cpu/actors/pool.h"
#include "envs/atari/roms.h"
#include "envs/registry.h"
#include "envs/trace.h"

enum { STEP_ACTORS = 256, POOL_ACTORS = 1024, ROUNDS = 16 };

/* Everything a measurement needs: n actors, their rows, and ROUNDS sets of random actions. */
typedef struct {
    vly_env env;
    int n;
    uint8_t *states, *obs, *flags, *actions;
    float *reward, *score;
    vly_pool *pool;
} field;

static vly_rows field_rows(field *f, int first) {
    const vly_rows rows = vly_rows_plain(f->obs, f->env.obs.bytes, f->reward, f->score, f->flags);
    return vly_rows_at(rows, (size_t)first);
}

/* Round k's, from actor `first` on. */
static vly_actions field_actions(const field *f, int k, int first) {
    const vly_actions all = {f->actions, f->env.action.bytes};
    return vly_actions_at(all, (size_t)(k * f->n + first));
}

static void field_close(field *f) {
    if (f->pool) vly_pool_destroy(f->pool);
    free(f->states), free(f->obs), free(f->flags);
    free(f->reward), free(f->score), free(f->actions);
    f->env.close(&f->env);
}

static vly_status field_open(field *f, const char *name, int n) {
    const field none = {.n = n};
    *f = none;
    VLY_TRY(vly_env_open(&f->env, name, NULL));
    const size_t count = (size_t)n, actions = count * ROUNDS;
    f->states = aligned_alloc(64, count * f->env.state_bytes);
    f->obs = aligned_alloc(64, (count * f->env.obs.bytes + 63) / 64 * 64);
    f->flags = malloc(count);
    f->reward = malloc(count * sizeof(float));
    f->score = malloc(count * sizeof(float));
    f->actions = malloc(actions * f->env.action.bytes);
    if (!f->states || !f->obs || !f->flags || !f->reward || !f->score || !f->actions) {
        field_close(f);
        return vly_fail(VLY_ENOMEM, "no memory to measure %s", name);
    }
    for (size_t i = 0; i < actions; i++)
        vly_trace_random(&f->env, 1, i, NULL, f->actions + i * f->env.action.bytes);
    return VLY_OK;
}

static double step_rounds(void *arg) {
    field *f = arg;
    for (int k = 0; k < ROUNDS; k++)
        f->env.step(&f->env, f->states, f->n, field_actions(f, k, 0), field_rows(f, 0));
    return (double)ROUNDS * f->n;
}

static vly_status measure_step(const vly_bench_options *o, const char *name, vly_bench_result *r) {
    field f;
    VLY_TRY(field_open(&f, name, STEP_ACTORS));
    for (int i = 0; i < f.n; i++)
        f.env.reset(&f.env, f.states + (size_t)i * f.env.state_bytes, (uint64_t)i,
                    field_rows(&f, i));
    snprintf(r->params, sizeof r->params, "\"actors\": %d, \"threads\": 1", f.n);
    vly_bench_rate(o, step_rounds, &f, r);
    field_close(&f);
    return VLY_OK;
}

static double pool_rounds(void *arg) {
    field *f = arg;
    const int half = f->n / 2;
    for (int k = 0; k < ROUNDS; k++)
        for (int g = 0; g < 2; g++) {
            vly_pool_wait_group(f->pool, g, -1);
            vly_pool_submit_group(f->pool, g, field_actions(f, k, g * half),
                                  field_rows(f, g * half));
        }
    return (double)ROUNDS * f->n;
}

static vly_status measure_pool(const vly_bench_options *o, const char *name, vly_bench_result *r) {
    field f;
    VLY_TRY(field_open(&f, name, POOL_ACTORS));
    const vly_pool_options options = {.actors = f.n, .groups = 2, .workers = 1, .seed = 1};
    vly_status status = vly_pool_create(&f.pool, NULL, &f.env, &options);
    for (int g = 0; g < 2 && status == VLY_OK; g++)
        status = vly_pool_reset_group(f.pool, g, field_rows(&f, g * f.n / 2));
    if (status == VLY_OK) {
        snprintf(r->params, sizeof r->params, "\"actors\": %d, \"groups\": 2, \"threads\": 1", f.n);
        vly_bench_rate(o, pool_rounds, &f, r);
        for (int g = 0; g < 2; g++) vly_pool_wait_group(f.pool, g, -1);
    }
    field_close(&f);
    return status;
}

static vly_status measure(const vly_bench_options *o, const char *env, const char *what,
                          vly_status (*how)(const vly_bench_options *, const char *,
                                            vly_bench_result *)) {
    vly_bench_result r = {.unit = "steps/s"};
    snprintf(r.name, sizeof r.name, "%s/%s", env, what);
    if (!vly_bench_wanted(o, r.name)) return VLY_OK;
    VLY_TRY(how(o, env, &r));
    if (o->report) o->report(o->arg, &r);
    return VLY_OK;
}

static vly_status check_peer(const vly_bench_options *o) {
    if (!o->vs) return VLY_OK;
    if (strcmp(o->vs, "ale") != 0)
        return vly_fail(VLY_EINVAL, "no peer '%.32s' to compare with: there is ale", o->vs);
    if (!o->env || vly_atari_game_find(o->env)) return VLY_OK;
    return vly_fail(
        VLY_EINVAL,
        "--vs ale compares Atari games: --env pong, or another that `volley ls atari` lists");
}

/* The game that the filter begins with: "breakout", "breakout/raw". */
static const vly_atari_game *filtered_game(const char *filter) {
    for (int i = 0; filter && i < VLY_ATARI_GAMES; i++) {
        const size_t n = strlen(vly_atari_games[i].name);
        if (!strncmp(filter, vly_atari_games[i].name, n) && (!filter[n] || filter[n] == '/'))
            return &vly_atari_games[i];
    }
    return NULL;
}

/* The game that is named, the filter's, or Pong, if its ROM is there. */
static vly_status measure_atari(const vly_bench_options *o) {
    const vly_atari_game *const filtered = o->env ? NULL : filtered_game(o->filter);
    const vly_atari_game *game = filtered ? filtered
                                          : vly_atari_game_find(o->env ? o->env : "pong");
    if (!game) return VLY_OK;
    uint8_t found[VLY_ATARI_GAMES];
    (void)vly_atari_rom_scan(NULL, found);
    if (!o->env && !o->vs && !found[game - vly_atari_games]) {
        fprintf(stderr, "%s is not measured: its ROM is not here (`make roms` fetches it)\n",
                game->name);
        return VLY_OK;
    }
    return vly_bench_atari(o, game);
}

/* One that was named fails by itself, with what to do. */
static bool is_here(const vly_bench_options *o, const vly_env_entry *e) {
    vly_env env;
    if (o->env) return true;
    if (o->filter && strncmp(o->filter, e->name, strlen(e->name)) != 0) return false;
    const bool here = vly_env_open(&env, e->name, NULL) == VLY_OK;
    if (here)
        env.close(&env);
    else
        fprintf(stderr, "%s is not measured: `%s` fetches what it needs\n", e->name,
                vly_env_needs(e));
    return here;
}

vly_status vly_bench_envs(const vly_bench_options *options) {
    const vly_env_entry *e;
    VLY_TRY(check_peer(options));
    int known = options->env && vly_atari_game_find(options->env);
    for (int i = 0; (e = vly_env_list(i)); i++) {
        if (options->env ? strcmp(options->env, e->name) != 0 : options->vs != NULL) continue;
        known = 1;
        if (vly_env_needs(e) && !is_here(options, e)) continue;
        VLY_TRY(measure(options, e->name, "step", measure_step));
        VLY_TRY(measure(options, e->name, "pool", measure_pool));
        if (vly_env_needs(e)) VLY_TRY(vly_bench_mujoco(options, e->name));
    }
    if (options->env && !known)
        return vly_fail(
            VLY_EINVAL,
            "no environment '%.60s' to measure: `volley ls envs` and `volley ls atari` list them",
            options->env);
    return measure_atari(options);
}
