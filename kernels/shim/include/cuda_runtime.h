#include "kernels/shim/runtime.h"
#ifdef __cplusplus
#include "kernels/shim/device.h"
#endif
