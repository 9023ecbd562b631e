#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cpu/fleet/leader_impl.h"

enum { END_MS = 10000 };

/* VOLLEY_PROGRAM replaces the program itself in tests. */
static void become_actor(const vly_leader *l, int rank, pid_t parent) {
    char number[16];
    const char *program = getenv("VOLLEY_PROGRAM");
    snprintf(number, sizeof number, "%d", rank);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    setpgid(0, 0);                     /* Ctrl-C is for the learner, which ends its workers */
    setenv("VOLLEY_STORE", l->url, 1); /* not an argument: it may hold a password */
    execl(program ? program : "/proc/self/exe", "volley", "actor", "--run", l->run, "--rank",
          number, "--quiet", (char *)NULL);
    _exit(127);
}

vly_status vly_leader_start_worker(vly_leader *l, vly_leader_worker *w) {
    const pid_t parent = getpid();
    w->pid = fork();
    if (w->pid < 0)
        return vly_fail(VLY_EIO, "cannot start worker %d: %s", w->rank, strerror(errno));
    if (w->pid == 0) become_actor(l, w->rank, parent);
    w->since_ms = vly_now_ms();
    return VLY_OK;
}

vly_status vly_leader_watch(vly_leader *l, bool may_end) {
    VLY_TRY(vly_leader_restart_store(l));
    for (int i = 0; i < l->worker_count; i++) {
        vly_leader_worker *w = &l->workers[i];
        int how;
        if (w->pid <= 0 || waitpid(w->pid, &how, WNOHANG) != w->pid) continue;
        w->pid = 0;
        if (WIFEXITED(how) && WEXITSTATUS(how) == 0 && may_end) continue;
        if (WIFEXITED(how) && WEXITSTATUS(how) == 0) { /* it saw the end of the run; a new
                                                          one will see it too */
            VLY_TRY(vly_leader_start_worker(l, w));
            continue;
        }
        if (WIFEXITED(how) && (WEXITSTATUS(how) == 127 || WEXITSTATUS(how) == 2) &&
            w->restarts == 0)
            return vly_fail(VLY_EUNSUPPORTED, "worker %d cannot start (exit %d)", w->rank,
                            WEXITSTATUS(how));
        if (l->restarts++ >= l->config->dist.restarts)
            return vly_fail(VLY_EUNSUPPORTED,
                            "workers died %d times; the last was worker %d (%s %d); "
                            "--dist.restarts allows more",
                            l->restarts, w->rank, WIFSIGNALED(how) ? "signal" : "exit",
                            WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        vly_leader_say(l, "worker %d died (%s %d), starting it again", w->rank,
                       WIFSIGNALED(how) ? "signal" : "exit",
                       WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        w->restarts++;
        VLY_TRY(vly_leader_start_worker(l, w));
    }
    return VLY_OK;
}

void vly_leader_end_workers(vly_leader *l) {
    const int64_t deadline = vly_now_ms() + END_MS;
    for (int i = 0; i < l->worker_count; i++) {
        vly_leader_worker *w = &l->workers[i];
        while (w->pid > 0 && waitpid(w->pid, NULL, WNOHANG) == 0 && vly_now_ms() < deadline)
            nanosleep(&(struct timespec){0, 5000000}, NULL);
        if (w->pid > 0 && kill(w->pid, 0) == 0) {
            kill(w->pid, SIGKILL);
            waitpid(w->pid, NULL, 0);
        }
        w->pid = 0;
    }
}
