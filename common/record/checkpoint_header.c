#include "common/record/checkpoint_impl.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_LIMIT = 100 << 20 };

static bool is_hex(const char *text, size_t n) {
    return strspn(text, "0123456789abcdef") >= n;
}

/* {"dtype": "F32", "shape": [..], "data_offsets": [from, to]} */
static vly_status parse_tensor(vly_checkpoint *c, const char *name, const json_t *entry) {
    vly_array *t = &c->tensors[c->tensor_count];
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape"),
                 *offsets = json_object_get(entry, "data_offsets");
    if (strlen(name) >= sizeof t->name)
        return vly_checkpoint_damaged(c, "the name of tensor %.60s... is longer than %d bytes",
                                      name, VLY_ARRAY_NAME - 1);
    snprintf(t->name, sizeof t->name, "%s", name);
    if (!type || !json_is_array(shape) || json_array_size(offsets) != 2)
        return vly_checkpoint_damaged(c, "tensor %s lacks dtype, shape or data_offsets", name);
    int d = 0;
    while (d < VLY_DTYPES && strcmp(type, vly_dtypes[d].name)) d++;
    if (d == VLY_DTYPES)
        return vly_checkpoint_damaged(
            c, "tensor %s has type %.20s, which this program does not know", name, type);
    t->dtype = (vly_dtype)d;
    if (json_array_size(shape) > VLY_ARRAY_DIMS)
        return vly_checkpoint_damaged(c, "tensor %s has more than %d dimensions", name,
                                      VLY_ARRAY_DIMS);
    t->ndim = (int)json_array_size(shape);
    for (int i = 0; i < t->ndim; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return vly_checkpoint_damaged(c, "tensor %s has no valid shape", name);
        t->shape[i] = json_integer_value(dim);
    }
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    size_t bytes;
    if (!json_is_integer(from) || !json_is_integer(to) || json_integer_value(from) < 0 ||
        json_integer_value(to) < json_integer_value(from) ||
        (uint64_t)json_integer_value(to) > c->bytes - c->data_at)
        return vly_checkpoint_damaged(c, "tensor %s lies outside the file (it may be truncated)",
                                      name);
    if (!vly_array_fits(t, &bytes) ||
        bytes != (uint64_t)(json_integer_value(to) - json_integer_value(from)))
        return vly_checkpoint_damaged(
            c, "tensor %s: type and shape do not make its %lld bytes", name,
            (long long)(json_integer_value(to) - json_integer_value(from)));
    c->offset[c->tensor_count++] = (uint64_t)json_integer_value(from);
    return VLY_OK;
}

static bool skip_word(const char **text, const char *word) {
    bool there = !strncmp(*text, word, strlen(word));
    if (there) *text += strlen(word);
    return there;
}

static vly_status parse_note(vly_checkpoint *c, const char *key, const char *value) {
    if (!strncmp(key, "xxh3:", 5)) {
        int i = vly_checkpoint_index(c, key + 5);
        if (i < 0)
            return vly_checkpoint_damaged(c, "there is a checksum for %.60s, which is not in it",
                                          key + 5);
        if (!is_hex(value, 16))
            return vly_checkpoint_damaged(c, "the checksum of %.60s is not one", key + 5);
        memcpy(c->checksum[i], value, 16);
        value += 16;
        c->tensors[i].state = skip_word(&value, " state");
        c->tensors[i].weight = skip_word(&value, " weight");
        return *value ? vly_checkpoint_damaged(c, "the checksum of %.60s is not one", key + 5)
                      : VLY_OK;
    }
    bool state = !strncmp(key, "state:", 6);
    vly_note *n = &c->notes[c->note_count];
    const char *name = state ? key + 6 : !strncmp(key, "note:", 5) ? key + 5 : key;
    if (strlen(name) >= sizeof n->name || strlen(value) >= sizeof n->value) {
        if (c->format) return vly_checkpoint_damaged(c, "the note %.60s is too long", name);
        return VLY_OK; /* another program's metadata: not ours to keep */
    }
    snprintf(n->name, sizeof n->name, "%s", name);
    snprintf(n->value, sizeof n->value, "%s", value);
    n->state = state;
    c->note_count++;
    return VLY_OK;
}

/* What a file of this format may hold; in another program's files any key is a note. */
static bool is_known(const char *key) {
    return !strcmp(key, "volley.format") || !strcmp(key, "volley.digest") ||
           !strcmp(key, "volley.notes") || !strncmp(key, "xxh3:", 5) ||
           !strncmp(key, "state:", 6) || !strncmp(key, "note:", 5);
}

static vly_status check_notes(const vly_checkpoint *c, const char *saved) {
    char digest[VLY_DIGEST_TEXT];
    VLY_TRY(vly_digest_notes(c->notes, c->note_count, digest));
    return strcmp(saved, digest)
               ? vly_checkpoint_damaged(c, "its notes do not match their checksum")
               : VLY_OK;
}

