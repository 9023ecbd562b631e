#if defined(__AVX512F__)
#define VLY_VECTOR_BYTES 64
#define VLY_VECTORS_MAX 4
#define VLY_SIMD vly_simd_avx512
#define VLY_SIMD_NAME "avx512"
#include "cpu/ops/simd_body.h"
#else
typedef int not_this_processor;
#endif
