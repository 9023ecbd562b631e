/* Ranks as processes, a device each: one gradient of all, weights that stay equal, and no waiting
 * for the dead. With the shim NCCL is tests/gpu/nccl/fake_nccl.c; on devices the real one, with as
 * many ranks as there are devices, at most two. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/learn/net.h"
#include "common/sync/nccl_open.h"
#include "tests/kit/built.h"
#include "tests/gpu/parity.h"
#ifdef VLY_TEST_SHIM
#include "gpu/nccl.h"
#endif

enum { BATCH = 24, WORLD_MAX = 2, ROUNDS = 3 };

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_crew *crew;
    vly_sync *sync;
    vly_net *net;
    vly_exec *exec;
    vly_params p;
    int64_t early; /* gradients from here on went ahead */
    int rank, world, rows;
    vly_graph *graph;
} learner;

static int world;

static vly_compute *open_device(int rank) {
    vly_compute *c;
#ifdef VLY_TEST_SHIM
    CHECK_OK(vly_compute_create_cuda(&c, rank, 1));
#else
    CHECK_OK(vly_cuda_open(&c, rank, 1));
#endif
    return c;
}

static vly_status open_sync(learner *l, const vly_nccl_options *o) {
#ifdef VLY_TEST_SHIM
    return vly_nccl_sync_create(&l->sync, o);
#else
    return ((vly_nccl_create_fn)vly_cuda_symbol(VLY_NCCL_CREATE_SYMBOL))(&l->sync, o);
#endif
}

static void close_sync(learner *l, bool failed) {
#ifdef VLY_TEST_SHIM
    vly_nccl_sync_destroy(l->sync, failed);
#else
    ((vly_nccl_destroy_fn)vly_cuda_symbol(VLY_NCCL_DESTROY_SYMBOL))(l->sync, failed);
#endif
}

static float number(uint32_t what, size_t i) {
    return 2 * vly_unit(vly_philox(3, VLY_STREAM_TEST, what, (uint32_t)i).v[0]) - 1;
}

static void *device_array(learner *l, const float *host, size_t n) {
    void *out;
    CHECK_OK(l->c->alloc(l->c, n * 4, "a test", NULL, &out));
    if (host) CHECK_OK(l->c->upload(l->q, out, host, n * 4));
    CHECK_OK(l->c->queue_sync(l->q));
    return out;
}

static vly_status ahead(void *arg, vly_queue *q, vly_real *grad, int64_t from) {
    learner *l = arg;
    l->early = from;
    return l->sync->gradients->reduce_early(l->sync, q, grad + from, l->p.n - from);
}

/* A small convolutional network, so that there are two parts; this rank's share of the batch as its
 * input. */
static void open_network(learner *l) {
    const vly_net_desc d = {.kind = VLY_NET_MINATAR,
                            .obs = {VLY_U8, 3, {10, 10, 4}, 1, 1, 400},
                            .actions = 6,
                            .hidden = {32}};
    CHECK_OK(vly_net_create(&l->net, &d));
    l->rows = BATCH / l->world;
    CHECK_OK(vly_exec_create(&l->exec, l->c, l->net, l->rows, true, "a test"));
    l->p.n = vly_net_params(l->net);
    float *host = calloc((size_t)l->p.n, 4);
    CHECK_OK(vly_net_init(l->net, 5, host));
    l->p.param = device_array(l, host, (size_t)l->p.n);
    l->p.grad = device_array(l, NULL, (size_t)l->p.n);
    free(host);
    CHECK_OK(vly_exec_prepare(l->exec, l->q, l->p.param));
    uint8_t input[BATCH * 400];
    for (size_t i = 0; i < sizeof input; i++) input[i] = number(1, i) > 0.6f;
    CHECK_OK(l->c->upload(l->q, l->exec->x, input + (size_t)l->rank * (size_t)l->rows * 400,
                          (size_t)l->rows * 400));
    CHECK_OK(l->c->queue_sync(l->q));
}

