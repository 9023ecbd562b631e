#include "envs/atari/fast6507.h"
#include <string.h>
#include "envs/atari/cpu6507.h"
#include "envs/atari/opcodes.h"

/* Handlers are numbered opcode * 4 + variant, then the special ones. */
enum {
    H_SLOW = 1024, /* one instruction by vly_cpu_step */
    H_LEAVE,       /* behind a window: find the next one */
    H_WSYNC2,
    H_WSYNC3,
    H_TIMER_LDA,
    H_TIMER_LDX,
    H_TIMER_LDY,
    H_WAIT_LDA_BNE,
    H_WAIT_LDX_BNE,
    H_WAIT_LDY_BNE,
    H_WAIT_LDA_BPL,
    H_WAIT_LDX_BPL,
    H_WAIT_LDY_BPL,
    H_SPIN_DEX_BNE,
    H_SPIN_DEY_BNE,
    H_SPIN_DEX_BPL,
    H_SPIN_DEY_BPL,
    H_COUNT
};

static const int32_t *fast_run(vly_run *r, int *finished);

/* ==== decoding ================================================================================ */

typedef enum {
    MODE_IMP,
    MODE_ACC,
    MODE_IMM,
    MODE_REL,
    MODE_ZPG,
    MODE_ZPX,
    MODE_ZPY,
    MODE_ABS,
    MODE_ABX,
    MODE_ABXP,
    MODE_ABY,
    MODE_ABYP,
    MODE_INX,
    MODE_INY,
    MODE_INYP,
    MODE_IND
} mode;
typedef enum { KIND_READ, KIND_WRITE, KIND_MODIFY, KIND_PLAIN, KIND_NONE } kind;

/* What an operation does with its operand; NONE: it has no fast form. */
#define TYPE_LDA READ
#define TYPE_LDX READ
#define TYPE_LDY READ
#define TYPE_LAX READ
#define TYPE_ORA READ
#define TYPE_AND READ
#define TYPE_EOR READ
#define TYPE_ADC READ
#define TYPE_SBC READ
#define TYPE_CMP READ
#define TYPE_CPX READ
#define TYPE_CPY READ
#define TYPE_BIT READ
#define TYPE_NOP READ
#define TYPE_ANC READ
#define TYPE_ASR READ
#define TYPE_SBX READ
#define TYPE_STA WRITE
#define TYPE_STX WRITE
#define TYPE_STY WRITE
#define TYPE_SAX WRITE
#define TYPE_ASL MODIFY
#define TYPE_LSR MODIFY
#define TYPE_ROL MODIFY
#define TYPE_ROR MODIFY
#define TYPE_INC MODIFY
#define TYPE_DEC MODIFY
#define TYPE_SLO MODIFY
#define TYPE_RLA MODIFY
#define TYPE_SRE MODIFY
#define TYPE_DCP MODIFY
#define TYPE_BPL PLAIN
#define TYPE_BMI PLAIN
#define TYPE_BVC PLAIN
#define TYPE_BVS PLAIN
#define TYPE_BCC PLAIN
#define TYPE_BCS PLAIN
#define TYPE_BNE PLAIN
#define TYPE_BEQ PLAIN
#define TYPE_CLC PLAIN
#define TYPE_SEC PLAIN
#define TYPE_CLI PLAIN
#define TYPE_SEI PLAIN
#define TYPE_CLD PLAIN
#define TYPE_SED PLAIN
#define TYPE_CLV PLAIN
#define TYPE_TAX PLAIN
#define TYPE_TAY PLAIN
#define TYPE_TXA PLAIN
#define TYPE_TYA PLAIN
#define TYPE_TSX PLAIN
#define TYPE_TXS PLAIN
#define TYPE_INX PLAIN
#define TYPE_INY PLAIN
#define TYPE_DEX PLAIN
#define TYPE_DEY PLAIN
#define TYPE_PHA PLAIN
#define TYPE_PHP PLAIN
#define TYPE_PLA PLAIN
#define TYPE_PLP PLAIN
#define TYPE_RTS PLAIN
#define TYPE_JSR PLAIN
#define TYPE_JMP PLAIN
#define TYPE_LAS NONE
#define TYPE_RRA NONE
#define TYPE_ISB NONE
#define TYPE_SHA NONE
#define TYPE_SHX NONE
#define TYPE_SHY NONE
#define TYPE_SHS NONE
#define TYPE_BRK NONE
#define TYPE_RTI NONE
#define TYPE_JAM NONE
#define TYPE_ANE NONE
#define TYPE_LXA NONE
#define TYPE_ARR NONE
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

static const struct {
    uint8_t mode, kind, cycles;
} info[256] = {
#define XX(code, op, m, base) [code] = {MODE_##m, PASTE(KIND_, TYPE_##op), base},
    VLY_OPCODES(XX)
#undef XX
};

enum { BNE = 0xd0, BPL = 0x10, JMP = 0x4c, JSR = 0x20, JMP_INDIRECT = 0x6c };

static int mode_bytes(uint8_t m) {
    if (m == MODE_IMP || m == MODE_ACC) return 1;
    return m == MODE_ABS || m == MODE_IND || (m >= MODE_ABX && m <= MODE_ABYP) ? 3 : 2;
}

static int is_ram(unsigned a) {
    return (a & 0x1280) == 0x80;
}
static int is_tia(unsigned a) {
    return (a & 0x1080) == 0;
}
static int is_timer(unsigned a) {
    return (a & 0x1285) == 0x284;
}
static int is_io(unsigned a) {
    return !(a & 0x1000) && !is_ram(a);
}

/* What one window decodes with: where it is in the image and in the address space. */
typedef struct {
    const vly_rom *rom;
    const uint8_t *bytes;
    unsigned size, image_at; /* of the window, and its place in the image */
} window;

/* A cartridge address whose access has no side effect. */
static int is_plain(const vly_rom *rom, unsigned a) {
    return (a & 0x1000) && (a & 0xfff) >= rom->plain_from && (a & 0xfff) < rom->plain_to;
}

/* Where a plain address lies in the image, for code of this window; -1: depends on the slices. */
static int image_offset(const window *w, unsigned a) {
    switch (w->rom->properties.cart) {
    case VLY_CART_E0: return -1;
    case VLY_CART_FE: return (int)((a & 0xfff) + (a & 0x2000 ? 0 : 4096));
    default: return (int)(w->image_at + (a & 0xfff));
    }
}

