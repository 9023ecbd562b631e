#if defined(__AVX2__)
#define VLY_VECTOR_BYTES 32
#define VLY_VECTORS_MAX 2
#define VLY_SIMD vly_simd_avx2
#define VLY_SIMD_NAME "avx2"
#include "cpu/ops/simd_body.h"
#else
typedef int not_this_processor;
#endif
