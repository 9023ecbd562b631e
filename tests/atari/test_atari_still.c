/* An actor of the 2600 keeps no pictures: what it shows must not depend on what was in memory
 * before.
 *
 *   // codes, generated cartridges, and five games where ROMs are found
 *   test_atari_still
 *   // every game (or one) for so many steps, and the most that its stills took
 *   test_atari_still STEPS [GAME]
 */
#include "tests/atari/romgen.h"
#include "tests/kit/check.h"
#include "envs/atari/atari.h"
#include "envs/atari/emulator.h"
#include "envs/atari/roms.h"
#include "envs/atari/still.h"

/* ---- the code of pictures ---- */

static uint32_t next(uint32_t *random) {
    return *random = *random * 1664525u + 1013904223u;
}

/* 0 noise, 1 runs of three colours, 2 rows that repeat, 3 runs of many colours. */
static void draw_some(uint8_t *picture, int kind, uint32_t *random) {
    for (int y = 0; y < VLY_SCREEN_MAX_HEIGHT; y++) {
        uint8_t *row = picture + y * VLY_SCREEN_WIDTH;
        if (kind == 2 && y > 0 && next(random) >> 30) {
            memcpy(row, row - VLY_SCREEN_WIDTH, VLY_SCREEN_WIDTH);
            continue;
        }
        for (int x = 0; x < VLY_SCREEN_WIDTH; x++) {
            const uint32_t r = next(random) >> 8;
            if (kind == 0)
                row[x] = (uint8_t)r;
            else
                row[x] = x > 0 && r % 16 ? row[x - 1]
                                         : (uint8_t)(kind == 3 ? r >> 8 : (r >> 8) % 3);
        }
    }
}

static void what_is_coded_comes_back(void) {
    static vly_screens in, out;
    static uint8_t third[VLY_SCREEN_BYTES], third_out[VLY_SCREEN_BYTES];
    const int height = VLY_SCREEN_MAX_HEIGHT;
    vly_still *still = malloc(sizeof *still + VLY_STILL_MOST);
    vly_machine m;
    memset(&m, 0, sizeof m);
    m.tia.partial = 1; /* all of it goes into the code */
    uint32_t random = 5;
    for (int i = 0; i < 40; i++) {
        draw_some(in.pixels[0], i % 4, &random);
        draw_some(in.pixels[1], i / 4 % 4, &random);
        draw_some(third, i / 8 % 4, &random);
        if (i % 3 == 0) memcpy(in.pixels[1] + 3200, in.pixels[0] + 3200, 16000);
        memset(&out, 0xa5, sizeof out);
        CHECK_EQ(vly_still_take(still, VLY_STILL_MOST, &m, height, &in, third), 0);
        CHECK_EQ(vly_still_draw(still, VLY_STILL_MOST, NULL, height, &out, third_out), 0);
        CHECK_EQ(memcmp(in.pixels, out.pixels, sizeof in.pixels), 0);
        CHECK_EQ(memcmp(third, third_out, sizeof third), 0);
        CHECK_EQ(vly_still_take(still, still->bytes - 1, &m, height, &in, third), -1);
        CHECK_EQ(vly_still_take(still, still->bytes ? 700 : 0, &m, height, &in, NULL), -1);
    }
    free(still);
}

/* Every byte of the code and of its header may be wrong. The allocation ends where the room does.
 */
static void a_broken_code_is_refused_or_drawn(void) {
    static vly_screens screens;
    static uint8_t third[VLY_SCREEN_BYTES];
    enum { ROOM = 900 };
    vly_still *still = calloc(1, sizeof *still + ROOM);
    uint32_t random = 9;
    int refused = 0;
    for (int i = 0; i < 3000; i++) {
        for (int k = 0; k < ROOM; k++)
            still->code[k] = (uint8_t)(next(&random) >> 20) & (i % 3 ? 0xff : 0x3f);
        still->bytes = next(&random) >> 8 & 1023;
        still->third = (uint8_t)(i & 1);
        still->rows[0] = (uint16_t)(next(&random) >> 24),
        still->rows[1] = (uint16_t)(next(&random) >> 24);
        refused += vly_still_draw(still, ROOM, NULL, 210, &screens, third) != 0;
    }
    CHECK(refused > 1000);
    free(still);
}

/* Where no code fits, the frames since are drawn again; every kind of cartridge, those whose
 * frames do not end included. */
