/* block.h -- what an Ape-X actor hands over: the n-step transitions of some steps of its
 * environments, each frame once.
 *
 *   VLY_TRY(vly_block_maker_create(&m, &obs, lanes, steps_most, n_step));
 *   VLY_TRY(vly_block_make(m, &source, from, steps, &block));
 *       // block.notice, block.data: what goes into the store
 *   VLY_TRY(vly_block_check(notice, bytes, &shape, &view));       // whatever came out of it
 *   VLY_TRY(vly_block_frames(&view, data, lane, first, count, frames));
 *
 * A block is two values. The notice is what a learner keeps of every block in memory: who made it,
 * a record of 16 bytes per transition (its n-step return and discount, where it bootstraps, its
 * first priority), and where each frame lies. The data are the frames, lane by lane, so that what a
 * transition needs lies side by side and is fetched as one range: frames of 512 bytes and more
 * packed (cpu/fleet/frame.h), one in eight by itself and the next seven against it, smaller ones as
 * they are. A frame is in a block once; the last n_step and the first stack - 1 of a lane are in
 * the neighbouring block too, so that a block needs no other.
 */
#ifndef VLY_CPU_FLEET_BLOCK_H
#define VLY_CPU_FLEET_BLOCK_H
#include "common/learn/replay.h"

enum { VLY_BLOCK_RETURNS = 64, VLY_BLOCK_NSTEP_MOST = 255 };

typedef struct { /* little-endian, as it lies in the store */
    uint32_t magic, lanes, steps, ahead, history, frame_bytes, packed, returns;
    uint64_t life, seq;  /* of the actor: a restarted one has another life; seq from 1 */
    int64_t version;     /* of the weights it acted with */
    int64_t agent_steps; /* since the actor's last block */
    uint64_t data_bytes;
    float score[VLY_BLOCK_RETURNS]; /* of episodes that ended since */
} vly_block_head;

typedef struct {
    float n_return, discount, priority; /* priority: the absolute error, by the actor's own network
                                         */
    int16_t action;                     /* -1: no transition (the action was ignored) */
    uint8_t boot, age; /* steps to the row it bootstraps from; frames of the episode before */
} vly_block_record;

/* What blocks of a run look like; checked on arrival. */
typedef struct {
    vly_obs_spec obs;
    int actions, lanes_most, steps_most, n_step;
} vly_block_shape;

/* A notice that was checked; its parts, within the memory that was given. */
typedef struct {
    vly_block_head head;
    const vly_block_record *record; /* (lanes, steps) */
    const uint32_t *offset;         /* (lanes * rows + 1) into the data; NULL when not packed */
    int rows;                       /* frames of a lane: history + steps + ahead */
} vly_block_view;

/* Where an actor's rows are: its ring of frames, and what its network thought of every row. */
typedef struct {
    const vly_replay *ring; /* of a host device */
    const vly_real *value;  /* (ring rows, actions) */
    int actions;
    float gamma, reward_scale;
} vly_block_source;

typedef struct {
    vly_block_head *head;           /* to be completed: life, seq, version, agent_steps, score */
    const vly_block_record *record; /* (lanes, steps), within the notice */
    const uint8_t *notice, *data;
    size_t notice_bytes, data_bytes;
    int transitions; /* of lanes * steps */
} vly_block;

typedef struct vly_block_maker vly_block_maker;
vly_status vly_block_maker_create(vly_block_maker **out, const vly_block_shape *shape);
void vly_block_maker_destroy(vly_block_maker *m);
/* Steps from .. from + steps - 1 of all lanes, all of whose n successors have arrived. The block is
 * the maker's, until the next. */
vly_status vly_block_make(vly_block_maker *m, const vly_block_source *source, int64_t from,
                          int steps, vly_block *block);

size_t vly_block_notice_most(const vly_block_shape *shape);
size_t vly_block_data_most(const vly_block_shape *shape);
/* VLY_ECORRUPT for anything that is not a block of this shape; view points into `notice`, which
 * must be aligned to 8. */
vly_status vly_block_check(const void *notice, size_t bytes, const vly_block_shape *shape,
                           vly_block_view *view);
/* The range of data that frames first .. first + count - 1 of a lane are made from. */
void vly_block_range(const vly_block_view *view, int lane, int first, int count, size_t *offset,
                     size_t *bytes);
/* Those frames from that range: count * obs.bytes. */
vly_status vly_block_frames(const vly_block_view *view, int lane, int first, int count,
                            const void *range, size_t bytes, uint8_t *out);
#endif
