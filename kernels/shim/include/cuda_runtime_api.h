#include "kernels/shim/runtime.h"
