#include "envs/atari/tia.h"
#include <string.h>
#include "envs/atari/rom.h"
#include "envs/atari/tia_beam.h"

/* ---- registers --------------------------------------------------------------------------- */

static inline uint8_t wrapped(int x) {
    return (uint8_t)(((x % 160) + 160) % 160);
}

/* Strobes RESPx: the effect depends on the copy that is being drawn at `now`. */
static void reset_player(vly_tia_work *w, int p, int32_t clock, int hpos) {
    static const uint8_t offset[4] = {0, 16, 32, 64};
    vly_tia_state *t = &w->m->tia;
    unsigned mode = t->nusiz[p] & 7, set = copies[mode];
    int width = mode == 5 ? 16 : mode == 7 ? 32 : 8;
    int now = hpos < VLY_HBLANK ? 3 : (hpos - VLY_HBLANK + 5) % 160;
    int delay = 0, display = 0;
    for (int i = 0; i < 4; ++i) {
        if (!(set >> i & 1)) continue;
        int d = now - t->pos[p] - offset[i];
        d += d < -160 ? 320 : d < 0 ? 160 : 0;
        if (d < 4)
            delay = 1;
        else if (d < 4 + width)
            display = 1;
    }
    if (display) beam_draw(w, clock + 11);
    keep_places(w, 1u << p);
    t->suppress[p] = display || !delay;
    t->pos[p] = (uint8_t)now;
    place_changed(w, 1u << p);
}

static void reset_missile(vly_tia_work *w, int object, int32_t clock, int hpos) {
    vly_tia_state *t = &w->m->tia;
    int since = vly_cycles_from(clock, t->hmove_clock);
    int now = hpos < VLY_HBLANK ? 2 : (hpos - VLY_HBLANK + 4) % 160;
    /* A strobe so soon after HMOVE that its extra clocks still move the object. */
    if (object == VLY_M0 && since == 60 && hpos == 69) now = 8;
    if (object == VLY_M1 && since == 9 && hpos == 18) now = 3;
    if (object == VLY_BL) {
        if (since == 54 && (hpos == 60 || hpos == 69)) now = 10;
        if (since == 9 && hpos == 18) now = 3;
        if (since == 21 && hpos == 30) now = 6;
        if (since == 18 && hpos == 27) now = 5;
    }
    t->pos[object] = (uint8_t)now;
    place_changed(w, 1u << object);
}

static void missile_to_player(vly_tia_work *w, int i, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    uint8_t on = value & 2;
    if (t->resmp[i] && !on) {
        unsigned mode = t->nusiz[i] & 7;
        t->pos[VLY_M0 + i] = wrapped(t->pos[i] + (mode == 5 ? 8 : mode == 7 ? 16 : 4));
    }
    t->resmp[i] = on;
    picture_changed(w, 1u << (VLY_M0 + i));
    place_changed(w, 1u << (VLY_M0 + i));
}

static inline int floor_div4(int n) {
    return n >= 0 ? n / 4 : -((3 - n) / 4);
}

/* How far motion nibble h moves an object when HMOVE is strobed at cycle x of the line. */
static int motion(int x, int h) {
    int m = h < 8 ? -h : 16 - h;
    if (x <= 3 || x == 75) return m;
    if (x <= 20) {
        int least = floor_div4(3 * x - 35);
        return m > least ? m : least;
    }
    if (x <= 54) return 0;
    m += floor_div4(190 - 3 * x);
    return m < 0 ? m : 0;
}

/* The new place of an object that HMOVE moves by m. */
static inline uint8_t moved_by(int pos, int m) {
    pos += m;
    pos += pos < 0 ? 160 : 0;
    return (uint8_t)(pos - (pos >= 160 ? 160 : 0));
}

/* HMOVE at the beginning of a line, the usual place: only objects with a motion move. */
static unsigned hmove_usual(vly_tia_state *t) {
    unsigned changed = 0;
    for (int o = 0; o < 5; ++o) {
        if (t->hm[o] == 0) continue;
        t->pos[o] = moved_by(t->pos[o], motion(0, t->hm[o]));
        changed |= 1u << o;
    }
    return changed;
}

