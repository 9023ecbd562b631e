#include "cpu/program/manual.h"
#include <string.h>
#include "cpu/program/cli.h"
#include "cpu/machine/system.h"

/* Text as roff takes it: no line begins a request, hyphens that are typed stay hyphens. */
static void put_escaped(FILE *out, const char *text, size_t n, bool line_start) {
    for (size_t i = 0; i < n && text[i]; i++) {
        if (line_start && (text[i] == '.' || text[i] == '\'')) fputs("\\&", out);
        line_start = text[i] == '\n';
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '-')
            fputs("\\-", out);
        else
            fputc(text[i], out);
    }
}

static void put_all(FILE *out, const char *text) {
    put_escaped(out, text, strlen(text), false);
}

/* Lines that are shown as they are. */
static void put_example(FILE *out, const char *text) {
    fputs(".EX\n", out);
    put_escaped(out, text, strlen(text), true);
    fputs("\n.EE\n", out);
}

static const char *placeholder(const vly_option *o) {
    switch (o->kind) {
    case VLY_OPTION_BOOL: return "";
    case VLY_OPTION_CHOICE:
    case VLY_OPTION_TEXT: return o->choices ? "NAME" : "TEXT";
    case VLY_OPTION_LIST: return "N,N";
    case VLY_OPTION_BYTES: return "BYTES";
    default: return "N";
    }
}

static void put_option(FILE *out, const vly_option *o, const char *section) {
    char key[64], allowed[512];
    snprintf(key, sizeof key, "%s", o->key);
    for (char *p = key; !section && *p; p++)
        if (*p == '_') *p = '-';
    fputs(".TP\n.B \\-\\-", out);
    if (section) fprintf(out, "%s.", section);
    put_all(out, key);
    if (*placeholder(o)) fprintf(out, " \\fI%s\\fR", placeholder(o));
    fputc('\n', out);
    put_escaped(out, o->help, strlen(o->help), true);
    vly_option_allowed(o, allowed, sizeof allowed);
    if (*allowed && o->kind != VLY_OPTION_BOOL && (o->kind != VLY_OPTION_TEXT || o->choices))
        fputs(";\n", out), put_escaped(out, allowed, strlen(allowed), true);
    if (o->def && *o->def && !(o->kind == VLY_OPTION_BOOL && !section && !strcmp(o->def, "false")))
        fputs(".\nDefault: ", out), put_all(out, o->def);
    fputs(".\n", out);
}

static void put_taken(FILE *out, const vly_verb *v) {
    fputs("Takes the options of a run, below", out);
    for (const char *const *key = v->without; key && *key; key++)
        fputs(key == v->without ? "; not " : ", ", out), put_all(out, *key);
    fputs(".\n", out);
}

static void put_verb(FILE *out, const vly_verb *v) {
    fprintf(out, ".SS volley %s", v->name);
    if (*v->positional_help) fputc(' ', out), put_all(out, v->positional_help);
    fputc('\n', out);
    put_escaped(out, v->summary, strlen(v->summary), true);
    fputs(".\n", out);
    if (v->config == VLY_CONFIG_TRAIN) put_taken(out, v);
    if (v->config == VLY_CONFIG_ENV)
        fputs("Takes \\-\\-roms and the options of the environment, below.\n", out);
    for (int i = 0; i < v->own_count; i++) put_option(out, &v->own[i], NULL);
    if (v->more)
        fputs(".PP\n", out), put_escaped(out, v->more, strlen(v->more), true), fputc('\n', out);
    fputs(".PP\n", out);
    put_example(out, v->examples);
}

