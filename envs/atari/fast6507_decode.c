/* Decoding: an image becomes an instruction for every byte, each with its handler. */
#include "envs/atari/bus.h"
#include "envs/atari/fast6507_impl.h"
#include "envs/atari/native.h"
#include "envs/atari/opcodes.h"

const vly_fast_opcode vly_fast_info[256] = {
#define XX(code, op, m, k, base) [code] = {VLY_MODE_##m, VLY_KIND_##k, base},
    VLY_OPCODES(XX)
#undef XX
};

enum { BNE = 0xd0, BPL = 0x10, JMP = 0x4c, JSR = 0x20, JMP_INDIRECT = 0x6c };

static int mode_bytes(uint8_t m) {
    if (m == VLY_MODE_IMP || m == VLY_MODE_ACC) return 1;
    return m == VLY_MODE_ABS || m == VLY_MODE_IND || (m >= VLY_MODE_ABX && m <= VLY_MODE_ABYP) ? 3
                                                                                               : 2;
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

/* A window that is being decoded: its place in the image and in the address space. */
typedef struct {
    const vly_rom *rom;
    const uint8_t *bytes;
    unsigned size, image_at; /* of the window, and its place in the image */
} window;

/* A cartridge address whose access has no side effect. */
static int is_plain(const vly_rom *rom, unsigned a) {
    return (a & 0x1000) && (a & 0xfff) >= rom->plain_from && (a & 0xfff) < rom->plain_to;
}

/* Offset of a plain address in the image, for code of this window; -1 if it depends on the
 * slices. */
static int image_offset(const window *w, unsigned a) {
    switch (w->rom->properties.cart) {
    case VLY_CART_E0: return -1;
    case VLY_CART_FE: return (int)((a & 0xfff) + (a & 0x2000 ? 0 : 4096));
    default: return (int)(w->image_at + (a & 0xfff));
    }
}

static int decode_zero_page(vly_decoded *d, unsigned op, unsigned a) {
    int write = vly_fast_info[op].kind == VLY_KIND_WRITE;
    d->operand = (uint16_t)(a & 0x7f);
    if (is_ram(a)) return (int)op * 4;
    if (vly_fast_info[op].kind == VLY_KIND_MODIFY) return H_SLOW;
    unsigned reg = a & 0x3f;
    if (!write) {
        d->operand = (uint16_t)a;
        return (int)op * 4 + 1;
    }
    if (reg == VLY_WSYNC) return mode_bytes(vly_fast_info[op].mode) == 2 ? H_WSYNC2 : H_WSYNC3;
    d->operand = (uint16_t)(reg << 8);
    return (int)op * 4 + (reg == VLY_VSYNC || reg == VLY_VBLANK ? 2 : 1);
}

static int decode_absolute(const window *w, vly_decoded *d, unsigned op, unsigned a) {
    if (op == JMP || op == JSR) {
        d->operand = (uint16_t)a;
        return (int)op * 4 +
               (!(a & 0x1000) || w->size != 4096 || w->rom->properties.cart == VLY_CART_FE);
    }
    if (is_ram(a) || (is_tia(a) && vly_fast_info[op].kind == VLY_KIND_WRITE))
        return decode_zero_page(d, op, is_ram(a) ? a | 0x80 : a & 0x3f);
    d->operand = (uint16_t)a;
    if (vly_fast_info[op].kind == VLY_KIND_READ && is_plain(w->rom, a)) {
        int at = image_offset(w, a);
        if (at < 0) return (int)op * 4 + 3;
        d->operand = w->rom->image[at];
        return (int)op * 4 + 1;
    }
    int cart_io = (a & 0x1000) && (a & 0xfff) < 0xfc0; /* memory, DPC registers: no hot spots */
    if (vly_fast_info[op].kind != VLY_KIND_MODIFY && (is_io(a) || cart_io)) return (int)op * 4 + 2;
    return H_SLOW;
}

/* No index leads from these base addresses out of the plain ROM: no test at run time. */
static int decode_indexed(const window *w, vly_decoded *d, unsigned op, unsigned a) {
    d->operand = (uint16_t)a;
    if (vly_fast_info[op].kind == VLY_KIND_READ && is_plain(w->rom, a) &&
        is_plain(w->rom, a + 255) && image_offset(w, a) >= 0) {
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

/* Not a hot spot, not cartridge memory, not the window's last byte: the byte after that may be
 * in any window. */
static int bytes_are_plain(const window *w, unsigned at, unsigned n) {
    unsigned base = w->image_at == 7168 && w->size == 1024 ? 3072 : 0; /* E0's fixed slice */
    return at + n < w->size && base + at >= w->rom->plain_from && base + at + n <= w->rom->plain_to;
}

/* Wait loops: LDr INTIM, BNE or BPL back to it; DEr, BNE or BPL back to it. `cycles` becomes
 * the cycles per iteration. */
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
    uint8_t m = vly_fast_info[op].mode;
    int bytes = mode_bytes(m);
    d->cycles = vly_fast_info[op].cycles;
    /* The bytes themselves may be hot spots or cartridge memory. */
    if (vly_fast_info[op].kind == VLY_KIND_NONE || !bytes_are_plain(w, at, (unsigned)bytes))
        return H_SLOW;
    unsigned word = bytes == 3 ? (unsigned)(b[1] | b[2] << 8) : bytes == 2 ? b[1] : 0;
    d->bus = bytes == 3 ? b[2] : b[bytes - 1];
    d->operand = (uint16_t)word;
    switch (m) {
    case VLY_MODE_REL: return decode_branch(w, d, op, at, (int8_t)word);
    case VLY_MODE_ZPG: return decode_zero_page(d, op, word);
    case VLY_MODE_ABS:
        if (is_timer(word) && op == 0xad) return decode_loop(w, d, at, H_TIMER_LDA);
        if (is_timer(word) && op == 0xae) return decode_loop(w, d, at, H_TIMER_LDX);
        if (is_timer(word) && op == 0xac) return decode_loop(w, d, at, H_TIMER_LDY);
        return decode_absolute(w, d, op, word);
    case VLY_MODE_ABX:
    case VLY_MODE_ABXP:
    case VLY_MODE_ABY:
    case VLY_MODE_ABYP: return decode_indexed(w, d, op, word);
    case VLY_MODE_INY:
    case VLY_MODE_INYP:
        if (vly_fast_info[op].kind == VLY_KIND_MODIFY || !vly_fast_is_pointer(word)) return H_SLOW;
        d->operand = (uint16_t)(word & 0x7f);
        return (int)op * 4;
    case VLY_MODE_INX: return vly_fast_info[op].kind == VLY_KIND_MODIFY ? H_SLOW : (int)op * 4;
    case VLY_MODE_IND:
        if (!is_ram(word) || (word & 0x7f) == 0x7f) return H_SLOW;
        d->operand = (uint16_t)(word & 0x7f);
        return (int)op * 4;
    default: return decode_loop(w, d, at, (int)op * 4);
    }
}

unsigned vly_fast_windows(vly_cart_kind kind_) {
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
    return sizeof(vly_decoded) * vly_fast_windows(kind_) * (size + VLY_WINDOW_SENTINELS);
}

void vly_fast_pages(const vly_rom *rom, const vly_machine *m, const uint8_t *pages[16]) {
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
    const int32_t *handlers = vly_fast_handlers();
    vly_cart_kind k = rom->properties.cart;
    rom->window = k == VLY_CART_E0 ? 1024 : 4096;
    rom->stride = rom->window + VLY_WINDOW_SENTINELS;
    place_plain(rom);
    for (unsigned i = 0; i < vly_fast_windows(k); ++i) {
        window w = {.rom = rom,
                    .bytes = rom->image + i * rom->window,
                    .size = rom->window,
                    .image_at = i * rom->window};
        vly_decoded *d = rom->decoded + i * rom->stride;
        for (unsigned at = 0; at < rom->stride; ++at)
            d[at].handler = at < rom->window ? decode_one(&w, &d[at], at) : H_LEAVE;
    }
    rom->native = vly_native_create(rom);
    const size_t n = (size_t)vly_fast_windows(k) * rom->stride;
    for (size_t i = 0; i < n; ++i) rom->decoded[i].handler = handlers[rom->decoded[i].handler];
}
