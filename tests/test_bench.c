/* volley bench: suites that start whole runs or several processes report what their pages promise. */
#include "tests/check.h"
#include <jansson.h>
#include <stdbool.h>
#include <sys/wait.h>

static json_t *results(const char *args, int *code) {
    char command[1024], text[65536];
    snprintf(command, sizeof command, "VLY_BENCH_DEVICE=cpu %s bench %s --json 2>/dev/null", VLY_TEST_PROGRAM, args);
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

static double number(const json_t *result, const char *key) { return json_number_value(json_object_get(result, key)); }

static void the_pipeline_names_its_bottleneck(void) {
    int code;
    json_t *o = results("pipeline --filter cartpole --samples 2 --seconds 0.05", &code);
    CHECK_EQ(code, 0);
    const json_t *r = json_array_get(json_object_get(o, "results"), 0);
    CHECK_STR(json_string_value(json_object_get(r, "name")), "cartpole/ppo");
    CHECK(number(r, "min") > 0 && number(r, "min") <= number(r, "median") && number(r, "median") <= number(r, "max"));
    const char *const phases[] = {"env_percent", "act_percent", "learn_percent", "other_percent"};
    double sum = 0, largest = 0;
    for (int i = 0; i < 4; i++) sum += number(r, phases[i]), largest = fmax(largest, number(r, phases[i]));
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
        CHECK(number(r, "median") > 0 && number(r, "efficiency") > 0 && number(r, "allreduce_us") > 0);
    }
    json_decref(o);
    CHECK(results("scaling --gpus 1,x", &code) == NULL);
    CHECK_EQ(code, 2);
    CHECK(results("scaling --gpus 65", &code) == NULL);
    CHECK_EQ(code, 2);
}

int main(void) {
    the_pipeline_names_its_bottleneck();
    ranks_that_scale_have_equal_weights();
    return TEST_PASS;
}