static vly_status parse_metadata(vly_checkpoint *c, json_t *meta) {
    const char *format = json_string_value(json_object_get(meta, "volley.format"));
    const char *digest = json_string_value(json_object_get(meta, "volley.digest"));
    const char *key;
    json_t *value;
    if (format) {
        char *end;
        c->format = strtol(format, &end, 10);
        if (*end || end == format || c->format < 1)
            return vly_checkpoint_damaged(c, "its format version is not a number");
        if (c->format > VLY_CHECKPOINT_FORMAT)
            return vly_fail(VLY_EVERSION,
                            "%.500s has format %ld, this program reads up to %d: it was written by "
                            "a newer version",
                            c->path, c->format, VLY_CHECKPOINT_FORMAT);
        if (!digest || strlen(digest) != VLY_DIGEST_TEXT - 1 ||
            !is_hex(digest, VLY_DIGEST_TEXT - 1))
            return vly_checkpoint_damaged(c, "its digest is missing");
        memcpy(c->digest, digest, VLY_DIGEST_TEXT);
    }
    json_object_foreach(meta, key, value) {
        if (!json_is_string(value))
            return vly_checkpoint_damaged(c, "its metadata holds something that is not text");
        if (c->format && !is_known(key))
            return vly_checkpoint_damaged(c, "its metadata holds %.60s, which no program wrote",
                                          key);
        if (strncmp(key, "volley.", 7)) VLY_TRY(parse_note(c, key, json_string_value(value)));
    }
    const json_t *notes = json_object_get(meta, "volley.notes");
    if (c->format && notes) VLY_TRY(check_notes(c, json_string_value(notes)));
    for (int i = 0; c->format && i < c->tensor_count; i++)
        if (!c->checksum[i][0])
            return vly_checkpoint_damaged(c, "tensor %s has no checksum", c->tensors[i].name);
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
    for (int i = 0; i < c->tensor_count; i++)
        spans[i] = (span){c->offset[i], c->offset[i] + vly_array_bytes(&c->tensors[i])};
    qsort(spans, (size_t)c->tensor_count, sizeof *spans, compare_spans);
    uint64_t end = 0;
    vly_status status = VLY_OK;
    for (int i = 0; i < c->tensor_count && status == VLY_OK; end = spans[i++].to)
        if (spans[i].from != end)
            status = vly_checkpoint_damaged(c, "there is %s at byte %" PRIu64 " of its data",
                                            spans[i].from > end ? "a hole" : "an overlap", end);
    if (status == VLY_OK && end != c->bytes - c->data_at)
        status = vly_checkpoint_damaged(c, "its tensors end at byte %" PRIu64 " of %" PRIu64, end,
                                        c->bytes - c->data_at);
    free(spans);
    return status;
}

static vly_status checkpoint_parse_header(vly_checkpoint *c, json_t *root) {
    json_t *meta = json_object_get(root, "__metadata__"), *value;
    const char *key;
    if (!json_is_object(root)) return vly_checkpoint_damaged(c, "its header is not a JSON object");
    if (meta && !json_is_object(meta))
        return vly_checkpoint_damaged(c, "its metadata is not a JSON object");
    size_t n = json_object_size(root), m = json_object_size(meta);
    c->tensors = calloc(n + 1, sizeof *c->tensors);
    c->offset = calloc(n + 1, sizeof *c->offset);
    c->checksum = calloc(n + 1, sizeof *c->checksum);
    c->notes = calloc(m + 1, sizeof *c->notes);
    if (!c->tensors || !c->offset || !c->checksum || !c->notes)
        return vly_fail(VLY_ENOMEM, "no memory for the header of %s", c->path);
    json_object_foreach(root, key, value) if (value != meta) VLY_TRY(parse_tensor(c, key, value));
    if (meta) VLY_TRY(parse_metadata(c, meta));
    return check_cover(c);
}

vly_status vly_checkpoint_read_header(vly_checkpoint *c) {
    uint8_t raw[8];
    uint64_t length = 0;
    if (c->bytes < 8)
        return vly_checkpoint_damaged(c, "it has %" PRIu64 " bytes: not a safetensors file",
                                      c->bytes);
    VLY_TRY(vly_checkpoint_read_at(c, 0, raw, sizeof raw));
    for (int i = 0; i < 8; i++) length |= (uint64_t)raw[i] << (8 * i);
    if (length > HEADER_LIMIT || length > c->bytes - 8)
        return vly_checkpoint_damaged(
            c, "its header would have %" PRIu64 " bytes: truncated, or not a safetensors file",
            length);
    char *text = malloc(length + 1);
    if (!text) return vly_fail(VLY_ENOMEM, "no memory for the header of %s", c->path);
    vly_status status = vly_checkpoint_read_at(c, 8, text, length);
    json_error_t error;
    json_t *root = NULL;
    if (status == VLY_OK && (length == 0 || text[0] != '{'))
        status = vly_checkpoint_damaged(c, "its header is not JSON: not a safetensors file");
    if (status == VLY_OK && !(root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error)))
        status = vly_checkpoint_damaged(c, "its header is not valid JSON: %s", error.text);
    c->data_at = 8 + length;
    if (status == VLY_OK) status = checkpoint_parse_header(c, root);
    json_decref(root);
    free(text);
    return status;
}
