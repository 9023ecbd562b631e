/* layer.h -- layers of a network on the device: shared parts of the engines. */
#ifndef VLY_GPU_LAYER_H
#define VLY_GPU_LAYER_H
#include "common/compute.h"
#endif
