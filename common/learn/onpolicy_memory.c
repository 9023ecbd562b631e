#include <stdlib.h>
#include "common/learn/onpolicy_impl.h"

vly_status vly_onpolicy_alloc_rollout(onpolicy *a) {
    const int64_t rows = (int64_t)(a->T + 1) * a->N, ring = rows + (int64_t)a->history * a->N;
    const int64_t parts = a->policy.dist.parts, masks = rows * a->policy.dist.width;
    const bool twins = !a->c->info.is_host;
    vly_status s = VLY_OK;
    a->frames = vly_memories_take(&a->memories, false, ring, a->obs.bytes,
                                  "observations of a rollout", &s);
    a->action = vly_memories_take(&a->memories, false, rows * parts, sizeof(int32_t), "rollout",
                                  &s);
    a->reward = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "rollout", &s);
    a->value = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "rollout", &s);
    a->logp = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "rollout", &s);
    a->flags = vly_memories_take(&a->memories, false, rows, 1, "rollout", &s);
    a->rng = vly_memories_take(&a->memories, false, a->G + 1, sizeof(vly_rng), "random counters",
                               &s);
    a->score_host = vly_memories_take(&a->memories, true, a->N, sizeof(float), "scores", &s);
    a->reward_host = twins
                         ? vly_memories_take(&a->memories, true, rows, sizeof(float), "rollout", &s)
                         : (float *)a->reward;
    a->flags_host = twins ? vly_memories_take(&a->memories, true, rows, 1, "rollout", &s)
                          : a->flags;
    a->action_host = twins ? vly_memories_take(&a->memories, true, rows * parts, sizeof(int32_t),
                                               "rollout", &s)
                           : a->action;
    a->action_shown = twins ? vly_head_shows(&a->policy, a->action_host) : NULL;
    if (a->policy.masked) {
        a->allowed = vly_memories_take(&a->memories, false, masks, 1, "rollout", &s);
        a->allowed_host = twins ? vly_memories_take(&a->memories, true, masks, 1, "rollout", &s)
                                : a->allowed;
    }
    if (a->policy.box) {
        a->sent = vly_memories_take(&a->memories, false, a->N * parts, sizeof(int32_t), "actions",
                                    &s);
        a->sent_host = vly_memories_take(&a->memories, true, a->N * parts, sizeof(int32_t),
                                         "actions", &s);
        a->sent_shown = vly_mapped(a->c, a->sent_host);
    }
    if (a->obs.stack > 1) {
        a->age = vly_memories_take(&a->memories, false, ring, 1, "rollout", &s);
        a->age_host = twins ? vly_memories_take(&a->memories, true, ring, 1, "rollout", &s)
                            : a->age;
    }
    if (a->H > 0) {
        a->h = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                 "LSTM states", &s);
        a->cell = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                    "LSTM states", &s);
        a->h0 = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                  "LSTM states", &s);
        a->cell0 = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                     "LSTM states", &s);
    }
    return s;
}

