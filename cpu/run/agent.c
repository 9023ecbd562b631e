#include "cpu/run/agent.h"
#include <math.h>
#include <string.h>
#include "cpu/run/device.h"
#include "cpu/train/train_impl.h"
#include "envs/registry.h"

vly_status vly_agent_open(vly_agent *a, const char *run, const vly_agent_options *o, FILE *people) {
    memset(a, 0, sizeof *a);
    VLY_TRY(vly_run_load_config(run, &a->config));
    if (o->adapt) VLY_TRY(o->adapt(o->arg, &a->config));
    VLY_TRY(vly_run_open_checkpoint(run, o->best, people, &a->checkpoint));
    vly_env_args args = vly_config_env_args(&a->config);
    VLY_TRY(vly_env_open(&a->env, a->config.run.env, &args));
    a->env_open = true;
    VLY_TRY(vly_device_open(&a->compute, o->device ? o->device : "auto", 0, NULL, 0));
    const vly_train_options t = {.compute = a->compute,
                                 .env = &a->env,
                                 .config = &a->config,
                                 .eval = true,
                                 .greedy = o->greedy,
                                 .eval_actors = o->actors,
                                 .eval_seed = o->seed};
    VLY_TRY(vly_train_create(&a->train, &t));
    return vly_run_restore(a->checkpoint, a->train);
}

void vly_agent_close(vly_agent *a) {
    vly_train_destroy(a->train);
    if (a->compute) a->compute->destroy(a->compute);
    if (a->env_open) a->env.close(&a->env);
    vly_checkpoint_close(a->checkpoint);
    memset(a, 0, sizeof *a);
}

static void begin_episode(vly_agent *a, vly_agent_moment *m) {
    a->score = 0;
    a->length = 0;
    m->action = -1;
    m->value = NAN;
}

static vly_status first_row(vly_agent *a, vly_agent_moment *m) {
    VLY_TRY(vly_train_first_rows(a->train));
    a->started = true;
    begin_episode(a, m);
    return VLY_OK;
}

static vly_status next_row(vly_agent *a, vly_agent_moment *m) {
    vly_train *t = a->train;
    const int group = 0;
    bool room;
    VLY_TRY(t->algo->discard(t->algo, t->act));
    VLY_TRY(t->algo->act(t->algo, t->act, &group, 1));
    VLY_TRY(t->c->queue_sync(t->act));
    const int32_t *action = t->algo->action(t->algo, 0);
    float value = NAN;
    if (t->algo->value) VLY_TRY(t->algo->value(t->algo, t->act, &value));
    m->action = action[0];
    m->value = (double)value;
    VLY_TRY(vly_train_submit(t, 0, action, &room));
    VLY_TRY(vly_train_wait(t, 0));
    VLY_TRY(vly_train_receive(t, 0));
    const uint8_t flags = t->rows[0].flags[0];
    if (flags & VLY_ROW_RESET) {
        begin_episode(a, m);
        return VLY_OK;
    }
    a->score += (double)t->rows[0].score[0];
    a->length++;
    m->ended = (flags & VLY_ROW_GAME_OVER) != 0;
    return VLY_OK;
}

vly_status vly_agent_step(vly_agent *a, vly_agent_moment *m) {
    memset(m, 0, sizeof *m);
    VLY_TRY(a->started ? next_row(a, m) : first_row(a, m));
    m->state = vly_pool_state(a->train->pool, 0);
    m->score = a->score;
    m->length = a->length;
    m->episode = a->episodes;
    a->episodes += m->ended;
    return VLY_OK;
}
