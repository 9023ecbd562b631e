#include "cpu/library/words.h"
#include <ctype.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 64, VALUE_BYTES = 1024 };

/* The next word; a value may be in double quotes. NULL at the end; *bad: it is none. */
static const char *next_word(const char *at, char key[KEY_BYTES], char value[VALUE_BYTES],
                             bool *bad) {
    *bad = false;
    while (isspace((unsigned char)*at)) at++;
    if (!*at) return NULL;
    const size_t name = strcspn(at, "= \t\n");
    *bad = at[name] != '=' || name == 0 || name >= KEY_BYTES;
    if (*bad) return NULL;
    snprintf(key, KEY_BYTES, "%.*s", (int)name, at);
    at += name + 1;
    const bool quoted = *at == '"';
    if (quoted) at++;
    const size_t n = strcspn(at, quoted ? "\"" : " \t\n");
    *bad = n >= VALUE_BYTES || (quoted && at[n] != '"');
    if (*bad) return NULL;
    snprintf(value, VALUE_BYTES, "%.*s", (int)n, at);
    return at + n + (quoted ? 1 : 0);
}

vly_status vly_words_read(const char *text,
                          vly_status (*set)(void *arg, const char *key, const char *value),
                          void *arg) {
    char key[KEY_BYTES], value[VALUE_BYTES];
    bool bad = false;
    const char *at = text ? text : "";
    while ((at = next_word(at, key, value, &bad))) VLY_TRY(set(arg, key, value));
    return bad ? vly_fail(VLY_EINVAL, "options are words key=value with blanks between: \"%.200s\"",
                          text)
               : VLY_OK;
}

int vly_words_thread(pthread_t *thread, void *(*body)(void *), void *arg) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(thread, NULL, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
