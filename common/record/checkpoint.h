/* checkpoint.h -- the state of a run as a safetensors file that a crash cannot half-write.
 *
 *   vly_array t[] = {{"policy.0.weight", VLY_F32, 2, {64, 4}, weights, true}, ...};
 *   vly_note n[] = {{"steps", "81920", true}, {"time", "2026-11-21T10:00:00Z", false}};
 *   vly_checkpoint_data d = {.tensors = t, .tensor_count = 12, .notes = n, .note_count = 2};
 *   VLY_TRY(vly_checkpoint_write("x.safetensors", &d, digest));
 *   // keeps the last 3
 *   VLY_TRY(vly_checkpoints_save("run/checkpoints", 81920, 3, false, &d, NULL, NULL));
 *   ...
 *   vly_checkpoint *c;
 *   // skips damaged ones
 *   VLY_TRY(vly_checkpoints_open_newest(&c, "run/checkpoints", on_bad, arg));
 *   VLY_TRY(vly_checkpoint_read(c, "policy.0.weight", VLY_F32, weights, bytes));
 *   vly_checkpoint_close(c);
 *
 * The file is what every safetensors reader accepts; our own facts are in its metadata: format
 * version, a checksum (XXH3) for each tensor, notes, and the digest. Written to a temporary beside
 * it, fsynced, renamed, folder fsynced: a path holds a whole checkpoint or the one before. Reading
 * trusts nothing: bounds, holes, overlaps, duplicate names, sizes and checksums are checked, and
 * every error names the file and what is wrong with it.
 *
 * `digest`: 32 hexadecimal digits over name, type, shape and content of each tensor and note marked
 * `state`, whatever their order. Mark what decides how training goes on; not times, paths, hosts.
 */
#ifndef VLY_COMMON_RECORD_CHECKPOINT_H
#define VLY_COMMON_RECORD_CHECKPOINT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/env.h"
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

enum {
    VLY_CHECKPOINT_FORMAT = 1, /* raised when older programs could not read what is written */
    VLY_ARRAY_DIMS = 4,
    VLY_ARRAY_NAME = 96,
    VLY_DIGEST_TEXT = 33,
    VLY_PATH = 1280
};

typedef struct {
    char name[VLY_ARRAY_NAME];
    vly_dtype dtype;
    int ndim;
    int64_t shape[VLY_ARRAY_DIMS];
    const void *data; /* host memory; NULL: fetched through vly_checkpoint_data.fetch */
    bool state;       /* counts in the digest */
    bool weight;      /* of the network that acts: what is exported */
} vly_array;

typedef struct {
    char name[64];
    char value[192];
    bool state;
} vly_note;

typedef struct {
    const vly_array *tensors;
    int tensor_count;
    const vly_note *notes;
    int note_count;
    /* Copies bytes at offset of tensor i to `to`, for tensors that are not in host memory. */
    vly_status (*fetch)(void *arg, int i, size_t offset, void *to, size_t bytes);
    void *arg;
} vly_checkpoint_data;

size_t vly_array_bytes(const vly_array *tensor);

/* ---- writing ---- */

/* digest: VLY_DIGEST_TEXT bytes or NULL. VLY_ENOSPACE: the disk is full, the file that was there is
 * as it was. */
vly_status vly_checkpoint_write(const char *path, const vly_checkpoint_data *data, char *digest);
/* FOLDER/step-STEPS.safetensors; with `best` it becomes best.safetensors as well. Afterwards the
 * newest `keep` remain, and temporaries of dead processes are removed. path: VLY_PATH bytes or
 * NULL, where it went. */
vly_status vly_checkpoints_save(const char *folder, int64_t steps, int keep, bool best,
                                const vly_checkpoint_data *data, char *path, char *digest);
/* Removes the checkpoints of later steps: a run that goes on from an earlier one leaves that line
 * behind. */
vly_status vly_checkpoints_drop_after(const char *folder, int64_t steps);

/* ---- reading ---- */

typedef struct vly_checkpoint vly_checkpoint;

/* Checks the whole header; contents are checked when they are read, or all by verify. */
vly_status vly_checkpoint_open(vly_checkpoint **out, const char *path);
/* The same from memory, borrowed until close. `name` for the messages. */
vly_status vly_checkpoint_open_memory(vly_checkpoint **out, const void *data, size_t bytes,
                                      const char *name);
void vly_checkpoint_close(vly_checkpoint *c);
/* Reads every tensor and compares its checksum and the digest. */
vly_status vly_checkpoint_verify(vly_checkpoint *c);

const char *vly_checkpoint_path(const vly_checkpoint *c);
int vly_checkpoint_tensors(const vly_checkpoint *c);
const vly_array *vly_checkpoint_tensor(const vly_checkpoint *c, int i);          /* .data is NULL */
const vly_array *vly_checkpoint_find(const vly_checkpoint *c, const char *name); /* NULL: not in it
                                                                                  */
const char *vly_checkpoint_checksum(const vly_checkpoint *c, int i); /* 16 hexadecimal digits; "" in
                                                                        a foreign file */
/* The tensor into `to`, which holds exactly `bytes`; type, size and checksum must agree. */
vly_status vly_checkpoint_read(vly_checkpoint *c, const char *name, vly_dtype dtype, void *to,
                               size_t bytes);
/* The same in pieces, for tensors that go to a device: give() gets consecutive pieces in order. The
 * checksum is compared after the last. */
vly_status vly_checkpoint_stream(vly_checkpoint *c, const char *name, vly_dtype dtype, size_t bytes,
                                 vly_status (*give)(void *arg, size_t offset, const void *piece,
                                                    size_t n),
                                 void *arg);
int vly_checkpoint_notes(const vly_checkpoint *c);
const vly_note *vly_checkpoint_note(const vly_checkpoint *c, int i);
const char *vly_checkpoint_note_text(const vly_checkpoint *c, const char *name); /* NULL: not in it
                                                                                  */
vly_status vly_checkpoint_note_int(const vly_checkpoint *c, const char *name, int64_t *out);
const char *vly_checkpoint_digest(const vly_checkpoint *c); /* "" in a foreign file */
/* False: a safetensors file of another program; readable, but nothing to resume from. */
bool vly_checkpoint_is_ours(const vly_checkpoint *c);

/* The newest checkpoint in the folder that verifies. on_bad(arg, path, words) is called for each
 * damaged one that is skipped; may be NULL. VLY_ENOTFOUND when there is none. */
vly_status vly_checkpoints_open_newest(vly_checkpoint **out, const char *folder,
                                       void (*on_bad)(void *arg, const char *path,
                                                      const char *words),
                                       void *arg);

/* "F32" ... as safetensors names them. */
const char *vly_dtype_name(vly_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
