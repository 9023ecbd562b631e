/* Frames are unpacked unchanged, whatever they were packed against; damaged input is an error. */
#include "tests/kit/check.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include "common/base/philox.h"
#include "cpu/fleet/frame.h"

enum { MOST = 84 * 84 + 1, GUARD = 64 };
static const size_t sizes[] = {1, 7, 63, 64, 65, 512, 577, 84 * 84, MOST};
static vly_frame_packer *packer;
static uint8_t base[MOST], frame[MOST], back[MOST + GUARD], packed[2 * MOST + GUARD];

static uint32_t draw(uint32_t n, uint32_t i) {
    return vly_philox(11, VLY_STREAM_TEST, n, i).v[0];
}

/* Changes n of the frame's bytes to other values than in base. */
static void change(uint32_t seed, size_t bytes, size_t n) {
    for (size_t i = 0; i < bytes; i++) base[i] = (uint8_t)(draw(seed, (uint32_t)(i / 23)) >> 9);
    memcpy(frame, base, bytes);
    for (size_t i = 0; i < n; i++)
        frame[draw(seed + 1, (uint32_t)i) % bytes] ^=
            (uint8_t)(1 + draw(seed + 2, (uint32_t)i) % 255);
}

static size_t pack(const uint8_t *against, size_t bytes, size_t room) {
    size_t length;
    memset(packed, 0xa5, sizeof packed);
    CHECK_OK(vly_frame_pack(packer, frame, against, bytes, packed, room, &length));
    CHECK(length <= room);
    for (size_t i = 0; i < GUARD; i++) CHECK_EQ(packed[room + i], 0xa5);
    return length;
}

static void check_back(const uint8_t *against, size_t bytes, size_t length) {
    memset(back, 0x5a, sizeof back);
    CHECK_OK(vly_frame_unpack(packed, length, against, back, bytes));
    CHECK(memcmp(back, frame, bytes) == 0);
    for (size_t i = bytes; i < bytes + GUARD; i++) CHECK_EQ(back[i], 0x5a);
}

static void packing_is_lossless(void) {
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint32_t n = 0; n < 60; n++) {
            const size_t bytes = sizes[s], changed = n < 30 ? n : bytes * (n - 29) / 30;
            change(100 * n, bytes, changed);
            check_back(base, bytes, pack(base, bytes, vly_frame_packed_most(bytes)));
            check_back(NULL, bytes, pack(NULL, bytes, vly_frame_packed_most(bytes)));
        }
}

static void a_frame_may_be_unpacked_over_its_base(void) {
    change(5, 84 * 84, 50);
    const size_t length = pack(base, 84 * 84, vly_frame_packed_most(84 * 84));
    memcpy(back, base, 84 * 84);
    CHECK_OK(vly_frame_unpack(packed, length, back, back, 84 * 84));
    CHECK(memcmp(back, frame, 84 * 84) == 0);
}

static void few_changes_take_few_bytes(void) {
    const size_t bytes = 84 * 84;
    change(6, bytes, 0);
    CHECK(pack(base, bytes, vly_frame_packed_most(bytes)) <= 1 + bytes / 64 / 8 + 1);
    change(7, bytes, 40);
    CHECK(pack(base, bytes, vly_frame_packed_most(bytes)) <= 1 + bytes / 64 / 8 + 1 + 40 * 3);
}

/* Noise against noise: neither encoding compresses it, and it still fits into
 * vly_frame_packed_most. */
static void noise_fits_the_stated_bound(void) {
    const size_t bytes = 84 * 84;
    for (size_t i = 0; i < bytes; i++)
        base[i] = (uint8_t)draw(8, (uint32_t)i), frame[i] = (uint8_t)draw(9, (uint32_t)i);
    check_back(base, bytes, pack(base, bytes, vly_frame_packed_most(bytes)));
    size_t length;
    CHECK_EQ(vly_frame_pack(packer, frame, base, bytes, packed, bytes / 2, &length), VLY_EIO);
}

static void damaged_frames_are_errors(void) {
    int refused = 0;
    for (uint32_t n = 0; n < 20000; n++) {
        const size_t bytes = sizes[5 + n % 4];
        if (n % 200 < 4)
            change(n, bytes, n % 3 ? 20 : bytes / 2);
        else
            change(n - n % 200 + n % 4, bytes, 20);
        const size_t length = pack(base, bytes, vly_frame_packed_most(bytes)),
                     at = draw(n, 1) % length, kept = n % 5 ? length : draw(n, 2) % length;
        packed[at] ^= (uint8_t)(1 + draw(n, 3) % 255);
        const vly_status status = vly_frame_unpack(packed, kept, n % 7 ? base : NULL, back, bytes);
        /* a changed pixel value cannot be detected */
        CHECK(status == VLY_OK || status == VLY_ECORRUPT);
        refused += status != VLY_OK;
    }
    CHECK(refused > 5000);
    CHECK_EQ(vly_frame_unpack(packed, 0, base, back, 64), VLY_ECORRUPT);
}

int main(void) {
    CHECK_OK(vly_frame_packer_create(&packer));
    packing_is_lossless();
    a_frame_may_be_unpacked_over_its_base();
    few_changes_take_few_bytes();
    noise_fits_the_stated_bound();
    damaged_frames_are_errors();
    vly_frame_packer_destroy(packer);
    return TEST_PASS;
}
#endif
