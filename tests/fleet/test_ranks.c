/* Two ranks, each with half of a batch, compute after the all-reduce the gradient that one
 * process computes from the whole batch: real mpirun, the library used in training, a
 * policy-gradient and a Q-learning loss. */
#include <unistd.h>
#include "common/learn/net.h"
#include "common/base/philox.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/fleet/ranks.h"
#include "tests/kit/check.h"

enum { ROWS = 254, ACTIONS = 3, OBS = 7, RANKS = 2 };

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_net *net;
    vly_exec *exec;
    bool dqn;
    float obs[ROWS * OBS];
    vly_real *param, *whole, *half;
    int32_t action[ROWS];
    vly_real logp_old[ROWS], value_old[ROWS], advantage[ROWS], target[ROWS], mask[ROWS],
        q_next[ROWS * ACTIONS], discount[ROWS], weight[ROWS], td_abs[ROWS];
    vly_real stats[VLY_STATS];
    vly_hyper hyper;
} problem;

static double draw(uint32_t of, int i) {
    return 2 * (double)vly_unit(vly_philox(7, VLY_STREAM_TEST, (uint64_t)i, of).v[0]) - 1;
}

static void fill(problem *p) {
    for (int i = 0; i < ROWS * OBS; i++) p->obs[i] = (float)draw(1, i);
    for (int i = 0; i < ROWS * ACTIONS; i++) p->q_next[i] = (vly_real)draw(2, i);
    for (int i = 0; i < ROWS; i++) {
        p->action[i] = (int32_t)(vly_philox(7, VLY_STREAM_TEST, (uint64_t)i, 3).v[0] % ACTIONS);
        p->logp_old[i] = (vly_real)(-1.1 + 0.2 * draw(4, i));
        p->value_old[i] = (vly_real)draw(5, i);
        p->advantage[i] = (vly_real)draw(6, i);
        p->target[i] = (vly_real)(3 * draw(7, i));
        p->mask[i] = 1; /* equal counts in both halves: the mean of means is the mean */
        p->discount[i] = (vly_real)0.97, p->weight[i] = (vly_real)(1 + 0.5 * draw(8, i));
    }
    p->hyper = (vly_hyper){.clip = 0.2f,
                           .value_coef = 0.5f,
                           .entropy_coef = 0.01f,
                           .huber_delta = 1,
                           .reward_scale = 1};
}

/* The gradient of rows first .. first + n. */
static void gradient(problem *p, int first, int n, vly_real *grad) {
    int32_t row[ROWS];
    const vly_frames frames = {.frames = (const uint8_t *)p->obs,
                               .rows = ROWS,
                               .row_step = ROWS,
                               .obs = {.ndim = 1,
                                       .shape = {OBS},
                                       .dtype = VLY_F32,
                                       .bytes = OBS * sizeof(float),
                                       .stack = 1,
                                       .scale = 1}};
    for (int i = 0; i < n; i++) row[i] = first + i;
    CHECK_OK(vly_exec_prepare(p->exec, p->q, p->param));
    CHECK_OK(vly_exec_gather(p->exec, p->q, &frames, n, row, 0));
    CHECK_OK(vly_exec_forward(p->exec, p->q, n, p->param));
    if (p->dqn) {
        const vly_dqn_loss_args d = {.n = n,
                                     .actions = ACTIONS,
                                     .q = p->exec->logits,
                                     .q_next = p->q_next + first * ACTIONS,
                                     .action = p->action + first,
                                     .n_return = p->target + first,
                                     .discount = p->discount + first,
                                     .weight = p->weight + first,
                                     .hyper = &p->hyper,
                                     .dq = p->exec->dlogits,
                                     .td_abs = p->td_abs + first,
                                     .stats = p->stats};
        CHECK_OK(p->c->dqn_loss(p->q, &d));
    } else {
        const vly_policy_loss_args a = {.n = n,
                                        .actions = ACTIONS,
                                        .logits = p->exec->logits,
                                        .value = p->exec->value,
                                        .action = p->action + first,
                                        .logp_old = p->logp_old + first,
                                        .value_old = p->value_old + first,
                                        .advantage = p->advantage + first,
                                        .target = p->target + first,
                                        .mask = p->mask + first,
                                        .hyper = &p->hyper,
                                        .dlogits = p->exec->dlogits,
                                        .dvalue = p->exec->dvalue,
                                        .stats = p->stats};
        CHECK_OK(p->c->policy_loss(p->q, &a));
    }
    CHECK_OK(vly_exec_backward(p->exec, p->q, n, p->param, grad));
    CHECK_OK(p->c->queue_sync(p->q));
}