/* Without a crew: alone, with the whole batch. */
static learner open_rank(int rank, vly_crew *crew, bool bf16, double deadline_s) {
    learner l = {
        .rank = crew ? rank : 0, .world = crew ? world : 1, .crew = crew, .c = open_device(rank)};
    CHECK_OK(l.c->queue_create(l.c, VLY_QUEUE_LEARN, &l.q));
    if (crew) CHECK_OK(open_sync(&l, &(vly_nccl_options){l.c, crew, bf16, deadline_s, 1}));
    open_network(&l);
    return l;
}

static void close_rank(learner *l, bool failed) {
    if (l->graph) l->c->graph_destroy(l->graph);
    if (l->sync) close_sync(l, failed);
    vly_exec_destroy(l->exec);
    vly_net_destroy(l->net);
    l->c->free(l->c, l->p.param), l->c->free(l->c, l->p.grad);
    l->c->queue_destroy(l->q);
    l->c->destroy(l->c);
}

/* The mean over this rank's rows; the output's gradient depends on the row's number in the whole
 * batch. */
static vly_status gradient(vly_queue *q, void *arg) {
    learner *l = arg;
    VLY_TRY(vly_exec_forward(l->exec, q, l->rows, l->p.param));
    VLY_TRY(vly_exec_backward(l->exec, q, l->rows, l->p.param, l->p.grad));
    return l->sync
               ? l->sync->gradients->reduce(l->sync, q, l->p.grad, l->early > 0 ? l->early : l->p.n)
               : VLY_OK;
}

static void give_output_gradients(learner *l) {
    float d[BATCH * 6], v[BATCH];
    for (int i = 0; i < l->rows; i++) {
        const int row = l->rank * l->rows + i;
        v[i] = number(2, (size_t)row) / (float)l->rows;
        for (int a = 0; a < 6; a++)
            d[i * 6 + a] = number(3, (size_t)(row * 6 + a)) / (float)l->rows;
    }
    CHECK_OK(l->c->upload(l->q, l->exec->dlogits, d, (size_t)l->rows * 24));
    CHECK_OK(l->c->upload(l->q, l->exec->dvalue, v, (size_t)l->rows * 4));
    CHECK_OK(l->c->queue_sync(l->q));
}

static float *compute_gradient(learner *l) {
    float *host = malloc((size_t)l->p.n * 4);
    give_output_gradients(l);
    CHECK_OK(l->c->graph_run(l->q, &l->graph, gradient, l)); /* as it is, then captured, then
                                                                replayed */
    CHECK_OK(l->c->download(l->q, host, l->p.grad, (size_t)l->p.n * 4));
    CHECK_OK(l->c->queue_sync(l->q));
    return host;
}

/* ---- processes ---- */

typedef void (*body)(vly_crew *crew, int rank);

/* All ranks are children: no device is touched here. Returns how rank r ended in how[r]. */
static void run_ranks(body rank_body, int how[WORLD_MAX]) {
    int port = 0, listener;
    pid_t child[WORLD_MAX];
    CHECK_OK(vly_crew_listen(NULL, &port, &listener));
    for (int rank = 0; rank < world; rank++) {
        child[rank] = fork();
        CHECK(child[rank] >= 0);
        if (child[rank] > 0) continue;
        vly_crew *crew;
        if (rank) close(listener);
        CHECK_OK(vly_crew_open(&crew, &(vly_crew_options){.rank = rank,
                                                          .world = world,
                                                          .host = "127.0.0.1",
                                                          .port = port,
                                                          .listener = rank ? 0 : listener,
                                                          .token = "test",
                                                          .silence_s = 5}));
        rank_body(crew, rank);
        exit(0);
    }
    close(listener);
    for (int rank = 0; rank < world; rank++) {
        CHECK_EQ(waitpid(child[rank], &how[rank], 0), child[rank]);
        if (how[rank])
            fprintf(stderr, "rank %d ended with %s %d\n", rank,
                    WIFSIGNALED(how[rank]) ? "signal" : "exit code",
                    WIFSIGNALED(how[rank]) ? WTERMSIG(how[rank]) : WEXITSTATUS(how[rank]));
    }
}