static void put_sections(FILE *out) {
    int sections, options;
    const vly_section *s = vly_config_sections(&sections);
    const vly_option *o = vly_config_options(&options);
    fputs(".SH OPTIONS OF A RUN\n"
          "On the command line \\fB\\-\\-section.key\\fR \\fIvalue\\fR; those of\n.B run\nneed no "
          "section.\n"
          "Booleans are also written\n.B \\-\\-section.key\nand\n.BR \\-\\-no\\-section.key .\n"
          "In the YAML file of\n.B \\-\\-config\nthey stand as\n.I key: value\nunder\n.IR section: "
          ".\n"
          "The algorithm, the preset, the file and the command line are applied in this order.\n",
          out);
    for (int i = 0; i < sections; i++) {
        fprintf(out, ".SS %s: ", s[i].name);
        put_all(out, s[i].help);
        fputc('\n', out);
        for (int k = 0; k < options; k++)
            if (!strcmp(o[k].section, s[i].name))
                put_option(out, &o[k], strcmp(s[i].name, "run") ? s[i].name : NULL);
    }
}

static const char head[] =
    ".SH NAME\nvolley \\- reinforcement learning in C and CUDA\n"
    ".SH SYNOPSIS\n.B volley\n.I verb\n.RI [ argument \\~.\\|.\\|.]\n.RI [ options ]\n"
    ".SH DESCRIPTION\n"
    "Trains agents on Atari, MinAtar, classic control and a user's own environments, on the "
    "processor or a GPU, in one\n"
    "process or on many machines; evaluates, shows, records, compares and exports them.\n"
    "A run is a folder: its settings, its records, its checkpoints.\n"
    "On the synchronous schedule of one process the same seed, options and device give the same "
    "run bit for bit,\nwhatever the number of workers.\n"
    ".PP\nEvery verb has\n.B \\-\\-help\nwith an example.\n"
    ".B \\-\\-json\nputs one object on the last line of standard output, and all that is for "
    "people on standard error.\n"
    ".SH VERBS\n";

static const char tail[] =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nDone; with\n.B \\-\\-until\\-return\nreached.\n"
    ".TP\n.B 1\nThe run failed; the message says what and what to do.\n"
    ".TP\n.B 2\nBad usage or bad input.\n"
    ".TP\n.B 3\nThe budget ended before the target.\n"
    ".TP\n.BR 130 \", \" 143\nInterrupted by SIGINT or SIGTERM, saved, and resumable.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B VOLLEY_ROMS\nFolder of Atari ROM files; otherwise\n.I "
    "$XDG_CACHE_HOME/volley/roms\nor\n.IR ~/.cache/volley/roms .\n"
    ".TP\n.B VOLLEY_MUJOCO\nFolder of MuJoCo's library and models; otherwise\n.I "
    "$XDG_CACHE_HOME/volley/mujoco\nor\n.IR ~/.cache/volley/mujoco .\n"
    ".SH FILES\n"
    "Of a run's folder:\n"
    ".TP\n.I config.yaml\nEvery option, resolved.\n"
    ".TP\n.I metrics.jsonl\nIts records, a JSON object a line.\n"
    ".TP\n.I events.out.tfevents.*\nThe same for TensorBoard.\n"
    ".TP\n.I system.json\nCommit, processor, GPU, libraries.\n"
    ".TP\n.I checkpoints/\nThe newest and\n.IR best.safetensors .\n"
    ".SH EXAMPLES\n";

void vly_manual_print(FILE *out) {
    fprintf(out,
            ".\\\" Written by `volley ls options --man`.\n.TH VOLLEY 1 2026-11-21 \"volley %s\" "
            "\"User Commands\"\n",
            vly_system_version());
    fputs(head, out);
    for (int i = 0; vly_cli_verb(i); i++) put_verb(out, vly_cli_verb(i));
    put_sections(out);
    fputs(tail, out);
    put_example(out, "volley train cartpole --until-return 475\n"
                     "volley train pong --algo ppo --seed 2 --out runs/pong\n"
                     "volley eval runs/pong --protocol machado --seeds 5\n"
                     "volley plot runs/pong --out pong.svg");
    fputs(".SH SEE ALSO\n.BR gnuplot (1),\n.BR ffmpeg (1),\n.BR redis\\-server (1),\n.BR mpirun "
          "(1)\n",
          out);
}
