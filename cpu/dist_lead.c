#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/config.h"
#include "common/tabular.h"
#include "cpu/dist_impl.h"
#include "cpu/train_impl.h"

enum { WORKERS_MAX = 1024, END_MS = 10000, LOST_MS = 30000 };

/* ---- the configuration, read alike by learner and actors ---- */

/* Choices of options.def, in their order. */
enum { UPDATE_AUTO, UPDATE_SYNC };
enum { SHARDING_NONE, SHARDING_TIME, SHARDING_STATE };
enum { MERGE_NONE, MERGE_MEAN, MERGE_MAX, MERGE_VISITS };
enum { TABLES_AUTO, TABLES_SHARE, TABLES_GOSSIP, TABLES_ALLREDUCE };

int vly_dist_workers(const vly_config *k) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const int workers = k->run.workers > 0 ? k->run.workers : processors > 1 ? (int)processors : 2;
    return workers < WORKERS_MAX ? workers : WORKERS_MAX;
}

vly_ps_policy vly_dist_policy(const vly_config *k) {
    const vly_ps_update update = k->dist.update == UPDATE_AUTO ? VLY_PS_ASYNC : (vly_ps_update)(k->dist.update - UPDATE_SYNC);
    return (vly_ps_policy){.update = update, .collect = k->dist.collect, .max_staleness = k->dist.max_staleness,
                           .weigh_staleness = k->dist.weigh_staleness, .local_steps = k->dist.local_steps, .adaptive = k->dist.adaptive,
                           .ttl_ms = (int)(1000 * k->dist.ttl_s)};
}

vly_tab_scheme vly_dist_tables(const vly_config *k) {
    switch (k->dist.tables) {
    case TABLES_SHARE: return VLY_TAB_SHARE;
    case TABLES_GOSSIP: return VLY_TAB_GOSSIP;
    case TABLES_ALLREDUCE: return VLY_TAB_ALLREDUCE;
    default: break;
    }
    if (k->run.sharding != SHARDING_NONE) return k->run.sharding == SHARDING_TIME ? VLY_TAB_SHARD_TIME : VLY_TAB_SHARD_STATE;
    switch (k->run.merge) {
    case MERGE_MAX: return VLY_TAB_MERGE_MAX;
    case MERGE_VISITS: return VLY_TAB_MERGE_VISITS;
    default: return VLY_TAB_MERGE_MEAN;
    }
}

/* ---- the learner ---- */

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void vly_dist_tell(vly_dist *d, const char *format, ...) {
    char text[512];
    va_list args;
    if (!d->say) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->say(d->arg, text);
}

/* ---- the store ---- */

static vly_status publish_config(vly_dist *d) {
    char *yaml = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&yaml, &bytes);
    if (!out) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
    vly_config_print(d->config, out);
    fclose(out);
    const vly_status status = vly_store_set(d->store, WIRE_CONFIG, yaml, bytes);
    free(yaml);
    return status;
}

/* A store of our own that died is started again, and told what only it knew. */
static vly_status mend_store(vly_dist *d) {
    bool restarted;
    if (!d->redis) return VLY_OK;
    VLY_TRY(vly_store_server_mend(d->redis, &restarted));
    if (!restarted) return VLY_OK;
    vly_dist_tell(d, "the run's Redis had died; it is back at %s", d->url);
    return publish_config(d);
}

/* ---- workers on this machine ---- */

/* The program itself; a test names it, for there it is another one. */
static void become_actor(const vly_dist *d, int rank, pid_t parent) {
    char number[16];
    const char *program = getenv("VOLLEY_PROGRAM");
    snprintf(number, sizeof number, "%d", rank);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    setpgid(0, 0); /* Ctrl-C is for the learner, which tells them */
    execl(program ? program : "/proc/self/exe", "volley", "actor", "--store", d->url, "--run", d->run, "--rank", number, "--quiet", (char *)NULL);
    _exit(127);
}

static vly_status start_worker(vly_dist *d, vly_dist_worker *w) {
    const pid_t parent = getpid();
    w->pid = fork();
    if (w->pid < 0) return vly_fail(VLY_EIO, "cannot start worker %d: %s", w->rank, strerror(errno));
    if (w->pid == 0) become_actor(d, w->rank, parent);
    w->since_ms = now_ms();
    return VLY_OK;
}

