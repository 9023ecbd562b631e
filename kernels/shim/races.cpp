/* races.cpp -- happens-before over the accesses of a kernel; see races.h. */
#ifdef VLY_SHIM_RACES
#include "kernels/shim/races.h"
#include "kernels/shim/internal.h"

#include <cstdio>
#include <map>
#include <vector>

namespace vly_shim {
namespace {

constexpr unsigned WARP = 32, CELLS = 4, WORD = 4;

/* One access to a word. `epoch`: barriers that its thread had passed; `clock`: its __syncwarps;
 * `fences`: its __threadfences; `proxies`: its fences to the asynchronous proxy. */
struct cell {
    uint32_t launch, block;
    uint16_t thread, epoch, clock, fences, proxies;
    uint8_t bytes; /* of the word: a bit each */
    bool write, atomic;
};

struct region {
    const char *base;
    size_t bytes, guard;
    bool of_block;
    std::vector<cell> cells;        /* CELLS of each word, made at the first access */
    std::vector<uint32_t> arriving; /* by word: 1 + the block of a copy that may still write it */
    std::vector<uint16_t> read;     /* by word: multiplications that may still read it */
};

struct thread_state {
    uint16_t epoch, clock, fences, fence_epoch;
    uint16_t known[WARP]; /* clocks of the warp's lanes up to which their accesses precede ours */
    bool fenced;          /* since its last atomic */
    std::vector<uint16_t> proxy_epochs; /* of its fences to the asynchronous proxy */
};

/* An atomic operation behind a fence: what its block did before precedes whoever reads it. */
struct release {
    uint32_t block;
    uint16_t thread, epoch;
    bool fenced_after_barrier; /* by this thread, for its whole block */
    std::vector<uint16_t> fences;
};
struct acquisition {
    release from;
    uint16_t thread, epoch;
};

std::map<const char *, region> regions; /* by base */
region *recent;
std::vector<thread_state> threads;
std::map<const void *, std::vector<release>> releases;
std::vector<acquisition> acquired; /* by this block */
uint32_t launch_number, block_number;
int in_atomic;
uint64_t random_state = 88172645463325252u;

unsigned random_number() {
    random_state ^= random_state << 13, random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 32);
}

/* The array around p, its guards included; NULL: none. */
region *region_of(const char *p) {
    if (recent && p >= recent->base - recent->guard &&
        p < recent->base + recent->bytes + recent->guard)
        return recent;
    auto it = regions.upper_bound(p);
    if (it != regions.end() && p >= it->second.base - it->second.guard) return recent = &it->second;
    if (it == regions.begin()) return nullptr;
    --it;
    if (p >= it->second.base + it->second.bytes + it->second.guard) return nullptr;
    return recent = &it->second;
}

bool released(const acquisition &a, const cell &c) {
    const release &r = a.from;
    if (r.block != c.block) return false;
    const bool before = r.thread == c.thread || r.epoch > c.epoch;
    const bool fenced = r.fenced_after_barrier || r.fences[c.thread] > c.fences;
    return before && fenced;
}

/* The access of cell c precedes what thread t does now. */
bool precedes(const cell &c, unsigned t, const region &r) {
    const thread_state &s = threads[t];
    if (c.launch != launch_number) return true;
    if (c.block == block_number) {
        if (c.thread == t || c.epoch < s.epoch) return true;
        return c.thread / WARP == t / WARP && s.known[c.thread % WARP] >= c.clock;
    }
    if (r.of_block) return true;
    for (const acquisition &a : acquired) {
        const bool here = a.thread == t || s.epoch > a.epoch;
        const bool fenced = s.fences > 0 && s.fence_epoch >= a.epoch && s.fenced;
        if (here && fenced && released(a, c)) return true;
    }
    return false;
}

[[noreturn]] void report_race(const region &r, const char *p, const cell &before, unsigned t,
                              bool write) {
    char text[300];
    snprintf(text, sizeof text,
             "race: %s byte %zu of %s of %zu bytes, which thread %u of block %u has %s, with "
             "nothing between them that orders the two (thread %u, block %u)",
             write ? "writes" : "reads", (size_t)(p - r.base),
             r.of_block ? "a shared array" : "an allocation", r.bytes, before.thread, before.block,
             before.write ? "written" : "read", t, block_number);
    races_fault(text);
}

bool is_arriving(const region &r, size_t word) {
    return !r.arriving.empty() && r.arriving[word] == block_number + 1;
}

[[noreturn]] void report_arriving(const region &r, size_t word, bool write) {
    char text[200];
    snprintf(text, sizeof text,
             "race: %s byte %zu of a shared array of %zu bytes, to which an asynchronous copy is "
             "under way that its thread has not waited for",
             write ? "writes" : "reads", word * WORD, r.bytes);
    races_fault(text);
}

void set_arriving(const void *to, size_t bytes, uint32_t value) {
    region *r = region_of(static_cast<const char *>(to));
    if (!r) return;
    if (r->arriving.empty()) r->arriving.resize(r->bytes / WORD + 1);
    const size_t first = (size_t)(static_cast<const char *>(to) - r->base) / WORD;
    for (size_t word = first; word < first + bytes / WORD; word++) r->arriving[word] = value;
}

[[noreturn]] void report_asynchronous(const region &r, size_t word, const char *what) {
    char text[200];
    snprintf(text, sizeof text, "race: %s byte %zu of a shared array of %zu bytes", what,
             word * WORD, r.bytes);
    races_fault(text);
}

/* What cell c wrote can be seen by a multiplication that thread t begins. */
bool is_published(const cell &c, unsigned t) {
    const std::vector<uint16_t> &epochs = threads[c.thread].proxy_epochs;
    return c.proxies < epochs.size() && (c.thread == t || epochs[c.proxies] < threads[t].epoch);
}

void check_word(region &r, const char *word, uint8_t bytes, bool write) {
    const unsigned t = races_thread();
    const thread_state &s = threads[t];
    cell *cells = &r.cells[(size_t)(word - r.base) / WORD * CELLS], *to = nullptr;
    const cell now = {launch_number,
                      block_number,
                      (uint16_t)t,
                      s.epoch,
                      s.clock,
                      s.fences,
                      (uint16_t)s.proxy_epochs.size(),
                      bytes,
                      write,
                      in_atomic != 0};
    for (unsigned i = 0; i < CELLS; i++) {
        cell &c = cells[i];
        const bool ordered = precedes(c, t, r);
        if (!ordered && c.bytes & bytes && (c.write || write) && !(c.atomic && in_atomic))
            report_race(r, word, c, t, write);
        const bool ours = ordered && c.block == block_number && c.thread == t;
        if (!to &&
            (c.launch != launch_number || (ordered && c.write <= write && !(c.bytes & ~bytes)) ||
             (ours && c.write == write && c.bytes == bytes)))
            to = &c;
    }
    *(to ? to : &cells[random_number() % CELLS]) = now;
}

void check_access(const void *address, size_t bytes, bool write, bool aligned) {
    const char *p = static_cast<const char *>(address);
    if (!in_kernel() || races_on_stack(p)) return;
    region *r = region_of(p);
    if (!r) return;
    char text[200];
    if (p < r->base || p + bytes > r->base + r->bytes) {
        snprintf(text, sizeof text, "%s %zu bytes at byte %td of an array of %zu bytes",
                 write ? "writes" : "reads", bytes, p - r->base, r->bytes);
        races_fault(text);
    }
    if (aligned && (uintptr_t)p % bytes != 0) {
        snprintf(text, sizeof text, "misaligned: %s %zu bytes at byte %td of an array",
                 write ? "writes" : "reads", bytes, p - r->base);
        races_fault(text);
    }
    if (r->cells.empty()) r->cells.resize((r->bytes / WORD + 1) * CELLS);
    const size_t at = (size_t)(p - r->base);
    for (size_t word = at / WORD; word <= (at + bytes - 1) / WORD; word++) {
        const size_t from = word * WORD < at ? at - word * WORD : 0, end = at + bytes - word * WORD,
                     to = end < WORD ? end : WORD;
        if (is_arriving(*r, word)) report_arriving(*r, word, write);
        if (write && !r->read.empty() && r->read[word])
            report_asynchronous(*r, word,
                                "writes, while a warpgroup multiplication that was not "
                                "waited for reads,");
        check_word(*r, r->base + word * WORD, (uint8_t)((1u << to) - (1u << from)), write);
    }
    if (!in_atomic && random_number() % 64 == 0) races_preempt();
}

} // namespace

