/* replay.h -- transitions of many actors in device memory, to be sampled and sampled again.
 *
 *   vly_replay_options o = {.obs = env.obs, .actors = 64, .groups = 2, .capacity = 1000000,
 *                           .n_step = 3, .batch = 256, .prioritized = true};
 *   VLY_TRY(vly_replay_create(&r, compute, &o));
 *   <every step of a group>
 *       vly_replay_place(r, g, &rows);                       // the environments write there
 *       VLY_TRY(vly_replay_arrived(r, q, g, age));
 *       ... act on rows vly_replay_newest(r, g) ...          // of vly_replay_frames(r)
 *       VLY_TRY(vly_replay_acted(r, q, g, action));
 *   <every update, capturable>
 *       // r->batch, all of it in device memory
 *       VLY_TRY(vly_replay_sample(r, q, rng, hyper));
 *       ... loss ...
 *       VLY_TRY(vly_replay_update(r, q, hyper));             // priorities from r->batch.td_abs
 *
 * What is kept. Rows are time-major in a ring of T steps: row (t, actor) = (t mod T) * N + actor. A
 * row holds one frame, never a stack; the action chosen on it; the reward and flags that came back.
 * Stacks are gathered by age (common/base/compute.h), so they never reach into another episode.
 *
 * What can be sampled: rows whose n steps are complete, which are transitions (an action before a
 * RESET row is none), and whose frames, the stack's oldest and the bootstrap's, will all survive
 * the next step of the ring. The priority of every other row is zero, so that sampling needs no
 * test. Uniform replay is the same tree with equal priorities. An episode that ends inside the n
 * steps ends the sum; a truncated one bootstraps from its last observation.
 *
 * The sums of the tree are integers: they do not drift, and equal runs draw equal rows on every
 * device.
 */
#ifndef VLY_COMMON_LEARN_REPLAY_H
#define VLY_COMMON_LEARN_REPLAY_H
#include "common/base/compute.h"
#include "common/learn/learner.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    vly_obs_spec obs;
    int actors, groups;
    int64_t capacity; /* transitions that can be sampled at once; rounded up to whole steps of all
                         actors */
    int64_t bytes;    /* most memory, 0: no limit; the smaller of the two decides */
    int n_step;
    int batch;   /* rows a sample draws; 0: it only keeps frames to act on */
    int numbers; /* of an action, where it is not one choice: vly_replay_acted_numbers */
    int choices; /* bytes of a row's mask; 0: rows carry none */
    bool prioritized;
} vly_replay_options;

/* One sample; device memory. */
typedef struct {
    int32_t *row, *bootstrap_row, *action;
    vly_real *n_return, *discount;
    vly_real *weight;                /* NULL: uniform */
    vly_real *td_abs;                /* written by the loss; NULL: uniform */
    vly_real *numbers;               /* (batch, numbers) actions; NULL: none */
    uint8_t *allowed, *next_allowed; /* (batch, choices): masks of the rows, and of the bootstrap
                                        rows; NULL: none */
} vly_replay_batch;

typedef struct vly_replay {
    vly_compute *c;
    vly_replay_options o;
    int64_t T, N, M; /* steps kept, actors, actors in a group */
    size_t bytes;    /* device memory taken */
    vly_replay_batch batch;
    vly_tree tree;

    /* device; the ring (T, N) */
    uint8_t *frames, *age, *flags; /* age NULL without stacks */
    vly_real *reward;
    int32_t *action;   /* 0 where actions are numbers */
    vly_real *numbers; /* (T, N, numbers) or NULL */
    uint8_t *allowed;  /* (T, N, choices) or NULL */
    uint64_t *tree_memory;
    int64_t tree_words;
    void *batch_memory;

    /* host */
    float *reward_slab, *score_slab; /* (N): what comes in; reward and flags only when the device is
                                        not the host */
    uint8_t *flags_slab, *age_slab, *allowed_slab;
    int64_t *step;        /* (groups): newest step that has arrived, -1: none */
    int32_t *transitions; /* (T, groups): rows that are transitions */
    int64_t size;         /* rows that can be sampled */
} vly_replay;

/* On failure nothing is left; too little memory names the option. */
vly_status vly_replay_create(vly_replay **out, vly_compute *c, const vly_replay_options *options);
void vly_replay_destroy(vly_replay *r);

void vly_replay_place(vly_replay *r, int group, vly_rows *rows);
/* The rows are there: those of n steps ago can be sampled from now on, the ring's oldest no longer.
 */
vly_status vly_replay_arrived(vly_replay *r, vly_queue *q, int group, const uint8_t *age);
/* First of the group's M newest rows. */
int64_t vly_replay_newest(const vly_replay *r, int group);
/* Actions (M, device memory) chosen on the newest rows. */
vly_status vly_replay_acted(vly_replay *r, vly_queue *q, int group, const int32_t *action);
vly_status vly_replay_acted_numbers(vly_replay *r, vly_queue *q, int group,
                                    const vly_real *numbers);
vly_frames vly_replay_frames(const vly_replay *r);

/* Rows that can be sampled. */
static inline int64_t vly_replay_size(const vly_replay *r) {
    return r->size;
}
/* The most that size() can be: a full ring without resets. */
static inline int64_t vly_replay_most(const vly_replay *r) {
    return (r->T - r->o.n_step - r->o.obs.stack) * r->N;
}
/* Fills r->batch but td_abs; row -1 and weight 0 while there is nothing. Does not advance rng. */
vly_status vly_replay_sample(vly_replay *r, vly_queue *q, const vly_rng *rng,
                             const vly_hyper *hyper);
/* Priorities of the last sample from batch.td_abs; nothing to do when uniform. */
vly_status vly_replay_update(vly_replay *r, vly_queue *q, const vly_hyper *hyper);

/* For checkpoints; after the buffers were overwritten, restored() brings the rest in line,
 * VLY_ECORRUPT when they contradict each other. */
void vly_replay_buffers(const vly_replay *r, vly_buffer_list *list);
/* What is state and not memory: the newest stack of every actor and its mask, from which a run that
 * was saved without its memory acts on. */
void vly_replay_recent_buffers(const vly_replay *r, vly_buffer_list *list);
vly_status vly_replay_restored(vly_replay *r, vly_queue *q);
/* For checkpoints without the memory: only the frames at steps -1, -2 ... (vly_replay_recent of a
 * fresh replay) were written. Acting goes on from them; there is nothing to sample yet. */
vly_status vly_replay_restart(vly_replay *r, vly_queue *q);
/* Row of actor 0 `back` steps before the newest; all groups must stand at the same step. */
int64_t vly_replay_recent(const vly_replay *r, int back);
/* Device memory per transition. */
size_t vly_replay_row_bytes(const vly_obs_spec *obs);

#ifdef __cplusplus
}
#endif
#endif
