/* isolate.h -- steps environments in processes of their own (`volley actor fd:3`), so that one that
 * crashes costs its actors an episode and not the run.
 *
 *   vly_remote_options o = {..., .on_lost = vly_isolate_lost, .lost_arg = &isolate};  // remote.h
 *   VLY_TRY(vly_remote_create(&source, loop, &env, &o));
 *   VLY_TRY(vly_isolate_start(&isolate, loop, source, &options));
 *   ... a process that ends is told with its actors, their last actions and how it ended, and is
 *       started again: fresh episodes ...
 *   vly_isolate_stop(isolate); source->destroy(source);    // handles close on the loop, then it is freed
 */
#ifndef VLY_CPU_ACTORS_ISOLATE_H
#define VLY_CPU_ACTORS_ISOLATE_H
#include "cpu/actors/remote.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct vly_isolate vly_isolate;

typedef struct {
    int processes;      /* each gets as many actors; the last what is left */
    const char *plugin; /* its path; NULL: an environment of the program */
    const char *roms;   /* folder of ROMs; NULL: the usual places */
    void *arg;
    void (*on_warning)(void *arg, const char *text); /* may be NULL */
} vly_isolate_options;

vly_status vly_isolate_start(vly_isolate **out, uv_loop_t *loop, vly_source *source,
                             const vly_isolate_options *options);
void vly_isolate_stop(vly_isolate *isolate); /* NULL is fine */
/* vly_remote_options.on_lost; arg: a pointer to the vly_isolate pointer. */
void vly_isolate_lost(void *arg, int tag, bool served, const char *actors, const char *words);

#ifdef __cplusplus
}
#endif
#endif
