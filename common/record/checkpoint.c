#include "common/record/checkpoint_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

vly_status vly_checkpoint_damaged(const vly_checkpoint *c, const char *format, ...) {
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return vly_fail(VLY_ECORRUPT, "%.500s: %s", c->path, words);
}

vly_status vly_checkpoint_read_at(const vly_checkpoint *c, uint64_t at, void *to, size_t bytes) {
    if (at > c->bytes || bytes > c->bytes - at)
        return vly_checkpoint_damaged(c, "it ends at byte %" PRIu64, c->bytes);
    if (c->memory) return memcpy(to, c->memory + at, bytes), VLY_OK;
    for (char *p = to; bytes;) {
        ssize_t n = pread(c->fd, p, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return vly_fail(VLY_EIO, "cannot read %s: %s", c->path, strerror(errno));
        if (n == 0) return vly_checkpoint_damaged(c, "it became shorter while it was read");
        p += n, at += (uint64_t)n, bytes -= (size_t)n;
    }
    return VLY_OK;
}

int vly_checkpoint_index(const vly_checkpoint *c, const char *name) {
    for (int i = 0; i < c->tensor_count; i++)
        if (!strcmp(c->tensors[i].name, name)) return i;
    return -1;
}

static vly_status open_common(vly_checkpoint **out, vly_checkpoint *c) {
    vly_status status = vly_checkpoint_read_header(c);
    if (status != VLY_OK) return vly_checkpoint_close(c), status;
    return *out = c, VLY_OK;
}

vly_status vly_checkpoint_open_memory(vly_checkpoint **out, const void *data, size_t bytes,
                                      const char *name) {
    vly_checkpoint *c = calloc(1, sizeof *c);
    if (!c) return vly_fail(VLY_ENOMEM, "no memory to read %s", name);
    static const uint8_t nothing;
    snprintf(c->path, sizeof c->path, "%s", name);
    c->fd = -1, c->memory = bytes ? data : &nothing, c->bytes = bytes;
    return open_common(out, c);
}

vly_status vly_checkpoint_open(vly_checkpoint **out, const char *path) {
    struct stat info;
    vly_checkpoint *c = calloc(1, sizeof *c);
    if (!c) return vly_fail(VLY_ENOMEM, "no memory to read %s", path);
    snprintf(c->path, sizeof c->path, "%s", path);
    c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block us */
    vly_status status = VLY_OK;
    if (c->fd < 0)
        status = vly_fail(errno == ENOENT ? VLY_ENOTFOUND : VLY_EIO, "cannot open %s: %s", path,
                          strerror(errno));
    else if (fstat(c->fd, &info) || !S_ISREG(info.st_mode))
        status = vly_fail(VLY_EINVAL, "%s is not a file", path);
    if (status != VLY_OK) return vly_checkpoint_close(c), status;
    c->bytes = (uint64_t)info.st_size;
    return open_common(out, c);
}

void vly_checkpoint_close(vly_checkpoint *c) {
    if (!c) return;
    if (c->fd >= 0) close(c->fd);
    free(c->tensors);
    free(c->offset);
    free(c->checksum);
    free(c->notes);
    free(c);
}

static vly_status stream_tensor(vly_checkpoint *c, int i,
                                vly_status (*give)(void *, size_t, const void *, size_t),
                                void *arg) {
    size_t bytes = vly_array_bytes(&c->tensors[i]);
    char *piece = malloc(PIECE), text[17];
    XXH3_state_t *hash = XXH3_createState();
    vly_status status = piece && hash ? VLY_OK
                                      : vly_fail(VLY_ENOMEM, "no memory to read %s", c->path);
    if (status == VLY_OK) XXH3_64bits_reset(hash);
    for (size_t at = 0; at < bytes && status == VLY_OK; at += PIECE) {
        size_t n = bytes - at < PIECE ? bytes - at : PIECE;
        status = vly_checkpoint_read_at(c, c->data_at + c->offset[i] + at, piece, n);
        if (status == VLY_OK) XXH3_64bits_update(hash, piece, n);
        if (status == VLY_OK && give) status = give(arg, at, piece, n);
    }
    if (status == VLY_OK && c->checksum[i][0]) {
        snprintf(text, sizeof text, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(hash));
        if (strcmp(text, c->checksum[i]))
            status = vly_checkpoint_damaged(
                c, "the content of tensor %s does not match its checksum", c->tensors[i].name);
    }
    XXH3_freeState(hash);
    free(piece);
    return status;
}

vly_status vly_checkpoint_stream(vly_checkpoint *c, const char *name, vly_dtype dtype, size_t bytes,
                                 vly_status (*give)(void *, size_t, const void *, size_t),
                                 void *arg) {
    int i = vly_checkpoint_index(c, name);
    if (i < 0)
        return vly_fail(VLY_ENOTFOUND,
                        "%.500s holds no tensor %s: it is of another network or algorithm", c->path,
                        name);
    const vly_array *t = &c->tensors[i];
    if (t->dtype != dtype || vly_array_bytes(t) != bytes)
        return vly_fail(VLY_EINVAL,
                        "%.500s: tensor %s is %s of %zu bytes, this run needs %s of %zu: it is of "
                        "another network or size",
                        c->path, name, vly_dtype_name(t->dtype), vly_array_bytes(t),
                        vly_dtype_name(dtype), bytes);
    return stream_tensor(c, i, give, arg);
}

static vly_status copy_piece(void *arg, size_t offset, const void *piece, size_t n) {
    memcpy((char *)arg + offset, piece, n);
    return VLY_OK;
}

vly_status vly_checkpoint_read(vly_checkpoint *c, const char *name, vly_dtype dtype, void *to,
                               size_t bytes) {
    return vly_checkpoint_stream(c, name, dtype, bytes, copy_piece, to);
}

static vly_status verify_digest(const vly_checkpoint *c) {
    char digest[VLY_DIGEST_TEXT];
    uint64_t *checksum = calloc((size_t)c->tensor_count + 1, sizeof *checksum);
    if (!checksum) return vly_fail(VLY_ENOMEM, "no memory to check %s", c->path);
    for (int i = 0; i < c->tensor_count; i++) checksum[i] = strtoull(c->checksum[i], NULL, 16);
    vly_checkpoint_data data = {.tensors = c->tensors,
                                .tensor_count = c->tensor_count,
                                .notes = c->notes,
                                .note_count = c->note_count};
    vly_status status = vly_digest_make(&data, checksum, digest);
    free(checksum);
    if (status == VLY_OK && strcmp(digest, c->digest))
        status = vly_checkpoint_damaged(c, "its contents do not match its digest");
    return status;
}

vly_status vly_checkpoint_verify(vly_checkpoint *c) {
    for (int i = 0; i < c->tensor_count; i++) VLY_TRY(stream_tensor(c, i, NULL, NULL));
    return c->format ? verify_digest(c) : VLY_OK;
}

const char *vly_checkpoint_path(const vly_checkpoint *c) {
    return c->path;
}
int vly_checkpoint_tensors(const vly_checkpoint *c) {
    return c->tensor_count;
}
const vly_array *vly_checkpoint_tensor(const vly_checkpoint *c, int i) {
    return i >= 0 && i < c->tensor_count ? &c->tensors[i] : NULL;
}
const vly_array *vly_checkpoint_find(const vly_checkpoint *c, const char *name) {
    return vly_checkpoint_tensor(c, vly_checkpoint_index(c, name));
}
const char *vly_checkpoint_checksum(const vly_checkpoint *c, int i) {
    return i >= 0 && i < c->tensor_count ? c->checksum[i] : "";
}
int vly_checkpoint_notes(const vly_checkpoint *c) {
    return c->note_count;
}
const vly_note *vly_checkpoint_note(const vly_checkpoint *c, int i) {
    return i >= 0 && i < c->note_count ? &c->notes[i] : NULL;
}
const char *vly_checkpoint_digest(const vly_checkpoint *c) {
    return c->digest;
}
bool vly_checkpoint_is_ours(const vly_checkpoint *c) {
    return c->format != 0;
}

const char *vly_checkpoint_note_text(const vly_checkpoint *c, const char *name) {
    for (int i = 0; i < c->note_count; i++)
        if (!strcmp(c->notes[i].name, name)) return c->notes[i].value;
    return NULL;
}

vly_status vly_checkpoint_note_int(const vly_checkpoint *c, const char *name, int64_t *out) {
    const char *text = vly_checkpoint_note_text(c, name);
    char *end;
    if (!text) return vly_fail(VLY_ENOTFOUND, "%.500s has no note \"%s\"", c->path, name);
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return vly_checkpoint_damaged(c, "its %s is not a number", name);
    return *out = value, VLY_OK;
}
