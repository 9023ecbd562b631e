#include "cpu/run/settings.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "common/base/file.h"
#include "common/learn/algo.h"

enum { SETTINGS_BYTES = 1 << 20 };

static const char SEAL[] = "# resumed from ";

vly_status vly_settings_text(const vly_config *config, char **text, size_t *bytes) {
    *text = NULL;
    FILE *out = open_memstream(text, bytes);
    if (!out) return vly_fail(VLY_ENOMEM, "no memory for a configuration");
    vly_config_print(config, out);
    if (fclose(out) == 0) return VLY_OK;
    free(*text);
    return vly_fail(VLY_ENOMEM, "no memory for a configuration");
}

/* "# resumed from DIGEST HASH\n"; the hash is of the text before it and the digest. */
static int make_seal(char *to, size_t room, const char *text, size_t bytes, const char *digest) {
    const uint64_t hash = XXH3_64bits_withSeed(digest, strlen(digest), XXH3_64bits(text, bytes));
    return snprintf(to, room, "%s%s %016" PRIx64 "\n", SEAL, digest, hash);
}

vly_status vly_settings_save(const vly_config *config, const char *path, const char *digest) {
    char *text, *sealed = NULL;
    size_t bytes;
    VLY_TRY(vly_settings_text(config, &text, &bytes));
    const size_t room = bytes + 128;
    if ((sealed = malloc(room))) {
        memcpy(sealed, text, bytes);
        size_t n = bytes;
        if (*digest) n += (size_t)make_seal(sealed + n, room - n, text, bytes, digest);
        const vly_status status = vly_file_replace(path, sealed, n);
        free(sealed);
        free(text);
        return status;
    }
    free(text);
    return vly_fail(VLY_ENOMEM, "no memory to write %s", path);
}

static bool is_sealed(const char *path, const char *digest) {
    char *text, seal[160];
    size_t bytes;
    if (!*digest || vly_file_read(path, SETTINGS_BYTES, &text, &bytes) != VLY_OK) return false;
    const char *at = strstr(text, SEAL);
    bool good = false;
    if (at) {
        make_seal(seal, sizeof seal, text, (size_t)(at - text), digest);
        good = !strcmp(at, seal);
    }
    free(text);
    return good;
}

/* The configuration of the checkpoint: what it names, over `config`. */
static vly_status read_saved(vly_checkpoint *c, const vly_array *t, const vly_config *config,
                             vly_config *saved) {
    vly_assignments given = {0};
    const size_t bytes = vly_array_bytes(t);
    if (t->dtype != VLY_U8 || bytes > SETTINGS_BYTES)
        return vly_fail(VLY_ECORRUPT, "%s: its settings are no text", vly_checkpoint_path(c));
    char *text = malloc(bytes + 1);
    if (!text) return vly_fail(VLY_ENOMEM, "no memory for a configuration");
    vly_status status = vly_checkpoint_read(c, t->name, VLY_U8, text, bytes);
    if (status == VLY_OK) status = vly_config_parse(text, bytes, vly_checkpoint_path(c), &given);
    *saved = *config;
    for (int i = 0; i < given.n && status == VLY_OK; i++)
        status = vly_config_set(saved, given.v[i].key, given.v[i].value);
    vly_assignments_free(&given);
    free(text);
    return status;
}

static vly_status compare_settings(const char *path, const vly_config *config, vly_checkpoint *c,
                                   const vly_array *t) {
    char names[700];
    vly_config *saved = malloc(sizeof *saved);
    if (!saved) return vly_fail(VLY_ENOMEM, "no memory for a configuration");
    vly_status status = read_saved(c, t, config, saved);
    const int n = status == VLY_OK ? vly_algo_config_differences(config, saved, names, sizeof names)
                                   : 0;
    free(saved);
    if (status != VLY_OK || n == 0 || is_sealed(path, vly_checkpoint_digest(c))) return status;
    return vly_fail(VLY_EINVAL,
                    "%.300s is not the configuration that %.300s was saved with: %s; mend it, or "
                    "go on with --accept-config",
                    path, vly_checkpoint_path(c), names);
}

vly_status vly_settings_check(const char *path, const vly_config *config, vly_checkpoint *c,
                              void (*say)(void *arg, const char *text), void *arg) {
    char hash[24], text[1024];
    const vly_array *t = vly_checkpoint_find(c, VLY_SETTINGS_TENSOR);
    const char *saved = vly_checkpoint_note_text(c, "config");
    if (t) return compare_settings(path, config, c, t);
    snprintf(hash, sizeof hash, "%016" PRIx64, vly_algo_config_hash(config));
    if (!saved || !strcmp(saved, hash) || !say) return VLY_OK;
    snprintf(text, sizeof text,
             "volley: %.400s may have been saved with other settings than %.400s, or by an older "
             "program",
             vly_checkpoint_path(c), path);
    say(arg, text);
    return VLY_OK;
}
