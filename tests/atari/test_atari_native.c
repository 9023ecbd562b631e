/* The ROM as machine code does what the decoded instructions and single instructions do. */
#include "common/base/philox.h"
#include "envs/atari/rom.h"
#include "tests/atari/romgen.h"
#include "tests/kit/check.h"

enum { FRAMES = 12, NOISES = 6 };

typedef struct {
    vly_machine m;
    vly_screens screens;
} player;

static player native, decoded, counted;

static void open_rom(vly_rom **rom, const uint8_t *bytes, size_t n, vly_cart_kind cart) {
    const vly_rom_properties p = {.cart = cart, .format = VLY_FORMAT_NTSC};
    CHECK_OK(vly_rom_create(rom, bytes, n, &p));
}

static void set_sticks(vly_machine *m, const vly_rom *rom, int frame) {
    const uint32_t h = (uint32_t)(frame / 2 + 1) * 2654435761u;
    vly_machine_set_controls(
        m, rom, &(vly_controls){.stick = {h >> 8 & 31, h >> 16 & 31}, .switches = h >> 24 & 3});
}

static void expect_same(const player *a, const player *b, const char *what, int which, int frame) {
    if (memcmp(&a->m, &b->m, sizeof a->m) == 0 &&
        memcmp(&a->screens, &b->screens, sizeof a->screens) == 0)
        return;
    fprintf(stderr, "%s %d, frame %d: the machine differs\n", what, which, frame);
    exit(TEST_FAIL);
}

/* Plays the ROM three ways; every other frame is not drawn. */
static void play_and_compare(vly_rom *rom, const char *what, int which) {
    vly_native *const code = rom->native;
    memset(&native, 0, sizeof native);
    vly_machine_init(&native.m, rom);
    decoded = counted = native;
    for (int i = 0; i < FRAMES; i++) {
        const int drawn = i & 1;
        set_sticks(&native.m, rom, i), set_sticks(&decoded.m, rom, i);
        set_sticks(&counted.m, rom, i);
        vly_machine_frame(&native.m, rom, drawn ? &native.screens : NULL);
        rom->native = NULL;
        vly_machine_frame(&decoded.m, rom, drawn ? &decoded.screens : NULL);
        rom->native = code;
        vly_machine_frame_slowly(&counted.m, rom, drawn ? &counted.screens : NULL);
        expect_same(&native, &decoded, what, which, i);
        expect_same(&native, &counted, what, which, i);
    }
}

static void every_opcode_does_what_its_handler_does(void) {
    static uint8_t bytes[VLY_ROM_MAX_BYTES];
    for (int opcode = 0; opcode < 256; opcode++) {
        vly_rom *rom;
        const size_t n = romgen(ROMGEN_OPCODE, (uint64_t)opcode, bytes);
        open_rom(&rom, bytes, n, VLY_CART_AUTO);
        if (!rom->native) SKIP("no machine code here: not x86-64, or the system refuses it");
        play_and_compare(rom, "opcode", opcode);
        vly_rom_destroy(rom);
    }
}

static void generated_cartridges_play_alike(void) {
    static uint8_t bytes[VLY_ROM_MAX_BYTES];
    for (int k = 0; k < ROMGEN_COUNT; k++)
        for (int seed = 40; seed < 46; seed++) {
            vly_rom *rom;
            const size_t n = romgen((romgen_kind)k, (uint64_t)seed, bytes);
            open_rom(&rom, bytes, n, VLY_CART_AUTO);
            play_and_compare(rom, romgen_names[k], seed);
            vly_rom_destroy(rom);
        }
}

/* Bytes without sense in a cartridge of every kind: jumps anywhere, stacks anywhere. */
static void noise_plays_alike(void) {
    static uint8_t bytes[VLY_ROM_MAX_BYTES];
    static const size_t size[VLY_CART_COUNT] = {0,    2048,  4096, 8192, 16384,
                                                8192, 16384, 8192, 8192, 10240};
    for (int kind = VLY_CART_2K; kind < VLY_CART_COUNT; kind++)
        for (int seed = 0; seed < NOISES; seed++) {
            vly_rom *rom;
            const size_t n = size[kind];
            for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t)vly_philox((uint64_t)seed, VLY_STREAM_TEST, i, kind).v[0];
            open_rom(&rom, bytes, n, (vly_cart_kind)kind);
            play_and_compare(rom, "noise", kind * 100 + seed);
            vly_rom_destroy(rom);
        }
}

/* A pointer in the TIA to the TIA: three reads in five cycles, line after line, then nothing but
 * writes of three cycles until the frame is cut off. */
static void many_reads_leave_room_for_writes(void) {
    enum { LOADS = 10, STORES = 200, TURNS = 149 };
    static uint8_t bytes[4096];
    vly_rom *rom;
    size_t n = 0;
    bytes[n++] = 0xa0, bytes[n++] = 0; /* LDY #0 */
    for (int i = 0; i < 2; i++) {
        bytes[n++] = 0xa2, bytes[n++] = TURNS;                                /* LDX #TURNS */
        for (int k = 0; k < LOADS; k++) bytes[n++] = 0xb1, bytes[n++] = 0x0e; /* LDA ($0E),Y */
        bytes[n++] = 0xca, bytes[n++] = 0xd0;                                 /* DEX, BNE */
        bytes[n++] = (uint8_t)(-2 * LOADS - 3);
    }
    const size_t writes = n;
    for (int k = 0; k < STORES; k++) bytes[n++] = 0x85, bytes[n++] = 0x1b; /* STA GRP0 */
    bytes[n++] = 0x4c, bytes[n++] = (uint8_t)writes, bytes[n++] = 0xf0;    /* JMP */
    bytes[0xffd] = 0xf0;
    open_rom(&rom, bytes, sizeof bytes, VLY_CART_4K);
    play_and_compare(rom, "reads", 0);
    vly_machine_reset(&rom->power_on, rom); /* the first frame reads */
    play_and_compare(rom, "reads", 1);
    vly_rom_destroy(rom);
}

int main(void) {
    many_reads_leave_room_for_writes();
    every_opcode_does_what_its_handler_does();
    generated_cartridges_play_alike();
    noise_plays_alike();
    return TEST_PASS;
}
