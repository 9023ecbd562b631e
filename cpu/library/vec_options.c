#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/config/config.h"
#include "common/config/option.h"
#include "cpu/library/vec_impl.h"
#include "cpu/library/words.h"

#define AT(k) offsetof(vec_options, k), sizeof(((vec_options *)0)->k)
static const vly_option table[] = {
    {"vec", "num_envs", VLY_OPTION_INT, AT(num_envs), "1", 1, 1 << 20, NULL, ""},
    {"vec", "batch_size", VLY_OPTION_INT, AT(batch_size), "0", 0, 1 << 20, NULL, ""},
    {"vec", "num_threads", VLY_OPTION_INT, AT(num_threads), "0", 0, 4096, NULL, ""},
    {"vec", "autoreset", VLY_OPTION_CHOICE, AT(autoreset), "next_step", 0, 0,
     "next_step|same_step|disabled", ""},
    {"vec", "stack_start", VLY_OPTION_CHOICE, AT(stack_start), "zero", 0, 0, "zero|repeat", ""},
    {"vec", "reward", VLY_OPTION_CHOICE, AT(reward), "f32", 0, 0, "f32|f64|i32", ""},
    {"vec", "stack_lives", VLY_OPTION_BOOL, AT(stack_lives), "false", 0, 0, NULL, ""},
    {"vec", "life_loss", VLY_OPTION_BOOL, AT(life_loss), "false", 0, 0, NULL, ""},
    {"vec", "view", VLY_OPTION_BOOL, AT(view), "false", 0, 0, NULL, ""},
    {"vec", "max_steps", VLY_OPTION_INT, AT(max_steps), "0", 0, 2147483647, NULL, ""},
    {"vec", "data", VLY_OPTION_TEXT, AT(data), "", 0, 0, NULL, ""},
};
enum { ROWS = sizeof table / sizeof *table };

static vly_status append_option(char *list, size_t bytes, const char *separator, const char *key,
                                const char *value) {
    const size_t n = strlen(list);
    if ((size_t)snprintf(list + n, bytes - n, "%s%s=%s", n ? separator : "", key, value) <
        bytes - n)
        return VLY_OK;
    return vly_fail(VLY_EINVAL, "the options of an environment are longer than %zu characters",
                    bytes);
}

static vly_status set_family(vec_options *o, const char *key, const char *value) {
    int n;
    const vly_section *sections = vly_config_sections(&n);
    const size_t length = strcspn(key, ".");
    for (int i = 0; i < n; i++)
        if (sections[i].family && strlen(sections[i].name) == length &&
            strncmp(sections[i].name, key, length) == 0) {
            VLY_TRY(vly_config_find(key) ? VLY_OK : VLY_EINVAL);
            return append_option(o->families, sizeof o->families, " ", key, value);
        }
    return vly_fail(VLY_EINVAL, "%s: environments have no family '%.*s'", key, (int)length, key);
}

static vly_status set_vec_option(void *arg, const char *key, const char *value) {
    vec_options *o = arg;
    for (int i = 0; i < ROWS; i++)
        if (strcmp(table[i].key, key) == 0) return vly_option_set(o, &table[i], key, value);
    if (strchr(key, '.')) return set_family(o, key, value);
    return append_option(o->extra, sizeof o->extra, ",", key, value);
}

static vly_status check_vec_options(vec_options *o) {
    if (o->batch_size == 0) o->batch_size = o->num_envs;
    if (o->batch_size > o->num_envs)
        return vly_fail(VLY_EINVAL, "batch_size is %d, at most num_envs, %d", o->batch_size,
                        o->num_envs);
    if (o->view && o->batch_size < o->num_envs)
        return vly_fail(VLY_EINVAL, "view=true needs batch_size equal to num_envs");
    return VLY_OK;
}

vly_status vec_options_read(vec_options *o, const char *text) {
    memset(o, 0, sizeof *o);
    for (int i = 0; i < ROWS; i++)
        VLY_TRY(vly_option_set(o, &table[i], table[i].key, table[i].def));
    VLY_TRY(vly_words_read(text, set_vec_option, o));
    return check_vec_options(o);
}
