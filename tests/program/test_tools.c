/* What reaches gnuplot, ffmpeg and the terminal is data; output that was not written is an error.
 */
#include "tests/kit/program.h"
#include <stdbool.h>
#include <sys/stat.h>
#include "common/base/text.h"
#include "tests/kit/sanitized.h"

static bool has(const char *program) {
    char test[128];
    snprintf(test, sizeof test, "command -v %s >/dev/null 2>&1", program);
    if (system(test) == 0) return true;
    fprintf(stderr, "SKIPPED in part: %s is not installed\n", program);
    return false;
}

/* A command of the shell in the test's folder; VOLLEY is the program. */
__attribute__((format(printf, 1, 2))) static int in_folder(const char *format, ...) {
    char command[4096];
    int n = snprintf(command, sizeof command, "cd %s && export VOLLEY=%s && ", folder,
                     VLY_TEST_PROGRAM);
    va_list list;
    va_start(list, format);
    vsnprintf(command + n, sizeof command - (size_t)n, format, list);
    va_end(list);
    const int how = system(command);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 1000 + how;
}

static bool file_exists(const char *name) {
    char path[256];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0;
}

static void write_file(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(vly_file_replace(path, text, strlen(text)));
}

/* A run whose environment is named so. */
static void write_run(const char *name, const char *env_yaml, const char *metric_json) {
    char text[1024], file[64];
    CHECK_EQ(in_folder("mkdir -p %s", name), 0);
    snprintf(text, sizeof text, "format: 1\nrun:\n  env: \"%s\"\n  algo: ppo\n", env_yaml);
    snprintf(file, sizeof file, "%s/config.yaml", name);
    write_file(file, text);
    snprintf(text, sizeof text, "{\"step\":1,\"%s\":1}\n{\"step\":2,\"%s\":2}\n", metric_json,
             metric_json);
    snprintf(file, sizeof file, "%s/metrics.jsonl", name);
    write_file(file, text);
}

/* Every printable byte once, with what a shell, gnuplot or ffmpeg would run in front. */
static const char hostile_yaml[] =
    "`touch X1`$(touch X2)|touch X3;\\\"@pwn %d \\\\ #'~!&*<>?[]{}^=+,:";

static void a_name_is_never_run(void) {
    if (!has("gnuplot")) return;
    write_run("hostile", hostile_yaml, "m`touch X4`\\\"\\\\");
    CHECK_EQ(in_folder("$VOLLEY plot hostile --metric 'm`touch X4`\"\\' --out h.svg >out"), 0);
    CHECK_EQ(in_folder("$VOLLEY plot hostile --metric 'm`touch X4`\"\\' --out 'o`touch "
                       "X5`'\\''\"$(touch X6).svg'"),
             0);
    CHECK(file_exists("o`touch X5`'\"$(touch X6).svg"));
    CHECK_EQ(in_folder("ls X* 2>/dev/null"), 2);
    char *svg = program_read("h.svg");
    CHECK(strstr(svg, "m`touch X4`\"\\</text>"));
    CHECK(strstr(
        svg, "`touch X1`$(touch X2)|touch X3;\"@pwn %d \\ #'~!&amp;*&lt;>?[]{}^=+,: ppo (1 seed)"));
    free(svg);
    write_file(
        "bench.json",
        "{\"command\":\"c\",\"results\":[{\"name\":\"a`touch X7`'/1\",\"unit\":\"u`touch X8`\","
        "\"median\":1,\"peers\":[{\"name\":\"p`touch X9`\",\"ratio\":2}]},"
        "{\"name\":\"a`touch X7`'/2\",\"unit\":\"u\",\"median\":2,\"peers\":[]}]}");
    CHECK_EQ(in_folder("$VOLLEY bench report bench.json --out b.md >/dev/null"), 0);
    CHECK_EQ(in_folder("ls X* 2>/dev/null"), 2);
    svg = program_read("b-bench-ratios.svg");
    CHECK(strstr(svg, "a`touch X7`'/1 : p`touch X9`"));
    free(svg);
}

