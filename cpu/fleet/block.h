/* block.h -- a block of experience: n-step transitions of consecutive steps of an Ape-X actor's
 * environments, each frame stored once.
 *
 *   VLY_TRY(vly_block_maker_create(&m, &shape));
 *   VLY_TRY(vly_block_make(m, &source, from, steps, &block));
 *       // block.notice and block.data go into the store
 *   VLY_TRY(vly_block_check(notice, bytes, &shape, &view));       // untrusted bytes from the store
 *   VLY_TRY(vly_block_frames(&view, lane, first, count, range, bytes, frames));
 *
 * A block is two values. The notice, which the learner holds in memory: the header, a record of 16
 * bytes per transition (n-step return and discount, distance to the bootstrap row, first priority),
 * and the offset of each frame. The data: the frames, lane by lane, so that the frames of one
 * transition are contiguous and are fetched as one range. Frames of 512 bytes and more are packed
 * (cpu/fleet/frame.h), one in eight on its own and the next seven as differences from it; smaller
 * ones are stored as they are. The last n_step and the first stack - 1 frames of a lane are also in
 * the neighbouring block, so each block can be read without another. */
#ifndef VLY_CPU_FLEET_BLOCK_H
#define VLY_CPU_FLEET_BLOCK_H
#include "common/learn/replay.h"

enum { VLY_BLOCK_RETURNS = 64, VLY_BLOCK_NSTEP_MOST = 255 };

typedef struct { /* the format in the store: little-endian */
    uint32_t magic, lanes, steps, ahead, history, frame_bytes, packed, returns;
    uint64_t life, seq;  /* life: of the actor's process; seq: from 1 in each life */
    int64_t version;     /* of the weights that the actor used */
    int64_t agent_steps; /* since the actor's last block */
    uint64_t data_bytes;
    float score[VLY_BLOCK_RETURNS]; /* of episodes that ended since then */
} vly_block_head;

typedef struct {
    /* priority: the absolute TD error, by the actor's own network */
    float n_return, discount, priority;
    int16_t action; /* -1: no transition (the action was ignored) */
    /* boot: steps to the bootstrap row; age: earlier frames of the same episode */
    uint8_t boot, age;
} vly_block_record;

/* What all blocks of a run have in common; checked on arrival. */
typedef struct {
    vly_obs_spec obs;
    int actions, lanes_most, steps_most, n_step;
} vly_block_shape;

/* A checked notice; the pointers are into the memory given to vly_block_check. */
typedef struct {
    vly_block_head head;
    const vly_block_record *record; /* (lanes, steps) */
    const uint32_t *offset;         /* (lanes * rows + 1) into the data; NULL when not packed */
    int rows;                       /* frames of a lane: history + steps + ahead */
} vly_block_view;

/* The rows that blocks are made from: an actor's ring, and its network's values of every row. */
typedef struct {
    const vly_replay *ring; /* in host memory */
    const vly_real *value;  /* (ring rows, actions) */
    int actions;
    float gamma, reward_scale;
} vly_block_source;

typedef struct {
    vly_block_head *head;           /* the caller fills in life, seq, version, agent_steps, score */
    const vly_block_record *record; /* (lanes, steps), within the notice */
    const uint8_t *notice, *data;
    size_t notice_bytes, data_bytes;
    int transitions; /* of lanes * steps */
} vly_block;

typedef struct vly_block_maker vly_block_maker;
vly_status vly_block_maker_create(vly_block_maker **out, const vly_block_shape *shape);
void vly_block_maker_destroy(vly_block_maker *m);
/* Makes a block of steps from .. from + steps - 1 of all lanes; the n_step rows after them must
 * have arrived. The block is owned by the maker and valid until the next call. */
vly_status vly_block_make(vly_block_maker *m, const vly_block_source *source, int64_t from,
                          int steps, vly_block *block);

size_t vly_block_notice_most(const vly_block_shape *shape);
size_t vly_block_data_most(const vly_block_shape *shape);
/* Returns VLY_ECORRUPT unless the notice is a valid block of this shape. `view` points into
 * `notice`, which must be aligned to 8 bytes. */
vly_status vly_block_check(const void *notice, size_t bytes, const vly_block_shape *shape,
                           vly_block_view *view);
/* The range of the data that holds what frames first .. first + count - 1 of a lane are unpacked
 * from. */
void vly_block_range(const vly_block_view *view, int lane, int first, int count, size_t *offset,
                     size_t *bytes);
/* Unpacks those frames from that range; `out` has room for count * obs.bytes. */
vly_status vly_block_frames(const vly_block_view *view, int lane, int first, int count,
                            const void *range, size_t bytes, uint8_t *out);
#endif
