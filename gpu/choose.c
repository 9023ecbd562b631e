/* choose.c -- the fastest engine for each pass of a layer. */
#include <stdlib.h>
#include <string.h>
#include "gpu/internal.h"

vly_status vly_layer_choose(vly_layer *l) {
    for (int pass = 0; pass < VLY_PASSES; pass++) l->engine[pass] = &vly_engine_own;
    return VLY_OK;
}