static int decode_zero_page(vly_decoded *d, unsigned op, unsigned a) {
    int write = info[op].kind == KIND_WRITE;
    d->operand = (uint16_t)(a & 0x7f);
    if (is_ram(a)) return (int)op * 4;
    if (info[op].kind == KIND_MODIFY) return H_SLOW;
    unsigned reg = a & 0x3f;
    if (!write) {
        d->operand = (uint16_t)a;
        return (int)op * 4 + 1;
    }
    if (reg == VLY_WSYNC) return mode_bytes(info[op].mode) == 2 ? H_WSYNC2 : H_WSYNC3;
    d->operand = (uint16_t)(reg << 8);
    return (int)op * 4 + (reg == VLY_VSYNC || reg == VLY_VBLANK ? 2 : 1);
}

static int decode_absolute(const window *w, vly_decoded *d, unsigned op, unsigned a) {
    if (op == JMP || op == JSR) {
        d->operand = (uint16_t)a;
        return (int)op * 4 +
               (!(a & 0x1000) || w->size != 4096 || w->rom->properties.cart == VLY_CART_FE);
    }
    if (is_ram(a) || (is_tia(a) && info[op].kind == KIND_WRITE))
        return decode_zero_page(d, op, is_ram(a) ? a | 0x80 : a & 0x3f);
    d->operand = (uint16_t)a;
    if (info[op].kind == KIND_READ && is_plain(w->rom, a)) {
        int at = image_offset(w, a);
        if (at < 0) return (int)op * 4 + 3;
        d->operand = w->rom->image[at];
        return (int)op * 4 + 1;
    }
    int cart_io = (a & 0x1000) && (a & 0xfff) < 0xfc0; /* memory, DPC registers: no hot spots */
    if (info[op].kind != KIND_MODIFY && (is_io(a) || cart_io)) return (int)op * 4 + 2;
    return H_SLOW;
}

/* Base addresses from which no index leaves the plain ROM need no test at run time. */
static int decode_indexed(const window *w, vly_decoded *d, unsigned op, unsigned a) {
    d->operand = (uint16_t)a;
    if (info[op].kind == KIND_READ && is_plain(w->rom, a) && is_plain(w->rom, a + 255) &&
        image_offset(w, a) >= 0) {
        d->operand = (uint16_t)image_offset(w, a);
        return (int)op * 4 + 1;
    }
    return (int)op * 4;
}

static int decode_branch(const window *w, vly_decoded *d, unsigned op, unsigned at, int distance) {
    int next = (int)at + 2, to = next + distance;
    if (to < 0 || to >= (int)w->size) return H_SLOW;
    d->operand = (uint16_t)distance;
    d->cycles = (uint8_t)(1 + ((next ^ to) >> 8 != 0));
    return (int)op * 4;
}

/* A pointer in page 0 that is whole and in RAM. */
static int is_pointer(unsigned a) {
    return a >= 0x80 && a < 0xff;
}

/* Neither a hot spot nor memory nor the window's last byte: what follows that may be anywhere. */
static int bytes_are_plain(const window *w, unsigned at, unsigned n) {
    unsigned base = w->image_at == 7168 && w->size == 1024 ? 3072 : 0; /* E0's fixed slice */
    return at + n < w->size && base + at >= w->rom->plain_from && base + at + n <= w->rom->plain_to;
}

/* Loops that wait: LDr INTIM, BNE or BPL back to it; DEr, BNE or BPL back to it. `cycles` becomes
 * what a turn takes. */
static int decode_loop(const window *w, vly_decoded *d, unsigned at, int handler) {
    unsigned bytes = handler >= H_TIMER_LDA && handler <= H_TIMER_LDY ? 3 : 1;
    if (!bytes_are_plain(w, at, bytes + 2)) return handler;
    const uint8_t *branch = w->bytes + at + bytes;
    if (branch[1] != (uint8_t) - (int)(bytes + 2) || (branch[0] != BNE && branch[0] != BPL))
        return handler;
    int bpl = branch[0] == BPL, other;
    switch (handler) {
    case H_TIMER_LDA: other = bpl ? H_WAIT_LDA_BPL : H_WAIT_LDA_BNE; break;
    case H_TIMER_LDX: other = bpl ? H_WAIT_LDX_BPL : H_WAIT_LDX_BNE; break;
    case H_TIMER_LDY: other = bpl ? H_WAIT_LDY_BPL : H_WAIT_LDY_BNE; break;
    case 0xca * 4: other = bpl ? H_SPIN_DEX_BPL : H_SPIN_DEX_BNE; break;
    case 0x88 * 4: other = bpl ? H_SPIN_DEY_BPL : H_SPIN_DEY_BNE; break;
    default: return handler;
    }
    int crossed = (at ^ (at + bytes + 2)) >> 8 != 0;
    d->cycles = (uint8_t)(d->cycles + 3 + crossed);
    return other;
}

static int decode_one(const window *w, vly_decoded *d, unsigned at) {
    const uint8_t *b = w->bytes + at;
    unsigned op = b[0];
    uint8_t m = info[op].mode;
    int bytes = mode_bytes(m);
    d->cycles = info[op].cycles;
    /* The bytes themselves may be hot spots or cartridge memory. */
    if (info[op].kind == KIND_NONE || !bytes_are_plain(w, at, (unsigned)bytes)) return H_SLOW;
    unsigned word = bytes == 3 ? (unsigned)(b[1] | b[2] << 8) : bytes == 2 ? b[1] : 0;
    d->bus = bytes == 3 ? b[2] : b[bytes - 1];
    d->operand = (uint16_t)word;
    switch (m) {
    case MODE_REL: return decode_branch(w, d, op, at, (int8_t)word);
    case MODE_ZPG: return decode_zero_page(d, op, word);
    case MODE_ABS:
        if (is_timer(word) && op == 0xad) return decode_loop(w, d, at, H_TIMER_LDA);
        if (is_timer(word) && op == 0xae) return decode_loop(w, d, at, H_TIMER_LDX);
        if (is_timer(word) && op == 0xac) return decode_loop(w, d, at, H_TIMER_LDY);
        return decode_absolute(w, d, op, word);
    case MODE_ABX:
    case MODE_ABXP:
    case MODE_ABY:
    case MODE_ABYP: return decode_indexed(w, d, op, word);
    case MODE_INY:
    case MODE_INYP:
        if (info[op].kind == KIND_MODIFY || !is_pointer(word)) return H_SLOW;
        d->operand = (uint16_t)(word & 0x7f);
        return (int)op * 4;
    case MODE_INX: return info[op].kind == KIND_MODIFY ? H_SLOW : (int)op * 4;
    case MODE_IND:
        if (!is_ram(word) || (word & 0x7f) == 0x7f) return H_SLOW;
        d->operand = (uint16_t)(word & 0x7f);
        return (int)op * 4;
    default: return decode_loop(w, d, at, (int)op * 4);
    }
}

