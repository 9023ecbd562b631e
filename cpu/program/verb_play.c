/* play: in the terminal, two pixels a character; or in a window of ffplay. record: to a file by
 * ffmpeg or libpng. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "cpu/run/agent.h"
#include "cpu/program/output.h"
#include "cpu/program/picture.h"
#include "cpu/program/tool.h"
#include "cpu/program/verbs.h"

typedef struct {
    int episodes, fps, zoom;
    int64_t seed, steps;
    bool greedy, best, window, accept_config;
    char out[1024], device[64], task[64];
} play_options;

static const vly_option own_play[] = {
    VLY_CLI_INT(play_options, episodes, "1", 1, 1e6, "episodes to watch"),
    VLY_CLI_INT(play_options, fps, "0", 0, 10000,
                "agent steps a second; 0: the environment's own speed"),
    VLY_CLI_INT(play_options, steps, "100000", 1, 1e12, "at most so many steps"),
    VLY_CLI_INT(play_options, seed, "1000", 0, 9e18, "seed of environment and actions"),
    VLY_CLI_BOOL(play_options, greedy, "take the likeliest action instead of sampling"),
    VLY_CLI_BOOL(play_options, best, "the best checkpoint instead of the newest"),
    VLY_CLI_BOOL(play_options, accept_config,
                 "go on although config.yaml is not what the checkpoint was saved with"),
    VLY_CLI_BOOL(play_options, window,
                 "a window instead of the terminal (needs a display and ffplay)"),
    VLY_CLI_TEXT(play_options, task, "", NULL,
                 "of multi:A,B: the environment, by name or by number from 0"),
    VLY_CLI_TEXT(play_options, device, "auto", NULL, "auto, cpu, cuda:0"),
};

static const vly_option own_record[] = {
    VLY_CLI_INT(play_options, episodes, "1", 1, 1e6, "episodes to record"),
    VLY_CLI_TEXT(play_options, out, "agent.mp4", NULL,
                 "a name.mp4, name.gif (ffmpeg makes them) or name.png (a sheet of moments)"),
    VLY_CLI_INT(play_options, fps, "0", 0, 1000,
                "agent steps a second; 0: the environment's own speed"),
    VLY_CLI_INT(play_options, zoom, "0", 0, 16,
                "pixels for one of the environment's; 0: about 480 in all"),
    VLY_CLI_INT(play_options, steps, "20000", 1, 1e12, "at most so many steps"),
    VLY_CLI_INT(play_options, seed, "1000", 0, 9e18, "seed of environment and actions"),
    VLY_CLI_BOOL(play_options, greedy, "take the likeliest action instead of sampling"),
    VLY_CLI_BOOL(play_options, best, "the best checkpoint instead of the newest"),
    VLY_CLI_BOOL(play_options, accept_config,
                 "go on although config.yaml is not what the checkpoint was saved with"),
    VLY_CLI_TEXT(play_options, task, "", NULL,
                 "of multi:A,B: the environment, by name or by number from 0"),
    VLY_CLI_TEXT(play_options, device, "auto", NULL, "auto, cpu, cuda:0"),
};

static volatile sig_atomic_t stopped;
static void stop_playing(void *arg) {
    (void)arg;
    stopped = 1;
}

static void caption(char *text, size_t bytes, const vly_agent_moment *m) {
    const int n = snprintf(text, bytes, "SCORE %.6g  STEP %lld", m->score, (long long)m->length);
    if (isfinite(m->value)) snprintf(text + n, bytes - (size_t)n, "  VALUE %.2f", m->value);
}

/* ---- where pictures go ---- */

typedef struct {
    vly_tool *tool; /* ffmpeg or ffplay */
    uint8_t **kept; /* PNG: thinned as they come, so that the whole time is covered */
    int kept_count, every, seen;
} sink;
enum { KEPT_MAX = 32, SHEET_COLUMNS = 4, SHEET_MAX = 16, ARGUMENTS = 32 };

