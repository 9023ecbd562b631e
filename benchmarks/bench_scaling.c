/* bench_scaling.c -- whole updates on several GPUs, one process each; on several processes of one
 * thread each where there is no GPU. VLY_BENCH_DEVICE=cpu or cuda in the environment chooses.
 *
 *   weak/N     N ranks, each with the batch that one has alone
 *   strong/N   N ranks share that batch
 *
 * samples/s over all ranks of forward pass, backward pass with the gradient's mean over the ranks
 * beside it, gradient norm, Adam and repacking, captured where the device captures. Beside it:
 * `efficiency`, samples/s over N times those of one rank (strong: the same, the work being shared);
 * `allreduce_us` of the whole gradient alone; `hash` of the weights after the last update and
 * `equal`, whether all ranks have that one. Ranks start from the same weights with different data.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "benchmarks/host_sync.h"
#include "common/record/bench.h"
#include "common/base/clock.h"
#include "common/base/compute_open.h"
#include "common/learn/net.h"
#include "common/sync/nccl_open.h"
#include "common/base/philox.h"
#include "cpu/ops/compute_cpu.h"

enum { RANKS_MAX = 64, SAMPLES_MOST = 16, ROUNDS = 20 };

typedef struct {
    int ranks, batch, samples; /* batch: of one rank */
    double seconds;
    bool gpu;
    vly_net_desc net;
    vly_host_meeting *meeting;
} job;

typedef struct { /* of one rank */
    double rate[SAMPLES_MOST], allreduce_us;
    uint64_t hash;
    int32_t equal, samples;
} outcome;

typedef struct {
    const job *j;
    vly_crew *crew;
    vly_compute *c;
    vly_queue *q;
    vly_sync *sync;
    vly_nccl_destroy_fn end_nccl;
    vly_net *net;
    vly_exec *exec;
    vly_params p;
    vly_hyper *hyper;
    vly_real *norm, *stats;
    uint64_t *hash;
    vly_graph *graph;
    int64_t early;
} rank_state;

/* ---- a rank ---- */

static vly_status open_rank(rank_state *s, int rank) {
    const job *j = s->j;
    if (!j->gpu) {
        VLY_TRY(vly_compute_create_cpu(&s->c, 1));
    } else {
        VLY_TRY(vly_cuda_open(&s->c, rank, 1));
        const vly_nccl_create_fn create =
            (vly_nccl_create_fn)vly_cuda_symbol(VLY_NCCL_CREATE_SYMBOL);
        s->end_nccl = (vly_nccl_destroy_fn)vly_cuda_symbol(VLY_NCCL_DESTROY_SYMBOL);
        if (!create || !s->end_nccl) return VLY_ENOTFOUND;
        VLY_TRY(create(&s->sync,
                       &(vly_nccl_options){.compute = s->c, .crew = s->crew, .deadline_s = 120}));
    }
    VLY_TRY(s->c->queue_create(s->c, VLY_QUEUE_LEARN, &s->q));
    VLY_TRY(vly_net_create(&s->net, &j->net));
    return j->gpu
               ? VLY_OK
               : vly_host_sync_create(&s->sync, j->meeting, rank, j->ranks, vly_net_params(s->net));
}

static vly_status take(rank_state *s, size_t bytes, const void *host, void *out) {
    void **to = out;
    VLY_TRY(s->c->alloc(s->c, bytes, "a benchmark", NULL, to));
    if (host) VLY_TRY(s->c->upload(s->q, *to, host, bytes));
    return s->c->queue_sync(s->q);
}

static vly_status fill_weights(rank_state *s) {
    const size_t n = (size_t)(s->p.n = vly_net_params(s->net));
    const vly_hyper hyper = {.lr = 1e-4f, .max_grad_norm = 0.5f};
    vly_real *host = calloc(n, sizeof *host);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    vly_status status = vly_net_init(s->net, 1, host);
    if (status == VLY_OK) status = take(s, n * sizeof *host, host, &s->p.param);
    free(host);
    VLY_TRY(status);
    VLY_TRY(take(s, n * sizeof(vly_real), NULL, &s->p.grad));
    VLY_TRY(take(s, n * sizeof(vly_real), NULL, &s->p.m));
    VLY_TRY(take(s, n * sizeof(vly_real), NULL, &s->p.v));
    VLY_TRY(take(s, 8, NULL, &s->p.step));
    VLY_TRY(take(s, 2 * sizeof(vly_real), NULL, &s->norm));
    VLY_TRY(take(s, VLY_STATS * sizeof(vly_real), NULL, &s->stats));
    VLY_TRY(take(s, 8, NULL, &s->hash));
    return take(s, sizeof hyper, &hyper, &s->hyper);
}

