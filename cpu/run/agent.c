#include "cpu/run/agent.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/run/device.h"
#include "cpu/run/run_folder.h"
#include "cpu/run/saver.h"
#include "envs/multi.h"
#include "envs/registry.h"

/* What the environments were saved with: NULL where there is nothing to compare. */
static void *read_saved_states(vly_checkpoint *c, size_t *bytes) {
    const vly_array *saved = vly_checkpoint_find(c, VLY_TRAIN_POOL);
    if (!saved) return NULL;
    *bytes = vly_array_bytes(saved);
    void *states = malloc(*bytes + 1);
    if (states && vly_checkpoint_read(c, saved->name, saved->dtype, states, *bytes) == VLY_OK)
        return states;
    free(states);
    return NULL;
}

/* The states of a run hold the checksum of the file that drove them. */
static void warn_of_other_files(const vly_agent *a, const vly_agent_options *o) {
    const vly_config *config = &a->config;
    char text[1024];
    size_t bytes;
    const char *file = vly_env_file(config->run.env, config->env.args, &bytes);
    if (!o->say || !file) return;
    size_t state_bytes = 0;
    void *states = read_saved_states(a->checkpoint, &state_bytes);
    if (states && vly_pool_snapshot_valid(&a->env, states, state_bytes) != VLY_OK) {
        snprintf(text, sizeof text,
                 "volley: %.300s was not trained with the %.*s that is there now: %.300s; returns "
                 "may not be comparable",
                 vly_checkpoint_path(a->checkpoint), (int)bytes, file, vly_error_text());
        o->say(o->arg, text);
    }
    free(states);
}

static vly_status find_agent(vly_agent *a, const char *run, const vly_agent_options *o) {
    a->borrowed = o->checkpoint != NULL;
    if (a->borrowed) {
        a->config = *o->config, a->checkpoint = o->checkpoint;
        return VLY_OK;
    }
    VLY_TRY(vly_run_load_config(run, &a->config));
    VLY_TRY(vly_run_open_checkpoint(run, o->best, o->say, o->arg, &a->checkpoint));
    if (o->accept_config) return VLY_OK;
    return vly_run_check_config(run, &a->config, a->checkpoint, o->say, o->arg);
}

vly_status vly_agent_open(vly_agent *a, const char *run, const vly_agent_options *o) {
    memset(a, 0, sizeof *a);
    VLY_TRY(find_agent(a, run, o));
    if (o->adapt) VLY_TRY(o->adapt(o->arg, &a->config));
    vly_env_args args = vly_config_env_args(&a->config);
    VLY_TRY(vly_env_open(&a->env, a->config.run.env, &args));
    a->env_open = true;
    if (o->task) VLY_TRY(vly_multi_begin_at(&a->env, o->task));
    VLY_TRY(vly_device_open(&a->compute, o->device ? o->device : "auto", 0, NULL, 0));
    const vly_train_options t = {.compute = a->compute,
                                 .env = &a->env,
                                 .config = &a->config,
                                 .eval = true,
                                 .greedy = o->greedy,
                                 .eval_actors = o->actors,
                                 .eval_seed = o->seed,
                                 .arg = o->arg,
                                 .on_warning = o->say};
    VLY_TRY(vly_train_create(&a->train, &t));
    VLY_TRY(vly_run_restore(a->checkpoint, a->train, VLY_RESTORE_WEIGHTS));
    warn_of_other_files(a, o);
    return VLY_OK;
}

void vly_agent_close(vly_agent *a) {
    vly_train_destroy(a->train);
    if (a->compute) a->compute->destroy(a->compute);
    if (a->env_open) a->env.close(&a->env);
    if (!a->borrowed) vly_checkpoint_close(a->checkpoint);
    memset(a, 0, sizeof *a);
}

vly_status vly_agent_step(vly_agent *a, vly_agent_moment *m) {
    vly_train_moment now;
    memset(m, 0, sizeof *m);
    VLY_TRY(vly_train_step(a->train, &now));
    if (now.flags & VLY_ROW_RESET) {
        a->score = 0, a->length = 0;
        m->value = NAN;
    } else {
        a->score += now.score, a->length++;
        m->action = now.action, m->value = now.value;
        m->ended = (now.flags & VLY_ROW_GAME_OVER) != 0;
    }
    m->state = now.state;
    m->score = a->score;
    m->length = a->length;
    m->episode = a->episodes;
    a->episodes += m->ended;
    return VLY_OK;
}