vly_status vly_onpolicy_alloc_overlap(onpolicy *a) {
    const int64_t rows = (int64_t)(a->T + 1) * a->N, ring = rows + (int64_t)a->history * a->N,
                  states = (int64_t)a->N * a->H;
    vly_status s = VLY_OK;
    a->act_param = a->learner.params.param;
    a->seen = (onpolicy_rows){.frames = a->frames,
                              .age = a->age,
                              .flags = a->flags,
                              .allowed = a->allowed,
                              .action = a->action,
                              .reward = a->reward,
                              .value = a->value,
                              .logp = a->logp,
                              .h0 = a->h0,
                              .cell0 = a->cell0};
    if (!a->o.overlap) return VLY_OK;
    vly_memories *m = &a->memories;
    a->act_param = vly_memories_take(m, false, a->learner.params.n, sizeof(vly_real),
                                     "the acting copy of the weights", &s);
    a->seen.frames = vly_memories_take(m, false, ring, a->obs.bytes,
                                       "observations of a rollout that is learned from", &s);
    a->seen.action = vly_memories_take(m, false, rows, vly_head_bytes(&a->policy), "rollout", &s);
    if (a->allowed)
        a->seen.allowed = vly_memories_take(m, false, rows, (size_t)a->policy.dist.width, "rollout",
                                            &s);
    a->seen.reward = vly_memories_take(m, false, rows, sizeof(vly_real), "rollout", &s);
    a->seen.value = vly_memories_take(m, false, rows, sizeof(vly_real), "rollout", &s);
    a->seen.logp = vly_memories_take(m, false, rows, sizeof(vly_real), "rollout", &s);
    a->seen.flags = vly_memories_take(m, false, rows, 1, "rollout", &s);
    if (a->age) a->seen.age = vly_memories_take(m, false, ring, 1, "rollout", &s);
    if (a->H == 0) return s;
    a->seen.h0 = vly_memories_take(m, false, states, sizeof(vly_real), "LSTM states", &s);
    a->seen.cell0 = vly_memories_take(m, false, states, sizeof(vly_real), "LSTM states", &s);
    return s;
}

vly_status vly_onpolicy_alloc_learning(onpolicy *a) {
    const int64_t rows = (int64_t)a->T * a->N;
    vly_status s = VLY_OK;
    a->order = vly_memories_take(&a->memories, false, rows, sizeof(int32_t), "minibatch order", &s);
    a->advantage = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "advantages", &s);
    a->target = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "advantages", &s);
    a->mask = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "advantages", &s);
    if (a->allowed)
        a->allowed_mb = vly_memories_take(&a->memories, false, vly_onpolicy_learn_rows(a),
                                          (size_t)a->policy.dist.width, "minibatch masks", &s);
    if (a->o.baseline > 0) {
        a->baseline = vly_memories_take(&a->memories, false, 1, sizeof(vly_real), "baseline", &s);
        a->fresh = vly_memories_take(&a->memories, false, 3, sizeof(vly_real), "baseline", &s);
        a->moments = vly_memories_take(&a->memories, false, 3, sizeof(vly_real), "baseline", &s);
    }
    if (a->H > 0) {
        a->row = vly_memories_take(&a->memories, false, rows, sizeof(int32_t), "minibatch rows",
                                   &s);
        a->flags_mb = vly_memories_take(&a->memories, false, vly_onpolicy_learn_rows(a), 1,
                                        "minibatch flags", &s);
    }
    return s;
}

/* order starts as 0, 1, ... (all there is to it with one minibatch); row: columns of whole
 * sequences. */
vly_status vly_onpolicy_fill_orders(onpolicy *a, vly_queue *q) {
    const int rows = a->T * a->N;
    int32_t *host = malloc((size_t)rows * sizeof *host);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for %d row numbers", rows);
    for (int i = 0; i < rows; i++) host[i] = i;
    vly_status s = a->c->upload(q, a->order, host, (size_t)rows * sizeof *host);
    if (s == VLY_OK) s = a->c->queue_sync(q);
    if (s == VLY_OK && a->H > 0) {
        for (int k = 0, i = 0; k < a->o.minibatches; k++)
            for (int t = 0; t < a->T; t++)
                for (int n = vly_onpolicy_columns_first(a, k);
                     n < vly_onpolicy_columns_first(a, k + 1); n++)
                    host[i++] = t * a->N + n;
        s = a->c->upload(q, a->row, host, (size_t)rows * sizeof *host);
        if (s == VLY_OK) s = a->c->queue_sync(q);
    }
    free(host);
    return s;
}

/* ---- saving ---- */

