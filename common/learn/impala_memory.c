#include "common/learn/impala_impl.h"

#define DEVICE(n, type) vly_memories_take(&a->memories, false, (n), sizeof(type), "unrolls", &s)
#define HOST(n, type) vly_memories_take(&a->memories, true, (n), sizeof(type), "unrolls", &s)

vly_status vly_impala_alloc_slots(impala *a) {
    const int64_t K = a->slots, rows = K * (a->T + 1) * a->M, steps = K * a->T * a->M,
                  frames = vly_impala_frame_row(a, a->slots, -a->history);
    vly_status s = VLY_OK;
    a->frames = vly_memories_take(&a->memories, false, frames, a->obs.bytes, "unrolls", &s);
    a->reward = HOST(rows, float);
    a->flags = HOST(rows, uint8_t);
    a->action = HOST(steps * a->parts, int32_t);
    if (a->policy.masked) a->allowed = HOST(rows * a->width, uint8_t);
    a->logp = HOST(steps, float);
    a->version = HOST(K * a->T, int64_t);
    a->busy = HOST(K, int32_t);
    a->ready = HOST(K, int32_t);
    a->numbers = HOST(NUMBERS, int64_t);
    if (a->obs.stack > 1) {
        a->age = DEVICE(frames, uint8_t);
        a->age_host = a->c->info.is_host ? a->age : HOST(frames, uint8_t);
    }
    if (a->H > 0) {
        a->h0 = DEVICE(K * a->M * a->H, vly_real);
        a->cell0 = DEVICE(K * a->M * a->H, vly_real);
        a->h = DEVICE((int64_t)a->N * a->H, vly_real);
        a->cell = DEVICE((int64_t)a->N * a->H, vly_real);
        a->h_end = DEVICE((int64_t)a->N * a->H, vly_real);
        a->cell_end = DEVICE((int64_t)a->N * a->H, vly_real);
    }
    return s;
}

vly_status vly_impala_alloc_groups(impala *a) {
    vly_status s = VLY_OK;
    a->slot = HOST(a->G, int32_t);
    a->cursor = HOST(a->G, int32_t);
    a->next = HOST(a->G, int32_t);
    a->position = HOST(a->G, int32_t);
    a->act_version = HOST(a->G, int64_t);
    a->act_action = HOST((int64_t)a->N * a->parts, int32_t);
    a->act_logp = HOST(a->N, float);
    a->score = HOST(a->N, float);
    a->row_act = DEVICE(a->N, int32_t);
    a->row_act_host = HOST(a->N, int32_t);
    a->lane = DEVICE(a->N, int32_t);
    a->lane_host = HOST(a->N, int32_t);
    a->flags_act = DEVICE(a->N, uint8_t);
    a->flags_act_host = HOST(a->N, uint8_t);
    a->batch_action = DEVICE((int64_t)a->N * a->parts, int32_t);
    a->batch_action_host = HOST((int64_t)a->N * a->parts, int32_t);
    a->action_shown = vly_head_shows(&a->policy, a->batch_action_host);
    if (a->policy.box) {
        a->act_sent = HOST((int64_t)a->N * a->parts, int32_t);
        a->batch_sent = DEVICE((int64_t)a->N * a->parts, int32_t);
        a->batch_sent_host = HOST((int64_t)a->N * a->parts, int32_t);
        a->sent_shown = vly_mapped(a->c, a->batch_sent_host);
    }
    if (a->policy.masked) {
        a->allowed_act = DEVICE((int64_t)a->N * a->width, uint8_t);
        a->allowed_act_host = HOST((int64_t)a->N * a->width, uint8_t);
    }
    a->batch_logp = DEVICE(a->N, vly_real);
    a->batch_logp_host = HOST(a->N, float);
    a->logp_shown = vly_mapped(a->c, a->batch_logp_host);
    a->rng = DEVICE(1, vly_rng);
    if (s != VLY_OK) return s;
    for (int g = 0; g < a->G; g++) {
        a->slot[g] = g;
        a->busy[g] = SLOT_LEARN | SLOT_TAIL;
        a->cursor[g] = a->next[g] = a->position[g] = -1;
    }
    return VLY_OK;
}

vly_status vly_impala_alloc_learning(impala *a) {
    const int64_t rows = (int64_t)a->T * a->B, all = rows + a->B;
    vly_status s = VLY_OK;
    a->learn_slot = HOST(a->batch, int32_t);
    a->row = DEVICE(all, int32_t);
    a->row_host = HOST(all, int32_t);
    a->reward_mb = DEVICE(all, vly_real);
    a->reward_mb_host = HOST(all, float);
    a->flags_mb = DEVICE(all, uint8_t);
    a->flags_mb_host = HOST(all, uint8_t);
    a->action_mb = DEVICE(rows * a->parts, int32_t);
    a->action_mb_host = HOST(rows * a->parts, int32_t);
    if (a->policy.masked) {
        a->allowed_mb = DEVICE(all * a->width, uint8_t);
        a->allowed_mb_host = HOST(all * a->width, uint8_t);
    }
    a->logp_mb = DEVICE(rows, vly_real);
    a->logp_mb_host = HOST(rows, float);
    a->logp_target = DEVICE(rows, vly_real);
    a->advantage = DEVICE(rows, vly_real);
    a->target = DEVICE(rows, vly_real);
    a->mask = DEVICE(rows, vly_real);
    return s;
}

