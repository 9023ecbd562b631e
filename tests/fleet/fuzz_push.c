/* Messages of a parameter server that somebody else wrote into the store: what is malformed is
 * counted and dropped, weights stay finite, counters do not overflow, and a worker refuses weights
 * that are not.
 *   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_push &&
 *   build-fuzz/fuzz_push tests/fuzz/push
 * The first byte chooses the policy and the side; then pushes follow, field by field, patched. */
#include "tests/fuzz/input.h"
#ifndef VLY_HAVE_REDIS
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    (void)data, (void)bytes;
    return 0;
}
#else
#include <math.h>
#include "cpu/fleet/ps.h"
#include "cpu/fleet/ps_wire.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/fleet/hostile_store.h"

enum { N = 5, PUSHES = 12 };

static vly_compute *c;
static vly_queue *q;
static vly_real param[N], grad[N], m[N], v[N];
static int64_t step;
static const vly_params params = {
    .n = N, .param = param, .grad = grad, .m = m, .v = v, .step = &step};

static void open_device(void) {
    if (c) return;
    fuzz_check(vly_compute_create_cpu(&c, 1) == VLY_OK);
    fuzz_check(c->queue_create(c, VLY_QUEUE_LEARN, &q) == VLY_OK);
}

static void weights_are_finite(void) {
    for (int i = 0; i < N; i++) fuzz_check(isfinite(param[i]));
}

static vly_ps_policy policy_of(unsigned choice) {
    return (vly_ps_policy){.update = (vly_ps_update)(choice % 6),
                           .collect = (int)(choice >> 3 & 1),
                           .max_staleness = (int)(choice >> 4 & 1) * 3,
                           .weigh_staleness = choice >> 5 & 1,
                           .local_steps = 1,
                           .patience_ms = 1,
                           .parts = 2};
}

static vly_hyper hyper_of(fuzz_input *in) {
    vly_hyper h = {.lr = 0.01f, .max_grad_norm = 1};
    if (fuzz_byte(in) & 1) h.lr = fuzz_float(in), h.max_grad_norm = fuzz_float(in);
    return h;
}

/* A good push in most fields; its bytes are patched afterwards. */
static size_t make_push(fuzz_input *in, vly_ps_update update, uint8_t *message) {
    wire_push head = {.magic = WIRE_MAGIC_PUSH,
                      .kind = update == VLY_PS_FEDAVG    ? WIRE_WEIGHTS
                              : update == VLY_PS_UNROLLS ? WIRE_UNROLL
                                                         : WIRE_GRADIENT,
                      .worker = {'w', (char)('0' + fuzz_byte(in) % 3)},
                      .life = (uint64_t)fuzz_number(in),
                      .seq = (uint64_t)fuzz_number(in),
                      .base = fuzz_number(in),
                      .steps = fuzz_number(in),
                      .samples = fuzz_number(in),
                      .n = N,
                      .count = N,
                      .parts = 1,
                      .returns = (int32_t)(fuzz_byte(in) % 4)};
    head.done = fuzz_byte(in) & 1 ? head.steps : fuzz_number(in);
    if (fuzz_byte(in) & 1) {
        head.part = (int32_t)(fuzz_byte(in) % 33);
        head.offset = fuzz_number(in), head.count = fuzz_number(in);
    }
    head.hyper = hyper_of(in);
    for (int i = 0; i < head.returns; i++) head.score[i] = fuzz_float(in);
    const size_t count = head.count < 0 || head.count > N ? N : (size_t)head.count;
    memcpy(message, &head, sizeof head);
    for (size_t i = 0; i < count; i++) {
        const float x = fuzz_float(in);
        memcpy(message + sizeof head + i * sizeof x, &x, sizeof x);
    }
    size_t bytes = sizeof head + count * sizeof(float);
    fuzz_patch(in, message, bytes);
    if ((fuzz_byte(in) & 15) == 1) bytes = fuzz_byte(in) % bytes;
    return bytes;
}

