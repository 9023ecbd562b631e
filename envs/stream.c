#include "envs/stream.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/crc32.h"
#include "common/base/file.h"
#include "common/base/philox.h"
#include "common/base/text.h"
#include "envs/env_options.h"

enum { ROWS_MOST = 1 << 24, LANE = 77 }; /* of the random numbers: no environment draws from it */

static vly_status add_stream_row(vly_stream_source *source, const char *path, double value) {
    if (source->rows == ROWS_MOST)
        return vly_fail(VLY_EINVAL, "%s: more than %d numbers; leave out the last", path,
                        ROWS_MOST);
    if ((source->rows & (source->rows - 1)) == 0) { /* full at powers of two */
        const size_t room = source->rows ? 2 * (size_t)source->rows : 1;
        double *more = realloc(source->value, room * sizeof *more);
        if (!more) return vly_fail(VLY_ENOMEM, "%s: no memory for %zu numbers", path, room);
        source->value = more;
    }
    source->value[source->rows++] = value;
    return VLY_OK;
}

static vly_status read_stream_rows(vly_stream_source *source, FILE *file, const char *path,
                                   double low, double high) {
    char text[1024];
    bool there = true;
    for (size_t line = 1;; line++) {
        VLY_TRY(vly_file_line(file, path, line, text, sizeof text, &there));
        if (!there) break;
        char *at = text + strspn(text, " \t"), *end;
        if (*at == '#' || *at == '\n' || *at == '\r' || !*at) continue;
        double value;
        if (!vly_text_decimal(at, &end, &value) || end[strspn(end, " \t\r\n")])
            return vly_fail(VLY_EINVAL, "%s:%zu: not one number", path, line);
        if (!(value >= low && value <= high))
            return vly_fail(VLY_EINVAL, "%s:%zu: %g is outside [%g, %g]", path, line, value, low,
                            high);
        VLY_TRY(add_stream_row(source, path, value));
    }
    return source->rows ? VLY_OK : vly_fail(VLY_EINVAL, "%s holds no numbers (one a line)", path);
}

vly_status vly_stream_read(vly_stream_source *source, const vly_env_args *args, const char *path,
                           double low, double high) {
    vly_status status;
    *source = (vly_stream_source){.value = NULL};
    if (args && args->no_files)
        return vly_fail(VLY_EINVAL,
                        "%s is a file that the learner names: to open this machine's, give "
                        "--files true",
                        path);
    FILE *file = vly_file_open(path, &status);
    if (!file) return status;
    status = read_stream_rows(source, file, path, low, high);
    fclose(file);
    if (status != VLY_OK)
        vly_stream_free(source);
    else
        source->checksum = vly_crc32(0, source->value, (size_t)source->rows * sizeof(double));
    return status;
}

void vly_stream_free(vly_stream_source *source) {
    free(source->value);
    source->value = NULL;
}

static vly_u32x4 draw_stream(vly_stream *s) {
    return vly_philox(s->seed, VLY_STREAM_ENV, (uint64_t)s->drawn++, LANE);
}

void vly_stream_begin(const vly_stream_source *source, vly_stream *s, uint64_t seed) {
    *s = (vly_stream){.seed = seed, .checksum = source->checksum};
    const uint32_t places = (uint32_t)(source->value ? source->rows : source->levels);
    s->at = (int32_t)vly_below(draw_stream(s).v[0], places);
}

void vly_stream_next(const vly_stream_source *source, vly_stream *s) {
    if (source->value) {
        s->at = s->at + 1 == source->rows ? 0 : s->at + 1;
        return;
    }
    const double *to = source->chain + (ptrdiff_t)s->at * source->levels;
    double u = (double)vly_unit(draw_stream(s).v[0]);
    int level = 0;
    while (level + 1 < source->levels && (u -= to[level]) >= 0) level++;
    s->at = level;
}

double vly_stream_value(const vly_stream_source *source, const vly_stream *s) {
    return source->value ? source->value[s->at] : s->at;
}

vly_status vly_stream_valid(const vly_stream_source *source, const vly_stream *s) {
    if (s->checksum != source->checksum)
        return vly_fail(VLY_ECORRUPT, "it was saved with another file of rows");
    VLY_TRY(vly_env_valid_range("drawn", (double)s->drawn, 0, 9e15));
    return vly_env_valid_range("stream", s->at, 0,
                               (source->value ? source->rows : source->levels) - 1);
}
