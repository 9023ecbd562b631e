/* riot.h -- the 6532 (RIOT): interval timer and console switches; for the files of this folder
 * only.
 *
 * Registers are listed in machine.h. The timer is computed from the processor's cycle counter
 * when it is read. */
#ifndef VLY_ENVS_ATARI_RIOT_H
#define VLY_ENVS_ATARI_RIOT_H
#include "envs/atari/machine.h"

static inline void vly_riot_reset(vly_machine *m) {
    vly_riot_state *r = &m->riot;
    *r = (vly_riot_state){.timer = (uint8_t)(25 + vly_mt19937_next(&m->rng) % 75), .shift = 6};
}

static inline uint8_t vly_riot_timer(vly_riot_state *r, int32_t cycles) {
    int32_t delta = vly_cycles_from(cycles - 1, r->set_cycle);
    int32_t t = r->timer - (delta >> r->shift) - 1;
    if (t >= 0) return (uint8_t)t;
    t = vly_cycles_from((r->timer << r->shift) - 1, delta);
    if (t <= -2 && !r->read_after_expiry) {
        r->read_after_expiry = 1;
        r->reset_cycle = cycles;
    }
    if (r->read_after_expiry)
        t = vly_cycles_from(
            r->timer - (delta >> r->shift),
            vly_cycles_from(vly_cycles_from(r->reset_cycle, r->set_cycle), r->timer << r->shift));
    return (uint8_t)t;
}

static inline uint8_t vly_riot_flag(const vly_riot_state *r, int32_t cycles) {
    int32_t delta = vly_cycles_from(cycles - 1, r->set_cycle);
    int32_t t = r->timer - (delta >> r->shift) - 1;
    return t >= 0 || r->read_after_expiry ? 0 : 0x80;
}

static inline uint8_t vly_riot_read(vly_machine *m, unsigned a) {
    switch (a & 7) {
    case 0: return m->wires.swcha;
    case 1: return m->riot.ddra;
    case 2: return m->wires.swchb;
    case 3: return 0;
    case 4:
    case 6: return vly_riot_timer(&m->riot, m->cycles);
    default: return vly_riot_flag(&m->riot, m->cycles);
    }
}

static inline void vly_riot_write(vly_machine *m, unsigned a, uint8_t value) {
    static const uint8_t shifts[4] = {0, 3, 6, 10};
    vly_riot_state *r = &m->riot;
    if ((a & 0x14) == 0x14) {
        r->timer = value;
        r->shift = shifts[a & 3];
        r->set_cycle = m->cycles;
        r->read_after_expiry = 0;
    } else if ((a & 7) == 1) {
        r->ddra = value;
    }
}

#endif
