/* protobuf.h -- writes protocol buffers into memory: the dozen lines that ONNX needs of it.
 *
 *   vly_proto p = {0};
 *   vly_proto_text(&p, 2, "volley");                // field 2
 *   size_t at = vly_proto_begin(&p, 7);             // field 7 is a message ...
 *   vly_proto_int(&p, 1, 42);
 *   vly_proto_end(&p, at);                          // ... until here
 *   // memory ran out on the way: asked once, at the end
 *   if (p.failed) ...
 *   free(p.data);
 *
 * The length of a message is written in five bytes, which the format allows, so that nothing is
 * copied to make room.
 */
#ifndef VLY_CPU_PROTOBUF_H
#define VLY_CPU_PROTOBUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *data;
    size_t n, room;
    bool failed;
} vly_proto;

void vly_proto_int(vly_proto *p, int field, int64_t value);
void vly_proto_float(vly_proto *p, int field, float value);
void vly_proto_text(vly_proto *p, int field, const char *text);
void vly_proto_bytes(vly_proto *p, int field, const void *data, size_t bytes);
size_t vly_proto_begin(vly_proto *p, int field);
void vly_proto_end(vly_proto *p, size_t begun);
/* Room for `bytes` more as the content of a field, to be filled by the caller; NULL when memory ran
 * out. Valid until the next call. */
void *vly_proto_room(vly_proto *p, int field, size_t bytes);
#endif
