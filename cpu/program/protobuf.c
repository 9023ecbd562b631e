#include "cpu/program/protobuf.h"
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, BYTES = 2, FIXED32 = 5, LENGTH_BYTES = 5 };

static uint8_t *grow_message(vly_proto *p, size_t bytes) {
    if (p->failed) return NULL;
    if (p->n + bytes > p->room) {
        const size_t room = 2 * p->room + bytes + 256;
        uint8_t *data = realloc(p->data, room);
        if (!data) return p->failed = true, NULL;
        p->data = data, p->room = room;
    }
    p->n += bytes;
    return p->data + p->n - bytes;
}

static void put_varint(vly_proto *p, uint64_t value) {
    uint8_t bytes[10];
    size_t n = 0;
    for (; value > 127; value >>= 7) bytes[n++] = (uint8_t)(value | 128);
    bytes[n++] = (uint8_t)value;
    uint8_t *to = grow_message(p, n);
    if (to) memcpy(to, bytes, n);
}

static void put_key(vly_proto *p, int field, int type) {
    put_varint(p, (uint64_t)field << 3 | (uint64_t)type);
}

void vly_proto_int(vly_proto *p, int field, int64_t value) {
    put_key(p, field, VARINT);
    put_varint(p, (uint64_t)value);
}

void vly_proto_float(vly_proto *p, int field, float value) {
    put_key(p, field, FIXED32);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint8_t *to = grow_message(p, sizeof bits);
    for (int i = 0; to && i < 4; i++) to[i] = (uint8_t)(bits >> (8 * i));
}

void *vly_proto_room(vly_proto *p, int field, size_t bytes) {
    put_key(p, field, BYTES);
    put_varint(p, bytes);
    return grow_message(p, bytes);
}

void vly_proto_bytes(vly_proto *p, int field, const void *data, size_t bytes) {
    void *to = vly_proto_room(p, field, bytes);
    if (to && bytes) memcpy(to, data, bytes);
}

void vly_proto_text(vly_proto *p, int field, const char *text) {
    vly_proto_bytes(p, field, text, strlen(text));
}

size_t vly_proto_begin(vly_proto *p, int field) {
    put_key(p, field, BYTES);
    (void)grow_message(p, LENGTH_BYTES);
    return p->n;
}

void vly_proto_end(vly_proto *p, size_t begun) {
    if (p->failed) return;
    uint64_t bytes = p->n - begun;
    uint8_t *to = p->data + begun - LENGTH_BYTES;
    for (int i = 0; i < LENGTH_BYTES; i++, bytes >>= 7)
        to[i] = (uint8_t)((bytes & 127) | (i + 1 < LENGTH_BYTES ? 128 : 0));
}
