/* option.h -- one option of a structure: its name, type, range and default, and text to value and
 * back.
 *
 *   static const vly_option lr = {"ppo", "lr", VLY_OPTION_FLOAT, offsetof(settings, lr), 4, "3e-4",
 *                                 0, 1, NULL, "learning rate"};
 *   settings s;
 *   VLY_TRY(vly_option_set(&s, &lr, "--ppo.lr", "1e-3"));
 *
 * A run's options are a table of these (config.h); verbs and families of environments have tables
 * of their own. Errors are VLY_EINVAL and name the option, what was given and what is allowed.
 */
#ifndef VLY_COMMON_CONFIG_OPTION_H
#define VLY_COMMON_CONFIG_OPTION_H
#include <stddef.h>
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { VLY_LIST_MAX = 4 };

typedef struct {
    int n;
    int v[VLY_LIST_MAX];
} vly_int_list;

typedef enum {
    VLY_OPTION_BOOL, /* bool or int, by size */
    VLY_OPTION_INT, /* int or int64_t, by size; 0 is also written as `choices`, when there is one */
    VLY_OPTION_BYTES,
    VLY_OPTION_FLOAT,
    VLY_OPTION_CHOICE, /* int: index in choices */
    VLY_OPTION_TEXT,   /* char array; one of `choices` when there are any */
    VLY_OPTION_LIST
} vly_option_kind;

typedef struct {
    const char *section, *key;
    vly_option_kind kind;
    size_t offset, bytes; /* in the structure that the table describes */
    const char *def;      /* default, as text */
    double min, max;
    const char *choices; /* "a|b|c" or NULL */
    const char *help;
} vly_option;

/* `what` names the option in messages. */
vly_status vly_option_set(void *base, const vly_option *option, const char *what,
                          const char *value);
/* The value as text that vly_option_set reads back to the same bits. */
void vly_option_get(const void *base, const vly_option *option, char *text, size_t bytes);
/* "0 to 1", "true or false", "one of a, b, c". */
void vly_option_allowed(const vly_option *option, char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