static void a_name_is_never_an_option(void) {
    if (!has("ffmpeg")) return;
    CHECK_EQ(in_folder("$VOLLEY record r --steps 20 --out=-y.mp4 >/dev/null"), 0);
    CHECK(file_exists("-y.mp4"));
    CHECK_EQ(in_folder("$VOLLEY record r --steps 20 --out 'concat:a|b.gif' >/dev/null"), 0);
    CHECK(file_exists("concat:a|b.gif"));
}

/* A file may have 512 bytes: as a full disk, to every program that writes. */
static void a_full_disk_is_an_error(void) {
    static const struct {
        const char *program, *line, *file;
    } cases[] = {{"gnuplot", "plot r --out full.svg", "full.svg"},
                 {"gnuplot", "plot r --out full.png", "full.png"},
                 {"ffmpeg", "record r --steps 60 --out full.mp4", "full.mp4"},
                 {"ffmpeg", "record r --steps 60 --out full.gif", "full.gif"},
                 {"sh", "record r --steps 60 --out sheet.png", "sheet.png"},
                 {"sh", "trace cartpole --random 1000 --out trace.tsv", "trace.tsv"},
                 {"sh", "export r --format csv --out r.csv", "r.csv"},
                 {"sh", "export r --format npz --out r.npz", "r.npz"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!has(cases[i].program)) continue;
        const int code = in_folder("ulimit -f 1; exec $VOLLEY %s >out 2>err", cases[i].line);
        if (code != 1) fprintf(stderr, "%s: exit %d\n", cases[i].line, code);
        CHECK_EQ(code, 1);
        CHECK(!file_exists(cases[i].file));
    }
    CHECK_EQ(in_folder("ls | grep tmp-"), 1);
    if (!has("gnuplot")) return;
    write_file("kept.svg", "before");
    CHECK_EQ(in_folder("ulimit -f 1; exec $VOLLEY plot r --out kept.svg 2>err"), 1);
    char *text = program_read("kept.svg");
    CHECK_STR(text, "before");
    free(text);
}

/* A gnuplot that does not end: what was begun goes with the program. */
static void an_interrupted_plot_leaves_nothing(void) {
    if (SANITIZED_THREADS) {
        SKIP_PART("under the thread sanitizer a signal waits for the end of waitpid(), which waits "
                  "for the gnuplot that does not end");
        return;
    }
    CHECK_EQ(in_folder("mkdir -p slow && printf '#!/bin/sh\nwhile kill -0 $PPID; do sleep 0.1; "
                       "done\n' >slow/gnuplot && "
                       "chmod +x slow/gnuplot"),
             0);
    CHECK_EQ(in_folder("true; PATH=$PWD/slow:$PATH $VOLLEY plot r --out slow/c.svg 2>err & p=$!; "
                       "for i in $(seq 600); do ls slow/c.svg.tmp-* >/dev/null 2>&1 && break; "
                       "sleep 0.1; done; sleep 0.2; kill -INT $p; wait $p; test $? = 130"),
             0);
    CHECK_EQ(in_folder("ls slow | grep c.svg"), 1);
}

static void an_interrupted_trace_leaves_nothing(void) {
    CHECK_EQ(in_folder("mkdir -p cut; true; $VOLLEY trace cartpole --random 1e12 --out cut/t.tsv "
                       "2>err & p=$!; for i in $(seq 600); do test -s \"$(echo cut/t.tsv*)\" && "
                       "break; sleep 0.1; done; kill -TERM $p; wait $p; test $? = 143"),
             0);
    CHECK_EQ(in_folder("ls cut | grep t.tsv"), 1);
}

