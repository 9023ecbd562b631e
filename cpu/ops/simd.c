#include "cpu/ops/simd.h"
#include <stdatomic.h>
#include <string.h>
#include "cpu/ops/exact_simd.h"

static _Atomic(const vly_simd *) forced;

static const vly_simd *detect(const char *name) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if ((!name || strcmp(name, "avx512") == 0) && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return &vly_simd_avx512;
    if ((!name || strcmp(name, "avx2") == 0) && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return &vly_simd_avx2;
#endif
    return !name || strcmp(name, "base") == 0 ? &vly_simd_base : NULL;
}

const vly_simd *vly_simd_best(void) {
    const vly_simd *s = atomic_load(&forced);
    return s ? s : detect(NULL);
}

const vly_simd *vly_simd_force(const char *name) {
    const vly_simd *s = name ? detect(name) : NULL;
    atomic_store(&forced, s);
    return s;
}

const vly_exact *vly_exact_best(void) {
#if defined(__x86_64__)
    const vly_simd *s = vly_simd_best();
    if (s == &vly_simd_avx512) return &vly_exact_avx512;
    if (s == &vly_simd_avx2) return &vly_exact_avx2;
#endif
    return &vly_exact_base;
}
