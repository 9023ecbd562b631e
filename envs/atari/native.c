#include "envs/atari/native.h"
#include "envs/atari/cpu6507.h"

uint32_t vly_native_read(vly_run *r, uint32_t address, uint32_t last) {
    r->bus = (uint8_t)last;
    return vly_bus_read(r, (uint16_t)address);
}

uint32_t vly_native_write(vly_run *r, uint32_t address, uint32_t value) {
    r->was_read = 1; /* the operand */
    vly_bus_write(r, (uint16_t)address, (uint8_t)value);
    return r->stop;
}

uint32_t vly_native_wait(vly_run *r, uint32_t turn, uint32_t bpl) {
    r->m->cycles += vly_fast_wait(&r->m->riot, r->m->cycles + 4, (int32_t)turn, (int)bpl);
    return 0;
}

static void load_registers(vly_native_cpu *n, const vly_cpu_state *c) {
    const unsigned flags = c->flags;
    n->a = c->a, n->x = c->x, n->y = c->y, n->sp = c->sp;
    n->nz = (flags & VLY_Z ? 0u : 1u) | (flags & VLY_N ? 0x100u : 0u);
    n->carry = flags & VLY_C;
    n->overflow = flags & VLY_V;
    n->decimal_interrupt = flags & (VLY_D | VLY_I);
}

static void store_registers(const vly_native_cpu *n, vly_cpu_state *c) {
    c->a = (uint8_t)n->a, c->x = (uint8_t)n->x, c->y = (uint8_t)n->y, c->sp = (uint8_t)n->sp;
    c->flags = (uint8_t)((n->nz & 0x180 ? VLY_N : 0) | (n->overflow ? VLY_V : 0) |
                         n->decimal_interrupt | ((uint8_t)n->nz ? 0 : VLY_Z) | n->carry);
}

/* One instruction by the general path, and those that are outside the cartridge after it. 0: the
 * frame has ended. */
static int step_generally(vly_run *r, uint16_t pc, uint64_t *banks) {
    vly_machine *m = r->m;
    m->cpu.pc = pc;
    store_registers(&r->native, &m->cpu);
    do vly_cpu_step(r);
    while (!r->stop && !m->cpu.jammed && !(m->cpu.pc & 0x1000) && m->cycles < VLY_FAST_CYCLES);
    if (r->stop || m->cpu.jammed) return 0;
    if (*banks != vly_fast_banks(m)) {
        *banks = vly_fast_banks(m);
        vly_fast_pages(r->rom, m, r->native.pages);
    }
    load_registers(&r->native, &m->cpu);
    return 1;
}

static const uint8_t *code_at(const vly_run *r, uint16_t pc) {
    const vly_native *native = r->rom->native;
    const int32_t *table = native->entries + native->stride * vly_fast_window(r->rom, r->m, pc);
    return (const uint8_t *)table + table[pc & (r->rom->window - 1)];
}

static void begin_frame(vly_run *r) {
    vly_native_cpu *n = &r->native;
    n->image = r->rom->image;
    n->frame = r->m->tia.frame_clock / 3;
    n->frame_75 = n->frame - 75;
    vly_fast_pages(r->rom, r->m, n->pages);
    load_registers(n, &r->m->cpu);
}

/* A frame that has ended in time is right: fewer instructions than cycles halved have run. */
static int in_time(const vly_run *r) {
    return r->m->cycles < VLY_FAST_CYCLES;
}

int vly_native_run(vly_run *r) {
    vly_native_cpu *n = &r->native;
    uint64_t banks = vly_fast_banks(r->m);
    uint16_t pc = r->m->cpu.pc;
    begin_frame(r);
    while (in_time(r)) {
        if (!(pc & 0x1000)) {
            if (!step_generally(r, pc, &banks)) return in_time(r);
            pc = r->m->cpu.pc;
            continue;
        }
        n->window_pc = (uint16_t)(pc & -(int)r->rom->window);
        const uint32_t out = r->rom->native->enter(r, code_at(r, pc));
        switch (out >> 16) {
        case VLY_EXIT_JUMP: pc = (uint16_t)out; break;
        case VLY_EXIT_LEAVE: pc = (uint16_t)(n->window_pc + out); break;
        case VLY_EXIT_STEP:
            if (!step_generally(r, (uint16_t)(n->window_pc + out), &banks)) return in_time(r);
            pc = r->m->cpu.pc;
            break;
        case VLY_EXIT_STOP:
            r->m->cpu.pc = (uint16_t)(n->window_pc + out);
            store_registers(n, &r->m->cpu);
            return in_time(r);
        default: return 0;
        }
    }
    return 0;
}