void races_add(const void *memory, size_t bytes, size_t guard, bool of_block) {
    const char *base = static_cast<const char *>(memory);
    regions[base] = {base, bytes, guard, of_block, {}, {}, {}};
}

void races_remove(const void *memory) {
    recent = nullptr;
    regions.erase(static_cast<const char *>(memory));
}

void races_begin_launch(unsigned count) {
    launch_number++;
    threads.assign(count, thread_state());
    releases.clear();
}

void races_end_launch() {
    releases.clear();
}

void races_begin_block(unsigned block) {
    block_number = block;
    in_atomic = 0;
    acquired.clear();
    for (thread_state &s : threads) {
        s = thread_state();
        s.clock = 1;
    }
}

void races_barrier() {
    for (thread_state &s : threads) s.epoch++;
}

void races_warp(unsigned *lanes, int count) {
    uint16_t known[WARP] = {};
    for (int i = 0; i < count; i++) {
        const thread_state &s = threads[lanes[i]];
        for (unsigned l = 0; l < WARP; l++)
            known[l] = s.known[l] > known[l] ? s.known[l] : known[l];
    }
    for (int i = 0; i < count; i++) known[lanes[i] % WARP] = threads[lanes[i]].clock;
    for (int i = 0; i < count; i++) {
        memcpy(threads[lanes[i]].known, known, sizeof known);
        threads[lanes[i]].clock++;
    }
}

