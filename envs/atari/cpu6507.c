#include "envs/atari/cpu6507.h"
#include "envs/atari/opcodes.h"

void vly_cpu_reset(vly_run *r) {
    vly_cpu_state *c = &r->m->cpu;
    *c = (vly_cpu_state){.sp = 0xff};
    unsigned low = vly_bus_read(r, 0xfffc);
    c->pc = (uint16_t)(low | (unsigned)vly_bus_read(r, 0xfffd) << 8);
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

static inline void set_nz(vly_cpu_state *c, uint8_t v) {
    c->flags = (uint8_t)((c->flags & ~(VLY_N | VLY_Z)) | (v & VLY_N) | (v ? 0 : VLY_Z));
}
static inline void set_flag(vly_cpu_state *c, uint8_t flag, int on) {
    c->flags = (uint8_t)(on ? c->flags | flag : c->flags & ~flag);
}

static void op_adc(vly_cpu_state *c, uint8_t m) {
    const uint8_t old = c->a;
    unsigned carry = c->flags & VLY_C, overflow;
    if (c->flags & VLY_D) {
        c->a = vly_decimal_add(old, m, &carry, &overflow);
    } else {
        const unsigned sum = (unsigned)old + m + carry;
        carry = sum > 255;
        overflow = (old ^ sum) & (m ^ sum) & 0x80;
        c->a = (uint8_t)sum;
    }
    set_flag(c, VLY_C, carry != 0);
    set_flag(c, VLY_V, overflow != 0);
    set_nz(c, c->a);
}

static void op_sbc(vly_cpu_state *c, uint8_t m) {
    unsigned carry = c->flags & VLY_C, overflow;
    if (!(c->flags & VLY_D)) {
        op_adc(c, (uint8_t)~m);
        return;
    }
    c->a = vly_decimal_subtract(c->a, m, &carry, &overflow);
    set_flag(c, VLY_C, carry != 0);
    set_flag(c, VLY_V, overflow != 0);
    set_nz(c, c->a);
}

static void op_compare(vly_cpu_state *c, uint8_t reg, uint8_t m) {
    set_flag(c, VLY_C, reg >= m);
    set_nz(c, (uint8_t)(reg - m));
}

static void op_arr(vly_cpu_state *c, uint8_t m) {
    uint8_t v = c->a & m, carry = c->flags & VLY_C;
    uint8_t a = (uint8_t)(v >> 1 | carry << 7);
    set_nz(c, a);
    if (!(c->flags & VLY_D)) {
        set_flag(c, VLY_C, a & 0x40);
        set_flag(c, VLY_V, (a ^ a << 1) & 0x40);
    } else { /* the chip's decimal fix-up of each half (64doc) */
        set_flag(c, VLY_V, (v ^ a) & 0x40);
        if ((v & 15) + (v & 1) > 5) a = (uint8_t)((a & 0xf0) | ((a + 6) & 15));
        int carry_out = (v & 0xf0) + (v & 0x10) > 0x50;
        if (carry_out) a = (uint8_t)(a + 0x60);
        set_flag(c, VLY_C, carry_out);
    }
    c->a = a;
}

static uint8_t op_asl(vly_cpu_state *c, uint8_t v) {
    set_flag(c, VLY_C, v & 0x80);
    v = (uint8_t)(v << 1);
    set_nz(c, v);
    return v;
}
static uint8_t op_lsr(vly_cpu_state *c, uint8_t v) {
    set_flag(c, VLY_C, v & 1);
    v >>= 1;
    set_nz(c, v);
    return v;
}
static uint8_t op_rol(vly_cpu_state *c, uint8_t v) {
    uint8_t carry = c->flags & VLY_C;
    set_flag(c, VLY_C, v & 0x80);
    v = (uint8_t)(v << 1 | carry);
    set_nz(c, v);
    return v;
}
static uint8_t op_ror(vly_cpu_state *c, uint8_t v) {
    uint8_t carry = c->flags & VLY_C;
    set_flag(c, VLY_C, v & 1);
    v = (uint8_t)(v >> 1 | carry << 7);
    set_nz(c, v);
    return v;
}

/* ---- addresses and the stack ---------------------------------------------------------------- */

static inline uint8_t fetch(vly_run *r) {
    return vly_bus_read(r, r->m->cpu.pc++);
}
static inline uint16_t fetch16(vly_run *r) {
    unsigned low = fetch(r);
    return (uint16_t)(low | (unsigned)fetch(r) << 8);
}
static inline uint16_t read16(vly_run *r, uint16_t at) { /* no wrapping in page 0 */
    unsigned low = vly_bus_read(r, at);
    return (uint16_t)(low | (unsigned)vly_bus_read(r, (uint16_t)(at + 1)) << 8);
}
static inline uint16_t indexed(vly_run *r, uint16_t base, uint8_t index, int penalty) {
    uint16_t at = (uint16_t)(base + index);
    if (penalty && (at ^ base) & 0xff00) ++r->m->cycles;
    return at;
}
static inline uint8_t stack_read(vly_run *r) {
    return vly_bus_read(r, (uint16_t)(0x100 + r->m->cpu.sp));
}
static inline void push(vly_run *r, uint8_t v) {
    vly_bus_write(r, (uint16_t)(0x100 + r->m->cpu.sp--), v);
}
static inline uint8_t pull(vly_run *r) {
    ++r->m->cpu.sp;
    return stack_read(r);
}
static inline uint16_t pull16(vly_run *r) {
    unsigned low = pull(r);
    return (uint16_t)(low | (unsigned)pull(r) << 8);
}

static void op_jsr(vly_run *r) {
    vly_cpu_state *c = &r->m->cpu;
    unsigned low = fetch(r);
    stack_read(r);
    push(r, (uint8_t)(c->pc >> 8));
    push(r, (uint8_t)c->pc);
    c->pc = (uint16_t)(low | (unsigned)vly_bus_read(r, c->pc) << 8);
}

static void op_brk(vly_run *r) {
    vly_cpu_state *c = &r->m->cpu;
    fetch(r);
    push(r, (uint8_t)(c->pc >> 8));
    push(r, (uint8_t)c->pc);
    push(r, c->flags | 0x30);
    c->flags |= VLY_I;
    c->pc = read16(r, 0xfffe);
}

static void op_jmp_indirect(vly_run *r) {
    uint16_t at = fetch16(r);
    unsigned low = vly_bus_read(r, at);
    at = (uint16_t)((at & 0xff00) | ((at + 1) & 0xff)); /* the chip's page bug */
    r->m->cpu.pc = (uint16_t)(low | (unsigned)vly_bus_read(r, at) << 8);
}

static void branch(vly_run *r, int taken) {
    vly_cpu_state *c = &r->m->cpu;
    uint16_t to = (uint16_t)(int8_t)fetch(r);
    if (!taken) return;
    to = (uint16_t)(to + c->pc);
    r->m->cycles += 1 + ((to ^ c->pc) >> 8 != 0);
    c->pc = to;
}

/* ---- one instruction ------------------------------------------------------------------------ */

#define FLAG(f) ((c->flags & (f)) != 0)
/* Where the operand is. */
#define AT_ZPG fetch(r)
#define AT_ZPX (uint8_t)(fetch(r) + c->x)
#define AT_ZPY (uint8_t)(fetch(r) + c->y)
#define AT_ABS fetch16(r)
#define AT_ABX indexed(r, fetch16(r), c->x, 0)
#define AT_ABXP indexed(r, fetch16(r), c->x, 1)
#define AT_ABY indexed(r, fetch16(r), c->y, 0)
#define AT_ABYP indexed(r, fetch16(r), c->y, 1)
#define AT_INX read16(r, (uint8_t)(fetch(r) + c->x))
#define AT_INY indexed(r, read16(r, fetch(r)), c->y, 0)
#define AT_INYP indexed(r, read16(r, fetch(r)), c->y, 1)
/* Operations by kind: READ has the value `v`, WRITE the address `at`, MODIFY both. */
#define READ(mode, body) READ_##mode(body)
#define READ_IMM(body)        \
    {                         \
        uint8_t v = fetch(r); \
        body;                 \
    }
#define READ_ANY(mode, body)             \
    {                                    \
        uint16_t at = AT_##mode;         \
        uint8_t v = vly_bus_read(r, at); \
        (void)v;                         \
        body;                            \
    }
#define READ_ZPG(body) READ_ANY(ZPG, body)
#define READ_ZPX(body) READ_ANY(ZPX, body)
#define READ_ZPY(body) READ_ANY(ZPY, body)
#define READ_ABS(body) READ_ANY(ABS, body)
#define READ_ABXP(body) READ_ANY(ABXP, body)
#define READ_ABYP(body) READ_ANY(ABYP, body)
#define READ_INX(body) READ_ANY(INX, body)
#define READ_INYP(body) READ_ANY(INYP, body)
#define READ_IMP(body)
#define WRITE(mode, value)                      \
    {                                           \
        uint16_t at = AT_##mode;                \
        vly_bus_write(r, at, (uint8_t)(value)); \
    }
#define MODIFY(mode, body) MODIFY_##mode(body)
#define MODIFY_ACC(body)  \
    {                     \
        uint8_t v = c->a; \
        body;             \
        c->a = v;         \
    }
#define MODIFY_ANY(mode, body)           \
    {                                    \
        uint16_t at = AT_##mode;         \
        uint8_t v = vly_bus_read(r, at); \
        body;                            \
        vly_bus_write(r, at, v);         \
    }
#define MODIFY_ZPG(body) MODIFY_ANY(ZPG, body)
#define MODIFY_ZPX(body) MODIFY_ANY(ZPX, body)
#define MODIFY_ABS(body) MODIFY_ANY(ABS, body)
#define MODIFY_ABX(body) MODIFY_ANY(ABX, body)
#define MODIFY_ABY(body) MODIFY_ANY(ABY, body)
#define MODIFY_INX(body) MODIFY_ANY(INX, body)
#define MODIFY_INY(body) MODIFY_ANY(INY, body)

#define OP_LDA(mode) READ(mode, set_nz(c, c->a = v))
#define OP_LDX(mode) READ(mode, set_nz(c, c->x = v))
#define OP_LDY(mode) READ(mode, set_nz(c, c->y = v))
#define OP_LAX(mode) READ(mode, set_nz(c, c->a = c->x = v))
#define OP_LAS(mode) READ(mode, set_nz(c, c->a = c->x = c->sp &= v))
#define OP_ORA(mode) READ(mode, set_nz(c, c->a |= v))
#define OP_AND(mode) READ(mode, set_nz(c, c->a &= v))
#define OP_EOR(mode) READ(mode, set_nz(c, c->a ^= v))
#define OP_ADC(mode) READ(mode, op_adc(c, v))
#define OP_SBC(mode) READ(mode, op_sbc(c, v))
#define OP_CMP(mode) READ(mode, op_compare(c, c->a, v))
#define OP_CPX(mode) READ(mode, op_compare(c, c->x, v))
#define OP_CPY(mode) READ(mode, op_compare(c, c->y, v))
#define OP_BIT(mode) \
    READ(mode, c->flags = (uint8_t)((c->flags & ~0xc2) | (v & 0xc0) | (v & c->a ? 0 : VLY_Z)))
#define OP_NOP(mode) READ(mode, (void)v)
#define OP_ANC(mode) READ(mode, set_nz(c, c->a &= v); set_flag(c, VLY_C, c->a & 0x80))
#define OP_ASR(mode) READ(mode, c->a = op_lsr(c, c->a & v))
#define OP_ARR(mode) READ(mode, op_arr(c, v))
#define OP_ANE(mode) READ(mode, set_nz(c, c->a = (c->a | 0xee) & c->x & v))
#define OP_LXA(mode) READ(mode, set_nz(c, c->a = c->x = (c->a | 0xee) & v))
#define OP_SBX(mode) \
    READ(mode, uint8_t ax = c->a & c->x; op_compare(c, ax, v); c->x = (uint8_t)(ax - v))
#define OP_STA(mode) WRITE(mode, c->a)
#define OP_STX(mode) WRITE(mode, c->x)
#define OP_STY(mode) WRITE(mode, c->y)
#define OP_SAX(mode) WRITE(mode, c->a & c->x)
#define OP_SHA(mode) WRITE(mode, c->a & c->x & ((at >> 8) + 1))
#define OP_SHX(mode) WRITE(mode, c->x &((at >> 8) + 1))
#define OP_SHY(mode) WRITE(mode, c->y &((at >> 8) + 1))
#define OP_SHS(mode) WRITE(mode, (c->sp = c->a & c->x) & ((at >> 8) + 1))
#define OP_ASL(mode) MODIFY(mode, v = op_asl(c, v))
#define OP_LSR(mode) MODIFY(mode, v = op_lsr(c, v))
#define OP_ROL(mode) MODIFY(mode, v = op_rol(c, v))
#define OP_ROR(mode) MODIFY(mode, v = op_ror(c, v))
#define OP_INC(mode) MODIFY(mode, ++v; set_nz(c, v))
#define OP_DEC(mode) MODIFY(mode, --v; set_nz(c, v))
#define OP_SLO(mode) MODIFY(mode, v = op_asl(c, v); set_nz(c, c->a |= v))
#define OP_RLA(mode) MODIFY(mode, v = op_rol(c, v); set_nz(c, c->a &= v))
#define OP_SRE(mode) MODIFY(mode, v = op_lsr(c, v); set_nz(c, c->a ^= v))
#define OP_RRA(mode) MODIFY(mode, v = op_ror(c, v); op_adc(c, v))
#define OP_DCP(mode) MODIFY(mode, --v; op_compare(c, c->a, v))
#define OP_ISB(mode) MODIFY(mode, ++v; op_sbc(c, v))
#define OP_BPL(mode) branch(r, !FLAG(VLY_N));
#define OP_BMI(mode) branch(r, FLAG(VLY_N));
#define OP_BVC(mode) branch(r, !FLAG(VLY_V));
#define OP_BVS(mode) branch(r, FLAG(VLY_V));
#define OP_BCC(mode) branch(r, !FLAG(VLY_C));
#define OP_BCS(mode) branch(r, FLAG(VLY_C));
#define OP_BNE(mode) branch(r, !FLAG(VLY_Z));
#define OP_BEQ(mode) branch(r, FLAG(VLY_Z));
#define OP_CLC(mode) set_flag(c, VLY_C, 0);
#define OP_SEC(mode) set_flag(c, VLY_C, 1);
#define OP_CLI(mode) set_flag(c, VLY_I, 0);
#define OP_SEI(mode) set_flag(c, VLY_I, 1);
#define OP_CLD(mode) set_flag(c, VLY_D, 0);
#define OP_SED(mode) set_flag(c, VLY_D, 1);
#define OP_CLV(mode) set_flag(c, VLY_V, 0);
#define OP_TAX(mode) set_nz(c, c->x = c->a);
#define OP_TAY(mode) set_nz(c, c->y = c->a);
#define OP_TXA(mode) set_nz(c, c->a = c->x);
#define OP_TYA(mode) set_nz(c, c->a = c->y);
#define OP_TSX(mode) set_nz(c, c->x = c->sp);
#define OP_TXS(mode) c->sp = c->x;
#define OP_INX(mode) set_nz(c, ++c->x);
#define OP_INY(mode) set_nz(c, ++c->y);
#define OP_DEX(mode) set_nz(c, --c->x);
#define OP_DEY(mode) set_nz(c, --c->y);
#define OP_PHA(mode) push(r, c->a);
#define OP_PHP(mode) push(r, c->flags | 0x30);
#define OP_PLA(mode) \
    stack_read(r);   \
    set_nz(c, c->a = pull(r));
#define OP_PLP(mode) \
    stack_read(r);   \
    c->flags = pull(r) & 0xcf;
#define OP_RTI(mode)           \
    stack_read(r);             \
    c->flags = pull(r) & 0xcf; \
    c->pc = pull16(r);
#define OP_RTS(mode) \
    stack_read(r);   \
    c->pc = (uint16_t)(pull16(r) + 1);
#define OP_BRK(mode) op_brk(r);
#define OP_JSR(mode) op_jsr(r);
#define OP_JMP(mode) JMP_##mode
#define JMP_ABS c->pc = fetch16(r);
#define JMP_IND op_jmp_indirect(r);
#define OP_JAM(mode) c->jammed = 1;

void vly_cpu_step(vly_run *r) {
    vly_cpu_state *c = &r->m->cpu;
    uint8_t opcode = fetch(r);
    switch (opcode) {
#define XX(code, op, mode, kind, base) \
    case code: r->m->cycles += base; OP_##op(mode) break;
        VLY_OPCODES(XX)
#undef XX
    }
}