/* PROGRAM of ffmpeg, taking raw pictures on its standard input; rest: up to NULL. */
static vly_status open_video(sink *s, const vly_picture *p, int fps, const char *const rest[],
                             const char *path) {
    char size[32], rate[16];
    snprintf(size, sizeof size, "%dx%d", p->width, p->height);
    snprintf(rate, sizeof rate, "%d", fps);
    const char *argv[ARGUMENTS] = {path ? "ffmpeg" : "ffplay",
                                   "-loglevel",
                                   "error",
                                   "-f",
                                   "rawvideo",
                                   "-pixel_format",
                                   "rgb24",
                                   "-video_size",
                                   size,
                                   "-framerate",
                                   rate,
                                   "-i",
                                   "-"};
    int n = 13;
    while (*rest) argv[n++] = *rest++;
    if (!vly_tool_is_there(argv[0]))
        return vly_fail(VLY_ENOTFOUND,
                        "%s is not installed: apt-get install ffmpeg, or --out a .png", argv[0]);
    return vly_tool_open(&s->tool, argv, path);
}

static vly_status open_window(sink *s, const vly_picture *p, int fps) {
    static const char *const rest[] = {"-window_title", "volley", "-autoexit", NULL};
    if (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))
        return vly_fail(VLY_EINVAL, "--window needs a display: neither DISPLAY nor WAYLAND_DISPLAY "
                                    "is set; without --window the terminal shows the agent");
    setenv("SDL_VIDEODRIVER", "x11,wayland", 0); /* no display: an error, not a hidden window */
    return open_video(s, p, fps, rest, NULL);
}

static vly_status open_sink(sink *s, const vly_picture *p, int fps, const char *out) {
    static const char *const gif[] = {
        "-vf", "split[a][b];[a]palettegen[p];[b][p]paletteuse", "-f", "gif", "-y", VLY_TOOL_OUTPUT,
        NULL};
    static const char *const mp4[] = {"-c:v", "libx264",       "-pix_fmt",   "yuv420p", "-crf",
                                      "18",   "-movflags",     "+faststart", "-f",      "mp4",
                                      "-y",   VLY_TOOL_OUTPUT, NULL};
    if (vly_path_ends_with(out, ".gif")) return open_video(s, p, fps, gif, out);
    if (vly_path_ends_with(out, ".mp4")) return open_video(s, p, fps, mp4, out);
    if (!vly_path_ends_with(out, ".png"))
        return vly_fail(VLY_EINVAL, "--out %s: the name has to end in .mp4, .gif or .png", out);
    VLY_TRY(vly_output_check(out));
    s->every = 1;
    s->kept = calloc(KEPT_MAX, sizeof *s->kept);
    return s->kept ? VLY_OK : vly_fail(VLY_ENOMEM, "no memory for pictures");
}

static vly_status keep_picture(sink *s, const vly_picture *p) {
    const size_t bytes = (size_t)p->width * (size_t)p->height * 3;
    if (s->seen++ % s->every) return VLY_OK;
    if (s->kept_count == KEPT_MAX) { /* every second one goes */
        for (int i = 0; i < KEPT_MAX / 2; i++) {
            free(s->kept[2 * i + 1]);
            s->kept[i] = s->kept[2 * i];
        }
        s->kept_count /= 2, s->every *= 2;
    }
    s->kept[s->kept_count] = malloc(bytes);
    if (!s->kept[s->kept_count]) return vly_fail(VLY_ENOMEM, "no memory for pictures");
    memcpy(s->kept[s->kept_count++], p->rgb, bytes);
    return VLY_OK;
}

static vly_status take_picture(sink *s, const vly_picture *p) {
    if (!s->tool) return keep_picture(s, p);
    return vly_tool_write(s->tool, p->rgb, (size_t)p->width * (size_t)p->height * 3);
}

