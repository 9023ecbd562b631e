/* Workers on this machine. fork and exec rather than uv_spawn, which has no place for what a worker
 * does in between: it asks the kernel to be killed when the leader dies, however that happens. Their
 * ends are seen at the next report. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/program.h"
#include "cpu/fleet/leader_impl.h"

enum { END_MS = 10000 };

static void become_actor(const vly_leader *l, int rank, pid_t parent) {
    char number[16];
    char program[4096];
    snprintf(number, sizeof number, "%d", rank);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    /* Ctrl-C must reach only the leader, which ends its workers */
    setpgid(0, 0);
    setenv("VOLLEY_STORE", l->url, 1); /* not an argument: it may hold a password */
    vly_signals_pass();
    execl(vly_program(program, sizeof program), "volley", "actor", "--run", l->run, "--rank",
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

/* `how`: its status from waitpid. */
static vly_status replace_dead_worker(vly_leader *l, vly_leader_worker *w, int how) {
    const char *kind = WIFSIGNALED(how) ? "signal" : "exit";
    const int code = WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how);
    if (WIFEXITED(how) && (code == 127 || code == 2) && w->restarts == 0)
        return vly_fail(VLY_EIO, "worker %d cannot start (exit %d)", w->rank, code);
    if (l->restarts++ >= l->config->dist.restarts)
        return vly_fail(VLY_EIO,
                        "workers died %d times; the last was worker %d (%s %d); "
                        "--dist.restarts allows more",
                        l->restarts, w->rank, kind, code);
    vly_leader_say(l, "worker %d died (%s %d), starting it again", w->rank, kind, code);
    w->restarts++;
    return vly_leader_start_worker(l, w);
}

vly_status vly_leader_watch(vly_leader *l, bool may_end) {
    VLY_TRY(vly_leader_restart_store(l));
    for (int i = 0; i < l->worker_count; i++) {
        vly_leader_worker *w = &l->workers[i];
        int how;
        if (w->pid <= 0 || waitpid(w->pid, &how, WNOHANG) != w->pid) continue;
        w->pid = 0;
        const bool done = WIFEXITED(how) && WEXITSTATUS(how) == 0;
        if (done && may_end) continue;
        /* A worker that exits with 0 has read the end of the run; if the run has ended, its
         * successor reads it too. */
        if (done)
            VLY_TRY(vly_leader_start_worker(l, w));
        else
            VLY_TRY(replace_dead_worker(l, w, how));
    }
    return VLY_OK;
}

void vly_leader_end_workers(vly_leader *l) {
    const int64_t deadline = vly_now_ms() + END_MS;
    for (int i = 0; i < l->worker_count; i++) {
        vly_leader_worker *w = &l->workers[i];
        while (w->pid > 0 && waitpid(w->pid, NULL, WNOHANG) == 0 && vly_now_ms() < deadline)
            (void)vly_lead_await(l->t, -1, false, 5);
        if (w->pid > 0 && kill(w->pid, 0) == 0) {
            kill(w->pid, SIGKILL);
            waitpid(w->pid, NULL, 0);
        }
        w->pid = 0;
    }
}
