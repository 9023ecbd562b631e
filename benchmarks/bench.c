/* bench.c -- runs a suite by itself and prints a JSON line for each result as soon as it is there:
 * a run that is cut off keeps what it had.
 *
 *   volley-bench learner nature/update/bf16     # SUITE [FILTER]
 *
 * VLY_BENCH_SECONDS, VLY_BENCH_SAMPLES and VLY_BENCH_GPUS in the environment are --seconds,
 * --samples and --gpus of `volley bench`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/record/bench.h"

static void print(void *arg, const vly_bench_result *r) {
    char text[1024];
    *(int *)arg += r->wrong > 0;
    vly_bench_json(r, text, sizeof text);
    puts(text);
    fflush(stdout);
}

static double number_from(const char *variable) {
    const char *text = getenv(variable);
    return text ? strtod(text, NULL) : 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        vly_status (*run)(const vly_bench_options *);
    } suites[] = {
#define XX(name, help) {#name, vly_bench_##name},
        VLY_BENCH_MAP(XX)
#undef XX
    };
    int wrong = 0;
    const vly_bench_options options = {.filter = argc > 2 ? argv[2] : NULL,
                                       .seconds = number_from("VLY_BENCH_SECONDS"),
                                       .samples = (int)number_from("VLY_BENCH_SAMPLES"),
                                       .gpus = getenv("VLY_BENCH_GPUS"),
                                       .report = print,
                                       .arg = &wrong};
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        if (argc < 2 || strcmp(argv[1], suites[i].name) != 0) continue;
        if (suites[i].run(&options) == VLY_OK) {
            if (wrong)
                fprintf(stderr, "volley-bench: %d results differ from their reference\n", wrong);
            return wrong > 0;
        }
        fprintf(stderr, "volley-bench: %s\n", vly_error_text());
        return 1;
    }
    fprintf(stderr, "usage: volley-bench SUITE [FILTER]; `volley bench --help` lists the suites\n");
    return 2;
}
