#include "envs/atari/games.h"
#include <string.h>

uint8_t vly_atari_action_stick(int action) {
    enum {
        U = VLY_STICK_UP,
        D = VLY_STICK_DOWN,
        L = VLY_STICK_LEFT,
        R = VLY_STICK_RIGHT,
        F = VLY_STICK_FIRE
    };
    static const uint8_t sticks[VLY_ATARI_ACTIONS] = {
        0,     F,     U,     R,     L,     D,         U | R,     U | L,     D | R,
        D | L, U | F, R | F, L | F, D | F, U | R | F, U | L | F, D | R | F, D | L | F};
    return action >= 0 && action < VLY_ATARI_ACTIONS ? sticks[action] : 0;
}

const char *vly_atari_action_name(int action) {
    static const char *const names[VLY_ATARI_ACTIONS] = {
        "NOOP",     "FIRE",     "UP",          "RIGHT",      "LEFT",          "DOWN",
        "UPRIGHT",  "UPLEFT",   "DOWNRIGHT",   "DOWNLEFT",   "UPFIRE",        "RIGHTFIRE",
        "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE"};
    return action >= 0 && action < VLY_ATARI_ACTIONS ? names[action] : "?";
}

/* clang-format off */
static const uint16_t modes_0[] = {0, 1, 2};
static const uint8_t levels_0[] = {0, 1, 2, 3};
static const uint16_t modes_1[] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t levels_1[] = {0};
static const uint16_t modes_2[] = {0, 1, 2, 3};
static const uint16_t modes_3[] = {0};
static const uint8_t levels_2[] = {0, 3};
static const uint16_t modes_4[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
    19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 128};