static unsigned hmove_late(vly_tia_state *t, int x) {
    unsigned changed = 0;
    for (int o = 0; o < 5; ++o) {
        uint8_t pos = moved_by(t->pos[o], motion(x, t->hm[o]));
        if (pos != t->pos[o]) changed |= 1u << o;
        t->pos[o] = pos;
    }
    return changed;
}

static inline void hmove(vly_tia_work *w, int32_t clock, int x) {
    vly_tia_state *t = &w->m->tia;
    t->hmove_clock = clock;
    if (w->blanks && (x <= 20 || x == 75)) t->comb = 1;
    unsigned changed = x <= 3 ? hmove_usual(t) : hmove_late(t, x);
    if (t->suppress[0] | t->suppress[1] | t->stars | t->star_width | t->star_hidden) {
        changed = 0x1f;
        t->suppress[0] = t->suppress[1] = 0;
        t->stars = t->star_width = t->star_hidden = 0;
    }
    if (changed) place_changed(w, changed);
}

static void set_motion(vly_tia_work *w, int object, int32_t clock, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    uint8_t next = value >> 4;
    if (object == VLY_M0 && vly_cycles_from(clock, t->hmove_clock) == 21 * 3 &&
        t->hm[VLY_M0] == 7 && next == 6) {
        t->stars = 1;
        t->star_counter = 0;
    }
    t->hm[object] = next;
}

static void set_copies(vly_tia_work *w, int p, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    t->nusiz[p] = value;
    t->suppress[p] = 0;
    if (p == 0) t->star_width = t->star_hidden = 0;
    place_changed(w, 1u << p | 1u << (VLY_M0 + p));
}

static int write_delay(unsigned reg, int hpos) {
    static const uint8_t pf_delay[4] = {4, 5, 2, 3};
    switch (reg) {
    case VLY_NUSIZ0:
    case VLY_NUSIZ1:
    case VLY_RESM0:
    case VLY_RESM1: return 8;
    case VLY_VBLANK:
    case VLY_REFP0:
    case VLY_REFP1:
    case VLY_GRP0:
    case VLY_GRP1: return 1;
    case VLY_PF0:
    case VLY_PF1:
    case VLY_PF2: return pf_delay[hpos / 3 & 3];
    default: return 0;
    }
}

