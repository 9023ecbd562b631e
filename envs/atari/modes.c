#include "envs/atari/modes.h"
#include <string.h>

/* clang-format off */
#define AT(address) .at = 0x##address, .mask = 0xFF, .times = 1
static const vly_atari_select selects[] = {
    {"adventure", 1, .at = 0x80, .mask = 0, .only_default = 1},
    {"air_raid", 1, AT(AA), .press_first = 1},
    {"alien", 1, AT(81)},
    {"asteroids", 2, AT(80)},
    {"atlantis", 2, AT(8D)},
    {"backgammon", 1, .at = 0x80, .mask = 0, .pairs = 1, .press_first = 1},
    {"bank_heist", 1, AT(80)},
    {"basic_math", 2, AT(C5)},
    {"battle_zone", 2, AT(A1)},
    {"berzerk", 2, AT(80), .wait = 20},
    {"bowling", 2, AT(82)},
    {"breakout", 1, AT(B2)},
    {"casino", 2, AT(D4)},
    {"centipede", 2, AT(A7)},
    {"chopper_command", 2, AT(E0)},
    {"crazy_climber", 2, AT(80)},
    {"crossbow", 2, AT(E9), .press_first = 1},
    {"defender", 2, AT(9B)},
    {"demon_attack", 1, AT(EA)},
    {"double_dunk", .dunk_menu = 1},
    {"et", 25, AT(EA), .add = 1},
    {"flag_capture", 2, AT(D7), .bcd = 1},
    {"freeway", 1, AT(80)},
    {"frogger", 2, .at = 0xDD, .mask = 0xFF, .times = 2, .add = 1},
    {"frostbite", 1, AT(80)},
    {"galaxian", 1, AT(B3)},
    {"gopher", 5, AT(D3), .resets = 2},
    {"gravitar", 10, AT(80)},
    {"hangman", 2, AT(EE)},
    {"haunted_house", 2, AT(CC)},
    {"hero", 1, AT(80)},
    {"human_cannonball", 2, AT(B6), .add = 1, .pairs = 1, .press_first = 1},
    {"ice_hockey", 2, AT(80)},
    {"jamesbond", 2, AT(DE)},
    {"kangaroo", 1, .at = 0xBA, .mask = 0x7F, .times = 1},
    {"king_kong", 2, .at = 0xEC, .mask = 0xFF, .times = 2},
    {"klax", 2, AT(6A), .cart = 1},
    {"lost_luggage", 2, .at = 0xA7, .mask = 0xFF, .times = 3, .press_first = 1},
    {"mario_bros", 5, AT(80)},
    {"mr_do", 5, AT(80)},
    {"ms_pacman", 10, .at = 0x93, .mask = 3, .times = 1, .add = 3},
    {"name_this_game", 2, AT(DE)},
    {"othello", 2, AT(DE), .add = 1},
    {"pacman", 2, AT(CC), .add = 1, .pairs = 1, .press_first = 1},
    {"pong", 2, AT(96)},
    {"pooyan", 2, AT(BD), .press_first = 1},
    {"private_eye", 2, AT(80)},
    {"space_invaders", 2, AT(DC)},
    {"space_war", 2, AT(84), .bcd = 1},
    {"star_gunner", 14, AT(F4)},
    {"surround", 2, AT(F9), .add = 1},
    {"tennis", 2, AT(80)},
    {"tic_tac_toe_3d", 2, AT(88)},
    {"turmoil", 2, AT(EA)},
    {"tutankham", 2, AT(AB)},
    {"video_checkers", 1, AT(F6), .bcd = 1},
    {"video_chess", 1, AT(EA)},
    {"video_pinball", 2, AT(C1)},
    {"video_cube", 2, .at = 0xFB, .mask = 0x0F, .times = 1, .cube = 1},
    {"word_zapper", 2, AT(DB)},
    {"yars_revenge", 1, AT(E3), .press_first = 1},
    {"zaxxon", 10, AT(82)},
};
/* clang-format on */

const vly_atari_select *vly_atari_select_of(const vly_atari_game *game) {
    for (size_t i = 0; i < sizeof selects / sizeof *selects; i++)
        if (strcmp(selects[i].name, game->name) == 0) return &selects[i];
    return NULL;
}

int vly_atari_cube_of(int mode) {
    const int cube = mode < 100 ? 1 : mode / 100;
    return cube / 10 * 16 + cube % 10;
}

int vly_atari_select_done(const vly_atari_select *select, int mode, const uint8_t *ram,
                          const uint8_t *cart_ram) {
    const uint8_t byte = (select->cart ? cart_ram : ram)[select->at & 0x7F] & select->mask;
    int value = select->times * mode + select->add;
    if (select->cube) value = mode % 100 == 2 ? 8 : mode % 100 == 1 ? 2 : 0;
    if (select->bcd) value = value / 10 * 16 + value % 10;
    return byte == (value & select->mask);
}
