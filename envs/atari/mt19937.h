/* mt19937.h -- ALE's two random streams, the console's and the environment's, are std::mt19937,
 * as is NumPy's old generator: see envs/numpy_rng.h. */
#ifndef VLY_ENVS_ATARI_MT19937_H
#define VLY_ENVS_ATARI_MT19937_H
#include "envs/numpy_rng.h"
#endif
