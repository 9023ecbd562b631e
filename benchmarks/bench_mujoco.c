#include "benchmarks/bench_mujoco.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "envs/mujoco/body.h"
#include "envs/registry.h"

enum { STEPS = 2000 };

typedef struct {
    vly_env env;
    const vly_mj_world *world;
    vly_mj_body *body;      /* of the bare loop */
    uint8_t *first, *actor; /* the state at the start, and now */
    uint8_t *obs, *begins;  /* whether step i begins an episode */
    float *actions;         /* (STEPS, nu) */
    double *starts;         /* (STEPS, numbers): mj_getState where begins[i] */
    float reward, score;
    uint8_t flags;
} replay;

static vly_rows replay_row(replay *r) {
    return vly_rows_plain(r->obs, r->env.obs.bytes, &r->reward, &r->score, &r->flags);
}

static void step_actor(replay *r, int i) {
    const vly_actions action = {r->actions + (size_t)i * (size_t)r->env.action.count,
                                r->env.action.bytes};
    r->env.step(&r->env, r->actor, 1, action, replay_row(r));
}

static double actor_pass(void *arg) {
    replay *r = arg;
    memcpy(r->actor, r->first, r->env.state_bytes);
    for (int i = 0; i < STEPS; i++) step_actor(r, i);
    return STEPS;
}

/* Positions and speeds follow the time. */
static void begin_bare(const replay *r, const double *numbers) {
    const vly_mj_world *w = r->world;
    w->mj.reset_data(w->model, r->body->data);
    w->mj.set_state(w->model, r->body->data, numbers + 1, VLY_MJ_QPOS | VLY_MJ_QVEL);
    w->mj.forward(w->model, r->body->data);
}

static double bare_pass(void *arg) {
    replay *r = arg;
    const vly_mj_world *w = r->world;
    const int nu = w->task->nu, numbers = w->state_numbers;
    begin_bare(r, vly_mujoco_numbers(r->first));
    for (int i = 0; i < STEPS; i++) {
        if (r->begins[i]) {
            begin_bare(r, r->starts + (size_t)i * (size_t)numbers);
            continue;
        }
        for (int k = 0; k < nu; k++) r->body->ctrl[k] = (double)r->actions[i * nu + k];
        for (int k = 0; k < w->task->frame_skip; k++) w->mj.step(w->model, r->body->data);
    }
    return STEPS;
}

static void draw_actions(replay *r) {
    for (int i = 0; i < STEPS * r->env.action.count; i++) {
        const vly_bounds *b = &r->env.action.bounds[i % r->env.action.count];
        const float u = vly_unit(vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0).v[0]);
        r->actions[i] = (float)(b->low + (b->high - b->low) * (double)u);
    }
}

/* Where episodes begin, and that the bare loop is the same simulation to the last bit. */
static vly_status record_and_compare(replay *r) {
    const size_t numbers = (size_t)r->world->state_numbers;
    double last[128];
    memcpy(r->actor, r->first, r->env.state_bytes);
    for (int i = 0; i < STEPS; i++) {
        step_actor(r, i);
        r->begins[i] = (r->flags & VLY_ROW_RESET) != 0;
        if (r->begins[i])
            memcpy(r->starts + (size_t)i * numbers, vly_mujoco_numbers(r->actor),
                   numbers * sizeof(double));
    }
    (void)bare_pass(r);
    r->world->mj.get_state(r->world->model, r->body->data, last, r->world->state_bits);
    if (memcmp(last, vly_mujoco_numbers(r->actor), numbers * sizeof(double)) == 0) return VLY_OK;
    return vly_fail(VLY_ENUMERIC, "%s: the bare loop is another simulation", r->env.name);
}

static vly_status replay_open(replay *r, const char *name) {
    VLY_TRY(vly_env_open(&r->env, name, NULL));
    vly_mj_world *w = r->env.world;
    r->world = w, r->body = vly_mj_body_take(w);
    r->first = aligned_alloc(64, r->env.state_bytes);
    r->actor = aligned_alloc(64, r->env.state_bytes);
    r->obs = malloc(r->env.obs.bytes), r->begins = malloc(STEPS);
    r->actions = malloc(STEPS * r->env.action.bytes);
    r->starts = malloc(STEPS * (size_t)w->state_numbers * sizeof *r->starts);
    if (!r->body || !r->first || !r->actor || !r->obs || !r->begins || !r->actions || !r->starts)
        return vly_fail(VLY_ENOMEM, "no memory to measure %s", name);
    draw_actions(r);
    r->env.reset(&r->env, r->first, 1, replay_row(r));
    return record_and_compare(r);
}

static void replay_close(replay *r) {
    if (!r->env.world) return;
    if (r->body) vly_mj_body_give(r->env.world, r->body);
    r->env.close(&r->env);
    free(r->first), free(r->actor), free(r->obs), free(r->begins), free(r->actions);
    free(r->starts);
}

vly_status vly_bench_mujoco(const vly_bench_options *o, const char *name) {
    static const struct {
        const char *what;
        vly_bench_fn pass;
    } loops[] = {{"actor", actor_pass}, {"bare", bare_pass}};
    for (int i = 0; i < 2; i++) {
        vly_bench_result result = {.unit = "steps/s", .verified = STEPS};
        snprintf(result.name, sizeof result.name, "%s/%s", name, loops[i].what);
        if (!vly_bench_wanted(o, result.name)) continue;
        replay r = {.reward = 0};
        const vly_status status = replay_open(&r, name);
        if (status == VLY_OK) {
            snprintf(result.params, sizeof result.params,
                     "\"actors\": 1, \"threads\": 1, \"mujoco\": \"%s\"", r.world->mj.layout->name);
            vly_bench_rate(o, loops[i].pass, &r, &result);
        }
        replay_close(&r);
        VLY_TRY(status);
        if (o->report) o->report(o->arg, &result);
    }
    return VLY_OK;
}
