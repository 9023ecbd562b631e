/* fibers.cpp -- runs the blocks of a kernel, every thread a fiber. See device.h for what it
 * catches. */
#include "kernels/shim/device.h"

#include <sys/mman.h>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>
#include "kernels/shim/internal.h"
#include "kernels/shim/races.h"
#include "kernels/shim/sanitizers.h"
#ifdef VLY_SHIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef VLY_SHIM_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* vly_shim_switch(from, to): saves the callee-saved registers on the stack, its pointer in *from,
 * and goes on at `to`. */
extern "C" void vly_shim_switch(void **from, void *to);
#if defined(__x86_64__)
asm(".text\n.globl vly_shim_switch\n.type vly_shim_switch,@function\nvly_shim_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".size vly_shim_switch,.-vly_shim_switch\n");
static void *prepare_stack(char *top, void (*entry)()) {
    void **sp = reinterpret_cast<void **>(top);
    *--sp = nullptr; /* alignment: entry begins as if called */
    *--sp = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++) *--sp = nullptr;
    return sp;
}
#elif defined(__aarch64__)
asm(".text\n.globl vly_shim_switch\n.type vly_shim_switch,%function\nvly_shim_switch:\n"
    "sub sp,sp,#160\n"
    "stp x19,x20,[sp,#0]\nstp x21,x22,[sp,#16]\nstp x23,x24,[sp,#32]\nstp x25,x26,[sp,#48]\nstp "
    "x27,x28,[sp,#64]\n"
    "stp x29,x30,[sp,#80]\nstp d8,d9,[sp,#96]\nstp d10,d11,[sp,#112]\nstp d12,d13,[sp,#128]\nstp "
    "d14,d15,[sp,#144]\n"
    "mov x9,sp\nstr x9,[x0]\nmov sp,x1\n"
    "ldp x19,x20,[sp,#0]\nldp x21,x22,[sp,#16]\nldp x23,x24,[sp,#32]\nldp x25,x26,[sp,#48]\nldp "
    "x27,x28,[sp,#64]\n"
    "ldp x29,x30,[sp,#80]\nldp d8,d9,[sp,#96]\nldp d10,d11,[sp,#112]\nldp d12,d13,[sp,#128]\nldp "
    "d14,d15,[sp,#144]\n"
    "add sp,sp,#160\nret\n");
static void *prepare_stack(char *top, void (*entry)()) {
    void **sp = reinterpret_cast<void **>(top - 160);
    memset(sp, 0, 160);
    sp[11] = reinterpret_cast<void *>(entry); /* x30 */
    return sp;
}
#else
#error "the kernel shim switches fibers on x86-64 and aarch64"
#endif