static void all_must_pass(body rank_body) {
    int how[WORLD_MAX];
    run_ranks(rank_body, how);
    for (int rank = 0; rank < world; rank++) CHECK_EQ(how[rank], 0);
}

/* ---- claims ---- */

static void compare_with_joined_batch(vly_crew *crew, int rank, bool bf16, double tolerance) {
    learner alone = open_rank(rank, NULL, false, 0);
    float *want = compute_gradient(&alone);
    learner l = open_rank(rank, crew, bf16, 60);
    vly_exec_on_gradient(l.exec, ahead, &l);
    double largest = 0;
    for (int64_t i = 0; i < l.p.n; i++) largest = fmax(largest, fabs((double)want[i]));
    for (int round = 0; round < ROUNDS; round++) {
        float *got = compute_gradient(&l);
        CHECK_OK(l.sync->gradients->check(l.sync));
        CHECK(l.early > 0 && l.early == vly_net_split(l.net));
        CHECK(largest > 1e-3);
        for (int64_t i = 0; i < l.p.n; i++)
            if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * largest)) {
                fprintf(stderr, "rank %d, round %d: gradient %lld is %g, not %g\n", rank, round,
                        (long long)i, (double)got[i], (double)want[i]);
                exit(TEST_FAIL);
            }
        free(got);
    }
    free(want);
    close_rank(&l, false);
    close_rank(&alone, false);
    vly_crew_close(crew, NULL);
}

static void ranks_have_the_gradient_of_the_joined_batch(vly_crew *crew, int rank) {
    compare_with_joined_batch(crew, rank, false, 2e-6);
}
static void so_they_have_in_bf16(vly_crew *crew, int rank) {
    compare_with_joined_batch(crew, rank, true, 2e-2);
}

/* Rank r has made 100 + r steps; the last one wants to stop for reason 3, the others for 1. */
static vly_status one_agreement(learner *l) {
    const vly_standing mine = {
        .steps = 100 + l->rank, .episodes = 7 * l->rank, .stop = l->rank == world - 1 ? 3 : 1};
    vly_standing all;
    VLY_TRY(l->sync->gradients->compare(l->sync, l->q, &l->p));
    VLY_TRY(l->c->queue_sync(l->q));
    VLY_TRY(l->sync->gradients->check(l->sync));
    VLY_TRY(l->sync->agree(l->sync, &mine, &all));
    CHECK_EQ(all.steps, world == 2 ? 201 : 100);
    CHECK_EQ(all.episodes, world == 2 ? 7 : 0);
    CHECK_EQ(all.stop, 3);
    return VLY_OK;
}

static void weights_begin_equal_and_drift_is_named(vly_crew *crew, int rank) {
    learner l = open_rank(rank, crew, false, 60);
    if (rank) CHECK_OK(l.c->fill(l.q, l.p.param, 0x3c, (size_t)l.p.n * 4));
    CHECK_OK(l.sync->broadcast(l.sync, l.q, l.p.param, (size_t)l.p.n * 4, 0));
    for (int i = 0; i < 3; i++) CHECK_OK(one_agreement(&l));
    if (world > 1) {
        const float off = 1e-3f;
        if (rank == 1) CHECK_OK(l.c->upload(l.q, l.p.param + l.p.n - 1, &off, 4));
        CHECK_EQ(one_agreement(&l), VLY_EPEER);
        CHECK(strstr(vly_error_text(), "the weights of rank 1") != NULL);
    }
    close_rank(&l, false);
    vly_crew_close(crew, NULL);
}

/* Two updates that succeed: the second is captured, and its graph holds on to the communicator.
 * Whether the other rank lives is not asked here: it may die as soon as it has its second gradient.
 */
static void update_twice(learner *l) {
    for (int i = 0; i < 2; i++) free(compute_gradient(l));
}

