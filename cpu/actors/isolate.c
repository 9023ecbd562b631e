#include "cpu/actors/isolate.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/base/program.h"

enum { LOOK_MS = 50, PATIENCE_MS = 2000, FAILURES_MOST = 5, BACKOFF_MS = 100 };

typedef struct {
    struct vly_isolate *all;
    uv_process_t process;
    bool running; /* the handle is open */
    bool exited, lost, served;
    int64_t status;
    int signal;
    char actors[256], words[512]; /* which it had and their last actions; what it said */
    int64_t next_ms;              /* lost: it is killed; exited too: another is started */
    int failures;                 /* in a row, before it has answered */
} isolate_process;

struct vly_isolate {
    uv_loop_t *loop;
    vly_source *source;
    vly_isolate_options o;
    char envs[16];
    uv_timer_t timer;
    int handles;
    bool stopping;
    int64_t stop_ms;
    isolate_process *processes;
};

static void isolate_say(const vly_isolate *s, const char *text) {
    if (s->o.on_warning && !s->stopping) s->o.on_warning(s->o.arg, text);
}

static void free_isolate(vly_isolate *s) {
    free(s->processes);
    free(s);
}

static void on_isolate_closed(uv_handle_t *handle) {
    vly_isolate *s = handle->data;
    if (--s->handles == 0 && s->stopping) free_isolate(s);
}

static void on_process_closed(uv_handle_t *handle) {
    isolate_process *p = handle->data;
    vly_isolate *s = p->all;
    p->running = false;
    if (--s->handles == 0 && s->stopping) free_isolate(s);
}

/* ---- how one ends ---- */

static void say_end(const isolate_process *p) {
    char text[1400], how[64];
    const char *plugin = p->all->o.plugin;
    if (p->signal)
        snprintf(how, sizeof how, "signal %d, %.40s", p->signal, strsignal(p->signal));
    else
        snprintf(how, sizeof how, "exit %lld", (long long)p->status);
    snprintf(text, sizeof text,
             "%.256s%sthe process of %s has ended (%s)%s%s; another goes on with fresh episodes",
             plugin ? plugin : "", plugin ? ": " : "", p->actors[0] ? p->actors : "no actor yet",
             how, p->words[0] ? ": " : "", p->words);
    isolate_say(p->all, text);
}

/* Both are known: what it did, from its connection, and how it ended. */
static void end_process(isolate_process *p) {
    vly_isolate *s = p->all;
    if (!p->exited || !p->lost || s->stopping) return;
    const int64_t now = vly_now_ms();
    p->failures = p->served ? 0 : p->failures + 1;
    p->next_ms = now + (p->failures ? (int64_t)BACKOFF_MS << p->failures : 0);
    say_end(p);
    if (p->failures >= FAILURES_MOST)
        vly_remote_fail(s->source, "%s ends its process before the first step (%s): %s",
                        s->o.plugin ? s->o.plugin : "the environment", p->actors,
                        p->words[0] ? p->words : "see above");
}

void vly_isolate_lost(void *arg, int tag, bool served, const char *actors, const char *words) {
    vly_isolate *s = *(vly_isolate **)arg;
    if (!s) return;
    isolate_process *p = &s->processes[tag];
    snprintf(p->actors, sizeof p->actors, "%s", actors);
    snprintf(p->words, sizeof p->words, "%s", words);
    p->lost = true, p->served = served;
    p->next_ms = vly_now_ms() + PATIENCE_MS; /* then it hangs */
    end_process(p);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal) {
    isolate_process *p = process->data;
    p->exited = true, p->status = status, p->signal = signal;
    uv_close((uv_handle_t *)process, on_process_closed);
    end_process(p);
}

/* ---- how one begins ---- */

