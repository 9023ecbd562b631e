/* Jumps, the stack, flags and loops that wait, as machine code (native.h). */
#if defined(__x86_64__)
#include "envs/atari/native_impl.h"

const uint8_t vly_native_operation[256] = {
#define XX(code, op, m, k, base) [code] = OP_##op,
    VLY_OPCODES(XX)
#undef XX
};

/* ---- branches, jumps, the stack ---- */

/* The condition under which a branch is not taken, after a test. */
static unsigned test_branch(x86 *c, vly_operation op) {
    switch (op) {
    case OP_BPL:
    case OP_BMI: x86_test_bits(c, NZ, 0x180); return op == OP_BPL ? X86_NE : X86_E;
    case OP_BVC:
    case OP_BVS: x86_test(c, OVERFLOW_, OVERFLOW_); return op == OP_BVC ? X86_NE : X86_E;
    case OP_BCC:
    case OP_BCS: x86_test(c, CARRY, CARRY); return op == OP_BCC ? X86_NE : X86_E;
    default: x86_test8(c, NZ, NZ); return op == OP_BEQ ? X86_NE : X86_E;
    }
}

static int translate_branch(translator *t, const vly_decoded *d, vly_operation op) {
    uint8_t *over = x86_jump_short(&t->code, test_branch(&t->code, op));
    const int distance = (int16_t)d->operand;
    add_cycles(t, 2 + d->cycles);
    if (distance < 0) stop_if_too_long(t); /* a loop has one */
    vly_native_go_to(t, (unsigned)((int)t->at + 2 + distance));
    x86_land(&t->code, over);
    add_cycles(t, 2);
    return 2;
}

static void jump_outside(translator *t, unsigned pc) {
    x86_store8_constant(&t->code, pc >> 8, OF_RUN(bus));
    vly_native_end(t, VLY_EXIT_JUMP, pc);
}

static void jump_absolute(translator *t, const vly_decoded *d, unsigned variant) {
    if (variant) {
        jump_outside(t, d->operand);
        return;
    }
    stop_if_too_long(t);
    x86_store16_constant(&t->code, d->operand & 0xf000, OF_RUN(native.window_pc));
    vly_native_go_to(t, d->operand & 0xfff);
}

static void push_return(translator *t) {
    x86 *c = &t->code;
    x86_load16(c, RAX, OF_RUN(native.window_pc));
    x86_ri(c, X86_ADD, RAX, (int)t->at + 2);
    x86_mov(c, RCX, RAX);
    x86_shift(c, X86_SHR, RCX, 8);
    x86_store8(c, RCX, RAM_BY(SP, 0));
    x86_store8(c, RAX, RAM_BY(SP, -1));
    x86_ri8(c, X86_SUB, SP, 2);
}

static void translate_call(translator *t, const vly_decoded *d, unsigned variant) {
    x86_ri8(&t->code, X86_CMP, SP, 0x81);
    step_if(t, X86_B);
    add_cycles(t, d->cycles);
    push_return(t);
    jump_absolute(t, d, variant);
}

static void translate_return(translator *t, const vly_decoded *d) {
    x86 *c = &t->code;
    x86_address(c, RAX, x86_at(SP, -0x80));
    x86_ri(c, X86_CMP, RAX, 0xfe - 0x80);
    step_if(t, X86_AE);
    add_cycles(t, d->cycles);
    x86_load8(c, RAX, RAM_BY(SP, 1));
    x86_load8(c, RCX, RAM_BY(SP, 2));
    x86_ri8(c, X86_ADD, SP, 2);
    x86_store8(c, RCX, OF_RUN(bus));
    x86_shift(c, X86_SHL, RCX, 8);
    x86_address(c, RAX, x86_by(RAX, RCX, 1));
    x86_widen16(c, RAX, RAX);
    x86_reach(x86_jump(c), t->jump_pc);
}

