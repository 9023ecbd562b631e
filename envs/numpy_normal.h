/* numpy_normal.h -- NumPy's normal draws, number for number.
 *
 *   vly_pcg64 rng;
 *   vly_pcg64_seed(&rng, 7);                   // np.random.Generator(PCG64(SeedSequence(7)))
 *   double z = vly_pcg64_normal(&rng);         //   .standard_normal()
 *
 * The ziggurat of Marsaglia & Tsang (2000) with 256 strips; tests/golden/ziggurat.py computes its table.
 */
#ifndef VLY_ENVS_NUMPY_NORMAL_H
#define VLY_ENVS_NUMPY_NORMAL_H
#include "envs/numpy_rng.h"

double vly_pcg64_normal(vly_pcg64 *rng);
#endif
