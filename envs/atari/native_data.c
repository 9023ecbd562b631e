/* Loads, stores and what is done with values, as machine code (native.h): each as its handler in
 * fast6507_handlers.h does it. */
#if defined(__x86_64__)
#include "envs/atari/native_impl.h"

/* A write to the TIA goes to the log: RDX gets the cycles, and the register's number << 8 is added from
 * RAX where it is not known here. */
static void log_write(translator *t, int cycles, int reg, int value) {
    x86 *c = &t->code;
    x86_address(c, RDX, x86_at(CYCLES, cycles));
    x86_do_memory(c, X86_CMP, RDX, OF_RUN(line_limit));
    step_if(t, X86_GE);
    x86_mov(c, CYCLES, RDX);
    x86_shift(c, X86_SHL, RDX, 14);
    if (reg < 0) {
        x86_shift(c, X86_SHL, RAX, 8);
        x86_do(c, X86_ADD, RDX, RAX);
    }
    x86_address(c, RDX, x86_by(RDX, value, reg < 0 ? 0 : reg << 8));
    x86_store32(c, RDX, x86_at(LOG, 0));
    x86_ri64(c, X86_ADD, LOG, 4);
}

/* Writes to page 0, whose address is in RAX. */
void vly_native_write_page0(translator *t, int cycles, int value) {
    x86 *c = &t->code;
    x86_test8(c, RAX, RAX);
    uint8_t *in_ram = x86_jump_short(c, X86_S);
    x86_ri(c, X86_AND, RAX, 0x3f);
    x86_ri(c, X86_CMP, RAX, VLY_WSYNC);
    step_if(t, X86_BE);
    log_write(t, cycles, -1, value);
    uint8_t *done = x86_jump_short(c, X86_NONE);
    x86_land(c, in_ram);
    x86_store8(c, value, RAM_BY(RAX, 0));
    add_cycles(t, cycles);
    x86_land(c, done);
}

/* ---- pieces of instructions ---- */

static void add_with_carry(x86 *c) {
    x86_carry_from(c, CARRY);
    x86_do8(c, X86_ADC, A, RCX);
    x86_set_if(c, X86_B, CARRY);
    x86_set_if(c, X86_O, OVERFLOW_);
    x86_mov(c, NZ, A);
}

static void compare_value(x86 *c, int reg) {
    x86_mov(c, NZ, reg);
    x86_do8(c, X86_SUB, NZ, RCX);
    x86_set_if(c, X86_AE, CARRY);
}

static void combine_value(x86 *c, unsigned what) {
    x86_do(c, what, A, RCX);
    x86_mov(c, NZ, A);
}

static void test_bits(x86 *c) {
    x86_mov(c, NZ, RCX);
    x86_mov(c, OVERFLOW_, RCX);
    x86_ri(c, X86_AND, RCX, 0x80);
    x86_do(c, X86_AND, NZ, A);
    x86_do(c, X86_ADD, RCX, RCX);
    x86_ri(c, X86_AND, OVERFLOW_, 0x40);
    x86_do(c, X86_OR, NZ, RCX);
}

/* What an instruction does with the value in RCX. */
static void use_value(translator *t, vly_operation op) {
    x86 *c = &t->code;
    switch (op) {
    case OP_LDA: load_value(c, A); break;
    case OP_LDX: load_value(c, X); break;
    case OP_LDY: load_value(c, Y); break;
    case OP_LAX:
        load_value(c, A);
        x86_mov(c, X, A);
        break;
    case OP_ORA: combine_value(c, X86_OR); break;
    case OP_AND: combine_value(c, X86_AND); break;
    case OP_EOR: combine_value(c, X86_XOR); break;
    case OP_SBC:
        x86_ri(c, X86_XOR, RCX, 0xff);
        add_with_carry(c);
        break;
    case OP_ADC: add_with_carry(c); break;
    case OP_CMP: compare_value(c, A); break;
    case OP_CPX: compare_value(c, X); break;
    case OP_CPY: compare_value(c, Y); break;
    case OP_BIT: test_bits(c); break;
    default: break; /* NOP */
    }
}

