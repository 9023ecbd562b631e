/* mt19937.h -- both of ALE's random streams, the console's and the environment's, are draws of
 * std::mt19937, which is NumPy's old generator too: see there. */
#ifndef VLY_ENVS_ATARI_MT19937_H
#define VLY_ENVS_ATARI_MT19937_H
#include "envs/numpy_rng.h"
#endif
