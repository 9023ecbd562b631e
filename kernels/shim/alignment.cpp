/* alignment.cpp -- where the compiler's check of alignment arrives. The kernels are compiled with
 * -fsanitize=alignment and without its runtime: a processor reads a misaligned vector, a device
 * does not. The structures are those that gcc and clang pass. */
#include <cstdio>
#include <cstdlib>
#include "kernels/shim/internal.h"

namespace {
struct type_name {
    uint16_t kind, info;
    char text[1];
};
struct misalignment {
    const char *file;
    uint32_t line, column;
    const type_name *type;
    unsigned char log2_alignment, access;
};
} // namespace

extern "C" void __ubsan_handle_type_mismatch_v1(misalignment *m, void *p);
extern "C" void __ubsan_handle_type_mismatch_v1(misalignment *m, void *p) {
    char text[200];
    snprintf(text, sizeof text, "misaligned: %s at an address that is %zu modulo %u", m->type->text,
             (size_t)((uintptr_t)p % (1u << m->log2_alignment)), 1u << m->log2_alignment);
    if (vly_shim::in_kernel()) vly_shim::fault({m->file, (int)m->line}, text);
    fprintf(stderr, "%s:%u: %s\n", m->file, m->line, text);
    abort();
}