namespace vly_shim {

uint3 thread_idx, block_idx;
dim3 block_dim, grid_dim;

namespace {

constexpr size_t STACK = 128 << 10, GUARD = 4096;
constexpr unsigned MAX_THREADS = 1024, WARP = 32, SENTINEL = 64;
constexpr int POISON = 0xff; /* NaN in every float, -1 in every integer */
constexpr unsigned char MARK = 0xa7;

enum class state { ready, at_block, at_warp, done };

struct pending_copy {
    void *to;
    const void *from;
    size_t bytes, valid;
    unsigned group;
};
struct snapshot {
    alignas(16) char value[WARP][16];
    int readers;
    bool reported; /* to the race detector */
};

struct fiber {
    void *sp = nullptr;
    char *stack = nullptr;
    uint3 tid{};
    state is = state::done;
    place at{};
    unsigned mask = 0;
    alignas(16) char value[16];
    snapshot *seen = nullptr;
    std::vector<pending_copy> copies;
    unsigned copy_group = 0;
#ifdef VLY_SHIM_ASAN
    void *fake = nullptr;
#endif
#ifdef VLY_SHIM_TSAN
    void *tsan = nullptr;
#endif
};

struct shared_array {
    const void *key;
    char *memory;
    size_t bytes;
    bool fresh;
    place at;
    uint32_t address;
};

fiber fibers[MAX_THREADS];
unsigned current, threads;
void *scheduler_sp;
const std::function<void()> *body;
launch_name running;
bool faulted;
std::vector<snapshot> snapshots; /* 33 per warp: each lane holds at most one */
std::vector<shared_array> arrays;
const char dynamic_key = 0;
size_t dynamic_bytes;
uint64_t random_state = 1;
bool on_fiber;            /* a thread of a kernel is running */
place dropped;            /* a test removed this barrier or fence; line 0: none */
std::vector<place> sites; /* of barriers and fences that were passed */
#ifdef VLY_SHIM_RACES
std::vector<place> warp_sites; /* of shuffles and ballots */
place wrong_mask;              /* a test changed the mask of this one */
unsigned wrong_lanes;          /* how: see vly_shim_narrow */
#endif
#ifdef VLY_SHIM_ASAN
void *scheduler_fake;
const void *scheduler_bottom;
size_t scheduler_size;
#endif
#ifdef VLY_SHIM_TSAN
void *scheduler_tsan;
#endif

unsigned random_below(unsigned n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(((random_state >> 32) * n) >> 32);
}

void to_scheduler(bool for_good) {
    fiber &f = fibers[current];
#ifdef VLY_SHIM_ASAN
    __sanitizer_start_switch_fiber(for_good ? nullptr : &f.fake, scheduler_bottom, scheduler_size);
#endif
#ifdef VLY_SHIM_TSAN
    __tsan_switch_to_fiber(scheduler_tsan, 0);
#endif
    (void)for_good;
    vly_shim_switch(&f.sp, scheduler_sp);
#ifdef VLY_SHIM_ASAN
    __sanitizer_finish_switch_fiber(f.fake, &scheduler_bottom, &scheduler_size);
#endif
}

void run(unsigned i) {
    current = i;
    thread_idx = fibers[i].tid;
    on_fiber = true;
#ifdef VLY_SHIM_ASAN
    __sanitizer_start_switch_fiber(&scheduler_fake, fibers[i].stack + GUARD, STACK);
#endif
#ifdef VLY_SHIM_TSAN
    __tsan_switch_to_fiber(fibers[i].tsan, 0);
#endif
    vly_shim_switch(&scheduler_sp, fibers[i].sp);
#ifdef VLY_SHIM_ASAN
    __sanitizer_finish_switch_fiber(scheduler_fake, nullptr, nullptr);
#endif
    on_fiber = false;
}

void release_snapshot(fiber &f) {
    if (f.seen) f.seen->readers--;
    f.seen = nullptr;
}

void entry() {
#ifdef VLY_SHIM_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_bottom, &scheduler_size);
#endif
    (*body)();
    warpgroups_end_thread();
    fiber &f = fibers[current];
    release_snapshot(f);
    f.is = state::done;
    to_scheduler(true);
    abort(); /* a finished fiber is never resumed */
}

void arm(unsigned i) {
    fiber &f = fibers[i];
    if (!f.stack) {
        void *memory = mmap(nullptr, STACK + GUARD, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || mprotect(memory, GUARD, PROT_NONE) != 0) throw std::bad_alloc();
        f.stack = static_cast<char *>(memory);
#ifdef VLY_SHIM_TSAN
        f.tsan = __tsan_create_fiber(0);
#endif
    }
    f.sp = prepare_stack(f.stack + GUARD + STACK, entry);
    f.tid = {i % block_dim.x, i / block_dim.x % block_dim.y, i / (block_dim.x * block_dim.y)};
    f.is = state::ready;
    f.seen = nullptr;
    f.copies.clear();
    f.copy_group = 0;
}

void say_fault(place at, unsigned thread, const char *what) {
    if (faulted) return;
    faulted = true;
    const uint3 t = fibers[thread].tid;
    report("%s:%d: kernel %s, block (%u, %u, %u), thread (%u, %u, %u): %s", at.file, at.line,
           running.kernel, block_idx.x, block_idx.y, block_idx.z, t.x, t.y, t.z, what);
}

snapshot *free_snapshot(unsigned warp) {
    for (unsigned i = 0; i <= WARP; i++)
        if (snapshots[warp * (WARP + 1) + i].readers == 0) return &snapshots[warp * (WARP + 1) + i];
    abort(); /* 32 lanes cannot hold 33 */
}

/* Completes the warp operations whose lanes have all arrived; returns whether there was one. */
bool complete_warp(unsigned warp) {
    const unsigned base = warp * WARP;
    bool any = false;
    for (unsigned l = 0; l < WARP && base + l < threads; l++) {
        const fiber &f = fibers[base + l];
        if (f.is != state::at_warp) continue;
        bool all = true;
        for (unsigned k = 0; k < WARP; k++) {
            if (!(f.mask >> k & 1)) continue;
            const fiber &g = fibers[base + k];
            all = all && base + k < threads && g.is == state::at_warp && g.mask == f.mask &&
                  g.at.line == f.at.line && g.at.file == f.at.file;
        }
        if (!all) continue;
        snapshot *s = free_snapshot(warp);
        const unsigned mask = f.mask;
        s->readers = __builtin_popcount(mask);
        s->reported = false;
        for (unsigned k = 0; k < WARP; k++) {
            if (mask >> k & 1)
                memcpy(s->value[k], fibers[base + k].value, 16);
            else
                memset(s->value[k], POISON, 16);
        }
        for (unsigned k = 0; k < WARP; k++)
            if (mask >> k & 1) fibers[base + k].seen = s, fibers[base + k].is = state::ready;
        any = true;
    }
    return any;
}

/* No thread can run: all are at one barrier, all are done, or it is a fault. Returns true if the
 * block is done. */
bool settle_block() {
    unsigned waiting = 0, first = 0;
    for (unsigned i = 0; i < threads; i++) {
        if (fibers[i].is == state::at_warp) {
            say_fault(fibers[i].at, i,
                      "waits for lanes of its mask that have left or wait elsewhere (divergent "
                      "warp operation)");
            return true;
        }
        if (fibers[i].is != state::at_block) continue;
        if (waiting++ == 0)
            first = i;
        else if (fibers[i].at.line != fibers[first].at.line ||
                 fibers[i].at.file != fibers[first].at.file) {
            say_fault(fibers[i].at, i,
                      "__syncthreads while other threads wait at another one (divergent barrier)");
            return true;
        }
    }
    if (waiting == 0) return true;
    if (waiting != threads) {
        say_fault(fibers[first].at, first,
                  "__syncthreads which a part of the block never reached (divergent barrier)");
        return true;
    }
    for (unsigned i = 0; i < threads; i++) fibers[i].is = state::ready;
    races_barrier();
    return false;
}

/* 0 .. n-1 in an order that changes at every call. */
void shuffle(unsigned *order, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        const unsigned k = random_below(i + 1);
        order[i] = order[k];
        order[k] = i;
    }
}

/* A number without a divisor in common with n: multiples of it visit all blocks, in no simple
 * order. */
uint64_t step_over(uint64_t n) {
    uint64_t step = n > 2 ? 1 + random_below((unsigned)(n - 1)) : 1;
    const auto divisor = [](uint64_t a, uint64_t b) {
        while (b) {
            const uint64_t rest = a % b;
            a = b, b = rest;
        }
        return a;
    };
    while (divisor(step, n) != 1) step++;
    return step;
}

void run_block() {
    const unsigned warps = (threads + WARP - 1) / WARP;
    unsigned warp_order[MAX_THREADS / WARP], lane_order[WARP];
    for (bool done = false; !done && !faulted;) {
        bool moved = false;
        shuffle(warp_order, warps);
        for (unsigned w = 0; w < warps && !faulted; w++) {
            const unsigned base = warp_order[w] * WARP;
            do {
                shuffle(lane_order, WARP);
                for (unsigned l = 0; l < WARP && !faulted; l++) {
                    const unsigned i = base + lane_order[l];
                    if (i >= threads || fibers[i].is != state::ready) continue;
                    run(i);
                    moved = true;
                }
            } while (!faulted && complete_warp(warp_order[w]));
        }
        if (!moved && !faulted) done = settle_block();
    }
}

bool same_place(place a, place b) {
    return a.line == b.line && strcmp(a.file, b.file) == 0;
}

void check_arrays() {
    for (const shared_array &a : arrays) {
        for (size_t i = 0; i < SENTINEL; i++) {
            if ((unsigned char)a.memory[i] == MARK &&
                (unsigned char)a.memory[SENTINEL + a.bytes + i] == MARK)
                continue;
            say_fault(a.at, 0, "shared memory was written outside this array");
            return;
        }
    }
}

void check_warpgroups() {
    unsigned thread;
    place at;
    if (!warpgroups_end_block(&thread, &at))
        say_fault(at, thread, "a warpgroup multiplication that a part of its warps left out");
}

bool in_shared(const void *p, size_t bytes) {
    const char *at = static_cast<const char *>(p);
    for (const shared_array &a : arrays)
        if (at >= a.memory + SENTINEL && at + bytes <= a.memory + SENTINEL + a.bytes) return true;
    return false;
}

void check_shared_bytes(const void *key, size_t bytes, place at) {
    size_t fixed = key == &dynamic_key ? 0 : bytes;
    for (const shared_array &a : arrays) fixed += a.key == &dynamic_key ? 0 : a.bytes;
    if (fixed > SHARED_UNASKED) fault(at, "more than 48 KiB of static shared memory");
    if (fixed + dynamic_bytes > SHARED_MOST) fault(at, "more shared memory than a block can have");
}

void poison(shared_array &a) {
    memset(a.memory + SENTINEL, POISON, a.bytes);
    a.fresh = false;
}

} // namespace

