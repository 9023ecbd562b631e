/* native_impl.h -- what the files of the translation to x86-64 share; for native_x86.c and
 * native_data.c, native_flow.c alone. */
#ifndef VLY_ENVS_ATARI_NATIVE_IMPL_H
#define VLY_ENVS_ATARI_NATIVE_IMPL_H
#include "envs/atari/cpu6507.h"
#include "envs/atari/native.h"
#include "envs/atari/opcodes.h"
#include "envs/atari/x86.h"

/* Where the processor's state lies while code runs. The flags are those of fast6507_handlers.h; A, X,
 * Y, SP are zero-extended bytes. RAX, RCX and RDX are free; values that are read come in RCX. */
enum {
    RUN = RBX,
    RAM = RBP,
    NZ = RSI,
    Y = RDI,
    IMAGE = R8,
    CARRY = R9,
    OVERFLOW_ = R10,
    SP = R11,
    CYCLES = R12,
    LOG = R13,
    A = R14,
    X = R15
};

#define OF_RUN(field) x86_at(RUN, (int)offsetof(vly_run, field))
#define OF_MACHINE(field) \
    x86_at(RAM, (int)offsetof(vly_machine, field) - (int)offsetof(vly_machine, ram))
/* RAM by an address of 80h to FFh in a register. */
#define RAM_BY(reg, more) x86_by(RAM, reg, (more)-0x80)

/* A jump whose target's place is not known yet. */
typedef struct {
    uint8_t *distance;
    uint32_t to; /* a place in the window, or what the code ends with */
    uint8_t *code;
} pending;

enum { PLACES_MOST = 4096 + VLY_WINDOW_SENTINELS, BYTES_EACH = 192, JUMPS_MOST = 4 * PLACES_MOST };

typedef struct {
    x86 code;
    const vly_rom *rom;
    const vly_decoded *decoded; /* of the window */
    int32_t *entries;           /* of the window; 0: none yet */
    unsigned at;                /* the instruction's place */
    unsigned image_at;
    uint8_t *leave, *too_long, *jump_pc, *read, *write, *wait;
    pending jump[JUMPS_MOST], exit[JUMPS_MOST];
    int jumps, exits;
} translator;

typedef enum {
    OP_OTHER, /* left to vly_cpu_step */
#define XX(name) OP_##name,
#define OPERATIONS \
    XX(ADC)        \
    XX(AND)        \
    XX(ASL)        \
    XX(BCC)        \
    XX(BCS)        \
    XX(BEQ)        \
    XX(BIT)        \
    XX(BMI)        \
    XX(BNE)        \
    XX(BPL)        \
    XX(BVC)        \
    XX(BVS)        \
    XX(CLC)        \
    XX(CLD)        \
    XX(CLI)        \
    XX(CLV)        \
    XX(CMP)        \
    XX(CPX)        \
    XX(CPY)        \
    XX(DEC)        \
    XX(DEX)        \
    XX(DEY)        \
    XX(EOR)        \
    XX(INC)        \
    XX(INX)        \
    XX(INY)        \
    XX(JMP)        \
    XX(JSR)        \
    XX(LAX)        \
    XX(LDA)        \
    XX(LDX)        \
    XX(LDY)        \
    XX(LSR)        \
    XX(NOP)        \
    XX(ORA)        \
    XX(PHA)        \
    XX(PHP)        \
    XX(PLA)        \
    XX(PLP)        \
    XX(ROL)        \
    XX(ROR)        \
    XX(RTS)        \
    XX(SAX)        \
    XX(SBC)        \
    XX(SEC)        \
    XX(SED)        \
    XX(SEI)        \
    XX(STA)        \
    XX(STX)        \
    XX(STY)        \
    XX(TAX)        \
    XX(TAY)        \
    XX(TSX)        \
    XX(TXA)        \
    XX(TXS)        \
    XX(TYA)
    OPERATIONS
#undef XX
/* The others. */
#define XX(name) OP_##name = OP_OTHER,
        XX(ANC) XX(ANE) XX(ARR) XX(ASR) XX(BRK) XX(DCP) XX(ISB) XX(JAM) XX(LAS) XX(LXA) XX(RLA)
            XX(RRA) XX(RTI) XX(SBX) XX(SHA) XX(SHS) XX(SHX) XX(SHY) XX(SLO) XX(SRE)
#undef XX
} vly_operation;

extern const uint8_t vly_native_operation[256];

/* The machine code of decoded[at]; bytes of the instruction after which the
 * code goes on, or 0 where it does not. */
unsigned vly_native_translate(translator *t);

void vly_native_go_to(translator *t, unsigned place);
/* Leaves this instruction to vly_cpu_step where the condition holds: nothing of it may have been done. */
void vly_native_step_if(translator *t, unsigned condition);
void vly_native_stop_if(translator *t, unsigned condition, unsigned place);
void vly_native_end(translator *t, unsigned exit, unsigned detail);

/* One without a jump: native_data.c's, native_flow.c's. */
unsigned vly_native_data(translator *t, const vly_decoded *d, unsigned opcode, unsigned variant);
/* A write to page 0, whose address is in RAX. */
void vly_native_write_page0(translator *t, int cycles, int value);

/* ---- pieces of instructions ---- */

static inline void step_if(translator *t, unsigned condition) {
    vly_native_step_if(t, condition);
}

static inline void stop_if_too_long(translator *t) {
    x86_ri(&t->code, X86_CMP, CYCLES, VLY_FAST_CYCLES);
    x86_reach(x86_jump_if(&t->code, X86_GE), t->too_long);
}

static inline void add_cycles(translator *t, int cycles) {
    x86_ri(&t->code, X86_ADD, CYCLES, cycles);
}

static inline void call_read(translator *t, unsigned address, unsigned last) {
    x86_set(&t->code, RAX, address);
    x86_set(&t->code, RDX, last);
    x86_reach(x86_call(&t->code), t->read);
}

static inline void call_write(translator *t, unsigned address, int value) {
    x86_set(&t->code, RAX, address);
    x86_mov(&t->code, RDX, value);
    x86_reach(x86_call(&t->code), t->write);
}

static inline void load_value(x86 *c, int reg) {
    x86_mov(c, reg, RCX);
    x86_mov(c, NZ, RCX);
}

#endif
