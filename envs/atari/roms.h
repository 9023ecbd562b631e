/* roms.h -- where a user's ROM files are, whatever their names.
 *
 *   uint8_t bytes[VLY_ROM_MAX_BYTES];
 *   size_t n;
 *   VLY_TRY(vly_atari_rom_read(game, NULL, bytes, &n));
 *
 * Folders, in this order: the one named by the caller, and no other then; else $VOLLEY_ROMS, else
 * $XDG_CACHE_HOME/volley/roms or ~/.cache/volley/roms, which `make roms` fills. A file is a game by
 * its md5; GAME.bin is tried first, so opening costs one file where the names are the usual ones.
 */
#ifndef VLY_ENVS_ATARI_ROMS_H
#define VLY_ENVS_ATARI_ROMS_H
#include <stddef.h>
#include <stdint.h>
#include "envs/atari/games.h"

/* Reads the game's ROM into `bytes` (VLY_ROM_MAX_BYTES of room). Fails with what was looked for,
 * where, and the command that fetches it; a file of the game's name that is another ROM is named
 * too. */
vly_status vly_atari_rom_read(const vly_atari_game *game, const char *folder, uint8_t *bytes,
                              size_t *n);

/* Sets found[i] for every game whose ROM is there; returns how many. One look at every file. */
int vly_atari_rom_scan(const char *folder, uint8_t found[VLY_ATARI_GAMES]);

/* Folder i of the search path into `path`; 0 past the end. */
int vly_atari_rom_folder(const char *folder, int i, char *path, size_t bytes);
#endif
