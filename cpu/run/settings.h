/* settings.h -- the configuration of a run, in config.yaml and in each checkpoint; whether they
 * agree.
 *
 *   VLY_TRY(vly_settings_save(&config, "runs/x/config.yaml", vly_checkpoint_digest(c)));
 *   VLY_TRY(vly_settings_check("runs/x/config.yaml", &config, c, say, arg));
 *
 * A checkpoint holds its configuration as YAML in the tensor VLY_SETTINGS_TENSOR. A run that is
 * resumed with other options has a config.yaml that differs from its checkpoint until the next one
 * is saved: such a file ends with a seal, a comment with the digest of that checkpoint and a
 * checksum of both.
 */
#ifndef VLY_CPU_RUN_SETTINGS_H
#define VLY_CPU_RUN_SETTINGS_H
#include "common/config/config.h"
#include "common/record/checkpoint.h"

#define VLY_SETTINGS_TENSOR "run.settings"

/* The tensor's content; the caller frees it. */
vly_status vly_settings_text(const vly_config *config, char **text, size_t *bytes);
/* digest: of the checkpoint that the run goes on from; "": none. */
vly_status vly_settings_save(const vly_config *config, const char *path, const char *digest);
/* config: as read from `path`. VLY_EINVAL names the options that differ and decide how training
 * goes on. A checkpoint of an older program holds a hash alone: if that differs, say() gets a line.
 */
vly_status vly_settings_check(const char *path, const vly_config *config, vly_checkpoint *c,
                              void (*say)(void *arg, const char *text), void *arg);
#endif
