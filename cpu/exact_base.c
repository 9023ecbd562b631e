#define VLY_EXACT vly_exact_base
#include "cpu/exact_body.h"
