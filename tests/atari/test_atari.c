/* Atari as an environment: names, refusals, generated ROMs, and real ones against what ALE gave. */
#include <unistd.h>
#include "tests/kit/check.h"
#include "common/base/crc32.h"
#include "common/config/config.h"
#include "envs/atari/atari.h"
#include "envs/atari/emulator.h"
#include "envs/atari/random.h"
#include "envs/atari/roms.h"
#include "envs/registry.h"

typedef struct {
    vly_env env;
    void *state;
    uint8_t *obs, flags;
    float reward, score;
} player;

static vly_rows rows(player *p) {
    return vly_rows_plain(p->obs, p->env.obs.bytes, &p->reward, &p->score, &p->flags);
}

static void begin(player *p, uint64_t seed) {
    p->state = aligned_alloc(64, p->env.state_bytes);
    p->obs = malloc(p->env.obs.bytes);
    memset(p->state, 0xA5, p->env.state_bytes);
    memset(p->obs, 0xA5, p->env.obs.bytes);
    p->env.reset(&p->env, p->state, seed, rows(p));
}

static void step(player *p, int action) {
    p->env.step(&p->env, p->state, 1, vly_actions_of_ints(&action), rows(p));
}

static void end(player *p) {
    free(p->state);
    free(p->obs);
    p->env.close(&p->env);
}

/* ---- without ROMs ---- */

static void the_table_is_in_order_and_whole(void) {
    for (int i = 0; i < VLY_ATARI_GAMES; i++) {
        const vly_atari_game *g = &vly_atari_games[i];
        vly_atari_reading r;
        if (i) CHECK(strcmp(vly_atari_games[i - 1].name, g->name) < 0);
        CHECK_EQ(strlen(g->md5), 32);
        CHECK(g->minimal != 0 && g->minimal < 1u << 18);
        CHECK(vly_atari_has_mode(g, g->default_mode));
        CHECK(g->n_difficulties > 0);
        CHECK(vly_atari_game_by_md5(g->md5) == g);
        vly_atari_reading_start(g, &r);
        CHECK_EQ(r.over, 0);
        CHECK_STR(vly_atari_rules_name(i), g->name);
    }
}

static void gymnasium_ids_bring_their_settings(void) {
    vly_atari_options o = vly_atari_default_options();
    CHECK_STR(vly_atari_named("ALE/MsPacman-v5", &o)->name, "ms_pacman");
    CHECK_NEAR(o.sticky, 0.25, 0);
    CHECK_STR(vly_atari_named("ALE/TicTacToe3D-v5", &o)->name, "tic_tac_toe_3d");
    CHECK_STR(vly_atari_named("PongNoFrameskip-v4", &o)->name, "pong");
    CHECK_NEAR(o.sticky, 0, 0);
    CHECK_EQ(o.frame_skip, 1);
    CHECK(vly_atari_named("ALE/-v5", &o) == NULL);
    CHECK(vly_atari_named("ALE/Pong-v4", &o) == NULL);
    CHECK(vly_atari_named("", &o) == NULL);
    for (int i = 0; i < VLY_ATARI_GAMES; i++)
        CHECK(vly_atari_named(vly_atari_games[i].name, &o) == &vly_atari_games[i]);
    CHECK(vly_atari_preset(&o, "nature") != VLY_OK);
    CHECK(strstr(vly_error_text(), "machado"));
}

