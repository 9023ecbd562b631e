/* Random bytes as a checkpoint: refused with words, or read without touching a byte outside it.
 *   cmake --preset fuzz && cmake --build --preset fuzz && build-fuzz/fuzz_checkpoint
 *   tests/fuzz/checkpoint */
#include <stdlib.h>
#include "common/record/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

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
