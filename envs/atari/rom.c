#include "envs/atari/rom.h"
#include <stdlib.h>
#include <string.h>
#include "envs/atari/fast6507.h"
#include "envs/atari/native.h"

const char *vly_cart_kind_name(vly_cart_kind kind) {
    static const char *const names[VLY_CART_COUNT] = {"auto", "2K",   "4K", "F8", "F6",
                                                      "F8SC", "F6SC", "E0", "FE", "DPC"};
    return kind >= 0 && kind < VLY_CART_COUNT ? names[kind] : "unknown";
}

/* ---- what kind of cartridge ----------------------------------------------------------------- */

static int contains(const uint8_t *bytes, size_t n, const uint8_t *signature, size_t length) {
    for (size_t i = 0; i + length <= n; ++i)
        if (memcmp(bytes + i, signature, length) == 0) return 1;
    return 0;
}

/* Instructions that touch the hot spots of E0 (Parker Brothers). */
static int looks_like_e0(const uint8_t *bytes, size_t n) {
    static const uint8_t signature[8][3] = {
        {0x8d, 0xe0, 0x1f}, {0x8d, 0xe0, 0x5f}, {0x8d, 0xe9, 0xff}, {0x0c, 0xe0, 0x1f},
        {0xad, 0xe0, 0x1f}, {0xad, 0xe9, 0xff}, {0xad, 0xed, 0xff}, {0xad, 0xf3, 0xbf}};
    for (int i = 0; i < 8; ++i)
        if (contains(bytes, n, signature[i], 3)) return 1;
    return 0;
}

/* FE has no hot spots: known programs are recognised by their subroutine calls. */
static int looks_like_fe(const uint8_t *bytes, size_t n) {
    static const uint8_t signature[4][5] = {{0x20, 0x00, 0xd0, 0xc6, 0xc5},
                                            {0x20, 0xc3, 0xf8, 0xa5, 0x82},
                                            {0xd0, 0xfb, 0x20, 0x73, 0xfe},
                                            {0x20, 0x00, 0xf0, 0x84, 0xd6}};
    for (int i = 0; i < 4; ++i)
        if (contains(bytes, n, signature[i], 5)) return 1;
    return 0;
}

/* The ROM bytes behind cartridge memory usually all have one value. */
static int looks_like_sc(const uint8_t *bytes, size_t n) {
    for (size_t bank = 0; bank < n; bank += 4096)
        for (size_t i = 1; i < 256; ++i)
            if (bytes[bank + i] != bytes[bank]) return 0;
    return 1;
}

static vly_cart_kind guess_cart(const uint8_t *bytes, size_t n) {
    if (n == 2048) return VLY_CART_2K;
    if (n == 4096) return VLY_CART_4K;
    if (n == 16384) return looks_like_sc(bytes, n) ? VLY_CART_F6SC : VLY_CART_F6;
    if (n != 8192) return VLY_CART_DPC;
    if (looks_like_sc(bytes, n)) return VLY_CART_F8SC;
    if (memcmp(bytes, bytes + 4096, 4096) == 0) return VLY_CART_4K;
    if (looks_like_e0(bytes, n)) return VLY_CART_E0;
    if (looks_like_fe(bytes, n)) return VLY_CART_FE;
    return VLY_CART_F8;
}

/* The smallest and largest file of each kind. */
static const struct {
    size_t least, most;
} sizes[VLY_CART_COUNT] = {[VLY_CART_2K] = {2048, 2048},   [VLY_CART_4K] = {4096, 8192},
                           [VLY_CART_F8] = {8192, 8192},   [VLY_CART_F6] = {16384, 16384},
                           [VLY_CART_F8SC] = {8192, 8192}, [VLY_CART_F6SC] = {16384, 16384},
                           [VLY_CART_E0] = {8192, 8192},   [VLY_CART_FE] = {8192, 8192},
                           [VLY_CART_DPC] = {10240, 10496}};

static vly_status check_size(vly_cart_kind kind, size_t n) {
    int known = n == 2048 || n == 4096 || n == 8192 || n == 16384 || (n >= 10240 && n <= 10496);
    if (!known)
        return vly_fail(VLY_EINVAL,
                        "ROM of %zu bytes: not a cartridge (2048, 4096, 8192, 10240 to 10496 or "
                        "16384 bytes); is the file complete and unpacked?",
                        n);
    if (kind < VLY_CART_AUTO || kind >= VLY_CART_COUNT)
        return vly_fail(VLY_EINVAL, "cartridge type %d is not known", (int)kind);
    if (kind != VLY_CART_AUTO && (n < sizes[kind].least || n > sizes[kind].most))
        return vly_fail(VLY_EINVAL, "ROM of %zu bytes cannot be a %s cartridge (%zu bytes)", n,
                        vly_cart_kind_name(kind), sizes[kind].least);
    return VLY_OK;
}