/* Under the preset, and that under the rest. */
static void what_an_id_sets_is_the_lowest_layer(void) {
    static const struct {
        const char *name, *given;
        float sticky;
        int full_actions, frame_skip;
    } cases[] = {
        {"ALE/Pong-v5", NULL, 0.25f, false, 4},
        {"ALE/Pong-v5", "atari.full_actions=true", 0.25f, true, 4},
        {"ALE/Pong-v5", "atari.preset=machado", 0.25f, true, 5},
        {"ALE/Pong-v5", "atari.frame_skip=3 atari.preset=machado atari.sticky=0", 0, true, 3},
        {"ALE/Pong-v5", "atari.preset=machado atari.preset=ale", 0, false, 4},
        {"PongNoFrameskip-v4", "atari.preset=dqn", 0, false, 1},
        {"pong", "atari.preset=machado", 0.25f, true, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const vly_env_args args = {.options = cases[i].given};
        vly_atari_options o;
        CHECK_OK(vly_atari_options_read(&o, cases[i].name, &args));
        CHECK(o.sticky == cases[i].sticky && o.full_actions == cases[i].full_actions);
        CHECK_EQ(o.frame_skip, cases[i].frame_skip);
    }
}

static void check_same_options(const vly_atari_options *a, const vly_atari_options *b) {
    CHECK(a->sticky == b->sticky);
    CHECK_EQ(a->full_actions, b->full_actions);
    CHECK_EQ(a->frame_skip, b->frame_skip);
    CHECK_EQ(a->noop_max, b->noop_max);
    CHECK_EQ(a->fire_reset, b->fire_reset);
    CHECK_EQ(a->episodic_life, b->episodic_life);
    CHECK_EQ(a->reward_mode, b->reward_mode);
    CHECK_EQ(a->max_frames, b->max_frames);
    CHECK_EQ(a->stale_terminal, b->stale_terminal);
    CHECK_STR(a->preset, b->preset);
}

/* The run's configuration and the environment resolve a preset to the same options. */
static void the_options_of_a_run_arrive(void) {
    static const char *const names[] = {"volley", "gymnasium", "ale", "envpool", "machado", "dqn"};
    static vly_config config;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vly_assignments given = {0};
        vly_atari_options o = vly_atari_default_options(), read, brief;
        char text[64];
        CHECK_OK(vly_assignments_add(&given, "atari.preset", names[i], "--atari.preset"));
        CHECK_OK(vly_config_layers(&config, &given, "pong", "atari"));
        vly_env_args args = vly_config_env_args(&config);
        CHECK_OK(vly_atari_options_read(&read, "pong", &args));
        CHECK_OK(vly_atari_preset(&o, names[i]));
        check_same_options(&read, &o);
        snprintf(text, sizeof text, "other.key=1 atari.preset=%s", names[i]);
        args = (vly_env_args){.options = text};
        CHECK_OK(vly_atari_options_read(&brief, "pong", &args));
        check_same_options(&brief, &o);
        vly_assignments_free(&given);
    }
    vly_atari_options o;
    /* The last is right up to the 63 characters that the option holds. */
    const vly_env_args wrong[] = {{.options = "atari.colour=1"},
                                  {.options = "atari.stack=17"},
                                  {.options = "atari.drift=1000:0/1,2000:0/0,3000:0/1,4000:0/"
                                              "0,5000:0/1,6000:0/0,70000:0/1,80000:0/0"}};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(vly_atari_options_read(&o, "pong", &wrong[i]), VLY_EINVAL);
        if (i == 1)
            CHECK(strstr(vly_error_text(), "atari.stack: '17' is not a whole number from 1 to 16"));
    }
}

static void a_missing_rom_says_which_where_and_how(void) {
    const vly_env_args args = {.data = "/nonexistent"};
    vly_env env;
    CHECK_EQ(vly_env_open(&env, "pong", &args), VLY_ENOTFOUND);
    CHECK(strstr(vly_error_text(), "60e0ea3cbe0913d39803477945e9e5ec"));
    CHECK(strstr(vly_error_text(), "/nonexistent") && strstr(vly_error_text(), "make roms"));
}

static void a_file_of_the_name_that_is_another_rom_is_named(void) {
    char folder[] = "/tmp/volley_roms_XXXXXX", path[64];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/pong.bin", folder);
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 1500; i++) fputc(i, f); /* cut off */
    fclose(f);
    const vly_env_args args = {.data = folder};
    vly_env env;
    CHECK_EQ(vly_env_open(&env, "pong", &args), VLY_ENOTFOUND);
    CHECK(strstr(vly_error_text(), "pong.bin is there but is not it (1500 bytes"));
    remove(path);
    rmdir(folder);
}

/* 4 KB: a colour from RAM on every line, RAM from the stick, 262 lines a frame. */
static void make_rom(uint8_t rom[4096]) {
    static const uint8_t code[] = {0x78, 0xD8, 0xA2, 0xFF, 0x9A, /* SEI CLD LDX #FF TXS */
                                   0xA9, 2,    0x85, 0,    0x85, 2,    0x85, 2,
                                   0x85, 2,    0xA9, 0,    0x85, 0, /* three lines of VSYNC */
                                   0xAD, 0x80, 0x02, 0x65, 0x90, 0x85, 0x90, /* LDA SWCHA, ADC 90,
                                                                                STA 90 */
                                   0xA4, 0x90, 0xA2, 129,                    /* LDY 90, LDX #129 */
                                   0x85, 2,    0x84, 9,    0xC8, 0x85, 2,    0x84,
                                   9,    0xC8, 0xCA, 0xD0, 0xF3, /* two lines each */
                                   0x4C, 5,    0xF0};
    memset(rom, 0xEA, 4096);
    memcpy(rom, code, sizeof code);
    rom[0xFFC] = 0, rom[0xFFD] = 0xF0, rom[0xFFE] = 0, rom[0xFFF] = 0xF0;
}

