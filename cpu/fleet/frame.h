/* frame.h -- a frame on its way through the store, without loss: by itself (LZ4), or as what
 * differs from another frame.
 *
 *   VLY_TRY(vly_frame_packer_create(&p));
 *   VLY_TRY(vly_frame_pack(p, frame, base, bytes, out, vly_frame_packed_most(bytes), &length));
 *       // base NULL: by itself
 *   VLY_TRY(vly_frame_unpack(out, length, base, frame, bytes));
 *
 * Frames of a game differ in a few pixels: naming those takes a fifth of the time of compressing
 * the picture, and less than half of its bytes. A frame that differs in more than one in sixteen of
 * its bytes stands by itself.
 */
#ifndef VLY_CPU_FLEET_FRAME_H
#define VLY_CPU_FLEET_FRAME_H
#include <stddef.h>
#include <stdint.h>
#include "common/base/status.h"

enum {
    VLY_FRAME_PACK_FROM = 512,
    VLY_FRAME_MOST = 1 << 24
}; /* smaller ones are left as they are; larger ones are an error */

typedef struct vly_frame_packer vly_frame_packer;
vly_status vly_frame_packer_create(vly_frame_packer **out);
void vly_frame_packer_destroy(vly_frame_packer *p);

size_t vly_frame_packed_most(size_t bytes);
/* At most `room` bytes to out; *length is how many. */
vly_status vly_frame_pack(vly_frame_packer *p, const uint8_t *frame, const uint8_t *base,
                          size_t bytes, uint8_t *out, size_t room, size_t *length);
/* VLY_ECORRUPT for what is no frame of so many bytes. base: the one it was packed against; it may
 * be `frame` itself. */
vly_status vly_frame_unpack(const void *packed, size_t length, const uint8_t *base, uint8_t *frame,
                            size_t bytes);
#endif