/* Rank 1 dies, or sleeps, while rank 0 waits for its gradient on the device. */
static void expect_failure(learner *l, vly_status want, const char *words) {
    const double start = vly_now_s();
    CHECK_OK(l->c->graph_run(l->q, &l->graph, gradient, l));
    CHECK_OK(l->sync->gradients->compare(l->sync, l->q, &l->p));
    l->c->queue_sync(l->q); /* returns: the communicator was aborted */
    CHECK_EQ(l->sync->gradients->check(l->sync), want);
    if (!strstr(vly_error_text(), words)) fprintf(stderr, "said: %s\n", vly_error_text());
    CHECK(strstr(vly_error_text(), words) != NULL);
    CHECK(vly_now_s() - start < 30);
    CHECK(gradient(l->q, l) != VLY_OK); /* and nobody waits again */
    close_rank(l, true);
}

static void a_dead_rank_is_named_while_others_wait_for_its_gradient(vly_crew *crew, int rank) {
    learner l = open_rank(rank, crew, false, 60);
    update_twice(&l);
    if (rank == 1) kill(getpid(), SIGKILL);
    expect_failure(&l, VLY_EPEER, "rank 1 is gone");
    vly_crew_close(crew, NULL);
}

static void who_hangs_does_not_hold_the_others_for_longer_than_the_deadline(vly_crew *crew,
                                                                            int rank) {
    learner l = open_rank(rank, crew, false, 2);
    update_twice(&l);
    if (rank == 1) {
        sleep(6);
        exit(0);
    }
    expect_failure(&l, VLY_ETIMEOUT, "rank 0 has waited");
    vly_crew_close(crew, NULL);
}

static void an_error_of_the_library_ends_the_run(vly_crew *crew, int rank) {
    learner l = open_rank(rank, crew, false, 60);
    update_twice(&l);
    if (rank == 0) {
        expect_failure(&l, VLY_ECUDA, "a fault that the test asked for");
        vly_crew_close(crew, "NCCL failed");
    } else {
        expect_failure(&l, VLY_EPEER, "rank 0 is gone: NCCL failed");
        vly_crew_close(crew, NULL);
    }
}

static void check_a_loss(body claim, int survivor_must, int may_die) {
    int how[WORLD_MAX];
    run_ranks(claim, how);
    CHECK_EQ(how[survivor_must], 0);
    if (!may_die) CHECK_EQ(how[1], 0);
}

/* In a child, so that this process stays without a device. */
static int count_devices(void) {
    const pid_t child = fork();
    int how;
    if (child == 0) {
        vly_cuda_info info;
        vly_cuda_describe(&info);
        _exit(info.devices > WORLD_MAX ? WORLD_MAX : info.devices);
    }
    CHECK_EQ(waitpid(child, &how, 0), child);
    return WEXITSTATUS(how);
}

int main(void) {
#ifdef VLY_TEST_SHIM
    setenv("VLY_NCCL_LIBRARY", built_file(VLY_TEST_FAKE_NCCL), 1);
    setenv("VLY_SHIM_DEVICES", "2", 1);
    world = 2;
    (void)count_devices;
#else
    world = count_devices();
    if (world == 0) SKIP("no CUDA device");
#endif
    all_must_pass(ranks_have_the_gradient_of_the_joined_batch);
    all_must_pass(so_they_have_in_bf16);
    all_must_pass(weights_begin_equal_and_drift_is_named);
    if (world < 2) {
        fprintf(stderr, "one device: ranks of one only; what needs two was not tested\n");
        return TEST_PASS;
    }
    check_a_loss(a_dead_rank_is_named_while_others_wait_for_its_gradient, 0, 1);
    check_a_loss(who_hangs_does_not_hold_the_others_for_longer_than_the_deadline, 0, 1);
#ifdef VLY_TEST_SHIM
    setenv("FAKE_NCCL_FAULT", "0:2", 1);
    check_a_loss(an_error_of_the_library_ends_the_run, 0, 0);
#else
    (void)an_error_of_the_library_ends_the_run;
#endif
    return TEST_PASS;
}
