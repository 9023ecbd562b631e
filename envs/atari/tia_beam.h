/* tia_beam.h -- the beam: draws lines and latches collisions up to a clock; for tia.c only.
 *
 *   place_beam(w);         // after t->updated was set
 *   beam_draw(w, clock);   // everything before `clock`, with the registers as they are
 *
 * Where no pixel is wanted and no latch can be set, beam_skip() moves the beam on without drawing. */
#ifndef VLY_ENVS_ATARI_TIA_BEAM_H
#define VLY_ENVS_ATARI_TIA_BEAM_H
#include <string.h>
#include "envs/atari/tia_objects.h"

/* Pixels [from, to) of one line. */
static void draw_span(vly_tia_work *w, int line, int from, int to) {
    vly_tia_state *t = &w->m->tia;
    uint8_t *row = w->pixels ? w->pixels + line * VLY_SCREEN_WIDTH : NULL;
    if (t->vblank & 2) {
        if (row) memset(row + from, 0, (size_t)(to - from));
    } else {
        if (w->stale) find_enabled(w);
        collide(w, from, to);
        if (row) {
            make_masks(w, w->enabled);
            vly_tia_paint(w, row, from, to);
        }
    }
    if (t->comb) {
        if (row && from < 8) memset(row + from, 0, (size_t)(8 - from));
        if (to >= 8) t->comb = 0;
    }
}

static void star_line_end(vly_tia_work *w) {
    static const uint8_t step[4] = {18, 33, 0, 17};
    vly_tia_state *t = &w->m->tia;
    t->star_counter = (t->star_counter + 1) & 3;
    t->pos[VLY_M0] = (uint8_t)((t->pos[VLY_M0] + 160 - step[t->star_counter]) % 160);
    t->star_width = t->star_counter == 1;
    t->star_hidden = t->star_counter == 2;
    place_changed(w, 1u << VLY_M0);
}

/* Due when the first clock after a displayed line is drawn. */
static void line_end(vly_tia_work *w) {
    vly_tia_state *t = &w->m->tia;
    if (t->reflect != (t->ctrlpf & 1)) {
        t->reflect = t->ctrlpf & 1;
        picture_changed(w, 1u << VLY_PF);
    }
    if (t->suppress[0] | t->suppress[1]) {
        t->suppress[0] = t->suppress[1] = 0;
        picture_changed(w, 1u << VLY_P0 | 1u << VLY_P1);
    }
    if (t->stars) star_line_end(w);
}

enum { BEYOND = INT32_MAX / 2 };

/* Finds the line that the beam is in: `updated` lies in [line_begin, line_begin + 228). */
static void place_beam(vly_tia_work *w) {
    const vly_tia_state *t = &w->m->tia;
    w->line = (t->updated - t->start) / VLY_CLOCKS_PER_LINE;
    w->line_begin = t->updated >= t->stop ? BEYOND : t->start + w->line * VLY_CLOCKS_PER_LINE;
}

/* Without pixels: no latch can be set, and the line ends change nothing that could set one. */
static inline int is_quiet(vly_tia_work *w) {
    const vly_tia_state *t = &w->m->tia;
    if (t->stars) return 0;
    if (t->vblank & 2) return 1;
    if (w->stale) find_enabled(w);
    unsigned due = watched(w, pairs_of[w->enabled]);
    if (!due) return 1;
    return w->settled && !(due & pairs_with(w->dirty)) &&
           !((t->reflect ^ t->ctrlpf) & 1 || t->suppress[0] | t->suppress[1]);
}

/* On to `clock`, not past the display. */
static inline void beam_skip(vly_tia_work *w, int32_t clock) {
    vly_tia_state *t = &w->m->tia;
    int32_t next = w->line_begin + VLY_CLOCKS_PER_LINE;
    if ((t->updated == w->line_begin && w->line > 0) || clock > next) line_end(w);
    if (clock >= w->line_begin + VLY_HBLANK + 8) t->comb = 0;
    t->updated = clock;
    if (clock >= next) place_beam(w);
}

static __attribute__((noinline)) void beam_draw(vly_tia_work *w, int32_t clock) {
    vly_tia_state *t = &w->m->tia;
    if (clock > t->stop) clock = t->stop;
    while (t->updated < clock) {
        if (!w->pixels && is_quiet(w)) {
            beam_skip(w, clock);
            break;
        }
        int h = t->updated - w->line_begin, to = clock - w->line_begin;
        if (to > VLY_CLOCKS_PER_LINE) to = VLY_CLOCKS_PER_LINE;
        if (h == 0 && w->line > 0) line_end(w);
        t->updated = w->line_begin + to;
        if (to > VLY_HBLANK)
            draw_span(w, w->line, h > VLY_HBLANK ? h - VLY_HBLANK : 0, to - VLY_HBLANK);
        else if (t->comb && w->pixels) /* seen only if the frame ends here */
            memset(w->pixels + w->line * VLY_SCREEN_WIDTH, 0, (size_t)(VLY_HBLANK + 8 - to));
        if (to == VLY_CLOCKS_PER_LINE) {
            w->line_begin = t->updated;
            ++w->line;
        }
    }
    if (t->updated >= t->stop) w->line_begin = BEYOND;
}

#endif