static void a_checkpoint_is_not_overwritten(void) {
    CHECK_EQ(
        in_folder("cp r/checkpoints/best.safetensors b.safetensors && cp b.safetensors b.png && "
                  "cp b.png b.mp4 && cp b.png b.svg && md5sum b.* r/config.yaml >before"),
        0);
    static const char *const lines[] = {"export r --out b.safetensors",
                                        "export r --format onnx --out b.safetensors",
                                        "export r --format npz --out b.safetensors",
                                        "export r --format csv --out b.safetensors",
                                        "export r --out r/config.yaml",
                                        "trace cartpole --random 5 --out b.safetensors",
                                        "record r --steps 9 --out b.png",
                                        "record r --steps 9 --out b.mp4",
                                        "plot r --out b.svg",
                                        "plot r --out b.png"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const int code = in_folder("$VOLLEY %s >out 2>err", lines[i]);
        if (code != 2) fprintf(stderr, "%s: exit %d\n", lines[i], code);
        CHECK_EQ(code, 2);
    }
    CHECK_EQ(in_folder("md5sum -c before >/dev/null"), 0);
    CHECK_EQ(in_folder("$VOLLEY export r --out w.safetensors >/dev/null"), 0); /* an export may be
                                                                                */
    CHECK_EQ(in_folder("$VOLLEY export r --out w.safetensors >/dev/null"), 0);
}

static bool has_control_characters(const char *name) {
    char *text = program_read(name);
    bool found = false;
    for (const char *p = text; *p; p++)
        found |= ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f ||
                 (p > text && p[-1] == '\xc2' && (unsigned char)*p < 0xa0);
    free(text);
    return found;
}

static void a_name_does_not_move_the_cursor(void) {
    CHECK_EQ(in_folder("cp -r r \"$(printf 'esc\\033[31m\\302\\233\\177')\""), 0);
    CHECK_EQ(in_folder("$VOLLEY ls runs --runs . >out 2>err"), 0);
    CHECK(!has_control_characters("out"));
    CHECK_EQ(in_folder("$VOLLEY eval esc* --episodes 1 >out 2>err"), 0);
    CHECK(!has_control_characters("out"));
    CHECK_EQ(in_folder("$VOLLEY export esc* --json >out 2>err"), 0);
    CHECK(!has_control_characters("out") && !has_control_characters("err"));
    CHECK_EQ(in_folder("$VOLLEY eval \"$(printf '\\033]0;x\\007')\" >out 2>err"), 2);
    CHECK(!has_control_characters("err"));
    CHECK_EQ(in_folder("$VOLLEY \"$(printf '\\033[2J')\" >out 2>err"), 2);
    CHECK(!has_control_characters("err"));
    char *help = program_read("err");
    CHECK(strstr(help, "?[2J"));
    free(help);
}

static void records_do_not_move_the_cursor(void) {
    write_run("bell", "cartpole", "m\\u001b[2J\\u0007\\u007f\\u009b");
    CHECK_EQ(in_folder("$VOLLEY export bell --format csv --out - >out"), 0);
    CHECK(!has_control_characters("out"));
    CHECK_EQ(in_folder("$VOLLEY export bell --format jsonl --out - >out"), 0);
    CHECK(!has_control_characters("out"));
}

/* JSON is UTF-8: an object that cannot be made is no success. */
static void a_name_that_is_not_utf8_is_refused(void) {
    CHECK_EQ(in_folder("cp -r r \"$(printf 'caf\\351')\" && $VOLLEY eval caf* --episodes 1 >out"),
             0);
    CHECK_EQ(in_folder("$VOLLEY eval caf* --episodes 1 --json >out 2>err"), 2);
    char *text = program_read("err");
    CHECK(strstr(text, "is not UTF-8"));
    free(text);
    CHECK_EQ(in_folder("$VOLLEY ls runs --runs . --json 2>err >out && grep -q 'name is not UTF-8' "
                       "out"),
             0);
    CHECK_EQ(in_folder("$VOLLEY train cartpole --steps 9 --out \"$(printf 'x\\351')\" 2>err >out"),
             2);
}

static void a_pipe_is_not_waited_for(void) {
    write_run("pipe", "cartpole", "m");
    CHECK_EQ(in_folder("rm pipe/metrics.jsonl && mkfifo pipe/metrics.jsonl"), 0);
    CHECK_EQ(in_folder("timeout 20 $VOLLEY export pipe --format csv 2>err"), 2);
    CHECK_EQ(in_folder("timeout 20 $VOLLEY plot pipe --out pipe.svg 2>err"), 2);
    CHECK_EQ(in_folder("rm pipe/config.yaml"), 0);
    CHECK_EQ(in_folder("timeout 20 $VOLLEY train cartpole --steps 100 --out pipe >out 2>err"), 2);
}