static unsigned window_count(vly_cart_kind kind_) {
    switch (kind_) {
    case VLY_CART_E0: return 8;
    case VLY_CART_F6:
    case VLY_CART_F6SC: return 4;
    case VLY_CART_2K:
    case VLY_CART_4K: return 1;
    default: return 2;
    }
}

size_t vly_fast_decoded_bytes(vly_cart_kind kind_) {
    unsigned size = kind_ == VLY_CART_E0 ? 1024 : 4096;
    return sizeof(vly_decoded) * window_count(kind_) * (size + VLY_WINDOW_SENTINELS);
}

static void place_plain(vly_rom *rom) {
    vly_cart_kind k = rom->properties.cart;
    rom->plain_from = k == VLY_CART_DPC                          ? 0x80
                      : k == VLY_CART_F8SC || k == VLY_CART_F6SC ? 0x100
                                                                 : 0;
    rom->plain_to = k <= VLY_CART_4K || k == VLY_CART_FE ? 0x1000
                    : k == VLY_CART_E0                   ? 0xfe0
                                                         : 0xff6;
    if (k == VLY_CART_DPC) rom->plain_to = 0xfc0;
}

void vly_fast_decode(vly_rom *rom) {
    const int32_t *handlers = fast_run(NULL, NULL);
    vly_cart_kind k = rom->properties.cart;
    rom->window = k == VLY_CART_E0 ? 1024 : 4096;
    rom->stride = rom->window + VLY_WINDOW_SENTINELS;
    place_plain(rom);
    for (unsigned i = 0; i < window_count(k); ++i) {
        window w = {.rom = rom,
                    .bytes = rom->image + i * rom->window,
                    .size = rom->window,
                    .image_at = i * rom->window};
        vly_decoded *d = rom->decoded + i * rom->stride;
        for (unsigned at = 0; at < rom->stride; ++at) {
            int h = at < rom->window ? decode_one(&w, &d[at], at) : H_LEAVE;
            d[at].handler = handlers[h];
        }
    }
}

/* ==== running ================================================================================= */

/* A window at the program counter, and the 1 KB pages that data are read from: bits 10 to 13 of an
 * address choose the page, bit 13 mattering for FE alone. */
static const vly_decoded *find_window(const vly_rom *rom, const vly_machine *m, uint16_t pc) {
    unsigned bank;
    switch (rom->properties.cart) {
    case VLY_CART_2K:
    case VLY_CART_4K: bank = 0; break;
    case VLY_CART_E0: bank = m->cart.slice[pc >> 10 & 3]; break;
    case VLY_CART_FE: bank = pc & 0x2000 ? 0 : 1; break;
    default: bank = m->cart.bank; break;
    }
    return rom->decoded + bank * rom->stride;
}

static void find_pages(const vly_rom *rom, const vly_machine *m, const uint8_t *pages[16]) {
    for (unsigned i = 0; i < 16; ++i) {
        unsigned at;
        switch (rom->properties.cart) {
        case VLY_CART_2K:
        case VLY_CART_4K: at = (i & 3) * 1024; break;
        case VLY_CART_E0: at = m->cart.slice[i & 3] * 1024u; break;
        case VLY_CART_FE: at = (i & 8 ? 0 : 4096) + (i & 3) * 1024; break;
        default: at = m->cart.bank * 4096u + (i & 3) * 1024; break;
        }
        pages[i] = rom->image + at;
    }
}

/* What the two above depend on. */
static inline uint64_t find_banks(const vly_machine *m) {
    uint32_t slices;
    memcpy(&slices, m->cart.slice, sizeof slices);
    return (uint64_t)m->cart.bank << 32 | slices;
}

/* Registers that need the bus's attention besides the log. */
static inline int is_plain_register(unsigned reg) {
    return reg > VLY_WSYNC;
}

static uint8_t slow_adc(uint8_t a, uint8_t v, unsigned *carry, unsigned *overflow) {
    int sum = 10 * (a >> 4) + (a & 15) + 10 * (v >> 4) + (v & 15) + (int)*carry;
    *carry = sum > 99;
    sum = (sum & 0xff) % 100;
    uint8_t out = (uint8_t)(sum / 10 << 4 | sum % 10);
    *overflow = (a ^ out) & (v ^ out) & 0x80;
    return out;
}

static uint8_t slow_sbc(uint8_t a, uint8_t v, unsigned *carry, unsigned *overflow) {
    int borrow = !*carry;
    int d = 10 * (a >> 4) + (a & 15) - 10 * (v >> 4) - (v & 15) - borrow;
    if (d < 0) d += 100;
    uint8_t out = d < 0 ? (uint8_t)(10 * ((uint8_t)d >> 4) + ((uint8_t)d & 15))
                        : (uint8_t)(d / 10 % 10 << 4 | d % 10);
    *carry = a >= v + borrow;
    *overflow = (a ^ out) & (v ^ out) & 0x80;
    return out;
}

/* First cycle at which the timer reads 0 (BNE falls through) or is negative (BPL does). */
static inline int32_t timer_until(const vly_riot_state *t, int bpl) {
    return (int32_t)((uint32_t)t->set_cycle + 1u +
                     ((uint32_t)(t->timer - (bpl ? 0 : 1)) << t->shift));
}

static __attribute__((noinline)) uint8_t io_read(vly_run *r, uint16_t address) {
    return vly_bus_read(r, address);
}

static __attribute__((noinline)) void io_write(vly_run *r, uint16_t address, uint8_t value) {
    r->was_read = 1; /* the operand */
    vly_bus_write(r, address, value);
}

int vly_fast_run(vly_run *r) {
    int finished;
    fast_run(r, &finished);
    return finished;
}

/* The operations on the registers a, x, y, c, nz, overflow. nz: zero flag is (uint8_t)nz == 0,
 * negative is nz & 180h, so that BIT and PLP can set them apart. */
#define DO_LDA(v) \
    a = (v);      \
    nz = a;
#define DO_LDX(v) \
    x = (v);      \
    nz = x;
#define DO_LDY(v) \
    y = (v);      \
    nz = y;
#define DO_LAX(v) \
    a = x = (v);  \
    nz = a;
#define DO_ORA(v) \
    a |= (v);     \
    nz = a;
#define DO_AND(v) \
    a &= (v);     \
    nz = a;
#define DO_EOR(v) \
    a ^= (v);     \
    nz = a;
#define DO_ADC(v)                                       \
    {                                                   \
        uint8_t v_ = (v);                               \
        if (__builtin_expect(decimal, 0)) {             \
            a = slow_adc(a, v_, &c, &overflow);         \
        } else {                                        \
            unsigned sum_ = (unsigned)a + v_ + c;       \
            overflow = (a ^ sum_) & (v_ ^ sum_) & 0x80; \
            c = sum_ >> 8;                              \
            a = (uint8_t)sum_;                          \
        }                                               \
        nz = a;                                         \
    }
