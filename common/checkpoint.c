#include "common/checkpoint.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "common/file.h"

/* A file: u64 header length, header (JSON, padded with spaces), data. Metadata keys of ours:
 *   volley.format   VLY_CHECKPOINT_FORMAT        volley.digest   32 digits
 *   xxh3:TENSOR     16 digits, " state" and " weight" where they hold
 *   state:NAME, note:NAME   the notes */
enum { HEADER_LIMIT = 100 << 20, PIECE = 1 << 20, LISTED_MAX = 100000 };

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {[VLY_F32] = {"F32", 4}, [VLY_U8] = {"U8", 1},   [VLY_BF16] = {"BF16", 2}, [VLY_F64] = {"F64", 8},
              [VLY_I32] = {"I32", 4}, [VLY_I64] = {"I64", 8}, [VLY_U32] = {"U32", 4},   [VLY_U64] = {"U64", 8}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

const char *vly_dtype_name(vly_dtype dtype) { return (unsigned)dtype < DTYPES ? dtypes[dtype].name : "?"; }

/* False when the product does not fit. */
static bool tensor_bytes(const vly_array *t, size_t *out) {
    uint64_t n = (uint64_t)dtypes[t->dtype].bytes;
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(n, (uint64_t)t->shape[i], &n)) return false;
    *out = (size_t)n;
    return n < (uint64_t)1 << 62;
}

size_t vly_array_bytes(const vly_array *t) {
    size_t n = 0;
    return tensor_bytes(t, &n) ? n : 0;
}

/* ---- digest ---- */

typedef struct {
    XXH128_canonical_t *v;
    int n;
} digest_items;

__attribute__((format(printf, 2, 3))) static void digest_add(digest_items *items, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    XXH128_canonicalFromHash(&items->v[items->n++], XXH3_128bits(text, (size_t)n));
}

static int compare_items(const void *a, const void *b) { return memcmp(a, b, sizeof(XXH128_canonical_t)); }

static void digest_text(digest_items *items, char *text) {
    XXH128_canonical_t whole;
    qsort(items->v, (size_t)items->n, sizeof *items->v, compare_items);
    XXH128_canonicalFromHash(&whole, XXH3_128bits(items->v, (size_t)items->n * sizeof *items->v));
    for (size_t i = 0; i < sizeof whole.digest; i++) snprintf(text + 2 * i, 3, "%02x", whole.digest[i]);
}

