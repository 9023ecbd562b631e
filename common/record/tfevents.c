#include "common/record/tfevents.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/file.h"

enum { RECORD = 64 << 10, NAME_LIMIT = 128 };

struct vly_tfevents {
    int fd;
    char path[1400];
    uint8_t record[RECORD + 16]; /* 12 bytes of head, the event, 4 of tail */
    size_t used;
};

uint32_t vly_crc32c(const void *data, size_t bytes) {
    static const uint32_t table[16] = {/* reflected 0x82f63b78, four bits at a time */
                                       0x00000000u, 0x105ec76fu, 0x20bd8edeu, 0x30e349b1u,
                                       0x417b1dbcu, 0x5125dad3u, 0x61c69362u, 0x7198540du,
                                       0x82f63b78u, 0x92a8fc17u, 0xa24bb5a6u, 0xb21572c9u,
                                       0xc38d26c4u, 0xd3d3e1abu, 0xe330a81au, 0xf36e6f75u};
    uint32_t crc = ~0u;
    for (const uint8_t *p = data; bytes--; p++) {
        crc = table[(crc ^ *p) & 15] ^ (crc >> 4);
        crc = table[(crc ^ (uint32_t)(*p >> 4)) & 15] ^ (crc >> 4);
    }
    return ~crc;
}

static void put_bytes(vly_tfevents *t, const void *data, size_t n) {
    memcpy(t->record + 12 + t->used, data, n);
    t->used += n;
}

static size_t varint(uint8_t *to, uint64_t v) {
    size_t n = 0;
    for (; v >= 128; v >>= 7) to[n++] = (uint8_t)(v | 128);
    to[n++] = (uint8_t)v;
    return n;
}

static void tfevents_put_varint(vly_tfevents *t, uint64_t v) {
    uint8_t text[10];
    put_bytes(t, text, varint(text, v));
}

static void put_tag(vly_tfevents *t, int field, int wire) {
    tfevents_put_varint(t, (uint64_t)(field << 3 | wire));
}

static void tfevents_little(uint8_t *to, uint64_t v, int n) {
    for (int i = 0; i < n; i++) to[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t mask_crc(uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* event.proto: wall_time = 1 (double), step = 2 (int64), file_version = 3, summary = 5, session_log
 * = 7 */
static void tfevents_begin(vly_tfevents *t, int64_t step) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double wall = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    uint64_t bits;
    uint8_t raw[8];
    memcpy(&bits, &wall, 8);
    tfevents_little(raw, bits, 8);
    t->used = 0;
    put_tag(t, 1, 1);
    put_bytes(t, raw, 8);
    put_tag(t, 2, 0);
    tfevents_put_varint(t, (uint64_t)step);
}

static vly_status tfevents_finish(vly_tfevents *t) {
    tfevents_little(t->record, t->used, 8);
    tfevents_little(t->record + 8, mask_crc(vly_crc32c(t->record, 8)), 4);
    tfevents_little(t->record + 12 + t->used, mask_crc(vly_crc32c(t->record + 12, t->used)), 4);
    off_t before = lseek(t->fd, 0, SEEK_END);
    vly_status status = vly_file_write(t->fd, t->record, t->used + 16, t->path);
    if (status != VLY_OK && before >= 0 && ftruncate(t->fd, before)) { /* half a record would end
                                                                          the file for readers */
    }
    return status;
}

/* Summary: value = 1 { tag = 1, simple_value = 2 (float) } */
static void put_scalar(vly_tfevents *t, const char *name, double value) {
    size_t n = strnlen(name, NAME_LIMIT);
    float single = (float)value;
    uint32_t bits;
    uint8_t raw[4];
    memcpy(&bits, &single, 4);
    tfevents_little(raw, bits, 4);
    put_tag(t, 1, 2);
    tfevents_put_varint(t, 1 + (n < 128 ? 1 : 2) + n + 5);
    put_tag(t, 1, 2);
    tfevents_put_varint(t, n);
    put_bytes(t, name, n);
    put_tag(t, 2, 5);
    put_bytes(t, raw, 4);
}

static size_t scalar_bytes(const char *name) {
    size_t n = strnlen(name, NAME_LIMIT), inner = 1 + (n < 128 ? 1 : 2) + n + 5;
    return 1 + (inner < 128 ? 1 : 2) + inner;
}

vly_status vly_tfevents_scalars(vly_tfevents *t, int64_t step, const char *const *names,
                                const double *values, int n) {
    size_t bytes = 0;
    for (int i = 0; i < n; i++) bytes += scalar_bytes(names[i]);
    if (bytes + 64 > RECORD) return vly_fail(VLY_EINVAL, "%d metrics do not fit in one event", n);
    tfevents_begin(t, step);
    put_tag(t, 5, 2);
    tfevents_put_varint(t, bytes);
    for (int i = 0; i < n; i++) put_scalar(t, names[i], values[i]);
    return tfevents_finish(t);
}

static vly_status write_start(vly_tfevents *t, int64_t restart) {
    static const char version[] = "brain.Event:2";
    tfevents_begin(t, 0);
    put_tag(t, 3, 2);
    tfevents_put_varint(t, sizeof version - 1);
    put_bytes(t, version, sizeof version - 1);
    VLY_TRY(tfevents_finish(t));
    if (restart < 0) return VLY_OK;
    tfevents_begin(t, restart +
                          1); /* SessionLog START: events at this step and later are superseded */
    put_tag(t, 7, 2);
    tfevents_put_varint(t, 2);
    put_tag(t, 1, 0);
    tfevents_put_varint(t, 1);
    return tfevents_finish(t);
}

vly_status vly_tfevents_open(vly_tfevents **out, const char *folder, int64_t restart) {
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    vly_tfevents *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "no memory for the event file");
    t->fd = -1;
    for (int i = 0; i < 1000 && t->fd < 0; i++) { /* two resumes within a second */
        snprintf(t->path, sizeof t->path, "%.1000s/events.out.tfevents.%lld.%s.%ld.%d", folder,
                 (long long)time(NULL), host, (long)getpid(), i);
        t->fd = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (t->fd < 0 && errno != EEXIST) break;
    }
    vly_status status = t->fd < 0
                            ? vly_fail(VLY_EIO, "cannot create %s: %s", t->path, strerror(errno))
                            : write_start(t, restart);
    if (status != VLY_OK) return vly_tfevents_close(t), status;
    return *out = t, VLY_OK;
}

void vly_tfevents_close(vly_tfevents *t) {
    if (!t) return;
    if (t->fd >= 0) close(t->fd);
    free(t);
}