static float number(int rank, size_t i) {
    return 2 * vly_unit(vly_philox(9, VLY_STREAM_TEST, (uint64_t)rank, (uint32_t)i).v[0]) - 1;
}

static vly_status fill_input(rank_state *s) {
    const vly_obs_spec *obs = &s->j->net.obs;
    const size_t n = (size_t)s->j->batch * obs->bytes * (size_t)obs->stack,
                 most = n > (size_t)s->j->batch * 4 * 18 ? n : (size_t)s->j->batch * 4 * 18;
    uint8_t *host = malloc(most);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    for (size_t i = 0; i < n; i++) host[i] = (uint8_t)(128 + 120 * number(s->sync->rank, i));
    vly_status status = s->c->upload(s->q, s->exec->x, host, n);
    if (status == VLY_OK) status = s->c->queue_sync(s->q);
    free(host);
    return status;
}

/* The loss is not what is measured: the outputs themselves serve as their gradients (of half their
 * squares). */
static vly_status update(vly_queue *q, void *arg) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    rank_state *s = arg;
    const int n = s->j->batch;
    VLY_TRY(vly_exec_forward(s->exec, q, n, s->p.param));
    VLY_TRY(s->c->copy(q, s->exec->dlogits, s->exec->logits,
                       (size_t)(n * s->j->net.actions) * sizeof(vly_real)));
    VLY_TRY(s->c->copy(q, s->exec->dvalue, s->exec->value, (size_t)n * sizeof(vly_real)));
    s->early = 0;
    VLY_TRY(vly_exec_backward(s->exec, q, n, s->p.param, s->p.grad));
    VLY_TRY(s->sync->gradients->reduce(s->sync, q, s->p.grad, s->early > 0 ? s->early : s->p.n));
    VLY_TRY(s->c->grad_norm(q, s->p.n, s->p.grad, s->norm));
    VLY_TRY(s->c->optimize(q, &adam, &s->p, s->norm, s->hyper, s->stats));
    return vly_exec_prepare(s->exec, q, s->p.param);
}

static vly_status ahead(void *arg, vly_queue *q, vly_real *grad, int64_t from) {
    rank_state *s = arg;
    s->early = from;
    return s->sync->gradients->reduce_early(s->sync, q, grad + from, s->p.n - from);
}

static vly_status updates(rank_state *s, int rounds) {
    for (int i = 0; i < rounds; i++) {
        if (s->sync->gradients->capturable)
            VLY_TRY(s->c->graph_run(s->q, &s->graph, update, s));
        else
            VLY_TRY(update(s->q, s));
    }
    const vly_status status = s->c->queue_sync(s->q);
    return s->sync->gradients->check ? s->sync->gradients->check(s->sync) : status;
}

/* All ranks make as many updates, or they would wait for each other: rank 0's clock decides. */
static vly_status sample(rank_state *s, double *rate) {
    const double start = vly_now_s();
    double passed, all[RANKS_MAX];
    int64_t done = 0;
    do {
        VLY_TRY(updates(s, s->j->gpu ? ROUNDS : 1));
        done += s->j->gpu ? ROUNDS : 1;
        const double mine = vly_now_s() - start;
        VLY_TRY(vly_crew_exchange(s->crew, &mine, sizeof mine, all, 120));
        passed = all[0];
    } while (passed < s->j->seconds);
    *rate = (double)done * s->j->batch * s->j->ranks / passed;
    return VLY_OK;
}

static vly_status time_allreduce(rank_state *s, double *us) {
    VLY_TRY(s->sync->gradients->reduce(s->sync, s->q, s->p.grad, s->p.n));
    VLY_TRY(s->c->queue_sync(s->q));
    const double start = vly_now_s();
    for (int i = 0; i < ROUNDS; i++)
        VLY_TRY(s->sync->gradients->reduce(s->sync, s->q, s->p.grad, s->p.n));
    VLY_TRY(s->c->queue_sync(s->q));
    *us = 1e6 * (vly_now_s() - start) / ROUNDS;
    return s->sync->gradients->check ? s->sync->gradients->check(s->sync) : VLY_OK;
}

static vly_status compare_weights(rank_state *s, outcome *o) {
    uint64_t all[RANKS_MAX];
    VLY_TRY(s->c->fingerprint(s->q, s->p.n, s->p.param, s->hash));
    VLY_TRY(s->c->download(s->q, &o->hash, s->hash, sizeof o->hash));
    VLY_TRY(s->c->queue_sync(s->q));
    VLY_TRY(vly_crew_exchange(s->crew, &o->hash, sizeof o->hash, all, 120));
    o->equal = 1;
    for (int i = 1; i < s->j->ranks; i++) o->equal = o->equal && all[i] == all[0];
    return VLY_OK;
}