#define DO_SBC(v)                                                      \
    {                                                                  \
        uint8_t v_ = (v);                                              \
        if (__builtin_expect(decimal, 0)) {                            \
            a = slow_sbc(a, v_, &c, &overflow);                        \
        } else {                                                       \
            unsigned inv_ = v_ ^ 0xffu, sum_ = (unsigned)a + inv_ + c; \
            overflow = (a ^ sum_) & (inv_ ^ sum_) & 0x80;              \
            c = sum_ >> 8;                                             \
            a = (uint8_t)sum_;                                         \
        }                                                              \
        nz = a;                                                        \
    }
#define COMPARE(reg, v)                      \
    {                                        \
        unsigned t_ = (unsigned)(reg) - (v); \
        c = (t_ >> 31) ^ 1;                  \
        nz = (uint8_t)t_;                    \
    }
#define DO_CMP(v) COMPARE(a, (uint8_t)(v))
#define DO_CPX(v) COMPARE(x, (uint8_t)(v))
#define DO_CPY(v) COMPARE(y, (uint8_t)(v))
#define DO_BIT(v)                         \
    {                                     \
        unsigned v_ = (uint8_t)(v);       \
        nz = (v_ & a) | (v_ & 0x80) << 1; \
        overflow = v_ & 0x40;             \
    }
#define DO_NOP(v) (void)(v);
#define DO_ANC(v) \
    a &= (v);     \
    nz = a;       \
    c = a >> 7;
#define DO_ASR(v) \
    a &= (v);     \
    c = a & 1;    \
    a >>= 1;      \
    nz = a;
#define DO_SBX(v)                                       \
    {                                                   \
        unsigned t_ = (unsigned)(a & x) - (uint8_t)(v); \
        c = (t_ >> 31) ^ 1;                             \
        x = (uint8_t)t_;                                \
        nz = x;                                         \
    }
#define FROM_STA a
#define FROM_STX x
#define FROM_STY y
#define FROM_SAX (a & x)
#define CHANGE_ASL(v)      \
    c = v >> 7;            \
    v = (uint8_t)(v << 1); \
    nz = v;
#define CHANGE_LSR(v) \
    c = v & 1;        \
    v >>= 1;          \
    nz = v;
#define CHANGE_ROL(v)                       \
    {                                       \
        unsigned t_ = (unsigned)v << 1 | c; \
        c = t_ >> 8;                        \
        v = (uint8_t)t_;                    \
        nz = v;                             \
    }
#define CHANGE_ROR(v)             \
    {                             \
        unsigned t_ = v | c << 8; \
        c = v & 1;                \
        v = (uint8_t)(t_ >> 1);   \
        nz = v;                   \
    }
#define CHANGE_INC(v) \
    ++v;              \
    nz = v;
#define CHANGE_DEC(v) \
    --v;              \
    nz = v;
#define CHANGE_SLO(v)     \
    CHANGE_ASL(v) a |= v; \
    nz = a;
#define CHANGE_RLA(v)     \
    CHANGE_ROL(v) a &= v; \
    nz = a;
#define CHANGE_SRE(v)     \
    CHANGE_LSR(v) a ^= v; \
    nz = a;
#define CHANGE_DCP(v) \
    --v;              \
    COMPARE(a, v)

/* ---- handlers by addressing mode ---- */
#define L(code, variant) L_##code##_##variant
#define NEXT(n) \
    ip += (n);  \
    goto *(base + ip->handler)
#define CYCLES(n) cycles += (n)

/* Makes the machine what the registers say, for the general bus. */
#define SYNC_CYCLES m->cycles = cycles
#define IO_READ(address, last)                                               \
    (SYNC_CYCLES, r->logged = (int)(log - r->log), r->bus = (uint8_t)(last), \
     io_value = io_read(r, (uint16_t)(address)), log = r->log + r->logged, io_value)
#define IO_WRITE(address, value)                        \
    SYNC_CYCLES;                                        \
    r->logged = (int)(log - r->log);                    \
    io_write(r, (uint16_t)(address), (uint8_t)(value)); \
    log = r->log + r->logged;                           \
    cycles = m->cycles

#define HANDLERS_IMM_READ(code, op, n) \
    L(code, 0) : CYCLES(n);            \
    DO_##op((uint8_t)ip->operand) NEXT(2);
#define HANDLERS_IMP_READ(code, op, n) HANDLERS_IMP_##op(code, n)
#define HANDLERS_IMP_PLAIN(code, op, n) HANDLERS_IMP_##op(code, n)
#define HANDLERS_ABS_PLAIN(code, op, n) HANDLERS_ABS_##op(code)
#define HANDLERS_ACC_MODIFY(code, op, n) \
    L(code, 0) : CYCLES(n);              \
    CHANGE_##op(a) NEXT(1);
#define HANDLERS_REL_PLAIN(code, op, n)                                    \
    L(code, 0) : CYCLES(2);                                                \
    if (TAKEN_##op) {                                                      \
        cycles += ip->cycles;                                              \
        ip += (int16_t)ip->operand;                                        \
        if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long; \
    }                                                                      \
    NEXT(2);
#define TAKEN_BPL !(nz & 0x180)
#define TAKEN_BMI (nz & 0x180)
#define TAKEN_BVC !overflow
#define TAKEN_BVS overflow
#define TAKEN_BCC !c
#define TAKEN_BCS c
#define TAKEN_BNE (uint8_t) nz
#define TAKEN_BEQ !(uint8_t)nz

#define HANDLERS_ZPG_READ(code, op, n) \
    L(code, 0) : CYCLES(n);            \
    DO_##op(ram[ip->operand]) NEXT(2); \
    L(code, 1) : CYCLES(n);            \
    DO_##op(IO_READ(ip->operand, ip->bus)) NEXT(2);
#define LOG_WRITE(n_bytes, value)                              \
    if (__builtin_expect(cycles >= line_limit, 0)) {           \
        IO_WRITE(ip->operand >> 8, value);                     \
        ip += n_bytes;                                         \
        goto stopped;                                          \
    }                                                          \
    *log++ = ((uint32_t)cycles << 14) + ip->operand + (value); \
    NEXT(n_bytes);
#define STOP_WRITE(n_bytes, value)     \
    IO_WRITE(ip->operand >> 8, value); \
    ip += n_bytes;                     \
    if (r->stop) goto stopped;         \
    NEXT(0);
