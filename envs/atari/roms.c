#include "envs/atari/roms.h"
#include <dirent.h>
#include <stdio.h>
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH = 4096, ANY_FILE_MAX = 100000 };

int vly_atari_rom_folder(const char *folder, int i, char *path, size_t bytes) {
    const char *own = getenv("VOLLEY_ROMS"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (folder && *folder) return i == 0 && snprintf(path, bytes, "%s", folder) < (int)bytes;
    if (own && *own && i-- == 0) return snprintf(path, bytes, "%s", own) < (int)bytes;
    if (i != 0) return 0;
    if (cache && *cache) return snprintf(path, bytes, "%s/volley/roms", cache) < (int)bytes;
    if (home && *home) return snprintf(path, bytes, "%s/.cache/volley/roms", home) < (int)bytes;
    return 0;
}

/* Returns 0 if it is not a file, is unreadable or has a size that no cartridge has. Reads one
 * byte more than the largest to detect oversize. */
static size_t read_file(const char *path, uint8_t *bytes) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return 0;
    if (info.st_size < 1024 || info.st_size > VLY_ROM_MAX_BYTES) return 0;
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    const size_t n = fread(bytes, 1, VLY_ROM_MAX_BYTES, file);
    fclose(file);
    return n;
}

/* Calls visit on every file's contents until it returns 1. */
typedef int (*visit_fn)(void *context, const char *path, const uint8_t *bytes, size_t n,
                        const char *md5);

static int each_file(const char *folder, visit_fn visit, void *context) {
    static _Thread_local uint8_t bytes[VLY_ROM_MAX_BYTES];
    DIR *dir = opendir(folder);
    int done = 0, left = ANY_FILE_MAX;
    if (!dir) return 0;
    for (struct dirent *entry; !done && left-- > 0 && (entry = readdir(dir)) != NULL;) {
        char path[PATH], md5[33];
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path)
            continue;
        const size_t n = read_file(path, bytes);
        if (n == 0) continue;
        vly_rom_md5(bytes, n, md5);
        done = visit(context, path, bytes, n, md5);
    }
    closedir(dir);
    return done;
}

typedef struct {
    const vly_atari_game *game;
    uint8_t *bytes;
    size_t n;
} wanted;

static int copy_if_wanted(void *context, const char *path, const uint8_t *bytes, size_t n,
                          const char *md5) {
    wanted *w = context;
    (void)path;
    if (strcmp(md5, w->game->md5) != 0) return 0;
    memcpy(w->bytes, bytes, n);
    w->n = n;
    return 1;
}

/* 1 found; 0 not there; -1 there, but another ROM: *impostor says which file. */
static int by_name(const vly_atari_game *game, const char *folder, uint8_t *bytes, size_t *n,
                   char *impostor) {
    static const char *const endings[] = {"bin", "a26", "rom"};
    struct stat info;
    char path[PATH], md5[33];
    int result = 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (snprintf(path, sizeof path, "%s/%s.%s", folder, game->name, endings[i]) >=
            (int)sizeof path)
            continue;
        if (stat(path, &info) != 0) continue;
        *n = read_file(path, bytes);
        vly_rom_md5(bytes, *n, md5);
        if (*n && strcmp(md5, game->md5) == 0) return 1;
        snprintf(impostor, 512, "; %.300s is there but is not it (%lld bytes%s%s)", path,
                 (long long)info.st_size, *n ? ", md5 " : "", *n ? md5 : "");
        result = -1;
    }
    return result;
}

/* False with errno: a file, none, or one that may not be read. */
static bool opens_as_folder(const char *path) {
    DIR *dir = opendir(path);
    if (dir) closedir(dir);
    return dir && access(path, X_OK) == 0;
}

vly_status vly_atari_rom_read(const vly_atari_game *game, const char *folder, uint8_t *bytes,
                              size_t *n) {
    char path[PATH], impostor[512] = "", places[1024] = "";
    for (int i = 0; vly_atari_rom_folder(folder, i, path, sizeof path); i++) {
        if (by_name(game, path, bytes, n, impostor) == 1) return VLY_OK;
        wanted w = {game, bytes, 0};
        if (each_file(path, copy_if_wanted, &w)) {
            *n = w.n;
            return VLY_OK;
        }
        const size_t used = strlen(places);
        snprintf(places + used, sizeof places - used, "%s%.400s%s", used ? " and " : "", path,
                 access(path, R_OK | X_OK) ? " (cannot be read)" : "");
    }
    if (folder && *folder && !opens_as_folder(folder))
        return vly_fail(VLY_ENOTFOUND,
                        "cannot open the ROM folder %s: %s; %s needs the ROM with md5 %s, which "
                        "'make roms' fetches",
                        folder, strerror(errno), game->name, game->md5);
    return vly_fail(VLY_ENOTFOUND,
                    "%s: no ROM with md5 %s in %s%s: 'make roms' fetches it, --roms DIR names a "
                    "folder of your own",
                    game->name, game->md5, *places ? places : "any folder (HOME is not set)",
                    impostor);
}

static int mark(void *context, const char *path, const uint8_t *bytes, size_t n, const char *md5) {
    const vly_atari_game *game = vly_atari_game_by_md5(md5);
    (void)path, (void)bytes, (void)n;
    if (game) ((uint8_t *)context)[game - vly_atari_games] = 1;
    return 0;
}

int vly_atari_rom_scan(const char *folder, uint8_t found[VLY_ATARI_GAMES]) {
    char path[PATH];
    int n = 0;
    memset(found, 0, VLY_ATARI_GAMES);
    for (int i = 0; vly_atari_rom_folder(folder, i, path, sizeof path); i++)
        each_file(path, mark, found);
    for (int i = 0; i < VLY_ATARI_GAMES; i++) n += found[i];
    return n;
}