static vly_status measure_rank(rank_state *s, int rank, outcome *o) {
    VLY_TRY(open_rank(s, rank));
    VLY_TRY(vly_exec_create(&s->exec, s->c, s->net, s->j->batch, true, "the benchmark"));
    if (s->sync->gradients->reduce_early) vly_exec_on_gradient(s->exec, ahead, s);
    VLY_TRY(fill_weights(s));
    VLY_TRY(fill_input(s));
    VLY_TRY(vly_exec_prepare(s->exec, s->q, s->p.param));
    double ignored;
    VLY_TRY(sample(s, &ignored));
    o->samples = s->j->samples;
    for (int i = 0; i < s->j->samples; i++) VLY_TRY(sample(s, &o->rate[i]));
    VLY_TRY(compare_weights(s, o));
    return time_allreduce(s, &o->allreduce_us);
}

static void close_rank(rank_state *s, bool failed) {
    void *const owned[] = {s->p.param, s->p.grad, s->p.m,   s->p.v, s->p.step,
                           s->hyper,   s->norm,   s->stats, s->hash};
    if (s->graph) s->c->graph_destroy(s->graph);
    if (s->end_nccl && s->sync)
        s->end_nccl(s->sync, failed);
    else if (s->sync)
        vly_host_sync_destroy(s->sync);
    vly_exec_destroy(s->exec);
    vly_net_destroy(s->net);
    for (size_t i = 0; s->c && i < sizeof owned / sizeof *owned; i++) s->c->free(s->c, owned[i]);
    if (s->q) s->c->queue_destroy(s->q);
    if (s->c) s->c->destroy(s->c);
}

/* The life of a rank's process; rank 0 sends what came of it, or its words, through the pipe. */
static int live(const job *j, int rank, int port, int listener, int pipe) {
    rank_state s = {.j = j};
    outcome o = {.hash = 0};
    const vly_crew_options options = {.rank = rank,
                                      .world = j->ranks,
                                      .host = "127.0.0.1",
                                      .port = port,
                                      .listener = rank ? 0 : listener,
                                      .token = "bench"};
    vly_status status = vly_crew_open(&s.crew, &options);
    if (status == VLY_OK) status = measure_rank(&s, rank, &o);
    char words[512];
    snprintf(words, sizeof words, "%s", vly_error_text());
    if (rank == 0) {
        const char *from = status == VLY_OK ? (const char *)&o : words;
        const size_t bytes = status == VLY_OK ? sizeof o : strlen(words);
        if (write(pipe, &status, sizeof status) < 0 || write(pipe, from, bytes) < 0)
            status = VLY_EIO;
    }
    close_rank(&s, status != VLY_OK);
    vly_crew_close(s.crew, status == VLY_OK ? NULL : words);
    return status == VLY_OK ? 0 : 1;
}

/* ---- the ranks of one measurement ---- */

static size_t read_all(int pipe, void *to, size_t bytes) {
    size_t have = 0;
    for (ssize_t got; have < bytes && (got = read(pipe, (char *)to + have, bytes - have)) > 0;)
        have += (size_t)got;
    return have;
}

static vly_status hear(int pipe, outcome *o) {
    vly_status status;
    char words[512] = "";
    if (read_all(pipe, &status, sizeof status) != sizeof status)
        return vly_fail(VLY_EPEER, "rank 0 ended without a result");
    if (status == VLY_OK)
        return read_all(pipe, o, sizeof *o) == sizeof *o
                   ? VLY_OK
                   : vly_fail(VLY_EPEER, "rank 0 ended in the middle of its result");
    read_all(pipe, words, sizeof words - 1);
    return vly_fail(status, "%s", words);
}

/* No device has been opened in this process: the ranks are forked clean. */
static vly_status run_ranks(const job *j, outcome *o) {
    int port = 0, listener, ends[2];
    pid_t child[RANKS_MAX];
    VLY_TRY(vly_crew_listen(NULL, &port, &listener));
    if (pipe(ends) != 0) return close(listener), vly_fail(VLY_EIO, "no pipe");
    for (int rank = 0; rank < j->ranks; rank++) {
        child[rank] = fork();
        if (child[rank] != 0) continue;
        close(ends[0]);
        if (rank) close(listener);
        _exit(live(j, rank, port, listener, ends[1]));
    }
    close(listener);
    close(ends[1]);
    const vly_status status = hear(ends[0], o);
    close(ends[0]);
    for (int rank = 0; rank < j->ranks; rank++)
        if (child[rank] > 0) waitpid(child[rank], NULL, 0);
    return status;
}

