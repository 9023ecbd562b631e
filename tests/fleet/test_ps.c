/* The parameter server on a problem with a known answer: processes that see noisy gradients of |w -
 * target|^2 / 2, through a real Redis, with every update policy; workers and the store are killed
 * on the way. */
#include "tests/kit/check.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/base/philox.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/fleet/ps.h"
#include "cpu/fleet/ps_wire.h"

enum { N = 257, WORKERS = 3 };
static char folder[64] = "/tmp/volley-ps-XXXXXX";
static vly_store_server *redis;

static float target_of(int i) {
    return sinf((float)i);
}

static void worker(const char *run, int rank, const vly_ps_policy *policy) {
    char name[32];
    snprintf(name, sizeof name, "w%d", rank);
    vly_store *store;
    vly_compute *c;
    vly_queue *q;
    vly_ps_client *client;
    vly_real param[N] = {0}, grad[N], m[N], v[N];
    int64_t step = 0;
    const vly_params p = {.n = N, .param = param, .grad = grad, .m = m, .v = v, .step = &step};
    vly_hyper hyper = {.lr = 0.05f};
    CHECK_OK(vly_store_open(&store, vly_store_server_url(redis), run, NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
    CHECK_OK(vly_ps_client_create(&client, store, vly_store_server_url(redis), run, name, policy));
    vly_sync *sync = vly_ps_client_sync(client);
    CHECK_OK(sync->broadcast(sync, q, param, sizeof param, 0));
    for (uint64_t t = 0; !vly_ps_client_stopped(client); t++) {
        double distance = 0;
        for (int i = 0; i < N; i++) {
            const float noise =
                vly_unit(vly_philox((uint64_t)rank, VLY_STREAM_TEST, t, (uint32_t)i).v[0]) - 0.5f;
            grad[i] = param[i] - target_of(i) + 0.2f * noise;
            distance -= fabs((double)(param[i] - target_of(i)));
        }
        vly_ps_client_note(client, 10, &distance, 1);
        if (sync->server)
            CHECK_OK(sync->server->apply(sync, q, &p, &hyper));
        else
            for (int i = 0; i < N; i++) param[i] -= hyper.lr * grad[i];
        if (sync->mixing) CHECK_OK(sync->mixing->mix(sync, q, &p));
        usleep(500);
    }
    vly_ps_client_destroy(client);
    vly_store_close(store);
    c->queue_destroy(q);
    c->destroy(c);
    _exit(0);
}

static pid_t start_worker(const char *run, int rank, const vly_ps_policy *policy) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) worker(run, rank, policy);
    return pid;
}

static double distance_to_target(const vly_real *param) {
    double sum = 0;
    for (int i = 0; i < N; i++) sum += fabs((double)(param[i] - target_of(i)));
    return sum / N;
}

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Serves until the weights are near the target; `faults`: kills a worker and the store on the way.
 */
