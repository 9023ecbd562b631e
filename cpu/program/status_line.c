#include "cpu/program/status_line.h"
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "common/base/text.h"
#include "common/config/config.h"
#include "cpu/program/output.h"

enum { BAR = 20, WIDE = 512 };

struct vly_status_line {
    FILE *out;
    pthread_mutex_t lock; /* warnings come from other threads */
    bool live, silent;
    int drawn;  /* lines on the screen that are redrawn */
    int missed; /* lines of vly_status_line_say that nobody read */
    double plain_s, last;
    char title[96];
    char lines[3][WIDE];
};

vly_status_line *vly_status_line_create(FILE *out, int kind, double plain_s, const char *title) {
    vly_status_line *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    const char *term = getenv("TERM");
    l->out = out = vly_people_raw(out);
    l->silent = kind == VLY_METRICS_STATUS_NONE;
    l->live = kind == VLY_METRICS_STATUS_LIVE ||
              (kind == VLY_METRICS_STATUS_AUTO && isatty(fileno(out)) && term &&
               strcmp(term, "dumb"));
    l->plain_s = plain_s;
    l->last = -1e9;
    pthread_mutex_init(&l->lock, NULL);
    snprintf(l->title, sizeof l->title, "%s", title);
    vly_text_plain(l->title, strlen(l->title), 0);
    return l;
}

static void add_words(char *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_words(char *line, const char *format, ...) {
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, WIDE - used, format, args);
    va_end(args);
}

/* 950, 61.2k, 1.31M */
static const char *brief(double x) {
    static _Thread_local char ring[8][32];
    static _Thread_local int next;
    char *out = ring[next = (next + 1) % 8];
    if (!isfinite(x))
        snprintf(out, 32, "-");
    else if (fabs(x) >= 999.5e6)
        snprintf(out, 32, "%.3gG", x * 1e-9);
    else if (fabs(x) >= 999.5e3)
        snprintf(out, 32, "%.3gM", x * 1e-6);
    else if (fabs(x) >= 9995)
        snprintf(out, 32, "%.3gk", x * 1e-3);
    else
        snprintf(out, 32, "%.0f", x);
    return out;
}

