#include "cpu/program/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "common/base/text.h"
#include "cpu/machine/system.h"
#include "cpu/program/crash.h"
#include "cpu/program/output.h"

static const vly_verb *const *all_verbs;
static const char *program = "volley";

const vly_verb *vly_cli_verb(int i) {
    return all_verbs ? all_verbs[i] : NULL;
}
const char *vly_cli_program(void) {
    return program;
}

int vly_cli_exit_code(vly_status status) {
    switch (status) {
    case VLY_OK: return VLY_EXIT_DONE;
    case VLY_EINVAL:
    case VLY_ENOTFOUND:
    case VLY_ECORRUPT:
    case VLY_EUNSUPPORTED: /* asked of what cannot do it */
    case VLY_EVERSION: return VLY_EXIT_USAGE;
    default: return VLY_EXIT_FAILED;
    }
}

int vly_cli_fail(vly_status status) {
    fprintf(stderr, "volley: %s\n", *vly_error_text() ? vly_error_text() : vly_status_str(status));
    return vly_cli_exit_code(status);
}

static int output_error; /* why standard output could not be written, where that is known */

int vly_json_put(const char *text, size_t bytes, void *out) {
    for (size_t i = 0; i < bytes; i++)
        if ((text[i] == 0x7f ? fputs("\\u007f", out) : fputc(text[i], out)) == EOF) return -1;
    return 0;
}

void vly_cli_say(void *people, const char *text) {
    fprintf(people, "%s\n", text);
    fflush(people);
}

void vly_cli_print_json(json_t *object) {
    fflush(stderr);
    if (json_dump_callback(object, vly_json_put, stdout,
                           JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12)))
        output_error = errno && ferror(stdout) ? errno : EILSEQ;
    fputc('\n', stdout);
    if (fflush(stdout)) output_error = errno;
    json_decref(object);
}

json_t *vly_json_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

const char *vly_thousands(int64_t n) {
    static _Thread_local char ring[8][32];
    static _Thread_local int next;
    char *out = ring[next = (next + 1) % 8], digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), k = 0;
    for (int i = 0; i < length; i++) {
        out[k++] = digits[i];
        if (digits[i] != '-' && i + 1 < length && (length - i - 1) % 3 == 0) out[k++] = ',';
    }
    out[k] = '\0';
    return out;
}

/* If descriptors 0, 1 and 2 were closed, the next files opened would get them, and messages would
 * go into them. These refuse what is written, as a closed one does. */
static void hold_standard_streams(void) {
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(VLY_EXIT_FAILED);
}