static vly_status take_unroll(void *arg, const void *unroll, size_t bytes) {
    const uint8_t *p = unroll;
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++) sum += p[i];
    (void)arg;
    return sum & 1 ? vly_fail(VLY_ECORRUPT, "odd") : VLY_OK;
}

static void server_takes_pushes(fuzz_input *in, const vly_ps_policy *policy) {
    static uint8_t message[sizeof(wire_push) + N * sizeof(float)];
    const vly_optimizer optimizer = {.kind = VLY_RMSPROP, .beta2 = 0.99f, .eps = 1e-3f};
    vly_ps_server *s;
    vly_ps_report r;
    hostile_store = (hostile){0};
    memset(param, 0, sizeof param), memset(m, 0, sizeof m), memset(v, 0, sizeof v), step = 0;
    fuzz_check(vly_ps_server_create(&s, (vly_store *)&hostile_store, c, q, policy, &optimizer,
                                    &params, 0, 0) == VLY_OK);
    vly_ps_server_on_unroll(s, take_unroll, NULL);
    for (int i = 0; i < PUSHES && in->left; i++) {
        const size_t bytes = make_push(in, policy->update, message);
        uint8_t *exact = malloc(bytes ? bytes : 1); /* its end is watched */
        fuzz_check(exact);
        memcpy(exact, message, bytes);
        hostile_store.popped = exact, hostile_store.popped_bytes = bytes;
        const vly_status status = vly_ps_server_serve(s, 0);
        free(exact);
        if (status != VLY_OK) fuzz_check(vly_error_text()[0] != '\0');
        weights_are_finite();
        vly_ps_server_report(s, &r);
        fuzz_check(r.steps >= 0 && r.episodes >= 0 && r.lost >= 0 && r.lost_steps >= 0 &&
                   !isnan(r.staleness_mean));
    }
    vly_ps_server_destroy(s);
}

static void worker_loads_weights(fuzz_input *in, const vly_ps_policy *policy) {
    uint8_t message[sizeof(wire_params) + N * sizeof(float)];
    wire_params head = {.magic = WIRE_MAGIC_PARAMS,
                        .flags = fuzz_byte(in) & 1,
                        .version = fuzz_number(in),
                        .n = N,
                        .steps = fuzz_number(in),
                        .total_steps = fuzz_number(in),
                        .incarnation = (uint64_t)fuzz_number(in),
                        .gradients = fuzz_number(in)};
    memcpy(message, &head, sizeof head);
    for (int i = 0; i < N; i++) {
        const float x = fuzz_float(in);
        memcpy(message + sizeof head + (size_t)i * sizeof x, &x, sizeof x);
    }
    fuzz_patch(in, message, sizeof message);
    const size_t bytes = fuzz_byte(in) & 15 ? sizeof message : fuzz_byte(in) % sizeof message;
    uint8_t *exact = malloc(bytes ? bytes : 1);
    vly_ps_client *client;
    fuzz_check(exact);
    memcpy(exact, message, bytes);
    hostile_store = (hostile){.value = exact, .value_bytes = bytes};
    memset(param, 0, sizeof param);
    fuzz_check(vly_ps_client_create(&client, (vly_store *)&hostile_store, "redis://x", "r", "w",
                                    policy) == VLY_OK);
    vly_sync *sync = vly_ps_client_sync(client);
    vly_error_clear();
    if (sync->broadcast(sync, q, param, sizeof param, 0) != VLY_OK)
        fuzz_check(vly_error_text()[0] != '\0');
    weights_are_finite();
    fuzz_check(vly_ps_client_steps(client) >= 0);
    vly_ps_client_destroy(client);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    fuzz_input in = {data, bytes};
    const unsigned choice = fuzz_byte(&in);
    const vly_ps_policy policy = policy_of(choice);
    open_device();
    if (choice >= 192 && policy.update != VLY_PS_OVERLAPPED)
        worker_loads_weights(&in, &policy);
    else
        server_takes_pushes(&in, &policy);
    return 0;
}
#endif
