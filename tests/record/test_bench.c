/* volley bench: suites that start whole runs or several processes report what their pages promise.
 */
#include "tests/kit/check.h"
#include "benchmarks/bench_twin.h"
#include <jansson.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

static json_t *results_on(const char *where, const char *args, int *code) {
    char command[1024], text[65536];
    snprintf(command, sizeof command, "%s %s bench %s --json 2>/dev/null", where, VLY_TEST_PROGRAM,
             args);
    FILE *out = popen(command, "r");
    CHECK(out != NULL);
    const size_t n = fread(text, 1, sizeof text - 1, out);
    text[n] = '\0';
    const int how = pclose(out);
    *code = WIFEXITED(how) ? WEXITSTATUS(how) : 1000;
    json_t *object = json_loads(text, 0, NULL);
    if (*code == 0 && !object) fprintf(stderr, "%s: %s\n", args, text);
    return object;
}

static json_t *results(const char *args, int *code) {
    return results_on("VLY_BENCH_DEVICE=cpu", args, code);
}

static double number(const json_t *result, const char *key) {
    return json_number_value(json_object_get(result, key));
}

static void all_are_verified(const char *where, const char *args, size_t least) {
    int code;
    size_t i;
    json_t *o = results_on(where, args, &code), *r;
    CHECK_EQ(code, 0);
    CHECK(json_array_size(json_object_get(o, "results")) >= least);
    json_array_foreach(json_object_get(o, "results"), i, r) {
        CHECK(number(r, "verified") >= 40);
        CHECK_EQ(number(r, "wrong"), 0);
        CHECK(number(r, "median") > 0);
    }
    json_decref(o);
}

/* On the processor, and on the CUDA back end through the shim. */
static void kernels_and_networks_are_verified_before_they_are_timed(void) {
    all_are_verified("VLY_BENCH_DEVICE=cpu VLY_BENCH_DIVIDE=5000",
                     "kernels --filter _ --samples 1 --seconds 0.001", 5);
    all_are_verified("VLY_BENCH_DEVICE=cpu", "learner --filter mlp/ --samples 1 --seconds 0.001",
                     5);
    all_are_verified("VLY_BENCH_DEVICE=cpu VLY_BENCH_DIVIDE=100",
                     "replay --samples 1 --seconds 0.001", 5);
#ifdef VLY_TEST_SHIM_PLUGIN
    all_are_verified(
        "VLY_BENCH_DEVICE=cuda VLY_BENCH_DIVIDE=5000 VLY_CUDA_PLUGIN=" VLY_TEST_SHIM_PLUGIN,
        "kernels --filter ga --samples 1 --seconds 0.001", 5);
    all_are_verified(
        "VLY_BENCH_DEVICE=cuda VLY_BENCH_DIVIDE=1000 VLY_CUDA_PLUGIN=" VLY_TEST_SHIM_PLUGIN,
        "replay --filter insert --samples 1 --seconds 0.001", 2); /* both insertions, and samples */
#else
    SKIP_PART("this build has no CUDA back end on the shim: its kernels were not benchmarked");
#endif
}

/* One number off is one number wrong; so is one that was never written. */
static void a_wrong_number_is_counted(void) {
    vly_bench_twin t;
    vly_bench_result r = {0};
    CHECK_EQ(setenv("VLY_BENCH_DEVICE", "cpu", 1), 0);
    CHECK_OK(vly_bench_twin_open(&t));
    vly_bench_array real = {.type = VLY_F32, .count = 300, .period = 100, .tolerance = 1e-4},
                    row = {.type = VLY_I32, .count = 257, .below = 9},
                    sum = {.type = VLY_F32, .count = 10, .tolerance = 1e-4, .factor = 3},
                    off = {.type = VLY_U8, .count = 50, .scratch = true};
    CHECK_OK(vly_bench_twin_add(&t, &real));
    CHECK_OK(vly_bench_twin_add(&t, &row));
    CHECK_OK(vly_bench_twin_add(&t, &sum));
    CHECK_OK(vly_bench_twin_add(&t, &off));
    float *x = real.on[VLY_SIDE_DEVICE], *three = sum.on[VLY_SIDE_DEVICE];
    for (int i = 0; i < 10; i++) three[i] *= 3;
    CHECK(x[5] == x[105] && x[5] == x[205] && x[5] != x[6]);
    CHECK_OK(vly_bench_twin_compare(&t, &r));
    CHECK_EQ(r.verified, 300 + 257 + 10 + 4 + VLY_STATS + 1);
    CHECK_EQ(r.wrong, 0);
    CHECK(r.error < 1e-6);
    x[7] += 1e-6f, x[250] += 0.01f, x[299] = NAN;
    ((int32_t *)row.on[VLY_SIDE_DEVICE])[256]++, ((uint8_t *)off.on[VLY_SIDE_DEVICE])[3]++;
    r = (vly_bench_result){0};
    CHECK_OK(vly_bench_twin_compare(&t, &r));
    CHECK_EQ(r.wrong, 3);
    CHECK(r.error > 1e29);
    vly_bench_twin_close(&t);
}

