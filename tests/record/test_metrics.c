#include <sys/wait.h>
#include <unistd.h>
#include <jansson.h>
#include "common/base/file.h"
#include "common/record/metrics.h"
#include "common/record/tfevents.h"
#include "tests/kit/check.h"
#include "tests/kit/peer.h"

static char folder[64] = "/tmp/vly-metrics-XXXXXX";
static char jsonl[96];

static void crc32c_matches_the_published_value(void) {
    CHECK_EQ(vly_crc32c("123456789", 9), 0xe3069283u);
    CHECK_EQ(vly_crc32c("", 0), 0);
}

static void a_series_is_the_mean_of_its_interval(void) {
    vly_metrics *m;
    CHECK_OK(vly_metrics_create(&m));
    CHECK(!vly_metrics_get(m, VLY_M_SPS).set);
    vly_metrics_observe(m, VLY_M_EPISODIC_RETURN, 10);
    vly_metrics_observe(m, VLY_M_EPISODIC_RETURN, 20);
    CHECK_OK(vly_metrics_record(m, 1));
    vly_metric_value v = vly_metrics_get(m, VLY_M_EPISODIC_RETURN);
    CHECK(v.value == 15 && v.min == 10 && v.max == 20 && v.count == 2);
    vly_metrics_observe(m, VLY_M_EPISODIC_RETURN, -4);
    CHECK(vly_metrics_get(m, VLY_M_EPISODIC_RETURN).value == 15); /* the open interval does not show
                                                                   */
    CHECK_OK(vly_metrics_record(m, 2));
    v = vly_metrics_get(m, VLY_M_EPISODIC_RETURN);
    CHECK(v.value == -4 && v.min == -4 && v.max == -4 && v.count == 3);
    vly_metrics_count(m, VLY_M_STEPS, 5);
    vly_metrics_count(m, VLY_M_STEPS, 6);
    CHECK(vly_metrics_get(m, VLY_M_STEPS).value == 11);
    vly_metrics_destroy(m);
}

static void a_full_table_drops_and_does_not_crash(void) {
    vly_metrics *m;
    char name[32];
    CHECK_OK(vly_metrics_create(&m));
    for (int i = 0; i < 2 * VLY_M_MAX; i++) {
        snprintf(name, sizeof name, "own/%d", i);
        vly_metrics_set_by_name(m, name, i);
    }
    CHECK_EQ(vly_metrics_count_of(m), VLY_M_MAX);
    CHECK_EQ(vly_metrics_add(m, "one/more", VLY_METRIC_GAUGE, ""), -1);
    CHECK_EQ(vly_metrics_add(m, "own/0", VLY_METRIC_GAUGE, ""), VLY_M_STANDARD);
    vly_metrics_set(m, -1, 1);
    vly_metrics_set(m, VLY_M_MAX, 1);
    vly_metrics_destroy(m);
}

static vly_metrics *open_all(int64_t resumed) {
    vly_metrics *m;
    CHECK_OK(vly_metrics_create(&m));
    CHECK_OK(vly_metrics_open_jsonl(m, jsonl, resumed));
    CHECK_OK(vly_metrics_open_tensorboard(m, folder, resumed));
    return m;
}

/* Value of run/steps on line i; -1 past the end. */
static double on_line(int i, const char *key) {
    char *text;
    size_t bytes;
    CHECK_OK(vly_file_read(jsonl, 1 << 24, &text, &bytes));
    char *line = text;
    for (; i > 0 && line; i--) line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    double out = -1;
    if (line && *line) {
        *strchr(line, '\n') = '\0';
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        CHECK(o);
        const json_t *v = json_object_get(o, key);
        out = v && json_is_null(v) ? -2 : json_number_value(v);
        json_decref(o);
    }
    free(text);
    return out;
}

static void a_resumed_run_takes_back_what_came_after(void) {
    vly_metrics *m = open_all(-1);
    for (int i = 1; i <= 10; i++) {
        vly_metrics_count(m, VLY_M_STEPS, 100);
        vly_metrics_set(m, VLY_M_SPS, i == 3 ? NAN : 0.1 * i);
        CHECK_OK(vly_metrics_record(m, 100 * i));
    }
    vly_metrics_destroy(m);
    CHECK(on_line(9, "step") == 1000);
    CHECK(on_line(2, "charts/SPS") == -2); /* null */
    FILE *f = fopen(jsonl, "a");
    fputs("{\"step\":1100,\"cut", f); /* killed while writing */
    fclose(f);
    m = open_all(600);
    vly_metrics_set(m, VLY_M_SPS, 77);
    CHECK_OK(vly_metrics_record(m, 650));
    vly_metrics_destroy(m);
    CHECK(on_line(5, "step") == 600);
    CHECK(on_line(6, "step") == 650);
    CHECK(on_line(7, "step") == -1);
}

/* A file that is larger than memory, or than what is read of one: what came before stays. */
static void a_huge_file_keeps_its_lines(void) {
    CHECK_EQ(truncate(jsonl, (off_t)5 << 30), 0); /* zeros, which take no room */
    vly_metrics *m;
    CHECK_OK(vly_metrics_create(&m));
    CHECK_OK(vly_metrics_open_jsonl(m, jsonl, 700));
    vly_metrics_destroy(m);
    CHECK(on_line(6, "step") == 650);
    CHECK(on_line(7, "step") == -1);
}

/* The real TensorBoard reads the same numbers, the resumed part included. */
static void tensorboard_reads_what_was_written(void) {
    const char *python = peer_python("tensorboard");
    if (!python)
        SKIP("the tensorboard package is not here (tests/kit/peers.sh): event files were not read "
             "back");
    char command[512];
    snprintf(command, sizeof command, "%s tests/kit/read_tfevents.py %s", python, folder);
    FILE *p = popen(command, "r");
    CHECK(p);
    int n = 0;
    long step;
    double value;
    static const long steps[] = {100, 200, 300, 400, 500, 600, 650};
    while (fscanf(p, "%ld %lf", &step, &value) == 2) {
        CHECK(n < 7);
        CHECK_EQ(step, steps[n]);
        if (n != 2)
            CHECK_NEAR(value, n == 6 ? 77 : 0.1 * (n + 1), 1e-6);
        else
            CHECK(isnan(value));
        n++;
    }
    CHECK_EQ(pclose(p), 0);
    CHECK_EQ(n, 7);
}

int main(void) {
    CHECK(mkdtemp(folder));
    snprintf(jsonl, sizeof jsonl, "%s/metrics.jsonl", folder);
    crc32c_matches_the_published_value();
    a_series_is_the_mean_of_its_interval();
    a_full_table_drops_and_does_not_crash();
    a_resumed_run_takes_back_what_came_after();
    a_huge_file_keeps_its_lines();
    tensorboard_reads_what_was_written();
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK_EQ(system(command), 0);
    return TEST_PASS;
}
