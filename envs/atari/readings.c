/* Score, end and lives of each game, read from its RAM after every emulated frame.
 *
 * Most games are a row: a score in packed BCD, an end that is a few bytes' conditions, lives in
 * some bits. The others have a function that runs after the row was read and corrects it. */
#include <string.h>
#include "envs/atari/games.h"

/* A condition on one byte; an end holds when all its conditions do. */
typedef struct {
    uint8_t at, mask, op, value;
} condition;
enum { NEVER, IS, IS_NOT, ABOVE };

typedef enum {
    LIVES_NONE,  /* 1 until the game is over */
    LIVES_ZERO,  /* always 0 */
    LIVES_ONE,   /* always 1 */
    LIVES_FIELD, /* read; 0 when the game is over */
    LIVES_RAW    /* read, whatever else */
} lives_kind;

typedef enum {
    CHANGE,
    GAIN /* never negative */,
    LOSS /* a score that is better when small */
} reward_kind;

typedef struct {
    const uint8_t *ram, *cart;
    int32_t previous; /* the score before this frame */
} seen;

typedef struct {
    const char *name;
    uint8_t digits, at[3]; /* packed BCD bytes, lowest first */
    int32_t scale;         /* of the score; 0 means 1 */
    reward_kind reward;
    int32_t wrap;  /* added to a negative reward: the counter's size */
    int32_t first; /* the score a game starts with */
    condition end[4];
    lives_kind lives;
    uint8_t lives_at, lives_mask, lives_shift;
    int8_t lives_add;
    int16_t lives_first;
    int16_t memo_first; /* memo[1] before the first frame */
    void (*correct)(vly_atari_reading *r, const seen *s);
} rules;

#define RAM(address) (s->ram[(address)&0x7f])

/* A packed BCD byte; nibbles above nine count as they are. */
static int bcd(uint8_t byte) {
    return 10 * (byte >> 4) + (byte & 15);
}

/* ---- the irregular games ---- */

/* One digit per byte; 10 is a blank and counts as 0. */
static int digit(uint8_t byte) {
    return (byte & 15) == 10 ? 0 : byte & 15;
}

static int digits(const seen *s, int lowest, int n) {
    int value = 0;
    for (int i = n - 1; i >= 0; i--) value = 10 * value + digit(RAM(lowest + i));
    return value;
}

static void scored(vly_atari_reading *r, const seen *s, int score) {
    r->score = score;
    r->reward = score - s->previous;
}

static void adventure(vly_atari_reading *r, const seen *s) {
    const int chalice_home = RAM(0xB9) == 0x12;
    r->reward = chalice_home ? 1 : r->memo[0];
    r->memo[0] = r->reward;
    r->over = RAM(0xE0) == 2 || chalice_home;
}

static int alien_digit(uint8_t byte) {
    return byte == 0x80 ? 0 : byte >> 3;
}

static void alien(vly_atari_reading *r, const seen *s) {
    scored(r, s,
           10 * (alien_digit(RAM(0x8B)) + 10 * alien_digit(RAM(0x89)) +
                 100 * alien_digit(RAM(0x87)) + 1000 * alien_digit(RAM(0x85)) +
                 10000 * alien_digit(RAM(0x83))));
}

/* The score is cleared with the last city: no reward for that. */
static void atlantis(vly_atari_reading *r, const seen *s) {
    if (!r->over) return;
    r->reward = 0;
    r->score = s->previous;
}

static void backgammon(vly_atari_reading *r, const seen *s) {
    int in[2] = {0, 0};
    for (int a = 0x80; a <= 0x9B; a++) {
        const int n = (int8_t)RAM(a);
        in[n > 0] += n > 0 ? n : -n;
    }
    r->reward = r->memo[0];
    r->over = (uint8_t)r->memo[1];
    if (in[0] != 15 || in[1] != 15) return;
    if (-(int8_t)RAM(0x80) == 15) r->memo[0] = 1, r->memo[1] = 1;
    if (-(int8_t)RAM(0x8E) == -15) r->memo[0] = -1, r->memo[1] = 1;
    r->reward = r->memo[0];
    r->over = (uint8_t)r->memo[1];
}

static void battle_zone(vly_atari_reading *r, const seen *s) {
    scored(r, s,
           1000 * (digit(RAM(0x9D) >> 4) + 10 * digit(RAM(0x9E)) + 100 * digit(RAM(0x9E) >> 4)));
}