static void the_pipeline_names_its_bottleneck(void) {
    int code;
    json_t *o = results("pipeline --filter cartpole --samples 2 --seconds 0.05", &code);
    CHECK_EQ(code, 0);
    const json_t *r = json_array_get(json_object_get(o, "results"), 0);
    CHECK_STR(json_string_value(json_object_get(r, "name")), "cartpole/ppo");
    CHECK(number(r, "min") > 0 && number(r, "min") <= number(r, "median") &&
          number(r, "median") <= number(r, "max"));
    const char *const phases[] = {"env_percent", "act_percent", "learn_percent", "other_percent"};
    double sum = 0, largest = 0;
    for (int i = 0; i < 4; i++)
        sum += number(r, phases[i]), largest = fmax(largest, number(r, phases[i]));
    CHECK(fabs(sum - 100) <= 2);
    CHECK(largest >= 25);
    CHECK(json_string_value(json_object_get(r, "bottleneck")) != NULL);
    json_decref(o);
}

static void ranks_that_scale_have_equal_weights(void) {
    int code;
    json_t *o = results("scaling --gpus 1,3 --samples 1 --seconds 0.01", &code), *r;
    static const char *const names[] = {"weak/1", "weak/3", "strong/1", "strong/3"};
    size_t i;
    CHECK_EQ(code, 0);
    CHECK_EQ(json_array_size(json_object_get(o, "results")), 4);
    json_array_foreach(json_object_get(o, "results"), i, r) {
        CHECK_STR(json_string_value(json_object_get(r, "name")), names[i]);
        CHECK_EQ(number(r, "ranks"), i % 2 ? 3 : 1);
        CHECK_EQ(number(r, "batch_per_rank"), i == 3 ? 85 : 256);
        CHECK(json_is_true(json_object_get(r, "equal")));
        CHECK_EQ(strlen(json_string_value(json_object_get(r, "hash"))), 16);
        CHECK(number(r, "median") > 0 && number(r, "efficiency") > 0 &&
              number(r, "allreduce_us") > 0);
    }
    json_decref(o);
    CHECK(results("scaling --gpus 1,x", &code) == NULL);
    CHECK_EQ(code, 2);
    CHECK(results("scaling --gpus 65", &code) == NULL);
    CHECK_EQ(code, 2);
}

/* A program built from changes that no commit holds records nothing. */
static void a_record_names_a_commit_or_is_refused(void) {
    int code;
    char path[] = "/tmp/test-bench-XXXXXX", args[160];
    const int file = mkstemp(path);
    CHECK(file >= 0);
    close(file);
    snprintf(args, sizeof args,
             "envs --filter cartpole/step --samples 1 --seconds 0.01 --busy --record %s", path);
    json_t *o = results("envs --filter cartpole/step --samples 1 --seconds 0.01", &code);
    CHECK_EQ(code, 0);
    static const char *const facts[] = {"command", "commit", "date", "hardware", "flags", "load"};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        CHECK(json_object_get(o, facts[i]) != NULL);
    CHECK_STR(json_string_value(json_object_get(o, "command")),
              "volley bench envs --filter cartpole/step --seconds 0.01 --samples 1 --json");
    const char *commit = json_string_value(json_object_get(o, "commit"));
    const bool named = !strstr(commit, "-dirty") && strcmp(commit, "unknown") != 0;
    json_t *told = results(args, &code), *kept = json_load_file(path, 0, NULL);
    CHECK_EQ(code, named ? 0 : 2);
    CHECK((kept != NULL) == named);
    if (kept) CHECK_STR(json_string_value(json_object_get(kept, "commit")), commit);
    json_decref(o), json_decref(told), json_decref(kept);
    CHECK_EQ(unlink(path), 0);
}

int main(void) {
    a_record_names_a_commit_or_is_refused();
    a_wrong_number_is_counted();
    kernels_and_networks_are_verified_before_they_are_timed();
    the_pipeline_names_its_bottleneck();
    ranks_that_scale_have_equal_weights();
    return TEST_PASS;
}