void races_copy_begins(const void *to, const void *from, size_t bytes, size_t valid) {
    if (valid) check_access(from, valid, false, false);
    check_access(to, bytes, true, false);
    set_arriving(to, bytes, block_number + 1);
}

void races_copy_ends(const void *to, const void *from, size_t bytes, size_t valid) {
    set_arriving(to, bytes, 0);
    if (valid) check_access(from, valid, false, false);
    check_access(to, bytes, true, false);
}

void races_read_begins(const void *p) {
    region *r = region_of(static_cast<const char *>(p));
    const size_t word = (size_t)(static_cast<const char *>(p) - r->base) / WORD;
    if (r->cells.empty()) r->cells.resize((r->bytes / WORD + 1) * CELLS);
    if (r->read.empty()) r->read.resize(r->bytes / WORD + 1);
    if (is_arriving(*r, word)) report_arriving(*r, word, false);
    check_word(*r, r->base + word * WORD, 15, false);
    for (unsigned i = 0; i < CELLS; i++) {
        const cell &c = r->cells[word * CELLS + i];
        if (c.write && c.launch == launch_number && c.block == block_number &&
            !is_published(c, races_thread()))
            report_asynchronous(*r, word,
                                "a warpgroup multiplication reads, without "
                                "fence.proxy.async by who wrote it,");
    }
    r->read[word]++;
}

void races_read_ends(const void *p) {
    region *r = region_of(static_cast<const char *>(p));
    const size_t word = (size_t)(static_cast<const char *>(p) - r->base) / WORD;
    r->read[word]--;
    check_word(*r, r->base + word * WORD, 15, false);
}

void races_proxy_fence() {
    thread_state &s = threads[races_thread()];
    s.proxy_epochs.push_back(s.epoch);
}

void races_fence() {
    if (!in_kernel()) return;
    thread_state &s = threads[races_thread()];
    s.fences++;
    s.fence_epoch = s.epoch;
    s.fenced = true;
}

void races_atomic_begin(const void *p) {
    if (!in_kernel()) return;
    const unsigned t = races_thread();
    thread_state &s = threads[t];
    std::vector<release> &known = releases[p];
    for (const release &r : known)
        if (r.block != block_number) acquired.push_back({r, (uint16_t)t, s.epoch});
    if (s.fenced) {
        release mine = {block_number, (uint16_t)t, s.epoch, s.fence_epoch == s.epoch, {}};
        for (const thread_state &other : threads) mine.fences.push_back(other.fences);
        known.push_back(mine);
    }
    s.fenced = false; /* what it reads from now on needs a fence of its own */
    in_atomic++;
}

void races_atomic_end() {
    if (in_kernel()) in_atomic--;
}

} // namespace vly_shim

/* The functions that the instrumentation calls. */
using vly_shim::check_access;
extern "C" {
#define VLY_ACCESS(n)                         \
    void __tsan_read##n(void *p);             \
    void __tsan_read##n(void *p) {            \
        check_access(p, n, false, true);      \
    }                                         \
    void __tsan_write##n(void *p);            \
    void __tsan_write##n(void *p) {           \
        check_access(p, n, true, true);       \
    }                                         \
    void __tsan_unaligned_read##n(void *p);   \
    void __tsan_unaligned_read##n(void *p) {  \
        check_access(p, n, false, false);     \
    }                                         \
    void __tsan_unaligned_write##n(void *p);  \
    void __tsan_unaligned_write##n(void *p) { \
        check_access(p, n, true, false);      \
    }
VLY_ACCESS(1)
VLY_ACCESS(2)
VLY_ACCESS(4)
VLY_ACCESS(8)
VLY_ACCESS(16)
#undef VLY_ACCESS
void __tsan_read_range(void *p, unsigned long bytes);
void __tsan_read_range(void *p, unsigned long bytes) {
    if (bytes) check_access(p, bytes, false, false);
}
void __tsan_write_range(void *p, unsigned long bytes);
void __tsan_write_range(void *p, unsigned long bytes) {
    if (bytes) check_access(p, bytes, true, false);
}
void *__tsan_memcpy(void *to, const void *from, size_t bytes);
void *__tsan_memcpy(void *to, const void *from, size_t bytes) {
    __tsan_read_range(const_cast<void *>(from), bytes);
    __tsan_write_range(to, bytes);
    return memcpy(to, from, bytes);
}
void *__tsan_memset(void *to, int byte, size_t bytes);
void *__tsan_memset(void *to, int byte, size_t bytes) {
    __tsan_write_range(to, bytes);
    return memset(to, byte, bytes);
}
void __tsan_init(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *);
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void);
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void **, void *);
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **);
void __tsan_vptr_read(void **) {}
}
#endif
