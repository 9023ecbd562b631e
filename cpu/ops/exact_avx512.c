#if defined(__AVX512F__)
#define VLY_EXACT vly_exact_avx512
#include "cpu/ops/exact_body.h"
#else
typedef int not_this_processor;
#endif
