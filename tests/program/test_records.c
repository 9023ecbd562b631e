/* A run's records, read back and as CSV. */
#include "tests/kit/check.h"
#include <jansson.h>
#include <math.h>
#include <unistd.h>
#include "common/base/file.h"
#include "cpu/program/records.h"

static char folder[64] = "/tmp/volley-records-XXXXXX";

static void write_records(const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    CHECK_OK(vly_file_replace(path, text, strlen(text)));
}

static char *csv(json_t **columns, int64_t *rows) {
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    CHECK_OK(vly_records_csv(folder, out, columns, rows));
    CHECK_EQ(fclose(out), 0);
    return text;
}

static void columns_are_the_union_in_order_and_gaps_stay_empty(void) {
    json_t *columns;
    int64_t rows;
    write_records("{\"step\":1,\"a/b\":0.333333333}\n"
                  "{\"step\":12345678901,\"new, \\\"odd\\\"\":-1e-30,\"a/b\":2}\n"
                  "\n"
                  "not a record\n"
                  "{\"step\":3,\"words\":\"x,y\"}\n"
                  "{\"step\":4,\"a/b\":1"); /* cut off */
    char *text = csv(&columns, &rows);
    CHECK(strcmp(text, "step,a/b,\"new, \"\"odd\"\"\",words\n"
                       "1,0.333333333,,\n"
                       "12345678901,2,-1e-30,\n"
                       "3,,,\"x,y\"\n") == 0);
    CHECK_EQ(rows, 3);
    CHECK_EQ(json_array_size(columns), 4);
    json_decref(columns);
    free(text);
}

static void json_lines_are_the_whole_records(void) {
    json_t *columns;
    int64_t rows;
    char *text;
    size_t bytes;
    write_records("{\"step\":1,\"a/b\":0.333333333}\n{\"step\":2}\n{\"step\":3,\"a/b");
    FILE *out = open_memstream(&text, &bytes);
    CHECK_OK(vly_records_json_lines(folder, out, &columns, &rows));
    CHECK_EQ(fclose(out), 0);
    CHECK(strcmp(text, "{\"step\":1,\"a/b\":0.333333333}\n{\"step\":2}\n") == 0 && rows == 2);
    json_decref(columns);
    free(text);
}

static void every_number_survives(void) {
    enum { N = 200 };
    char line[256], *all;
    size_t bytes;
    json_t *columns;
    int64_t rows;
    double value[N];
    FILE *f = open_memstream(&all, &bytes);
    for (int i = 0; i < N; i++) {
        value[i] = (i % 2 ? -1 : 1) * exp((i - 100) / 3.0) * 1.234567891;
        fprintf(f, "{\"step\":%d,\"x\":%.9g}\n", i, value[i]); /* as common/record/metrics.c writes
                                                                  them */
    }
    fclose(f);
    write_records(all);
    free(all);
    char *text = csv(&columns, &rows), *rest, *l = strtok_r(text, "\n", &rest);
    CHECK(strcmp(l, "step,x") == 0);
    for (int i = 0; i < N; i++) {
        l = strtok_r(NULL, "\n", &rest);
        snprintf(line, sizeof line, "%d,%.9g", i, value[i]);
        CHECK(l && strcmp(l, line) == 0);
    }
    CHECK(strtok_r(NULL, "\n", &rest) == NULL);
    json_decref(columns);
    free(text);
}

static vly_status refuse_second(void *arg, const json_t *record) {
    (void)record;
    return ++*(int *)arg == 2 ? vly_fail(VLY_ECANCELED, "enough") : VLY_OK;
}

static void errors_end_it_and_are_named(void) {
    json_t *columns;
    int64_t rows;
    int seen = 0;
    CHECK_EQ(vly_records_each(folder, refuse_second, &seen), VLY_ECANCELED);
    CHECK_EQ(seen, 2);
    CHECK_EQ(vly_records_each("/no/such/run", refuse_second, &seen), VLY_ENOTFOUND);
    CHECK(strstr(vly_error_text(), "/no/such/run/metrics.jsonl"));
    write_records("");
    CHECK_EQ(vly_records_csv(folder, stderr, &columns, &rows), VLY_ENOTFOUND);
    CHECK(columns == NULL);
    char *text = malloc(2 << 20); /* not read into memory, however long */
    CHECK(text);
    memset(text, 'x', 2 << 20);
    memcpy(text, "{\"step\":1}\n", 11);
    text[(2 << 20) - 1] = '\0';
    write_records(text);
    free(text);
    CHECK_EQ(vly_records_csv(folder, stderr, &columns, &rows), VLY_ECORRUPT);
    CHECK(strstr(vly_error_text(), "a line of more than"));
}

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    columns_are_the_union_in_order_and_gaps_stay_empty();
    json_lines_are_the_whole_records();
    every_number_survives();
    errors_end_it_and_are_named();
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}