/* Shifts and counts the value in RCX. */
static void change_value(translator *t, vly_operation op) {
    x86 *c = &t->code;
    if (op == OP_ROL || op == OP_ROR) x86_carry_from(c, CARRY);
    switch (op) {
    case OP_ASL: x86_do8(c, X86_ADD, RCX, RCX); break;
    case OP_ROL: x86_do8(c, X86_ADC, RCX, RCX); break;
    case OP_LSR: x86_shift8_by_one(c, X86_SHR, RCX); break;
    case OP_ROR: x86_shift8_by_one(c, X86_RCR, RCX); break;
    case OP_INC: x86_inc8(c, RCX); break;
    default: x86_dec8(c, RCX); break;
    }
    if (op != OP_INC && op != OP_DEC) x86_set_if(c, X86_B, CARRY);
    x86_widen8(c, NZ, RCX);
}

/* The register that an instruction stores. */
static int stored_register(translator *t, vly_operation op) {
    if (op != OP_SAX) return op == OP_STX ? X : op == OP_STY ? Y : A;
    x86_mov(&t->code, RCX, A);
    x86_do(&t->code, X86_AND, RCX, X);
    return RCX;
}

/* ---- addresses ---- */

/* Whether a window is one of whole banks: what lies at a cartridge address is then known here. */
static int is_simple(const translator *t) {
    const vly_cart_kind k = t->rom->properties.cart;
    return k != VLY_CART_E0 && k != VLY_CART_FE;
}

/* RAX := base + index, 16 bits. */
static void index_absolute(translator *t, unsigned base, int index) {
    x86_address(&t->code, RAX, x86_at(index, (int)base));
    if (base + 255 > 0xffff) x86_widen16(&t->code, RAX, RAX);
}

/* RAX := the pointer in page 0, plus Y; RDX := 1 where that leaves the page. */
static void index_pointer(translator *t, int zero_page, int wants_page) {
    x86 *c = &t->code;
    x86_load8(c, RAX, x86_at(RAM, zero_page));
    x86_load8(c, RCX, x86_at(RAM, zero_page + 1));
    x86_do(c, X86_ADD, RAX, Y);
    if (wants_page) {
        x86_mov(c, RDX, RAX);
        x86_shift(c, X86_SHR, RDX, 8);
    }
    x86_shift(c, X86_SHL, RCX, 8);
    x86_do(c, X86_ADD, RAX, RCX);
    x86_widen16(c, RAX, RAX);
}

/* RAX := the pointer at operand + X in page 0, which must be in RAM; RDX := 0. */
static void index_pointers(translator *t, unsigned operand) {
    x86 *c = &t->code;
    x86_address(c, RCX, x86_at(X, (int)operand));
    x86_widen8(c, RCX, RCX);
    x86_address(c, RDX, x86_at(RCX, -0x80));
    x86_ri(c, X86_CMP, RDX, 0x7f);
    step_if(t, X86_AE);
    x86_load8(c, RAX, RAM_BY(RCX, 0));
    x86_load8(c, RCX, RAM_BY(RCX, 1));
    x86_shift(c, X86_SHL, RCX, 8);
    x86_do(c, X86_OR, RAX, RCX);
    x86_set(c, RDX, 0);
}

/* RCX := the byte at the cartridge address in RAX; places with effects are left to vly_cpu_step. */
static void read_cartridge(translator *t) {
    x86 *c = &t->code;
    const unsigned from = t->rom->plain_from, span = t->rom->plain_to - from;
    x86_mov(c, RCX, RAX);
    x86_ri(c, X86_AND, RCX, 0xfff);
    if (from) x86_ri(c, X86_SUB, RCX, (int)from);
    if (span < 0x1000) {
        x86_ri(c, X86_CMP, RCX, (int)span);
        step_if(t, X86_AE);
    }
    if (is_simple(t)) {
        x86_load8(c, RCX, x86_by(IMAGE, RCX, (int)(t->image_at + from)));
        return;
    }
    x86_mov(c, RCX, RAX);
    x86_shift(c, X86_SHR, RCX, 10);
    x86_ri(c, X86_AND, RCX, 15);
    x86_load64(c, RCX, (x86_place){RUN, RCX, 3, (int)offsetof(vly_run, native.pages)});
    x86_ri(c, X86_AND, RAX, 0x3ff);
    x86_load8(c, RCX, x86_by(RCX, RAX, 0));
}

