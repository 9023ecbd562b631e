#include "cpu/fleet/apex.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/base/philox.h"
#include "cpu/fleet/shard.h"
#include "cpu/fleet/weights.h"

enum { WAIT_MS = 3, START_WAIT_MS = 20 };

struct vly_apex {
    vly_sync sync; /* first */
    vly_apex_options o;
    vly_store *shard;
    vly_weights *weights;
    vly_block_maker *maker;
    vly_block_shape shape;
    uint64_t life, seq;
    int64_t next; /* first step of the ring not sent yet */
    double usual; /* running mean of the blocks' mean priorities */
    int64_t made;
    int64_t steps; /* sent with the next block */
    float score[VLY_BLOCK_RETURNS];
    int scores;
    int64_t beat_ms;
};

vly_block_shape vly_apex_shape(const vly_config *k, const vly_obs_spec *obs, int actions) {
    return (vly_block_shape){.obs = *obs,
                             .actions = actions,
                             .lanes_most = k->run.envs,
                             .steps_most = k->apex.block,
                             .n_step = k->dqn.n_step};
}

/* When to give up waiting for the learner. */
static int64_t patience_end(const vly_apex *x) {
    return vly_now_ms() + (int64_t)(1000 * (double)x->o.config->dist.patience_s);
}

static vly_status beat_actor(vly_apex *x) {
    const int64_t now = vly_now_ms();
    const int ttl_ms = (int)(1000 * x->o.config->dist.ttl_s);
    char json[256];
    if (now - x->beat_ms < ttl_ms / 4) return VLY_OK;
    x->beat_ms = now;
    snprintf(json, sizeof json, "{\"role\":\"actor\",\"version\":%lld,\"seq\":%llu,\"pid\":%d}",
             (long long)x->weights->seen.version, (unsigned long long)x->seq, (int)getpid());
    return vly_store_beat(x->o.store, x->o.name, json, ttl_ms);
}

/* ---- weights ---- */

static vly_status follow_weights(vly_apex *x, vly_real *param, bool *fresh) {
    VLY_TRY(beat_actor(x));
    return vly_weights_follow(x->weights, param, fresh);
}

/* Waits for the learner's first weights. */
static vly_status receive_first_weights(vly_sync *sync, vly_queue *q, void *data, size_t bytes,
                                        int root) {
    vly_apex *x = (vly_apex *)sync;
    const int64_t deadline = patience_end(x);
    (void)q, (void)root; /* an actor's device is the host */
    VLY_TRY(vly_weights_create(&x->weights, x->o.store, (int64_t)(bytes / sizeof(vly_real))));
    for (bool fresh = false; !fresh;) {
        VLY_TRY(follow_weights(x, data, &fresh));
        if (fresh) break;
        if (vly_now_ms() > deadline)
            return vly_fail(VLY_ETIMEOUT, "no weights for %d s; is the learner alive?",
                            (int)x->o.config->dist.patience_s);
        vly_pause_ms(START_WAIT_MS);
    }
    return VLY_OK;
}

/* ---- blocks ---- */

/* Repeats the push until the shard accepts the block. A server that is out of memory refuses it
 * too, until the learner evicts. */
static vly_status push_block(vly_apex *x, const vly_block *block, vly_real *param, bool *fresh) {
    const vly_config *k = x->o.config;
    const int64_t deadline = patience_end(x);
    for (;;) {
        bool accepted = false, newer;
        const vly_status status = vly_shard_push(x->shard, block, k->apex.shard_bytes,
                                                 k->apex.queue, &accepted);
        if (status != VLY_OK && status != VLY_ENOSPACE) return status;
        if (accepted || vly_apex_stopped(x)) return VLY_OK;
        if (vly_now_ms() > deadline)
            return vly_fail(VLY_ETIMEOUT,
                            "the store has taken no experience for %d s; is the learner alive?",
                            (int)x->o.config->dist.patience_s);
        vly_pause_ms(WAIT_MS);
        VLY_TRY(follow_weights(x, param, &newer));
        *fresh = *fresh || newer;
    }
}

