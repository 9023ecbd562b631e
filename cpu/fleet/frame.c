#include "cpu/fleet/frame.h"
#include <lz4.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The first byte of a packed frame. */
enum { BY_ITSELF, CHANGES };
/* Changes are encoded in pieces of eight words of eight bytes: a bit for each piece, then for
 * each changed piece a byte whose bits are its changed words, for each of those a byte whose
 * bits are its changed bytes, and then these bytes. */
enum { WORDS = 8, PIECE = 8 * WORDS, PIECE_MOST = 1 + WORDS * 9 };

static size_t pieces_of(size_t bytes) {
    return (bytes + PIECE - 1) / PIECE;
}
static size_t map_bytes(size_t bytes) {
    return (pieces_of(bytes) + 7) / 8;
}

size_t vly_frame_packed_most(size_t bytes) {
    return 1 + (size_t)LZ4_compressBound((int)bytes);
}

/* ---- changes ---- */

/* A bit for each byte of x that is not 0. */
static unsigned nonzero_bytes(uint64_t x) {
    const uint64_t low = 0x7f7f7f7f7f7f7f7f, high = ((x & low) + low) | x;
    return (unsigned)((((high & ~low) >> 7) * 0x0102040810204080) >> 56);
}

static bool xor_pieces(const uint8_t *a, const uint8_t *b, uint64_t x[WORDS]) {
    uint64_t y[WORDS], any = 0;
    memcpy(x, a, PIECE);
    memcpy(y, b, PIECE);
    for (int i = 0; i < WORDS; i++) any |= x[i] ^= y[i];
    return any != 0;
}

static size_t put_piece(const uint8_t *from, const uint64_t x[WORDS], uint8_t *out) {
    size_t at = 1;
    out[0] = 0;
    for (int i = 0; i < WORDS; i++) {
        if (x[i] == 0) continue;
        unsigned m = nonzero_bytes(x[i]);
        out[0] |= (uint8_t)(1 << i);
        out[at++] = (uint8_t)m;
        for (; m; m &= m - 1) out[at++] = from[i * 8 + __builtin_ctz(m)];
    }
    return at;
}

/* Returns the packed length; 0 if it would exceed an eighth of the frame or the room. */
static size_t pack_changes(const uint8_t *frame, const uint8_t *base, size_t bytes, uint8_t *out,
                           size_t room) {
    const size_t pieces = pieces_of(bytes), limit = bytes / 8 < room ? bytes / 8 : room;
    size_t at = 1 + map_bytes(bytes);
    uint8_t last[2][PIECE] = {{0}};
    if (at > limit) return 0;
    memset(out, 0, at);
    out[0] = CHANGES;
    for (size_t i = 0; i < pieces; i++) {
        const uint8_t *a = frame + i * PIECE, *b = base + i * PIECE;
        uint64_t x[WORDS];
        if ((i + 1) * PIECE > bytes) {
            memcpy(last[0], a, bytes - i * PIECE), memcpy(last[1], b, bytes - i * PIECE);
            a = last[0], b = last[1];
        }
        if (!xor_pieces(a, b, x)) continue;
        if (at + PIECE_MOST > limit) return 0;
        out[1 + i / 8] |= (uint8_t)(1 << i % 8);
        at += put_piece(a, x, out + at);
    }
    return at;
}

/* Returns the number of bytes read from the changes; 0 if they are damaged. */
static size_t patch_piece(const uint8_t *from, size_t left, uint8_t *piece) {
    size_t at = 1;
    if (left == 0 || from[0] == 0) return 0;
    for (unsigned words = from[0]; words; words &= words - 1) {
        uint8_t *word = piece + 8 * __builtin_ctz(words);
        if (at >= left) return 0;
        unsigned m = from[at++];
        for (; m && at < left; m &= m - 1) word[__builtin_ctz(m)] = from[at++];
        if (m) return 0;
    }
    return at;
}

static bool apply_changes(const uint8_t *changes, size_t length, uint8_t *frame, size_t bytes) {
    const uint8_t *map = changes;
    size_t at = map_bytes(bytes);
    if (length < at) return false;
    for (size_t i = 0; i < pieces_of(bytes); i++) {
        if (!(map[i / 8] >> i % 8 & 1)) continue;
        const size_t mine = bytes - i * PIECE < PIECE ? bytes - i * PIECE : PIECE;
        uint8_t last[PIECE] = {0},
                *piece = mine < PIECE ? memcpy(last, frame + i * PIECE, mine) : frame + i * PIECE;
        const size_t took = patch_piece(changes + at, length - at, piece);
        if (took == 0) return false;
        if (piece == last) memcpy(frame + i * PIECE, last, mine);
        at += took;
    }
    return at == length;
}

/* ---- frames ---- */

struct vly_frame_packer {
    LZ4_stream_t *lz4;
};

vly_status vly_frame_pack(vly_frame_packer *p, const uint8_t *frame, const uint8_t *base,
                          size_t bytes, uint8_t *out, size_t room, size_t *length) {
    if (room < 1 || bytes > VLY_FRAME_MOST)
        return vly_fail(VLY_EINVAL, "cannot pack a frame of %zu bytes into %zu bytes", bytes, room);
    *length = base ? pack_changes(frame, base, bytes, out, room) : 0;
    if (*length) return VLY_OK;
    /* frames are compressed independently, without clearing 16 KB of table each time */
    LZ4_resetStream_fast(p->lz4);
    const int got = LZ4_compress_fast_continue(p->lz4, (const char *)frame, (char *)out + 1,
                                               (int)bytes, (int)(room - 1), 1);
    if (got <= 0) return vly_fail(VLY_EIO, "a frame of %zu bytes cannot be compressed", bytes);
    out[0] = BY_ITSELF;
    *length = (size_t)got + 1;
    return VLY_OK;
}

vly_status vly_frame_unpack(const void *packed, size_t length, const uint8_t *base, uint8_t *frame,
                            size_t bytes) {
    const uint8_t *from = packed;
    if (length < 1 || bytes > VLY_FRAME_MOST || length > INT32_MAX)
        return vly_fail(VLY_ECORRUPT, "a packed frame of %zu bytes is damaged", length);
    if (from[0] == BY_ITSELF) {
        if (LZ4_decompress_safe((const char *)from + 1, (char *)frame, (int)length - 1,
                                (int)bytes) == (int)bytes)
            return VLY_OK;
        return vly_fail(VLY_ECORRUPT, "a packed frame does not decompress to %zu bytes", bytes);
    }
    if (from[0] != CHANGES || !base)
        return vly_fail(VLY_ECORRUPT, "a packed frame is damaged: unknown encoding");
    if (frame != base) memcpy(frame, base, bytes);
    return apply_changes(from + 1, length - 1, frame, bytes)
               ? VLY_OK
               : vly_fail(VLY_ECORRUPT, "the changes of a packed frame are damaged");
}

void vly_frame_packer_destroy(vly_frame_packer *p) {
    if (!p) return;
    if (p->lz4) LZ4_freeStream(p->lz4);
    free(p);
}

vly_status vly_frame_packer_create(vly_frame_packer **out) {
    vly_frame_packer *p = calloc(1, sizeof *p);
    if (p) p->lz4 = LZ4_createStream();
    if (!p || !p->lz4) {
        vly_frame_packer_destroy(p);
        return vly_fail(VLY_ENOMEM, "frame packer: out of memory");
    }
    *out = p;
    return VLY_OK;
}