/* A sheet of up to 16 moments, evenly over the recording. */
static vly_status save_sheet(const sink *s, const vly_picture *p, const char *out) {
    const int n = s->kept_count < SHEET_MAX ? s->kept_count : SHEET_MAX;
    if (n == 0) return vly_fail(VLY_EINVAL, "nothing was recorded");
    const int columns = n < SHEET_COLUMNS ? n : SHEET_COLUMNS, rows = (n + columns - 1) / columns;
    const size_t line = (size_t)p->width * 3;
    uint8_t *sheet = calloc((size_t)columns * line, (size_t)(rows * p->height));
    if (!sheet) return vly_fail(VLY_ENOMEM, "no memory for a sheet of pictures");
    for (int i = 0; i < n; i++) {
        const uint8_t *from = s->kept[n > 1 ? i * (s->kept_count - 1) / (n - 1) : 0];
        for (int y = 0; y < p->height; y++)
            memcpy(sheet + ((size_t)(i / columns * p->height + y) * (size_t)columns +
                            (size_t)(i % columns)) *
                               line,
                   from + (size_t)y * line, line);
    }
    const vly_status status = vly_picture_save_png(out, sheet, columns * p->width,
                                                   rows * p->height);
    free(sheet);
    return status;
}

static vly_status close_sink(sink *s, const vly_picture *p, const char *out, vly_status status) {
    if (s->tool) status = vly_tool_close(s->tool, status);
    if (s->kept && status == VLY_OK) status = save_sheet(s, p, out);
    for (int i = 0; i < s->kept_count; i++) free(s->kept[i]);
    free(s->kept);
    return status;
}

/* ---- the terminal ---- */

static void pause_until(double *next, double step) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (*next == 0) *next = now;
    *next += step;
    if (*next < now) *next = now;
    const double wait = *next - now;
    t.tv_sec = (time_t)wait, t.tv_nsec = (long)((wait - floor(wait)) * 1e9);
    nanosleep(&t, NULL);
}

/* The upper half of a character has its foreground, the lower its background. */
static void show_picture(FILE *out, const vly_picture *p, const char *text) {
    struct winsize size = {.ws_col = 80, .ws_row = 24};
    ioctl(fileno(out), TIOCGWINSZ, &size);
    const int most_w = size.ws_col > 8 ? size.ws_col : 80,
              most_h = size.ws_row > 4 ? 2 * (size.ws_row - 2) : 44;
    double scale = fmax((double)p->plain_width / most_w, (double)p->plain_height / most_h);
    if (scale < 0.25) scale = 0.25;
    const int w = (int)(p->plain_width / scale), h = (int)(p->plain_height / scale) & ~1;
    fprintf(out, "\033[H%s\033[K\n", text);
    for (int y = 0; y + 1 < h + 1; y += 2) {
        for (int x = 0; x < w; x++) {
            const uint8_t *a = p->plain + 3 * ((size_t)((int)(y * scale)) * (size_t)p->plain_width +
                                               (size_t)(int)(x * scale));
            const int below = (int)((y + 1) * scale) < p->plain_height ? (int)((y + 1) * scale)
                                                                       : p->plain_height - 1;
            const uint8_t *b =
                p->plain + 3 * ((size_t)below * (size_t)p->plain_width + (size_t)(int)(x * scale));
            fprintf(out, "\033[38;2;%d;%d;%dm\033[48;2;%d;%d;%dm\xe2\x96\x80", a[0], a[1], a[2],
                    b[0], b[1], b[2]);
        }
        fputs("\033[0m\033[K\n", out);
    }
    fflush(out);
}

/* ---- both verbs ---- */