/* The counter flickers while a life is lost; the byte at 8Ch marks the real change. */
static void beam_rider(vly_atari_reading *r, const seen *s) {
    const int16_t lives = (int16_t)(RAM(0x85) + 1), before = (int16_t)r->memo[0];
    r->lives = lives == before - 1 && RAM(0x8C) != 1 ? before : lives;
    r->memo[0] = r->lives;
}

static void blackjack(vly_atari_reading *r, const seen *s) {
    const int bust = RAM(0x86) == 0x0B && RAM(0x89) == 0xBB;
    scored(r, s, bust ? 0 : bcd(RAM(0x89)) + 100 * bcd(RAM(0x86)));
    r->over = bust || r->score >= 1000;
}

static int boxing_punches(uint8_t byte) {
    return byte == 0xC0 ? 100 : bcd(byte);
}

static void boxing(vly_atari_reading *r, const seen *s) {
    const int mine = boxing_punches(RAM(0x92)), theirs = boxing_punches(RAM(0x93));
    scored(r, s, mine - theirs);
    r->over = mine == 100 || theirs == 100 || (RAM(0x90) >> 4 == 0 && RAM(0x91) == 0);
}

static void breakout(vly_atari_reading *r, const seen *s) {
    const int x = RAM(0xCD), y = RAM(0xCC);
    scored(r, s, (x & 15) + 10 * (x >> 4) + 100 * (y & 15));
    if (RAM(0xB9) == 5) r->started = 1;
    r->over = r->started && RAM(0xB9) == 0;
}

static void casino(vly_atari_reading *r, const seen *s) {
    const int poker = RAM(0xD4) == 3, dealing = RAM(0xD3) >> 7;
    if (!poker && dealing) {
        r->reward = r->memo[0];
        r->score = s->previous;
    }
    r->memo[0] = r->reward;
    if (poker)
        r->over = r->score > 0 && RAM(0x9E) == 0xAA;
    else
        r->over = r->score == 0 || (bcd(RAM(0x9E)) > 0 && dealing);
}

static void chopper_command(vly_atari_reading *r, const seen *s) {
    r->started |= RAM(0xC2) & 1;
    r->over = (RAM(0xE4) & 15) == 0 && r->started;
}

static void crazy_climber(vly_atari_reading *r, const seen *s) {
    scored(r, s, 100 * (RAM(0x82) + 10 * RAM(0x83) + 100 * RAM(0x84) + 1000 * RAM(0x85)));
}

static void darkchambers(vly_atari_reading *r, const seen *s) {
    const int level = RAM(0xD5);
    const int dropped = level < r->memo[0] || r->score < s->previous;
    if (dropped) r->reward = 0;
    if (dropped || (RAM(0xCA) & 0x1F) == 0) r->memo[1] = 1;
    r->memo[0] = level;
    r->over = (uint8_t)r->memo[1];
}

static void defender(vly_atari_reading *r, const seen *s) {
    scored(r, s, digits(s, 0x9C, 6));
}

static void demon_attack(vly_atari_reading *r, const seen *s) {
    if (RAM(0x81) == 0xAB && RAM(0x83) == 0xCD && RAM(0x85) == 0xEA) scored(r, s, 0);
    r->over = RAM(0xF2) == 0 && RAM(0xF1) == 0xBD && !r->memo[1];
    r->memo[1] = 0;
}

static void double_dunk(vly_atari_reading *r, const seen *s) {
    const int mine = bcd(RAM(0xF6)), theirs = bcd(RAM(0xF7));
    scored(r, s, mine - theirs);
    r->over = (mine >= 24 || theirs >= 24) && RAM(0xFE) == 0xE7;
}

static void earthworld(vly_atari_reading *r, const seen *s) {
    (void)s;
    r->over = r->score == 10;
}

/* Cars still to pass count down: 200 on the first day, 300 on the others. */
static void enduro(vly_atari_reading *r, const seen *s) {
    const int day = RAM(0xAD), cars = bcd(RAM(0xAB)) + 100 * bcd(RAM(0xAC));
    scored(r, s, day == 0 ? 0 : day == 1 ? 200 - cars : 200 + (day - 2) * 300 + 300 - cars);
}

static void entombed(vly_atari_reading *r, const seen *s) {
    scored(r, s, RAM(0xE3));
}

static void fishing_derby(vly_atari_reading *r, const seen *s) {
    scored(r, s, bcd(RAM(0xBD)) - bcd(RAM(0xBE)));
    r->over = RAM(0xBD) == 0x99 || RAM(0xBE) == 0x99;
}

static void freeway(vly_atari_reading *r, const seen *s) {
    (void)s;
    r->reward = r->reward > 1 ? 1 : r->reward < 0 ? 0 : r->reward;
}

