#include "cpu/program/npz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/compute.h"
#include "common/base/crc32.h"
#include "common/base/file.h"

enum { NAME = 128 };

typedef struct {
    char name[NAME];
    uint32_t crc, bytes, at;
} entry;

struct vly_npz {
    char path[1280], temporary[1400];
    int fd, n;
    entry *entries;
    uint64_t at;
    vly_status status;
};

vly_status vly_npz_open(vly_npz **out, const char *path) {
    vly_npz *z = calloc(1, sizeof *z);
    if (!z) return vly_fail(VLY_ENOMEM, "no memory to write %s", path);
    snprintf(z->path, sizeof z->path, "%s", path);
    z->fd = vly_file_begin(path, z->temporary, sizeof z->temporary, &z->status);
    if (z->fd < 0) {
        vly_status status = z->status;
        free(z);
        return status;
    }
    return *out = z, VLY_OK;
}

static void put_part(vly_npz *z, const void *data, size_t bytes) {
    if (z->status == VLY_OK) z->status = vly_file_write(z->fd, data, bytes, z->path);
    z->at += bytes;
}

static size_t little(uint8_t *to, uint32_t v, int n) {
    for (int i = 0; i < n; i++) to[i] = (uint8_t)(v >> (8 * i));
    return (size_t)n;
}

/* What a local header and the directory share: version, flags, method, time, date (1980-01-01),
 * crc, sizes, name length, extra. */
static size_t common_fields(uint8_t *to, const entry *e) {
    size_t n = little(to, 20, 2);
    n += little(to + n, 0, 2);
    n += little(to + n, 0, 2);
    n += little(to + n, 0, 2);
    n += little(to + n, 0x21, 2);
    n += little(to + n, e->crc, 4);
    n += little(to + n, e->bytes, 4);
    n += little(to + n, e->bytes, 4);
    n += little(to + n, (uint32_t)strlen(e->name), 2);
    return n + little(to + n, 0, 2);
}

static const char *descr(vly_dtype dtype) {
    static const char *const names[] = {
        [VLY_F32] = "<f4", [VLY_U8] = "|u1",  [VLY_BF16] = "<u2", [VLY_F64] = "<f8",
        [VLY_I32] = "<i4", [VLY_I64] = "<i8", [VLY_U32] = "<u4",  [VLY_U64] = "<u8"};
    return names[dtype];
}

/* The .npy header, padded so that the data begins at a multiple of 64; its length. */
static size_t npy_header(char *text, size_t room, vly_dtype dtype, int ndim, const int64_t *shape) {
    size_t used = 10;
    used += (size_t)snprintf(text + used, room - used,
                             "{'descr': '%s', 'fortran_order': False, 'shape': (", descr(dtype));
    for (int i = 0; i < ndim; i++)
        used += (size_t)snprintf(text + used, room - used, "%lld,", (long long)shape[i]);
    used += (size_t)snprintf(text + used, room - used, "), }");
    while ((used + 1) % 64) text[used++] = ' ';
    text[used++] = '\n';
    memcpy(text, "\x93NUMPY\x01\x00", 8);
    little((uint8_t *)text + 8, (uint32_t)(used - 10), 2);
    return used;
}

vly_status vly_npz_add(vly_npz *z, const char *name, vly_dtype dtype, int ndim,
                       const int64_t *shape, const void *data) {
    char npy[512];
    uint8_t head[64];
    size_t bytes = vly_dtype_bytes(dtype);
    for (int i = 0; i < ndim; i++) bytes *= (size_t)shape[i];
    size_t header = npy_header(npy, sizeof npy - 64, dtype, ndim, shape);
    if (z->at + bytes + 4096 > UINT32_MAX)
        return z->status = vly_fail(
                   VLY_EINVAL, "%s: more than 4 GB do not fit in an npz; use safetensors", z->path);
    entry *more = realloc(z->entries, (size_t)(z->n + 1) * sizeof *more);
    if (!more) return z->status = vly_fail(VLY_ENOMEM, "no memory to write %s", z->path);
    entry *e = (z->entries = more) + z->n++;
    snprintf(e->name, sizeof e->name, "%s.npy", name);
    e->bytes = (uint32_t)(header + bytes), e->at = (uint32_t)z->at;
    e->crc = vly_crc32(vly_crc32(0, npy, header), data, bytes);
    size_t n = little(head, 0x04034b50, 4);
    n += common_fields(head + n, e);
    put_part(z, head, n);
    put_part(z, e->name, strlen(e->name));
    put_part(z, npy, header);
    put_part(z, data, bytes);
    return z->status;
}

static void put_directory(vly_npz *z) {
    uint8_t head[64];
    uint64_t start = z->at;
    for (int i = 0; i < z->n; i++) {
        const entry *e = &z->entries[i];
        size_t n = little(head, 0x02014b50, 4);
        n += little(head + n, 20, 2); /* made by */
        n += common_fields(head + n, e);
        n += little(head + n, 0, 2); /* comment */
        n += little(head + n, 0, 2); /* disk */
        n += little(head + n, 0, 2); /* attributes */
        n += little(head + n, 0, 4);
        n += little(head + n, e->at, 4);
        put_part(z, head, n);
        put_part(z, e->name, strlen(e->name));
    }
    size_t n = little(head, 0x06054b50, 4);
    n += little(head + n, 0, 4); /* disks */
    n += little(head + n, (uint32_t)z->n, 2);
    n += little(head + n, (uint32_t)z->n, 2);
    uint32_t size = (uint32_t)(z->at - start);
    n += little(head + n, size, 4);
    n += little(head + n, (uint32_t)start, 4);
    n += little(head + n, 0, 2);
    put_part(z, head, n);
}

vly_status vly_npz_close(vly_npz *z) {
    if (z->status == VLY_OK) put_directory(z);
    if (z->status == VLY_OK)
        z->status = vly_file_commit(z->fd, z->temporary, z->path);
    else
        vly_file_abort(z->fd, z->temporary);
    vly_status status = z->status;
    free(z->entries);
    free(z);
    return status;
}
