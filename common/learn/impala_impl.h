/* impala_impl.h -- IMPALA (Espeholt et al. 2018): actors run ahead of the learner with slightly old
 * weights, V-trace corrects for it.
 *
 * Unrolls are slots of T + 1 steps of one group's M actors: frames in device memory, time-major
 * within the slot and preceded by the frames that stacked observations reach back to; all else on
 * the host. A slot is filled by its group, waits its turn, is learned from, and is free again once
 * the group has also moved on (row T of a slot is row 0 of the group's next).
 *
 *   impala.c         acting, learning, beginning and end
 *   impala_memory.c  what it keeps, and what of that is saved
 *   impala_moments.c what observations and rewards are normalised by
 *   impala_unroll.c  unrolls that go to, or come from, other processes
 */
#ifndef VLY_COMMON_LEARN_IMPALA_IMPL_H
#define VLY_COMMON_LEARN_IMPALA_IMPL_H
#include <string.h>
#include "common/learn/algo.h"
#include "common/learn/learner.h"
#include "common/learn/memories.h"
#include "common/learn/moments.h"
#include "common/learn/head.h"

enum {
    SLOT_LEARN = 1,
    SLOT_TAIL = 2
}; /* why a slot is not free: to be learned from; a group still reads its end */

typedef struct {
    vly_algo pub; /* first */
    vly_compute *c;
    const vly_config *config;
    vly_obs_spec obs;
    vly_head policy;
    int parts, width; /* of the policy: values of an action, numbers that describe it */
    int N, M, G, T, history, H;
    int slots, batch; /* slots in all; slots of an update */
    bool eval, greedy;
    vly_net *net;
    vly_learner learner;
    vly_exec *acting, *learning;
    vly_real *act_param; /* the acting copy; the learner's own on a synchronous schedule */

    /* slots */
    uint8_t *frames, *age; /* device (slots, history + T + 1, M) */
    uint8_t *age_host;
    vly_real *h0, *cell0; /* device (slots, M, H): recurrent state at row 0 */
    float *reward;        /* host (slots, T + 1, M); row t came with observation t */
    uint8_t *flags;
    uint8_t *allowed; /* host (slots, T + 1, M, width): masks that came with observation t; NULL */
    int32_t *action;  /* host (slots, T, M, parts), raw */
    float *logp;
    int64_t *version; /* host (slots, T): of the weights that acted */
    int32_t *busy;    /* host (slots): SLOT_... */
    int32_t *ready;   /* host: complete slots, oldest first */

    /* groups (host): slot and newest row, where the next rows go (-1: not placed), position in the
     * last act() */
    int32_t *slot, *cursor, *next, *position;
    int32_t *act_action; /* host (N, parts), (N), (G): what was chosen on the newest row */
    int32_t *act_sent;   /* host (N, parts): boxes as the environments take them */
    float *act_logp;
    int64_t *act_version;
    float *score;
    vly_real *h, *cell, *h_end, *cell_end; /* device (N, H): now; before row T was acted */

    /* a batch being acted on: device and host */
    int32_t *row_act, *row_act_host, *lane, *lane_host, *batch_action, *batch_action_host;
    int32_t *batch_sent, *batch_sent_host; /* boxes alone */
    int32_t *action_shown, *sent_shown;    /* where the device writes the host's; NULL: downloads */
    vly_real *logp_shown;
    uint8_t *flags_act, *flags_act_host, *allowed_act, *allowed_act_host;
    vly_real *batch_logp;
    float *batch_logp_host;
    vly_rng *rng;

    /* an update: (T + 1, B) time-major, device and host */
    int B;
    int32_t *learn_slot; /* host (batch) */
    int32_t *row, *row_host, *action_mb, *action_mb_host;
    vly_real *reward_mb, *logp_mb, *logp_target, *advantage, *target, *mask;
    float *reward_mb_host, *logp_mb_host;
    uint8_t *flags_mb, *flags_mb_host, *allowed_mb, *allowed_mb_host;

    vly_moments running;
    /* --impala.normalize_reward, else NULL; on the host: each actor's return now (N), that of each
     * row and whether it counts (slots, T + 1, M), those of an update (T, B) */
    vly_real *returns, *discounted, *counted, *discounted_mb, *counted_mb;
    vly_graph *graph;

    /* saved: ready count, dropped, version */
    int64_t *numbers;
    vly_hyper shown;
    vly_memories memories;

    /* over processes */
    uint8_t *parcel; /* an actor's: an unroll on its way out */
    bool receiver;   /* a learner whose unrolls come from other processes */
} impala;
enum { READY, DROPPED, VERSION, NUMBERS };

static inline int64_t vly_impala_frame_row(const impala *a, int slot, int t) {
    return ((int64_t)slot * (a->history + a->T + 1) + a->history + t) * a->M;
}
static inline int64_t vly_impala_host_row(const impala *a, int slot, int t) {
    return ((int64_t)slot * (a->T + 1) + t) * a->M;
}
static inline int64_t vly_impala_step_row(const impala *a, int slot, int t) {
    return ((int64_t)slot * a->T + t) * a->M;
}

/* Action and mask of the same rows. */
static inline int32_t *vly_impala_action_at(const impala *a, int slot, int t) {
    return a->action + vly_impala_step_row(a, slot, t) * a->parts;
}
static inline uint8_t *vly_impala_allowed_at(const impala *a, int slot, int t) {
    return a->allowed + vly_impala_host_row(a, slot, t) * a->width;
}

static inline int vly_impala_free_slot(const impala *a) {
    for (int s = 0; s < a->slots; s++)
        if (a->busy[s] == 0) return s;
    return -1;
}

/* n of them, from number `at` on. */
static inline void vly_impala_drop_ready(impala *a, int at, int n) {
    a->numbers[READY] -= n;
    memmove(a->ready + at, a->ready + at + n, (size_t)(a->numbers[READY] - at) * sizeof *a->ready);
}

/* impala_memory.c */
vly_status vly_impala_restored(vly_algo *pub, vly_queue *q);
vly_status vly_impala_alloc_slots(impala *a);
vly_status vly_impala_alloc_groups(impala *a);
vly_status vly_impala_alloc_learning(impala *a);
int vly_impala_buffers(vly_algo *pub, vly_buffer *out, int max); /* vly_algo.buffers */

/* ---- impala_moments.c; nothing to do without --net.normalize and --impala.normalize_reward ---- */

vly_status vly_impala_alloc_moments(impala *a);
/* Row t of a slot has arrived. */
void vly_impala_count_returns(impala *a, int group, int slot, int t);
/* To row `to` of an update's (T + 1, B), then to the device. */
void vly_impala_assemble_returns(impala *a, int slot, int t, int64_t to);
vly_status vly_impala_upload_returns(impala *a, vly_queue *q);
/* In place, before V-trace. */
vly_status vly_impala_scale_rewards(impala *a, vly_queue *q);
/* The first n rows of the update. */
vly_status vly_impala_see_observations(impala *a, vly_queue *q, int n);
void vly_impala_moments_buffers(const impala *a, vly_buffer_list *list);

/* Unrolls that go to, or come from, other processes (impala_unroll.c). */
size_t vly_impala_unroll_bytes(const impala *a, int columns);
/* Instead of learn(): what is complete goes out, newer weights come in. */
vly_status vly_impala_hand_over(impala *a, vly_queue *q);
/* vly_algo.receive */
vly_status vly_impala_receive(vly_algo *a, vly_queue *q, const void *unroll, size_t bytes);
#endif
