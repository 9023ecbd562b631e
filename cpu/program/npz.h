/* npz.h -- NumPy's archive of arrays, written: numpy.load("x.npz")["trunk.0.weight"].
 *
 *   vly_npz *z;
 *   VLY_TRY(vly_npz_open(&z, "x.npz"));
 *   VLY_TRY(vly_npz_add(z, "trunk.0.weight", VLY_F32, 2, shape, data));
 *   VLY_TRY(vly_npz_close(z));            // the file appears whole, or not at all
 *
 * A zip without compression, as numpy.savez makes it. Each array and the file stay below 4 GB.
 */
#ifndef VLY_CPU_NPZ_H
#define VLY_CPU_NPZ_H
#include <stdint.h>
#include "common/base/env.h"

typedef struct vly_npz vly_npz;
vly_status vly_npz_open(vly_npz **out, const char *path);
/* After an error only close is of use. */
vly_status vly_npz_add(vly_npz *z, const char *name, vly_dtype dtype, int ndim,
                       const int64_t *shape, const void *data);
/* Also after an error, which it then returns again; frees z in any case. */
vly_status vly_npz_close(vly_npz *z);
#endif
