/* warpgroups.cpp -- wgmma on the processor: descriptors, fragments and the rules of its asynchrony by
 * the PTX ISA ("Asynchronous warpgroup level matrix instructions"). A multiplication reads shared
 * memory from its begin to the wait; here the numbers are read at the wait, as late as they may be,
 * and until then the registers of D hold NaN. See device.h for what it catches. */
#include <vector>
#include "kernels/shim/internal.h"
#include "kernels/shim/races.h"

namespace vly_shim {
namespace {

constexpr unsigned GROUP = 128, WARP = 32, DEPTH = 16;

/* Half of D's registers belong to one row, half to the row 8 below. */
struct product {
    wgmma_operands o;
    float a[2][DEPTH]; /* of A from registers: this thread's rows */
    unsigned group;
    place at;
};
struct accumulator {
    float *d;
    std::vector<float> value;
    int pending;
};
struct thread_state {
    bool fenced;
    unsigned group;
    size_t begun;
    std::vector<product> products;
    std::vector<accumulator> accumulators;
};

std::vector<thread_state> states;
std::vector<std::vector<product>> begun; /* by warpgroup: what its first thread began */
uint64_t bent_a, bent_b;

/* ---- descriptors ---- */

struct matrix {
    unsigned start, leading, stride, pieces, bits; /* pieces of 16 bytes in a line; bits permuted */
};

matrix matrix_of(uint64_t d, place at) {
    static const unsigned pieces[] = {1, 8, 4, 2};
    const unsigned mode = (unsigned)(d >> 62);
    const matrix m = {(unsigned)(d & 0x3fff) << 4, (unsigned)(d >> 16 & 0x3fff) << 4,
                      (unsigned)(d >> 32 & 0x3fff) << 4, pieces[mode], mode ? 4 - mode : 0};
    if (d & ~UINT64_C(0xc00e3fff3fff3fff))
        fault(at, "a matrix descriptor with bits that must be 0");
    if (d >> 49 & 7) fault(at, "a matrix descriptor with a base offset, which the shim has not");
    if (m.start >> 7 & ((1u << m.bits) - 1u))
        fault(at, "misaligned: the pattern of a matrix descriptor");
    return m;
}

/* Row i of A, or column i of B, at k. T of the canonical layouts is 8 numbers. */
const uint16_t *element(const matrix &m, bool across, unsigned i, unsigned k, place at) {
    const unsigned line = m.pieces * 16, within = across ? i % (8 * m.pieces) : k % 8;
    unsigned address = m.start + within * 2;
    if (across && m.bits)
        address += i / (8 * m.pieces) * m.leading + k % 8 * line + k / 8 * m.stride;
    else if (across)
        address += i / 8 * m.stride + k % 8 * line + k / 8 * m.leading;
    else
        address += i % 8 * line + i / 8 * m.stride + k / 8 * (m.bits ? 16 : m.leading);
    address ^= (address >> 7 & ((1u << m.bits) - 1u)) << 4;
    const void *p = shared_at(address, sizeof(uint16_t));
    if (!p) fault(at, "a matrix descriptor that leads out of a shared array");
    return static_cast<const uint16_t *>(p);
}

float number(uint16_t bits) {
    const uint32_t word = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &word, 4);
    return f;
}

/* This thread's share of the words of a matrix, of so many rows or columns. */
template <class F> void each_word(uint64_t descriptor, bool across, unsigned rows, place at, F f) {
    const matrix m = matrix_of(descriptor, at);
    for (unsigned w = running_thread() % GROUP; w < rows * DEPTH / 2; w += GROUP) {
        const unsigned i = across ? w % (rows / 2) * 2 : w / (DEPTH / 2),
                       k = across ? w / (rows / 2) : w % (DEPTH / 2) * 2;
        f(element(m, across, i, k, at));
    }
}

template <class F> void each_word(const product &p, F f) {
    if (!p.o.a) each_word(p.o.a_matrix, p.o.across_a, 64, p.at, f);
    each_word(p.o.b_matrix, p.o.across_b, (unsigned)p.o.n, p.at, f);
}

/* ---- begin and end ---- */

void check_alike(const product &p) {
    thread_state &s = states[running_thread()];
    std::vector<product> &all = begun[running_thread() / GROUP];
    if (s.begun == all.size()) all.push_back(p);
    const product &first = all[s.begun++];
    if (first.o.n != p.o.n || first.o.a_matrix != p.o.a_matrix ||
        first.o.b_matrix != p.o.b_matrix || !first.o.a != !p.o.a ||
        first.o.across_a != p.o.across_a || first.o.across_b != p.o.across_b)
        fault(p.at, "the warps of a warpgroup begin different multiplications");
}

accumulator &accumulator_of(thread_state &s, float *d, int n) {
    for (accumulator &a : s.accumulators)
        if (a.d == d) return a;
    s.accumulators.push_back({d, std::vector<float>(d, d + n / 2), 0});
    memset(d, 0xff, (size_t)n / 2 * sizeof *d);
    return s.accumulators.back();
}

/* A as lanes hold it for mma.m16n8k16: lane 4 g + t has rows g and g + 8, numbers 2 t and 2 t + 1 of
 * each 8 along k. */
void gather_a(product *p, const char *all) {
    const unsigned g = lane() / 4;
    for (unsigned row = 0; row < 2; row++)
        for (unsigned k = 0; k < DEPTH; k++) {
            uint32_t r[4];
            memcpy(r, all + 16 * (4 * g + k % 8 / 2), sizeof r);
            p->a[row][k] = number((uint16_t)(r[k / 8 * 2 + row] >> k % 2 * 16));
        }
}

void multiply(const product &p, float *d) {
    const unsigned l = running_thread() % WARP, row = running_thread() % GROUP / WARP * 16 + l / 4;
    float a[2][DEPTH], b[DEPTH];
    memcpy(a, p.a, sizeof a);
    if (!p.o.a) {
        const matrix m = matrix_of(p.o.a_matrix, p.at);
        for (unsigned k = 0; k < DEPTH; k++)
            for (unsigned r = 0; r < 2; r++)
                a[r][k] = number(*element(m, p.o.across_a, row + 8 * r, k, p.at));
    }
    const matrix m = matrix_of(p.o.b_matrix, p.at);
    for (unsigned c = 0; c < (unsigned)p.o.n / 4; c++) { /* of this lane's columns */
        const unsigned column = c / 2 * 8 + l % 4 * 2 + c % 2;
        for (unsigned k = 0; k < DEPTH; k++)
            b[k] = number(*element(m, p.o.across_b, column, k, p.at));
        for (unsigned r = 0; r < 2; r++)
            for (unsigned k = 0; k < DEPTH; k++) d[c / 2 * 4 + r * 2 + c % 2] += a[r][k] * b[k];
    }
}

void end(thread_state &s, const product &p) {
    each_word(p, [](const uint16_t *word) { races_read_ends(word); });
    for (size_t i = 0; i < s.accumulators.size(); i++) {
        accumulator &a = s.accumulators[i];
        if (a.d != p.o.d) continue;
        multiply(p, a.value.data());
        a.pending--;
        if (a.pending) return;
        memcpy(a.d, a.value.data(), a.value.size() * sizeof(float));
        s.accumulators.erase(s.accumulators.begin() + (ptrdiff_t)i);
        return;
    }
}

} // namespace

