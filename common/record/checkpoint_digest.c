#include "common/record/checkpoint_impl.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

const struct vly_dtype_info vly_dtypes[] = {
    [VLY_F32] = {"F32", 4}, [VLY_U8] = {"U8", 1},   [VLY_BF16] = {"BF16", 2},
    [VLY_F64] = {"F64", 8}, [VLY_I32] = {"I32", 4}, [VLY_I64] = {"I64", 8},
    [VLY_U32] = {"U32", 4}, [VLY_U64] = {"U64", 8}};

const char *vly_dtype_name(vly_dtype dtype) {
    return (unsigned)dtype < VLY_DTYPES ? vly_dtypes[dtype].name : "?";
}

bool vly_array_fits(const vly_array *t, size_t *out) {
    uint64_t n = (uint64_t)vly_dtypes[t->dtype].bytes;
    bool empty = false; /* without its zeros it has to fit too: readers multiply parts of it */
    for (int i = 0; i < t->ndim; i++) {
        const uint64_t size = t->shape[i] ? (uint64_t)t->shape[i] : 1;
        if (t->shape[i] < 0 || __builtin_mul_overflow(n, size, &n)) return false;
        empty |= t->shape[i] == 0;
    }
    *out = empty ? 0 : (size_t)n;
    return n < (uint64_t)1 << 62;
}

size_t vly_array_bytes(const vly_array *t) {
    size_t n = 0;
    return vly_array_fits(t, &n) ? n : 0;
}

/* A hash of each item; they are sorted, so that their order does not count. */
typedef struct {
    XXH128_canonical_t *v;
    int n;
} digest_items;

__attribute__((format(printf, 2, 3))) static void add_item(digest_items *items, const char *format,
                                                           ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    XXH128_canonicalFromHash(&items->v[items->n++], XXH3_128bits(text, (size_t)n));
}

static void digest_add_tensor(digest_items *items, const vly_array *t, uint64_t checksum) {
    char shape[96] = "";
    for (int i = 0; i < t->ndim; i++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%" PRId64 ",", t->shape[i]);
    add_item(items, "tensor %s %s [%s] %016" PRIx64, t->name, vly_dtype_name(t->dtype), shape,
             checksum);
}

static int compare_items(const void *a, const void *b) {
    return memcmp(a, b, sizeof(XXH128_canonical_t));
}

static void write_digits(digest_items *items, char *text) {
    XXH128_canonical_t whole;
    qsort(items->v, (size_t)items->n, sizeof *items->v, compare_items);
    XXH128_canonicalFromHash(&whole, XXH3_128bits(items->v, (size_t)items->n * sizeof *items->v));
    for (size_t i = 0; i < sizeof whole.digest; i++)
        snprintf(text + 2 * i, 3, "%02x", whole.digest[i]);
}

vly_status vly_digest_notes(const vly_note *notes, int count, char *text) {
    digest_items items = {malloc((size_t)(count + 1) * sizeof *items.v), 0};
    if (!items.v) return vly_fail(VLY_ENOMEM, "no memory for the notes' checksum");
    for (int i = 0; i < count; i++)
        add_item(&items, "%s %s=%s", notes[i].state ? "state" : "note", notes[i].name,
                 notes[i].value);
    write_digits(&items, text);
    free(items.v);
    return VLY_OK;
}

vly_status vly_digest_make(const vly_checkpoint_data *d, const uint64_t *checksum, char *text) {
    digest_items items = {malloc((size_t)(d->tensor_count + d->note_count + 1) * sizeof *items.v),
                          0};
    if (!items.v) return vly_fail(VLY_ENOMEM, "no memory for the digest");
    for (int i = 0; i < d->tensor_count; i++)
        if (d->tensors[i].state) digest_add_tensor(&items, &d->tensors[i], checksum[i]);
    for (int i = 0; i < d->note_count; i++)
        if (d->notes[i].state) add_item(&items, "note %s=%s", d->notes[i].name, d->notes[i].value);
    write_digits(&items, text);
    free(items.v);
    return VLY_OK;
}
