/* One option of a table: reading and writing its value. */
#include "common/config/option.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/base/text.h"

static vly_status outside(const vly_option *o, const char *what, const char *value) {
    char allowed[512];
    vly_option_allowed(o, allowed, sizeof allowed);
    return vly_fail(VLY_EINVAL, "%s: '%.200s' is not %s", what, value, allowed);
}

/* 1, 1e6, 10M; BYTES: 512M, 2GiB in powers of 1024. */
static bool parse_integer(const char *text, bool binary, int64_t *out) {
    char *end;
    double x;
    if (!vly_text_decimal(text, &end, &x)) return false;
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0) return *out = whole, true;
    if (!vly_text_decimal(text, &end, &x)) return false;
    static const char letters[] = "kMGT";
    const char *letter = *end ? strchr(letters, *end == 'K'   ? 'k'
                                                : *end == 'm' ? 'M'
                                                : *end == 'g' ? 'G'
                                                              : *end)
                              : NULL;
    if (letter) {
        x *= pow(binary ? 1024 : 1000, (double)(letter - letters) + 1);
        end++;
        if (binary && !strcmp(end, "iB"))
            end += 2;
        else if (binary && !strcmp(end, "B"))
            end++;
    }
    if (*end != '\0' || x != floor(x) || fabs(x) > 9.2e18) return false;
    *out = (int64_t)x;
    return true;
}

static bool parse_bool(const char *text, int *out) {
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (int i = 0; i < 4; i++)
        for (int b = 0; b < 2; b++)
            if (!strcasecmp(text, words[i][b])) return *out = b, true;
    return false;
}

static int choice_index(const char *choices, const char *text) {
    size_t n = strlen(text);
    int i = 0;
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL, i++) {
        size_t length = strcspn(p, "|");
        if (length == n && !strncasecmp(p, text, n)) return i;
    }
    return -1;
}

static void choice_name(const char *choices, int index, char *text, size_t bytes) {
    const char *p = choices;
    while (index-- > 0 && strchr(p, '|')) p = strchr(p, '|') + 1;
    snprintf(text, bytes, "%.*s", (int)strcspn(p, "|"), p);
}

/* 64,64 or [64, 64]; nothing, or [], is the empty list. */
static bool parse_list(const vly_option *o, const char *text, vly_int_list *out) {
    vly_int_list list = {0};
    const bool brackets = *text == '[';
    text += brackets;
    text += strspn(text, " ");
    const bool empty = *text == (brackets ? ']' : '\0');
    while (!empty) {
        char *end;
        if (!isdigit((unsigned char)*text) && *text != '-') return false;
        errno = 0;
        long v = strtol(text, &end, 10);
        if (end == text || errno || v < o->min || v > o->max || list.n == VLY_LIST_MAX)
            return false;
        list.v[list.n++] = (int)v;
        text = end + strspn(end, " ");
        if (*text != ',') break;
        text += 1 + strspn(text + 1, " ");
    }
    if (brackets && *text++ != ']') return false;
    if (*text) return false;
    *out = list;
    return true;
}

static bool is_optional(const vly_option *o) {
    return o->def && !strcmp(o->def, "none");
}

static bool set_float(void *at, const vly_option *o, const char *value) {
    if (is_optional(o) && !strcasecmp(value, "none")) return *(float *)at = NAN, true;
    char *end;
    double x;
    if (!vly_text_decimal(value, &end, &x) || *end || x < o->min || x > o->max) return false;
    if (x != 0 && (float)x == 0) return false;
    *(float *)at = (float)x;
    return true;
}

/* A choice is kept as the table spells it, however it was given. */
static bool set_text(char *at, const vly_option *o, const char *value) {
    char choice[64];
    const int index = o->choices ? choice_index(o->choices, value) : 0;
    if (index < 0) return false;
    if (o->choices) {
        choice_name(o->choices, index, choice, sizeof choice);
        value = choice;
    }
    if (strlen(value) >= o->bytes || !vly_text_is_printable(value)) return false;
    memset(at, 0, o->bytes);
    memcpy(at, value, strlen(value));
    return true;
}

static bool set_integer(const vly_option *o, const char *value, int64_t *whole) {
    if (o->choices && !strcasecmp(value, o->choices)) return *whole = 0, true;
    return parse_integer(value, o->kind == VLY_OPTION_BYTES, whole) && (double)*whole >= o->min &&
           (double)*whole <= o->max;
}