void wgmma(const wgmma_operands &o, place at) {
    const unsigned t = running_thread();
    thread_state &s = states[t];
    product p = {o, {}, s.group, at};
    if (t / GROUP * GROUP + GROUP > states.size())
        fault(at, "a warpgroup of fewer than four warps");
    if (!s.fenced)
        fault(at, "a warpgroup multiplication without a wgmma.fence since its registers were free");
    const uint32_t nothing[4] = {};
    gather_a(&p, static_cast<const char *>(join_warp(0xffffffffu, o.a ? o.a : nothing, 16, at)));
    if (!o.a) p.o.a_matrix ^= bent_a;
    p.o.b_matrix ^= bent_b;
    check_alike(p);
    each_word(p, [](const uint16_t *word) { races_read_begins(word); });
    accumulator_of(s, o.d, o.n).pending++;
    s.products.push_back(p);
}

void wgmma_fence(place at) {
    if (!is_left_out(at)) states[running_thread()].fenced = true;
}

void wgmma_commit(place at) {
    if (!is_left_out(at)) states[running_thread()].group++;
}

void wgmma_wait(int left, place at) {
    if (is_left_out(at)) return;
    thread_state &s = states[running_thread()];
    std::vector<product> kept, ended;
    for (const product &p : s.products)
        ((int64_t)p.group >= (int64_t)s.group - left ? kept : ended).push_back(p);
    s.products.swap(kept);
    for (const product &p : ended) end(s, p);
    s.fenced = false;
}

void proxy_fence(place at) {
    if (!is_left_out(at)) races_proxy_fence();
}

void warpgroups_begin_block(unsigned threads) {
    states.assign(threads, thread_state());
    begun.assign(threads / GROUP + 1, {});
}

void warpgroups_end_thread() {
    const thread_state &s = states[running_thread()];
    if (!s.products.empty())
        fault(s.products[0].at, "a warpgroup multiplication that its thread has not waited for");
}

bool warpgroups_end_block(unsigned *thread, place *at) {
    for (unsigned t = 0; t < states.size(); t++)
        if (states[t].begun != begun[t / GROUP].size()) {
            *thread = t, *at = begun[t / GROUP][states[t].begun].at;
            return false;
        }
    return true;
}

void bend(uint64_t a, uint64_t b) {
    bent_a = a, bent_b = b;
}

} // namespace vly_shim
