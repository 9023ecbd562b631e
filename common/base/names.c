#define _GNU_SOURCE /* strcasestr */
#include "common/base/names.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_ = 63, NEAREST = 3 };

static int fold_case(char c) {
    return c == '-' ? '_' : tolower((unsigned char)c);
}

/* Optimal string alignment distance, case ignored, dashes equal to underscores; if it is more than
 * `most`, some number above it. */
static int distance(const char *a, const char *b, int most) {
    int row[3][NAME_MAX_ + 2];
    int na = (int)strnlen(a, NAME_MAX_), nb = (int)strnlen(b, NAME_MAX_);
    if (na - nb > most || nb - na > most) return most + 1;
    int *before = row[0], *last = row[1], *now = row[2];
    for (int j = 0; j <= nb; j++) last[j] = j, before[j] = 0;
    for (int i = 1; i <= na; i++) {
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int same = fold_case(a[i - 1]) == fold_case(b[j - 1]);
            int best = last[j - 1] + !same;
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        int *t = before;
        before = last, last = now, now = t;
    }
    return last[nb];
}

/* Smaller is nearer; a name that contains what was given counts as near. */
static int score(const char *given, const char *name, int most) {
    int d = distance(given, name, most);
    if (strlen(given) >= 3 && (strcasestr(name, given) || strcasestr(given, name)))
        return d < 2 ? d : 2;
    const char *dot = strrchr(name, '.'); /* "lr" is near "ppo.lr", "lerning_rate" is not */
    if (dot && !strchr(given, '.')) {
        int tail = distance(given, dot + 1, most) + 1;
        if (tail < d) d = tail;
    }
    return d;
}

void vly_nearest(const char *given, const char *(*next)(int i), char *text, size_t bytes) {
    const char *best[NEAREST];
    int rank[NEAREST], n = 0;
    int limit = (int)strlen(given) / 3 + 1;
    for (int i = 0; next(i); i++) {
        if (!*next(i)) continue;
        int s = score(given, next(i), limit > 2 ? limit : 2);
        if (s > limit && s > 2) continue;
        int at = n < NEAREST ? n++ : NEAREST;
        for (; at > 0 && rank[at - 1] > s; at--)
            if (at < NEAREST) rank[at] = rank[at - 1], best[at] = best[at - 1];
        if (at < NEAREST) rank[at] = s, best[at] = next(i);
    }
    if (bytes) text[0] = '\0';
    for (int i = 0; i < n; i++) {
        size_t used = strlen(text);
        if (used + strlen(best[i]) + 3 > bytes) return;
        strcat(strcat(text, i ? ", " : ""), best[i]);
    }
}
