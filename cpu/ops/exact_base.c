#define VLY_EXACT vly_exact_base
#include "cpu/ops/exact_body.h"
