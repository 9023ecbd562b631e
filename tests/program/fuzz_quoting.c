/* Random bytes as a name: what gnuplot and a shell read back is that name and nothing else.
 * cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_quoting &&
 * build-fuzz/fuzz_quoting tests/fuzz/quoting */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/text.h"
#include "cpu/program/gnuplot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

/* gnuplot: a string in single quotes ends at the first quote that is not doubled. */
static void gnuplot_reads_back(const char *name) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    vly_gnuplot_text(out, name);
    fclose(out);
    check(n >= 2 && text[0] == '\'' && strlen(text) == n);
    const char *p = text + 1;
    for (; *name; name++, p++) {
        if (*p == '\'') check(*++p == '\'');
        check(*p == (iscntrl((unsigned char)*name) ? '?' : *name));
    }
    check(p[0] == '\'' && p[1] == '\0');
    free(text);
}

/* POSIX shell: single quotes keep all, \' stands between them, and a bare word has safe letters. */
static void shell_reads_back(const char *name) {
    const char *p = vly_shell_word(name);
    if (*p != '\'') {
        check(!strcmp(p, name) && *p && !strpbrk(p, " \t\n\\\"'`$&|;<>()*?[]#~{}!"));
        return;
    }
    bool quoted = false;
    for (; *p; p++) {
        if (*p == '\'') {
            quoted = !quoted;
        } else if (quoted) {
            check(*p == *name++);
        } else {
            check(*p == '\\' && *++p == '\'' && *name == '\'');
            name++;
        }
    }
    check(!quoted && !*name);
}

static void nothing_controls_the_terminal(char *name) {
    const size_t n = strlen(name);
    vly_text_plain(name, n, 0);
    check(strlen(name) == n);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)name[i];
        check((c >= 0x20 || c == '\n' || c == '\t') && c != 0x7f);
        check(!(i && name[i - 1] == '\xc2' && c >= 0x80 && c < 0xa0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char name[1024];
    const size_t n = bytes < sizeof name ? bytes : sizeof name - 1;
    if (n) memcpy(name, data, n);
    name[n] = '\0';
    gnuplot_reads_back(name);
    shell_reads_back(name);
    nothing_controls_the_terminal(name);
    return 0;
}