/* Leaves the instruction where RAX is not an address of RAM; RAX := its place in RAM. */
static void require_ram(translator *t) {
    x86 *c = &t->code;
    x86_mov(c, RCX, RAX);
    x86_ri(c, X86_AND, RCX, 0x1280);
    x86_ri(c, X86_CMP, RCX, 0x80);
    step_if(t, X86_NE);
    x86_ri(c, X86_AND, RAX, 0x7f);
}

/* RCX := the byte of a device at RAX, after `cycles` and those in RDX. */
static void read_device(translator *t, int cycles, unsigned last) {
    x86_address(&t->code, CYCLES, x86_by(CYCLES, RDX, cycles));
    x86_set(&t->code, RDX, last);
    x86_reach(x86_call(&t->code), t->read);
}

enum { LAST_UNKNOWN = -1 };

/* RCX := the byte at RAX, wherever that is; RDX: the cycles for a new page. last: on the bus before;
 * where it is not known here, devices are left to vly_cpu_step. */
static void read_anywhere(translator *t, int cycles, int last) {
    x86 *c = &t->code;
    uint8_t *done[2] = {NULL, NULL};
    x86_test_bits(c, RAX, 0x1000);
    uint8_t *elsewhere = x86_jump_short(c, X86_E);
    read_cartridge(t);
    x86_address(c, CYCLES, x86_by(CYCLES, RDX, cycles));
    done[0] = x86_jump_short(c, X86_NONE);
    x86_land(c, elsewhere);
    if (last == LAST_UNKNOWN) {
        require_ram(t);
    } else {
        x86_mov(c, RCX, RAX);
        x86_ri(c, X86_AND, RCX, 0x280);
        x86_ri(c, X86_CMP, RCX, 0x80);
        uint8_t *in_ram = x86_jump_short(c, X86_E);
        read_device(t, cycles, (unsigned)last);
        done[1] = x86_jump_short(c, X86_NONE);
        x86_land(c, in_ram);
        x86_ri(c, X86_AND, RAX, 0x7f);
    }
    x86_load8(c, RCX, x86_by(RAM, RAX, 0));
    x86_address(c, CYCLES, x86_by(CYCLES, RDX, cycles));
    x86_land(c, done[0]);
    if (done[1]) x86_land(c, done[1]);
}

/* RDX := 1 where base + index leaves the page. */
static void find_page(translator *t, unsigned base, int index) {
    x86_address(&t->code, RDX, x86_at(index, (int)(base & 0xff)));
    x86_shift(&t->code, X86_SHR, RDX, 8);
}

static int index_of(unsigned mode) {
    return mode == VLY_MODE_ZPX || mode == VLY_MODE_ABX || mode == VLY_MODE_ABXP ? X : Y;
}

/* RAX := operand + index, which must be in RAM. */
static void index_ram(translator *t, unsigned operand, int index) {
    x86 *c = &t->code;
    x86_address(c, RAX, x86_at(index, (int)operand));
    x86_widen8(c, RAX, RAX);
    x86_test8(c, RAX, RAX);
    step_if(t, X86_NS);
}

/* ---- instructions by their kind ---- */

static int is_decimal(vly_operation op) {
    return op == OP_ADC || op == OP_SBC;
}

