/* plugin_call.h -- which environment plugin a thread is in, and what was found wrong with it.
 *
 *   vly_plugin_actor(first);              // this thread's next call is of actors first, first + 1 ...
 *   env->step(env, states, n, action, rows);
 *   VLY_TRY(vly_plugin_check(env));       // the first fault of all calls so far
 *
 * envs/plugin.h sets both. A signal handler or an exit handler reads vly_plugin_here(). Built-in
 * environments have neither.
 */
#ifndef VLY_COMMON_BASE_PLUGIN_CALL_H
#define VLY_COMMON_BASE_PLUGIN_CALL_H
#include "common/base/env.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The call of a plugin that the current thread is in. */
typedef struct {
    const char *path;     /* NULL: in none */
    const char *doing;    /* "open", "reset", "restart", "step" or "close" */
    const vly_env *env;   /* the plugin's own; NULL for open and close */
    int next;             /* the actor that the thread's next call begins with */
    int actor, n;         /* the first of n actors; n is 0 for open and close */
    vly_actions action;   /* one for each row; none but for a step */
    const uint8_t *flags; /* one for each row; VLY_PLUGIN_UNWRITTEN until the row is written */
} vly_plugin_call;
enum { VLY_PLUGIN_UNWRITTEN = 0xff };

/* Async-signal-safe. */
vly_plugin_call *vly_plugin_here(void);
/* Which of the call's actors has not been stepped yet, from 0; async-signal-safe. */
int vly_plugin_at(const vly_plugin_call *call);

void vly_plugin_actor(int first);

/* What vly_env.plugin points to begins with this. */
typedef struct {
    int failed; /* atomic; set after the others */
    vly_status status;
    char words[512];
} vly_plugin_fault;
/* VLY_ENUMERIC, or VLY_EPEER for a write outside the rows, with the plugin, the actor and its action
 * in the text. VLY_OK for built-in environments. */
vly_status vly_plugin_check(const vly_env *env);

#ifdef __cplusplus
}
#endif
#endif