static int spawn_actor(isolate_process *p, int socket) {
    vly_isolate *s = p->all;
    char program[4096];
    char *args[16] = {"volley", "actor", "fd:3", "--quiet", "--workers", "1", "--envs", s->envs};
    int n = 8;
    if (s->o.plugin) args[n++] = "--env", args[n++] = (char *)(uintptr_t)s->o.plugin;
    if (s->o.roms) args[n++] = "--roms", args[n++] = (char *)(uintptr_t)s->o.roms;
    uv_stdio_container_t io[4] = {{.flags = UV_IGNORE},
                                  {.flags = UV_IGNORE},
                                  {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
                                  {.flags = UV_INHERIT_FD, .data.fd = socket}};
    const uv_process_options_t o = {.exit_cb = on_process_exit,
                                    .file = vly_program(program, sizeof program),
                                    .args = args,
                                    .flags = UV_PROCESS_DETACHED, /* Ctrl-C is the run's */
                                    .stdio_count = 4,
                                    .stdio = io};
    p->process.data = p;
    return uv_spawn(s->loop, &p->process, &o);
}

static vly_status start_process(isolate_process *p) {
    vly_isolate *s = p->all;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return vly_fail(VLY_EIO, "no socket for an environment's process: %s", strerror(errno));
    p->exited = p->lost = p->served = false, p->running = true;
    p->actors[0] = p->words[0] = '\0';
    s->handles++;
    const int error = spawn_actor(p, pair[1]);
    close(pair[1]);
    if (error) {
        close(pair[0]);
        p->exited = p->lost = true;
        uv_close((uv_handle_t *)&p->process, on_process_closed);
        return vly_fail(VLY_EIO, "cannot start an environment's process: %s", uv_strerror(error));
    }
    return vly_remote_adopt(s->source, pair[0], (int)(p - s->processes));
}

static void kill_remaining(vly_isolate *s) {
    for (int i = 0; i < s->o.processes; i++)
        if (s->processes[i].running && !s->processes[i].exited)
            uv_process_kill(&s->processes[i].process, SIGKILL);
}

static bool any_runs(const vly_isolate *s) {
    for (int i = 0; i < s->o.processes; i++)
        if (s->processes[i].running) return true;
    return false;
}

static void on_isolate_look(uv_timer_t *timer) {
    vly_isolate *s = timer->data;
    if (s->stopping) {
        if (vly_now_ms() - s->stop_ms > PATIENCE_MS) kill_remaining(s);
        if (!any_runs(s)) uv_close((uv_handle_t *)timer, on_isolate_closed);
        return;
    }
    for (int i = 0; i < s->o.processes; i++) {
        isolate_process *p = &s->processes[i];
        if (!p->lost || vly_now_ms() < p->next_ms) continue;
        if (!p->exited) uv_process_kill(&p->process, SIGKILL);
        if (p->running) continue;
        if (start_process(p) != VLY_OK) {
            p->next_ms = vly_now_ms() + PATIENCE_MS;
            isolate_say(s, vly_error_text());
        }
    }
}

vly_status vly_isolate_start(vly_isolate **out, uv_loop_t *loop, vly_source *source,
                             const vly_isolate_options *options) {
    vly_isolate *s = calloc(1, sizeof *s);
    if (s) s->processes = calloc((size_t)options->processes, sizeof *s->processes);
    if (!s || !s->processes) {
        free(s);
        return vly_fail(VLY_ENOMEM, "no memory for %d processes", options->processes);
    }
    s->loop = loop, s->source = source, s->o = *options;
    snprintf(s->envs, sizeof s->envs, "%d",
             (source->actors + options->processes - 1) / options->processes);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    s->handles = 1;
    uv_timer_start(&s->timer, on_isolate_look, LOOK_MS, LOOK_MS);
    *out = s;
    vly_status status = VLY_OK;
    for (int i = 0; i < options->processes && status == VLY_OK; i++) {
        s->processes[i].all = s;
        status = start_process(&s->processes[i]);
    }
    return status;
}

void vly_isolate_stop(vly_isolate *s) {
    if (!s) return;
    s->stopping = true;
    s->stop_ms = vly_now_ms();
}