/* Applies a write after everything before it was drawn. */
static inline void apply_write(vly_tia_work *w, int32_t clock, int hpos, unsigned reg,
                               uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    switch (reg) {
    case VLY_VBLANK: t->vblank = value; break;
    case VLY_NUSIZ0:
    case VLY_NUSIZ1: set_copies(w, reg - VLY_NUSIZ0, value); break;
    case VLY_COLUP0:
    case VLY_COLUP1:
    case VLY_COLUPF:
    case VLY_COLUBK: t->color[reg - VLY_COLUP0] = (value & 0xfe) | t->color_loss; break;
    case VLY_CTRLPF:
        t->ctrlpf = value;
        if (hpos < 79 + VLY_HBLANK) t->reflect = value & 1;
        place_changed(w, 1u << VLY_PF | 1u << VLY_BL);
        break;
    case VLY_REFP0:
    case VLY_REFP1:
        t->refp[reg - VLY_REFP0] = value & 8;
        picture_changed(w, 1u << (reg - VLY_REFP0));
        break;
    case VLY_PF0:
    case VLY_PF1:
    case VLY_PF2:
        t->pf[reg - VLY_PF0] = value;
        picture_changed(w, 1u << VLY_PF);
        place_changed(w, 1u << VLY_PF);
        break;
    case VLY_RESP0:
    case VLY_RESP1: reset_player(w, reg - VLY_RESP0, clock, hpos); break;
    case VLY_RESM0:
    case VLY_RESM1:
    case VLY_RESBL: reset_missile(w, VLY_M0 + reg - VLY_RESM0, clock, hpos); break;
    case VLY_GRP0:
        t->grp[0] = value;
        t->delayed_grp[1] = t->grp[1];
        picture_changed(w, 1u << VLY_P0 | 1u << VLY_P1);
        break;
    case VLY_GRP1:
        t->grp[1] = value;
        t->delayed_grp[0] = t->grp[0];
        t->delayed_enabl = t->enabl;
        picture_changed(w, 1u << VLY_P0 | 1u << VLY_P1 | 1u << VLY_BL);
        break;
    case VLY_ENAM0:
    case VLY_ENAM1:
        t->enam[reg - VLY_ENAM0] = value & 2;
        picture_changed(w, 1u << (VLY_M0 + reg - VLY_ENAM0));
        break;
    case VLY_ENABL:
        t->enabl = value & 2;
        picture_changed(w, 1u << VLY_BL);
        break;
    case VLY_HMP0:
    case VLY_HMP1:
    case VLY_HMM0:
    case VLY_HMM1:
    case VLY_HMBL: set_motion(w, reg - VLY_HMP0, clock, value); break;
    case VLY_VDELP0:
    case VLY_VDELP1:
        t->vdel[reg - VLY_VDELP0] = value & 1;
        picture_changed(w, 1u << (reg - VLY_VDELP0));
        break;
    case VLY_VDELBL:
        t->vdelbl = value & 1;
        picture_changed(w, 1u << VLY_BL);
        break;
    case VLY_RESMP0:
    case VLY_RESMP1: missile_to_player(w, reg - VLY_RESMP0, value); break;
    case VLY_HMOVE: hmove(w, clock, hpos / 3); break;
    case VLY_HMCLR: memset(t->hm, 0, sizeof t->hm); break;
    case VLY_CXCLR:
        t->collisions = 0;
        w->settled = 0;
        break;
    default: break; /* sound, RSYNC and the registers that are not there */
    }
}

static inline int hpos_of(const vly_tia_state *t, int32_t clock) {
    return (int)((uint32_t)(clock - t->frame_clock) % VLY_CLOCKS_PER_LINE);
}

void vly_tia_poke(vly_tia_work *w, int32_t clock, unsigned reg, uint8_t value) {
    int hpos = hpos_of(&w->m->tia, clock);
    beam_draw(w, clock + write_delay(reg, hpos));
    apply_write(w, clock, hpos, reg, value);
}

/* Draws up to `clock` if that can have an effect. In the blank between two lines only the clock
 * moves; the first step into a line is beam_draw's. */
static inline void beam_advance(vly_tia_work *w, int32_t clock) {
    vly_tia_state *t = &w->m->tia;
    if (clock <= t->updated) return;
    if (clock - w->line_begin <= VLY_HBLANK && t->updated != w->line_begin)
        t->updated = clock;
    else if (w->span_from != w->span_to && clock < w->line_begin + VLY_CLOCKS_PER_LINE) {
        t->updated = clock;
        w->span_to = clock - w->line_begin - VLY_HBLANK;
    } else if (!w->pixels && clock < t->stop && is_quiet(w))
        beam_skip(w, clock);
    else
        beam_draw(w, clock);
}

/* Whether a change of these objects' pictures can be seen or latched. If not, drawing up to it
 * is unnecessary: every other object is off or out of reach, or the latch is set. */
static inline int matters(vly_tia_work *w, unsigned objects) {
    if (w->pixels) return 1;
    if (w->m->tia.vblank & 2) return 0;
    if (w->stale) find_enabled(w);
    return watched(w, pairs_of[w->enabled | objects] & pairs_with(objects)) != 0;
}