static void limits_say_what_is_wrong(void) {
    CHECK_EQ(volley("train cartpole --algo ppo --envs 65536 --ppo.rollout 65536"), 2);
    char *text = program_read("err");
    CHECK(strstr(text, "has 4294967296 rows; at most 1073741823: lower the rollout or --envs"));
    free(text);
}

static void words_are_true(void) {
    static const struct {
        const char *line;
        int code;
        const char *file, *words;
    } cases[] = {
        {"train cartpole --steps 1k --out err", 2, "err", "is not a folder"},
        {"train cartpole --steps 1k --device cuda:99 --out d", 2, "err", "--device cuda:99: "},
        {"train cartpole --steps 1k --device cuda:4294967296", 2, "err", "there is no such device"},
        {"eval r --episodes 1 --device tpu", 2, "err", "--device 'tpu' is not one of"},
        {"resume r --steps 10", 0, "out", "has more than --steps 10 already"},
        {"ls runs --runs /no/such", 2, "err", "there is no folder /no/such"},
        {"help nosuch", 2, "err", "no verb 'nosuch'"},
        {"train pong --roms /no/such", 2, "err", "cannot open the ROM folder /no/such: No such"},
        {"trace pong --random 1 --env.args foo=1", 2, "err", "pong has no option 'foo'"},
        {"train gridworld --algo qlearning --steps 1k --out 'a q'", 0, "out",
         "resume 'a q' --steps"},
        {"export 'a q' --format onnx", 2, "err", "has a table and no network"},
        {"bench envs --filter breakout/step --samples 1 --seconds 0.01", 0, "out",
         "minatar/breakout/step"},
        {"plot huge --metric m --out huge.svg", 2, "err", "has no m to draw in its 2 records"},
    };
    write_run("huge", "cartpole", "m");
    write_file("huge/metrics.jsonl", "{\"step\":1,\"m\":1e308}\n{\"step\":2,\"m\":1e308}\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int code = volley("%s", cases[i].line);
        char *text = program_read(cases[i].file);
        if (code != cases[i].code || !strstr(text, cases[i].words))
            fprintf(stderr, "%s: exit %d: %s\n", cases[i].line, code, text);
        CHECK(code == cases[i].code && strstr(text, cases[i].words));
        CHECK(!strstr(text, "queues 0") && !strstr(text, " of 10 steps"));
        free(text);
    }
    CHECK_EQ(in_folder("$VOLLEY bench envs --filter breakout/raw 2>&1 | grep -q breakout"), 0);
}

static void a_window_needs_a_display(void) {
    CHECK_EQ(
        in_folder("unset DISPLAY WAYLAND_DISPLAY; $VOLLEY play r --window --steps 3 >out 2>err"),
        2);
    if (!has("ffplay")) return;
    CHECK_EQ(in_folder("DISPLAY=:987 $VOLLEY play r --window --steps 3 >out 2>err"), 1);
}

static void a_shell_reads_a_word_back(void) {
    static const char *const words[] = {"",     "runs/x-1", "it's", "a b", "$(touch Y)`touch Y`",
                                        "-n\\", "*?",       "\n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        CHECK_EQ(in_folder("printf %%s %s >word", vly_shell_word(words[i])), 0);
        char *back = program_read("word");
        CHECK_STR(back, words[i]);
        free(back);
    }
    CHECK_STR(vly_shell_word("runs/x-1"), "runs/x-1");
    CHECK(!file_exists("Y"));
}

int main(void) {
    program_open();
    CHECK_EQ(volley("train cartpole --steps 8k --seed 1 --metrics.every_s 0.01 --out r"), 0);
    a_shell_reads_a_word_back();
    a_name_is_never_run();
    a_name_is_never_an_option();
    a_full_disk_is_an_error();
    an_interrupted_plot_leaves_nothing();
    an_interrupted_trace_leaves_nothing();
    a_checkpoint_is_not_overwritten();
    a_name_does_not_move_the_cursor();
    records_do_not_move_the_cursor();
    a_name_that_is_not_utf8_is_refused();
    a_pipe_is_not_waited_for();
    limits_say_what_is_wrong();
    words_are_true();
    a_window_needs_a_display();
    return program_close();
}
