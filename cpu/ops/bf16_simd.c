#include "cpu/ops/bf16_simd.h"
#include <stdatomic.h>
#include <string.h>
#include "cpu/ops/simd.h"
#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static bool processor_has_avx512_bf16(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 5;
}

static bool processor_has_amx(void) {
    unsigned a, b, c, d;
    const unsigned amx = 1u << 22 | 1u << 24; /* bf16, tile */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & amx) == amx;
}

/* Linux grants the tile registers (8 KiB per thread) only on request. */
static bool system_grants_amx(void) {
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

enum { NOT_ASKED, NEITHER, VECTORS, TILES };

static int ask_processor(void) {
    if (!processor_has_avx512_bf16()) return NEITHER;
    return processor_has_amx() && system_grants_amx() ? TILES : VECTORS;
}

static const vly_bf16_simd *detect_bf16(const char *name) {
    static atomic_int known;
    if (vly_simd_best() != &vly_simd_avx512) return NULL;
    if (atomic_load(&known) == NOT_ASKED) atomic_store(&known, ask_processor());
    const int have = atomic_load(&known);
    if (have == TILES && (!name || strcmp(name, "amx") == 0)) return &vly_bf16_amx;
    if (have >= VECTORS && (!name || strcmp(name, "avx512") == 0)) return &vly_bf16_avx512;
    return NULL;
}
#else
static const vly_bf16_simd *detect_bf16(const char *name) {
    (void)name;
    return NULL;
}
#endif

static _Atomic(const char *) forced;

const vly_bf16_simd *vly_bf16_simd_best(void) {
    return detect_bf16(atomic_load(&forced));
}

const vly_bf16_simd *vly_bf16_simd_force(const char *name) {
    const vly_bf16_simd *s = detect_bf16(name);
    atomic_store(&forced, name && s ? s->name : NULL);
    return name ? s : NULL;
}