static inline void write_graphics(vly_tia_work *w, int p, int32_t clock, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    int q = p ^ 1;
    int own = t->grp[p] != value && !t->vdel[p];
    int others = t->delayed_grp[q] != t->grp[q] && t->vdel[q];
    int ball = p == 1 && t->delayed_enabl != t->enabl && t->vdelbl;
    unsigned seen = (unsigned)own << p | (unsigned)others << q | (unsigned)ball << VLY_BL;
    if (seen && matters(w, seen)) beam_advance(w, clock + 1);
    keep_pixels(w, seen);
    t->grp[p] = value;
    t->delayed_grp[q] = t->grp[q];
    if (p == 1) t->delayed_enabl = t->enabl;
    if (own) switch_on(w, p, value);
    if (others) switch_on(w, q, t->delayed_grp[q]);
    if (ball) switch_on(w, VLY_BL, t->delayed_enabl);
}

/* The same for a change of position or size, for any position. */
static inline int may_matter(vly_tia_work *w, unsigned objects) {
    if (w->pixels) return 1;
    if (w->m->tia.vblank & 2) return 0;
    if (w->stale) find_enabled(w);
    return (pairs_of[w->enabled | objects] & pairs_with(objects) &
            ~(unsigned)w->m->tia.collisions) != 0;
}

static inline void write_playfield(vly_tia_work *w, unsigned i, int32_t clock, uint8_t value) {
    static const uint8_t delay[4] = {4, 5, 2, 3};
    vly_tia_state *t = &w->m->tia;
    if (t->pf[i] == value) return;
    if (may_matter(w, 1u << VLY_PF)) beam_advance(w, clock + delay[hpos_of(t, clock) / 3 & 3]);
    keep_places(w, 1u << VLY_PF);
    t->pf[i] = value;
    place_changed(w, 1u << VLY_PF);
    switch_on(w, VLY_PF, (t->pf[0] & 0xf0) | t->pf[1] | t->pf[2]);
}

static inline void write_enable(vly_tia_work *w, int object, int32_t clock, uint8_t *state,
                                uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    int ball = object == VLY_BL;
    if (*state == (value & 2)) return;
    if (ball ? t->vdelbl : t->resmp[object - VLY_M0]) {
        *state = value & 2; /* not shown yet */
        return;
    }
    if (matters(w, 1u << object)) beam_advance(w, clock);
    keep_pixels(w, 1u << object);
    *state = value & 2;
    switch_on(w, object, value & 2);
}

/* The object that a write to one of the registers REFPx, VDELx, RESMPx, RESMx, RESBL changes. */
static inline unsigned changed_by(unsigned reg) {
    switch (reg) {
    case VLY_REFP0:
    case VLY_VDELP0: return 1u << VLY_P0;
    case VLY_REFP1:
    case VLY_VDELP1: return 1u << VLY_P1;
    case VLY_RESM0:
    case VLY_RESMP0: return 1u << VLY_M0;
    case VLY_RESM1:
    case VLY_RESMP1: return 1u << VLY_M1;
    default: return 1u << VLY_BL;
    }
}