bool is_left_out(place at) {
    bool known = false;
    for (const place &p : sites) known = known || same_place(p, at);
    if (!known) sites.push_back(at);
    return dropped.line && same_place(at, dropped);
}

unsigned lane() {
    return current % WARP;
}

unsigned running_thread() {
    return current;
}

void fault(place at, const char *what) {
    say_fault(at, current, what);
    to_scheduler(true);
    abort();
}

bool in_kernel() {
    return on_fiber;
}

#ifdef VLY_SHIM_RACES
unsigned mask_at(unsigned mask, place at) {
    bool known = false;
    for (const place &p : warp_sites) known = known || same_place(p, at);
    if (!known) warp_sites.push_back(at);
    if (!wrong_lanes || !same_place(at, wrong_mask)) return mask;
    return wrong_lanes == 32 ? mask & ~(1u << 31)
                             : ((1u << wrong_lanes) - 1u) << lane() / wrong_lanes * wrong_lanes;
}
unsigned races_thread() {
    return current;
}
bool races_on_stack(const void *p) {
    const char *at = static_cast<const char *>(p), *stack = fibers[current].stack;
    return at >= stack && at < stack + GUARD + STACK;
}
void races_preempt() {
    fibers[current].is = state::ready;
    to_scheduler(false);
}
void races_fault(const char *what) {
    fault(running.at, what);
}
#endif