static void open_generated(player *p, const vly_atari_options *o) {
    uint8_t rom[4096];
    make_rom(rom);
    CHECK_OK(vly_atari_open_image(&p->env, vly_atari_game_find("koolaid"), rom, sizeof rom, o));
}

static void a_copy_goes_on_like_the_original(void) {
    player a, b;
    open_generated(&a, NULL), open_generated(&b, NULL);
    begin(&a, 5), begin(&b, 6);
    for (int i = 0; i < 200; i++) {
        memcpy(b.state, a.state, a.env.state_bytes);
        step(&a, i % a.env.action.n);
        memset(b.obs, 0, b.env.obs.bytes);
        step(&b, i % a.env.action.n);
        CHECK_EQ(memcmp(a.obs, b.obs, a.env.obs.bytes), 0);
        CHECK_EQ(memcmp(a.state, b.state, a.env.state_bytes), 0);
    }
    end(&a), end(&b);
}

static void many_at_once_are_as_one_by_one(void) {
    enum { N = 5 };
    player one[N], all;
    open_generated(&all, NULL);
    char *states = aligned_alloc(64, N * all.env.state_bytes);
    uint8_t *obs = malloc(N * all.env.obs.bytes), flags[N];
    float reward[N], score[N];
    const vly_rows out = vly_rows_plain(obs, all.env.obs.bytes, reward, score, flags);
    for (int i = 0; i < N; i++) {
        open_generated(&one[i], NULL);
        begin(&one[i], (uint64_t)i);
        all.env.reset(&all.env, states + (size_t)i * all.env.state_bytes, (uint64_t)i,
                      vly_rows_at(out, (size_t)i));
    }
    for (int t = 0; t < 60; t++) {
        int32_t action[N];
        for (int i = 0; i < N; i++)
            action[i] = (t * 7 + i) % all.env.action.n, step(&one[i], action[i]);
        all.env.step(&all.env, states, N, vly_actions_of_ints(action), out);
        for (int i = 0; i < N; i++)
            CHECK_EQ(memcmp(obs + (size_t)i * all.env.obs.bytes, one[i].obs, all.env.obs.bytes), 0);
    }
    for (int i = 0; i < N; i++) end(&one[i]);
    free(states), free(obs);
    all.env.close(&all.env);
}

static void a_time_limit_truncates_and_the_next_step_resets(void) {
    vly_atari_options o = vly_atari_default_options();
    o.max_frames = 400, o.noop_max = 0, o.fire_reset = 0;
    player p;
    open_generated(&p, &o);
    begin(&p, 1);
    CHECK_EQ(p.flags, VLY_ROW_RESET);
    for (int t = 1; t <= 100; t++) {
        step(&p, 0);
        CHECK_EQ(p.flags, t < 100 ? 0 : VLY_ROW_TRUNCATED | VLY_ROW_GAME_OVER);
    }
    step(&p, 0);
    CHECK_EQ(p.flags, VLY_ROW_RESET);
    end(&p);
}

static void a_console_that_stops_is_reported(void) {
    uint8_t rom[4096];
    memset(rom, 0x02, sizeof rom); /* JAM */
    rom[0xFFC] = 0, rom[0xFFD] = 0xF0;
    player p;
    CHECK_OK(vly_atari_open_image(&p.env, vly_atari_game_find("koolaid"), rom, sizeof rom, NULL));
    begin(&p, 1);
    step(&p, 0);
    CHECK_EQ(p.flags, VLY_ROW_FAILED);
    end(&p);
}

static void options_out_of_range_are_refused(void) {
    uint8_t rom[4096];
    make_rom(rom);
    const vly_atari_game *g = vly_atari_game_find("pong");
    vly_atari_options o = vly_atari_default_options();
    vly_env env;
    o.mode = 5;
    CHECK_EQ(vly_atari_open_image(&env, g, rom, sizeof rom, &o), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "it has 0, 1"));
    o.mode = -1, o.size = 300;
    CHECK_EQ(vly_atari_open_image(&env, vly_atari_game_find("koolaid"), rom, sizeof rom, &o),
             VLY_EINVAL);
    o.size = 84, o.sticky = NAN;
    CHECK_EQ(vly_atari_open_image(&env, g, rom, sizeof rom, &o), VLY_EINVAL);
    CHECK(vly_atari_open_image(&env, vly_atari_game_find("koolaid"), rom, 100, NULL) != VLY_OK);
}

/* ---- with ROMs ---- */

static vly_rom *rom_of(const vly_atari_game *game) {
    uint8_t bytes[VLY_ROM_MAX_BYTES];
    size_t n;
    vly_rom *rom;
    CHECK_OK(vly_atari_rom_read(game, NULL, bytes, &n));
    CHECK_OK(vly_rom_create(&rom, bytes, n, &game->machine));
    return rom;
}

