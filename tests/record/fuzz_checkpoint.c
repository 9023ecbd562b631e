/* Random bytes as a checkpoint: refused with words, or read without touching a byte outside it.
 * Three mutations in four are signed again, so that their checksums are right.
 *   cmake --preset fuzz && cmake --build --preset fuzz && build-fuzz/fuzz_checkpoint
 *   tests/fuzz/checkpoint */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "common/record/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most);

static volatile unsigned sink; /* nothing that is read may be optimised away */

static vly_status sum(void *arg, size_t offset, const void *piece, size_t n) {
    (void)offset;
    for (size_t i = 0; i < n; i++) *(unsigned *)arg += ((const uint8_t *)piece)[i];
    return VLY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    vly_checkpoint *c;
    unsigned total = 0;
    vly_error_clear();
    if (vly_checkpoint_open_memory(&c, data, bytes, "fuzz") != VLY_OK) {
        if (!vly_error_text()[0]) abort();
        return 0;
    }
    size_t covered = 0;
    for (int i = 0; i < vly_checkpoint_tensors(c); i++) {
        const vly_array *t = vly_checkpoint_tensor(c, i);
        covered += vly_array_bytes(t);
        if (vly_checkpoint_stream(c, t->name, t->dtype, vly_array_bytes(t), sum, &total) !=
                VLY_OK &&
            !vly_error_text()[0])
            abort();
    }
    if (covered > bytes) abort();
    for (int i = 0; i < vly_checkpoint_notes(c); i++)
        total += (unsigned char)vly_checkpoint_note(c, i)->name[0];
    int64_t steps;
    if (vly_checkpoint_note_int(c, "steps", &steps) == VLY_OK) total += (unsigned)steps;
    if (vly_checkpoint_verify(c) == VLY_OK) total++;
    vly_checkpoint_close(c);
    sink = total;
    return 0;
}

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION

static uint64_t header_bytes(const uint8_t *data, size_t bytes) {
    uint64_t n = 0;
    for (int i = 0; i < 8 && bytes >= 8; i++) n |= (uint64_t)data[i] << (8 * i);
    return bytes >= 8 && n <= bytes - 8 ? n : 0;
}

/* The checksum of what an entry covers, with its marks as they were; NULL where it covers nothing. */
static json_t *checksum_of(const json_t *entry, const char *marks, const uint8_t *data,
                           size_t bytes) {
    char text[64];
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_int_t from = json_integer_value(json_array_get(offsets, 0)),
                     to = json_integer_value(json_array_get(offsets, 1));
    if (from < 0 || to < from || (uint64_t)to > bytes) return NULL;
    snprintf(text, sizeof text, "%016" PRIx64 "%.20s",
             (uint64_t)XXH3_64bits(data + from, (size_t)(to - from)),
             marks && strlen(marks) > 16 ? marks + 16 : "");
    return json_string(text);
}

static void sign_tensors(json_t *root, json_t *meta, const uint8_t *data, size_t bytes) {
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry) {
        char key[160];
        if (entry == meta || snprintf(key, sizeof key, "xxh3:%s", name) >= (int)sizeof key)
            continue;
        json_t *sum = checksum_of(entry, json_string_value(json_object_get(meta, key)), data,
                                  bytes);
        if (sum) json_object_set_new(meta, key, sum);
    }
}

/* The notes' own checksum is left away, as older files did: any note is then accepted. */
static size_t sign_again(uint8_t *data, size_t bytes, size_t most) {
    const uint64_t n = header_bytes(data, bytes);
    json_t *root = n ? json_loadb((char *)data + 8, (size_t)n, 0, NULL) : NULL,
           *meta = json_object_get(root, "__metadata__");
    size_t used = 0;
    if (meta) {
        sign_tensors(root, meta, data + 8 + n, bytes - 8 - (size_t)n);
        json_object_del(meta, "volley.notes");
        char *text = json_dumps(root, JSON_COMPACT);
        const size_t length = text ? strlen(text) : 0, rest = bytes - 8 - (size_t)n;
        if (length && 8 + length + rest <= most) {
            memmove(data + 8 + length, data + 8 + n, rest);
            memcpy(data + 8, text, length);
            for (int i = 0; i < 8; i++) data[i] = (uint8_t)((uint64_t)length >> (8 * i));
            used = 8 + length + rest;
        }
        free(text);
    }
    json_decref(root);
    return used;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed) {
    const size_t header = 8 + (size_t)header_bytes(data, bytes);
    size_t n = bytes;
    if (seed % 4 == 1 && header < bytes) /* contents alone */
        n = header + LLVMFuzzerMutate(data + header, bytes - header, bytes - header);
    else
        n = LLVMFuzzerMutate(data, bytes, most);
    const size_t signed_bytes = seed % 4 ? sign_again(data, n, most) : 0;
    return signed_bytes ? signed_bytes : n;
}

#endif
