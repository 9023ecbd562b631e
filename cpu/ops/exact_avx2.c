#if defined(__AVX2__)
#define VLY_EXACT vly_exact_avx2
#include "cpu/ops/exact_body.h"
#else
typedef int not_this_processor;
#endif
