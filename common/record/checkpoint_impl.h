/* checkpoint_impl.h -- the inside of a checkpoint, for common/record/checkpoint*.c alone.
 *
 *   checkpoint.c         open, verify, find, read
 *   checkpoint_header.c  parses the header of an untrusted file
 *   checkpoint_write.c   writes a file that is complete or absent
 *   checkpoint_digest.c  element types; the digest of everything that decides how training goes on
 *   checkpoint_folder.c  a run's folder of checkpoints: newest, best, last few
 *
 * A file: u64 header length, header (JSON, padded with spaces), data. Metadata keys of ours:
 *   volley.format   VLY_CHECKPOINT_FORMAT        volley.digest   32 digits
 *   volley.notes    32 digits over all notes; older files lack it
 *   xxh3:TENSOR     16 digits, " state" and " weight" where they hold
 *   state:NAME, note:NAME   the notes
 */
#ifndef VLY_COMMON_RECORD_CHECKPOINT_IMPL_H
#define VLY_COMMON_RECORD_CHECKPOINT_IMPL_H
#include "common/record/checkpoint.h"

enum { PIECE = 1 << 20 }; /* of a tensor, in memory at a time */

/* By vly_dtype. */
enum { VLY_DTYPES = VLY_U64 + 1 };
extern const struct vly_dtype_info {
    const char *name;
    int bytes;
} vly_dtypes[VLY_DTYPES];

/* The tensor's size; false when the product does not fit. */
bool vly_array_fits(const vly_array *t, size_t *out);

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

/* VLY_ECORRUPT: the file's path and what is wrong with it. */
__attribute__((format(printf, 2, 3))) vly_status vly_checkpoint_damaged(const vly_checkpoint *c,
                                                                        const char *format, ...);
vly_status vly_checkpoint_read_at(const vly_checkpoint *c, uint64_t at, void *to, size_t bytes);
/* Fills tensors, offsets, checksums, notes and digest, or says what is wrong. */
vly_status vly_checkpoint_read_header(vly_checkpoint *c);
int vly_checkpoint_index(const vly_checkpoint *c, const char *name); /* -1: not in it */

/* The digest of what is marked `state`, whatever its order; checksum by tensor, text
 * VLY_DIGEST_TEXT bytes. */
vly_status vly_digest_make(const vly_checkpoint_data *d, const uint64_t *checksum, char *text);
/* The same of all notes, whether they are state or not. */
vly_status vly_digest_notes(const vly_note *notes, int count, char *text);
#endif