/* crc32 over RAM, then screen, of 2,000 frames as ALE 0.12.1 gave them: random_seed 11, sticky
 * 0.25. */
static void frames_are_ales(const char *name, uint32_t gold) {
    const vly_atari_game *game = vly_atari_game_find(name);
    vly_rom *rom = rom_of(game);
    const vly_emulator_rules rules = {game, rom, 0.25f, 0, game->default_mode, 0};
    static vly_emulator e;
    static vly_screens screens;
    const size_t screen = 160 * (size_t)vly_rom_get_properties(rom)->height;
    CHECK_OK(vly_emulator_load(&e, &rules, 11, &screens));
    uint32_t crc = 0, s = 1;
    for (int i = 0; i < 2000; i++) {
        s = s * 1664525u + 1013904223u;
        (void)vly_emulator_act(&e, &rules, (int)((uint64_t)s * 18 >> 32), &screens);
        crc = vly_crc32(crc, e.machine.ram, 128);
        if (i % 10 == 0) crc = vly_crc32(crc, vly_machine_screen(&e.machine, &screens), screen);
        if (vly_emulator_over(&e)) (void)vly_emulator_reset(&e, &rules, &screens);
    }
    if (crc != gold) fprintf(stderr, "%s: %08x, ALE gave %08x\n", name, crc, gold);
    CHECK_EQ(crc, gold);
    vly_rom_destroy(rom);
}

/* The console draws two frames of four; one that draws all must show the same. */
static void frames_not_drawn_are_not_missed(const char *name) {
    const vly_env_args args = {.options = "atari.noop_max=0 atari.fire_reset=no"};
    player p;
    CHECK_OK(vly_env_open(&p.env, name, &args));
    begin(&p, 3);
    const vly_atari_game *game = vly_atari_game_find(name);
    vly_rom *rom = rom_of(game);
    const vly_emulator_rules rules = {game, rom, 0, 108000, game->default_mode, 0};
    static vly_emulator e;
    static vly_screens screens;
    CHECK_OK(vly_emulator_load(&e, &rules, 3, &screens));
    (void)vly_emulator_reset(&e, &rules, &screens);
    for (int t = 0; t < 400 && !(p.flags & VLY_ROW_ENDED); t++) {
        const int action = (t / 3 * 5) % p.env.action.n;
        step(&p, action);
        for (int i = 0; i < 4 && !vly_emulator_over(&e); i++)
            (void)vly_emulator_act(&e, &rules, vly_atari_action(&p.env, action), &screens);
        const vly_atari_view v = vly_atari_look(&p.env, p.state);
        if (p.flags & VLY_ROW_ENDED) break;
        CHECK_EQ(memcmp(v.ram, e.machine.ram, 128), 0);
        static uint8_t screen[VLY_SCREEN_BYTES];
        vly_atari_screen(&p.env, p.state, screen);
        CHECK_EQ(memcmp(screen, vly_machine_screen(&e.machine, &screens), 160 * (size_t)v.height),
                 0);
    }
    vly_rom_destroy(rom);
    end(&p);
}

int main(void) {
    the_table_is_in_order_and_whole();
    gymnasium_ids_bring_their_settings();
    what_an_id_sets_is_the_lowest_layer();
    the_options_of_a_run_arrive();
    a_missing_rom_says_which_where_and_how();
    a_file_of_the_name_that_is_another_rom_is_named();
    a_copy_goes_on_like_the_original();
    many_at_once_are_as_one_by_one();
    a_time_limit_truncates_and_the_next_step_resets();
    a_console_that_stops_is_reported();
    options_out_of_range_are_refused();
    uint8_t found[VLY_ATARI_GAMES];
    if (vly_atari_rom_scan(NULL, found) < VLY_ATARI_GAMES)
        SKIP("some Atari ROMs are not here: `make roms` fetches them (the tests without ROMs "
             "passed)");
    static const struct {
        const char *name;
        uint32_t crc;
    } gold[] = {
        {"pong", 0xd881aa59u},      {"breakout", 0x81f959d2u}, {"tetris", 0xdc73118eu},
        {"pitfall2", 0x2662cd3du},  {"klax", 0x5db5a9afu},     {"robotank", 0x1003ccc7u},
        {"jamesbond", 0x766f4541u}, {"pacman", 0x7d49e59du},   {"space_invaders", 0x9317f7bfu},
    };
    for (size_t i = 0; i < sizeof gold / sizeof *gold; i++) {
        frames_are_ales(gold[i].name, gold[i].crc);
        frames_not_drawn_are_not_missed(gold[i].name);
    }
    return TEST_PASS;
}
