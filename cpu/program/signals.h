/* signals.h -- SIGINT, SIGTERM and SIGHUP, which counts as SIGTERM unless it is ignored (nohup).
 *
 *   vly_cli_hold_signals();                 // while what can be stopped is made
 *   vly_cli_watch_signals(stop, arg);       // from here on the first signal is passed on
 *   <work until it is done or stopped, and save>
 *   vly_cli_watch_signals(NULL, NULL);
 *   vly_cli_end_soon(code);
 *   <last words>
 *
 * Unwatched, the first signal ends the program at once with 130 or 143. Held, it is kept for the
 * next `stop`; one that comes a second or more after it ends the program at once with 1. Watched, it
 * calls `stop` (async-signal-safe); a second changes nothing; one that comes a second or more after
 * the second ends the program at once with 1, unsaved.
 */
#ifndef VLY_CPU_PROGRAM_SIGNALS_H
#define VLY_CPU_PROGRAM_SIGNALS_H
#ifdef __cplusplus
extern "C" {
#endif

void vly_cli_install_signals(void);
/* The first signal: 0 (none), SIGINT or SIGTERM. */
int vly_cli_signal(void);
/* A signal that came before is passed on by the call itself. */
void vly_cli_watch_signals(void (*stop)(void *arg), void *arg);
void vly_cli_hold_signals(void);
/* After everything is saved. If a signal has come, words that nobody reads keep the program for
 * about a second at most: then it ends with `code`. */
void vly_cli_end_soon(int code);

#ifdef __cplusplus
}
#endif
#endif