static vly_status run_episodes(vly_cli *cli, vly_agent *a, const play_options *o, bool record,
                               int fps, vly_picture *p, sink *s) {
    vly_agent_moment m = {0};
    double next = 0;
    bool first = true;
    for (int64_t step = 0, done = 0; step < o->steps && done < o->episodes && !stopped; step++) {
        char text[128];
        VLY_TRY(vly_agent_step(a, &m));
        if (first) {
            VLY_TRY(vly_picture_create(p, &a->env, m.state, o->zoom));
            if (record)
                VLY_TRY(open_sink(s, p, fps, o->out));
            else if (o->window)
                VLY_TRY(open_window(s, p, fps));
            else
                fputs("\033[2J\033[?25l", vly_people_raw(cli->people));
            first = false;
        }
        caption(text, sizeof text, &m);
        vly_picture_draw(p, &a->env, m.state, text);
        if (record || o->window) VLY_TRY(take_picture(s, p));
        if (!record) {
            if (!o->window) show_picture(vly_people_raw(cli->people), p, text);
            pause_until(&next, 1.0 / fps);
        }
        if (m.ended) {
            done++;
            if (record)
                fprintf(cli->people, "episode %lld: return %.6g, %lld steps\n", (long long)done,
                        m.score, (long long)m.length);
        }
    }
    return VLY_OK;
}

static int play_or_record(vly_cli *cli, bool record) {
    const play_options *o = cli->own;
    const vly_agent_options options = {.greedy = o->greedy,
                                       .best = o->best,
                                       .accept_config = o->accept_config,
                                       .actors = 1,
                                       .seed = (uint64_t)o->seed,
                                       .device = o->device,
                                       .task = o->task[0] ? o->task : NULL,
                                       .say = vly_cli_say,
                                       .arg = cli->people};
    vly_agent a;
    vly_picture p = {0};
    sink s = {0};
    vly_status status = vly_agent_open(&a, cli->positional[0], &options);
    vly_cli_watch_signals(stop_playing, NULL);
    const int fps = o->fps > 0 || status != VLY_OK ? o->fps : vly_picture_rate(&a.env);
    if (status == VLY_OK) status = run_episodes(cli, &a, o, record, fps, &p, &s);
    if (!record && !o->window && p.rgb) fputs("\033[?25h\033[0m\n", vly_people_raw(cli->people));
    if (record || o->window) status = close_sink(&s, &p, o->out, status);
    vly_cli_watch_signals(NULL, NULL);
    if (status == VLY_OK && record) fprintf(cli->people, "%s\n", o->out);
    if (status == VLY_OK && cli->json)
        vly_cli_print_json(json_pack("{s:s, s:I, s:o, s:i}", "out", record ? o->out : "",
                                     "episodes", (json_int_t)a.episodes, "score",
                                     vly_json_real(a.score), "fps", fps));
    vly_picture_destroy(&p);
    vly_agent_close(&a);
    if (status != VLY_OK) return vly_cli_fail(status);
    if (vly_cli_signal()) return vly_cli_signal() == 2 ? VLY_EXIT_INT : VLY_EXIT_TERM;
    return VLY_EXIT_DONE;
}

static int play_verb(vly_cli *cli) {
    return play_or_record(cli, false);
}
static int record_verb(vly_cli *cli) {
    return play_or_record(cli, true);
}

const vly_verb vly_verb_play = {
    .name = "play",
    .positional_help = "RUN",
    .summary = "watch the agent: in the terminal, or in a window",
    .examples = "volley play runs/pong-ppo-1-20261121-101500\nvolley play runs/x --greedy --fps 30 "
                "--window",
    .own = own_play,
    .own_count = sizeof own_play / sizeof own_play[0],
    .own_bytes = sizeof(play_options),
    .positional_min = 1,
    .positional_max = 1,
    .run = play_verb,
};

const vly_verb vly_verb_record = {
    .name = "record",
    .positional_help = "RUN",
    .summary = "records episodes as a video, a GIF or a sheet of pictures, with score and value "
               "written over them",
    .examples = "volley record runs/x --episodes 3 --out pong.mp4\nvolley record runs/x --out "
                "pong.gif --fps 15",
    .own = own_record,
    .own_count = sizeof own_record / sizeof own_record[0],
    .own_bytes = sizeof(play_options),
    .positional_min = 1,
    .positional_max = 1,
    .run = record_verb,
};
