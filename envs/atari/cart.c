#include "envs/atari/cart.h"
#include <string.h>

void vly_cart_reset(vly_machine *m, const vly_rom *rom) {
    static const uint8_t slices[4] = {4, 5, 6, 7};
    vly_cart_kind kind = rom->properties.cart;
    vly_cart_state *c = &m->cart;
    c->bank = kind == VLY_CART_F6 || kind == VLY_CART_F6SC ? 0 : 1;
    memcpy(c->slice, slices, sizeof slices);
    c->music_cycles = 0;
    c->fraction = 0.0;
    if (kind == VLY_CART_F8SC || kind == VLY_CART_F6SC)
        for (int i = 0; i < 128; ++i) c->ram[i] = (uint8_t)vly_mt19937_next(&m->rng);
}

/* ---- DPC: Pitfall II's display processor (US patent 4,644,495) ---------------------------- */

enum { DPC_DISPLAY = 8192 }; /* offset of its 2 KB of graphics in the image; read from the end */

/* Eight-bit shift register with feedback from bits 7, 5, 4 and 3. */
static void dpc_clock_random(vly_cart_state *c) {
    uint8_t r = c->random, bit = (r >> 7 ^ r >> 5 ^ r >> 4 ^ r >> 3 ^ 1) & 1;
    c->random = (uint8_t)(r << 1 | bit);
}

/* Fetchers 5 .. 7 in music mode run on the cartridge's own oscillator. */
static void dpc_clock_music(vly_machine *m) {
    vly_cart_state *c = &m->cart;
    const int32_t passed = (int32_t)((uint32_t)m->cycles - c->music_cycles);
    c->music_cycles = (uint32_t)m->cycles;
    double clocks = 15750.0 * passed / 1193191.66666667 + c->fraction;
    int whole = (int)clocks;
    c->fraction = clocks - whole;
    if (whole <= 0) return;
    for (int x = 5; x <= 7; ++x) {
        if (!c->music[x - 5]) continue;
        int top = c->top[x] + 1, low = c->counter[x] & 0xff;
        if (c->top[x] != 0) {
            low -= whole % top;
            if (low < 0) low += top;
        } else {
            low = 0;
        }
        if (low <= c->bottom[x])
            c->fetch_flag[x] = 0;
        else if (low <= c->top[x])
            c->fetch_flag[x] = 0xff;
        c->counter[x] = (uint16_t)((c->counter[x] & 0x700) | low);
    }
}

static uint8_t dpc_fetch(vly_machine *m, const vly_rom *rom, unsigned a) {
    static const uint8_t amplitude[8] = {0, 4, 5, 9, 6, 10, 11, 15};
    vly_cart_state *c = &m->cart;
    unsigned x = a & 7, low = c->counter[x] & 0xff;
    uint8_t out = 0, byte = rom->image[DPC_DISPLAY + 2047 - c->counter[x]];
    if (low == c->top[x])
        c->fetch_flag[x] = 0xff;
    else if (low == c->bottom[x])
        c->fetch_flag[x] = 0;
    switch (a >> 3 & 7) {
    case 0:
        if (x < 4) {
            out = c->random;
        } else {
            dpc_clock_music(m);
            unsigned voices = 0;
            for (int v = 0; v < 3; ++v)
                if (c->music[v] && c->fetch_flag[5 + v]) voices |= 1u << v;
            out = amplitude[voices];
        }
        break;
    case 1: out = byte; break;
    case 2: out = byte & c->fetch_flag[x]; break;
    case 7: out = c->fetch_flag[x]; break;
    default: break;
    }
    if (x < 5 || !c->music[x - 5]) c->counter[x] = (c->counter[x] - 1) & 0x7ff;
    return out;
}

uint8_t vly_dpc_read(vly_machine *m, const vly_rom *rom, unsigned a) {
    if (a < 0x80 || a >= 0xfc0) dpc_clock_random(&m->cart);
    if (a < 0x40) return dpc_fetch(m, rom, a);
    if (a >= 0xfc0) vly_cart_switch(m, rom, a);
    return rom->image[m->cart.bank * 4096 + a];
}

static void dpc_set_counter_high(vly_cart_state *c, unsigned x, uint8_t value) {
    c->counter[x] = (uint16_t)((value & 7) << 8 | (c->counter[x] & 0xff));
    if (x >= 5) c->music[x - 5] = value >> 4 & 1;
}

void vly_dpc_write(vly_machine *m, unsigned a, uint8_t value) {
    vly_cart_state *c = &m->cart;
    unsigned x = a & 7;
    dpc_clock_random(c); /* by a write anywhere, unlike reads */
    if (a < 0x40 || a >= 0x80) return;
    switch (a >> 3 & 7) {
    case 0:
        c->top[x] = value;
        c->fetch_flag[x] = 0;
        break;
    case 1: c->bottom[x] = value; break;
    case 2:
        if (x >= 5 && c->music[x - 5]) value = c->top[x];
        c->counter[x] = (uint16_t)((c->counter[x] & 0x700) | value);
        break;
    case 3: dpc_set_counter_high(c, x, value); break;
    case 6: c->random = 1; break;
    default: break;
    }
}
