#include <string.h>
#include "common/base/status.h"
#include "envs/atari/games.h"
#include "envs/registry.h"
#include "include/volley.h"
#include "vly_version.h"

const char *vly_version(void) {
    return VLY_VERSION;
}

const char *vly_last_error(void) {
    return vly_error_text();
}

static void name_atari(int game, vly_vec_known *out) {
    *out = (vly_vec_known){.bytes = out->bytes,
                           .name = vly_atari_games[game].name,
                           .summary = "Atari 2600",
                           .family = "atari"};
}

int vly_vec_list(int i, vly_vec_known *out) {
    if (!out || out->bytes < sizeof *out)
        return vly_fail(VLY_EINVAL, "vly_vec_known needs its size in `bytes`");
    int builtins = 0;
    while (vly_env_list(builtins)) builtins++;
    if (i < 0 || i >= builtins + VLY_ATARI_GAMES)
        return vly_fail(VLY_ENOTFOUND, "no environment number %d", i);
    if (i >= builtins) {
        name_atari(i - builtins, out);
        return VLY_OK;
    }
    const vly_env_entry *e = vly_env_list(i);
    *out = (vly_vec_known){.bytes = out->bytes,
                           .name = e->name,
                           .gymnasium = e->gym_id,
                           .summary = e->summary,
                           .family = vly_env_family(e)};
    return VLY_OK;
}