static void gopher(vly_atari_reading *r, const seen *s) {
    r->lives = (int16_t)__builtin_popcount(RAM(0xB4) & 7);
}

static void gravitar(vly_atari_reading *r, const seen *s) {
    r->lives = RAM(0x81) == 0 ? 6 : (int16_t)(RAM(0x84) + 1);
}

static void hangman(vly_atari_reading *r, const seen *s) {
    const int mine = bcd(RAM(0xEB)), theirs = bcd(RAM(0xEC)), timer = RAM(0xF1);
    r->reward = (mine - r->memo[0]) - (theirs - r->memo[1]);
    r->over = r->reward != 0 || (r->memo[2] == 255 && timer == 0);
    r->memo[0] = mine, r->memo[1] = theirs, r->memo[2] = timer;
}

static void haunted_house(vly_atari_reading *r, const seen *s) {
    const int matches = bcd(RAM(0x82));
    r->reward = matches != s->previous ? -1 : 0;
    r->score = matches;
    if (RAM(0x99) == 0x44) r->reward += 100;
    r->over = RAM(0x96) == 0 || RAM(0x99) == 0x44;
}

static void human_cannonball(vly_atari_reading *r, const seen *s) {
    r->over = r->score == 7 || bcd(RAM(0xB7)) == 7;
}

static void ice_hockey(vly_atari_reading *r, const seen *s) {
    scored(r, s, bcd(RAM(0x8A)) - bcd(RAM(0x8B)));
    if (r->reward > 1) r->reward = 1;
}

static void journey_escape(vly_atari_reading *r, const seen *s) {
    (void)s;
    if (r->reward == 50000) r->reward = 0; /* the score shown before a game */
}

static void kaboom(vly_atari_reading *r, const seen *s) {
    r->over = RAM(0xA1) == 0 || r->score == 999999;
}

/* Klax stores its score in the cartridge's RAM, F080h .. F0FFh. */
static void klax(vly_atari_reading *r, const seen *s) {
    const uint8_t *c = s->cart;
    scored(r, s, bcd(c[0x34]) + 100 * bcd(c[0x35]) + 10000 * bcd(c[0x36]));
    int tiles = 0;
    for (int a = 0xB3; a <= 0xCB; a++) {
        const int t = RAM(a);
        tiles += !(t == 0 || t == 2 || t == 6 || t == 10 || t == 14);
    }
    r->over = (c[0x69] > 0 && c[0x6E] == c[0x69]) || (RAM(0xA8) == 4 && tiles == 25) ||
              c[0x1D] == 0x99;
}

/* memo: hole, strokes so far, par so far. */
static void miniature_golf(vly_atari_reading *r, const seen *s) {
    const int hole = bcd(RAM(0xAF)), strokes = bcd(RAM(0x87)), par = bcd(RAM(0x88));
    r->reward = 0;
    if (hole != r->memo[0]) {
        r->reward = r->memo[2] - r->memo[1];
        r->over = hole == 0;
    }
    r->memo[0] = hole, r->memo[1] = strokes, r->memo[2] = par;
}

static void othello(vly_atari_reading *r, const seen *s) {
    scored(r, s, bcd(RAM(0xCE)) - bcd(RAM(0xD0)));
    r->memo[0] = RAM(0xC0) == 0 ? r->memo[0] + 1 : 0;
    r->over = r->memo[0] > 50;
}

static void phoenix(vly_atari_reading *r, const seen *s) {
    scored(r, s, 10 * (10 * (bcd(RAM(0xC8)) + 100 * bcd(RAM(0xC9))) + (RAM(0xC7) >> 4)));
}

static void pitfall(vly_atari_reading *r, const seen *s) {
    const int icons = RAM(0x80) >> 4;
    r->lives = icons == 0xA ? 3 : icons == 0x8 ? 2 : 1;
}

static void pitfall2(vly_atari_reading *r, const seen *s) {
    (void)s;
    r->over = r->score == 199000;
}

static void pong(vly_atari_reading *r, const seen *s) {
    scored(r, s, RAM(0x8E) - RAM(0x8D));
    r->over = RAM(0x8E) == 21 || RAM(0x8D) == 21;
}

/* memo: lives, the byte before. */
static void qbert(vly_atari_reading *r, const seen *s) {
    const int now = RAM(0x88), before = r->memo[1];
    r->over = now == 0xFE || (now == 2 && before == -1);
    if (r->over) {
        r->reward = 0;
        r->score = s->previous;
    }
    if (before - 1 == (int8_t)now) r->memo[0]--;
    r->lives = (int16_t)r->memo[0];
    r->memo[1] = (int8_t)now;
}