static void translate_indirect(translator *t, const vly_decoded *d) {
    x86 *c = &t->code;
    add_cycles(t, d->cycles);
    x86_load8(c, RAX, x86_at(RAM, d->operand));
    x86_load8(c, RCX, x86_at(RAM, d->operand + 1));
    x86_store8(c, RCX, OF_RUN(bus));
    x86_shift(c, X86_SHL, RCX, 8);
    x86_do(c, X86_ADD, RAX, RCX);
    x86_reach(x86_jump(c), t->jump_pc);
}

static void or_bit_if_not_zero(x86 *c, int bit) {
    x86_set_if(c, X86_NE, RDX);
    x86_widen8(c, RDX, RDX);
    x86_shift(c, X86_SHL, RDX, bit);
    x86_do(c, X86_OR, RCX, RDX);
}

/* RCX := the flags as PHP pushes them. */
static void flags_as_byte(x86 *c) {
    x86_load8(c, RCX, OF_RUN(native.decimal_interrupt));
    x86_address(c, RCX, x86_by(RCX, CARRY, 0x30));
    x86_test8(c, NZ, NZ);
    x86_set_if(c, X86_E, RDX);
    x86_widen8(c, RDX, RDX);
    x86_address(c, RCX, (x86_place){RCX, RDX, 1, 0});
    x86_test_bits(c, NZ, 0x180);
    or_bit_if_not_zero(c, 7);
    x86_test(c, OVERFLOW_, OVERFLOW_);
    or_bit_if_not_zero(c, 6);
}

static void translate_push(translator *t, const vly_decoded *d, vly_operation op) {
    x86 *c = &t->code;
    x86_mov(c, RAX, SP);
    if (op == OP_PHP) flags_as_byte(c);
    vly_native_write_page0(t, d->cycles, op == OP_PHP ? RCX : A);
    x86_dec8(c, SP);
}

/* Where the stack is not in RAM, its old place is read first. */
static void pull_anywhere(translator *t, unsigned opcode) {
    x86 *c = &t->code;
    x86_address(c, RAX, x86_at(SP, 0x100));
    x86_set(c, RDX, opcode);
    x86_reach(x86_call(c), t->read);
    x86_inc8(c, SP);
    x86_mov(c, RDX, RCX);
    x86_address(c, RAX, x86_at(SP, 0x100));
    x86_reach(x86_call(c), t->read);
}

static void translate_pull(translator *t, const vly_decoded *d, unsigned opcode) {
    x86 *c = &t->code;
    add_cycles(t, d->cycles);
    x86_address(c, RAX, x86_at(SP, -0x80));
    x86_ri(c, X86_CMP, RAX, 0xff - 0x80);
    uint8_t *elsewhere = x86_jump_short(c, X86_AE);
    x86_load8(c, RCX, RAM_BY(SP, 1));
    x86_inc8(c, SP);
    uint8_t *done = x86_jump_short(c, X86_NONE);
    x86_land(c, elsewhere);
    pull_anywhere(t, opcode);
    x86_land(c, done);
    load_value(c, A);
}

static void translate_pull_flags(translator *t, const vly_decoded *d) {
    x86 *c = &t->code;
    x86_address(c, RAX, x86_at(SP, -0x80));
    x86_ri(c, X86_CMP, RAX, 0xff - 0x80);
    step_if(t, X86_AE);
    add_cycles(t, d->cycles);
    x86_load8(c, RCX, RAM_BY(SP, 1));
    x86_inc8(c, SP);
    x86_mov(c, CARRY, RCX);
    x86_ri(c, X86_AND, CARRY, VLY_C);
    x86_mov(c, OVERFLOW_, RCX);
    x86_ri(c, X86_AND, OVERFLOW_, VLY_V);
    x86_mov(c, RAX, RCX);
    x86_ri(c, X86_AND, RAX, VLY_D | VLY_I);
    x86_store8(c, RAX, OF_RUN(native.decimal_interrupt));
    x86_mov(c, NZ, RCX); /* (not zero) | negative << 8 */
    x86_ri(c, X86_AND, NZ, VLY_N);
    x86_do(c, X86_ADD, NZ, NZ);
    x86_shift(c, X86_SHR, RCX, 1);
    x86_ri(c, X86_AND, RCX, 1);
    x86_ri(c, X86_XOR, RCX, 1);
    x86_do(c, X86_OR, NZ, RCX);
}

