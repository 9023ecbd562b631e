#include "cpu/program/crash.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/base/plugin_call.h"
#include "cpu/program/cli.h"

static const struct {
    int signal;
    const char *name;
} kinds[] = {{SIGSEGV, "SIGSEGV"},
             {SIGBUS, "SIGBUS"},
             {SIGFPE, "SIGFPE"},
             {SIGILL, "SIGILL"},
             {SIGABRT, "SIGABRT"}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct sigaction before[KINDS];
static const char *_Atomic checkpoint;
static atomic_bool in_worker;

/* Everything below is async-signal-safe. */
typedef struct {
    char text[4096];
    size_t n;
} line;

static void line_add(line *l, const char *text) {
    for (; *text && l->n < sizeof l->text; text++)
        l->text[l->n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
}

static void line_add_number(line *l, int value) {
    char digits[16];
    size_t at = sizeof digits - 1;
    unsigned rest = value < 0 ? 0u - (unsigned)value : (unsigned)value;
    digits[at] = '\0';
    do digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0) digits[--at] = '-';
    line_add(l, digits + at);
}

static void add_actor(line *l, const vly_plugin_call *call) {
    const int i = vly_plugin_at(call);
    line_add(l, " of actor ");
    line_add_number(l, call->actor + i);
    if (!call->action.data || call->env->action.kind != VLY_SPACE_DISCRETE) return;
    line_add(l, " with action ");
    line_add_number(l, vly_action_ints(call->action)[i * call->env->players]);
}

static void add_checkpoint(line *l) {
    const char *path = atomic_load(&checkpoint);
    if (atomic_load(&in_worker)) return;
    line_add(l, path && *path ? "; the last good checkpoint is " : "; no checkpoint was saved");
    if (path) line_add(l, path);
}

_Noreturn static void end_for_plugin(const vly_plugin_call *call, const char *what) {
    line l = {.n = 0};
    line_add(&l, "volley: plugin ");
    line_add(&l, call->path);
    line_add(&l, " ");
    line_add(&l, what);
    line_add(&l, " in ");
    line_add(&l, call->doing);
    if (call->n > 0) add_actor(&l, call);
    add_checkpoint(&l);
    vly_file_abandon();
    if (l.n == sizeof l.text) l.n--;
    l.text[l.n++] = '\n';
    if (write(STDERR_FILENO, l.text, l.n) < 0) {
    } /* standard error is closed: the exit code is left */
    _exit(VLY_EXIT_FAILED);
}

/* Elsewhere than in a plugin, or sent by kill, the signal happens again, with the action that it had: by itself when
 * the processor raised it, and once more when a program did. */
static void on_crash(int number, siginfo_t *info, void *context) {
    const vly_plugin_call *call = vly_plugin_here();
    (void)context;
    for (int i = 0; i < KINDS; i++) {
        if (kinds[i].signal != number) continue;
        if (call->path && info->si_code != SI_USER) end_for_plugin(call, kinds[i].name);
        sigaction(number, &before[i], NULL);
        if (info->si_code <= 0) raise(number);
    }
}

static void on_exit_in_plugin(void) {
    const vly_plugin_call *call = vly_plugin_here();
    if (call->path) end_for_plugin(call, "called exit");
}

void vly_crash_watch(void) {
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < KINDS; i++) sigaction(kinds[i].signal, &action, &before[i]);
    atexit(on_exit_in_plugin);
    at_quick_exit(on_exit_in_plugin);
}

void vly_crash_in_worker(void) {
    atomic_store(&in_worker, true);
}

void vly_crash_checkpoint(const char *path) {
    atomic_store(&checkpoint, path);
}
