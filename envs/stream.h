/* stream.h -- numbers that no action influences: wind, prices, traffic. Rows of a file, or levels
 * drawn by a chain.
 *
 *   // in the world, which is read-only:
 *   VLY_TRY(vly_stream_read(&source, args, "prices.txt", 0, 1000));    // or source = a chain
 *   // in an actor's state, plain memory, so that checkpoints hold it:
 *   vly_stream_begin(&source, &s->wind, seed);
 *   ... vly_stream_value(&source, &s->wind); vly_stream_next(&source, &s->wind);
 *
 * What comes next follows from the seed and the number of steps alone: actors of one seed see the same
 * numbers, whatever they do. The checksum of a file is part of the state, and a run does not resume
 * with another file.
 */
#ifndef VLY_ENVS_STREAM_H
#define VLY_ENVS_STREAM_H
#include "common/base/env.h"

typedef struct {
    double *value; /* a file: one number a row; NULL: a chain */
    int rows;
    uint32_t checksum;
    int levels;          /* a chain */
    const double *chain; /* (levels, levels): probability of each next level; rows add up to 1 */
} vly_stream_source;

typedef struct {
    uint64_t seed;
    int64_t drawn; /* since the seed */
    int32_t at;    /* the row, or the level */
    uint32_t checksum;
} vly_stream;

/* One number a line, within [low, high]; empty lines and lines that begin with # are skipped. args:
 * those that name the file, or NULL. */
vly_status vly_stream_read(vly_stream_source *source, const vly_env_args *args, const char *path,
                           double low, double high);
void vly_stream_free(vly_stream_source *source);

/* At a row or level that the seed chooses. */
void vly_stream_begin(const vly_stream_source *source, vly_stream *s, uint64_t seed);
void vly_stream_next(const vly_stream_source *source, vly_stream *s);
/* The number of the row; of a chain the level. */
double vly_stream_value(const vly_stream_source *source, const vly_stream *s);
/* For vly_env.valid. */
vly_status vly_stream_valid(const vly_stream_source *source, const vly_stream *s);
#endif