/* ---- the suite ---- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static vly_status measure(const vly_bench_options *options, job j, bool weak, double *one) {
    vly_bench_result r = {.unit = "samples/s"};
    outcome o;
    snprintf(r.name, sizeof r.name, "%s/%d", weak ? "weak" : "strong", j.ranks);
    if (!vly_bench_wanted(options, r.name)) return VLY_OK;
    if (!weak) j.batch = j.batch / j.ranks > 0 ? j.batch / j.ranks : 1;
    vly_net *net;
    VLY_TRY(vly_net_create(&net, &j.net));
    const int64_t numbers = vly_net_params(net);
    vly_net_destroy(net);
    if (!j.gpu) j.meeting = vly_host_meeting_create(j.ranks, numbers);
    const vly_status status = run_ranks(&j, &o);
    vly_host_meeting_destroy(j.meeting, j.ranks, numbers);
    VLY_TRY(status);
    qsort(o.rate, (size_t)o.samples, sizeof *o.rate, ascending);
    r.samples = o.samples, r.min = o.rate[0], r.max = o.rate[o.samples - 1],
    r.median = o.rate[o.samples / 2];
    if (j.ranks == 1) *one = r.median;
    char efficiency[32] = "null"; /* without a measurement of one rank there is none */
    if (*one > 0) snprintf(efficiency, sizeof efficiency, "%.3f", r.median / (*one * j.ranks));
    snprintf(r.params, sizeof r.params,
             "\"ranks\": %d, \"device\": \"%s\", \"batch_per_rank\": %d, \"parameters\": %lld, "
             "\"efficiency\": %s, \"allreduce_us\": %.1f, "
             "\"hash\": \"%016llx\", \"equal\": %s",
             j.ranks, j.gpu ? "cuda" : "cpu", j.batch, (long long)numbers, efficiency,
             o.allreduce_us, (unsigned long long)o.hash, o.equal ? "true" : "false");
    if (options->report) options->report(options->arg, &r);
    return o.equal ? VLY_OK : vly_fail(VLY_EPEER, "%s: the ranks' weights are not equal", r.name);
}

/* In a process of its own: this one stays without a device. */
static int count_gpus(void) {
    const char *device = getenv("VLY_BENCH_DEVICE");
    int how = 0;
    if (device && !strncmp(device, "cpu", 3)) return 0;
    const pid_t child = fork();
    if (child == 0) {
        vly_cuda_info info;
        vly_cuda_describe(&info);
        _exit(info.devices < RANKS_MAX ? info.devices : RANKS_MAX);
    }
    return child > 0 && waitpid(child, &how, 0) == child && WIFEXITED(how) ? WEXITSTATUS(how) : 0;
}

static vly_status next_count(const char **list, int gpus, int *ranks) {
    char *end;
    const long n = strtol(*list, &end, 10);
    if (end == *list || (*end && *end != ',') || n < 1 || n > RANKS_MAX)
        return vly_fail(VLY_EINVAL, "--gpus %s: expected numbers such as 1,2,4, each at most %d",
                        *list, RANKS_MAX);
    if (gpus > 0 && n > gpus)
        return vly_fail(VLY_EINVAL, "--gpus %ld: this machine has %d", n, gpus);
    *list = *end ? end + 1 : end;
    *ranks = (int)n;
    return VLY_OK;
}

vly_status vly_bench_scaling(const vly_bench_options *options) {
    static const vly_net_desc nature = {.kind = VLY_NET_NATURE,
                                        .obs = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84},
                                        .actions = 6,
                                        .bf16 = true},
                              minatar = {.kind = VLY_NET_MINATAR,
                                         .obs = {VLY_U8, 3, {10, 10, 4}, 1, 1, 400},
                                         .actions = 6};
    const int gpus = count_gpus();
    const bool shim = getenv("VLY_SHIM_DEVICES") != NULL; /* a rehearsal: it is correct, not fast */
    job j = {.gpu = gpus > 0,
             .net = gpus > 0 && !shim ? nature : minatar,
             .batch = shim       ? 2
                      : gpus > 0 ? 8192
                                 : 256,
             .seconds = options->seconds > 0 ? options->seconds : 0.5,
             .samples = options->samples > 0 ? options->samples : 5};
    if (j.samples > SAMPLES_MOST) j.samples = SAMPLES_MOST;
    for (const char *list = options->gpus ? options->gpus : "1,2"; *list;)
        VLY_TRY(next_count(&list, gpus, &j.ranks)); /* before minutes pass */
    for (int weak = 1; weak >= 0; weak--) {
        double one = 0;
        for (const char *list = options->gpus ? options->gpus : "1,2"; *list;) {
            VLY_TRY(next_count(&list, gpus, &j.ranks));
            VLY_TRY(measure(options, j, weak, &one));
        }
    }
    return VLY_OK;
}
