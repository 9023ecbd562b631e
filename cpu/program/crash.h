/* crash.h -- a plugin that crashes or ends the program is named.
 *
 *   vly_crash_watch();                       // once, at the start
 *   vly_crash_checkpoint(info.checkpoint);   // what a run goes on from; NULL when it has ended
 *
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT in a thread that is inside a plugin (common/base/plugin_call.h), and
 * exit() there, end the program with exit code 1 and a line that says which plugin, actor and action.
 * Everywhere else these signals do what they did before.
 */
#ifndef VLY_CPU_PROGRAM_CRASH_H
#define VLY_CPU_PROGRAM_CRASH_H

void vly_crash_watch(void);
/* Borrowed, and read when a plugin crashes: a text that may change, "" while there is none. */
void vly_crash_checkpoint(const char *path);
/* This process has no run of its own: nothing is said of checkpoints. */
void vly_crash_in_worker(void);
#endif
