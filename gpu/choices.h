/* choices.h -- which engine was fastest for a pass of a layer, remembered across runs.
 *
 * One line per decision, `key <tab> engine <tab> microseconds of each candidate`, appended to
 * engines.tsv in VLY_CACHE_DIR, XDG_CACHE_HOME/volley or ~/.cache/volley; the first line of a key
 * counts, so that ranks that choose at the same time agree. The key names device, versions, shape,
 * types and batch: with a new driver or library, engines are measured again. If the file cannot be
 * read or written, engines are measured again at every start. Deleting it is safe.
 */
#ifndef VLY_GPU_CHOICES_H
#define VLY_GPU_CHOICES_H
#include <stdbool.h>
#include <stddef.h>

bool vly_choices_find(const char *key, char *engine, size_t bytes);
void vly_choices_keep(const char *key, const char *engine, const char *times);
/* "24 choices in FILE: own 3, cublaslt 6, patches 15", for `doctor`. */
void vly_choices_describe(char *text, size_t bytes);
#endif