/* As vly_tia_poke, but does not draw before a write without a visible effect. */
static inline void replay_one(vly_tia_work *w, int32_t clock, unsigned reg, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    switch (reg) {
    case VLY_COLUP0:
    case VLY_COLUP1:
    case VLY_COLUPF:
    case VLY_COLUBK: {
        uint8_t *c = &t->color[reg - VLY_COLUP0], next = (value & 0xfe) | t->color_loss;
        if (w->pixels && *c != next) {
            beam_advance(w, clock);
            close_span(w);
        }
        *c = next;
        return;
    }
    case VLY_PF0:
    case VLY_PF1:
    case VLY_PF2: write_playfield(w, reg - VLY_PF0, clock, value); return;
    case VLY_GRP0: write_graphics(w, 0, clock, value); return;
    case VLY_GRP1: write_graphics(w, 1, clock, value); return;
    case VLY_ENAM0:
    case VLY_ENAM1:
        write_enable(w, VLY_M0 + (int)(reg - VLY_ENAM0), clock, &t->enam[reg - VLY_ENAM0], value);
        return;
    case VLY_ENABL: write_enable(w, VLY_BL, clock, &t->enabl, value); return;
    case VLY_HMP0:
    case VLY_HMP1:
    case VLY_HMM0:
    case VLY_HMM1:
    case VLY_HMBL:
        if (t->hm[reg - VLY_HMP0] == value >> 4) return;
        if (reg == VLY_HMM0) beam_advance(w, clock); /* it may start Cosmic Ark's stars */
        set_motion(w, (int)reg - VLY_HMP0, clock, value);
        return;
    case VLY_HMCLR: memset(t->hm, 0, sizeof t->hm); return;
    case VLY_VBLANK:
        if (t->vblank == value) return;
        beam_advance(w, clock + 1);
        close_span(w);
        t->vblank = value;
        return;
    case VLY_NUSIZ0:
    case VLY_NUSIZ1: {
        int p = (int)(reg - VLY_NUSIZ0);
        if (t->nusiz[p] == value && !t->suppress[p] && (p || !(t->star_width | t->star_hidden)))
            return;
        beam_advance(w, clock + 8);
        keep_places(w, 1u << p | 1u << (VLY_M0 + p));
        set_copies(w, p, value);
        return;
    }
    case VLY_CTRLPF:
        if (t->ctrlpf == value && t->reflect == (value & 1)) return;
        break;
    case VLY_REFP0:
    case VLY_REFP1:
        if (t->refp[reg - VLY_REFP0] == (value & 8)) return;
        break;
    case VLY_VDELP0:
    case VLY_VDELP1:
        if (t->vdel[reg - VLY_VDELP0] == (value & 1)) return;
        break;
    case VLY_VDELBL:
        if (t->vdelbl == (value & 1)) return;
        break;
    case VLY_RESMP0:
    case VLY_RESMP1:
        if (t->resmp[reg - VLY_RESMP0] == (value & 2)) return;
        break;
    case VLY_RESP0:
    case VLY_RESP1:
        beam_advance(w, clock);
        reset_player(w, (int)(reg - VLY_RESP0), clock, hpos_of(t, clock));
        return;
    case VLY_HMOVE:
        beam_advance(w, clock);
        close_span(w);
        hmove(w, clock, hpos_of(t, clock) / 3);
        return;
    case VLY_RESM0:
    case VLY_RESM1:
    case VLY_RESBL:
    case VLY_CXCLR: break;
    default: return; /* VSYNC, WSYNC, VLY_TOUCH, sound and the registers that are not there */
    }
    int hpos = hpos_of(t, clock);
    beam_advance(w, clock + write_delay(reg, hpos));
    if (reg == VLY_CTRLPF || reg == VLY_CXCLR)
        close_span(w);
    else
        keep_places(w, changed_by(reg));
    apply_write(w, clock, hpos, reg, value);
}

/* Returns how many entries come before the last line that the log reaches. That line is drawn
 * access by access: if a frame ends within a line, the screen depends on the steps in which the
 * line was drawn. */
static int before_last_line(const vly_tia_work *w, const uint32_t *log, int n) {
    const vly_tia_state *t = &w->m->tia;
    int32_t last = 3 * (int32_t)(log[n - 1] >> 14);
    if (!w->pixels || last < t->start || last >= t->stop) return n;
    int32_t begin = last - hpos_of(t, last) - 8; /* with the longest delay */
    while (n > 0 && 3 * (int32_t)(log[n - 1] >> 14) >= begin) --n;
    return n;
}

void vly_tia_replay(vly_tia_work *w, const uint32_t *log, int n) {
    vly_tia_state *t = &w->m->tia;
    if (n == 0) return;
    int quick = before_last_line(w, log, n);
    w->defers = w->pixels != NULL;
    for (int i = 0; i < quick; ++i)
        replay_one(w, 3 * (int32_t)(log[i] >> 14), log[i] >> 8 & 0x3f, (uint8_t)log[i]);
    close_span(w);
    w->defers = 0;
    for (int i = quick; i < n; ++i)
        vly_tia_poke(w, 3 * (int32_t)(log[i] >> 14), log[i] >> 8 & 0x3f, (uint8_t)log[i]);
    beam_advance(w,
                 3 * (int32_t)(log[n - 1] >> 14)); /* every access draws up to its clock at least */
    if (t->updated > t->stop) t->updated = t->stop;
    place_beam(w);
}