static void add_duration(char *line, double s) {
    long t = s < 0 ? 0 : (long)(s + 0.5);
    if (s > 360000)
        add_words(line, "%ld d", t / 86400);
    else if (t >= 3600)
        add_words(line, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else
        add_words(line, "%ld:%02ld", t / 60, t % 60);
}

static double value(vly_metrics *m, int id) {
    vly_metric_value v = vly_metrics_get(m, id);
    return v.set ? v.value : NAN;
}

static void progress_line(const vly_status_line *l, vly_metrics *m, char *line, bool bar) {
    double steps = value(m, VLY_M_STEPS), total = value(m, VLY_M_STEPS_TOTAL),
           rate = value(m, VLY_M_SPS), target = value(m, VLY_M_RETURN_TARGET);
    double done = total > 0 && isfinite(steps) ? fmin(steps / total, 1) : 0;
    add_words(line, "%s  ", l->title);
    if (bar) {
        add_words(line, "[");
        for (int i = 0; i < BAR; i++) add_words(line, "%s", i < (int)(done * BAR) ? "#" : "-");
        add_words(line, "] ");
    }
    add_words(line, "%.0f%%  %s of %s steps", 100 * done, brief(steps), brief(fmax(steps, total)));
    if (rate > 0 && done < 1) {
        add_words(line, "  left ");
        add_duration(line, (total - steps) / rate);
        if (isfinite(target)) add_words(line, " at most");
    }
    const double mean = value(m, VLY_M_RETURN_MEAN_100);
    if (isfinite(mean)) add_words(line, "  return %.4g", mean);
    if (isfinite(mean) && isfinite(target)) add_words(line, " of %.4g", target);
}

static void add_count(char *line, vly_metrics *m, int id, const char *words) {
    if (value(m, id) > 0) add_words(line, ", %s %s", brief(value(m, id)), words);
}

static void rate_line(vly_metrics *m, char *line) {
    double frames = value(m, VLY_M_FPS), sps = value(m, VLY_M_SPS),
           lag = value(m, VLY_M_POLICY_LAG);
    add_words(line, "acting %s steps/s", brief(sps));
    if (frames > sps * 1.01) add_words(line, " (%s frames/s)", brief(frames));
    add_words(line, ", learning %s/s", brief(value(m, VLY_M_SPS_LEARN)));
    if (isfinite(lag)) add_words(line, ", lag %.2g", lag);
    add_count(line, m, VLY_M_QUEUE_STEP, "stepping");
    add_count(line, m, VLY_M_QUEUE_ACT, "waiting for actions");
    add_count(line, m, VLY_M_QUEUE_LEARN, "to learn from");
    double fill = value(m, VLY_M_REPLAY_FILL);
    if (isfinite(fill))
        add_words(line, ", replay %.0f%% ratio %.3g", 100 * fill, value(m, VLY_M_REPLAY_RATIO));
    double restarts = value(m, VLY_M_RESTARTS), hung = value(m, VLY_M_HUNG),
           failed = value(m, VLY_M_CHECKPOINT_FAILURES);
    if (restarts > 0) add_words(line, ", %.0f environments restarted", restarts);
    if (hung > 0) add_words(line, ", %.0f hung", hung);
    if (failed > 0) add_words(line, ", %.0f CHECKPOINTS NOT SAVED", failed);
}

static void time_line(vly_metrics *m, char *line) {
    static const struct {
        int id;
        const char *name;
    } phases[] = {{VLY_M_TIME_STEP, "environments"},
                  {VLY_M_TIME_ACT, "inference"},
                  {VLY_M_TIME_LEARN, "learning"},
                  {VLY_M_TIME_SAVE, "saving"},
                  {VLY_M_TIME_OTHER, "other"}};
    add_words(line, "time:");
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        if (isfinite(value(m, phases[i].id)))
            add_words(line, " %s %.0f%%", phases[i].name, 100 * value(m, phases[i].id));
    double memory = value(m, VLY_M_MEMORY), cpu = value(m, VLY_M_CPU);
    if (isfinite(memory)) add_words(line, "  memory %.0f MB", memory / 1e6);
    if (isfinite(cpu)) add_words(line, "  %.1f processors", cpu);
}

static int columns(const vly_status_line *l) {
    struct winsize w;
    return ioctl(fileno(l->out), TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 100;
}

/* What is written at once: a pipe that has room at all has room for it. */
typedef struct {
    char text[4096];
    size_t bytes;
} piece;

__attribute__((format(printf, 2, 3))) static void add_to_piece(piece *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(p->text + p->bytes, sizeof p->text - p->bytes, format, args);
    va_end(args);
    if (n > 0) p->bytes += (size_t)n;
    if (p->bytes >= sizeof p->text) p->bytes = sizeof p->text - 1;
}

/* Training does not wait for a reader: false where there is no room, and nothing is written. */
static bool write_without_waiting(const vly_status_line *l, const piece *p) {
    struct pollfd out = {.fd = fileno(l->out), .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) &&
           write(out.fd, p->text, p->bytes) == (ssize_t)p->bytes;
}

static void add_erasure(const vly_status_line *l, piece *p) {
    if (l->drawn) add_to_piece(p, "\033[%dA\r\033[J", l->drawn);
}

static void add_lines(const vly_status_line *l, piece *p) {
    int width = columns(l);
    for (int i = 0; i < 3; i++) add_to_piece(p, "%.*s\n", width - 1, l->lines[i]);
}

void vly_status_line_update(vly_status_line *l, vly_metrics *m) {
    if (!l || l->silent) return;
    double now = vly_metrics_seconds(m);
    if (now - l->last < (l->live ? 0.1 : l->plain_s)) return;
    pthread_mutex_lock(&l->lock);
    l->last = now;
    memset(l->lines, 0, sizeof l->lines);
    progress_line(l, m, l->lines[0], l->live);
    if (l->live) {
        rate_line(m, l->lines[1]);
        time_line(m, l->lines[2]);
        piece p = {.bytes = 0};
        add_erasure(l, &p);
        add_lines(l, &p);
        if (write_without_waiting(l, &p)) l->drawn = 3;
    } else {
        add_words(l->lines[0], "  ");
        rate_line(m, l->lines[0]);
        piece p = {.bytes = 0};
        add_to_piece(&p, "%s\n", l->lines[0]);
        write_without_waiting(l, &p);
    }
    pthread_mutex_unlock(&l->lock);
}

void vly_status_line_say(vly_status_line *l, const char *text) {
    if (!l) {
        fprintf(stderr, "%s\n", text);
        return;
    }
    char words[2048];
    snprintf(words, sizeof words, "%s", text);
    vly_text_plain(words, strlen(words), 0);
    pthread_mutex_lock(&l->lock);
    piece p = {.bytes = 0};
    add_erasure(l, &p);
    if (l->missed) add_to_piece(&p, "(%d messages before this one were not read)\n", l->missed);
    add_to_piece(&p, "%s\n", words);
    if (l->drawn) add_lines(l, &p);
    l->missed = write_without_waiting(l, &p) ? 0 : l->missed + 1;
    pthread_mutex_unlock(&l->lock);
}

void vly_status_line_stop(vly_status_line *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->drawn = 0;
    l->silent = true;
    pthread_mutex_unlock(&l->lock);
}

void vly_status_line_end(vly_status_line *l) {
    if (!l) return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}