void fence(place at) {
    if (is_left_out(at)) return;
#ifdef VLY_SHIM_RACES
    races_fence();
#endif
}

bool site(size_t i, place *at) {
    if (i < sites.size()) *at = sites[i];
    return i < sites.size();
}

#ifdef VLY_SHIM_RACES
bool warp_site(size_t i, place *at) {
    if (i < warp_sites.size()) *at = warp_sites[i];
    return i < warp_sites.size();
}

void narrow(const char *file, int line, unsigned lanes) {
    wrong_mask = {file, line};
    wrong_lanes = lanes;
}
#endif

void drop(const char *file, int line) {
    dropped = {file, line};
}

void sync_block(place at) {
    if (is_left_out(at)) return;
    fiber &f = fibers[current];
    release_snapshot(f);
    f.at = at;
    f.is = state::at_block;
    to_scheduler(false);
}

const void *join_warp(unsigned mask, const void *value, size_t bytes, place at) {
    fiber &f = fibers[current];
    if (!(mask >> lane() & 1)) fault(at, "warp operation by a lane that its mask does not name");
    release_snapshot(f);
    memcpy(f.value, value, bytes);
    f.mask = mask;
    f.at = at;
    f.is = state::at_warp;
    to_scheduler(false);
    return fibers[current].seen->value;
}

/* The first lane to go on reports the operation for all. */
void sync_warp(unsigned mask, place at) {
    if (is_left_out(at)) return;
    const char nothing = 0;
    join_warp(mask, &nothing, 1, at);
    unsigned lanes[WARP];
    int count = 0;
    if (fibers[current].seen->reported) return;
    fibers[current].seen->reported = true;
    for (unsigned k = 0; k < WARP; k++)
        if (mask >> k & 1) lanes[count++] = current / WARP * WARP + k;
    races_warp(lanes, count);
}

void *shared(const void *key, size_t bytes, place at) {
    for (shared_array &a : arrays) {
        if (a.key != key) continue;
        if (a.fresh) poison(a);
        return a.memory + SENTINEL;
    }
    check_shared_bytes(key, bytes, at);
    char *memory = static_cast<char *>(aligned_alloc(64, (bytes + 2 * SENTINEL + 63) / 64 * 64));
    if (!memory) throw std::bad_alloc();
    memset(memory, MARK, bytes + 2 * SENTINEL);
    const uint32_t address = arrays.empty() ? 16 * (1 + random_below(63))
                                            : arrays.back().address +
                                                  (uint32_t)(arrays.back().bytes + 79) / 16 * 16;
    arrays.push_back({key, memory, bytes, false, at, address});
    races_add(memory + SENTINEL, bytes, SENTINEL, true);
    poison(arrays.back());
    return memory + SENTINEL;
}

