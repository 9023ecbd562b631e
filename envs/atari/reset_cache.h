/* reset_cache.h -- resets from memory, exactly.
 *
 *   vly_reset_cache *cache;
 *   VLY_TRY(vly_reset_cache_create(&cache));
 *   vly_reset_cached(cache, &e, &rules, &screens);      // as vly_emulator_reset
 *   vly_reset_cache_destroy(cache);
 *
 * A reset plays some eighty frames. The console is deterministic: two resets that are in the same
 * state after their first frames end in the same state. So the first frames, in which a game clears
 * its RAM, are always played; if the whole state then equals a stored one (every byte is compared),
 * the final state is copied. A game that keeps state across resets, or draws random numbers during
 * them, does not match, and its resets are played to the end.
 *
 * Threads share a cache: entries are only added, and read once they are complete.
 */
#ifndef VLY_ENVS_ATARI_RESET_CACHE_H
#define VLY_ENVS_ATARI_RESET_CACHE_H
#include "envs/atari/emulator.h"

typedef struct vly_reset_cache vly_reset_cache;

vly_status vly_reset_cache_create(vly_reset_cache **cache);
void vly_reset_cache_destroy(vly_reset_cache *cache); /* NULL is fine */
/* As vly_emulator_reset with screens drawn; cache NULL plays it through. */
int vly_reset_cached(vly_reset_cache *cache, vly_emulator *e, const vly_emulator_rules *rules,
                     vly_screens *screens);
/* Resets answered from memory, and played. */
void vly_reset_cache_counts(const vly_reset_cache *cache, unsigned long *hits,
                            unsigned long *misses);
#endif
