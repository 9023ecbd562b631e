/* The peers' generators, against numbers that NumPy 2.4 and libstdc++ 12 printed. */
#include "tests/kit/check.h"
#include "envs/atari/random.h"

static void seed_sequence_and_pcg64_are_numpys(void) {
    static const struct {
        uint64_t seed;
        uint32_t words[2], below_30[9];
        uint64_t then;
    } gold[] = {
        {0u, {0xb0f478beu, 0xdb2cd7e7u}, {25, 19, 15, 8, 9, 1, 2, 0, 5}, 0xe9aa5979a6401c4eu},
        {1u, {0x6d6791ffu, 0x672d8ee5u}, {14, 15, 22, 28, 1, 4, 24, 28, 7}, 0x6c5f1f45de787048u},
        {7u, {0x7c326e58u, 0xead0f701u}, {28, 18, 20, 26, 17, 23, 25, 6, 1}, 0xdfa132d748fa2734u},
        {123u, {0x295844f6u, 0xb1383ed0u}, {0, 20, 17, 1, 27, 6, 7, 5, 10}, 0xcfe56cf359099649u},
        {2147483647u,
         {0x72daeceau, 0x46b33a7u},
         {24, 8, 5, 28, 15, 13, 27, 19, 29},
         0x7780c1f659d00ca8u},
        {4294967295u,
         {0x76c1fe08u, 0x2a05c5e2u},
         {5, 7, 21, 6, 27, 8, 6, 18, 21},
         0x4bc478ea21bb26b3u},
        {1099511627781u,
         {0xe08a170bu, 0xdae41755u},
         {0, 0, 13, 11, 27, 17, 26, 4, 0},
         0xfc65016fe39c09e5u},
    };
    for (size_t i = 0; i < sizeof gold / sizeof *gold; i++) {
        uint32_t words[2];
        vly_seed_sequence(gold[i].seed, words, 2);
        CHECK_EQ(words[0], gold[i].words[0]);
        CHECK_EQ(words[1], gold[i].words[1]);
        vly_integers rng;
        vly_integers_seed(&rng, gold[i].seed);
        for (int k = 0; k < 9; k++) CHECK_EQ(vly_integers_below(&rng, 30), gold[i].below_30[k]);
        CHECK(vly_pcg64_next(&rng.pcg) == gold[i].then);
    }
}

static void mt19937_and_its_uniform_int_are_libstdcpps(void) {
    static const struct {
        uint32_t seed, first, late, below_30[8], below_2_30[4];
    } gold[] = {
        {0u,
         2357136044u,
         2659369861u,
         {17, 11, 7, 2, 5, 29, 25, 26},
         {62851394, 505325345, 508083948, 515131799}},
        {1u,
         1791095845u,
         3866642891u,
         {3, 26, 23, 18, 3, 23, 29, 23},
         {190225347, 614615309, 737191601, 48152304}},
        {7u,
         327741615u,
         1320486142u,
         {25, 29, 0, 23, 29, 1, 16, 3},
         {195442575, 81813962, 440234235, 142639316}},
        {5489u,
         3499211612u,
         1807552501u,
         {5, 20, 1, 20, 19, 6, 8, 29},
         {578313778, 746425631, 798641259, 535921740}},
        {4753849u,
         3205607096u,
         639275191u,
         {7, 10, 15, 13, 8, 11, 17, 7},
         {678236413, 790385574, 141556035, 668753280}},
        {4294967295u,
         419326371u,
         2064687002u,
         {7, 17, 4, 0, 10, 18, 23, 7},
         {377780600, 824783666, 300205065, 406390423}},
    };
    for (size_t i = 0; i < sizeof gold / sizeof *gold; i++) {
        vly_mt19937 mt;
        vly_mt19937_seed(&mt, gold[i].seed);
        CHECK_EQ(vly_mt19937_next(&mt), gold[i].first);
        for (int k = 0; k < 1300; k++) (void)vly_mt19937_next(&mt);
        CHECK_EQ(vly_mt19937_next(&mt), gold[i].late);
        for (int k = 0; k < 8; k++) CHECK_EQ(vly_uniform_int(&mt, 30), gold[i].below_30[k]);
        for (int k = 0; k < 4; k++)
            CHECK_EQ(vly_uniform_int(&mt, (1u << 30) + 1), gold[i].below_2_30[k]);
    }
}

int main(void) {
    seed_sequence_and_pcg64_are_numpys();
    mt19937_and_its_uniform_int_are_libstdcpps();
    return TEST_PASS;
}
