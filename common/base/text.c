#include "common/base/text.h"
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_make_room(vly_text *t, size_t more) {
    if (t->failed) return false;
    if (t->n + more + 1 <= t->room) return true;
    size_t room = t->room ? t->room : 256;
    while (room < t->n + more + 1) room *= 2;
    char *at = realloc(t->at, room);
    if (!at) return t->failed = true, false;
    t->at = at, t->room = room;
    return true;
}

void vly_text_bytes(vly_text *t, const void *bytes, size_t n) {
    if (!text_make_room(t, n)) return;
    memcpy(t->at + t->n, bytes, n);
    t->at[t->n += n] = '\0';
}

void vly_text_add(vly_text *t, const char *format, ...) {
    va_list args;
    char small[512];
    va_start(args, format);
    const int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) return;
    if ((size_t)n < sizeof small) {
        vly_text_bytes(t, small, (size_t)n);
        return;
    }
    if (!text_make_room(t, (size_t)n)) return;
    va_start(args, format);
    vsnprintf(t->at + t->n, (size_t)n + 1, format, args);
    va_end(args);
    t->n += (size_t)n;
}

/* Bytes of the character that begins at `p`, and its number; 0: it is not UTF-8 (RFC 3629). */
static int utf8_character(const unsigned char *p, uint32_t *out) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
    if (n == 0) return 0;
    uint32_t c = n == 1 ? *p : *p & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    *out = c;
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

void vly_text_json(vly_text *t, const char *words) {
    vly_text_bytes(t, "\"", 1);
    int n;
    for (const unsigned char *p = (const unsigned char *)words; *p; p += n ? n : 1) {
        uint32_t c;
        n = utf8_character(p, &c);
        if (!n)
            vly_text_add(t, "\\ufffd");
        else if (c == '"' || c == '\\')
            vly_text_add(t, "\\%c", *p);
        else if (c < 0x20 || c == '<' || c == 0x7f)
            vly_text_add(t, "\\u%04x", *p);
        else
            vly_text_bytes(t, p, (size_t)n);
    }
    vly_text_bytes(t, "\"", 1);
}

void vly_text_number(vly_text *t, double value) {
    if (!isfinite(value))
        vly_text_bytes(t, "null", 4);
    else if (value == floor(value) && fabs(value) < 1e15)
        vly_text_add(t, "%.0f", value);
    else
        vly_text_add(t, "%.7g", value);
}

unsigned char vly_text_plain(char *text, size_t bytes, unsigned char last) {
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            text[i] = '?';
        else if (last == 0xc2 && c >= 0x80 && c < 0xa0)
            text[i] = '\xbf';
        last = c;
    }
    return last;
}

static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

int vly_text_utf8(const char *at) {
    uint32_t c;
    return utf8_character((const unsigned char *)at, &c);
}

bool vly_text_is_utf8(const char *text) {
    uint32_t c;
    int n;
    for (const unsigned char *p = (const unsigned char *)text; *p; p += n)
        if ((n = utf8_character(p, &c)) == 0) return false;
    return true;
}

bool vly_text_is_printable(const char *text) {
    uint32_t c;
    int n;
    for (const unsigned char *p = (const unsigned char *)text; *p; p += n)
        if ((n = utf8_character(p, &c)) == 0 || is_control(c)) return false;
    return true;
}

bool vly_text_decimal(const char *text, char **end, double *out) {
    const char *p = text + (*text == '-' || *text == '+'), *const mantissa = p;
    const size_t whole = strspn(p, "0123456789");
    p += whole;
    const size_t part = *p == '.' ? strspn(p + 1, "0123456789") : 0;
    if (whole + part == 0) return false;
    p += part + (*p == '.');
    const bool zero = strcspn(mantissa, "123456789") >= (size_t)(p - mantissa);
    if (*p == 'e' || *p == 'E') {
        const char *const digits = p + 1 + (p[1] == '-' || p[1] == '+');
        if (isdigit((unsigned char)*digits)) p = digits + strspn(digits, "0123456789");
    }
    *out = strtod(text, end);
    return *end == p && isfinite(*out) && (zero || *out != 0);
}

void vly_text_clear(vly_text *t) {
    t->n = 0;
    t->failed = false;
    if (t->at) t->at[0] = '\0';
}

void vly_text_free(vly_text *t) {
    free(t->at);
    *t = (vly_text){0};
}

enum { SHELL_WORD = 1280 };

const char *vly_shell_word(const char *text) {
    static _Thread_local char ring[4][4 * SHELL_WORD + 8];
    static _Thread_local int next;
    char *to = ring[next = (next + 1) % 4], *const word = to;
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=+,@%";
    if (*text && strlen(text) < SHELL_WORD && text[strspn(text, safe)] == '\0')
        return snprintf(word, sizeof ring[0], "%s", text), word;
    *to++ = '\'';
    for (size_t i = 0; text[i] && i < SHELL_WORD; i++) {
        if (text[i] == '\'') memcpy(to, "'\\'", 3), to += 3;
        *to++ = text[i];
    }
    *to++ = '\'', *to = '\0';
    return word;
}
