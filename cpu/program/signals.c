/* A handler rather than uv_signal, whose callback comes only when the loop runs: not while an update
 * computes on the loop's thread, nor before there is a loop, nor in a run that hangs, which a third
 * signal still ends. What it calls is vly_train_stop: a flag and an event on the run's loop. */
#include "cpu/program/signals.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "common/base/file.h"
#include "cpu/program/cli.h"

/* Written by handlers, on any thread. */
static atomic_int caught;
static atomic_llong first_ms, second_ms; /* when the first and the second came; 0: it has not */
static atomic_int saved_code;            /* of vly_cli_end_soon; -1: not called */
static void (*_Atomic stop_hook)(void *arg);
static void *_Atomic stop_arg;

int vly_cli_signal(void) {
    return atomic_load(&caught);
}

static bool has_room(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR | POLLNVAL));
}

/* A pipe that nobody reads is not waited for: the exit code is left. */
static void say_in_handler(const char *words) {
    if (has_room(STDERR_FILENO) && write(STDERR_FILENO, words, strlen(words)) < 0) return;
}

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void end_at_once(const char *lost) {
    const int code = atomic_load(&saved_code);
    vly_file_abandon();
    if (code < 0) {
        say_in_handler("volley: ended without saving: ");
        say_in_handler(lost);
    }
    _exit(code < 0 ? VLY_EXIT_FAILED : code);
}

static void note_signal(void *arg) {
    (void)arg;
    say_in_handler("volley: interrupted while it starts: it saves and ends once it has started; "
                   "another signal, a second from now, ends it at once\n");
}

static void on_repeated_signal(bool held) {
    const long long now = now_ms();
    long long none = 0;
    if (held) {
        if (now - atomic_load(&first_ms) >= 1000) end_at_once("the run had not started\n");
        return;
    }
    if (atomic_compare_exchange_strong(&second_ms, &none, now)) {
        if (atomic_load(&saved_code) < 0)
            say_in_handler("volley: it stops and saves after the current update; another signal, a "
                           "second from now, ends it unsaved\n");
    } else if (now - none >= 1000) {
        end_at_once("what was done since the last checkpoint is lost\n");
    }
}

static void on_signal(int signal) {
    const int kind = signal == SIGINT ? SIGINT : SIGTERM, error = errno;
    void (*stop)(void *arg) = atomic_load(&stop_hook);
    long long never = 0;
    int none = 0;
    if (!stop && !atomic_load(&caught)) {
        vly_file_abandon();
        say_in_handler("volley: interrupted\n");
        _exit(kind == SIGINT ? VLY_EXIT_INT : VLY_EXIT_TERM);
    }
    atomic_compare_exchange_strong(&first_ms, &never, now_ms());
    if (!atomic_compare_exchange_strong(&caught, &none, kind))
        on_repeated_signal(stop == note_signal);
    else if ((stop = atomic_load(&stop_hook))) /* it may be watched since */
        stop(atomic_load(&stop_arg));
    errno = error;
}

void vly_cli_watch_signals(void (*stop)(void *arg), void *arg) {
    if (stop) atomic_store(&stop_arg, arg);
    atomic_store(&stop_hook, stop);
    if (stop && atomic_load(&caught)) stop(arg); /* while it was held */
}

void vly_cli_hold_signals(void) {
    vly_cli_watch_signals(note_signal, NULL);
}

/* Output that is read goes on, however slowly. */
static void *end_when_unread(void *arg) {
    (void)arg;
    do sleep(1);
    while (has_room(STDOUT_FILENO) && has_room(STDERR_FILENO));
    syscall(SYS_exit_group, atomic_load(&saved_code)); /* thread sanitizer's _exit flushes */
    return NULL;
}

void vly_cli_end_soon(int code) {
    pthread_t thread;
    if (!vly_cli_signal()) return;
    atomic_store(&saved_code, code);
    if (pthread_create(&thread, NULL, end_when_unread, NULL) == 0) pthread_detach(thread);
}

/* By nohup, for all that it starts. */
static bool is_ignored(int signal) {
    struct sigaction now;
    return sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void vly_cli_install_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    atomic_store(&saved_code, -1);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGXCPU, &action, NULL); /* a soft limit of processor time, as batch systems set */
    if (!is_ignored(SIGHUP)) sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* `volley ls | head` */
    signal(SIGXFSZ, SIG_IGN); /* a file limit is an error like a full disk */
}
