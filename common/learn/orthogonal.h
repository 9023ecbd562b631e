/* orthogonal.h -- a random matrix with orthonormal rows, uniform among all (Haar-distributed).
 *
 *   VLY_TRY(vly_orthogonal_small(rows, n, seed, index, a));    // a (rows,n), rows <= n
 *   VLY_TRY(vly_orthogonal_large(rows, n, seed, index, 0, b));
 *
 * Both draw from the stream VLY_STREAM_INIT of the seed; index: the tensor's. They give different
 * matrices of the same distribution. small: Gram-Schmidt in double, 2 rows^2 n operations at the
 * speed of memory. large: random Householder reflections applied in blocks (Stewart 1980; compact
 * WY form), 4/3 n^3 operations for a square one, in float. 4096 x 4096: 15 s and 1.2 s on two
 * processors.
 */
#ifndef VLY_COMMON_LEARN_ORTHOGONAL_H
#define VLY_COMMON_LEARN_ORTHOGONAL_H
#include <stdint.h>
#include "common/base/status.h"

vly_status vly_orthogonal_small(int64_t rows, int64_t n, uint64_t seed, uint64_t index, double *a);
/* threads: 0: one per processor that this process may use, at most 8. The result is the same bits
 * whatever their number and the processor's vector width. */
vly_status vly_orthogonal_large(int64_t rows, int64_t n, uint64_t seed, uint64_t index, int threads,
                                double *a);
/* x[i] is number first + i of the stream, standard normal; first is even. */
void vly_fill_normal(uint64_t seed, uint64_t index, int64_t first, int64_t n, double *x);
#endif
