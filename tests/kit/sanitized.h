/* sanitized.h -- whether this build watches memory (SANITIZED_MEMORY) or threads
 * (SANITIZED_THREADS).
 *
 * There everything takes five to fifteen times as long: a test may draw fewer samples, never skip a
 * claim about memory or races. What a training run learns is the plain build's to show.
 */
#ifndef VLY_TESTS_KIT_SANITIZED_H
#define VLY_TESTS_KIT_SANITIZED_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { SANITIZED_MEMORY = 1 };
#else
enum { SANITIZED_MEMORY = 0 };
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { SANITIZED_THREADS = 1 };
#else
enum { SANITIZED_THREADS = 0 };
#endif
enum { SANITIZED = SANITIZED_MEMORY || SANITIZED_THREADS };
#endif