static void transfer_register(x86 *c, int to, int from) {
    x86_mov(c, to, from);
    x86_mov(c, NZ, from);
}

static void count_register(x86 *c, int reg, int up) {
    if (up)
        x86_inc8(c, reg);
    else
        x86_dec8(c, reg);
    x86_mov(c, NZ, reg);
}

static void set_decimal_interrupt(x86 *c, unsigned bit, int on) {
    if (on)
        x86_memory8_constant(c, X86_OR, bit, OF_RUN(native.decimal_interrupt));
    else
        x86_memory8_constant(c, X86_AND, ~bit, OF_RUN(native.decimal_interrupt));
}

/* Instructions without operand that change registers alone. 0: it is not one of them. */
static int change_registers(x86 *c, vly_operation op) {
    switch (op) {
    case OP_CLC: x86_set(c, CARRY, 0); return 1;
    case OP_SEC: x86_set(c, CARRY, 1); return 1;
    case OP_CLV: x86_set(c, OVERFLOW_, 0); return 1;
    case OP_CLD: set_decimal_interrupt(c, VLY_D, 0); return 1;
    case OP_SED: set_decimal_interrupt(c, VLY_D, 1); return 1;
    case OP_CLI: set_decimal_interrupt(c, VLY_I, 0); return 1;
    case OP_SEI: set_decimal_interrupt(c, VLY_I, 1); return 1;
    case OP_TAX: transfer_register(c, X, A); return 1;
    case OP_TAY: transfer_register(c, Y, A); return 1;
    case OP_TXA: transfer_register(c, A, X); return 1;
    case OP_TYA: transfer_register(c, A, Y); return 1;
    case OP_TSX: transfer_register(c, X, SP); return 1;
    case OP_TXS: x86_mov(c, SP, X); return 1;
    case OP_INX: count_register(c, X, 1); return 1;
    case OP_INY: count_register(c, Y, 1); return 1;
    case OP_DEX: count_register(c, X, 0); return 1;
    case OP_DEY: count_register(c, Y, 0); return 1;
    default: return 0;
    }
}

/* ---- loops that wait ---- */

/* All turns of a loop that counts a register down but the last one at once. */
static void translate_spin(translator *t, const vly_decoded *d, int reg, int bpl) {
    x86 *c = &t->code;
    x86_address(c, RAX, x86_at(reg, bpl ? 0 : -1)); /* turns but the last, where there are any */
    x86_widen8(c, RAX, RAX);
    uint8_t *once = NULL;
    if (bpl) {
        x86_address(c, RCX, x86_at(reg, -1));
        x86_test8(c, RCX, RCX);
        once = x86_jump_short(c, X86_S);
    }
    x86_multiply(c, RAX, RAX, d->cycles);
    x86_do(c, X86_ADD, CYCLES, RAX);
    x86_set(c, reg, bpl ? 0 : 1);
    if (once) x86_land(c, once);
    add_cycles(t, 2);
    count_register(c, reg, 0);
}

static void translate_timer(translator *t, const vly_decoded *d, int reg) {
    add_cycles(t, 4);
    call_read(t, 0x284, d->bus);
    load_value(&t->code, reg);
}

static void translate_wait(translator *t, const vly_decoded *d, int reg, unsigned bpl) {
    x86 *c = &t->code;
    x86_set(c, RAX, d->cycles);
    x86_set(c, RDX, bpl);
    x86_reach(x86_call(c), t->wait);
    stop_if_too_long(t);
    translate_timer(t, d, reg);
}