static void frames_since_are_drawn_too(void) {
    static uint8_t rom[VLY_ROM_MAX_BYTES], before[VLY_SCREEN_BYTES], was[VLY_SCREEN_BYTES];
    static vly_screens screens, out;
    static vly_machine m;
    vly_still *still = calloc(1, sizeof *still + VLY_STILL_MOST);
    for (int k = 0; k < ROMGEN_COUNT; k++) {
        vly_rom *cart;
        CHECK_OK(vly_rom_create(&cart, rom, romgen((romgen_kind)k, 3, rom), NULL));
        const int height = vly_rom_get_properties(cart)->height;
        const size_t bytes = (size_t)height * VLY_SCREEN_WIDTH;
        memset(&screens, 0, sizeof screens);
        vly_machine_init(&m, cart);
        for (int i = 0; i < 24; i++) {
            const vly_controls c = {.stick = {(uint8_t)(i * 7 & 31)}, .paddle = {30000 + 9000 * i}};
            vly_machine_set_controls(&m, cart, &c);
            memcpy(was, vly_machine_screen(&m, &screens), bytes);
            (void)vly_machine_frame(&m, cart, &screens);
            if (i < 3) continue;
            if (i == 3)
                CHECK_EQ(vly_still_take(still, VLY_STILL_MOST, &m, height, &screens, was), 0);
            else
                CHECK_EQ(
                    vly_still_extend(still, still->bytes + 20 * sizeof(vly_wires), &m, &m.wires, 1),
                    0);
            memset(&out, 0x5a, sizeof out);
            CHECK_EQ(vly_still_draw(still, VLY_STILL_MOST, cart, height, &out, before), 0);
            for (int b = 0; b < 2; b++)
                CHECK_EQ(memcmp(out.pixels[b], screens.pixels[b], bytes), 0);
            CHECK_EQ(memcmp(before, was, bytes), 0);
            CHECK_EQ(still->front, m.tia.front);
        }
        CHECK_EQ(vly_still_extend(still, still->bytes + 20 * sizeof(vly_wires), &m, &m.wires, 1),
                 -1);
        vly_rom_destroy(cart);
    }
    free(still);
}

/* Pictures that come out of a code have no frame before them that could be drawn again, whatever was
 * in that memory. */
static void a_frame_after_coded_pictures_is_kept(void) {
    static uint8_t rom[VLY_ROM_MAX_BYTES];
    static vly_screens screens, coded, out, again;
    static vly_machine m, same;
    static const uint8_t there[] = {0, 1, 0x5a, 0xff};
    vly_still *still = calloc(1, sizeof *still + VLY_STILL_MOST);
    for (int k = 0; k < ROMGEN_COUNT * 4; k++) {
        vly_rom *cart;
        CHECK_OK(vly_rom_create(&cart, rom, romgen((romgen_kind)(k / 4), 3, rom), NULL));
        const int height = vly_rom_get_properties(cart)->height;
        const size_t bytes = (size_t)height * VLY_SCREEN_WIDTH;
        memset(&screens, 0, sizeof screens);
        vly_machine_init(&m, cart);
        for (int i = 0; i < 4 + k % 2; i++) (void)vly_machine_frame(&m, cart, &screens);
        coded = screens, same = m;
        coded.shot[0].partial = 1;
        CHECK_EQ(vly_still_take(still, VLY_STILL_MOST, &m, height, &coded, NULL), 0);
        CHECK_EQ(still->frames, 0);
        memset(&out, there[k % 4], sizeof out);
        CHECK_EQ(vly_still_draw(still, VLY_STILL_MOST, cart, height, &out, NULL), 0);
        (void)vly_machine_frame(&m, cart, &screens);
        (void)vly_machine_frame(&same, cart, &out);
        CHECK_EQ(vly_still_take(still, VLY_STILL_MOST, &same, height, &out, NULL), 0);
        memset(&again, 0x5a, sizeof again);
        CHECK_EQ(vly_still_draw(still, VLY_STILL_MOST, cart, height, &again, NULL), 0);
        for (int b = 0; b < 2; b++) CHECK_EQ(memcmp(again.pixels[b], screens.pixels[b], bytes), 0);
        vly_rom_destroy(cart);
    }
    free(still);
}

/* ---- actors ---- */

typedef struct {
    void *state;
    uint8_t obs[VLY_SCREEN_BYTES], screen[VLY_SCREEN_BYTES], flags;
    float reward, score;
} player;

static volatile uint8_t sink;
/* Fills the stack that the next call uses. */
static __attribute__((noinline)) void fill_stack(uint8_t with) {
    volatile uint8_t there[400000];
    for (size_t i = 0; i < sizeof there; i++) there[i] = with;
    sink = there[7];
}

static vly_rows row_of(player *p, const vly_env *env) {
    return vly_rows_plain(p->obs, env->obs.bytes, &p->reward, &p->score, &p->flags);
}