vly_status vly_dist_watch(vly_dist *d, bool may_end) {
    VLY_TRY(mend_store(d));
    for (int i = 0; i < d->worker_count; i++) {
        vly_dist_worker *w = &d->workers[i];
        int how;
        if (w->pid <= 0 || waitpid(w->pid, &how, WNOHANG) != w->pid) continue;
        w->pid = 0;
        if (WIFEXITED(how) && WEXITSTATUS(how) == 0 && may_end) continue;
        d->died++;
        if (WIFEXITED(how) && (WEXITSTATUS(how) == 127 || WEXITSTATUS(how) == 2) && w->restarts == 0)
            return vly_fail(VLY_EUNSUPPORTED, "worker %d cannot start (exit %d)", w->rank, WEXITSTATUS(how));
        if (d->restarts++ >= d->config->dist.restarts)
            return vly_fail(VLY_EUNSUPPORTED, "workers died %d times; the last was worker %d (%s %d); --dist.restarts allows more", d->restarts,
                            w->rank, WIFSIGNALED(how) ? "signal" : "exit", WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        vly_dist_tell(d, "worker %d died (%s %d), starting it again", w->rank, WIFSIGNALED(how) ? "signal" : "exit",
             WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        w->restarts++;
        VLY_TRY(start_worker(d, w));
    }
    return VLY_OK;
}

vly_status vly_dist_survive(vly_dist *d, vly_status status, int64_t *lost_ms) {
    if (status != VLY_EPEER || !d->redis) return status;
    if (*lost_ms == 0) *lost_ms = now_ms();
    if (now_ms() - *lost_ms > LOST_MS) return status;
    const vly_status mended = mend_store(d);
    return mended == VLY_EPEER ? VLY_OK : mended;
}

static void end_workers(vly_dist *d) {
    const int64_t deadline = now_ms() + END_MS;
    for (int i = 0; i < d->worker_count; i++) {
        vly_dist_worker *w = &d->workers[i];
        while (w->pid > 0 && waitpid(w->pid, NULL, WNOHANG) == 0 && now_ms() < deadline)
            nanosleep(&(struct timespec){0, 5000000}, NULL);
        if (w->pid > 0 && kill(w->pid, 0) == 0) {
            kill(w->pid, SIGKILL);
            waitpid(w->pid, NULL, 0);
        }
        w->pid = 0;
    }
}

vly_status vly_dist_beat(vly_dist *d, int64_t version) {
    char json[256];
    snprintf(json, sizeof json, "{\"role\":\"learner\",\"algo\":\"%.31s\",\"env\":\"%.63s\",\"version\":%lld,\"steps\":%lld,\"pid\":%d}",
             d->config->run.algo, d->config->run.env, (long long)version, (long long)d->t->counters.steps, (int)getpid());
    return vly_store_beat(d->store, "learner", json, (int)(1000 * d->config->dist.ttl_s));
}

vly_status vly_dist_start_fleet(vly_dist *d) {
    VLY_TRY(publish_config(d));
    VLY_TRY(vly_store_delete(d->store, "stop"));
    VLY_TRY(vly_dist_beat(d, 0));
    if (d->config->run.role != 0) {
        vly_dist_tell(d, "waiting for actors: volley actor --store %s --run %s", d->url, d->run);
        return VLY_OK;
    }
    d->worker_count = vly_dist_workers(d->config);
    d->workers = calloc((size_t)d->worker_count, sizeof *d->workers);
    if (!d->workers) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
    for (int i = 0; i < d->worker_count; i++) {
        d->workers[i].rank = i;
        VLY_TRY(start_worker(d, &d->workers[i]));
    }
    return VLY_OK;
}

void vly_dist_heard_episode(void *arg, double score) {
    vly_dist *d = arg;
    vly_train *t = d->t;
    const int64_t at = t->counters.episodes++ % RETURNS;
    const vly_episode episode = {.actor = -1, .length = 0, .score = score};
    t->returns[at] = score;
    t->lengths[at] = 0;
    if (t->o.on_episode) t->o.on_episode(t->o.arg, &episode, t->counters.steps);
}

static void add_metric(vly_metric *m, int *n, const char *name, double value) {
    snprintf(m[*n].name, sizeof m[*n].name, "%s", name);
    m[(*n)++].value = value;
}

vly_status vly_dist_led(vly_dist *d, int64_t steps, int64_t updates, const vly_metric *m, int n) {
    bool save;
    VLY_TRY(vly_train_led(d->t, steps, updates, m, n, &save));
    return save ? vly_train_save(d->t) : VLY_OK;
}

static vly_status serve_gradients(vly_dist *d, vly_ps_server *server) {
    vly_train *t = d->t;
    int64_t last = 0, lost = 0;
    while (t->stop == VLY_STOP_NONE) {
        const vly_status status = vly_ps_server_serve(server, VLY_DIST_SERVE_MS);
        VLY_TRY(vly_dist_survive(d, status, &lost));
        if (status != VLY_OK) continue;
        lost = 0;
        vly_train_mark(t, VLY_PHASE_LEARN);
        if (now_ms() - last < VLY_DIST_SERVE_MS) continue;
        last = now_ms();
        VLY_TRY(vly_dist_survive(d, vly_dist_watch(d, false), &lost));
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
        vly_ps_report r;
        vly_metric m[VLY_METRICS_MAX];
        int n = 0;
        vly_ps_server_report(server, &r);
        if (now_ms() - d->told_ms > 500) {
            VLY_TRY(vly_dist_survive(d, vly_dist_beat(d, r.version), &lost));
            d->told_ms = now_ms();
        }
        add_metric(m, &n, "dist/staleness_mean", r.staleness_mean);
        add_metric(m, &n, "dist/staleness_max", r.staleness_max);
        add_metric(m, &n, "dist/gradients", (double)r.gradients);
        add_metric(m, &n, "dist/dropped_stale", (double)r.dropped_stale);
        add_metric(m, &n, "dist/lost", (double)r.lost);
        add_metric(m, &n, "dist/workers", r.workers);
        add_metric(m, &n, "dist/restarts", d->restarts);
        VLY_TRY(vly_dist_led(d, r.steps, r.version, m, n));
        vly_train_mark(t, VLY_PHASE_OTHER);
    }
    return vly_dist_survive(d, vly_ps_server_stop(server), &lost);
}

static vly_status lead_gradients(vly_dist *d) {
    vly_train *t = d->t;
    vly_ps_server *server;
    const vly_ps_policy policy = vly_dist_policy(d->config);
    if (!t->algo->arena)
        return vly_fail(VLY_EUNSUPPORTED, "%s has no gradients for a parameter server; use a3c, a2c, ppo, dqn or gorila", d->config->run.algo);
    VLY_TRY(vly_ps_server_create(&server, d->store, t->c, t->learn, &policy, t->algo->optimizer, t->algo->arena, t->counters.updates, t->counters.steps));
    vly_ps_server_on_episode(server, vly_dist_heard_episode, d);
    vly_status status = vly_dist_start_fleet(d);
    if (status == VLY_OK) status = serve_gradients(d, server);
    if (status != VLY_OK) {
        char words[512];
        snprintf(words, sizeof words, "%s", vly_error_text());
        vly_ps_server_stop(server);
        vly_fail(status, "%s", words);
    }
    vly_ps_server_destroy(server);
    return status;
}

/* ---- tables ---- */

static vly_buffer *find_buffer(vly_buffer *list, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    return NULL;
}

/* Over the pairs that anybody has met: the error of a state that no policy reaches says nothing. */
static double error_of(const vly_dist *d, const vly_real *table, const uint32_t *visits, size_t cells, double *largest) {
    double sum = 0;
    size_t n = 0;
    *largest = 0;
    for (size_t i = 0; i < cells; i++) {
        if (visits[i] == 0) continue;
        const double e = fabs((double)table[i] - d->optimum[i]);
        sum += e * e, n++;
        if (e > *largest) *largest = e;
    }
    return n ? sqrt(sum / (double)n) : NAN;
}

static vly_status serve_tables(vly_dist *d, vly_tab_hub *hub, vly_real *table, uint32_t *visits, size_t cells) {
    vly_train *t = d->t;
    int64_t last = 0, episodes = 0, lost = 0;
    bool over = false;
    while (t->stop == VLY_STOP_NONE && !over) {
        const vly_status status = vly_tab_hub_serve(hub, VLY_DIST_SERVE_MS);
        VLY_TRY(vly_dist_survive(d, status, &lost));
        if (status != VLY_OK) continue;
        lost = 0;
        if (now_ms() - last < 5 * VLY_DIST_SERVE_MS) continue;
        last = now_ms();
        VLY_TRY(vly_dist_survive(d, vly_dist_watch(d, true), &lost));
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
        vly_tab_report r;
        vly_metric m[VLY_METRICS_MAX];
        int n = 0;
        VLY_TRY(vly_tab_hub_table(hub, table, visits));
        vly_tab_hub_report(hub, &r);
        VLY_TRY(vly_dist_survive(d, vly_dist_beat(d, r.merges), &lost));
        for (; episodes < r.episodes && !isnan(r.return_mean_100); episodes++) vly_dist_heard_episode(d, r.return_mean_100);
        if (d->optimum) {
            double largest;
            add_metric(m, &n, "tabular/error_rms", error_of(d, table, visits, cells, &largest));
            add_metric(m, &n, "tabular/error_max", largest);
        }
        add_metric(m, &n, "dist/bytes", (double)(r.sent_bytes + r.received_bytes));
        add_metric(m, &n, "dist/transitions_shared", (double)r.transitions_shared);
        add_metric(m, &n, "dist/merges", (double)r.merges);
        add_metric(m, &n, "dist/workers", r.workers);
        over = d->worker_count > 0 && r.finished == d->worker_count;
        VLY_TRY(vly_dist_led(d, r.steps, r.merges, m, n));
    }
    if (t->stop == VLY_STOP_NONE) t->stop = VLY_STOP_BUDGET;
    return vly_tab_hub_stop(hub);
}

static vly_status lead_tables(vly_dist *d) {
    vly_train *t = d->t;
    vly_buffer list[64];
    vly_tab_hub *hub;
    const int n = vly_train_buffers(t, list, 64);
    const vly_buffer *q = find_buffer(list, n, "table.q"), *visits = find_buffer(list, n, "table.visits");
    if (!q || !visits) return vly_fail(VLY_EINVAL, "%s has no table", d->config->run.algo);
    const int states = (int)q->shape[0], actions = (int)q->shape[1];
    const size_t cells = (size_t)states * (size_t)actions;
    if (t->o.env->model && t->o.env->states == states) {
        d->optimum = malloc(cells * sizeof *d->optimum);
        if (!d->optimum) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
        VLY_TRY(vly_tabular_solve(t->o.env, (double)d->config->tabular.gamma, d->optimum));
    }
    VLY_TRY(vly_tab_hub_create(&hub, d->store, vly_dist_tables(d->config), vly_dist_workers(d->config), states, actions));
    vly_status status = vly_dist_start_fleet(d);
    if (status == VLY_OK) status = serve_tables(d, hub, q->data, visits->data, cells);
    if (status == VLY_OK) {
        end_workers(d); /* their last words count */
        status = vly_tab_hub_table(hub, q->data, visits->data);
    }
    vly_tab_hub_destroy(hub);
    return status;
}

/* ---- life ---- */

/* What may stand in a key of the store: the folder's last part. */
static void name_run(vly_dist *d) {
    const char *slash = strrchr(d->folder, '/');
    snprintf(d->run, sizeof d->run, "%.96s", slash && slash[1] ? slash + 1 : d->folder);
    for (char *c = d->run; *c; c++)
        if (strchr("{} \r\n/", *c)) *c = '_';
}

static vly_status connect_store(vly_dist *d) {
    name_run(d);
    if (d->config->run.store[0]) {
        snprintf(d->url, sizeof d->url, "%s", d->config->run.store);
    } else {
        char redis[1400];
        snprintf(redis, sizeof redis, "%s/redis", d->folder);
        VLY_TRY(vly_store_server_start(&d->redis, redis, vly_dist_kind_of(d->config) == VLY_DIST_TABULAR));
        snprintf(d->url, sizeof d->url, "%s", vly_store_server_url(d->redis));
    }
    const vly_store_options own = {.retry_ms = VLY_DIST_OWN_RETRY_MS}; /* a Redis of our own is mended, not waited for */
    VLY_TRY(vly_store_open(&d->store, d->url, d->run, d->redis ? &own : NULL));
    vly_dist_tell(d, "store %s, run %s: more workers join with   volley actor --store %s --run %s", d->url, d->run, d->url, d->run);
    return VLY_OK;
}

static vly_status lead(vly_dist *d) { return vly_dist_kind_of(d->config) == VLY_DIST_TABULAR ? lead_tables(d) : lead_gradients(d); }

vly_status vly_dist_lead(void *dist, vly_train *t) {
    vly_dist *d = dist;
    d->t = t;
    VLY_TRY(connect_store(d));
    const vly_status status = lead(d);
    end_workers(d);
    return status;
}

vly_status vly_dist_create(vly_dist **out, const vly_config *config, const char *folder, void (*say)(void *arg, const char *text), void *arg) {
    vly_dist *d = calloc(1, sizeof *d);
    if (!d) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
    d->config = config, d->folder = folder, d->say = say, d->arg = arg;
    *out = d;
    return VLY_OK;
}

void vly_dist_destroy(vly_dist *d) {
    if (!d) return;
    end_workers(d);
    vly_store_close(d->store);
    vly_store_server_stop(d->redis);
    free(d->workers);
    free(d->optimum);
    free(d);
}
