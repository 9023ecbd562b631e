/* The console by itself: what was equal to the reference once (tests/atari/test_atari_lockstep.c)
 * stays as it is, whatever is drawn or copied on the way.
 *
 *   test_atari_core --golden      // prints the table below anew, after a lockstep run
 */
#include "tests/atari/romgen.h"
#include "tests/kit/check.h"
#include "envs/atari/opcodes.h"

enum { SEEDS = 3, FRAMES = 60 };

static uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, size_t n) {
    crc = ~crc;
    for (size_t i = 0; i < n; ++i) {
        crc ^= bytes[i];
        for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (-(crc & 1u) & 0xedb88320u);
    }
    return ~crc;
}

static vly_rom *open_random(romgen_kind kind, int seed) {
    static uint8_t bytes[VLY_ROM_MAX_BYTES];
    vly_rom *rom;
    size_t n = romgen(kind, (uint64_t)seed, bytes);
    CHECK_OK(vly_rom_create(&rom, bytes, n, NULL));
    return rom;
}

/* A player who does something else every other frame. */
static void set_controls(vly_machine *m, const vly_rom *rom, int frame) {
    uint32_t h = (uint32_t)(frame / 2 + 1) * 2654435761u;
    vly_controls c = {.stick = {h >> 8 & 31, h >> 16 & 31}, .switches = h >> 24 & 3};
    for (int i = 0; i < 4; ++i) c.paddle[i] = 27450 + (int32_t)(h >> i) % 760000;
    c.paddle_fire[0] = h >> 5 & 1;
    c.difficulty_a[0] = h >> 6 & 1;
    vly_machine_set_controls(m, rom, &c);
}

static void play(vly_machine *m, const vly_rom *rom, vly_screens *screens, int frame) {
    set_controls(m, rom, frame);
    vly_machine_frame(m, rom, screens);
}

static uint32_t checksum(romgen_kind kind, int seed) {
    static vly_screens screens;
    static vly_machine m;
    vly_rom *rom = open_random(kind, seed);
    int height = vly_rom_get_properties(rom)->height;
    uint32_t crc = 0;
    memset(&screens, 0, sizeof screens);
    vly_machine_init(&m, rom);
    for (int i = 0; i < FRAMES; ++i) {
        play(&m, rom, &screens, i);
        crc = crc32_of(crc, m.ram, sizeof m.ram);
        crc = crc32_of(crc, vly_machine_screen(&m, &screens), (size_t)height * 160);
    }
    vly_rom_destroy(rom);
    return crc;
}

/* Made with --golden by the version that passed the lockstep test. */
static const uint32_t golden[ROMGEN_COUNT][SEEDS] = {
    {0x35b9aac6, 0x541c72b5, 0xd472f565}, /* tia */
    {0x521158ee, 0x91db6277, 0x0e9b4b29}, /* cpu */
    {0xd41b6331, 0x635fc9a6, 0x808df683}, /* opcode */
    {0x5f767093, 0xc6ee541f, 0x6bda52c4}, /* timer */
    {0x3381d3d3, 0xbe97bbd5, 0x26f015eb}, /* pal */
    {0x3f3b5eab, 0xda826244, 0x0536f2a6}, /* paddle */
    {0x7a3510d5, 0x0555f118, 0x2e5e5b7b}, /* late */
    {0x4ddd5e54, 0x7d92ac33, 0xc9534ef6}, /* 2k */
    {0x103569a3, 0x3afc461d, 0xe7f7f74f}, /* f8 */
    {0xf7fe51ea, 0x64f1e7dd, 0xc614ed3f}, /* f6 */
    {0x69ee944c, 0xa84c17e5, 0x62baedd6}, /* f8sc */
    {0xe05a3d0c, 0xb72f7fa4, 0x4332ac3a}, /* f6sc */
    {0x18523978, 0x024e091c, 0xc12e0df3}, /* e0 */
    {0x4d4d5185, 0xfafc193d, 0x3ad3a59c}, /* fe */
    {0xd71fd0b0, 0xc5081de0, 0xb115560a}, /* dpc */
    {0x346192eb, 0x6a1df459, 0x6dc01c59}, /* noise */
};