bool vly_cli_reader_left(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

/* What could not be written is not done; but a reader that left has had enough. */
static int end_output(int code) {
    if (fflush(stdout) && !output_error) output_error = errno;
    if (code != VLY_EXIT_DONE || (!output_error && !ferror(stdout)) || vly_cli_reader_left())
        return code;
    fprintf(stderr, "volley: cannot write standard output%s%s\n", output_error ? ": " : "",
            output_error ? strerror(output_error) : "");
    return VLY_EXIT_FAILED;
}

/* ---- help ---- */

static void print_option(FILE *out, const vly_option *o, const char *section) {
    char name[96], flag[64];
    snprintf(flag, sizeof flag, "%s", o->key);
    for (char *p = flag; !section && *p; p++) /* the verbs' own and run's are written with dashes */
        if (*p == '_') *p = '-';
    snprintf(name, sizeof name, "--%s%s%s%s", section ? section : "", section ? "." : "", flag,
             o->kind == VLY_OPTION_BOOL                                   ? ""
             : o->kind == VLY_OPTION_TEXT || o->kind == VLY_OPTION_CHOICE ? " NAME"
                                                                          : " N");
    const char *def = o->def && *o->def && o->kind != VLY_OPTION_BOOL ? o->def : NULL;
    if (o->kind == VLY_OPTION_BOOL && !strcmp(o->def, "true")) def = "on";
    fprintf(out, "  %-26s %s", name, o->help);
    if (o->choices) {
        fprintf(out, " (");
        for (const char *p = o->choices; *p; p++) fputc(*p == '|' ? ' ' : *p, out);
        fprintf(out, ")");
    }
    if (def) fprintf(out, " [%s]", def);
    fputc('\n', out);
}

/* Of the environment, its family, or where its files are. */
static bool is_of_env(const vly_option *o) {
    int n;
    const vly_section *s = vly_config_sections(&n);
    for (int i = 0; i < n; i++)
        if (s[i].family && !strcmp(s[i].name, o->section)) return true;
    return !strcmp(o->section, "env") || (!strcmp(o->section, "run") && !strcmp(o->key, "roms"));
}

/* Of a run's options. */
static bool verb_takes(const vly_verb *v, const vly_option *o) {
    char name[96];
    if (v->config == VLY_CONFIG_ENV && !is_of_env(o)) return false;
    snprintf(name, sizeof name, "%s.%s", o->section, o->key);
    for (const char *const *key = v->without; key && *key; key++)
        if (!strcmp(*key, name)) return false;
    return true;
}

static void print_section(FILE *out, const vly_verb *v, const char *section, bool bare) {
    int n;
    const vly_option *o = vly_config_options(&n);
    for (int i = 0; i < n; i++)
        if (!strcmp(o[i].section, section) && !(bare && !strcmp(o[i].key, "env")) &&
            verb_takes(v, &o[i]))
            print_option(out, &o[i], bare ? NULL : section);
}

/* Whether the verb takes options of a section of this name. */
static bool takes_section(const vly_verb *v, const char *name) {
    int n;
    const vly_option *o = vly_config_options(&n);
    for (int i = 0; name && i < n; i++)
        if (!strcmp(o[i].section, name) && verb_takes(v, &o[i])) return true;
    return false;
}

static void print_all_sections(FILE *out, const vly_verb *v) {
    int n;
    const vly_section *s = vly_config_sections(&n);
    for (int i = 0; i < n; i++) {
        if (!takes_section(v, s[i].name)) continue;
        fprintf(out, "\n%s: %s\n", s[i].name, s[i].help);
        print_section(out, v, s[i].name, !strcmp(s[i].name, "run"));
    }
}

static void print_section_names(FILE *out, const vly_verb *v) {
    int n, column = 2;
    const vly_section *s = vly_config_sections(&n);
    fprintf(out, "\n--SECTION.KEY sets the rest. `--help SECTION` shows one of these, `--help all` "
                 "everything:\n ");
    for (int i = 0; i < n; i++) {
        if (!strcmp(s[i].name, "run") || !takes_section(v, s[i].name)) continue;
        column += (int)strlen(s[i].name) + 1;
        if (column > 78) fprintf(out, "\n "), column = (int)strlen(s[i].name) + 3;
        fprintf(out, " %s", s[i].name);
    }
    fputc('\n', out);
}

static void print_verb_help(const vly_verb *v, const char *topic) {
    FILE *out = stdout;
    if (v->config && topic && !strcmp(topic, "all")) {
        print_all_sections(out, v);
        return;
    }
    if (v->config && takes_section(v, topic)) {
        print_section(out, v, topic, !strcmp(topic, "run"));
        return;
    }
    fprintf(out, "volley %s %s%s[options]\n  %s\n\n", v->name, v->positional_help,
            *v->positional_help ? " " : "", v->summary);
    for (int i = 0; i < v->own_count; i++) print_option(out, &v->own[i], NULL);
    if (v->config) print_section(out, v, "run", true);
    if (v->config)
        fprintf(out, "  %-26s %s\n", "--config FILE", "options as YAML; the command line wins");
    fprintf(out, "  %-26s %s\n", "--json", "one object on the last line of standard output");
    if (v->more) fprintf(out, "\n%s\n", v->more);
    if (v->config) print_section_names(out, v);
    fprintf(out, "\nexample%s:\n", strchr(v->examples, '\n') ? "s" : "");
    for (const char *p = v->examples; *p;) {
        int n = (int)strcspn(p, "\n");
        fprintf(out, "  %.*s\n", n, p);
        p += n + (p[n] == '\n');
    }
}

static void print_general_help(FILE *out) {
    fprintf(out, "volley: reinforcement learning in C and CUDA\n\n");
    for (int i = 0; all_verbs[i]; i++)
        fprintf(out, "  volley %-9s %s\n", all_verbs[i]->name, all_verbs[i]->summary);
    fprintf(out, "\n`volley VERB --help` says more. First steps:\n  volley train cartpole\n  "
                 "volley ls\n  volley doctor\n");
}

static const char *verb_name(int i) {
    return all_verbs[i] ? all_verbs[i]->name : NULL;
}

/* ---- parsing ---- */

static bool same_key(const char *given, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++)
        if ((given[i] == '-' ? '_' : given[i]) != key[i]) return false;
    return key[n] == '\0';
}

static const vly_option *find_own(const vly_verb *v, const char *key, size_t n) {
    for (int i = 0; i < v->own_count; i++)
        if (same_key(key, n, v->own[i].key)) return &v->own[i];
    return NULL;
}

