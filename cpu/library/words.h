/* words.h -- "key=value" words, as every function with options takes them; and threads that leave
 * signals to the program.
 *
 *   VLY_TRY(vly_words_read("seed=1 out=\"my runs\"", set, &me));   // set(&me, "seed", "1") ...
 */
#ifndef VLY_CPU_LIBRARY_WORDS_H
#define VLY_CPU_LIBRARY_WORDS_H
#include <pthread.h>
#include "common/base/status.h"

/* Calls set() for each word of `text`, which may be NULL, until one fails. */
vly_status vly_words_read(const char *text,
                          vly_status (*set)(void *arg, const char *key, const char *value),
                          void *arg);
/* All signals are blocked in it, but for those of its own faults. An errno, or 0. */
int vly_words_thread(pthread_t *thread, void *(*body)(void *), void *arg);
#endif