static void print_golden(void) {
    for (int k = 0; k < ROMGEN_COUNT; ++k) {
        printf("    {");
        for (int s = 0; s < SEEDS; ++s)
            printf("0x%08x%s", checksum((romgen_kind)k, s + 1), s + 1 < SEEDS ? ", " : "");
        printf("}, /* %s */\n", romgen_names[k]);
    }
}

static void every_kind_of_cartridge_runs_as_it_did_beside_the_reference(void) {
    for (int k = 0; k < ROMGEN_COUNT; ++k)
        for (int s = 0; s < SEEDS; ++s) {
            uint32_t crc = checksum((romgen_kind)k, s + 1);
            if (crc == golden[k][s]) continue;
            fprintf(stderr, "%s %d: %08x, not %08x\n", romgen_names[k], s + 1, crc, golden[k][s]);
            exit(TEST_FAIL);
        }
}

/* The whole machine but for the record of which lines are on the screens. */
static int same_machine(const vly_machine *a, const vly_machine *b) {
    vly_machine x = *a, y = *b;
    memset(x.missing_from, 0, sizeof x.missing_from);
    memset(y.missing_from, 0, sizeof y.missing_from);
    memset(x.missing_to, 0, sizeof x.missing_to);
    memset(y.missing_to, 0, sizeof y.missing_to);
    return memcmp(&x, &y, sizeof x) == 0;
}

static void frames_that_nobody_sees_change_nothing_else(void) {
    static vly_screens screens, gaps;
    static vly_machine drawn, unseen;
    for (int k = 0; k < ROMGEN_COUNT; ++k) {
        vly_rom *rom = open_random((romgen_kind)k, 7);
        int height = vly_rom_get_properties(rom)->height, exact = 0;
        memset(&screens, 0, sizeof screens);
        memset(&gaps, 0, sizeof gaps);
        vly_machine_init(&drawn, rom);
        vly_machine_init(&unseen, rom);
        for (int i = 0; i < FRAMES; ++i) {
            int seen = i % 3 == 2;
            play(&drawn, rom, &screens, i);
            play(&unseen, rom, seen ? &gaps : NULL, i);
            CHECK(same_machine(&drawn, &unseen));
            if (!seen || !vly_machine_screen_exact(&unseen)) continue;
            CHECK(memcmp(vly_machine_screen(&drawn, &screens), vly_machine_screen(&unseen, &gaps),
                         (size_t)height * 160) == 0);
            ++exact;
        }
        CHECK(exact > 0 || k == ROMGEN_CPU || k == ROMGEN_OPCODE || k == ROMGEN_TIMER ||
              k == ROMGEN_NOISE);
        vly_rom_destroy(rom);
    }
}

static void decoded_code_does_what_single_instructions_do(void) {
    static vly_screens fast_screens, slow_screens;
    static vly_machine fast, slow;
    for (int k = 0; k < ROMGEN_COUNT; ++k)
        for (int seed = 20; seed < 24; ++seed) {
            vly_rom *rom = open_random((romgen_kind)k, k == ROMGEN_OPCODE ? seed * 11 : seed);
            memset(&fast_screens, 0, sizeof fast_screens);
            memset(&slow_screens, 0, sizeof slow_screens);
            vly_machine_init(&fast, rom);
            slow = fast;
            for (int i = 0; i < FRAMES; ++i) {
                play(&fast, rom, &fast_screens, i);
                set_controls(&slow, rom, i);
                vly_machine_frame_slowly(&slow, rom, &slow_screens);
                if (memcmp(&fast, &slow, sizeof fast) == 0 &&
                    memcmp(&fast_screens, &slow_screens, sizeof fast_screens) == 0)
                    continue;
                fprintf(stderr, "%s %d, frame %d: fast and slow differ\n", romgen_names[k], seed,
                        i);
                exit(TEST_FAIL);
            }
            vly_rom_destroy(rom);
        }
}

