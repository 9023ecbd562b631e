#include "common/learn/head.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static vly_status upload_array(vly_memories *m, const vly_algo_args *args, const void *host, int n,
                               size_t size, void **out) {
    vly_status s = VLY_OK;
    *out = vly_memories_take(m, false, n, size, "bounds of actions", &s);
    VLY_TRY(s);
    VLY_TRY(m->c->upload(args->queue, *out, host, (size_t)n * size));
    return m->c->queue_sync(args->queue);
}

static vly_status upload_bounds(vly_dist *d, vly_memories *m, const vly_algo_args *args) {
    const vly_bounds *bounds = args->env->action.bounds;
    vly_real *host = malloc(2 * (size_t)d->parts * sizeof *host);
    void *memory = NULL;
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for the bounds of %d numbers", d->parts);
    for (int k = 0; k < d->parts; k++)
        host[k] = (vly_real)bounds[k].low, host[d->parts + k] = (vly_real)bounds[k].high;
    const vly_status s = upload_array(m, args, host, 2 * d->parts, sizeof *host, &memory);
    d->low = memory, d->high = d->low ? d->low + d->parts : NULL;
    free(host);
    return s;
}

vly_status vly_head_bounds(vly_dist *d, vly_memories *m, const vly_algo_args *args) {
    const vly_space *space = &args->env->action;
    void *memory = NULL;
    if (d->kind != VLY_DIST_CHOICES) return upload_bounds(d, m, args);
    const int32_t *sizes = space->kind == VLY_SPACE_MULTI ? space->sizes : &space->n;
    const vly_status s = upload_array(m, args, sizes, d->parts, sizeof *sizes, &memory);
    d->choices = memory;
    return s;
}

/* All but device memory. */
static vly_head head_for(const vly_algo_args *args) {
    const vly_space *space = &args->env->action;
    const vly_config *config = args->config;
    vly_head p = {.c = args->compute,
                  .space = space,
                  .single = space->kind == VLY_SPACE_DISCRETE,
                  .box = space->kind == VLY_SPACE_BOX,
                  .masked = args->env->masked != 0,
                  .actions = space->n};
    p.dist = (vly_dist){.kind = VLY_DIST_CHOICES, .parts = space->count, .width = space->n};
    if (!p.box) return p;
    const bool shared = config->net.deviation == VLY_NET_DEVIATION_SHARED;
    p.dist.kind = config->net.squash ? VLY_DIST_SQUASHED : VLY_DIST_NORMAL;
    p.dist.width = 2 * space->count;
    p.actions = shared ? space->count : 2 * space->count;
    p.tail = shared ? space->count : 0;
    return p;
}

static vly_net_desc head_net(const vly_algo_args *args, vly_head_kind kind) {
    const vly_head p = head_for(args);
    vly_net_desc d = vly_learner_describe(args, kind);
    d.actions = p.actions, d.tail = p.tail;
    return d;
}

vly_net_desc vly_head_actor(const vly_algo_args *args) {
    return head_net(args, VLY_HEAD_POLICY);
}

vly_net_desc vly_head_actor_critic(const vly_algo_args *args) {
    return head_net(args, VLY_HEAD_POLICY_VALUE);
}

vly_status vly_head_create(vly_head *p, vly_memories *m, const vly_algo_args *args) {
    *p = head_for(args);
    return vly_head_bounds(&p->dist, m, args);
}

vly_dist vly_head_told(const vly_algo_args *args) {
    const vly_algo_entry *entry = vly_algo_find(args->config->run.algo);
    const vly_head p = head_for(args);
    return p.box && entry && entry->dist ? entry->dist(args->config, p.dist.parts) : p.dist;
}

vly_status vly_head_dist(vly_dist *d, vly_memories *m, const vly_algo_args *args) {
    *d = vly_head_told(args);
    return vly_head_bounds(d, m, args);
}

bool vly_head_sane(const vly_head *p, const int32_t *raw) {
    for (int k = 0; k < p->dist.parts; k++) {
        float x;
        memcpy(&x, raw + k, sizeof x);
        if (p->box ? !isfinite(x) : raw[k] < 0 || raw[k] >= vly_space_size(p->space, k))
            return false;
    }
    return true;
}

vly_status vly_head_mask(const vly_head *p, vly_queue *q, int n, const uint8_t *allowed,
                         vly_real *logits) {
    if (!p->masked) return VLY_OK;
    return p->c->mask_actions(q, (int64_t)n * p->dist.width, allowed, logits);
}

vly_status vly_head_draw(const vly_head *p, vly_queue *q, int n, const vly_real *logits,
                         const vly_rng *rng, const int32_t *lane, int lane0, int32_t *raw,
                         int32_t *shown, vly_real *logp) {
    if (!p->single)
        return p->c->dist_sample(q, &p->dist, n, logits, rng, VLY_STREAM_ACT, lane, lane0, raw,
                                 rng ? logp : NULL);
    if (rng)
        return p->c->sample_policy(q, n, p->actions, logits, rng, lane, lane0, raw, shown, logp);
    return p->c->sample_greedy(q, n, p->actions, logits, NULL, NULL, lane, lane0, raw, shown);
}

int32_t *vly_head_shows(const vly_head *p, int32_t *host) {
    return p->single ? vly_mapped(p->c, host) : NULL;
}

vly_status vly_head_give(const vly_head *p, vly_queue *q, int n, const int32_t *raw,
                         int32_t *action) {
    return p->c->dist_action(q, &p->dist, n, raw, action);
}

vly_status vly_head_logp(const vly_head *p, vly_queue *q, int n, const vly_real *logits,
                         const int32_t *raw, vly_real *logp) {
    return p->single ? p->c->action_logp(q, n, p->actions, logits, raw, logp)
                     : p->c->dist_logp(q, &p->dist, n, logits, raw, logp);
}

vly_status vly_head_loss(const vly_head *p, vly_queue *q, const vly_policy_loss_args *loss) {
    if (p->single) return p->c->policy_loss(q, loss);
    vly_dist_loss_args args = {.p = *loss, .dist = p->dist, .raw = loss->action};
    args.p.actions = p->dist.width;
    return p->c->dist_loss(q, &args);
}