static void riverraid(vly_atari_reading *r, const seen *s) {
    static const uint8_t at[6] = {0xCD, 0xCF, 0xD1, 0xD3, 0xD5, 0xD7};
    int score = 0;
    for (int i = 0; i < 6; i++) {
        const int shape = RAM(at[i]);
        score = 10 * score + (shape % 8 == 0 && shape <= 72 ? shape / 8 : 0);
    }
    scored(r, s, score);
    const int now = RAM(0xC0);
    r->over = now == 0x58 && r->memo[1] == 0x59;
    r->lives = now == 0x58 ? 4 : now == 0x59 ? 1 : (int16_t)(now / 8 + 1);
    r->memo[1] = now;
}

static void road_runner(vly_atari_reading *r, const seen *s) {
    scored(r, s, 100 * digits(s, 0xC9, 4));
    r->over = (RAM(0xC4) & 7) == 0 && (RAM(0xB9) != 0 || RAM(0xBD) != 0);
}

static void robotank(vly_atari_reading *r, const seen *s) {
    scored(r, s, 12 * RAM(0xB6) + RAM(0xB5));
}

static void skiing(vly_atari_reading *r, const seen *s) {
    scored(r, s, 6000 * RAM(0xE8) + bcd(RAM(0xEA)) + 100 * bcd(RAM(0xE9)));
    r->reward = -r->reward;
}

static void space_invaders(vly_atari_reading *r, const seen *s) {
    r->over = (RAM(0x98) & 0x80) || RAM(0xC9) == 0;
}

static void space_war(vly_atari_reading *r, const seen *s) {
    r->over = r->score == 10 || RAM(0x80) == 0;
}

static void star_gunner(vly_atari_reading *r, const seen *s) {
    scored(r, s, 100 * digits(s, 0x83, 4));
    if (RAM(0x87) == 5) r->started = 1;
    r->lives = r->started ? RAM(0x87) & 15 : 5;
}

static void superman(vly_atari_reading *r, const seen *s) {
    r->over = (RAM(0x9F) & 0x40) && RAM(0x80) + 256 * RAM(0x81) == 0xF2AC;
    r->reward = r->over ? 5999 - (bcd(RAM(0xE2)) + 60 * bcd(RAM(0xE3))) : 0;
}

static void surround(vly_atari_reading *r, const seen *s) {
    const int mine = bcd(RAM(0xF7)), theirs = bcd(RAM(0xF6));
    scored(r, s, mine - theirs);
    r->over = mine == 10 || theirs == 10;
}

/* memo: point lead, game lead. */
static void tennis(vly_atari_reading *r, const seen *s) {
    const int mine = RAM(0xC7), theirs = RAM(0xC8);
    const int points = mine - theirs, games = RAM(0xC5) - RAM(0xC6);
    r->reward = r->memo[0] != points ? points - r->memo[0] : games - r->memo[1];
    r->memo[0] = points, r->memo[1] = games;
    r->over = (mine >= 6 && points >= 2) || (theirs >= 6 && points <= -2) || mine == 7 ||
              theirs == 7;
}

static void tetris(vly_atari_reading *r, const seen *s) {
    (void)s;
    if (r->over) r->score = 0;
}

static void tic_tac_toe_3d(vly_atari_reading *r, const seen *s) {
    r->reward = 0;
    if (RAM(0xFF) == 0xF3 && RAM(0xFE) == 0x10) {
        r->reward = RAM(0xE1) == 8 ? 1 : -1;
        r->memo[0] = 1;
    }
    int taken = 0;
    for (int a = 0x9A; a <= 0xD9; a++) taken += RAM(a) != 0;
    if (taken == 64) r->memo[0] = 1;
    r->over = (uint8_t)r->memo[0];
}

static void time_pilot(vly_atari_reading *r, const seen *s) {
    if ((RAM(0x80) & 15) == 2) r->memo[0] = (RAM(0x8B) & 7) + 1;
    r->lives = (int16_t)r->memo[0];
}

static void trondead(vly_atari_reading *r, const seen *s) {
    r->lives = (int16_t)(5 - RAM(0xC8));
}

static void turmoil(vly_atari_reading *r, const seen *s) {
    scored(r, s, 10 * (bcd(RAM(0x89)) + 100 * bcd(RAM(0x8A)) + RAM(0xD3)));
}