/* cycles := frame + 76 * ceil((cycles - frame) / 76); the product by 55189 / 2^22 is exact below 69905. */
static void translate_wsync(translator *t, const vly_decoded *d) {
    x86 *c = &t->code;
    x86_address(c, RAX, x86_at(CYCLES, d->cycles));
    x86_do_memory(c, X86_CMP, RAX, OF_RUN(line_limit));
    step_if(t, X86_GE);
    x86_do_memory(c, X86_SUB, RAX, OF_RUN(native.frame_75));
    x86_multiply(c, RAX, RAX, 55189);
    x86_shift(c, X86_SHR, RAX, 22);
    x86_multiply(c, RAX, RAX, 76);
    x86_do_memory(c, X86_ADD, RAX, OF_RUN(native.frame));
    x86_mov(c, CYCLES, RAX);
}

/* The handlers that are not an opcode's. */
static unsigned translate_special(translator *t, const vly_decoded *d, unsigned handler) {
    static const uint8_t timed[3] = {A, X, Y}, counted[2] = {X, Y};
    if (handler == H_WSYNC2 || handler == H_WSYNC3) {
        translate_wsync(t, d);
        return handler == H_WSYNC2 ? 2 : 3;
    }
    if (handler >= H_TIMER_LDA && handler <= H_TIMER_LDY) {
        translate_timer(t, d, timed[handler - H_TIMER_LDA]);
        return 3;
    }
    if (handler >= H_WAIT_LDA_BNE && handler <= H_WAIT_LDY_BPL) {
        translate_wait(t, d, timed[(handler - H_WAIT_LDA_BNE) % 3], handler >= H_WAIT_LDA_BPL);
        return 3;
    }
    if (handler >= H_SPIN_DEX_BNE && handler <= H_SPIN_DEY_BPL) {
        translate_spin(t, d, counted[(handler - H_SPIN_DEX_BNE) % 2], handler >= H_SPIN_DEX_BPL);
        return 1;
    }
    return 0;
}

/* ---- all of them ---- */

/* Those that end with a jump. 0: it is not one of them. */
static int translate_jump(translator *t, const vly_decoded *d, unsigned opcode, unsigned variant) {
    switch (vly_native_operation[opcode]) {
    case OP_JMP:
        if (vly_fast_info[opcode].mode == VLY_MODE_IND) {
            translate_indirect(t, d);
            return 1;
        }
        add_cycles(t, d->cycles);
        jump_absolute(t, d, variant);
        return 1;
    case OP_JSR: translate_call(t, d, variant); return 1;
    case OP_RTS: translate_return(t, d); return 1;
    default: return 0;
    }
}

static unsigned translate_plain(translator *t, const vly_decoded *d, unsigned opcode) {
    const vly_operation op = vly_native_operation[opcode];
    if (vly_fast_info[opcode].mode == VLY_MODE_REL) return (unsigned)translate_branch(t, d, op);
    switch (op) {
    case OP_PHA:
    case OP_PHP: translate_push(t, d, op); return 1;
    case OP_PLA: translate_pull(t, d, opcode); return 1;
    case OP_PLP: translate_pull_flags(t, d); return 1;
    default: break;
    }
    add_cycles(t, d->cycles);
    return (unsigned)change_registers(&t->code, op);
}

unsigned vly_native_translate(translator *t) {
    const vly_decoded *d = &t->decoded[t->at];
    const unsigned handler = (unsigned)d->handler, opcode = handler >> 2, variant = handler & 3;
    unsigned bytes = 0;
    if (handler == H_LEAVE) {
        vly_native_end(t, VLY_EXIT_LEAVE, t->at);
        return 0;
    }
    if (handler > H_SLOW) return translate_special(t, d, handler);
    if (handler < H_SLOW && vly_native_operation[opcode] != OP_OTHER) {
        if (translate_jump(t, d, opcode, variant)) return 0;
        bytes = vly_fast_info[opcode].kind == VLY_KIND_PLAIN
                    ? translate_plain(t, d, opcode)
                    : vly_native_data(t, d, opcode, variant);
    }
    if (bytes == 0) vly_native_end(t, VLY_EXIT_STEP, t->at);
    return bytes;
}
#endif
