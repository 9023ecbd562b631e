/* The translation of a ROM into machine code of x86-64 (native.h): window by window, and the pieces
 * around the instructions. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "envs/atari/native.h"
#if !defined(__x86_64__)
vly_native *vly_native_create(const vly_rom *rom) {
    (void)rom;
    return NULL;
}
void vly_native_destroy(vly_native *native) {
    (void)native;
}
size_t vly_native_bytes(const vly_native *native) {
    (void)native;
    return 0;
}
#else
#include <stdlib.h>
#include <sys/mman.h>
#include "envs/atari/native_impl.h"

/* ---- jumps whose targets are found later ---- */

static void remember(translator *t, pending *list, int *n, uint8_t *distance, uint32_t to) {
    if (*n == JUMPS_MOST)
        t->code.full = 1;
    else
        list[(*n)++] = (pending){.distance = distance, .to = to};
}

void vly_native_go_to(translator *t, unsigned place) {
    remember(t, t->jump, &t->jumps, x86_jump(&t->code), place);
}

static void exit_if(translator *t, unsigned condition, unsigned exit, unsigned place) {
    remember(t, t->exit, &t->exits, x86_jump_if(&t->code, condition), exit << 16 | place);
}

void vly_native_step_if(translator *t, unsigned condition) {
    exit_if(t, condition, VLY_EXIT_STEP, t->at);
}

void vly_native_stop_if(translator *t, unsigned condition, unsigned place) {
    exit_if(t, condition, VLY_EXIT_STOP, place);
}

void vly_native_end(translator *t, unsigned exit, unsigned detail) {
    x86_set(&t->code, RAX, (uint32_t)exit << 16 | detail);
    x86_reach(x86_jump(&t->code), t->leave);
}

/* ---- entering, leaving, calls ---- */

static const uint8_t registers_saved[6] = {RBX, RBP, R12, R13, R14, R15};

static const struct {
    int reg, offset;
} registers_kept[] = {{A, offsetof(vly_run, native.a)},
                      {X, offsetof(vly_run, native.x)},
                      {Y, offsetof(vly_run, native.y)},
                      {SP, offsetof(vly_run, native.sp)},
                      {NZ, offsetof(vly_run, native.nz)},
                      {CARRY, offsetof(vly_run, native.carry)},
                      {OVERFLOW_, offsetof(vly_run, native.overflow)}};
enum { KEPT = sizeof registers_kept / sizeof *registers_kept };

/* The cycles and the log's end, which the C functions read and change. */
static void write_back(x86 *c) {
    x86_store32(c, CYCLES, OF_MACHINE(cycles));
    x86_mov64(c, RCX, LOG);
    x86_rr(c, X86_64, 0x2b, RCX, RUN); /* sub */
    x86_ri(c, X86_SUB, RCX, (int)offsetof(vly_run, log));
    x86_shift(c, X86_SHR, RCX, 2);
    x86_store32(c, RCX, OF_RUN(logged));
}

static void read_back(x86 *c) {
    x86_load32(c, CYCLES, OF_MACHINE(cycles));
    x86_load32(c, RCX, OF_RUN(logged));
    x86_address64(c, LOG, (x86_place){RUN, RCX, 2, (int)offsetof(vly_run, log)});
}

/* As a C function of a run and a piece of code; after the pushes the stack is aligned. */
static uint8_t *write_enter(x86 *c) {
    uint8_t *begin = c->at;
    for (int i = 0; i < 6; ++i) x86_push(c, registers_saved[i]);
    x86_ri64(c, X86_SUB, RSP, 8);
    x86_mov64(c, RUN, RDI);
    x86_mov64(c, RDX, RSI);
    x86_load64(c, RAM, OF_RUN(m));
    x86_ri64(c, X86_ADD, RAM, (int)offsetof(vly_machine, ram));
    x86_load64(c, IMAGE, OF_RUN(native.image));
    read_back(c);
    for (int i = 0; i < KEPT; ++i)
        x86_load32(c, registers_kept[i].reg, x86_at(RUN, registers_kept[i].offset));
    x86_jump_register(c, RDX);
    return begin;
}

static uint8_t *write_leave(x86 *c) {
    uint8_t *begin = c->at;
    for (int i = 0; i < KEPT; ++i)
        x86_store32(c, registers_kept[i].reg, x86_at(RUN, registers_kept[i].offset));
    write_back(c);
    x86_ri64(c, X86_ADD, RSP, 8);
    for (int i = 5; i >= 0; --i) x86_pop(c, registers_saved[i]);
    x86_return(c);
    return begin;
}

/* Calls a C function with the run, RAX and RDX; its result is in RCX. */
static uint8_t *write_call(x86 *c, uint32_t (*function)(vly_run *, uint32_t, uint32_t)) {
    static const uint8_t lost[6] = {RSI, RDI, R8, R9, R10, R11};
    uint8_t *begin = c->at;
    for (int i = 0; i < 6; ++i) x86_push(c, lost[i]);
    x86_ri64(c, X86_SUB, RSP, 8);
    write_back(c);
    x86_mov64(c, RDI, RUN);
    x86_mov(c, RSI, RAX);
    x86_set64(c, RAX, (uint64_t)(uintptr_t)function);
    x86_call_register(c, RAX);
    x86_ri64(c, X86_ADD, RSP, 8);
    for (int i = 5; i >= 0; --i) x86_pop(c, lost[i]);
    read_back(c);
    x86_mov(c, RCX, RAX);
    x86_return(c);
    return begin;
}