int vly_impala_buffers(vly_algo *pub, vly_buffer *out, int max) {
    impala *a = (impala *)pub;
    vly_buffer_list list = {out, 0, max};
    vly_learner_buffers(&a->learner, &list);
    if (a->eval) return list.n;
    const int64_t K = a->slots, rows = K * (a->T + 1) * a->M, steps = K * a->T * a->M,
                  frames = vly_impala_frame_row(a, a->slots, -a->history);
    const vly_buffer_role state = VLY_BUFFER_STATE;
    vly_buffer_add(&list, "rng", state, VLY_U64, 2, a->rng, true);
    vly_buffer_add(&list, "slots.numbers", state, VLY_I64, NUMBERS, a->numbers, false);
    vly_buffer_add(&list, "slots.busy", state, VLY_I32, K, a->busy, false);
    vly_buffer_add(&list, "slots.ready", state, VLY_I32, K, a->ready, false);
    vly_buffer_add(&list, "groups.slot", state, VLY_I32, a->G, a->slot, false);
    vly_buffer_add(&list, "groups.cursor", state, VLY_I32, a->G, a->cursor, false);
    vly_buffer_add(&list, "unrolls.reward", state, VLY_F32, rows, a->reward, false);
    vly_buffer_add(&list, "unrolls.flags", state, VLY_U8, rows, a->flags, false);
    vly_buffer_add(&list, "unrolls.action", state, VLY_I32, steps * a->parts, a->action, false);
    if (a->allowed)
        vly_buffer_add(&list, "unrolls.allowed", state, VLY_U8, rows * a->width, a->allowed, false);
    vly_impala_moments_buffers(a, &list);
    vly_buffer_add(&list, "unrolls.logp", state, VLY_F32, steps, a->logp, false);
    vly_buffer_add(&list, "unrolls.version", state, VLY_I64, K * a->T, a->version, false);
    vly_buffer_add(&list, "unrolls.observation", state, VLY_U8, frames * (int64_t)a->obs.bytes,
                   a->frames, true);
    if (a->age) vly_buffer_add(&list, "unrolls.age", state, VLY_U8, frames, a->age, true);
    if (a->act_param != a->learner.params.param)
        vly_buffer_add(&list, "acting", state, VLY_F32, a->learner.params.n, a->act_param, true);
    if (a->H > 0) {
        vly_buffer_add(&list, "lstm.h", state, VLY_F32, (int64_t)a->N * a->H, a->h, true);
        vly_buffer_add(&list, "lstm.c", state, VLY_F32, (int64_t)a->N * a->H, a->cell, true);
        vly_buffer_add(&list, "unrolls.h", state, VLY_F32, K * a->M * a->H, a->h0, true);
        vly_buffer_add(&list, "unrolls.c", state, VLY_F32, K * a->M * a->H, a->cell0, true);
    }
    return list.n;
}

static vly_status check_tables(const impala *a) {
    bool good = a->numbers[READY] >= 0 && a->numbers[READY] <= a->slots &&
                vly_is_count(a->numbers[VERSION]) && vly_is_count(a->numbers[DROPPED]);
    for (int i = 0; good && i < a->numbers[READY]; i++)
        good = a->ready[i] >= 0 && a->ready[i] < a->slots;
    for (int64_t i = 0; good && i < (int64_t)a->slots * a->T; i++)
        good = a->version[i] == -1 || vly_is_count(a->version[i]);
    for (int g = 0; good && g < a->G; g++)
        good = a->slot[g] >= 0 && a->slot[g] < a->slots && a->cursor[g] >= -1 &&
               a->cursor[g] <= a->T;
    return good ? VLY_OK : vly_fail(VLY_ECORRUPT, "the saved table of unrolls is damaged");
}

/* Why each slot is taken, from who has it; false where two have one, or a group still fills what is
 * said to be complete. A group that has not begun may have one that waits: impala_place() drops
 * it. */
static bool slots_follow(impala *a) {
    memset(a->busy, 0, (size_t)a->slots * sizeof *a->busy);
    for (int g = 0; g < a->G; g++) {
        const bool fills = a->cursor[g] >= 0 && a->cursor[g] < a->T;
        if (a->busy[a->slot[g]]) return false;
        a->busy[a->slot[g]] = SLOT_TAIL | (fills ? SLOT_LEARN : 0);
    }
    for (int i = 0; i < a->numbers[READY]; i++) {
        if (a->busy[a->ready[i]] & SLOT_LEARN) return false;
        a->busy[a->ready[i]] |= SLOT_LEARN;
    }
    for (int g = 0; g < a->G; g++)
        if (a->cursor[g] < 0) a->busy[a->slot[g]] |= SLOT_LEARN;
    return true;
}

vly_status vly_impala_restored(vly_algo *pub, vly_queue *q) {
    impala *a = (impala *)pub;
    if (!a->eval) {
        VLY_TRY(check_tables(a));
        if (!slots_follow(a))
            return vly_fail(VLY_ECORRUPT, "the saved table of unrolls is damaged: a slot is "
                                          "taken twice");
        pub->version = a->numbers[VERSION];
        pub->async.dropped = a->numbers[DROPPED];
        for (int g = 0; g < a->G; g++) a->next[g] = a->position[g] = -1;
        VLY_TRY(vly_exec_prepare(a->learning, q, a->learner.params.param));
    } else if (a->act_param != a->learner.params.param) {
        VLY_TRY(a->c->copy(q, a->act_param, a->learner.params.param,
                           (size_t)a->learner.params.n * sizeof(vly_real)));
    }
    VLY_TRY(vly_exec_prepare(a->acting, q, a->act_param));
    return a->c->queue_sync(q);
}
