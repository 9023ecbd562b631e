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

/* Makes masks of held objects what they were shown as; `was` gets the masks. */
static void show_kept(vly_tia_work *w, int to, vly_line was[6]) {
    for (unsigned due = w->held; due; due &= due - 1) {
        const int o = __builtin_ctz(due);
        vly_line seen = w->kept[o];
        was[o] = w->mask[o];
        if (w->enabled >> o & 1 && w->held_to[o] < to)
            seen = line_or(seen, line_and(was[o], line_window(w->held_to[o], to)));
        w->mask[o] = seen;
    }
}

/* A span within which objects have changed. */
static void paint_changed(vly_tia_work *w, uint8_t *row, int from, int to) {
    vly_line was[6];
    const uint8_t enabled = w->enabled;
    make_masks(w, enabled);
    show_kept(w, to, was);
    w->enabled |= w->held;
    const unsigned open = pairs_of[w->enabled] & ~(unsigned)w->m->tia.collisions,
                   displaced = pairs_with(w->displaced),
                   due = (open & displaced) | watched(w, open & ~displaced);
    const uint8_t dirty = w->dirty;
    w->dirty = 0;
    latch(w, due, from, to);
    vly_tia_paint(w, row, from, to);
    for (unsigned left = w->held; left; left &= left - 1)
        w->mask[__builtin_ctz(left)] = was[__builtin_ctz(left)];
    w->enabled = enabled, w->dirty = dirty;
    w->held = w->displaced = w->settled = 0;
    w->look = 0;
}

/* What a whole line shows follows from these and from masks that have not changed. */
static inline uint64_t look_of(const vly_tia_work *w) {
    const vly_tia_state *t = &w->m->tia;
    uint32_t colours;
    memcpy(&colours, t->color, sizeof colours);
    return (uint64_t)colours << 32 | (unsigned)t->ctrlpf << 16 | w->enabled << 8 | 1;
}

/* A whole line like the one above it is copied. */
static void paint_whole(vly_tia_work *w, uint8_t *row) {
    const uint64_t look = look_of(w);
    const int changed = w->dirty & w->enabled;
    if (look == w->look && !changed) {
        memcpy(row, row - VLY_SCREEN_WIDTH, VLY_SCREEN_WIDTH);
        return;
    }
    make_masks(w, w->enabled);
    vly_tia_paint(w, row, 0, VLY_SCREEN_WIDTH);
    w->look = look;
}

static void paint_span(vly_tia_work *w, uint8_t *row, int from, int to) {
    if (w->stale) find_enabled(w);
    if (row && w->held) {
        paint_changed(w, row, from, to);
        return;
    }
    collide(w, from, to);
    if (!row) return;
    if (from == 0 && to == VLY_SCREEN_WIDTH) {
        paint_whole(w, row);
        return;
    }
    make_masks(w, w->enabled);
    vly_tia_paint(w, row, from, to);
    w->look = 0;
}

/* Pixels [from, to) of one line. */
static void draw_span(vly_tia_work *w, int line, int from, int to) {
    vly_tia_state *t = &w->m->tia;
    uint8_t *row = w->pixels ? w->pixels + line * VLY_SCREEN_WIDTH : NULL;
    if (t->vblank & 2) {
        if (row) memset(row + from, 0, (size_t)(to - from));
        w->held = w->displaced = 0;
        w->look = 0;
    } else {
        paint_span(w, row, from, to);
    }
    if (t->comb) {
        w->look = 0;
        if (row && from < 8) memset(row + from, 0, (size_t)(8 - from));
        if (to >= 8) t->comb = 0;
    }
}

/* Paints what has been deferred: before colours, priorities or the blank change. */
static inline void close_span(vly_tia_work *w) {
    const int from = w->span_from, to = w->span_to;
    if (from == to) return;
    w->span_from = w->span_to = 0;
    draw_span(w, w->line, from, to);
}

/* The next pixels of the line; those of a line that is not whole may wait. */
static void extend_span(vly_tia_work *w, int from, int to) {
    if (!w->defers) {
        draw_span(w, w->line, from, to);
        return;
    }
    if (w->span_from == w->span_to) w->span_from = from;
    w->span_to = to;
    if (to == VLY_SCREEN_WIDTH) close_span(w);
}

static __attribute__((noinline)) void keep_objects(vly_tia_work *w, unsigned objects) {
    if (w->m->tia.vblank & 2) return;
    if ((w->m->tia.ctrlpf & 6) == 6) { /* the colours depend on which objects are on */
        close_span(w);
        return;
    }
    if (w->stale) find_enabled(w);
    for (unsigned due = objects; due; due &= due - 1) {
        const int o = __builtin_ctz(due), seen = w->held >> o & 1,
                  from = seen ? w->held_to[o] : w->span_from;
        if (!seen) w->kept[o] = (vly_line){{0}};
        if (w->enabled >> o & 1 && from < w->span_to) {
            make_masks(w, 1u << o);
            w->kept[o] = line_or(w->kept[o], line_and(w->mask[o], line_window(from, w->span_to)));
        }
        w->held_to[o] = w->span_to;
    }
    w->held |= (uint8_t)objects;
}

/* Before objects change: their pixels of the span as they are. */
static inline void keep_pixels(vly_tia_work *w, unsigned objects) {
    if (w->span_from != w->span_to && objects) keep_objects(w, objects);
}

/* The same before they move or change their size, so that their reach is another one. */
static inline void keep_places(vly_tia_work *w, unsigned objects) {
    if (w->span_from == w->span_to) return;
    w->displaced |= (uint8_t)objects;
    keep_objects(w, objects);
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
            extend_span(w, h > VLY_HBLANK ? h - VLY_HBLANK : 0, to - VLY_HBLANK);
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