static void a_copy_goes_on_as_the_original(void) {
    static vly_screens screens, copied_screens;
    static vly_machine m, copy;
    for (int k = 0; k < ROMGEN_COUNT; ++k) {
        vly_rom *rom = open_random((romgen_kind)k, 5);
        vly_machine_init(&m, rom);
        memset(&screens, 0, sizeof screens);
        for (int i = 0; i < FRAMES; ++i) {
            copy = m;
            copied_screens = screens;
            play(&copy, rom, &copied_screens, i);
            play(&m, rom, &screens, i);
            CHECK(memcmp(&copy, &m, sizeof m) == 0);
            CHECK(memcmp(&copied_screens, &screens, sizeof screens) == 0);
        }
        vly_rom_destroy(rom);
    }
}

static void a_machine_is_small_and_its_rom_is_shared(void) {
    printf("a machine: %zu bytes, of which %zu are its random state\n", sizeof(vly_machine),
           sizeof(vly_mt19937));
    CHECK(sizeof(vly_machine) < 4096);
}

static void any_state_can_be_run_after_repair(void) {
    static vly_machine m;
    static vly_screens screens;
    romgen_state g = {.random = 99};
    for (int i = 0; i < 400; ++i) {
        vly_rom *rom = open_random((romgen_kind)(i % ROMGEN_COUNT), i);
        uint8_t *bytes = (uint8_t *)&m;
        for (size_t b = 0; b < sizeof m; ++b) bytes[b] = (uint8_t)romgen_next(&g);
        vly_machine_repair(&m, rom);
        for (int f = 0; f < 4; ++f) vly_machine_frame(&m, rom, f & 1 ? &screens : NULL);
        vly_rom_destroy(rom);
    }
}

static void what_is_no_cartridge_is_refused(void) {
    static uint8_t bytes[1 << 17];
    static const size_t wrong[] = {0, 1, 2047, 2049, 4095, 8191, 10239, 10497, 16383, 16385, 65536};
    vly_rom *rom = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        CHECK_EQ(vly_rom_create(&rom, bytes, wrong[i], NULL), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), "not a cartridge"));
    }
    vly_rom_properties p = {.cart = VLY_CART_F8};
    CHECK_EQ(vly_rom_create(&rom, bytes, 4096, &p), VLY_EINVAL);
    p = (vly_rom_properties){.cart = VLY_CART_COUNT};
    CHECK_EQ(vly_rom_create(&rom, bytes, 4096, &p), VLY_EINVAL);
    p = (vly_rom_properties){.height = 251};
    CHECK_EQ(vly_rom_create(&rom, bytes, 4096, &p), VLY_EINVAL);
    CHECK(rom == NULL);
}

static void md5_is_the_one_of_the_rfc(void) {
    static const char *const vectors[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"}};
    char hex[33];
    for (int i = 0; i < 4; ++i) {
        vly_rom_md5((const uint8_t *)vectors[i][0], strlen(vectors[i][0]), hex);
        CHECK_STR(hex, vectors[i][1]);
    }
}

static void the_random_numbers_are_those_of_mt19937(void) {
    vly_mt19937 r;
    uint32_t last = 0;
    vly_mt19937_seed(&r, 5489);
    for (int i = 0; i < 10000; ++i) last = vly_mt19937_next(&r);
    CHECK_EQ(last, 4123659995u); /* what the C++ standard demands of the 10,000th */
}

static void every_opcode_is_there_once(void) {
    int seen[256] = {0};
#define XX(code, op, mode, kind, cycles) ++seen[code];
    VLY_OPCODES(XX)
#undef XX
    for (int i = 0; i < 256; ++i) CHECK_EQ(seen[i], 1);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--golden") == 0) {
        print_golden();
        return TEST_PASS;
    }
    every_opcode_is_there_once();
    md5_is_the_one_of_the_rfc();
    the_random_numbers_are_those_of_mt19937();
    what_is_no_cartridge_is_refused();
    a_machine_is_small_and_its_rom_is_shared();
    every_kind_of_cartridge_runs_as_it_did_beside_the_reference();
    frames_that_nobody_sees_change_nothing_else();
    decoded_code_does_what_single_instructions_do();
    a_copy_goes_on_as_the_original();
    any_state_can_be_run_after_repair();
    return TEST_PASS;
}