static vly_ps_report converge(const char *run, const vly_ps_policy *policy, bool faults) {
    vly_store *store;
    vly_compute *c;
    vly_queue *q;
    vly_ps_server *server;
    vly_ps_report report;
    vly_real param[N] = {0}, grad[N], m[N] = {0};
    int64_t step = 0;
    const vly_params master = {.n = N, .param = param, .grad = grad, .m = m, .step = &step};
    pid_t pid[WORKERS];
    const vly_optimizer sgd = {.kind = VLY_SGD};
    CHECK_OK(vly_store_open(&store, vly_store_server_url(redis), run, NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
    CHECK_OK(vly_ps_server_create(&server, store, c, q, policy, &sgd, &master, 0, 0));
    for (int i = 0; i < WORKERS; i++) pid[i] = start_worker(run, i, policy);
    CHECK(distance_to_target(param) > 0.5);
    const double deadline = clock_s() + 250; /* reports a hang before the runner's own limit */
    int killed = 0;
    int64_t waiting = 0;
    /* all workers have pushed before the first version, so the counts below do not depend on
     * when they started */
    while (!faults && waiting < WORKERS) {
        CHECK(clock_s() < deadline);
        usleep(2000);
        CHECK_OK(vly_store_length(store, "pushes", &waiting));
    }
    const int64_t part = policy->update == VLY_PS_FEDAVG ? 2 : 7; /* versions between two faults */
    while (distance_to_target(param) > 0.03) {
        CHECK(clock_s() < deadline);
        const vly_status status = vly_ps_server_serve(server, 20);
        CHECK_EQ(status, VLY_OK);
        vly_ps_server_report(server, &report);
        if (faults && killed == 0 && report.version > 1 * part) {
            /* a worker is killed and another starts */
            kill(pid[0], SIGKILL);
            waitpid(pid[0], NULL, 0);
            pid[0] = start_worker(run, 7, policy);
            killed = 1;
        } else if (faults && killed == 1 && report.version > 2 * part) { /* the store is killed */
            bool restarted = false;
            kill(vly_store_server_pid(redis), SIGKILL);
            while (!restarted && clock_s() < deadline) {
                usleep(20000);
                CHECK_OK(vly_store_server_mend(redis, &restarted));
            }
            CHECK(restarted);
            killed = 2;
        } else if (faults && killed == 2 && report.version > 3 * part) {
            /* a worker is stopped for longer than ttl_ms */
            kill(pid[1], SIGSTOP);
            killed = 3;
        } else if (faults && killed == 3 && report.version > 4 * part) {
            kill(pid[1], SIGCONT);
            killed = 4;
        }
    }
    if (killed == 3) kill(pid[1], SIGCONT);
    if (faults) CHECK(killed >= 3);
    vly_ps_server_report(server, &report);
    CHECK_OK(vly_ps_server_stop(server));
    for (int i = 0; i < WORKERS; i++) {
        int how;
        CHECK_EQ(waitpid(pid[i], &how, 0), pid[i]);
        CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    CHECK(report.steps >= 10 * report.gradients / WORKERS && report.episodes > 0 &&
          report.rejected == 0);
    vly_ps_server_destroy(server);
    vly_store_close(store);
    c->queue_destroy(q);
    c->destroy(c);
    fprintf(stderr, "%-12s %s version %lld gradients %lld stale %lld twice %lld lost %lld\n", run,
            faults ? "faults" : "      ", (long long)report.version, (long long)report.gradients,
            (long long)report.dropped_stale, (long long)report.dropped_duplicate,
            (long long)report.lost);
    return report;
}

static vly_ps_policy policy_of(vly_ps_update update) {
    return (vly_ps_policy){.update = update,
                           .local_steps = 4,
                           .ttl_ms = 600,
                           .max_staleness = 20,
                           .weigh_staleness = update == VLY_PS_OVERLAPPED};
}

static void every_policy_finds_the_optimum(void) {
    for (int u = VLY_PS_SYNC; u <= VLY_PS_FEDAVG; u++) {
        vly_ps_policy policy = policy_of((vly_ps_update)u);
        /* no worker counts as dead because the machine is busy */
        policy.ttl_ms = 100000;
        const vly_ps_report r = converge(vly_ps_update_name(policy.update), &policy, false);
        if (u == VLY_PS_SYNC || u == VLY_PS_FEDAVG) CHECK_EQ(r.dropped_stale, 0);
        if (u == VLY_PS_SYNC || u == VLY_PS_FEDAVG) /* a version is a mean over all workers */
            CHECK(r.gradients >= WORKERS * r.version && r.gradients < WORKERS * (r.version + 1));
        if (u == VLY_PS_ASYNC) CHECK_EQ(r.gradients, r.version);
    }
}

static void an_adaptive_interval_finds_the_optimum(void) {
    vly_ps_policy policy = policy_of(VLY_PS_FEDAVG);
    policy.adaptive = true;
    converge("adaptive", &policy, false);
}

static void every_policy_survives_faults(void) {
    for (int u = VLY_PS_SYNC; u <= VLY_PS_FEDAVG; u++) {
        const vly_ps_policy policy = policy_of((vly_ps_update)u);
        char run[32];
        snprintf(run, sizeof run, "f-%s", vly_ps_update_name(policy.update));
        converge(run, &policy, true);
    }
}

/* A server in this process and its weights. */
typedef struct {
    vly_store *store;
    vly_compute *c;
    vly_queue *q;
    vly_ps_server *server;
    vly_real param[N], grad[N], m[N];
    int64_t step;
} central;

static void central_open(central *s, const char *run, const vly_ps_policy *policy) {
    const vly_optimizer sgd = {.kind = VLY_SGD};
    memset(s, 0, sizeof *s);
    const vly_params master = {
        .n = N, .param = s->param, .grad = s->grad, .m = s->m, .step = &s->step};
    CHECK_OK(vly_store_open(&s->store, vly_store_server_url(redis), run, NULL));
    CHECK_OK(vly_compute_create_cpu(&s->c, 1));
    CHECK_OK(s->c->queue_create(s->c, VLY_QUEUE_LEARN, &s->q));
    CHECK_OK(vly_ps_server_create(&s->server, s->store, s->c, s->q, policy, &sgd, &master, 0, 0));
}

static void central_close(central *s) {
    vly_ps_server_destroy(s->server);
    vly_store_close(s->store);
    s->c->queue_destroy(s->q);
    s->c->destroy(s->c);
}

static void garbage_is_rejected_and_counted(void) {
    const vly_ps_policy policy = policy_of(VLY_PS_ASYNC);
    central s;
    vly_ps_report report;
    uint8_t junk[512];
    central_open(&s, "junk", &policy);
    for (uint64_t k = 0; k < 200; k++) {
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (uint8_t)vly_philox(9, VLY_STREAM_TEST, k, (uint32_t)i).v[0];
        if (k % 2) memcpy(junk, "VLG1", 4);
        CHECK_OK(vly_store_push(s.store, "pushes", junk, (size_t)(k * 512 / 200), 0, NULL));
        CHECK_OK(vly_ps_server_serve(s.server, 1000));
    }
    vly_ps_server_report(s.server, &report);
    CHECK_EQ(report.rejected, 200);
    CHECK_EQ(report.version, 0);
    central_close(&s);
}

/* Pushes N times `value` as worker `name`, computed from version `base`, and serves it. */
static void push_as(central *s, const char *name, uint32_t kind, int64_t base, float value) {
    static uint64_t seq;
    unsigned char message[sizeof(wire_push) + N * sizeof value];
    wire_push head = {.magic = WIRE_MAGIC_PUSH, .kind = kind, .seq = ++seq, .life = 1};
    head.base = base, head.samples = 1, head.n = head.count = N, head.parts = 1;
    head.hyper = (vly_hyper){.lr = 1};
    snprintf(head.worker, sizeof head.worker, "%s", name);
    memcpy(message, &head, sizeof head);
    for (int i = 0; i < N; i++)
        memcpy(message + sizeof head + (size_t)i * sizeof value, &value, sizeof value);
    CHECK_OK(vly_store_push(s->store, "pushes", message, sizeof message, 0, NULL));
    CHECK_OK(vly_ps_server_serve(s->server, 1000));
}

/* A worker that counted as dead returns with a push computed from the version before. */
static void a_barrier_takes_the_mean_over_one_version(void) {
    for (int u = VLY_PS_SYNC; u <= VLY_PS_FEDAVG; u += VLY_PS_FEDAVG - VLY_PS_SYNC) {
        const vly_ps_policy policy = {.update = (vly_ps_update)u, .ttl_ms = 100000};
        const uint32_t kind = u == VLY_PS_SYNC ? WIRE_GRADIENT : WIRE_WEIGHTS;
        central s;
        vly_ps_report report;
        central_open(&s, u == VLY_PS_SYNC ? "one-version" : "one-version-fedavg", &policy);
        push_as(&s, "a", kind, 0, -1);
        CHECK_NEAR(s.param[0], u == VLY_PS_SYNC ? 1 : -1, 1e-6);
        push_as(&s, "late", kind, 0, 1000); /* version 1 is published */
        push_as(&s, "a", kind, 1, -1);
        vly_ps_server_report(s.server, &report);
        CHECK_EQ(report.dropped_stale, 1);
        CHECK_EQ(report.version, 1); /* `late` is alive: the mean of version 1 waits for it */
        push_as(&s, "late", kind, 1, -1);
        vly_ps_server_report(s.server, &report);
        CHECK_EQ(report.version, 2);
        CHECK_NEAR(s.param[N - 1], u == VLY_PS_SYNC ? 2 : -1, 1e-6);
        central_close(&s);
    }
}

/* A gradient is clipped by the norm of the whole, however many parts it is sent in. */
static void parts_are_clipped_by_the_norm_of_the_whole(void) {
    const vly_ps_policy policy = {.update = VLY_PS_OVERLAPPED, .ttl_ms = 100000, .parts = 3};
    central s;
    vly_ps_client *client;
    vly_store *store;
    vly_ps_report report = {0};
    vly_real param[N], grad[N], m[N] = {0};
    int64_t step = 0;
    double squares = 0;
    central_open(&s, "clip", &policy);
    CHECK_OK(vly_store_open(&store, vly_store_server_url(redis), "clip", NULL));
    CHECK_OK(
        vly_ps_client_create(&client, store, vly_store_server_url(redis), "clip", "w", &policy));
    vly_sync *sync = vly_ps_client_sync(client);
    CHECK_OK(sync->broadcast(sync, s.q, param, sizeof param, 0));
    for (int i = 0; i < N; i++) { /* small in the first part, large in the last */
        grad[i] = (vly_real)(i < N / 3 ? 0.01 : 1 + 0.01 * i);
        squares += (double)grad[i] * (double)grad[i];
    }
    const vly_params p = {.n = N, .param = param, .grad = grad, .m = m, .step = &step};
    const vly_hyper hyper = {.lr = 1, .max_grad_norm = 0.5f};
    CHECK_OK(sync->server->apply(sync, s.q, &p, &hyper));
    const double deadline = clock_s() + 60;
    while (report.version < 1) {
        CHECK(clock_s() < deadline);
        CHECK_OK(vly_ps_server_serve(s.server, 20));
        vly_ps_server_report(s.server, &report);
    }
    for (int i = 0; i < N; i++)
        CHECK_NEAR(s.param[i], -0.5 / sqrt(squares) * (double)grad[i], 1e-6);
    vly_ps_client_destroy(client);
    vly_store_close(store);
    central_close(&s);
}

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    const vly_status status = vly_store_server_start(&redis, folder, false, NULL);
    if (status == VLY_ENOTFOUND) SKIP("%s", vly_error_text());
    CHECK_EQ(status, VLY_OK);
    every_policy_finds_the_optimum();
    an_adaptive_interval_finds_the_optimum();
    every_policy_survives_faults();
    garbage_is_rejected_and_counted();
    a_barrier_takes_the_mean_over_one_version();
    parts_are_clipped_by_the_norm_of_the_whole();
    vly_store_server_stop(redis);
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}
#endif