static void compare(const vly_env *env, player p[2], size_t height, int step) {
    const int same = p[0].flags == p[1].flags && p[0].reward == p[1].reward &&
                     memcmp(p[0].obs, p[1].obs, env->obs.bytes) == 0;
    if (!same) fprintf(stderr, "%s: step %d\n", env->name, step);
    CHECK(same);
    CHECK_EQ(memcmp(p[0].state, p[1].state, env->state_bytes), 0);
    if (step % 16) return;
    fill_stack(1);
    vly_atari_screen(env, p[0].state, p[0].screen);
    fill_stack(2);
    vly_atari_screen(env, p[1].state, p[1].screen);
    CHECK_EQ(memcmp(p[0].screen, p[1].screen, height * VLY_SCREEN_WIDTH), 0);
}

/* Two actors with the same actions on stacks with different contents; returns the largest
 * still. */
static int nothing_comes_from_the_stack(const vly_env *env, int steps) {
    static player p[2];
    int most = 0;
    for (int i = 0; i < 2; i++) {
        p[i].state = aligned_alloc(64, env->state_bytes);
        memset(p[i].state, 17 + i, env->state_bytes);
        fill_stack((uint8_t)(51 * i + 3));
        env->reset(env, p[i].state, 4, row_of(&p[i], env));
    }
    uint32_t random = 77;
    for (int t = 0; t < steps && !(p[0].flags & VLY_ROW_FAILED); t++) {
        const int32_t action = (int32_t)((uint64_t)next(&random) * (unsigned)env->action.n >> 32);
        for (int i = 0; i < 2; i++) {
            fill_stack((uint8_t)(t * 3 + 120 * i));
            env->step(env, p[i].state, 1, vly_actions_of_ints(&action), row_of(&p[i], env));
        }
        const vly_atari_view v = vly_atari_look(env, p[0].state);
        compare(env, p, (size_t)v.height, t);
        if (v.still_bytes > most) most = v.still_bytes;
    }
    for (int i = 0; i < 2; i++) free(p[i].state);
    return most;
}

static vly_atari_options options_of(int which) {
    static const char *const presets[] = {"volley", "ale", "gymnasium", "envpool"};
    vly_atari_options o = vly_atari_default_options();
    CHECK_OK(vly_atari_preset(&o, presets[which & 3]));
    static const int skips[] = {4, 1, 3, 2, 5};
    o.frame_skip = skips[which % 5];
    o.sticky = 0.25f;
    if (which & 1) o.episodic_life = 1;
    if (which % 3 == 0) o.noop_max = 0;
    return o;
}

static void generated_cartridges_too(void) {
    static uint8_t rom[VLY_ROM_MAX_BYTES];
    for (int i = 0; i < ROMGEN_COUNT * 3; i++) {
        vly_env env;
        const size_t n = romgen((romgen_kind)(i % ROMGEN_COUNT), (uint64_t)i, rom);
        const vly_atari_options o = options_of(i);
        if (vly_atari_open_image(&env, vly_atari_game_find("koolaid"), rom, n, &o) != VLY_OK)
            continue;
        (void)nothing_comes_from_the_stack(&env, 30);
        env.close(&env);
    }
}

/* 0 where the ROM is not here. */
static int a_game(const char *name, int which, int steps) {
    vly_env env;
    const vly_atari_options o = options_of(which);
    if (vly_atari_open(&env, name, &o) != VLY_OK) return 0;
    const int most = nothing_comes_from_the_stack(&env, steps);
    printf("%s: preset %s, skip %d, %zu bytes, of them at most %d for older lines\n", name,
           o.preset, o.frame_skip, env.state_bytes, most);
    fflush(stdout);
    env.close(&env);
    return 1;
}

int main(int argc, char **argv) {
    static const char *const games[] = {"pong", "journey_escape", "qbert", "tic_tac_toe_3d",
                                        "alien"};
    if (argc > 1) {
        for (int g = 0; g < VLY_ATARI_GAMES; g++)
            if (argc < 3 || strcmp(vly_atari_games[g].name, argv[2]) == 0)
                for (int which = 0; which < 4; which++)
                    CHECK(a_game(vly_atari_games[g].name, which * 5, atoi(argv[1])));
        return TEST_PASS;
    }
    what_is_coded_comes_back();
    a_broken_code_is_refused_or_drawn();
    frames_since_are_drawn_too();
    a_frame_after_coded_pictures_is_kept();
    generated_cartridges_too();
    for (int g = 0; g < 5; g++)
        for (int which = 0; which < 5; which++)
            if (!a_game(games[g], which + g, 60))
                SKIP("Atari ROMs are not here: `make roms` fetches them (the tests without ROMs "
                     "passed)");
    return TEST_PASS;
}
