/* Random bytes as a configuration file: errors are words, never a crash. What is accepted survives
 * being saved.
 *   cmake --preset fuzz && cmake --build --preset fuzz && build-fuzz/fuzz_config tests/fuzz/config
 */
#include <stdlib.h>
#include <string.h>
#include "common/learn/algo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

/* Printed and parsed again it is the same configuration. */
static void survives(const vly_config *config) {
    static vly_config back;
    char *text = NULL, *again = NULL;
    size_t n = 0, m = 0;
    vly_assignments given = {0};
    FILE *out = open_memstream(&text, &n);
    vly_config_print(config, out);
    fclose(out);
    check(vly_config_parse(text, n, "printed", &given) == VLY_OK);
    check(vly_config_defaults(&back) == VLY_OK);
    for (int i = 0; i < given.n; i++)
        check(vly_config_set(&back, given.v[i].key, given.v[i].value) == VLY_OK);
    out = open_memstream(&again, &m);
    vly_config_print(&back, out);
    fclose(out);
    check(n == m && !memcmp(text, again, n));
    vly_assignments_free(&given);
    free(text);
    free(again);
}

/* Saving takes ten times as long as reading. */
static bool is_one_of_sixteen(const uint8_t *data, size_t bytes) {
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++) sum += data[i];
    return sum % 16 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static vly_config config;
    vly_assignments given = {0};
    vly_error_clear();
    vly_status status = vly_config_parse((const char *)data, bytes, "fuzz", &given);
    if (status != VLY_OK)
        check(vly_error_text()[0] != '\0');
    else if (vly_algo_resolve(&config, &given, "cartpole", "classic") == VLY_OK &&
             is_one_of_sixteen(data, bytes))
        survives(&config);
    vly_assignments_free(&given);
    return 0;
}