static void video_checkers(vly_atari_reading *r, const seen *s) {
    int black = 0, white = 0;
    for (int a = 0x80; a <= 0xA2; a++) {
        if (a == 0x88 || a == 0x91 || a == 0x9A) continue;
        black += RAM(a) == 0x10 || RAM(a) == 0x20;
        white += RAM(a) == 0x90 || RAM(a) == 0xA0;
    }
    if (!r->memo[1] && (black == 0 || white == 0)) {
        r->memo[0] = black == 0 ? -1 : 1;
        r->memo[1] = 1;
    }
    r->reward = r->memo[0];
    r->over = (uint8_t)r->memo[1];
}

static void video_chess(vly_atari_reading *r, const seen *s) {
    r->reward = 0;
    if (RAM(0xE1) == 0x82) {
        r->reward = RAM(0xEE) == 0 ? 1 : RAM(0xEE) == 1 ? -1 : 0;
        if (r->reward) r->memo[0] = 1;
    }
    r->over = (uint8_t)r->memo[0];
}

static void video_cube(vly_atari_reading *r, const seen *s) {
    (void)s;
    r->reward = 0;
}

static void video_pinball(vly_atari_reading *r, const seen *s) {
    r->lives = (int16_t)(4 + (RAM(0xA8) & 1) - (RAM(0x99) & 7));
}

static void wizard_of_wor(vly_atari_reading *r, const seen *s) {
    int score = bcd(RAM(0x86)) + 100 * bcd(RAM(0x88));
    if (score >= 8000) score -= 8000; /* a flag of the game in the top digit */
    scored(r, s, 100 * score);
    if (!(RAM(0xD7) & 1)) r->memo[0] = RAM(0x8D) & 15;
    r->lives = (int16_t)r->memo[0];
}

static void word_zapper(vly_atari_reading *r, const seen *s) {
    r->reward = 0;
    if (bcd(RAM(0xCF)) == 0) return;
    scored(r, s, 2 - (int8_t)RAM(0xDC));
    r->over = r->score == 3 || bcd(RAM(0xDE)) == 0;
}

/* ---- the table, in the order of vly_atari_games ---- */

static const rules table[VLY_ATARI_GAMES] = {
#include "envs/atari/readings.def"
};

static const rules *rules_of(const vly_atari_game *game) {
    return &table[game - vly_atari_games];
}

const char *vly_atari_rules_name(int i) {
    return table[i].name;
}

static int holds(const condition *c, const uint8_t *ram) {
    const uint8_t byte = ram[c->at & 0x7f] & c->mask;
    return c->op == IS ? byte == c->value : c->op == IS_NOT ? byte != c->value : byte > c->value;
}

static int ended(const rules *rule, const uint8_t *ram) {
    if (rule->end[0].op == NEVER) return 0;
    for (int i = 0; i < 4 && rule->end[i].op != NEVER; i++)
        if (!holds(&rule->end[i], ram)) return 0;
    return 1;
}

static int bcd_score(const rules *rule, const uint8_t *ram) {
    int score = 0;
    for (int i = rule->digits - 1; i >= 0; i--) score = 100 * score + bcd(ram[rule->at[i] & 0x7f]);
    return rule->scale ? score * rule->scale : score;
}

void vly_atari_reading_start(const vly_atari_game *game, vly_atari_reading *r) {
    const rules *rule = rules_of(game);
    memset(r, 0, sizeof *r);
    r->score = rule->first;
    r->lives = rule->lives_first;
    if (rule->lives == LIVES_FIELD) r->memo[0] = rule->lives_first;
    r->memo[1] = rule->memo_first;
}

void vly_atari_reading_update(const vly_atari_game *game, vly_atari_reading *r, const uint8_t *ram,
                              const uint8_t *cart_ram) {
    const rules *rule = rules_of(game);
    const seen s = {ram, cart_ram, r->score};
    if (rule->digits) {
        r->score = bcd_score(rule, ram);
        r->reward = r->score - s.previous;
    }
    r->over = (uint8_t)ended(rule, ram);
    if (rule->lives_mask)
        r->lives =
            (int16_t)(((ram[rule->lives_at & 0x7f] & rule->lives_mask) >> rule->lives_shift) +
                      rule->lives_add);
    if (rule->correct) rule->correct(r, &s);
    if (r->reward < 0 && rule->reward == GAIN) r->reward = 0;
    if (r->reward < 0) r->reward += rule->wrap;
}

int vly_atari_lives(const vly_atari_game *game, const vly_atari_reading *r) {
    switch (rules_of(game)->lives) {
    case LIVES_ZERO: return 0;
    case LIVES_ONE: return 1;
    case LIVES_NONE: return !r->over;
    case LIVES_RAW: return r->lives;
    default: return r->over ? 0 : r->lives;
    }
}
