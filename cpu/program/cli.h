/* cli.h -- the command line: a verb, what stands after it, and the options of a run.
 *
 *   static const vly_option own[] = {
 *       VLY_CLI_INT(eval_options, episodes, "100", 1, 1e9, "episodes to play"), ...};
 *   const vly_verb vly_verb_eval = {
 *       "eval", "RUN", "plays episodes ...", "volley eval runs/x --episodes 100",
 *       own, 3, sizeof(eval_options), .positional = {1, 1}, .run = run};
 *   int code = vly_cli_main(verbs, argc, argv);
 *
 * A verb is one file, cpu/program/verb_NAME.c. Its own options and those of
 * common/config/options.def are told apart by the table alone; both are written --key value,
 * --key=value, and --key or --no-key for true and false. Exit codes are the contract: 0 done, 1
 * failed, 2 bad input, 3 budget ended before the target, 130 and 143 interrupted.
 */
#ifndef VLY_CPU_CLI_H
#define VLY_CPU_CLI_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "common/config/config.h"
#include "common/base/status.h"
#include "cpu/program/signals.h"

enum {
    VLY_EXIT_DONE = 0,
    VLY_EXIT_FAILED = 1,
    VLY_EXIT_USAGE = 2,
    VLY_EXIT_BUDGET = 3,
    VLY_EXIT_INT = 130,
    VLY_EXIT_TERM = 143
};
enum { VLY_CLI_POSITIONAL = 1024 }; /* 57 games, a dozen seeds */

typedef struct vly_verb vly_verb;

typedef struct {
    const vly_verb *verb;
    const char *positional[VLY_CLI_POSITIONAL];
    int count;
    vly_assignments given; /* options of the run, those of --config first */
    void *own;             /* the verb's structure */
    bool json;
    FILE *people; /* to stdout, or stderr with --json; without control characters (output.h) */
} vly_cli;

struct vly_verb {
    const char *name, *positional_help, *summary, *examples; /* examples: lines */
    const vly_option *own;
    int own_count;
    size_t own_bytes;
    enum {
        VLY_CONFIG_NONE,
        VLY_CONFIG_TRAIN,
        VLY_CONFIG_ENV
    } config; /* takes the options of a run too; ENV: those of the environment alone */
    /* Those that it refuses, "run.seed", which --help leaves out; NULL at the end. NULL: none. */
    const char *const *without;
    const char
        *refusal; /* why one that is not taken is none of the command line; a file of --config may
                            have it. NULL: the verb checks what it was given */
    int positional_min, positional_max;
    const char *more;         /* a paragraph for --help, or NULL */
    int (*run)(vly_cli *cli); /* returns an exit code */
};

/* Rows of a verb's own table. */
#define VLY_CLI_ROW(type, key, kind, def, min, max, choices, help)                               \
    {                                                                                            \
        NULL, #key, kind, offsetof(type, key), sizeof(((type *)0)->key), def, min, max, choices, \
            help                                                                                 \
    }
#define VLY_CLI_BOOL(type, key, help) \
    VLY_CLI_ROW(type, key, VLY_OPTION_BOOL, "false", 0, 1, NULL, help)
#define VLY_CLI_INT(type, key, def, min, max, help) \
    VLY_CLI_ROW(type, key, VLY_OPTION_INT, def, min, max, NULL, help)
#define VLY_CLI_FLOAT(type, key, def, min, max, help) \
    VLY_CLI_ROW(type, key, VLY_OPTION_FLOAT, def, min, max, NULL, help)
#define VLY_CLI_TEXT(type, key, def, choices, help) \
    VLY_CLI_ROW(type, key, VLY_OPTION_TEXT, def, 0, 0, choices, help)

/* The verbs that vly_cli_main was given, NULL past the end. */
const vly_verb *vly_cli_verb(int i);
int vly_cli_main(const vly_verb *const *verbs, int argc, char **argv);

/* "volley: words" on standard error; the exit code that belongs to the status. */
int vly_cli_fail(vly_status status);
int vly_cli_exit_code(vly_status status);
/* A line on a FILE, as a callback: `people` is the FILE. */
void vly_cli_say(void *people, const char *text);
/* For json_dump_callback to a FILE: also DEL, the one control character that jansson leaves, is escaped. */
int vly_json_put(const char *text, size_t bytes, void *out);
/* The last line of standard output with --json. Takes the reference. */
void vly_cli_print_json(json_t *object);
/* A number, null when it is not finite. */
json_t *vly_json_real(double value);
/* 12,345,678 in one of a few static buffers. */
const char *vly_thousands(int64_t n);

/* The reader of standard output has closed it: `volley trace pong --random 1e9 | head`. */
bool vly_cli_reader_left(void);
/* How the program is called, for hints: "volley" or "build/volley". */
const char *vly_cli_program(void);
#endif