static void halves_make_the_whole(vly_sync *s, bool dqn) {
    static problem p;
    memset(&p, 0, sizeof p);
    p.dqn = dqn;
    fill(&p);
    CHECK_OK(vly_compute_create_cpu(&p.c, 1));
    CHECK_OK(p.c->queue_create(p.c, VLY_QUEUE_LEARN, &p.q));
    const vly_net_desc desc = {.kind = VLY_NET_MLP,
                               .obs = {.ndim = 1,
                                       .shape = {OBS},
                                       .dtype = VLY_F32,
                                       .bytes = OBS * sizeof(float),
                                       .stack = 1,
                                       .scale = 1},
                               .actions = ACTIONS,
                               .hidden = {48, 33},
                               .layers = 2,
                               .act = VLY_ACT_TANH,
                               .head = dqn ? VLY_HEAD_DUELING : VLY_HEAD_POLICY_VALUE};
    CHECK_OK(vly_net_create(&p.net, &desc));
    CHECK_OK(vly_exec_create(&p.exec, p.c, p.net, ROWS, true, "ranks"));
    const int64_t n = vly_net_params(p.net);
    const size_t bytes = (size_t)n * sizeof(vly_real);
    void *memory[3];
    for (int i = 0; i < 3; i++) CHECK_OK(p.c->alloc(p.c, bytes, "numbers", "", &memory[i]));
    p.param = memory[0], p.whole = memory[1], p.half = memory[2];
    CHECK_OK(vly_net_init(p.net, 5, p.param));

    gradient(&p, 0, ROWS, p.whole);
    gradient(&p, s->rank * ROWS / RANKS, ROWS / RANKS, p.half);
    double largest = 0, apart = 0, before = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)p.whole[i])),
        before = fmax(before, fabs((double)(p.half[i] - p.whole[i])));
    CHECK_OK(s->gradients->reduce(s, p.q, p.half, n));
    for (int64_t i = 0; i < n; i++) apart = fmax(apart, fabs((double)(p.half[i] - p.whole[i])));
    fprintf(stderr, "rank %d %-6s largest %.3g, a half alone differs by %.3g, the mean by %.3g\n",
            s->rank, dqn ? "dqn" : "policy", largest, before, apart);
    CHECK(largest > 1e-3 && before > 1e-2 * largest); /* the halves' own gradients differ */
    CHECK(apart <= 2e-6 * largest);

    vly_real *first = malloc(bytes); /* all ranks have the same bits */
    CHECK(first != NULL);
    memcpy(first, p.half, bytes);
    CHECK_OK(s->broadcast(s, p.q, first, bytes, 0));
    CHECK_EQ(memcmp(first, p.half, bytes), 0);
    free(first);
    for (int i = 0; i < 3; i++) p.c->free(p.c, memory[i]);
    vly_exec_destroy(p.exec);
    vly_net_destroy(p.net);
    p.c->queue_destroy(p.q);
    p.c->destroy(p.c);
}

/* Cell 0: both have visited it, one three times as often. Cells 1 and 2: one each. Cell 3: none. */
static void merge_cells(vly_sync *s, vly_real *table) {
    const bool first = s->rank == 0;
    uint32_t visits[4] = {first ? 10 : 30, first ? 5 : 0, first ? 0 : 7, 0};
    table[0] = first ? 1 : 5, table[1] = first ? 2 : 0, table[2] = first ? 0 : 3, table[3] = 0;
    CHECK_OK(s->tables->merge(s, 2, 2, table, visits));
}

static void tables_are_averaged_over_ranks_that_visited(vly_sync *s) {
    vly_real table[4];
    merge_cells(s, table);
    const double want[4] = {3, 2, 3, 0};
    for (int i = 0; i < 4; i++) CHECK_NEAR(table[i], want[i], 1e-6);
}

static void neighbours_mix_tables_by_visits(vly_sync *s) {
    vly_real table[4];
    merge_cells(s, table);
    const double want[4] = {4, 2, 3, 0}; /* (10 x 1 + 30 x 5) / 40 */
    for (int i = 0; i < 4; i++) CHECK_NEAR(table[i], want[i], 1e-6);
}

int main(int argc, char **argv) {
#ifdef VLY_NO_MPI
    SKIP("built without MPI: apt-get install libopenmpi-dev openmpi-bin");
#endif
    if (!vly_ranks_launched()) {
        if (system("command -v mpirun >/dev/null 2>&1") != 0)
            SKIP("no mpirun: apt-get install openmpi-bin libopenmpi-dev");
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
        setenv("ASAN_OPTIONS", "detect_leaks=0", 0); /* MPI does not free all of its memory */
        execlp("mpirun", "mpirun", "--oversubscribe", "-n", "2", argv[0], (char *)NULL);
        return TEST_FAIL;
    }
    (void)argc;
    vly_ranks *r;
    CHECK_OK(vly_ranks_open(&r, VLY_RANKS_ALLREDUCE));
    vly_sync *s = vly_ranks_sync(r);
    CHECK_EQ(s->world, RANKS);
    halves_make_the_whole(s, false);
    halves_make_the_whole(s, true);
    tables_are_averaged_over_ranks_that_visited(s);
    vly_ranks *gossip; /* the same processes, the other scheme */
    CHECK_OK(vly_ranks_open(&gossip, VLY_RANKS_GOSSIP));
    neighbours_mix_tables_by_visits(vly_ranks_sync(gossip));
    vly_ranks_close(gossip, false);
    vly_ranks_close(r, false);
    return TEST_PASS;
}
