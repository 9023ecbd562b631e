/* names.h -- the nearest of the names that exist, for "no option 'ppo.lrr'; nearest: ppo.lr".
 *
 *   char near[256];
 *   vly_nearest("pongg", game_name, near, sizeof near);
 */
#ifndef VLY_COMMON_BASE_NAMES_H
#define VLY_COMMON_BASE_NAMES_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Writes up to three names nearest to `given`, ", "-separated; "" when none is near. next(i) gives
 * name i or NULL. */
void vly_nearest(const char *given, const char *(*next)(int i), char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
