/* shots.h -- small live pictures of some environments, drawn and compressed on the thread that asks
 * for them.
 *
 *   vly_shots_create(&f, &env, actors);            // NULL where the environment cannot be drawn
 *   // a flag is read; at most twice a second states are copied, if wanted
 *   trainer:  vly_shots_offer(f, state_of, arg);
 *   watcher:  if (vly_shots_png(f, i, &text)) ...  // the newest picture; the next is copied then
 *
 * The trainer never waits: while a picture is drawn no state is copied.
 */
#ifndef VLY_CPU_SHOTS_H
#define VLY_CPU_SHOTS_H
#include <stdbool.h>
#include "common/base/env.h"
#include "common/base/text.h"

typedef struct vly_shots vly_shots;
enum { VLY_SHOTS_MOST = 6 };

vly_status vly_shots_create(vly_shots **out, const vly_env *env, int actors);
void vly_shots_destroy(vly_shots *f);
int vly_shots_count(const vly_shots *f); /* 0 for NULL */
int vly_shots_actor(const vly_shots *f, int i);
/* state_of: NULL while the actor is being stepped: then its old picture stays. */
void vly_shots_offer(vly_shots *f, const void *(*state_of)(void *arg, int actor), void *arg);
/* False: nothing was offered yet, or it cannot be drawn here. */
bool vly_shots_png(vly_shots *f, int i, vly_text *out);
/* Why it cannot, for people; "" while nothing says so. */
void vly_shots_why(vly_shots *f, char *text, size_t bytes);
#endif
