#include "common/record/checkpoint_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include "common/base/file.h"

typedef struct {
    const vly_checkpoint_data *data;
    int *order;         /* by element size, so that every tensor is aligned to its own */
    uint64_t *checksum; /* by tensor */
    char *piece;
    char digest[VLY_DIGEST_TEXT], notes[VLY_DIGEST_TEXT];
} writer;

static vly_status check_data(const vly_checkpoint_data *data) {
    for (int i = 0; i < data->tensor_count; i++) {
        const vly_array *t = &data->tensors[i];
        size_t bytes;
        if ((unsigned)t->dtype >= VLY_DTYPES || t->ndim < 0 || t->ndim > VLY_ARRAY_DIMS ||
            !vly_array_fits(t, &bytes))
            return vly_fail(VLY_EINVAL, "tensor %s has no valid type or shape", t->name);
        if (!t->data && bytes && !data->fetch)
            return vly_fail(VLY_EINVAL, "tensor %s has no data", t->name);
        if (!t->name[0] || !strcmp(t->name, "__metadata__"))
            return vly_fail(VLY_EINVAL, "a tensor needs a name");
        for (int k = 0; k < i; k++)
            if (!strcmp(data->tensors[k].name, t->name))
                return vly_fail(VLY_EINVAL, "two tensors are named %s", t->name);
    }
    return VLY_OK;
}

static vly_status write_tensor(writer *w, int fd, int i, const char *path) {
    const vly_array *t = &w->data->tensors[i];
    size_t bytes = vly_array_bytes(t);
    XXH3_state_t *hash = XXH3_createState();
    if (!hash) return vly_fail(VLY_ENOMEM, "no memory for a checksum");
    XXH3_64bits_reset(hash);
    vly_status status = VLY_OK;
    for (size_t at = 0; at < bytes && status == VLY_OK; at += PIECE) {
        size_t n = bytes - at < PIECE ? bytes - at : PIECE;
        const char *p = t->data ? (const char *)t->data + at : w->piece;
        if (!t->data) status = w->data->fetch(w->data->arg, i, at, w->piece, n);
        if (status == VLY_OK) XXH3_64bits_update(hash, p, n);
        if (status == VLY_OK) status = vly_file_write(fd, p, n, path);
    }
    w->checksum[i] = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    return status;
}

static json_t *tensor_entry(const vly_array *t, size_t from) {
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++) json_array_append_new(shape, json_integer(t->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", vly_dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)from, (json_int_t)(from + vly_array_bytes(t)));
}

/* The header is the same length whatever checksums and digest are: it is written before the data as
 * a placeholder. */
static char *make_header(writer *w, size_t *bytes) {
    const vly_checkpoint_data *d = w->data;
    char key[VLY_ARRAY_NAME + 16], value[64];
    json_t *root = json_object(), *meta = json_object();
    if (!root || !meta) return json_decref(root), json_decref(meta), NULL;
    int bad = json_object_set_new(root, "__metadata__", meta);
    snprintf(value, sizeof value, "%d", VLY_CHECKPOINT_FORMAT);
    bad |= json_object_set_new(meta, "volley.format", json_string(value));
    bad |= json_object_set_new(meta, "volley.digest", json_string(w->digest));
    bad |= json_object_set_new(meta, "volley.notes", json_string(w->notes));
    for (int i = 0; i < d->note_count; i++) {
        snprintf(key, sizeof key, "%s:%s", d->notes[i].state ? "state" : "note", d->notes[i].name);
        bad |= json_object_set_new(meta, key, json_string(d->notes[i].value));
    }
    size_t at = 0;
    for (int k = 0; k < d->tensor_count; k++) {
        const vly_array *t = &d->tensors[w->order[k]];
        snprintf(key, sizeof key, "xxh3:%s", t->name);
        snprintf(value, sizeof value, "%016" PRIx64 "%s%s", w->checksum[w->order[k]],
                 t->state ? " state" : "", t->weight ? " weight" : "");
        bad |= json_object_set_new(meta, key, json_string(value));
        bad |= json_object_set_new(root, t->name, tensor_entry(t, at));
        at += vly_array_bytes(t);
    }
    char *text = bad ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (!text) return NULL;
    size_t n = strlen(text), padded = (n + 8 + 63) / 64 * 64;
    char *header = malloc(padded + 1);
    if (header) {
        uint64_t length = padded - 8;
        for (int i = 0; i < 8; i++) header[i] = (char)(length >> (8 * i));
        memset(header + 8, ' ', padded - 8);
        memcpy(header + 8, text, n);
        *bytes = padded;
    }
    free(text);
    return header;
}

static vly_status checkpoint_write_header(writer *w, int fd, bool final, const char *path) {
    size_t bytes;
    char *header = make_header(w, &bytes);
    if (!header)
        return vly_fail(VLY_ENOMEM,
                        "cannot make the header of %s: a name or note is not UTF-8, or no memory",
                        path);
    vly_status status = final && lseek(fd, 0, SEEK_SET)
                            ? vly_fail(VLY_EIO, "cannot rewind %s: %s", path, strerror(errno))
                            : VLY_OK;
    if (status == VLY_OK) status = vly_file_write(fd, header, bytes, path);
    free(header);
    return status;
}

static vly_status write_all(writer *w, int fd, const char *path) {
    memset(w->digest, '0', sizeof w->digest - 1);
    VLY_TRY(vly_digest_notes(w->data->notes, w->data->note_count, w->notes));
    VLY_TRY(checkpoint_write_header(w, fd, false, path));
    for (int k = 0; k < w->data->tensor_count; k++) VLY_TRY(write_tensor(w, fd, w->order[k], path));
    VLY_TRY(vly_digest_make(w->data, w->checksum, w->digest));
    return checkpoint_write_header(w, fd, true, path);
}

static void order_tensors(writer *w) {
    int n = 0;
    for (int size = 8; size; size /= 2)
        for (int i = 0; i < w->data->tensor_count; i++)
            if (vly_dtypes[w->data->tensors[i].dtype].bytes == size) w->order[n++] = i;
}

vly_status vly_checkpoint_write(const char *path, const vly_checkpoint_data *data, char *digest) {
    char temporary[VLY_PATH + 32];
    vly_status status = check_data(data);
    if (status != VLY_OK) return status;
    size_t n = (size_t)data->tensor_count + 1;
    writer w = {.data = data,
                .order = calloc(n, sizeof(int)),
                .checksum = calloc(n, sizeof(uint64_t)),
                .piece = malloc(PIECE)};
    int fd = -1;
    if (!w.order || !w.checksum || !w.piece) {
        status = vly_fail(VLY_ENOMEM, "no memory to write %s", path);
        goto done;
    }
    order_tensors(&w);
    fd = vly_file_begin(path, temporary, sizeof temporary, &status);
    if (fd < 0) goto done;
    status = write_all(&w, fd, path);
    if (status == VLY_OK)
        status = vly_file_commit(fd, temporary, path);
    else
        vly_file_abort(fd, temporary);
    if (status == VLY_OK && digest) memcpy(digest, w.digest, sizeof w.digest);
done:
    free(w.piece);
    free(w.checksum);
    free(w.order);
    return status;
}