#define HANDLERS_ZPG_WRITE(code, op, n) \
    L(code, 0) : CYCLES(n);             \
    ram[ip->operand] = FROM_##op;       \
    NEXT(2);                            \
    L(code, 1) : CYCLES(n);             \
    LOG_WRITE(2, FROM_##op)             \
    L(code, 2) : CYCLES(n);             \
    STOP_WRITE(2, FROM_##op)
#define HANDLERS_ZPG_MODIFY(code, op, n)     \
    L(code, 0) : CYCLES(n);                  \
    {                                        \
        uint8_t v = ram[ip->operand];        \
        CHANGE_##op(v) ram[ip->operand] = v; \
    }                                        \
    NEXT(2);

#define HANDLERS_ABS_READ(code, op, n)              \
    L(code, 0) : CYCLES(n);                         \
    DO_##op(ram[ip->operand]) NEXT(3);              \
    L(code, 1) : CYCLES(n);                         \
    DO_##op((uint8_t)ip->operand) NEXT(3);          \
    L(code, 2) : CYCLES(n);                         \
    DO_##op(IO_READ(ip->operand, ip->bus)) NEXT(3); \
    L(code, 3) : CYCLES(n);                         \
    DO_##op(CART_BYTE(ip->operand)) NEXT(3);
#define HANDLERS_ABS_WRITE(code, op, n)               \
    L(code, 0) : CYCLES(n);                           \
    ram[ip->operand] = FROM_##op;                     \
    NEXT(3);                                          \
    L(code, 1) : CYCLES(n);                           \
    LOG_WRITE(3, FROM_##op)                           \
    L(code, 2) : CYCLES(n);                           \
    if (ip->operand & 0x1080) { /* RIOT, cartridge */ \
        IO_WRITE(ip->operand, FROM_##op);             \
        NEXT(3);                                      \
    }                                                 \
    STOP_WRITE(3, FROM_##op)
#define HANDLERS_ABS_MODIFY(code, op, n)     \
    L(code, 0) : CYCLES(n);                  \
    {                                        \
        uint8_t v = ram[ip->operand];        \
        CHANGE_##op(v) ram[ip->operand] = v; \
    }                                        \
    NEXT(3);

#define HANDLERS_ZPI_READ(code, op, n, index)         \
    L(code, 0) : {                                    \
        unsigned at = (uint8_t)(ip->operand + index); \
        CYCLES(n);                                    \
        if (__builtin_expect(at & 0x80, 1)) {         \
            DO_##op(ram[at & 0x7f])                   \
        } else {                                      \
            DO_##op(IO_READ(at, ip->bus))             \
        }                                             \
        NEXT(2);                                      \
    }
#define HANDLERS_ZPX_READ(code, op, n) HANDLERS_ZPI_READ(code, op, n, x)
#define HANDLERS_ZPY_READ(code, op, n) HANDLERS_ZPI_READ(code, op, n, y)
/* A write whose address is known now: RAM, or the TIA. */
#define WRITE_AT(at, value, n_bytes)                           \
    if ((at)&0x80) {                                           \
        ram[(at)&0x7f] = (uint8_t)(value);                     \
        NEXT(n_bytes);                                         \
    }                                                          \
    if (is_plain_register((at)&0x3f) && cycles < line_limit) { \
        *log++ = VLY_LOG(cycles, (at)&0x3f, (uint8_t)(value)); \
        NEXT(n_bytes);                                         \
    }                                                          \
    IO_WRITE((at)&0x3f, value);                                \
    ip += (n_bytes);                                           \
    if (r->stop) goto stopped;                                 \
    NEXT(0);
#define HANDLERS_ZPI_WRITE(code, op, n, index)        \
    L(code, 0) : {                                    \
        unsigned at = (uint8_t)(ip->operand + index); \
        CYCLES(n);                                    \
        WRITE_AT(at, FROM_##op, 2)                    \
    }
#define HANDLERS_ZPX_WRITE(code, op, n) HANDLERS_ZPI_WRITE(code, op, n, x)
#define HANDLERS_ZPY_WRITE(code, op, n) HANDLERS_ZPI_WRITE(code, op, n, y)
#define HANDLERS_ZPX_MODIFY(code, op, n)                  \
    L(code, 0) : {                                        \
        unsigned at = (uint8_t)(ip->operand + x);         \
        if (__builtin_expect(!(at & 0x80), 0)) goto slow; \
        uint8_t v = ram[at & 0x7f];                       \
        CYCLES(n);                                        \
        CHANGE_##op(v) ram[at & 0x7f] = v;                \
        NEXT(2);                                          \
    }

#define CART_BYTE(at) pages[(at) >> 10 & 15][(at)&0x3ff]
#define IS_PLAIN(at) (((at)&0x1000) && ((at)&0xfff) - plain_from < plain_span)
/* Any address. Only the hot spots are left to the general path, before anything is done: they
 * change the window. */
#define READ_ANYWHERE(at, extra, op, n, n_bytes, last) \
    if (__builtin_expect(IS_PLAIN(at), 1)) {           \
        CYCLES((n) + (extra));                         \
        DO_##op(CART_BYTE(at)) NEXT(n_bytes);          \
    }                                                  \
    if (((at)&0x1fc0) >= 0x1fc0) goto slow;            \
    CYCLES((n) + (extra));                             \
    if (((at)&0x1280) == 0x80) {                       \
        DO_##op(ram[(at)&0x7f])                        \
    } else {                                           \
        DO_##op(IO_READ(at, last))                     \
    }                                                  \
    NEXT(n_bytes);
#define WRITE_ANYWHERE(at, op, n, n_bytes)                             \
    if (((at)&0x1fc0) >= 0x1fc0) goto slow;                            \
    CYCLES(n);                                                         \
    if (__builtin_expect(((at)&0x1000) || ((at)&0x280) == 0x280, 0)) { \
        IO_WRITE(at, FROM_##op);                                       \
        NEXT(n_bytes);                                                 \
    }                                                                  \
    WRITE_AT(at, FROM_##op, n_bytes)

#define HANDLERS_ABI_READ(code, op, n, index)           \
    L(code, 0) : {                                      \
        unsigned at = (uint16_t)(ip->operand + index);  \
        int extra = ((at ^ ip->operand) & 0xff00) != 0; \
        READ_ANYWHERE(at, extra, op, n, 3, ip->bus)     \
    }                                                   \
    L(code, 1) : {                                      \
        unsigned low = ip->operand & 0xffu;             \
        CYCLES((n) + (int)((low + index) >> 8));        \
        DO_##op(image[ip->operand + index]) NEXT(3);    \
    }
#define HANDLERS_ABXP_READ(code, op, n) HANDLERS_ABI_READ(code, op, n, x)
#define HANDLERS_ABYP_READ(code, op, n) HANDLERS_ABI_READ(code, op, n, y)
#define HANDLERS_ABX_WRITE(code, op, n)            \
    L(code, 0) : {                                 \
        unsigned at = (uint16_t)(ip->operand + x); \
        WRITE_ANYWHERE(at, op, n, 3)               \
    }
#define HANDLERS_ABY_WRITE(code, op, n)            \
    L(code, 0) : {                                 \
        unsigned at = (uint16_t)(ip->operand + y); \
        WRITE_ANYWHERE(at, op, n, 3)               \
    }
#define HANDLERS_ABI_MODIFY(code, op, n, index)        \
    L(code, 0) : {                                     \
        unsigned at = (uint16_t)(ip->operand + index); \
        if ((at & 0x1280) != 0x80) goto slow;          \
        uint8_t v = ram[at & 0x7f];                    \
        CYCLES(n);                                     \
        CHANGE_##op(v) ram[at & 0x7f] = v;             \
        NEXT(3);                                       \
    }
#define HANDLERS_ABX_MODIFY(code, op, n) HANDLERS_ABI_MODIFY(code, op, n, x)
#define HANDLERS_ABY_MODIFY(code, op, n) HANDLERS_ABI_MODIFY(code, op, n, y)

#define POINTER(at) (ram[at] | (unsigned)ram[(at) + 1] << 8)
#define HANDLERS_INYP_READ(code, op, n)                                  \
    L(code, 0) : {                                                       \
        unsigned from = POINTER(ip->operand), at = (uint16_t)(from + y); \
        int extra = ((at ^ from) & 0xff00) != 0;                         \
        READ_ANYWHERE(at, extra, op, n, 2, from >> 8)                    \
    }
#define HANDLERS_INY_WRITE(code, op, n)                     \
    L(code, 0) : {                                          \
        unsigned at = (uint16_t)(POINTER(ip->operand) + y); \
        WRITE_ANYWHERE(at, op, n, 2)                        \
    }
#define HANDLERS_INX_READ(code, op, n)                 \
    L(code, 0) : {                                     \
        unsigned pointer = (uint8_t)(ip->operand + x); \
        if (!is_pointer(pointer)) goto slow;           \
        unsigned at = POINTER(pointer & 0x7f);         \
        READ_ANYWHERE(at, 0, op, n, 2, at >> 8)        \
    }
#define HANDLERS_INX_WRITE(code, op, n)                \
    L(code, 0) : {                                     \
        unsigned pointer = (uint8_t)(ip->operand + x); \
        if (!is_pointer(pointer)) goto slow;           \
        unsigned at = POINTER(pointer & 0x7f);         \
        WRITE_ANYWHERE(at, op, n, 2)                   \
    }
#define HANDLERS_INX_MODIFY(code, op, n)
#define HANDLERS_INY_MODIFY(code, op, n)
#define HANDLERS_IMP_NONE(code, op, n)
#define HANDLERS_IMM_NONE(code, op, n)
#define HANDLERS_ZPG_NONE(code, op, n)
#define HANDLERS_ZPX_NONE(code, op, n)
#define HANDLERS_ABS_NONE(code, op, n)
#define HANDLERS_ABX_NONE(code, op, n)
#define HANDLERS_ABY_NONE(code, op, n)
#define HANDLERS_ABYP_NONE(code, op, n)
#define HANDLERS_INX_NONE(code, op, n)
#define HANDLERS_INY_NONE(code, op, n)

/* Instructions without an operand. */
#define SIMPLE(code, n, body) \
    L(code, 0) : CYCLES(n);   \
    body;                     \
    NEXT(1);
#define HANDLERS_IMP_NOP(code, n) SIMPLE(code, n, )
#define HANDLERS_IMP_CLC(code, n) SIMPLE(code, n, c = 0)
#define HANDLERS_IMP_SEC(code, n) SIMPLE(code, n, c = 1)
#define HANDLERS_IMP_CLI(code, n) SIMPLE(code, n, interrupt = 0)
#define HANDLERS_IMP_SEI(code, n) SIMPLE(code, n, interrupt = VLY_I)
#define HANDLERS_IMP_CLD(code, n) SIMPLE(code, n, decimal = 0)
#define HANDLERS_IMP_SED(code, n) SIMPLE(code, n, decimal = 1)
#define HANDLERS_IMP_CLV(code, n) SIMPLE(code, n, overflow = 0)
#define HANDLERS_IMP_TAX(code, n) SIMPLE(code, n, nz = x = a)
#define HANDLERS_IMP_TAY(code, n) SIMPLE(code, n, nz = y = a)
#define HANDLERS_IMP_TXA(code, n) SIMPLE(code, n, nz = a = x)
#define HANDLERS_IMP_TYA(code, n) SIMPLE(code, n, nz = a = y)
#define HANDLERS_IMP_TSX(code, n) SIMPLE(code, n, nz = x = sp)
#define HANDLERS_IMP_TXS(code, n) SIMPLE(code, n, sp = x)
#define HANDLERS_IMP_INX(code, n) SIMPLE(code, n, nz = ++x)
#define HANDLERS_IMP_INY(code, n) SIMPLE(code, n, nz = ++y)
#define HANDLERS_IMP_DEX(code, n) SIMPLE(code, n, nz = --x)
#define HANDLERS_IMP_DEY(code, n) SIMPLE(code, n, nz = --y)
/* The stack, where it is in RAM. */
#define HANDLERS_IMP_PHA(code, n) \
    L(code, 0) : CYCLES(n);       \
    {                             \
        unsigned at = sp--;       \
        WRITE_AT(at, a, 1)        \
    }
#define HANDLERS_IMP_PHP(code, n)     \
    L(code, 0) : CYCLES(n);           \
    {                                 \
        unsigned at = sp--;           \
        WRITE_AT(at, FLAGS | 0x30, 1) \
    }
#define HANDLERS_IMP_PLA(code, n)                                                          \
    L(code, 0) : CYCLES(n);                                                                \
    if (__builtin_expect(sp < 0x80 || sp == 0xff, 0)) { /* it reads the old place first */ \
        a = IO_READ(0x100 + sp, code);                                                     \
        ++sp;                                                                              \
        a = IO_READ(0x100 + sp, a);                                                        \
    } else {                                                                               \
        a = ram[++sp & 0x7f];                                                              \
    }                                                                                      \
    nz = a;                                                                                \
    NEXT(1);
#define HANDLERS_IMP_PLP(code, n)                        \
    L(code, 0) : if (sp < 0x80 || sp == 0xff) goto slow; \
    CYCLES(n);                                           \
    {                                                    \
        uint8_t v = ram[++sp & 0x7f];                    \
        SET_FLAGS(v);                                    \
    }                                                    \
    NEXT(1);
#define HANDLERS_IMP_RTS(code, n)                        \
    L(code, 0) : if (sp < 0x80 || sp >= 0xfe) goto slow; \
    CYCLES(n);                                           \
    pc = (uint16_t)(POINTER((sp + 1) & 0x7f) + 1);       \
    r->bus = ram[(sp + 2) & 0x7f];                       \
    sp += 2;                                             \
    goto jump;

#define FLAGS                                                                             \
    (uint8_t)((nz & 0x180 ? VLY_N : 0) | (overflow ? VLY_V : 0) | (decimal ? VLY_D : 0) | \
              interrupt | ((uint8_t)nz ? 0 : VLY_Z) | c)
#define SET_FLAGS(v)                                        \
    nz = ((v)&VLY_Z ? 0u : 1u) | ((v)&VLY_N ? 0x100u : 0u); \
    overflow = (v)&VLY_V;                                   \
    decimal = ((v)&VLY_D) != 0;                             \
    interrupt = (v)&VLY_I;                                  \
    c = (v)&VLY_C

/* Jumps inside the window keep it; all others look for theirs. */
#define HANDLERS_ABS_JMP(code)                                         \
    L(code, 0) : CYCLES(3);                                            \
    if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long; \
    window_pc = ip->operand & 0xf000;                                  \
    ip = first + (ip->operand & 0xfff);                                \
    NEXT(0);                                                           \
    L(code, 1) : CYCLES(3);                                            \
    pc = ip->operand;                                                  \
    r->bus = (uint8_t)(pc >> 8);                                       \
    goto jump;
#define PUSH_RETURN                                \
    pc = (uint16_t)(window_pc + (ip - first) + 2); \
    ram[sp & 0x7f] = (uint8_t)(pc >> 8);           \
    ram[(sp - 1) & 0x7f] = (uint8_t)pc;            \
    sp -= 2;
#define HANDLERS_ABS_JSR(code)                                         \
    L(code, 0) : if (sp < 0x81) goto slow;                             \
    CYCLES(6);                                                         \
    if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long; \
    PUSH_RETURN                                                        \
    window_pc = ip->operand & 0xf000;                                  \
    ip = first + (ip->operand & 0xfff);                                \
    NEXT(0);                                                           \
    L(code, 1) : if (sp < 0x81) goto slow;                             \
    CYCLES(6);                                                         \
    PUSH_RETURN                                                        \
    pc = ip->operand;                                                  \
    r->bus = (uint8_t)(pc >> 8);                                       \
    goto jump;
#define HANDLERS_IND_PLAIN(code, op, n)  \
    L(code, 0) : CYCLES(n);              \
    pc = (uint16_t)POINTER(ip->operand); \
    r->bus = (uint8_t)(pc >> 8);         \
    goto jump;

/* How many forms an opcode has. */
#define LABEL(code, variant) \
    [code * 4 + variant] = (int32_t)((char *)&&L(code, variant) - (char *)&&slow),
#define LABELS_0(code)
#define LABELS_1(code) LABEL(code, 0)
#define LABELS_2(code) LABEL(code, 0) LABEL(code, 1)
#define LABELS_3(code) LABEL(code, 0) LABEL(code, 1) LABEL(code, 2)
#define LABELS_4(code) LABEL(code, 0) LABEL(code, 1) LABEL(code, 2) LABEL(code, 3)
#define FORMS_IMM_READ LABELS_1
#define FORMS_IMP_READ LABELS_1
#define FORMS_IMP_PLAIN LABELS_1
#define FORMS_ACC_MODIFY LABELS_1
#define FORMS_REL_PLAIN LABELS_1
#define FORMS_ZPG_READ LABELS_2
#define FORMS_ZPG_WRITE LABELS_3
#define FORMS_ZPG_MODIFY LABELS_1
#define FORMS_ABS_READ LABELS_4
#define FORMS_ABS_WRITE LABELS_3
#define FORMS_ABS_MODIFY LABELS_1
#define FORMS_ABS_PLAIN LABELS_2
#define FORMS_ZPX_READ LABELS_1
#define FORMS_ZPX_WRITE LABELS_1
#define FORMS_ZPX_MODIFY LABELS_1
#define FORMS_ZPY_READ LABELS_1
#define FORMS_ZPY_WRITE LABELS_1
#define FORMS_ABXP_READ LABELS_2
#define FORMS_ABYP_READ LABELS_2
#define FORMS_ABX_WRITE LABELS_1
#define FORMS_ABY_WRITE LABELS_1
#define FORMS_ABX_MODIFY LABELS_1
#define FORMS_ABY_MODIFY LABELS_1
#define FORMS_INX_READ LABELS_1
#define FORMS_INX_WRITE LABELS_1
#define FORMS_INX_MODIFY LABELS_0
#define FORMS_INYP_READ LABELS_1
#define FORMS_INY_WRITE LABELS_1
#define FORMS_INY_MODIFY LABELS_0
#define FORMS_IND_PLAIN LABELS_1
#define FORMS_IMP_NONE LABELS_0
#define FORMS_IMM_NONE LABELS_0
#define FORMS_ZPG_NONE LABELS_0
#define FORMS_ZPX_NONE LABELS_0
#define FORMS_ABS_NONE LABELS_0
#define FORMS_ABX_NONE LABELS_0
#define FORMS_ABY_NONE LABELS_0
#define FORMS_ABYP_NONE LABELS_0
#define FORMS_INX_NONE LABELS_0
#define FORMS_INY_NONE LABELS_0
#define SPECIAL(number, label) [number] = (int32_t)((char *)&&label - (char *)&&slow),

/* The halt ends the line, so that the access draws what the next one would draw anyway: not logged.
 */
#define WSYNC(n_bytes)                               \
    cycles += ip->cycles;                            \
    if (__builtin_expect(cycles >= line_limit, 0)) { \
        IO_WRITE(VLY_WSYNC, 0);                      \
        ip += (n_bytes);                             \
        goto stopped;                                \
    }                                                \
    cycles += vly_bus_halt(cycles, frame_cycle);     \
    NEXT(n_bytes);

/* Waiting for the timer: every turn reads a value that sends the program round again, until the
 * reading at cycle `until` or after; the turns before that are skipped, the last is run. */
#define TIMER_READ(reg)                     \
    CYCLES(4);                              \
    reg = vly_riot_timer(&m->riot, cycles); \
    nz = reg;
#define WAIT_TIMER(reg, bpl)                                                                     \
    {                                                                                            \
        int32_t first_read = cycles + 4, turn = ip->cycles;                                      \
        int32_t until = timer_until(&m->riot, bpl), left = vly_cycles_from(until, first_read);   \
        int32_t now = m->riot.timer -                                                            \
                      (vly_cycles_from(first_read - 1, m->riot.set_cycle) >> m->riot.shift) - 1; \
        if (left > 0 && (!(bpl) || now < 128)) {                                                 \
            if (__builtin_expect(left >= VLY_FAST_CYCLES, 0)) goto too_long;                     \
            cycles += (left + turn - 1) / turn * turn;                                           \
            if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long;                   \
        }                                                                                        \
    }                                                                                            \
    TIMER_READ(reg)                                                                              \
    NEXT(3);
/* Counting down on the spot, all turns but the last at once. */
#define SPIN(reg, bpl)                                                 \
    {                                                                  \
        uint8_t next_ = (uint8_t)(reg - 1);                            \
        int32_t more = (bpl) ? (next_ & 0x80 ? 0 : next_ + 1) : next_; \
        cycles += more * ip->cycles;                                   \
        reg = (uint8_t)(reg - more);                                   \
    }                                                                  \
    CYCLES(2);                                                         \
    nz = --reg;                                                        \
    NEXT(1);

/* One function, for its labels; with r NULL it only returns where they are. */
#ifdef __clang__
#define ONE_COPY __attribute__((noinline))
#else
#define ONE_COPY __attribute__((noinline, noclone))
#endif
ONE_COPY static const int32_t *fast_run(vly_run *r, int *finished) {
    static const int32_t handlers[H_COUNT] = {
#define FORMS(code, mode_, type) FORMS_(code, mode_, type)
#define FORMS_(code, mode_, type) FORMS_##mode_##_##type(code)
#define XX(code, op, mode_, n) FORMS(code, mode_, TYPE_##op)
        VLY_OPCODES(XX)
#undef XX
            SPECIAL(H_SLOW, slow) SPECIAL(H_LEAVE, leave) SPECIAL(H_WSYNC2, wsync2) SPECIAL(
                H_WSYNC3, wsync3) SPECIAL(H_TIMER_LDA, timer_lda) SPECIAL(H_TIMER_LDX, timer_ldx)
                SPECIAL(H_TIMER_LDY, timer_ldy) SPECIAL(H_WAIT_LDA_BNE, wait_lda_bne)
                    SPECIAL(H_WAIT_LDX_BNE, wait_ldx_bne) SPECIAL(H_WAIT_LDY_BNE, wait_ldy_bne)
                        SPECIAL(H_WAIT_LDA_BPL, wait_lda_bpl) SPECIAL(H_WAIT_LDX_BPL, wait_ldx_bpl)
                            SPECIAL(H_WAIT_LDY_BPL, wait_ldy_bpl)
                                SPECIAL(H_SPIN_DEX_BNE, spin_dex_bne)
                                    SPECIAL(H_SPIN_DEY_BNE, spin_dey_bne)
                                        SPECIAL(H_SPIN_DEX_BPL, spin_dex_bpl)
                                            SPECIAL(H_SPIN_DEY_BPL, spin_dey_bpl)
    };
    if (!r) return handlers;

    const vly_rom *rom = r->rom;
    vly_machine *m = r->m;
    const char *const base = (const char *)&&slow;
    const uint8_t *const image = rom->image;
    uint8_t *const ram = m->ram;
    const uint8_t *pages[16];
    const unsigned plain_from = rom->plain_from, plain_span = rom->plain_to - rom->plain_from;
    const int32_t frame_cycle = m->tia.frame_clock / 3, line_limit = r->line_limit;
    const vly_decoded *first, *ip;
    uint32_t *log;
    int32_t cycles;
    unsigned nz, c, overflow;
    uint16_t pc, window_pc;
    uint8_t a, x, y, sp, decimal, interrupt, io_value;

#define LOAD                  \
    cycles = m->cycles;       \
    log = r->log + r->logged; \
    pc = m->cpu.pc;           \
    a = m->cpu.a;             \
    x = m->cpu.x;             \
    y = m->cpu.y;             \
    sp = m->cpu.sp;           \
    SET_FLAGS(m->cpu.flags)
#define STORE                        \
    m->cycles = cycles;              \
    r->logged = (int)(log - r->log); \
    m->cpu.pc = pc;                  \
    m->cpu.a = a;                    \
    m->cpu.x = x;                    \
    m->cpu.y = y;                    \
    m->cpu.sp = sp;                  \
    m->cpu.flags = FLAGS

    LOAD;
    find_pages(rom, m, pages);
    uint64_t banks = find_banks(m);
    goto jump;

slow: /* the general processor does one instruction, whatever it is */
    pc = (uint16_t)(window_pc + (ip - first));
general:
    STORE;
    do vly_cpu_step(r);
    while (!r->stop && !m->cpu.jammed && !(m->cpu.pc & 0x1000) && m->cycles < VLY_FAST_CYCLES);
    if (r->stop || m->cpu.jammed) {
        *finished = 1;
        return NULL;
    }
    if (banks != find_banks(m)) {
        banks = find_banks(m);
        find_pages(rom, m, pages);
    }
    LOAD;
    goto jump;

leave: /* only where a jump went to a window's end */
    pc = (uint16_t)(window_pc + (ip - first));
jump: /* to pc */
    if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long;
    if (!(pc & 0x1000)) goto general;
    first = find_window(rom, m, pc);
    window_pc = (uint16_t)(pc & -(int)rom->window);
    ip = first + (pc - window_pc);
    NEXT(0);

stopped:
    pc = (uint16_t)(window_pc + (ip - first));
    STORE;
    *finished = 1;
    return NULL;

too_long: /* the caller takes the frame back */
    *finished = 0;
    return NULL;

wsync2:
    WSYNC(2)
wsync3:
    WSYNC(3)

timer_lda:
    TIMER_READ(a) NEXT(3);
timer_ldx:
    TIMER_READ(x) NEXT(3);
timer_ldy:
    TIMER_READ(y) NEXT(3);
wait_lda_bne:
    WAIT_TIMER(a, 0)
wait_ldx_bne:
    WAIT_TIMER(x, 0)
wait_ldy_bne:
    WAIT_TIMER(y, 0)
wait_lda_bpl:
    WAIT_TIMER(a, 1)
wait_ldx_bpl:
    WAIT_TIMER(x, 1)
wait_ldy_bpl:
    WAIT_TIMER(y, 1)
spin_dex_bne:
    SPIN(x, 0)
spin_dey_bne:
    SPIN(y, 0)
spin_dex_bpl:
    SPIN(x, 1)
spin_dey_bpl:
    SPIN(y, 1)

#define HANDLERS(code, op, mode_, type, n) HANDLERS_(code, op, mode_, type, n)
#define HANDLERS_(code, op, mode_, type, n) HANDLERS_##mode_##_##type(code, op, n)
#define XX(code, op, mode_, n) HANDLERS(code, op, mode_, TYPE_##op, n)
    VLY_OPCODES(XX)
#undef XX
}
