/* Whatever the compiler's baseline offers: SSE2, NEON. */
#define VLY_VECTOR_BYTES 16
#define VLY_VECTORS_MAX 2
#define VLY_SIMD vly_simd_base
#define VLY_SIMD_NAME "base"
#include "cpu/ops/simd_body.h"