void *dynamic_shared() {
    return shared(&dynamic_key, dynamic_bytes, running.at);
}

uint32_t shared_address(const void *p, place at) {
    const char *here = static_cast<const char *>(p);
    for (const shared_array &a : arrays)
        if (here >= a.memory + SENTINEL && here <= a.memory + SENTINEL + a.bytes)
            return a.address + (uint32_t)(here - a.memory - SENTINEL);
    fault(at, "an address of what is not shared memory");
}

void *shared_at(uint32_t address, size_t bytes) {
    for (const shared_array &a : arrays)
        if (address >= a.address && address + bytes <= a.address + a.bytes)
            return a.memory + SENTINEL + (address - a.address);
    return nullptr;
}

void async_copy(void *to, const void *from, size_t bytes, size_t valid, place at) {
    if (bytes != 4 && bytes != 8 && bytes != 16)
        fault(at, "an asynchronous copy of a size other than 4, 8 and 16 bytes");
    if ((uintptr_t)to % bytes || (valid && (uintptr_t)from % bytes))
        fault(at, "misaligned: an asynchronous copy");
    if (!in_shared(to, bytes)) fault(at, "an asynchronous copy to what is not shared memory");
    races_copy_begins(to, from, bytes, valid);
    memset(to, POISON, bytes); /* a read before the wait sees this */
    fiber &f = fibers[current];
    f.copies.push_back({to, from, bytes, valid, f.copy_group});
}

void async_commit(place at) {
    if (is_left_out(at)) return;
    fibers[current].copy_group++;
}

/* The copies of all groups but the newest `left`, in the order in which they were begun. */
void async_wait(int left, place at) {
    if (is_left_out(at)) return;
    fiber &f = fibers[current];
    std::vector<pending_copy> kept, arriving;
    for (const pending_copy &c : f.copies)
        ((int64_t)c.group >= (int64_t)f.copy_group - left ? kept : arriving).push_back(c);
    f.copies.swap(kept);
    for (const pending_copy &c : arriving) {
        races_copy_ends(c.to, c.from, c.bytes, c.valid);
        memcpy(c.to, c.from, c.valid);
        memset(static_cast<char *>(c.to) + c.valid, 0, c.bytes - c.valid);
    }
}

void order_seed(uint64_t seed) {
    random_state = seed * 2 + 1;
}

/* Fibers that a fault left have not returned: what the sanitizer knows of their frames is stale. */
static void forget_frames() {
#ifdef VLY_SHIM_ASAN
    for (const fiber &f : fibers)
        if (f.stack) __asan_unpoison_memory_region(f.stack + GUARD, STACK);
#endif
}

bool run_grid(launch_name name, dim3 grid, dim3 block, size_t shared_bytes,
              const std::function<void()> &f) {
    threads = block.x * block.y * block.z;
    running = name;
    body = &f;
    block_dim = block, grid_dim = grid;
    faulted = false;
    dynamic_bytes = shared_bytes;
    snapshots.assign((threads + WARP - 1) / WARP * (WARP + 1), snapshot());
#ifdef VLY_SHIM_TSAN
    scheduler_tsan = __tsan_get_current_fiber();
#endif
    races_begin_launch(threads);
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z,
                   first = blocks > 1 ? random_below((unsigned)blocks) : 0,
                   step = step_over(blocks);
    for (uint64_t i = 0; i < blocks && !faulted; i++) {
        const uint64_t b = (first + i * step) % blocks;
        block_idx = {(unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                     (unsigned)(b / grid.x / grid.y)};
        races_begin_block((unsigned)b);
        warpgroups_begin_block(threads);
        for (unsigned t = 0; t < threads; t++) arm(t);
        for (shared_array &a : arrays) a.fresh = true;
        run_block();
        if (!faulted) check_warpgroups();
        if (!faulted) check_arrays();
    }
    if (faulted) forget_frames();
    races_end_launch();
    for (shared_array &a : arrays) {
        races_remove(a.memory + SENTINEL);
        free(a.memory);
    }
    arrays.clear();
    return !faulted;
}

} // namespace vly_shim
