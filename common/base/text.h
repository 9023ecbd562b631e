/* text.h -- text that grows: answers over HTTP, JSON by hand where millions of numbers pass.
 *
 *   vly_text t = {0};
 *   vly_text_add(&t, "{\"steps\":%lld,\"name\":", steps);
 *   vly_text_json(&t, name);                                  // quoted, escaped
 *   if (t.failed) ...;                                        // once, at the end: out of memory
 *   vly_text_free(&t);
 */
#ifndef VLY_COMMON_BASE_TEXT_H
#define VLY_COMMON_BASE_TEXT_H
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *at; /* n bytes and a 0; NULL while empty */
    size_t n, room;
    bool failed;
} vly_text;

__attribute__((format(printf, 2, 3))) void vly_text_add(vly_text *t, const char *format, ...);
void vly_text_bytes(vly_text *t, const void *bytes, size_t n);
/* A JSON string; '<' is escaped too, so that it can stand in HTML. What is not UTF-8 becomes U+FFFD. */
void vly_text_json(vly_text *t, const char *words);
/* A JSON number, null when it is not finite. */
void vly_text_number(vly_text *t, double value);
/* Replaces the control characters of `text`, tabs and line ends excepted, by '?', or U+00BF for
 * those of two bytes (U+0080 to U+009F). last: the byte before it, or 0; returns the last byte. */
unsigned char vly_text_plain(char *text, size_t bytes, unsigned char last);
/* Bytes of the character that begins there; 0: it is not UTF-8. */
int vly_text_utf8(const char *at);
bool vly_text_is_utf8(const char *text);
/* UTF-8 without control characters, line and paragraph separators, byte order marks: YAML and a
 * terminal read it back as it is. */
bool vly_text_is_printable(const char *text);
/* A decimal number: no hexadecimal, no "inf", no spaces, and none that is smaller than a double holds.
 * *end: what follows it. */
bool vly_text_decimal(const char *text, char **end, double *out);
/* `text` as one word of a shell's command line, in one of four buffers of the thread; at most 1280
 * bytes of it. */
const char *vly_shell_word(const char *text);
void vly_text_clear(vly_text *t); /* keeps the memory */
void vly_text_free(vly_text *t);
#endif
