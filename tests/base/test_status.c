#include "common/base/philox.h"
#include "tests/kit/check.h"

static void a_failure_keeps_its_words(void) {
    CHECK_EQ(vly_fail(VLY_EIO, "cannot read %s", "x"), VLY_EIO);
    CHECK_STR(vly_error_text(), "cannot read x");
    vly_fail(VLY_EIO, "while loading: %s", vly_error_text());
    CHECK_STR(vly_error_text(), "while loading: cannot read x");
}

static void philox_matches_random123(void) { /* the known-answer vector with all-ones input */
    vly_u32x4 r = vly_philox(UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT32_MAX);
    CHECK_EQ(r.v[0], 0x408f276du);
    CHECK_EQ(r.v[1], 0x41c83b0eu);
    CHECK_EQ(r.v[2], 0xa20bc7c6u);
    CHECK_EQ(r.v[3], 0x6d5451fdu);
    r = vly_philox(0, 0, 0, 0);
    CHECK_EQ(r.v[0], 0x6627e8d5u);
}

static void unit_is_inside_the_open_interval(void) {
    CHECK(vly_unit(0) > 0.0f && vly_unit(UINT32_MAX) < 1.0f);
    CHECK_EQ(vly_below(UINT32_MAX, 7), 6);
}

int main(void) {
    a_failure_keeps_its_words();
    philox_matches_random123();
    unit_is_inside_the_open_interval();
    return TEST_PASS;
}