static const uint8_t levels_3[] = {3};
static const uint16_t modes_5[] = {0, 4, 8, 12, 16, 20, 24, 28};
static const uint16_t modes_6[] = {5, 6, 7, 8};
static const uint8_t levels_4[] = {0, 2, 3};
static const uint16_t modes_7[] = {1, 2, 3};
static const uint8_t levels_5[] = {0, 1};
static const uint16_t modes_8[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18};
static const uint16_t modes_9[] = {0, 2, 4};
static const uint16_t modes_10[] = {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44};
static const uint16_t modes_11[] = {0, 2, 3};
static const uint16_t modes_12[] = {22, 86};
static const uint16_t modes_13[] = {0, 2};
static const uint16_t modes_14[] = {0, 2, 4, 6};
static const uint16_t modes_15[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16};
static const uint16_t modes_16[] = {1, 3, 5, 7};
static const uint16_t modes_17[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t levels_6[] = {0, 2};
static const uint16_t modes_18[] = {8, 9, 10};
static const uint16_t modes_19[] = {0, 1, 2, 3, 4, 5, 6, 7};
static const uint16_t modes_20[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const uint16_t modes_21[] = {0, 1, 2, 3, 4};
static const uint16_t modes_22[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
static const uint16_t modes_23[] = {0, 1};
static const uint16_t modes_24[] = {8, 24, 40};
static const uint16_t modes_25[] = {10, 30, 50, 70};
static const uint16_t modes_26[] = {6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
static const uint8_t levels_7[] = {0, 1, 2};
static const uint16_t modes_27[] = {0, 4, 8, 12};
static const uint16_t modes_28[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19};
static const uint16_t modes_29[] = {0, 1, 2, 100, 101, 102, 200, 201, 202, 300, 301, 302, 400, 401,
    402, 500, 501, 502, 600, 601, 602, 700, 701, 702, 800, 801, 802, 900, 901, 902, 1000, 1001,
    1002, 1100, 1101, 1102, 1200, 1201, 1202, 1300, 1301, 1302, 1400, 1401, 1402, 1500, 1501, 1502,
    1600, 1601, 1602, 1700, 1701, 1702, 1800, 1801, 1802, 1900, 1901, 1902, 2000, 2001, 2002, 2100,
    2101, 2102, 2200, 2201, 2202, 2300, 2301, 2302, 2400, 2401, 2402, 2500, 2501, 2502, 2600, 2601,
    2602, 2700, 2701, 2702, 2800, 2801, 2802, 2900, 2901, 2902, 3000, 3001, 3002, 3100, 3101, 3102,
    3200, 3201, 3202, 3300, 3301, 3302, 3400, 3401, 3402, 3500, 3501, 3502, 3600, 3601, 3602, 3700,
    3701, 3702, 3800, 3801, 3802, 3900, 3901, 3902, 4000, 4001, 4002, 4100, 4101, 4102, 4200, 4201,
    4202, 4300, 4301, 4302, 4400, 4401, 4402, 4500, 4501, 4502, 4600, 4601, 4602, 4700, 4701, 4702,
    4800, 4801, 4802, 4900, 4901, 4902, 5000, 5001, 5002};
static const uint16_t modes_30[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
    18, 19, 20, 21, 22, 23};
static const uint16_t modes_31[] = {0, 32, 64, 96};
static const uint16_t modes_32[] = {0, 8, 16, 24};

const vly_atari_game vly_atari_games[VLY_ATARI_GAMES] = {
    {"adventure", "4b27f5397c442d25f0c418ccdacf1926", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_0, levels_0, 3, 4, 0, NULL},
    {"air_raid", "35be55426c1fec32dfb503b4f0651572", {.cart = VLY_CART_4K}, 0x0181b, 18,
     {{1, 1}}, modes_1, levels_1, 8, 1, 1, NULL},
    {"alien", "f1a0a23e6464d954e3a9579c4ccd01c8", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_2, levels_0, 4, 4, 0, NULL},
    {"amidar", "acb7750b4d0c4bd34969802a7deb2990", {.cart = VLY_CART_4K, .difficulty_a = {1, 1}}, 0x03c3f, 18,
     {{0, 0}}, modes_3, levels_2, 1, 2, 0, NULL},
    {"assault", "de78b3a064d374390ac0710f95edde92", {.cart = VLY_CART_4K}, 0x0181f, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"asterix", "89a68746eff7f266bbf08de2483abe55", {.cart = VLY_CART_F8}, 0x003fd, 18,
     {{1, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"asteroids", "ccbd36746ed4525821a8083b0d6d2c2c", {.cart = VLY_CART_F8, .no_hmove_blanks = 1}, 0x0fcff, 18,
     {{0, 0}}, modes_4, levels_2, 33, 2, 0, NULL},
    {"atlantis", "9ad36e699ef6f45d9eb6c4cf90475c9f", {.cart = VLY_CART_4K}, 0x01803, 18,
     {{0, 0}}, modes_2, levels_1, 4, 1, 0, NULL},
    {"atlantis2", "826481f6fc53ea47c9f272f7050eedf7", {.cart = VLY_CART_4K}, 0x01803, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"backgammon", "8556b42aa05f94bc29ff39c39b11bff4", {.cart = VLY_CART_4K, .left = VLY_CONTROLLER_PADDLES}, 0x0001a, 18,
     {{0, 0}}, modes_3, levels_3, 1, 1, 0, NULL},
    {"bank_heist", "00ce0bdd43aed84a983bef38fe7f5ee3", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_5, levels_0, 8, 4, 0, NULL},
    {"basic_math", "819aeeb9a2e11deb54e6de334f843894", {.cart = VLY_CART_2K}, 0x0003f, 18,
     {{0, 0}}, modes_6, levels_4, 4, 3, 5, NULL},
    {"battle_zone", "41f252a66c6301f1e8ab3612c19bc5d4", {.cart = VLY_CART_F8, .no_hmove_blanks = 1}, 0x3ffff, 18,
     {{0, 0}}, modes_7, levels_1, 3, 1, 1, NULL},
    {"beam_rider", "79ab4123a83dc11d468fb2108ea09e2e", {.cart = VLY_CART_F8}, 0x018df, 18,
     {{3, 1}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"berzerk", "136f75c4dd02c29283752b7e5799f978", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_8, levels_1, 12, 1, 1, NULL},
    {"blackjack", "0a981c03204ac2b278ba392674682560", {.cart = VLY_CART_2K, .left = VLY_CONTROLLER_PADDLES}, 0x00027, 18,
     {{0, 0}}, modes_3, levels_0, 1, 4, 0, NULL},
    {"bowling", "c9b7afad3bfd922e006a6bfc1d4f3fe7", {.cart = VLY_CART_2K}, 0x02427, 18,
     {{0, 0}}, modes_9, levels_5, 3, 2, 0, NULL},
    {"boxing", "c3ef5c4653212088eda54dc91d787870", {.cart = VLY_CART_2K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_0, 1, 4, 0, NULL},
    {"breakout", "f34f08e5eb96e500e851a80be3277a56", {.cart = VLY_CART_2K, .left = VLY_CONTROLLER_PADDLES}, 0x0001b, 18,
     {{0, 0}}, modes_10, levels_5, 12, 2, 0, NULL},
    {"carnival", "028024fb8e5e5f18ea586652f9799c96", {.cart = VLY_CART_4K, .ystart = 26, .height = 214}, 0x0181b, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"casino", "b816296311019ab69a21cb9e9e235d12", {.cart = VLY_CART_4K, .left = VLY_CONTROLLER_PADDLES}, 0x00027, 18,
     {{0, 60}, {1, 2}}, modes_11, levels_0, 3, 4, 0, NULL},
    {"centipede", "91c2098e88a6b13f977af8c003e0bca5", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 0}}, modes_12, levels_1, 2, 1, 22, NULL},
    {"chopper_command", "c1cb228470a87beb5f36e90ac745da26", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_13, levels_5, 2, 2, 0, NULL},
    {"crazy_climber", "55ef7b65066428367844342ed59f956c", {.cart = VLY_CART_F8}, 0x003fd, 18,
     {{0, 0}}, modes_2, levels_5, 4, 2, 0, NULL},
    {"crossbow", "8cd26dcf249456fe4aeb8db42d49df74", {.cart = VLY_CART_F6}, 0x3ffff, 18,
     {{0, 0}}, modes_14, levels_5, 4, 2, 0, NULL},
    {"darkchambers", "106855474c69d08c8ffa308d47337269", {.cart = VLY_CART_F6SC, .no_hmove_blanks = 1}, 0x3ffff, 18,
     {{0, 486}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"defender", "0f643c34e40e3f1daafd9c524d3ffe64", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_15, levels_5, 10, 2, 1, NULL},
    {"demon_attack", "f0e0addc07971561ab80d9abe1b8d333", {.cart = VLY_CART_4K}, 0x0181b, 18,
     {{0, 0}}, modes_16, levels_5, 4, 2, 1, NULL},
    {"donkey_kong", "36b20c427975760cb9cf4a47e41369e4", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"double_dunk", "368d88a6c071caba60b4f778615aae94", {.cart = VLY_CART_F6}, 0x3ffff, 18,
     {{10, 1}}, modes_17, levels_1, 16, 1, 0, NULL},
    {"earthworld", "5aea9974b975a6a844e6df10d2b861c4", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"elevator_action", "71f8bacfbdca019113f3f0801849057e", {.cart = VLY_CART_F8SC}, 0x3ffff, 18,
     {{1, 16}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"enduro", "94b92a882f6dbaa6993a46e2dcc58402", {.cart = VLY_CART_4K}, 0x01b3b, 18,
     {{1, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"entombed", "6b683be69f92958abe0e2a9945157ad5", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{1, 1}, {0, 5}}, modes_3, levels_6, 1, 2, 0, NULL},
    {"et", "615a3bf251a38eb6638cdc7ffbde5480", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 0}}, modes_0, levels_0, 3, 4, 0, NULL},
    {"fishing_derby", "b8865f05676e64f3bec72b9defdacfa7", {.cart = VLY_CART_2K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_0, 1, 4, 0, NULL},
    {"flag_capture", "30512e0e83903fc05541d2f6a6a62654", {.cart = VLY_CART_2K}, 0x3ffff, 18,
     {{0, 0}}, modes_18, levels_1, 3, 1, 8, NULL},
    {"freeway", "8e0ab801b1705a740b476b7f588c6d16", {.cart = VLY_CART_2K}, 0x00025, 18,
     {{0, 0}}, modes_19, levels_5, 8, 2, 0, NULL},
    {"frogger", "081e2c114c9c20b61acf25fc95c71bf4", {.cart = VLY_CART_4K}, 0x0003d, 18,
     {{0, 0}}, modes_0, levels_5, 3, 2, 0, NULL},
    {"frostbite", "4ca73eb959299471788f0b685c3ba0b5", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_13, levels_1, 2, 1, 0, NULL},
    {"galaxian", "211774f4c5739042618be8ff67351177", {.cart = VLY_CART_F8}, 0x0181b, 18,
     {{0, 0}}, modes_20, levels_5, 9, 2, 1, NULL},
    {"gopher", "c16c79aad6272baffb8aae9a7fff0864", {.cart = VLY_CART_4K}, 0x01c1f, 18,
     {{1, 1}}, modes_13, levels_5, 2, 2, 0, NULL},
    {"gravitar", "8ac18076d01a6b63acf6e2cab4968940", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{1, 16}}, modes_21, levels_1, 5, 1, 0, NULL},
    {"hangman", "f16c709df0a6c52f47ff52b9d95b7d8d", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_2, levels_5, 4, 2, 0, NULL},
    {"haunted_house", "f0a6e99f5875891246c3dbecbf2d2cea", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_22, levels_5, 9, 2, 0, NULL},
    {"hero", "fca4a5be1251927027f2c24774a02160", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 0}}, modes_21, levels_1, 5, 1, 0, NULL},
    {"human_cannonball", "7972e5101fa548b952d852db24ad6060", {.cart = VLY_CART_2K}, 0x3ffff, 18,
     {{0, 0}}, modes_19, levels_5, 8, 2, 0, NULL},
    {"ice_hockey", "a4c08c4994eb9d24fb78be1793e82e26", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_13, levels_0, 2, 4, 0, NULL},
    {"jamesbond", "e51030251e440cffaab1ac63438b44ae", {.cart = VLY_CART_E0}, 0x3ffff, 18,
     {{0, 0}}, modes_23, levels_1, 2, 1, 0, NULL},
    {"journey_escape", "718ae62c70af4e5fd8e932fee216948a", {.cart = VLY_CART_4K, .height = 230}, 0x3fbfd, 18,
     {{1, 1}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"kaboom", "5428cdfada281c569c74c7308c7f2c26", {.cart = VLY_CART_2K, .left = VLY_CONTROLLER_PADDLES}, 0x0001b, 18,
     {{1, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"kangaroo", "4326edb70ff20d0ee5ba58fa5cb09d60", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 0}}, modes_23, levels_1, 2, 1, 0, NULL},
    {"keystone_kapers", "6c1f3f2e359dbf55df462ccbcdd2f6bf", {.cart = VLY_CART_4K}, 0x03fff, 18,
     {{40, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"king_kong", "0dd4c69b5f9a7ae96a7a08329496779a", {.cart = VLY_CART_4K}, 0x0003f, 18,
     {{0, 0}}, modes_2, levels_1, 4, 1, 0, NULL},
    {"klax", "eed9eaf1a0b6a2b9bc4c8032cb43e3fb", {.cart = VLY_CART_F6SC}, 0x3ffff, 18,
     {{1, 1}, {0, 1}}, modes_0, levels_1, 3, 1, 0, NULL},
    {"koolaid", "534e23210dd1993c828d944c6ac4d9fb", {.cart = VLY_CART_4K}, 0x003fd, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"krull", "4baada22435320d185c95b7dd2bcdb24", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"kung_fu_master", "5b92a93b23523ff16e2789b820e2a4c5", {.cart = VLY_CART_F8}, 0x3fb3d, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"laser_gates", "8e4cd60d93fcde8065c1a2b972a26377", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{40, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"lost_luggage", "2d76c5d1aad506442b9e9fb67765e051", {.cart = VLY_CART_4K}, 0x003fd, 9,
     {{1, 1}}, modes_23, levels_5, 2, 2, 0, NULL},
    {"mario_bros", "e908611d99890733be31733a979c62d8", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 10}, {1, 7}}, modes_14, levels_1, 4, 1, 0, NULL},
    {"miniature_golf", "df62a658496ac98a3aa4a6ee5719c251", {.cart = VLY_CART_2K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"montezuma_revenge", "3347a6dd59049b15a38394aa2dafa585", {.cart = VLY_CART_E0}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"mr_do", "aa7bb54d2c189a31bb1fa20099e42859", {.cart = VLY_CART_F8}, 0x03c3f, 18,
     {{1, 1}}, modes_2, levels_1, 4, 1, 0, NULL},
    {"ms_pacman", "87e79cd41ce136fd4f72cc6e2c161bee", {.cart = VLY_CART_F8, .no_hmove_blanks = 1}, 0x003fd, 18,
     {{0, 0}}, modes_2, levels_1, 4, 1, 0, NULL},
    {"name_this_game", "36306070f0c90a72461551a7a4f3a209", {.cart = VLY_CART_4K}, 0x0181b, 18,
     {{0, 0}}, modes_24, levels_5, 3, 2, 8, NULL},
    {"othello", "113cd09c9771ac278544b7e90efe7df2", {.cart = VLY_CART_2K}, 0x003ff, 18,
     {{0, 0}}, modes_0, levels_6, 3, 2, 0, NULL},
    {"pacman", "fc2233fc116faef0d3c31541717ca2db", {.cart = VLY_CART_4K}, 0x0003d, 18,
     {{0, 0}}, modes_19, levels_5, 8, 2, 0, NULL},
    {"phoenix", "7e52a95074a66640fcfde124fffd491a", {.cart = VLY_CART_F8}, 0x0383b, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"pitfall", "3e90cf23106f2e08b2781e41299de556", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{2, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"pitfall2", "6d842c96d5a01967be9680080dd5be54", {.cart = VLY_CART_DPC}, 0x3ffff, 18,
     {{2, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"pong", "60e0ea3cbe0913d39803477945e9e5ec", {.cart = VLY_CART_2K, .left = VLY_CONTROLLER_PADDLES, .right = VLY_CONTROLLER_PADDLES, .swap_paddles = 1}, 0x0181b, 18,
     {{0, 0}}, modes_23, levels_0, 2, 4, 0, NULL},
    {"pooyan", "4799a40b6e889370b7ee55c17ba65141", {.cart = VLY_CART_4K, .ystart = 26, .height = 220}, 0x02427, 18,
     {{0, 0}}, modes_25, levels_1, 4, 1, 10, NULL},
    {"private_eye", "ef3a4f64b6494ba770862768caf04b86", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{2, 1}}, modes_21, levels_0, 5, 4, 0, NULL},
    {"qbert", "484b0076816a104875e00467d431c2d2", {.cart = VLY_CART_4K, .ystart = 40}, 0x0003f, 18,
     {{0, 0}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"riverraid", "393948436d1f4cc3192410bb918f9724", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"road_runner", "ce5cc62608be2cd3ed8abd844efb8919", {.cart = VLY_CART_F6}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"robotank", "4f618c2429138e0280969193ed6c107e", {.cart = VLY_CART_FE}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"seaquest", "240bfbac5163af4df5ae713985386f92", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"sir_lancelot", "dd0cbe5351551a538414fb9e37fc56e8", {.cart = VLY_CART_F8}, 0x0181b, 18,
     {{40, 1}, {4, 1}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"skiing", "b76fbadc8ffb1f83e2ca08b6fb4d6c9f", {.cart = VLY_CART_2K}, 0x00019, 9,
     {{5, 16}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"solaris", "e72eb8d4410152bdcb69e7fba327b420", {.cart = VLY_CART_F6}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"space_invaders", "72ffbef6504b75e69ee1045af9075f66", {.cart = VLY_CART_4K}, 0x0181b, 18,
     {{0, 0}}, modes_17, levels_5, 16, 2, 0, NULL},
    {"space_war", "b702641d698c60bcdc922dbd8c9dd49c", {.cart = VLY_CART_2K}, 0x3ffff, 18,
     {{0, 0}}, modes_26, levels_1, 12, 1, 6, NULL},
    {"star_gunner", "a3c1c70024d7aabb41381adbfb6d3b25", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_2, levels_1, 4, 1, 0, NULL},
    {"superman", "a9531c763077464307086ec9a1fd057d", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_0, 1, 4, 0, NULL},
    {"surround", "4d7517ae69f95cfbc053be01312b7dba", {.cart = VLY_CART_2K, .swap_ports = 1}, 0x0003d, 18,
     {{0, 0}}, modes_13, levels_0, 2, 4, 0, NULL},
    {"tennis", "42cdd6a9e42a3639e190722b8ea3fc51", {.cart = VLY_CART_2K}, 0x3ffff, 18,
     {{0, 0}}, modes_13, levels_0, 2, 4, 0, NULL},
    {"tetris", "b0e1ee07fbc73493eac5651a52f90f00", {.cart = VLY_CART_2K}, 0x0003b, 18,
     {{0, 0}}, modes_3, levels_1, 1, 1, 0, NULL},
    {"tic_tac_toe_3d", "0db4f4150fecf77e4ce72ca4d04c052f", {.cart = VLY_CART_2K}, 0x003ff, 18,
     {{0, 0}}, modes_22, levels_6, 9, 2, 0, NULL},
    {"time_pilot", "fc2104dd2dadf9a6176c1c1c8f87ced9", {.cart = VLY_CART_F8}, 0x03c3f, 18,
     {{0, 0}}, modes_3, levels_7, 1, 3, 0, NULL},
    {"trondead", "fb27afe896e7c928089307b32e5642ee", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"turmoil", "7a5463545dfb2dcfdafa6074b2f2c15e", {.cart = VLY_CART_4K}, 0x01bff, 18,
     {{1, 1}}, modes_22, levels_1, 9, 1, 0, NULL},
    {"tutankham", "085322bae40d904f53bdcc56df0593fc", {.cart = VLY_CART_E0}, 0x01c3d, 18,
     {{0, 0}}, modes_27, levels_1, 4, 1, 0, NULL},
    {"up_n_down", "a499d720e7ee35c62424de882a3351b6", {.cart = VLY_CART_F8, .ystart = 30}, 0x02427, 18,
     {{1, 1}}, modes_3, levels_0, 1, 4, 0, NULL},
    {"venture", "3e899eba0ca8cd2972da1ae5479b4f0d", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 0}}, modes_3, levels_0, 1, 4, 0, NULL},
    {"video_checkers", "539d26b6e9df0da8e7465f0f5ad863b7", {.cart = VLY_CART_4K}, 0x003c2, 18,
     {{0, 0}}, modes_28, levels_1, 18, 1, 1, NULL},
    {"video_chess", "f0b7db930ca0e548c41a97160b9f6275", {.cart = VLY_CART_4K}, 0x003ff, 18,
     {{0, 0}}, modes_21, levels_1, 5, 1, 0, NULL},
    {"video_cube", "3f540a30fdee0b20aed7288e4a5ea528", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 61}, {1, 1}, {0, 2}}, modes_29, levels_5, 153, 2, 0, NULL},
    {"video_pinball", "107cc025334211e6d29da0b6be46aec7", {.cart = VLY_CART_4K}, 0x01c3f, 18,
     {{0, 0}}, modes_13, levels_5, 2, 2, 0, NULL},
    {"wizard_of_wor", "7e8aa18bc9502eb57daaf5e7c1e94da7", {.cart = VLY_CART_4K, .swap_ports = 1}, 0x03c3f, 18,
     {{0, 0}}, modes_3, levels_5, 1, 2, 0, NULL},
    {"word_zapper", "ec3beb6d8b5689e867bafb5d5f507491", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{0, 486}, {1, 1}, {0, 2}}, modes_30, levels_0, 24, 4, 0, NULL},
    {"yars_revenge", "c5930d0e8cdae3e037349bfa08e871be", {.cart = VLY_CART_4K}, 0x3ffff, 18,
     {{1, 1}}, modes_31, levels_5, 4, 2, 0, NULL},
    {"zaxxon", "eea0da9b987d661264cce69a7c13c3bd", {.cart = VLY_CART_F8}, 0x3ffff, 18,
     {{0, 0}}, modes_32, levels_1, 4, 1, 0, NULL},
};
/* clang-format on */

const vly_atari_game *vly_atari_game_find(const char *name) {
    for (int i = 0; i < VLY_ATARI_GAMES; i++)
        if (strcmp(vly_atari_games[i].name, name) == 0) return &vly_atari_games[i];
    return NULL;
}

const vly_atari_game *vly_atari_game_by_md5(const char *md5) {
    for (int i = 0; i < VLY_ATARI_GAMES; i++)
        if (strcmp(vly_atari_games[i].md5, md5) == 0) return &vly_atari_games[i];
    return NULL;
}

int vly_atari_has_mode(const vly_atari_game *game, int mode) {
    for (int i = 0; i < game->n_modes; i++)
        if (game->modes[i] == mode) return 1;
    return 0;
}

int vly_atari_has_difficulty(const vly_atari_game *game, int difficulty) {
    for (int i = 0; i < game->n_difficulties; i++)
        if (game->difficulties[i] == difficulty) return 1;
    return 0;
}