/* Blocks of below-average priority are sent with probability apex.send, the others always. */
static bool worth_sending(vly_apex *x, const vly_block *b) {
    const vly_u32x4 r = vly_philox(x->life, VLY_STREAM_REPLAY, (uint64_t)x->made++, 0);
    double sum = 0;
    for (uint32_t i = 0; i < b->head->lanes * b->head->steps; i++)
        sum += (double)b->record[i].priority;
    const double mean = b->transitions ? sum / b->transitions : 0;
    const bool below = mean < x->usual;
    x->usual = x->made == 1 ? mean : 0.98 * x->usual + 0.02 * mean;
    return !below || vly_unit(r.v[0]) < x->o.config->apex.send;
}

static vly_status make_block(vly_apex *x, const vly_replay *ring, const vly_real *value, int steps,
                             vly_block *block, bool *send) {
    const vly_config *k = x->o.config;
    const vly_block_source source = {ring, value, x->o.actions, k->dqn.gamma, k->dqn.reward_scale};
    VLY_TRY(vly_block_make(x->maker, &source, x->next, steps, block));
    x->next += steps;
    *send = worth_sending(x, block);
    if (!*send) return VLY_OK; /* its steps and returns are sent with the next */
    vly_block_head *h = block->head;
    h->life = x->life, h->seq = ++x->seq;
    h->version = x->weights->seen.version;
    h->agent_steps = x->steps;
    h->returns = (uint32_t)x->scores;
    memcpy(h->score, x->score, sizeof h->score);
    x->steps = x->scores = 0;
    return VLY_OK;
}

/* A row is sent once its bootstrap row has been acted on: then the network's value of it exists. */
static vly_status send_experience(vly_sync *sync, vly_queue *q, const vly_replay *ring,
                                  const vly_real *value, const vly_params *p, bool *fresh) {
    vly_apex *x = (vly_apex *)sync;
    vly_block block;
    *fresh = false;
    VLY_TRY(q->c->queue_sync(q));
    if (!x->maker) {
        x->shape = vly_apex_shape(x->o.config, &ring->o.obs, x->o.actions);
        VLY_TRY(vly_block_maker_create(&x->maker, &x->shape));
    }
    const int64_t steps = ring->step[0] - 1 - x->shape.n_step - x->next + 1;
    if (steps > 0) {
        bool send;
        VLY_TRY(make_block(x, ring, value, (int)steps, &block, &send));
        if (send) VLY_TRY(push_block(x, &block, p->param, fresh));
    }
    bool newer;
    VLY_TRY(follow_weights(x, p->param, &newer));
    *fresh = *fresh || newer;
    return VLY_OK;
}

/* ---- life ---- */

static int64_t actor_fleet_steps(vly_sync *sync) {
    const vly_apex *x = (const vly_apex *)sync;
    return x->weights ? x->weights->seen.steps : 0;
}

static const vly_sync_experience apex_experience = {.send = send_experience};

vly_sync *vly_apex_sync(vly_apex *x) {
    return &x->sync;
}
bool vly_apex_stopped(const vly_apex *x) {
    return x->weights && (x->weights->seen.flags & WIRE_STOP);
}

void vly_apex_note(vly_apex *x, int64_t steps, const double *returns, int count) {
    x->steps += steps;
    for (int i = 0; i < count && x->scores < VLY_BLOCK_RETURNS; i++)
        x->score[x->scores++] = (float)returns[i];
}

void vly_apex_destroy(vly_apex *x) {
    if (!x) return;
    vly_block_maker_destroy(x->maker);
    vly_weights_destroy(x->weights);
    vly_store_close(x->shard);
    free(x);
}

vly_status vly_apex_create(vly_apex **out, const vly_apex_options *o) {
    struct timespec t;
    vly_apex *x = calloc(1, sizeof *x);
    if (!x) return vly_fail(VLY_ENOMEM, "actor: out of memory");
    clock_gettime(CLOCK_REALTIME, &t);
    x->o = *o;
    x->life = ((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec) ^ (uint64_t)getpid() << 44;
    x->sync = (vly_sync){.rank = o->rank % o->world,
                         .world = o->world,
                         .broadcast = receive_first_weights,
                         .steps = actor_fleet_steps,
                         .experience = &apex_experience};
    const vly_status status = vly_store_open(
        &x->shard, o->url, vly_shard_run(o->run, o->rank % o->config->apex.shards).text, NULL);
    if (status != VLY_OK) {
        vly_apex_destroy(x);
        return status;
    }
    *out = x;
    return VLY_OK;
}