int vly_onpolicy_buffers(vly_algo *pub, vly_buffer *out, int max) {
    onpolicy *a = (onpolicy *)pub;
    vly_buffer_list list = {out, 0, max};
    vly_learner_buffers(&a->learner, &list);
    if (a->eval) return list.n;
    const int64_t N = a->N, obs = (int64_t)a->obs.bytes, before = (int64_t)(a->T + 1) * N;
    vly_buffer_add(&list, "rng", VLY_BUFFER_STATE, VLY_U64, 2 * (a->G + 1), a->rng, true);
    vly_buffer_add(&list, "cursor", VLY_BUFFER_STATE, VLY_I64, a->G, a->cursor, false);
    vly_buffer_add(&list, "observation", VLY_BUFFER_STATE, VLY_U8, N * obs, a->frames, true);
    vly_buffer_add(&list, "flags", VLY_BUFFER_STATE, VLY_U8, N, a->flags, true);
    if (a->o.overlap)
        vly_buffer_add(&list, "acting.param", VLY_BUFFER_STATE, VLY_F32, a->learner.params.n,
                       a->act_param, true);
    if (a->allowed)
        vly_buffer_add(&list, "allowed", VLY_BUFFER_STATE, VLY_U8, N * a->policy.dist.width,
                       a->allowed, true);
    vly_onpolicy_moments_buffers(a, &list);
    if (a->baseline)
        vly_buffer_add(&list, "baseline", VLY_BUFFER_STATE, VLY_F32, 1, a->baseline, true);
    if (a->history > 0)
        vly_buffer_add(&list, "history", VLY_BUFFER_STATE, VLY_U8, a->history * N * obs,
                       a->frames + before * obs, true);
    if (a->age) {
        vly_buffer_add(&list, "age", VLY_BUFFER_STATE, VLY_U8, N, a->age, true);
        if (a->history > 0)
            vly_buffer_add(&list, "history.age", VLY_BUFFER_STATE, VLY_U8, a->history * N,
                           a->age + before, true);
    }
    if (a->H > 0) {
        vly_buffer_add(&list, "lstm.h", VLY_BUFFER_STATE, VLY_F32, N * a->H, a->h, true);
        vly_buffer_add(&list, "lstm.c", VLY_BUFFER_STATE, VLY_F32, N * a->H, a->cell, true);
    }
    return list.n;
}

size_t vly_onpolicy_learned(const vly_algo *pub, const vly_buffer *b) {
    const onpolicy *a = (const onpolicy *)pub;
    const void *const whole[] = {a->running.observation, a->running.returned, a->returns,
                                 a->baseline};
    if (b->role != VLY_BUFFER_STATE) return vly_buffer_bytes(b);
    if (b->data == a->rng) return sizeof *a->rng; /* the last: the order of minibatches */
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (b->data == whole[i]) return vly_buffer_bytes(b);
    return 0;
}

vly_status vly_onpolicy_restored(vly_algo *pub, vly_queue *q) {
    onpolicy *a = (onpolicy *)pub;
    VLY_TRY(vly_exec_prepare(a->acting, q, a->act_param));
    if (a->eval) return VLY_OK;
    VLY_TRY(vly_exec_prepare(a->learning, q, a->learner.params.param));
    for (int g = 0; g < a->G; g++)
        if (a->cursor[g] != 0 && a->cursor[g] != -1)
            return vly_fail(VLY_ECORRUPT, "group %d stands at row %lld of a rollout", g,
                            (long long)a->cursor[g]);
    if (a->flags_host != a->flags)
        VLY_TRY(a->c->download(q, a->flags_host, a->flags, (size_t)a->N));
    if (a->allowed_host != a->allowed)
        VLY_TRY(a->c->download(q, a->allowed_host, a->allowed,
                               (size_t)a->N * (size_t)a->policy.dist.width));
    if (a->H > 0) {
        const size_t bytes = (size_t)a->N * (size_t)a->H * sizeof(vly_real);
        VLY_TRY(a->c->copy(q, a->h0, a->h, bytes));
        VLY_TRY(a->c->copy(q, a->cell0, a->cell, bytes));
    }
    return a->c->queue_sync(q);
}
