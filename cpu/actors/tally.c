#include "cpu/actors/tally.h"
#include <stdlib.h>
#include <string.h>

enum { TALLY_EPISODES_MIN = 4096 };

vly_status vly_tally_create(vly_tally *t, int rows) {
    const size_t n = (size_t)rows;
    memset(t, 0, sizeof *t);
    t->rows = rows;
    t->ring_size = 4 * (int64_t)rows > TALLY_EPISODES_MIN ? 4 * (int64_t)rows : TALLY_EPISODES_MIN;
    t->score = calloc(n, sizeof *t->score);
    t->length = calloc(n, sizeof *t->length);
    t->age = calloc(n, 1);
    t->ring = calloc((size_t)t->ring_size, sizeof *t->ring);
    if (t->score && t->length && t->age && t->ring) return VLY_OK;
    vly_tally_destroy(t);
    return vly_fail(VLY_ENOMEM, "no memory for the episodes of %d environments", rows);
}

void vly_tally_destroy(vly_tally *t) {
    free(t->score);
    free(t->length);
    free(t->age);
    free(t->ring);
    memset(t, 0, sizeof *t);
}

void vly_tally_forget(vly_tally *t, int first, int n) {
    memset(t->score + first, 0, (size_t)n * sizeof *t->score);
    memset(t->length + first, 0, (size_t)n * sizeof *t->length);
    memset(t->age + first, 0, (size_t)n);
}

static void push_episode(vly_tally *t, vly_episode episode) {
    t->ring[t->written++ % t->ring_size] = episode;
    if (t->written - t->read <= t->ring_size) return;
    t->dropped++;
    t->read++;
}

static void tally_event(vly_tally *t, int row, uint8_t flags) {
    if (flags & VLY_ROW_FAILED) {
        vly_tally_forget(t, row, 1);
        return;
    }
    if (flags & VLY_ROW_RESET) t->length[row]--, t->age[row] = 0;
    if (flags & VLY_ROW_GAME_OVER) {
        push_episode(t, (vly_episode){row, t->length[row], t->score[row]});
        t->score[row] = 0;
        t->length[row] = 0;
    }
}

void vly_tally_add(vly_tally *t, int first, int n, const vly_rows *rows) {
    for (int i = 0; i < n; i++) {
        const int row = first + i;
        t->score[row] += (double)rows->score[i];
        t->length[row]++;
        t->age[row] = (uint8_t)(t->age[row] + (t->age[row] < 255));
        if (rows->flags[i]) tally_event(t, row, rows->flags[i]);
    }
}

int vly_tally_episodes(vly_tally *t, vly_episode *out, int max) {
    int n = 0;
    while (n < max && t->read < t->written) out[n++] = t->ring[t->read++ % t->ring_size];
    return n;
}
