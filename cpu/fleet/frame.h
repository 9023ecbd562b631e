/* frame.h -- lossless packing of frames for the store: on their own (LZ4), or as differences from
 * another frame.
 *
 *   VLY_TRY(vly_frame_packer_create(&p));
 *   VLY_TRY(vly_frame_pack(p, frame, base, bytes, out, vly_frame_packed_most(bytes), &length));
 *       // base NULL: on its own
 *   VLY_TRY(vly_frame_unpack(out, length, base, frame, bytes));
 *
 * Consecutive frames of a game differ in a few pixels: packing the differences takes a fifth of the
 * time of LZ4 and less than half of the bytes. If the differences would take more than an eighth of
 * the frame's size, the frame is packed on its own. */
#ifndef VLY_CPU_FLEET_FRAME_H
#define VLY_CPU_FLEET_FRAME_H
#include <stddef.h>
#include <stdint.h>
#include "common/base/status.h"

enum {
    /* Frames below PACK_FROM bytes are stored as they are; frames above MOST are an error. */
    VLY_FRAME_PACK_FROM = 512,
    VLY_FRAME_MOST = 1 << 24
};

typedef struct vly_frame_packer vly_frame_packer;
vly_status vly_frame_packer_create(vly_frame_packer **out);
void vly_frame_packer_destroy(vly_frame_packer *p);

size_t vly_frame_packed_most(size_t bytes);
/* Writes at most `room` bytes to `out`; *length is the number written. */
vly_status vly_frame_pack(vly_frame_packer *p, const uint8_t *frame, const uint8_t *base,
                          size_t bytes, uint8_t *out, size_t room, size_t *length);
/* Returns VLY_ECORRUPT unless `packed` is a frame of `bytes` bytes. base: the frame it was
 * packed against; may be `frame` itself. */
vly_status vly_frame_unpack(const void *packed, size_t length, const uint8_t *base, uint8_t *frame,
                            size_t bytes);
#endif