/* Goes on at the address in RAX: in this window where the cartridge has whole banks. */
static uint8_t *write_jump_pc(translator *t) {
    x86 *c = &t->code;
    const vly_cart_kind k = t->rom->properties.cart;
    uint8_t *begin = c->at, *outside = NULL;
    if (k != VLY_CART_E0 && k != VLY_CART_FE) {
        x86_ri(c, X86_CMP, CYCLES, VLY_FAST_CYCLES);
        x86_reach(x86_jump_if(c, X86_GE), t->too_long);
        x86_test_bits(c, RAX, 0x1000);
        outside = x86_jump_short(c, X86_E);
        x86_mov(c, RCX, RAX);
        x86_ri(c, X86_AND, RCX, 0xf000);
        x86_store16(c, RCX, OF_RUN(native.window_pc));
        x86_ri(c, X86_AND, RAX, 0xfff);
        x86_set64(c, RDX, (uint64_t)(uintptr_t)t->entries);
        x86_rm(c, X86_64, 0x63, RAX, (x86_place){RDX, RAX, 2, 0}); /* movsxd */
        x86_rr(c, X86_64, 0x03, RAX, RDX);
        x86_jump_register(c, RAX);
        x86_land(c, outside);
    }
    x86_ri(c, X86_OR, RAX, VLY_EXIT_JUMP << 16);
    x86_reach(x86_jump(c), t->leave);
    return begin;
}

/* ---- windows ---- */

static void set_entry(translator *t) {
    t->entries[t->at] = (int32_t)(t->code.at - (const uint8_t *)t->entries);
}

/* Instruction after instruction, until one does not go on or goes on where code is already. */
static void translate_from(translator *t, unsigned at) {
    for (t->at = at; !t->entries[t->at];) {
        set_entry(t);
        const unsigned bytes = vly_native_translate(t);
        if (bytes == 0) return;
        t->at += bytes;
    }
    vly_native_go_to(t, t->at);
}

static void write_exits(translator *t) {
    x86 *c = &t->code;
    for (int i = 0; i < t->exits && !c->full; ++i) {
        if (i == 0 || t->exit[i].to != t->exit[i - 1].to || c->full) {
            t->exit[i].code = c->at;
            x86_set(c, RAX, t->exit[i].to);
            x86_reach(x86_jump(c), t->leave);
        } else {
            t->exit[i].code = t->exit[i - 1].code;
        }
        x86_reach(t->exit[i].distance, t->exit[i].code);
    }
}

static void translate_window(translator *t) {
    t->jumps = t->exits = 0;
    t->jump_pc = write_jump_pc(t);
    for (unsigned at = 0; at < t->rom->stride && !t->code.full; ++at)
        if (!t->entries[at]) translate_from(t, at);
    write_exits(t);
    for (int i = 0; i < t->jumps && !t->code.full; ++i)
        x86_reach(t->jump[i].distance, (const uint8_t *)t->entries + t->entries[t->jump[i].to]);
}

static void write_pieces(translator *t, vly_native *native) {
    x86 *c = &t->code;
    uint8_t *enter = write_enter(c);
    memcpy(&native->enter, &enter, sizeof enter);
    t->leave = write_leave(c);
    t->too_long = c->at;
    vly_native_end(t, VLY_EXIT_TOO_LONG, 0);
    t->read = write_call(c, vly_native_read);
    t->write = write_call(c, vly_native_write);
    t->wait = write_call(c, vly_native_wait);
}

static void translate_rom(translator *t, vly_native *native, const vly_rom *rom, unsigned windows) {
    const size_t tables = (size_t)windows * rom->stride * sizeof(int32_t);
    t->rom = rom;
    t->code = (x86){.at = native->memory + tables, .end = native->memory + native->bytes};
    write_pieces(t, native);
    for (unsigned i = 0; i < windows; ++i) {
        t->decoded = rom->decoded + i * rom->stride;
        t->entries = (int32_t *)(void *)native->memory + i * rom->stride;
        t->image_at = i * rom->window;
        translate_window(t);
    }
}

vly_native *vly_native_create(const vly_rom *rom) {
    const unsigned windows = vly_fast_windows(rom->properties.cart);
    vly_native *native = calloc(1, sizeof *native);
    translator *t = calloc(1, sizeof *t);
    if (!native || !t) goto fail;
    native->stride = rom->stride;
    native->bytes = (size_t)windows * rom->stride * (sizeof(int32_t) + BYTES_EACH);
    native->memory = mmap(NULL, native->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0);
    if (native->memory == MAP_FAILED) goto fail;
    native->entries = (const int32_t *)(const void *)native->memory;
    translate_rom(t, native, rom, windows);
    if (t->code.full || mprotect(native->memory, native->bytes, PROT_READ | PROT_EXEC) != 0)
        goto fail_mapped;
    free(t);
    return native;
fail_mapped:
    munmap(native->memory, native->bytes);
fail:
    free(t), free(native);
    return NULL;
}

void vly_native_destroy(vly_native *native) {
    if (!native) return;
    munmap(native->memory, native->bytes);
    free(native);
}

size_t vly_native_bytes(const vly_native *native) {
    return native ? sizeof *native + native->bytes : 0;
}
#endif
