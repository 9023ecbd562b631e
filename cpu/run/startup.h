/* startup.h -- says what a start-up does while it takes longer than a second.
 *
 *   vly_startup *u = vly_startup_begin(say, arg);
 *   vly_startup_phase(u, "opening the device cuda");    // said if it lasts until the next second
 *   ...
 *   vly_startup_end(u);                                 // says nothing more
 *
 * say() is called on another thread. Without memory or a thread nothing is said.
 */
#ifndef VLY_CPU_RUN_STARTUP_H
#define VLY_CPU_RUN_STARTUP_H

typedef struct vly_startup vly_startup;

vly_startup *vly_startup_begin(void (*say)(void *arg, const char *text), void *arg);
/* words: a constant. NULL for `u` is taken by both. */
void vly_startup_phase(vly_startup *u, const char *words);
void vly_startup_end(vly_startup *u);
#endif
