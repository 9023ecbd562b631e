/* Random words as a command line: an exit code of the contract, a message with every refusal, and
 * settings that are within their limits and survive being saved.
 *   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_command_line &&
 *   build-fuzz/fuzz_command_line tests/fuzz/command_line
 * A line is a word. -close_fd_mask=3 hides what it prints. */
#include "common/learn/algo.h"
#include "cpu/program/cli.h"
#include "tests/fuzz/input.h"
#ifdef VLY_HAVE_REDIS
#include "cpu/fleet/store_impl.h"
#endif

enum { WORDS = 64 };

typedef struct {
    bool accept;
    int episodes;
    float fps;
    char format[16];
} own_options;

static const vly_option own[] = {
    VLY_CLI_BOOL(own_options, accept, "true or false"),
    VLY_CLI_INT(own_options, episodes, "100", 1, 1e6, "a number"),
    VLY_CLI_FLOAT(own_options, fps, "30", 0.1, 1000, "a rate"),
    VLY_CLI_TEXT(own_options, format, "onnx", "onnx|npz|csv", "a word"),
};

static void own_options_are_in_range(const own_options *o) {
    fuzz_check(o->episodes >= 1 && o->episodes <= 1000000);
    fuzz_check(o->fps >= 0.1f && o->fps <= 1000);
    fuzz_check(!strcmp(o->format, "onnx") || !strcmp(o->format, "npz") ||
               !strcmp(o->format, "csv"));
}

static void an_address_is_refused_in_words(const char *url) {
#ifdef VLY_HAVE_REDIS
    vly_store_address at;
    vly_error_clear();
    if (vly_store_parse_address(&at, url) != VLY_OK) {
        fuzz_check(vly_error_text()[0] != '\0');
        return;
    }
    fuzz_check(strnlen(at.host, sizeof at.host) < sizeof at.host);
    fuzz_check(strnlen(at.unix_path, sizeof at.unix_path) < sizeof at.unix_path);
#else
    (void)url;
#endif
}

static int see(vly_cli *cli) {
    static vly_config config;
    const own_options *o = cli->own;
    if (o) own_options_are_in_range(o);
    fuzz_check(cli->count >= cli->verb->positional_min && cli->count <= cli->verb->positional_max);
    if (cli->count) an_address_is_refused_in_words(cli->positional[0]);
    if (cli->verb->config == VLY_CONFIG_NONE) return VLY_EXIT_DONE;
    const vly_status status = vly_algo_resolve(&config, &cli->given, "cartpole", "classic");
    if (status != VLY_OK) {
        fuzz_check(vly_error_text()[0] != '\0');
        return vly_cli_fail(status);
    }
    an_address_is_refused_in_words(config.run.store);
    return VLY_EXIT_DONE;
}

static const vly_verb verb_train = {.name = "train",
                                    .positional_help = "ENV",
                                    .summary = "trains",
                                    .examples = "volley train cartpole",
                                    .config = VLY_CONFIG_TRAIN,
                                    .positional_min = 1,
                                    .positional_max = 1,
                                    .run = see};
static const vly_verb verb_eval = {.name = "eval",
                                   .positional_help = "RUN...",
                                   .summary = "plays",
                                   .examples = "volley eval runs/x",
                                   .own = own,
                                   .own_count = 4,
                                   .own_bytes = sizeof(own_options),
                                   .positional_max = VLY_CLI_POSITIONAL,
                                   .run = see};
static const vly_verb verb_trace = {.name = "trace",
                                    .positional_help = "ENV",
                                    .summary = "steps",
                                    .examples = "volley trace pong",
                                    .own = own,
                                    .own_count = 4,
                                    .own_bytes = sizeof(own_options),
                                    .config = VLY_CONFIG_ENV,
                                    .positional_max = 3,
                                    .run = see};
static const vly_verb *const verbs[] = {&verb_train, &verb_eval, &verb_trace, NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static char text[4096];
    char *argv[WORDS + 2] = {"volley"}, *rest = text;
    int argc = 1;
    fuzz_input in = {data, bytes};
    fuzz_text(&in, text, sizeof text);
    for (char *word; argc <= WORDS && (word = strsep(&rest, "\n"));) argv[argc++] = word;
    vly_error_clear();
    const int code = vly_cli_main(verbs, argc, argv);
    fuzz_check(code == VLY_EXIT_DONE || code == VLY_EXIT_USAGE || code == VLY_EXIT_FAILED);
    if (code != VLY_EXIT_DONE && argc > 1) fuzz_check(vly_error_text()[0] != '\0');
    return 0;
}
