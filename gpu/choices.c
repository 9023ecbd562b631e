#include "gpu/choices.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

static bool choices_folder(char *path, size_t bytes) {
    const char *named = getenv("VLY_CACHE_DIR"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (named && *named)
        snprintf(path, bytes, "%s", named);
    else if (cache && *cache)
        snprintf(path, bytes, "%s/volley", cache);
    else if (home && *home)
        snprintf(path, bytes, "%s/.cache/volley", home);
    else
        return false;
    return true;
}

static bool choices_path(char *path, size_t bytes) {
    char folder[400];
    if (!choices_folder(folder, sizeof folder)) return false;
    snprintf(path, bytes, "%s/engines.tsv", folder);
    return true;
}

/* mkdir -p of the file's folder */
static void make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
}

bool vly_choices_find(const char *key, char *engine, size_t bytes) {
    char path[512], line[LINE_BYTES];
    bool found = false;
    FILE *f = choices_path(path, sizeof path) ? fopen(path, "r") : NULL;
    if (!f) return false;
    const size_t length = strlen(key);
    while (!found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, length) != 0 || line[length] != '\t' || !strchr(line, '\n'))
            continue;
        snprintf(engine, bytes, "%.*s", (int)strcspn(line + length + 1, "\t\n"), line + length + 1);
        found = true;
    }
    fclose(f);
    return found;
}

/* One write: two processes that append at once do not mix their lines. */
void vly_choices_keep(const char *key, const char *engine, const char *times) {
    char path[512], line[LINE_BYTES];
    const int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", key, engine, times);
    if (length <= 0 || length >= (int)sizeof line || !choices_path(path, sizeof path)) return;
    make_folders(path);
    const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return;
    if (write(file, line, (size_t)length) < 0) unlink(path);
    close(file);
}

typedef struct {
    char name[24];
    int lines;
} engine_count;

static int count_engines(FILE *f, engine_count *engines, int most) {
    char line[LINE_BYTES];
    int known = 0;
    while (fgets(line, sizeof line, f)) {
        const char *name = strchr(line, '\t');
        if (!name || !strchr(line, '\n')) continue;
        const int length = (int)strcspn(name + 1, "#\t\n");
        int i = 0;
        while (i < known && ((int)strlen(engines[i].name) != length ||
                             strncmp(engines[i].name, name + 1, (size_t)length) != 0))
            i++;
        if (i == most || length >= (int)sizeof engines[i].name) continue;
        if (i == known)
            snprintf(engines[known++].name, sizeof engines->name, "%.*s", length, name + 1);
        engines[i].lines++;
    }
    return known;
}

void vly_choices_describe(char *text, size_t bytes) {
    char path[512];
    engine_count engines[8] = {{{0}, 0}};
    FILE *f = choices_path(path, sizeof path) ? fopen(path, "r") : NULL;
    const int known = f ? count_engines(f, engines, 8) : 0;
    int all = 0;
    if (f) fclose(f);
    for (int i = 0; i < known; i++) all += engines[i].lines;
    if (all == 0)
        snprintf(text, bytes, "none chosen yet");
    else
        snprintf(text, bytes, "%d choice%s in %s", all, all == 1 ? "" : "s", path);
    for (int i = 0; i < known; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, bytes - used, "%s%s %d", i ? ", " : ": ", engines[i].name,
                 engines[i].lines);
    }
}
