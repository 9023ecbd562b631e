/* Columns of a vector: the environment's own numbers among them, by their names. */
#include "common/base/env.h"
#include "tests/library/calls.h"

enum { ENVS = 3 };

static vly_vec *open_vec(const char *name, const char *options) {
    vly_vec *v = NULL;
    CHECK_CALL(vly_vec_open(&v, name, options));
    return v;
}

/* -1: there is none. */
static int column_named(const vly_vec *v, const char *name) {
    vly_column c = {.bytes = sizeof c};
    for (int i = 0; vly_vec_column(v, i, &c) == 0; i++)
        if (!strcmp(c.name, name)) return i;
    return -1;
}

/* One column after a reset. */
static void read_column(vly_vec *v, const char *name, int32_t type, void *out) {
    void *column[16 + VLY_ENV_INFO_MAX] = {NULL};
    static uint8_t observation[1 << 20];
    float reward[ENVS];
    uint8_t ended[2 * ENVS];
    vly_column c = {.bytes = sizeof c};
    const int at = column_named(v, name);
    CHECK(at >= 0 || (fprintf(stderr, "no column %s\n", name), 0));
    CHECK_CALL(vly_vec_column(v, at, &c));
    CHECK_EQ(c.type, type);
    column[at] = out;
    const int64_t seeds[ENVS] = {1, 2, 3};
    const vly_batch batch = {.bytes = sizeof batch,
                             .observation = observation,
                             .reward = reward,
                             .terminated = ended,
                             .truncated = ended + ENVS,
                             .column = column};
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &batch));
}

static void all_numbers_are_columns(void) {
    vly_vec *v = open_vec(VLY_TEST_PLUGIN_BAD, "num_envs=3 info=many");
    for (int i = 0; i < VLY_ENV_INFO_MAX; i++) {
        char name[16];
        double number[ENVS] = {-1, -1, -1};
        snprintf(name, sizeof name, "n%d", i);
        read_column(v, name, VLY_TYPE_F64, number);
        for (int k = 0; k < ENVS; k++) CHECK_EQ(number[k], i);
    }
    vly_vec_close(v);
}

static void a_number_with_the_name_of_a_column_is_refused(void) {
    vly_vec *v = NULL;
    REFUSED(vly_vec_open(&v, VLY_TEST_PLUGIN_BAD, "info=good"), -1, "bad: its number 'score'");
    CHECK(v == NULL);
}

int main(void) {
    all_numbers_are_columns();
    a_number_with_the_name_of_a_column_is_refused();
    return TEST_PASS;
}
