#include "gpu/layer.h"
#include "gpu/internal.h"

void vly_cuda_fill_layers(vly_compute *c) { (void)c; }