static const vly_option *find_option(const vly_verb *v, const char *key) {
    const vly_option *o = find_own(v, key, strlen(key));
    return o || !v->config ? o : vly_config_find(key);
}

/* For "did you mean": the verb's own options, then the run's. */
static const vly_verb *naming;
static const char *option_name(int i) {
    static const char *const always[] = {"json", "help", "config"};
    int n;
    const vly_option *o = vly_config_options(&n);
    if (i < naming->own_count) return naming->own[i].key;
    i -= naming->own_count;
    if (i < 3) return i == 2 && !naming->config ? "" : always[i];
    i -= 3;
    if (!naming->config || i >= n) return NULL;
    static _Thread_local char names[512][64]; /* they must stay put while they are compared */
    if (i >= 512) return NULL;
    if (find_own(naming, o[i].key, strlen(o[i].key)) || !verb_takes(naming, &o[i]))
        return ""; /* named already, or refused */
    snprintf(names[i], sizeof names[i], "%s%s%s", strcmp(o[i].section, "run") ? o[i].section : "",
             strcmp(o[i].section, "run") ? "." : "", o[i].key);
    return names[i];
}

static vly_status unknown_option(const vly_verb *v, const char *key) {
    char near[256];
    naming = v;
    vly_nearest(key, option_name, near, sizeof near);
    return vly_fail(
        VLY_EINVAL, "volley %s has no option --%.100s%s%s; `volley %s --help%s` lists them",
        v->name, key, *near ? "; nearest: " : "", near, v->name, v->config ? " all" : "");
}

static vly_status set_given_option(vly_cli *cli, const vly_option *o, const char *key,
                                   const char *value) {
    char where[128];
    snprintf(where, sizeof where, "--%.100s", key);
    if (!o->section) return vly_option_set(cli->own, o, where, value);
    if (cli->verb->refusal && !verb_takes(cli->verb, o))
        return vly_fail(VLY_EINVAL, "volley %s takes no %s: %s; leave it out", cli->verb->name,
                        where, cli->verb->refusal);
    return vly_assignments_add(&cli->given, key, value, where);
}

/* After `key`. A number is one only behind a section: `--greedy 1` may name a run. */
static bool is_bool_word(const char *text, const char *key) {
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "0", "1"};
    const int n = strchr(key, '.') ? 8 : 6;
    for (int i = 0; text && i < n; i++)
        if (!strcasecmp(text, words[i])) return true;
    return false;
}

/* --key value, --key=value, --key, --no-key. *i is left on the last argument used. */
static vly_status parse_option(vly_cli *cli, int argc, char **argv, int *i) {
    char key[128];
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    if (n == 0 || n >= sizeof key) return unknown_option(cli->verb, text);
    memcpy(key, text, n);
    key[n] = '\0';
    const vly_option *o = find_option(cli->verb, key);
    if (!o && !strncmp(key, "no-", 3)) { /* --no-json stays unknown: only what can be true or false
                                          */
        const vly_option *positive = find_option(cli->verb, key + 3);
        if (positive && positive->kind == VLY_OPTION_BOOL && !equals)
            return set_given_option(cli, positive, key + 3, "false");
    }
    if (!o && equals && (!strcmp(key, "json") || !strcmp(key, "help")))
        return vly_fail(VLY_EINVAL, "--%s takes no value: write --%s alone", key, key);
    if (!o) return unknown_option(cli->verb, key);
    const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
    if (equals) return set_given_option(cli, o, key, equals + 1);
    if (o->kind == VLY_OPTION_BOOL) {
        if (is_bool_word(next, key)) return ++*i, set_given_option(cli, o, key, next);
        return set_given_option(cli, o, key, "true");
    }
    if (!next || (!strncmp(next, "--", 2) && next[2]))
        return vly_fail(VLY_EINVAL, "--%s needs a value: %s", key, o->help);
    ++*i;
    return set_given_option(cli, o, key, next);
}

static vly_status set_defaults(vly_cli *cli) {
    const vly_verb *v = cli->verb;
    if (!v->own_bytes) return VLY_OK;
    if (!(cli->own = calloc(1, v->own_bytes))) return vly_fail(VLY_ENOMEM, "no memory");
    for (int i = 0; i < v->own_count; i++)
        VLY_TRY(vly_option_set(cli->own, &v->own[i], v->own[i].key, v->own[i].def));
    return VLY_OK;
}