static void digest_tensor(digest_items *items, const vly_array *t, uint64_t checksum) {
    char shape[96] = "";
    for (int i = 0; i < t->ndim; i++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%" PRId64 ",", t->shape[i]);
    digest_add(items, "tensor %s %s [%s] %016" PRIx64, t->name, vly_dtype_name(t->dtype), shape, checksum);
}

/* ---- writing ---- */

typedef struct {
    const vly_checkpoint_data *data;
    int *order;        /* by element size, so that every tensor is aligned to its own */
    uint64_t *checksum; /* by tensor */
    char *piece;
    char digest[VLY_DIGEST_TEXT];
} writer;

static vly_status check_data(const vly_checkpoint_data *data) {
    for (int i = 0; i < data->tensor_count; i++) {
        const vly_array *t = &data->tensors[i];
        size_t bytes;
        if ((unsigned)t->dtype >= DTYPES || t->ndim < 0 || t->ndim > VLY_ARRAY_DIMS || !tensor_bytes(t, &bytes))
            return vly_fail(VLY_EINVAL, "tensor %s has no valid type or shape", t->name);
        if (!t->data && bytes && !data->fetch) return vly_fail(VLY_EINVAL, "tensor %s has no data", t->name);
        if (!t->name[0] || !strcmp(t->name, "__metadata__")) return vly_fail(VLY_EINVAL, "a tensor needs a name");
        for (int k = 0; k < i; k++)
            if (!strcmp(data->tensors[k].name, t->name)) return vly_fail(VLY_EINVAL, "two tensors are named %s", t->name);
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
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", vly_dtype_name(t->dtype), "shape", shape, "data_offsets",
                     (json_int_t)from, (json_int_t)(from + vly_array_bytes(t)));
}

/* The header is the same length whatever checksums and digest are: it is written before the data as a placeholder. */
static char *make_header(writer *w, size_t *bytes) {
    const vly_checkpoint_data *d = w->data;
    char key[VLY_ARRAY_NAME + 16], value[64];
    json_t *root = json_object(), *meta = json_object();
    if (!root || !meta) return json_decref(root), json_decref(meta), NULL;
    int bad = json_object_set_new(root, "__metadata__", meta);
    snprintf(value, sizeof value, "%d", VLY_CHECKPOINT_FORMAT);
    bad |= json_object_set_new(meta, "volley.format", json_string(value));
    bad |= json_object_set_new(meta, "volley.digest", json_string(w->digest));
    for (int i = 0; i < d->note_count; i++) {
        snprintf(key, sizeof key, "%s:%s", d->notes[i].state ? "state" : "note", d->notes[i].name);
        bad |= json_object_set_new(meta, key, json_string(d->notes[i].value));
    }
    size_t at = 0;
    for (int k = 0; k < d->tensor_count; k++) {
        const vly_array *t = &d->tensors[w->order[k]];
        snprintf(key, sizeof key, "xxh3:%s", t->name);
        snprintf(value, sizeof value, "%016" PRIx64 "%s%s", w->checksum[w->order[k]], t->state ? " state" : "", t->weight ? " weight" : "");
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

static vly_status write_header(writer *w, int fd, bool final, const char *path) {
    size_t bytes;
    char *header = make_header(w, &bytes);
    if (!header) return vly_fail(VLY_ENOMEM, "cannot make the header of %s: a name or note is not UTF-8, or no memory", path);
    vly_status status = final && lseek(fd, 0, SEEK_SET) ? vly_fail(VLY_EIO, "cannot rewind %s: %s", path, strerror(errno)) : VLY_OK;
    if (status == VLY_OK) status = vly_file_write(fd, header, bytes, path);
    free(header);
    return status;
}

static vly_status make_digest(writer *w) {
    const vly_checkpoint_data *d = w->data;
    digest_items items = {malloc((size_t)(d->tensor_count + d->note_count + 1) * sizeof *items.v), 0};
    if (!items.v) return vly_fail(VLY_ENOMEM, "no memory for the digest");
    for (int i = 0; i < d->tensor_count; i++)
        if (d->tensors[i].state) digest_tensor(&items, &d->tensors[i], w->checksum[i]);
    for (int i = 0; i < d->note_count; i++)
        if (d->notes[i].state) digest_add(&items, "note %s=%s", d->notes[i].name, d->notes[i].value);
    digest_text(&items, w->digest);
    free(items.v);
    return VLY_OK;
}

static vly_status write_all(writer *w, int fd, const char *path) {
    memset(w->digest, '0', sizeof w->digest - 1);
    VLY_TRY(write_header(w, fd, false, path));
    for (int k = 0; k < w->data->tensor_count; k++) VLY_TRY(write_tensor(w, fd, w->order[k], path));
    VLY_TRY(make_digest(w));
    return write_header(w, fd, true, path);
}

static void order_tensors(writer *w) {
    int n = 0;
    for (int size = 8; size; size /= 2)
        for (int i = 0; i < w->data->tensor_count; i++)
            if (dtypes[w->data->tensors[i].dtype].bytes == size) w->order[n++] = i;
}

vly_status vly_checkpoint_write(const char *path, const vly_checkpoint_data *data, char *digest) {
    char temporary[VLY_PATH + 32];
    vly_status status = check_data(data);
    if (status != VLY_OK) return status;
    size_t n = (size_t)data->tensor_count + 1;
    writer w = {.data = data, .order = calloc(n, sizeof(int)), .checksum = calloc(n, sizeof(uint64_t)), .piece = malloc(PIECE)};
    int fd = -1;
    if (!w.order || !w.checksum || !w.piece) {
        status = vly_fail(VLY_ENOMEM, "no memory to write %s", path);
        goto done;
    }
    order_tensors(&w);
    fd = vly_file_begin(path, temporary, sizeof temporary, &status);
    if (fd < 0) goto done;
    status = write_all(&w, fd, path);
    if (status == VLY_OK) status = vly_file_commit(fd, temporary, path);
    else vly_file_abort(fd, temporary);
    if (status == VLY_OK && digest) memcpy(digest, w.digest, sizeof w.digest);
done:
    free(w.piece);
    free(w.checksum);
    free(w.order);
    return status;
}

/* ---- reading ---- */

struct vly_checkpoint {
    char path[VLY_PATH];
    int fd;
    const uint8_t *memory;
    uint64_t bytes, data_at;
    int tensor_count, note_count;
    vly_array *tensors;
    uint64_t *offset; /* in the data */
    char (*checksum)[17];
    vly_note *notes;
    char digest[VLY_DIGEST_TEXT];
    long format;
};

#define DAMAGED(c, ...) damaged(c, __VA_ARGS__)
__attribute__((format(printf, 2, 3))) static vly_status damaged(const vly_checkpoint *c, const char *format, ...) {
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return vly_fail(VLY_ECORRUPT, "%.500s: %s", c->path, words);
}

static vly_status read_at(const vly_checkpoint *c, uint64_t at, void *to, size_t bytes) {
    if (at > c->bytes || bytes > c->bytes - at) return DAMAGED(c, "it ends at byte %" PRIu64, c->bytes);
    if (c->memory) return memcpy(to, c->memory + at, bytes), VLY_OK;
    for (char *p = to; bytes;) {
        ssize_t n = pread(c->fd, p, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return vly_fail(VLY_EIO, "cannot read %s: %s", c->path, strerror(errno));
        if (n == 0) return DAMAGED(c, "it became shorter while it was read");
        p += n, at += (uint64_t)n, bytes -= (size_t)n;
    }
    return VLY_OK;
}

static bool is_hex(const char *text, size_t n) { return strspn(text, "0123456789abcdef") >= n; }

/* {"dtype": "F32", "shape": [..], "data_offsets": [from, to]} */
static vly_status parse_tensor(vly_checkpoint *c, const char *name, const json_t *entry) {
    vly_array *t = &c->tensors[c->tensor_count];
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    if (strlen(name) >= sizeof t->name) return DAMAGED(c, "the name of tensor %.60s... is longer than %d bytes", name, VLY_ARRAY_NAME - 1);
    snprintf(t->name, sizeof t->name, "%s", name);
    if (!type || !json_is_array(shape) || json_array_size(offsets) != 2)
        return DAMAGED(c, "tensor %s lacks dtype, shape or data_offsets", name);
    int d = 0;
    while (d < DTYPES && strcmp(type, dtypes[d].name)) d++;
    if (d == DTYPES) return DAMAGED(c, "tensor %s has type %.20s, which this program does not know", name, type);
    t->dtype = (vly_dtype)d;
    if (json_array_size(shape) > VLY_ARRAY_DIMS) return DAMAGED(c, "tensor %s has more than %d dimensions", name, VLY_ARRAY_DIMS);
    t->ndim = (int)json_array_size(shape);
    for (int i = 0; i < t->ndim; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) return DAMAGED(c, "tensor %s has no valid shape", name);
        t->shape[i] = json_integer_value(dim);
    }
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    size_t bytes;
    if (!json_is_integer(from) || !json_is_integer(to) || json_integer_value(from) < 0 ||
        json_integer_value(to) < json_integer_value(from) || (uint64_t)json_integer_value(to) > c->bytes - c->data_at)
        return DAMAGED(c, "tensor %s lies outside the file (it may be truncated)", name);
    if (!tensor_bytes(t, &bytes) || bytes != (uint64_t)(json_integer_value(to) - json_integer_value(from)))
        return DAMAGED(c, "tensor %s: type and shape do not make its %lld bytes", name,
                       (long long)(json_integer_value(to) - json_integer_value(from)));
    c->offset[c->tensor_count++] = (uint64_t)json_integer_value(from);
    return VLY_OK;
}

static int index_of(const vly_checkpoint *c, const char *name) {
    for (int i = 0; i < c->tensor_count; i++)
        if (!strcmp(c->tensors[i].name, name)) return i;
    return -1;
}

static bool skip_word(const char **text, const char *word) {
    bool there = !strncmp(*text, word, strlen(word));
    if (there) *text += strlen(word);
    return there;
}

static vly_status parse_note(vly_checkpoint *c, const char *key, const char *value) {
    if (!strncmp(key, "xxh3:", 5)) {
        int i = index_of(c, key + 5);
        if (i < 0) return DAMAGED(c, "there is a checksum for %.60s, which is not in it", key + 5);
        if (!is_hex(value, 16)) return DAMAGED(c, "the checksum of %.60s is not one", key + 5);
        memcpy(c->checksum[i], value, 16);
        value += 16;
        c->tensors[i].state = skip_word(&value, " state");
        c->tensors[i].weight = skip_word(&value, " weight");
        return *value ? DAMAGED(c, "the checksum of %.60s is not one", key + 5) : VLY_OK;
    }
    bool state = !strncmp(key, "state:", 6);
    vly_note *n = &c->notes[c->note_count];
    const char *name = state ? key + 6 : !strncmp(key, "note:", 5) ? key + 5 : key;
    if (strlen(name) >= sizeof n->name || strlen(value) >= sizeof n->value) {
        if (c->format) return DAMAGED(c, "the note %.60s is too long", name);
        return VLY_OK; /* another program's metadata: not ours to keep */
    }
    snprintf(n->name, sizeof n->name, "%s", name);
    snprintf(n->value, sizeof n->value, "%s", value);
    n->state = state;
    c->note_count++;
    return VLY_OK;
}

static vly_status parse_metadata(vly_checkpoint *c, json_t *meta) {
    const char *format = json_string_value(json_object_get(meta, "volley.format"));
    const char *digest = json_string_value(json_object_get(meta, "volley.digest"));
    const char *key;
    json_t *value;
    if (format) {
        char *end;
        c->format = strtol(format, &end, 10);
        if (*end || end == format || c->format < 1) return DAMAGED(c, "its format version is not a number");
        if (c->format > VLY_CHECKPOINT_FORMAT)
            return vly_fail(VLY_EVERSION, "%.500s has format %ld, this program reads up to %d: it was written by a newer version",
                            c->path, c->format, VLY_CHECKPOINT_FORMAT);
        if (!digest || strlen(digest) != VLY_DIGEST_TEXT - 1 || !is_hex(digest, VLY_DIGEST_TEXT - 1)) return DAMAGED(c, "its digest is missing");
        memcpy(c->digest, digest, VLY_DIGEST_TEXT);
    }
    json_object_foreach(meta, key, value) {
        if (!json_is_string(value)) return DAMAGED(c, "its metadata holds something that is not text");
        if (strncmp(key, "volley.", 7)) VLY_TRY(parse_note(c, key, json_string_value(value)));
    }
    for (int i = 0; c->format && i < c->tensor_count; i++)
        if (!c->checksum[i][0]) return DAMAGED(c, "tensor %s has no checksum", c->tensors[i].name);
    return VLY_OK;
}

typedef struct {
    uint64_t from, to;
} span;

static int compare_spans(const void *a, const void *b) {
    const span *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* The tensors cover the data without holes or overlaps. */
static vly_status check_cover(const vly_checkpoint *c) {
    span *spans = malloc((size_t)(c->tensor_count + 1) * sizeof *spans);
    if (!spans) return vly_fail(VLY_ENOMEM, "no memory to check %s", c->path);
    for (int i = 0; i < c->tensor_count; i++) spans[i] = (span){c->offset[i], c->offset[i] + vly_array_bytes(&c->tensors[i])};
    qsort(spans, (size_t)c->tensor_count, sizeof *spans, compare_spans);
    uint64_t end = 0;
    vly_status status = VLY_OK;
    for (int i = 0; i < c->tensor_count && status == VLY_OK; end = spans[i++].to)
        if (spans[i].from != end)
            status = DAMAGED(c, "there is %s at byte %" PRIu64 " of its data", spans[i].from > end ? "a hole" : "an overlap", end);
    if (status == VLY_OK && end != c->bytes - c->data_at)
        status = DAMAGED(c, "its tensors end at byte %" PRIu64 " of %" PRIu64, end, c->bytes - c->data_at);
    free(spans);
    return status;
}

static vly_status parse_header(vly_checkpoint *c, json_t *root) {
    json_t *meta = json_object_get(root, "__metadata__"), *value;
    const char *key;
    if (!json_is_object(root)) return DAMAGED(c, "its header is not a JSON object");
    if (meta && !json_is_object(meta)) return DAMAGED(c, "its metadata is not a JSON object");
    size_t n = json_object_size(root), m = json_object_size(meta);
    c->tensors = calloc(n + 1, sizeof *c->tensors);
    c->offset = calloc(n + 1, sizeof *c->offset);
    c->checksum = calloc(n + 1, sizeof *c->checksum);
    c->notes = calloc(m + 1, sizeof *c->notes);
    if (!c->tensors || !c->offset || !c->checksum || !c->notes) return vly_fail(VLY_ENOMEM, "no memory for the header of %s", c->path);
    json_object_foreach(root, key, value)
        if (value != meta) VLY_TRY(parse_tensor(c, key, value));
    if (meta) VLY_TRY(parse_metadata(c, meta));
    return check_cover(c);
}

static vly_status read_header(vly_checkpoint *c) {
    uint8_t raw[8];
    uint64_t length = 0;
    if (c->bytes < 8) return DAMAGED(c, "it has %" PRIu64 " bytes: not a safetensors file", c->bytes);
    VLY_TRY(read_at(c, 0, raw, sizeof raw));
    for (int i = 0; i < 8; i++) length |= (uint64_t)raw[i] << (8 * i);
    if (length > HEADER_LIMIT || length > c->bytes - 8)
        return DAMAGED(c, "its header would have %" PRIu64 " bytes: truncated, or not a safetensors file", length);
    char *text = malloc(length + 1);
    if (!text) return vly_fail(VLY_ENOMEM, "no memory for the header of %s", c->path);
    vly_status status = read_at(c, 8, text, length);
    json_error_t error;
    json_t *root = NULL;
    if (status == VLY_OK && (length == 0 || text[0] != '{')) status = DAMAGED(c, "its header is not JSON: not a safetensors file");
    if (status == VLY_OK && !(root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error)))
        status = DAMAGED(c, "its header is not valid JSON: %s", error.text);
    c->data_at = 8 + length;
    if (status == VLY_OK) status = parse_header(c, root);
    json_decref(root);
    free(text);
    return status;
}

static vly_status open_common(vly_checkpoint **out, vly_checkpoint *c) {
    vly_status status = read_header(c);
    if (status != VLY_OK) return vly_checkpoint_close(c), status;
    return *out = c, VLY_OK;
}

vly_status vly_checkpoint_open_memory(vly_checkpoint **out, const void *data, size_t bytes, const char *name) {
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
    if (c->fd < 0) status = vly_fail(errno == ENOENT ? VLY_ENOTFOUND : VLY_EIO, "cannot open %s: %s", path, strerror(errno));
    else if (fstat(c->fd, &info) || !S_ISREG(info.st_mode)) status = vly_fail(VLY_EINVAL, "%s is not a file", path);
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

static vly_status stream_tensor(vly_checkpoint *c, int i, vly_status (*give)(void *, size_t, const void *, size_t), void *arg) {
    size_t bytes = vly_array_bytes(&c->tensors[i]);
    char *piece = malloc(PIECE), text[17];
    XXH3_state_t *hash = XXH3_createState();
    vly_status status = piece && hash ? VLY_OK : vly_fail(VLY_ENOMEM, "no memory to read %s", c->path);
    if (status == VLY_OK) XXH3_64bits_reset(hash);
    for (size_t at = 0; at < bytes && status == VLY_OK; at += PIECE) {
        size_t n = bytes - at < PIECE ? bytes - at : PIECE;
        status = read_at(c, c->data_at + c->offset[i] + at, piece, n);
        if (status == VLY_OK) XXH3_64bits_update(hash, piece, n);
        if (status == VLY_OK && give) status = give(arg, at, piece, n);
    }
    if (status == VLY_OK && c->checksum[i][0]) {
        snprintf(text, sizeof text, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(hash));
        if (strcmp(text, c->checksum[i])) status = DAMAGED(c, "the content of tensor %s does not match its checksum", c->tensors[i].name);
    }
    XXH3_freeState(hash);
    free(piece);
    return status;
}

vly_status vly_checkpoint_stream(vly_checkpoint *c, const char *name, vly_dtype dtype, size_t bytes,
                                 vly_status (*give)(void *, size_t, const void *, size_t), void *arg) {
    int i = index_of(c, name);
    if (i < 0) return vly_fail(VLY_ENOTFOUND, "%.500s holds no tensor %s: it is of another network or algorithm", c->path, name);
    const vly_array *t = &c->tensors[i];
    if (t->dtype != dtype || vly_array_bytes(t) != bytes)
        return vly_fail(VLY_EINVAL, "%.500s: tensor %s is %s of %zu bytes, this run needs %s of %zu: it is of another network or size",
                        c->path, name, vly_dtype_name(t->dtype), vly_array_bytes(t), vly_dtype_name(dtype), bytes);
    return stream_tensor(c, i, give, arg);
}

static vly_status copy_piece(void *arg, size_t offset, const void *piece, size_t n) {
    memcpy((char *)arg + offset, piece, n);
    return VLY_OK;
}

vly_status vly_checkpoint_read(vly_checkpoint *c, const char *name, vly_dtype dtype, void *to, size_t bytes) {
    return vly_checkpoint_stream(c, name, dtype, bytes, copy_piece, to);
}

vly_status vly_checkpoint_verify(vly_checkpoint *c) {
    for (int i = 0; i < c->tensor_count; i++) VLY_TRY(stream_tensor(c, i, NULL, NULL));
    if (!c->format) return VLY_OK;
    digest_items items = {malloc((size_t)(c->tensor_count + c->note_count + 1) * sizeof *items.v), 0};
    if (!items.v) return vly_fail(VLY_ENOMEM, "no memory to check %s", c->path);
    for (int i = 0; i < c->tensor_count; i++)
        if (c->tensors[i].state) digest_tensor(&items, &c->tensors[i], strtoull(c->checksum[i], NULL, 16));
    for (int i = 0; i < c->note_count; i++)
        if (c->notes[i].state) digest_add(&items, "note %s=%s", c->notes[i].name, c->notes[i].value);
    char digest[VLY_DIGEST_TEXT];
    digest_text(&items, digest);
    free(items.v);
    return strcmp(digest, c->digest) ? DAMAGED(c, "its contents do not match its digest") : VLY_OK;
}

const char *vly_checkpoint_path(const vly_checkpoint *c) { return c->path; }
int vly_checkpoint_tensors(const vly_checkpoint *c) { return c->tensor_count; }
const vly_array *vly_checkpoint_tensor(const vly_checkpoint *c, int i) { return i >= 0 && i < c->tensor_count ? &c->tensors[i] : NULL; }
const vly_array *vly_checkpoint_find(const vly_checkpoint *c, const char *name) { return vly_checkpoint_tensor(c, index_of(c, name)); }
const char *vly_checkpoint_checksum(const vly_checkpoint *c, int i) { return i >= 0 && i < c->tensor_count ? c->checksum[i] : ""; }
int vly_checkpoint_notes(const vly_checkpoint *c) { return c->note_count; }
const vly_note *vly_checkpoint_note(const vly_checkpoint *c, int i) { return i >= 0 && i < c->note_count ? &c->notes[i] : NULL; }
const char *vly_checkpoint_digest(const vly_checkpoint *c) { return c->digest; }
bool vly_checkpoint_is_ours(const vly_checkpoint *c) { return c->format != 0; }

const char *vly_checkpoint_note_text(const vly_checkpoint *c, const char *name) {
    for (int i = 0; i < c->note_count; i++)
        if (!strcmp(c->notes[i].name, name)) return c->notes[i].value;
    return NULL;
}

vly_status vly_checkpoint_note_int(const vly_checkpoint *c, const char *name, int64_t *out) {
    const char *text = vly_checkpoint_note_text(c, name);
    char *end;
    if (!text) return vly_fail(VLY_ENOTFOUND, "%.500s does not say its %s", c->path, name);
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno) return DAMAGED(c, "its %s is not a number", name);
    return *out = value, VLY_OK;
}

/* ---- a folder of them ---- */

static const char PREFIX[] = "step-", SUFFIX[] = ".safetensors", BEST[] = "best.safetensors";

static bool parse_name(const char *name, int64_t *steps) {
    if (strncmp(name, PREFIX, sizeof PREFIX - 1)) return false;
    char *end;
    errno = 0;
    *steps = strtoll(name + sizeof PREFIX - 1, &end, 10);
    return end != name + sizeof PREFIX - 1 && !errno && !strcmp(end, SUFFIX);
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* X.tmp-PID of a process that is gone. */
static void remove_leftover(const char *folder, const char *name) {
    char path[VLY_PATH + 300];
    const char *mark = strstr(name, ".tmp-");
    if (!mark) return;
    long pid = strtol(mark + 5, NULL, 10);
    if (pid <= 0 || (pid != (long)getpid() && (kill((pid_t)pid, 0) == 0 || errno != ESRCH))) return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

/* Steps of the checkpoints in the folder, newest first; freed by the caller. */
static vly_status list_steps(const char *folder, bool clean, int64_t **out, int *count) {
    DIR *dir = opendir(folder);
    if (!dir) return vly_fail(errno == ENOENT ? VLY_ENOTFOUND : VLY_EIO, "cannot read the folder %s: %s", folder, strerror(errno));
    int64_t *steps = NULL, s;
    int n = 0;
    for (struct dirent *e; (e = readdir(dir)) && n < LISTED_MAX;) {
        if (clean) remove_leftover(folder, e->d_name);
        if (!parse_name(e->d_name, &s)) continue;
        int64_t *more = realloc(steps, (size_t)(n + 1) * sizeof *more);
        if (!more) {
            closedir(dir);
            free(steps);
            return vly_fail(VLY_ENOMEM, "no memory to list %s", folder);
        }
        (steps = more)[n++] = s;
    }
    closedir(dir);
    if (n) qsort(steps, (size_t)n, sizeof *steps, newest_first);
    *out = steps, *count = n;
    return VLY_OK;
}

static void step_path(const char *folder, int64_t steps, char *path) {
    snprintf(path, VLY_PATH, "%s/%s%012" PRId64 "%s", folder, PREFIX, steps, SUFFIX);
}

/* The best is the same file under a second name, so it costs no second write. */
static vly_status link_best(const char *folder, const char *path, const vly_checkpoint_data *data) {
    char best[VLY_PATH], temporary[VLY_PATH + 32];
    snprintf(best, sizeof best, "%.1200s/%s", folder, BEST);
    snprintf(temporary, sizeof temporary, "%s.tmp-%ld", best, (long)getpid());
    unlink(temporary);
    if (link(path, temporary)) return vly_checkpoint_write(best, data, NULL); /* a file system without links */
    if (rename(temporary, best)) {
        unlink(temporary);
        return vly_fail(VLY_EIO, "cannot replace %s: %s", best, strerror(errno));
    }
    unlink(temporary); /* rename leaves it when both were one file already */
    return VLY_OK;
}

vly_status vly_checkpoints_save(const char *folder, int64_t steps, int keep, bool best, const vly_checkpoint_data *data,
                                char *path, char *digest) {
    char at[VLY_PATH];
    int64_t *listed = NULL;
    int n = 0;
    if (strlen(folder) + 64 > VLY_PATH) return vly_fail(VLY_EINVAL, "the path %.200s... is too long", folder);
    VLY_TRY(vly_file_make_folder(folder));
    step_path(folder, steps, at);
    VLY_TRY(vly_checkpoint_write(at, data, digest));
    if (path) snprintf(path, VLY_PATH, "%s", at);
    if (best) VLY_TRY(link_best(folder, at, data));
    VLY_TRY(list_steps(folder, true, &listed, &n));
    for (int i = 0, kept = 0; i < n; i++) {
        if (kept++ < keep || listed[i] == steps) continue; /* the one just written stays, whatever its number */
        step_path(folder, listed[i], at);
        unlink(at);
    }
    free(listed);
    return VLY_OK;
}

vly_status vly_checkpoints_drop_after(const char *folder, int64_t steps) {
    char path[VLY_PATH];
    int64_t *listed = NULL;
    int n = 0;
    if (strlen(folder) + 64 > VLY_PATH) return vly_fail(VLY_EINVAL, "the path %.200s... is too long", folder);
    VLY_TRY(list_steps(folder, false, &listed, &n));
    for (int i = 0; i < n && listed[i] > steps; i++) {
        step_path(folder, listed[i], path);
        unlink(path);
    }
    free(listed);
    return VLY_OK;
}

static vly_status open_verified(vly_checkpoint **out, const char *path) {
    vly_checkpoint *c;
    VLY_TRY(vly_checkpoint_open(&c, path));
    vly_status status = vly_checkpoint_verify(c);
    if (status == VLY_OK && !c->format) status = DAMAGED(c, "it was not written by this program: there is nothing to resume from");
    if (status != VLY_OK) return vly_checkpoint_close(c), status;
    return *out = c, VLY_OK;
}

vly_status vly_checkpoints_open_newest(vly_checkpoint **out, const char *folder,
                                       void (*on_bad)(void *, const char *, const char *), void *arg) {
    char path[VLY_PATH], words[1024];
    int64_t *listed = NULL;
    int n = 0, bad = 0;
    if (strlen(folder) + 64 > VLY_PATH) return vly_fail(VLY_EINVAL, "the path %.200s... is too long", folder);
    VLY_TRY(list_steps(folder, false, &listed, &n));
    vly_status status = VLY_ENOTFOUND;
    for (int i = 0; i <= n && status != VLY_OK; i++) {
        if (i < n) step_path(folder, listed[i], path);
        else snprintf(path, sizeof path, "%s/%s", folder, BEST);
        status = open_verified(out, path);
        if (status == VLY_OK || (i == n && status == VLY_ENOTFOUND)) break;
        snprintf(words, sizeof words, "%s", vly_error_text());
        bad++;
        if (on_bad) on_bad(arg, path, words);
    }
    free(listed);
    if (status == VLY_OK) return VLY_OK;
    if (!bad) return vly_fail(VLY_ENOTFOUND, "there is no checkpoint in %s", folder);
    return vly_fail(VLY_ECORRUPT, "none of the %d checkpoints in %s is good; the last said: %.600s", bad, folder, words);
}