static void read_absolute(translator *t, const vly_decoded *d, unsigned variant) {
    x86 *c = &t->code;
    add_cycles(t, d->cycles);
    switch (variant) {
    case 0: x86_load8(c, RCX, x86_at(RAM, d->operand)); return;
    case 1: x86_set(c, RCX, d->operand & 0xff); return;
    case 2: call_read(t, d->operand, d->bus); return;
    default:
        x86_load64(c, RAX,
                   x86_at(RUN, (int)offsetof(vly_run, native.pages) + 8 * (d->operand >> 10 & 15)));
        x86_load8(c, RCX, x86_at(RAX, d->operand & 0x3ff));
    }
}

static void read_indexed(translator *t, const vly_decoded *d, unsigned variant, int index) {
    x86 *c = &t->code;
    if (variant == 0) {
        index_absolute(t, d->operand, index);
        find_page(t, d->operand, index);
        read_anywhere(t, d->cycles, d->bus);
        return;
    }
    if (d->operand & 0xff) {
        find_page(t, d->operand, index);
        x86_address(c, CYCLES, x86_by(CYCLES, RDX, d->cycles));
    } else {
        add_cycles(t, d->cycles);
    }
    x86_load8(c, RCX, x86_by(IMAGE, index, d->operand));
}

static void read_page0(translator *t, const vly_decoded *d, int index) {
    x86 *c = &t->code;
    x86_address(c, RAX, x86_at(index, d->operand));
    x86_widen8(c, RAX, RAX);
    x86_test8(c, RAX, RAX);
    uint8_t *in_ram = x86_jump_short(c, X86_S);
    x86_set(c, RDX, 0);
    read_device(t, d->cycles, d->bus);
    uint8_t *done = x86_jump_short(c, X86_NONE);
    x86_land(c, in_ram);
    x86_load8(c, RCX, RAM_BY(RAX, 0));
    add_cycles(t, d->cycles);
    x86_land(c, done);
}

static int translate_value(translator *t, const vly_decoded *d, unsigned opcode, unsigned variant) {
    x86 *c = &t->code;
    const unsigned mode = vly_fast_info[opcode].mode;
    switch (mode) {
    case VLY_MODE_IMM:
        add_cycles(t, d->cycles);
        x86_set(c, RCX, d->operand & 0xff);
        return 2;
    case VLY_MODE_ZPG:
        if (variant == 0) {
            read_absolute(t, d, 0);
        } else {
            add_cycles(t, d->cycles);
            call_read(t, d->operand, d->bus);
        }
        return 2;
    case VLY_MODE_ZPX:
    case VLY_MODE_ZPY: read_page0(t, d, index_of(mode)); return 2;
    case VLY_MODE_INX:
        index_pointers(t, d->operand);
        read_anywhere(t, d->cycles, LAST_UNKNOWN);
        return 2;
    case VLY_MODE_ABS: read_absolute(t, d, variant); return 3;
    case VLY_MODE_ABX:
    case VLY_MODE_ABXP:
    case VLY_MODE_ABY:
    case VLY_MODE_ABYP: read_indexed(t, d, variant, index_of(mode)); return 3;
    case VLY_MODE_INYP:
        index_pointer(t, d->operand, 1);
        read_anywhere(t, d->cycles, LAST_UNKNOWN);
        return 2;
    case VLY_MODE_IMP: add_cycles(t, d->cycles); return 1; /* NOP */
    default: return 0;
    }
}

static int translate_read(translator *t, const vly_decoded *d, unsigned opcode, unsigned variant) {
    const vly_operation op = vly_native_operation[opcode];
    if (is_decimal(op)) {
        x86_test_memory8(&t->code, VLY_D, OF_RUN(native.decimal_interrupt));
        step_if(t, X86_NE);
    }
    const int bytes = translate_value(t, d, opcode, variant);
    if (bytes) use_value(t, op);
    return bytes;
}

/* A write that may end the frame. */
static void write_and_stop(translator *t, const vly_decoded *d, int value, unsigned bytes) {
    add_cycles(t, d->cycles);
    call_write(t, d->operand >> 8, value);
    x86_test(&t->code, RCX, RCX);
    vly_native_stop_if(t, X86_NE, t->at + bytes);
}

