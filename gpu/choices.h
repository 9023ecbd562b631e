/* choices.h -- which engine was fastest for a pass of a layer, remembered across runs.
 *
 * One line per decision, `key <tab> engine <tab> microseconds of each candidate`, appended to engines.tsv in VLY_CACHE_DIR,
 * XDG_CACHE_HOME/volley or ~/.cache/volley; the last line of a key counts. The key names device, versions, shape,
 * types and batch, so a new driver or library is measured anew. A file that cannot be read or written costs
 * the measurement, nothing else. Deleting it is safe.
 */
#ifndef VLY_GPU_CHOICES_H
#define VLY_GPU_CHOICES_H
#include <stdbool.h>
#include <stddef.h>

bool vly_choices_find(const char *key, char *engine, size_t bytes);
void vly_choices_keep(const char *key, const char *engine, const char *times);
#endif