uint8_t vly_tia_peek(const vly_machine *m, unsigned reg) {
    const vly_tia_state *t = &m->tia;
    if (reg < 8)
        return (uint8_t)((t->collisions >> 2 * reg & 1) << 7 | (t->collisions >> (2 * reg + 1) & 1)
                                                                   << 6);
    if (reg < 12) {
        int32_t r = m->wires.resistance[reg - 8];
        if (r == 0) return 0x80;
        if (t->dump || r == VLY_OPEN) return 0;
        uint32_t needed = (uint32_t)(1.6 * r * 0.01e-6 * 1.19e6);
        return (uint32_t)m->cycles > (uint32_t)t->dump_off_cycle + needed ? 0x80 : 0;
    }
    if (reg < 14) return m->wires.fire[reg - 12] ? 0 : 0x80;
    return 0;
}

/* ---- frames ------------------------------------------------------------------------------ */

void vly_tia_open(vly_tia_work *w, vly_machine *m, const vly_rom *rom, uint8_t *pixels) {
    w->m = m;
    w->pixels = pixels;
    w->wide = pixels && vly_tia_is_wide();
    w->pal = rom->properties.format == VLY_FORMAT_PAL;
    w->blanks = !rom->properties.no_hmove_blanks;
    w->ystart = rom->properties.ystart;
    w->height = rom->properties.height;
    w->dirty = w->stale = w->moved = 0x3f;
    w->measured = w->reach = 0;
    w->enabled = w->settled = 0;
    w->defers = w->held = w->displaced = 0;
    w->span_from = w->span_to = 0;
    w->look = 0;
    place_beam(w);
}

static void place_display(vly_tia_state *t, int ystart, int height) {
    t->start = t->frame_clock + VLY_CLOCKS_PER_LINE * ystart;
    t->stop = t->start + VLY_CLOCKS_PER_LINE * height;
    t->updated = t->start;
}

void vly_tia_reset(vly_tia_state *t, int ystart, int height) {
    uint8_t partial = t->partial, front = t->front;
    memset(t, 0, sizeof *t);
    t->partial = partial;
    t->front = front;
    t->vsync_finish = INT32_MAX;
    place_display(t, ystart, height);
}

void vly_tia_start_frame(vly_tia_work *w, int32_t cycles) {
    vly_tia_state *t = &w->m->tia;
    int32_t lines = (3 * cycles - t->frame_clock) / VLY_CLOCKS_PER_LINE;
    t->frame_clock = -((3 * cycles - t->frame_clock) % VLY_CLOCKS_PER_LINE);
    if (t->vsync_finish != INT32_MAX)
        t->vsync_finish = vly_cycles_from(t->vsync_finish, 3 * cycles);
    t->hmove_clock = vly_cycles_from(t->hmove_clock, 3 * cycles);
    t->dump_off_cycle = vly_cycles_from(t->dump_off_cycle, cycles);
    t->front ^= 1;
    t->greyed = 0;
    t->color_loss = w->pal && (lines & 1);
    for (int i = 0; i < 4; ++i) t->color[i] = (t->color[i] & 0xfe) | t->color_loss;
    place_display(t, w->ystart, w->height);
    place_beam(w);
}

void vly_tia_grey(vly_tia_work *w, int32_t cycles) {
    vly_tia_state *t = &w->m->tia;
    int from = (3 * cycles - t->frame_clock) / VLY_CLOCKS_PER_LINE;
    if (t->greyed) return;
    t->greyed = 1;
    from = from < w->ystart ? 0 : from - w->ystart;
    for (int i = from * VLY_SCREEN_WIDTH; w->pixels && i < w->height * VLY_SCREEN_WIDTH; ++i)
        w->pixels[i] = (w->pixels[i] & 0x0f) >> 1;
}