static void write_fixed(translator *t, const vly_decoded *d, unsigned variant, int value,
                        unsigned bytes) {
    if (variant == 0) {
        add_cycles(t, d->cycles);
        x86_store8(&t->code, value, x86_at(RAM, d->operand));
    } else if (variant == 1) {
        log_write(t, d->cycles, d->operand >> 8, value);
    } else if (d->operand & 0x1080) { /* RIOT, cartridge */
        add_cycles(t, d->cycles);
        call_write(t, d->operand, value);
    } else {
        write_and_stop(t, d, value, bytes);
    }
}

static void write_indexed(translator *t, const vly_decoded *d, int index, int value) {
    x86 *c = &t->code;
    index_absolute(t, d->operand, index);
    if (d->operand < 0x100) {
        x86_widen8(c, RAX, RAX);
        vly_native_write_page0(t, d->cycles, value);
        return;
    }
    require_ram(t);
    add_cycles(t, d->cycles);
    x86_store8(c, value, x86_by(RAM, RAX, 0));
}

static int translate_write(translator *t, const vly_decoded *d, unsigned opcode, unsigned variant) {
    x86 *c = &t->code;
    const unsigned mode = vly_fast_info[opcode].mode;
    const vly_operation op = vly_native_operation[opcode];
    if (op == OP_SAX && mode != VLY_MODE_ZPG) return 0; /* RCX holds addresses too */
    const int value = stored_register(t, op);
    switch (mode) {
    case VLY_MODE_ZPG: write_fixed(t, d, variant, value, 2); return 2;
    case VLY_MODE_ABS: write_fixed(t, d, variant, value, 3); return 3;
    case VLY_MODE_ZPX:
    case VLY_MODE_ZPY:
        x86_address(c, RAX, x86_at(index_of(mode), d->operand));
        x86_widen8(c, RAX, RAX);
        vly_native_write_page0(t, d->cycles, value);
        return 2;
    case VLY_MODE_ABX:
    case VLY_MODE_ABY: write_indexed(t, d, index_of(mode), value); return 3;
    case VLY_MODE_INY:
        index_pointer(t, d->operand, 0);
        require_ram(t);
        add_cycles(t, d->cycles);
        x86_store8(c, value, x86_by(RAM, RAX, 0));
        return 2;
    default: return 0;
    }
}

static int translate_modify(translator *t, const vly_decoded *d, unsigned opcode) {
    x86 *c = &t->code;
    const unsigned mode = vly_fast_info[opcode].mode;
    const vly_operation op = vly_native_operation[opcode];
    x86_place place = x86_at(RAM, d->operand);
    switch (mode) {
    case VLY_MODE_ACC:
        add_cycles(t, d->cycles);
        x86_mov(c, RCX, A);
        change_value(t, op);
        x86_mov(c, A, NZ);
        return 1;
    case VLY_MODE_ZPG:
    case VLY_MODE_ABS: break;
    case VLY_MODE_ZPX:
        index_ram(t, d->operand, X);
        place = RAM_BY(RAX, 0);
        break;
    case VLY_MODE_ABX:
    case VLY_MODE_ABY:
        index_absolute(t, d->operand, index_of(mode));
        require_ram(t);
        place = x86_by(RAM, RAX, 0);
        break;
    default: return 0;
    }
    add_cycles(t, d->cycles);
    x86_load8(c, RCX, place);
    change_value(t, op);
    x86_store8(c, RCX, place);
    return mode == VLY_MODE_ZPG || mode == VLY_MODE_ZPX ? 2 : 3;
}

unsigned vly_native_data(translator *t, const vly_decoded *d, unsigned opcode, unsigned variant) {
    switch (vly_fast_info[opcode].kind) {
    case VLY_KIND_READ: return (unsigned)translate_read(t, d, opcode, variant);
    case VLY_KIND_WRITE: return (unsigned)translate_write(t, d, opcode, variant);
    default: return (unsigned)translate_modify(t, d, opcode);
    }
}
#endif