static vly_status check_display(const vly_rom_properties *p) {
    if (p->ystart < 0 || p->ystart > 64)
        return vly_fail(VLY_EINVAL, "ystart %d is outside [0, 64]", p->ystart);
    if (p->height < 0 || p->height > VLY_SCREEN_MAX_HEIGHT)
        return vly_fail(VLY_EINVAL, "height %d is outside [0, %d]", p->height,
                        VLY_SCREEN_MAX_HEIGHT);
    return VLY_OK;
}

/* ---- power-on -------------------------------------------------------------------------------- */

enum { SYSTEM_SEED = 4753849 };
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
enum { TRIAL_FRAMES = 2 };
#else
enum { TRIAL_FRAMES = 60 };
#endif

static void construct(vly_machine *m) {
    memset(m, 0, sizeof *m);
    vly_mt19937_seed(&m->rng, SYSTEM_SEED);
    for (int i = 0; i < 128; ++i) m->ram[i] = (uint8_t)vly_mt19937_next(&m->rng);
    vly_mt19937_next(&m->rng); /* the timer's value: every system reset draws another */
    m->cart.random = 1;
}

/* The wires with nothing plugged in or pressed. */
static void release_controls(vly_machine *m, const vly_rom *rom) {
    vly_controls c = {0};
    c.difficulty_a[0] = rom->properties.difficulty_a[0] != 0;
    c.difficulty_a[1] = rom->properties.difficulty_a[1] != 0;
    vly_machine_set_controls(m, rom, &c);
}

/* The reference runs 60 frames of every game and counts lines to detect PAL. */
static void power_on(vly_rom *rom, int detect) {
    vly_machine *m = &rom->power_on;
    int tall = 0;
    construct(m);
    if (detect) rom->properties.format = VLY_FORMAT_NTSC;
    if (rom->properties.height == 0) rom->properties.height = 210;
    release_controls(m, rom);
    vly_machine_reset(m, rom);
    for (int i = 0; i < TRIAL_FRAMES; ++i) {
        vly_machine_frame(m, rom, NULL);
        tall += i >= TRIAL_FRAMES / 2 && m->tia.scanlines > 285;
    }
    if (detect && tall >= TRIAL_FRAMES / 4) rom->properties.format = VLY_FORMAT_PAL;
}

static void settle_format(vly_rom *rom, int height_given) {
    if (rom->properties.format == VLY_FORMAT_PAL && !height_given) rom->properties.height = 250;
    vly_machine_reset(&rom->power_on, rom);
}

/* ---- the rom --------------------------------------------------------------------------------- */

vly_status vly_rom_create(vly_rom **out, const uint8_t *bytes, size_t n,
                          const vly_rom_properties *properties) {
    vly_rom_properties p = {0};
    if (properties) p = *properties;
    VLY_TRY(check_size(p.cart, n));
    VLY_TRY(check_display(&p));
    if (p.cart == VLY_CART_AUTO) p.cart = guess_cart(bytes, n);
    size_t size = sizeof(vly_rom) + vly_fast_decoded_bytes(p.cart);
    vly_rom *rom = calloc(1, size);
    if (!rom) return vly_fail(VLY_ENOMEM, "no %zu bytes for a ROM", size);
    rom->decoded = (vly_decoded *)(void *)(rom + 1);
    memcpy(rom->image, bytes, n);
    if (n == 2048) memcpy(rom->image + 2048, bytes, 2048);
    rom->bytes = n;
    if (p.ystart == 0) p.ystart = 34;
    int height_given = p.height != 0;
    rom->properties = p;
    vly_fast_decode(rom);
    power_on(rom, p.format == VLY_FORMAT_AUTO);
    settle_format(rom, height_given);
    *out = rom;
    return VLY_OK;
}

void vly_rom_destroy(vly_rom *rom) {
    if (rom) vly_native_destroy(rom->native);
    free(rom);
}
const vly_rom_properties *vly_rom_get_properties(const vly_rom *rom) {
    return &rom->properties;
}
size_t vly_rom_bytes(const vly_rom *rom) {
    return sizeof *rom + vly_fast_decoded_bytes(rom->properties.cart) +
           vly_native_bytes(rom->native);
}

void vly_machine_init(vly_machine *m, const vly_rom *rom) {
    *m = rom->power_on;
}