/* The file comes before the command line, wherever it is named. */
static vly_status load_config_files(vly_cli *cli, int argc, char **argv) {
    for (int i = 0; i < argc && cli->verb->config; i++) {
        if (!strncmp(argv[i], "--config=", 9)) VLY_TRY(vly_config_load(argv[i] + 9, &cli->given));
        if (strcmp(argv[i], "--config")) continue;
        if (i + 1 >= argc) return vly_fail(VLY_EINVAL, "--config needs the name of a YAML file");
        VLY_TRY(vly_config_load(argv[i + 1], &cli->given));
    }
    return VLY_OK;
}

static vly_status parse(vly_cli *cli, int argc, char **argv) {
    bool options = true;
    VLY_TRY(set_defaults(cli));
    VLY_TRY(load_config_files(cli, argc, argv));
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (options && !strcmp(a, "--"))
            options = false;
        else if (options && !strcmp(a, "--json"))
            cli->json = true;
        else if (options && cli->verb->config && !strcmp(a, "--config"))
            i++;
        else if (options && cli->verb->config && !strncmp(a, "--config=", 9))
            continue;
        else if (options && !strncmp(a, "--", 2))
            VLY_TRY(parse_option(cli, argc, argv, &i));
        else if (options && a[0] == '-' && a[1])
            return unknown_option(cli->verb, a + 1);
        else if (cli->count < cli->verb->positional_max && cli->count < VLY_CLI_POSITIONAL)
            cli->positional[cli->count++] = a;
        else
            return vly_fail(VLY_EINVAL, "volley %s: '%.100s' is one argument too many; it takes %s",
                            cli->verb->name, a,
                            *cli->verb->positional_help ? cli->verb->positional_help
                                                        : "options alone");
    }
    if (cli->count < cli->verb->positional_min)
        return vly_fail(VLY_EINVAL, "volley %s needs %s; `volley %s --help` shows an example",
                        cli->verb->name, cli->verb->positional_help, cli->verb->name);
    return VLY_OK;
}

static int run_verb(const vly_verb *v, int argc, char **argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            const char *topic = i + 1 < argc ? argv[i + 1] : NULL;
            if (v->config && topic && strcmp(topic, "all") && !takes_section(v, topic) &&
                topic[0] != '-' && i == 0)
                return vly_cli_fail(vly_fail(
                    VLY_EINVAL, "--help %s: no section of that name; `volley %s --help` lists them",
                    topic, v->name));
            print_verb_help(v, topic);
            return VLY_EXIT_DONE;
        }
    vly_cli cli = {.verb = v};
    vly_status status = parse(&cli, argc, argv);
    for (int i = 0; cli.json && i < cli.count && status == VLY_OK; i++)
        if (!vly_text_is_utf8(cli.positional[i]))
            status = vly_fail(VLY_EINVAL, "--json: the name '%.200s' is not UTF-8, and JSON is",
                              cli.positional[i]);
    cli.people = vly_people_open(cli.json ? stderr : stdout);
    if (!cli.people) status = vly_fail(VLY_ENOMEM, "no memory for a stream");
    int code = status == VLY_OK ? v->run(&cli) : vly_cli_fail(status);
    if (cli.people) fclose(cli.people);
    vly_assignments_free(&cli.given);
    free(cli.own);
    return code;
}

static int unknown_verb(const char *name) {
    char near[256];
    vly_nearest(name, verb_name, near, sizeof near);
    return vly_cli_fail(vly_fail(VLY_EINVAL, "no verb '%.60s'%s%s; `volley --help` lists them",
                                 name, *near ? "; nearest: " : "", near));
}

static int dispatch(const vly_verb *const *verbs, int argc, char **argv) {
    if (argc > 0 && strchr(argv[0], '/')) program = argv[0];
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        print_general_help(stderr);
        return VLY_EXIT_USAGE;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        for (int i = 0; argc > 2 && verbs[i]; i++)
            if (!strcmp(verbs[i]->name, argv[2]))
                return print_verb_help(verbs[i], argc > 3 ? argv[3] : NULL), VLY_EXIT_DONE;
        if (argc > 2 && argv[2][0] != '-') return unknown_verb(argv[2]);
        print_general_help(stdout);
        return VLY_EXIT_DONE;
    }
    if (!strcmp(name, "--version"))
        return printf("volley %s (%s)\n", vly_system_version(), vly_system_commit()), VLY_EXIT_DONE;
    for (int i = 0; verbs[i]; i++)
        if (!strcmp(verbs[i]->name, name)) return run_verb(verbs[i], argc - 2, argv + 2);
    return unknown_verb(name);
}

int vly_cli_main(const vly_verb *const *verbs, int argc, char **argv) {
    all_verbs = verbs;
    hold_standard_streams();
    vly_cli_install_signals();
    vly_crash_watch();
    return end_output(dispatch(verbs, argc, argv));
}