vly_status vly_option_set(void *base, const vly_option *o, const char *what, const char *value) {
    void *at = (char *)base + o->offset;
    int64_t whole;
    int small;
    bool good = false;
    switch (o->kind) {
    case VLY_OPTION_BOOL:
        if ((good = parse_bool(value, &small))) {
            if (o->bytes == sizeof(bool))
                *(bool *)at = small;
            else
                *(int *)at = small;
        }
        break;
    case VLY_OPTION_INT:
    case VLY_OPTION_BYTES:
        good = set_integer(o, value, &whole);
        if (good) {
            if (o->bytes == sizeof(int))
                *(int *)at = (int)whole;
            else
                *(int64_t *)at = whole;
        }
        break;
    case VLY_OPTION_FLOAT: good = set_float(at, o, value); break;
    case VLY_OPTION_CHOICE:
        small = choice_index(o->choices, value);
        if ((good = small >= 0)) *(int *)at = small;
        break;
    case VLY_OPTION_TEXT: good = set_text(at, o, value); break;
    case VLY_OPTION_LIST: good = parse_list(o, value, at); break;
    }
    return good ? VLY_OK : outside(o, what, value);
}

/* Shortest text that reads back to the same float. */
static void print_float(float x, char *text, size_t bytes) {
    char shortest[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(shortest, sizeof shortest, "%.*g", digits, (double)x);
        if (strtof(shortest, NULL) == x) break;
    }
    snprintf(text, bytes, "%s", shortest);
}

void vly_option_get(const void *base, const vly_option *o, char *text, size_t bytes) {
    const void *at = (const char *)base + o->offset;
    switch (o->kind) {
    case VLY_OPTION_BOOL:
        snprintf(text, bytes, "%s",
                 (o->bytes == sizeof(bool) ? *(const bool *)at : *(const int *)at != 0) ? "true"
                                                                                        : "false");
        break;
    case VLY_OPTION_INT:
    case VLY_OPTION_BYTES: {
        const long long whole = o->bytes == sizeof(int) ? *(const int *)at : *(const int64_t *)at;
        if (whole == 0 && o->choices)
            snprintf(text, bytes, "%s", o->choices);
        else
            snprintf(text, bytes, "%lld", whole);
        break;
    }
    case VLY_OPTION_FLOAT:
        if (isnan(*(const float *)at))
            snprintf(text, bytes, "none");
        else
            print_float(*(const float *)at, text, bytes);
        break;
    case VLY_OPTION_CHOICE: choice_name(o->choices, *(const int *)at, text, bytes); break;
    case VLY_OPTION_TEXT: snprintf(text, bytes, "%s", (const char *)at); break;
    case VLY_OPTION_LIST: {
        const vly_int_list *list = at;
        size_t used = (size_t)snprintf(text, bytes, "[");
        for (int i = 0; i < list->n && used < bytes; i++)
            used += (size_t)snprintf(text + used, bytes - used, "%s%d", i ? ", " : "", list->v[i]);
        if (used < bytes) snprintf(text + used, bytes - used, "]");
        break;
    }
    }
}

void vly_option_allowed(const vly_option *o, char *text, size_t bytes) {
    switch (o->kind) {
    case VLY_OPTION_BOOL: snprintf(text, bytes, "true or false"); break;
    case VLY_OPTION_INT:
        snprintf(text, bytes, "a whole number from %.15g to %.15g%s%s", o->min, o->max,
                 o->choices ? ", or " : "", o->choices ? o->choices : "");
        break;
    case VLY_OPTION_BYTES:
        snprintf(text, bytes, "a number of bytes from %.15g to %.15g (512M, 2G)", o->min, o->max);
        break;
    case VLY_OPTION_FLOAT:
        snprintf(text, bytes, "a number from %.15g to %.15g%s", o->min, o->max,
                 is_optional(o) ? ", or none" : "");
        break;
    case VLY_OPTION_TEXT:
        if (!o->choices) {
            snprintf(text, bytes, "a text of at most %zu bytes of UTF-8 without control characters",
                     o->bytes - 1);
            break;
        }
        /* fall through */
    case VLY_OPTION_CHOICE: {
        size_t used = (size_t)snprintf(text, bytes, "one of ");
        for (const char *p = o->choices; *p && used + 3 < bytes; p++) {
            if (*p == '|')
                text[used++] = ',', text[used++] = ' ';
            else
                text[used++] = *p;
        }
        text[used] = '\0';
        break;
    }
    case VLY_OPTION_LIST:
        snprintf(text, bytes, "up to %d whole numbers from %.15g to %.15g, like 64,64",
                 VLY_LIST_MAX, o->min, o->max);
        break;
    }
}
