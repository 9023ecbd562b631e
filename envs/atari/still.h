/* still.h -- the two pictures of a console, kept in a few hundred bytes; for the files of this
 * folder.
 *
 *   // after a frame: what it takes to see them again
 *   vly_still_take(still, room, &m, height, &screens, NULL);
 *   vly_still_draw(still, room, rom, height, &screens, NULL);   // `screens` is as it was
 *
 * A picture is 40 kB, and a console has two of them. They are not stored: the console is
 * deterministic, so they are drawn again from its state before the last two frames, which is half a
 * kilobyte. A frame that is too short leaves older lines below it; those lines, and both pictures
 * entirely where a frame continued the previous one, are stored run-length encoded. Where that does
 * not fit, the older still is kept and the frames since are drawn as well: vly_still_extend.
 *
 * A still is plain memory without pointers. Its end is the code, `room` bytes long.
 */
#ifndef VLY_ENVS_ATARI_STILL_H
#define VLY_ENVS_ATARI_STILL_H
#include "envs/atari/machine.h"

/* Room that every picture fits in, and room that has been enough for every game
 * (tests/atari/test_atari_cost.c). */
enum {
    VLY_STILL_MOST = 3 * VLY_SCREEN_MAX_HEIGHT * (VLY_SCREEN_WIDTH + 1),
    VLY_STILL_USUAL = 2040,
    VLY_STILL_LONG = 10240
};

typedef struct {
    _Alignas(8) uint8_t machine[VLY_CONSOLE_BYTES]; /* before the first of the frames to draw */
    vly_wires wires;                                /* of the second one */
    uint16_t rows[2]; /* of each picture, that the frames draw; the code has those below */
    uint8_t front;    /* which of them is the last one */
    uint8_t frames;   /* to draw: 2, or 0 where everything is in the code */
    uint8_t third;  /* the code has a third picture: the one before the last where neither screen is
                       it */
    uint16_t more;  /* frames to draw after that; their wires are behind the code */
    uint32_t bytes; /* of the code */
    uint8_t code[];
} vly_still;

/* The last two frames must have been drawn into `screens`. before: the picture before the last one
 * where it is in neither screen, or NULL. 0, or -1 where the code does not fit: then the still is
 * unchanged. */
int vly_still_take(vly_still *still, size_t room, const vly_machine *m, int height,
                   const vly_screens *screens, const uint8_t *before);
/* n more frames were played, with these wires. 0, or -1 where there is no room for them. */
int vly_still_extend(vly_still *still, size_t room, const vly_machine *m, const vly_wires *wires,
                     int n);
/* 1: vly_still_begin will not do, the pictures have to be drawn. */
static inline int vly_still_is_long(const vly_still *still) {
    return still->more > 0;
}
/* The lines that are in the code, and in m->missing_* those that are not. -1: the code is broken.
 */
int vly_still_begin(const vly_still *still, size_t room, vly_machine *m, int height,
                    vly_screens *screens);
/* Both pictures; `before` gets the picture before the last one, and may be NULL. */
int vly_still_draw(const vly_still *still, size_t room, const vly_rom *rom, int height,
                   vly_screens *screens, uint8_t *before);

/* Whether bytes from anywhere can be drawn: 0, or -1. Draws them. */
int vly_still_check(const vly_still *still, size_t room, const vly_rom *rom, int height);

#endif
