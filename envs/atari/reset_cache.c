#include "envs/atari/reset_cache.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Frames of a reset that are always played. */
enum { FIRST_FRAMES = 4, ENTRIES = 96, STATE_BYTES = offsetof(vly_machine, rng) };

typedef struct {
    uint8_t key[STATE_BYTES];
    vly_emulator after; /* its generators and frame count are not used */
    int32_t frames;     /* by which the emulator's count grew */
    vly_screens screens;
} entry;

struct vly_reset_cache {
    atomic_int n; /* complete entries */
    atomic_flag adding;
    atomic_ulong hits, misses;
    entry *entries; /* untouched pages cost nothing */
};

vly_status vly_reset_cache_create(vly_reset_cache **cache) {
    vly_reset_cache *c = calloc(1, sizeof *c);
    if (!c) return vly_fail(VLY_ENOMEM, "no memory for a cache of resets");
    c->entries = calloc(ENTRIES, sizeof *c->entries);
    if (!c->entries) {
        free(c);
        return vly_fail(VLY_ENOMEM, "no memory for a cache of resets");
    }
    atomic_flag_clear(&c->adding);
    *cache = c;
    return VLY_OK;
}

void vly_reset_cache_destroy(vly_reset_cache *cache) {
    if (!cache) return;
    free(cache->entries);
    free(cache);
}

void vly_reset_cache_counts(const vly_reset_cache *cache, unsigned long *hits,
                            unsigned long *misses) {
    *hits = atomic_load(&cache->hits), *misses = atomic_load(&cache->misses);
}

/* The console's state except its random numbers, the choice of the current screen, and which
 * lines were drawn: none of these affects later frames. */
static void state_of(const vly_emulator *e, uint8_t key[STATE_BYTES]) {
    vly_machine m;
    memcpy(&m, &e->machine, STATE_BYTES);
    m.tia.front = 0;
    memset(m.missing_from, 0, sizeof m.missing_from);
    memset(m.missing_to, 0, sizeof m.missing_to);
    memcpy(key, &m, STATE_BYTES);
}

static const entry *find_reset(const vly_reset_cache *cache, const uint8_t key[STATE_BYTES]) {
    const int n = atomic_load_explicit(&cache->n, memory_order_acquire);
    for (int i = 0; i < n; i++)
        if (memcmp(cache->entries[i].key, key, STATE_BYTES) == 0) return &cache->entries[i];
    return NULL;
}

static void restore_reset(const entry *from, vly_emulator *e, vly_screens *screens) {
    const int32_t frames = e->frames + from->frames;
    memcpy(&e->machine, &from->after.machine, STATE_BYTES);
    e->reading = from->after.reading;
    e->controls = from->after.controls;
    e->episode_frames = from->after.episode_frames;
    e->stuck = from->after.stuck, e->jammed = from->after.jammed, e->action = from->after.action;
    e->frames = frames;
    *screens = from->screens;
}

/* One thread at a time adds entries; others skip adding. */
static void store_reset(vly_reset_cache *cache, const uint8_t key[STATE_BYTES],
                        const vly_emulator *e, int32_t frames, const vly_screens *screens) {
    if (atomic_flag_test_and_set(&cache->adding)) return;
    const int n = atomic_load(&cache->n);
    if (n < ENTRIES && !find_reset(cache, key)) {
        entry *to = &cache->entries[n];
        memcpy(to->key, key, STATE_BYTES);
        to->after = *e;
        to->frames = frames;
        to->screens = *screens;
        atomic_store_explicit(&cache->n, n + 1, memory_order_release);
    }
    atomic_flag_clear(&cache->adding);
}

static int exact(const vly_machine *m) {
    return m->missing_from[0] >= m->missing_to[0] && m->missing_from[1] >= m->missing_to[1];
}

int vly_reset_cached(vly_reset_cache *cache, vly_emulator *e, const vly_emulator_rules *rules,
                     vly_screens *screens) {
    if (!cache) return vly_emulator_reset(e, rules, screens);
    uint8_t key[STATE_BYTES];
    const vly_emulator before = *e;
    /* All that the reset shows is drawn in it: counted from here, the current buffer at its end is
     * the same whether it is played or copied, and whoever played it first. */
    e->machine.tia.front = 0;
    vly_emulator_reset_begin(e, rules, FIRST_FRAMES, NULL);
    state_of(e, key);
    const entry *known = find_reset(cache, key);
    if (known) {
        atomic_fetch_add_explicit(&cache->hits, 1, memory_order_relaxed);
        restore_reset(known, e, screens);
        return 0;
    }
    atomic_fetch_add_explicit(&cache->misses, 1, memory_order_relaxed);
    const int32_t frames = e->frames;
    const int reached = vly_emulator_reset_finish(e, rules, FIRST_FRAMES, screens);
    if (exact(&e->machine)) { /* both screens were drawn entirely since the key was taken */
        const int drew = memcmp(&e->rng, &before.rng, sizeof e->rng) != 0;
        if (reached == 0 && !drew) store_reset(cache, key, e, e->frames - frames, screens);
        return reached;
    }
    *e = before;
    return vly_emulator_reset(e, rules, screens);
}
