#include "tests/gpu/parity.h"

static void the_same_actions_are_drawn(parity *p) {
    static const int sizes[][2] = {{1, 2}, {257, 6}, {1000, 18}, {63, 1}, {300, 40}};
    for (size_t s = 0; s < 5; s++) {
        const int n = sizes[s][0], A = sizes[s][1];
        twin logits = normals(p, (size_t)(n * A), 3), action = outputs(p, (size_t)n),
             shown = outputs(p, (size_t)n), logp = outputs(p, (size_t)n),
             epsilon = normals(p, (size_t)n, 0.3f);
        twin rng = twin_of(p, &(vly_rng){7, 1u << 20}, sizeof(vly_rng)),
             lane = numbers(p, (size_t)n, 1 << 30);
        for (int step = 0; step < 3; step++) {
            BOTH(c->sample_policy(q, n, A, D(logits), D(rng), step == 1 ? D(lane) : NULL, 100,
                                  D(action), step == 1 ? NULL : D(shown),
                                  step == 2 ? NULL : D(logp)));
            SAME(action), SAME(shown);
            SAME(logp);
            BOTH(c->sample_greedy(q, n, A, D(logits), step ? D(epsilon) : NULL, D(rng),
                                  step == 1 ? D(lane) : NULL, 100, D(action),
                                  step == 1 ? NULL : D(shown)));
            SAME(action), SAME(shown);
            BOTH(c->action_logp(q, n, A, D(logits), D(action), D(logp)));
            SAME(logp);
            BOTH(c->rng_advance(q, D(rng)));
            SAME(rng);
        }
        twin_free(p, &logits), twin_free(p, &action), twin_free(p, &shown), twin_free(p, &logp),
            twin_free(p, &epsilon), twin_free(p, &rng), twin_free(p, &lane);
    }
}

/* The device writes what it draws into the host's memory too, and the host sees it after the
 * event. */
static void actions_are_shown_to_the_host(parity *p) {
    enum { N = 300, A = 6 };
    vly_compute *c = p->gpu;
    vly_queue *q = p->gpu_queue;
    vly_event *passed;
    int32_t *host, *shown;
    twin logits = normals(p, N * A, 3), action = outputs(p, N),
         rng = twin_of(p, &(vly_rng){7, 3}, sizeof(vly_rng));
    CHECK_OK(c->alloc_host(c, N * sizeof *host, "a test", (void **)&host));
    shown = vly_mapped(c, host);
    CHECK(vly_mapped(p->cpu, host) == NULL); /* there the host's memory is the device's */
    CHECK_OK(c->event_create(c, &passed));
    for (int greedy = 0; greedy < 2 && shown; greedy++) {
        memset(host, 0xff, N * sizeof *host);
        CHECK_OK(
            greedy
                ? c->sample_greedy(q, N, A, logits.gpu, NULL, rng.gpu, NULL, 0, action.gpu, shown)
                : c->sample_policy(q, N, A, logits.gpu, rng.gpu, NULL, 0, action.gpu, shown, NULL));
        CHECK_OK(c->event_record(passed, q));
        CHECK_OK(c->event_sync(passed));
        CHECK(c->event_done(passed));
        void *drawn = twin_gpu(p, &action);
        CHECK(!memcmp(drawn, host, N * sizeof *host));
        free(drawn);
    }
    if (!shown) printf("this device cannot map host memory\n");
    c->event_destroy(passed);
    c->free_host(c, host);
    twin_free(p, &logits), twin_free(p, &action), twin_free(p, &rng);
}

#ifdef VLY_TEST_SHIM
/* Host memory that is not mapped, by request or because the device cannot. */
static void downloads_remain_where_nothing_is_mapped(void) {
    static const char *const ways[][2] = {{"VLY_ACTIONS", "copied"}, {"VLY_SHIM_UNMAPPED", "1"}};
    for (int i = 0; i < 2; i++) {
        vly_compute *c;
        void *host;
        setenv(ways[i][0], ways[i][1], 1);
        CHECK_OK(vly_compute_create_cuda(&c, 0, 1));
        CHECK_OK(c->alloc_host(c, 100, "a test", &host));
        CHECK(vly_mapped(c, host) == NULL);
        c->free_host(c, host);
        c->destroy(c);
        unsetenv(ways[i][0]);
    }
}
#endif

static void frames_are_gathered_alike(parity *p) {
    static const struct {
        int ndim, shape[3], stack;
        vly_dtype dtype;
    } cases[] = {{3, {84, 84, 1}, 4, VLY_U8}, {3, {10, 10, 4}, 1, VLY_U8},
                 {3, {10, 10, 7}, 2, VLY_U8}, {3, {7, 5, 1}, 4, VLY_U8},
                 {1, {4, 0, 0}, 1, VLY_F32},  {1, {5, 0, 0}, 3, VLY_F32},
                 {3, {6, 6, 1}, 4, VLY_U8}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        vly_obs_spec obs = {.dtype = cases[k].dtype,
                            .ndim = cases[k].ndim,
                            .stack = cases[k].stack,
                            .scale = 1.0f / 255};
        memcpy(obs.shape, cases[k].shape, sizeof obs.shape);
        const int numbers_per_frame = obs.ndim == 3 ? obs.shape[0] * obs.shape[1] * obs.shape[2]
                                                    : obs.shape[0];
        obs.bytes = (size_t)numbers_per_frame * (obs.dtype == VLY_U8 ? 1 : 4);
        enum { ROWS = 60, STEP = 3, N = 29 };
        twin frames = obs.dtype == VLY_U8 ? bytes_of(p, ROWS * obs.bytes)
                                          : normals(p, (size_t)(ROWS * numbers_per_frame), 1);
        uint8_t ages[ROWS];
        for (int i = 0; i < ROWS; i++) ages[i] = (uint8_t)random_below(6);
        twin age = twin_of(p, ages, sizeof ages), row = numbers(p, N, ROWS);
        static const vly_dtype types[] = {VLY_F32, VLY_BF16, VLY_U8};
        for (int t = 0; t < (obs.dtype == VLY_U8 ? 3 : 2); t++)
            for (int by_row = 0; by_row < 2; by_row++) {
                twin x = twin_of(p, NULL,
                                 (size_t)(N * numbers_per_frame * obs.stack) *
                                     vly_dtype_bytes(types[t]));
                BOTH(c->gather(q, &(vly_frames){D(frames), D(age), ROWS, STEP, obs}, N,
                               by_row ? D(row) : NULL, ROWS - 7, types[t], D(x)));
                SAME(x);
                twin_free(p, &x);
            }
        twin_free(p, &frames), twin_free(p, &age), twin_free(p, &row);
    }
}

/* Wide: the CPU's arithmetic, bit for bit. Narrow: a scan across time, another order of sums. */
static void advantages_agree(parity *p) {
    static const int shapes[][2] = {{1, 1},   {5, 257}, {33, 600}, {128, 3},
                                    {600, 1}, {256, 2}, {257, 5},  {31, 4}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int T = shapes[s][0], N = shapes[s][1];
        const size_t rows = (size_t)T * (size_t)N;
        const bool scan = N < 512 && T >= 32;
        const vly_hyper h = usual_hyper();
        twin hyper = twin_of(p, &h, sizeof h), reward = normals(p, rows, 1),
             value = normals(p, rows + (size_t)N, 1), flags = row_flags(p, T, N);
        twin advantage = outputs(p, rows), target = outputs(p, rows), mask = outputs(p, rows),
             stats = zeros(p, VLY_STATS * 4);
        twin before = normals(p, rows, 1), after = normals(p, rows, 1);
        BOTH(c->gae(q, &(vly_gae_args){.T = T,
                                       .N = N,
                                       .reward = D(reward),
                                       .value = D(value),
                                       .flags = D(flags),
                                       .hyper = D(hyper),
                                       .advantage = D(advantage),
                                       .target = D(target),
                                       .mask = D(mask)}));
        if (scan)
            NEAR(advantage, 2e-6), NEAR(target, 2e-6);
        else
            SAME(advantage), SAME(target);
        SAME(mask);
        BOTH(c->vtrace(q,
                       &(vly_vtrace_args){T, N, D(reward), D(value), D(flags), D(before), D(after),
                                          D(hyper), D(advantage), D(target), D(mask), D(stats)}));
        if (scan)
            NEAR(advantage, 2e-5), NEAR(target, 2e-5);
        else
            SAME(advantage), SAME(target);
        SAME(mask);
        NEAR(stats, 1e-5);
        twin_free(p, &hyper), twin_free(p, &reward), twin_free(p, &value), twin_free(p, &flags),
            twin_free(p, &advantage), twin_free(p, &target);
        twin_free(p, &mask), twin_free(p, &stats), twin_free(p, &before), twin_free(p, &after);
    }
}

static twin turns_of(parity *p, int T, int N) {
    const size_t rows = (size_t)(T + 1) * (size_t)N;
    uint8_t *host = malloc(rows);
    for (size_t i = 0; i < rows; i++) host[i] = random_below(3) ? 0 : VLY_ROW_IDLE;
    const twin t = twin_of(p, host, rows);
    free(host);
    return t;
}

static void advantages_of_turns_agree(parity *p) {
    static const int shapes[][2] = {{1, 1}, {33, 257}, {128, 3}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int T = shapes[s][0], N = shapes[s][1];
        const size_t rows = (size_t)T * (size_t)N;
        const vly_hyper h = usual_hyper();
        twin hyper = twin_of(p, &h, sizeof h), reward = normals(p, rows, 1),
             value = normals(p, rows + (size_t)N, 1), flags = row_flags(p, T, N),
             own = turns_of(p, T, N);
        twin advantage = outputs(p, rows), target = outputs(p, rows), mask = outputs(p, rows);
        BOTH(c->gae(q, &(vly_gae_args){.T = T,
                                       .N = N,
                                       .reward = D(reward),
                                       .value = D(value),
                                       .flags = D(flags),
                                       .own = D(own),
                                       .hyper = D(hyper),
                                       .advantage = D(advantage),
                                       .target = D(target),
                                       .mask = D(mask)}));
        SAME(advantage), SAME(target), SAME(mask);
        twin_free(p, &hyper), twin_free(p, &reward), twin_free(p, &value), twin_free(p, &flags),
            twin_free(p, &own);
        twin_free(p, &advantage), twin_free(p, &target), twin_free(p, &mask);
    }
}

static void policy_losses_agree(parity *p) {
    static const int shapes[][2] = {{1, 2},    {257, 6},   {500, 18},
                                    {64, 700}, {33, 3000}, {5000, 2}}; /* the last is large */
    enum { ROWS = 700 };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int form = 0; form < 8; form++) {
            const int n = shapes[s][0], A = shapes[s][1];
            const bool plain = form & 1, sum = form & 2, normalize = form & 4;
            if (n > 4096 && form != 1 && form != 4) continue; /* with a kernel of moments */
            const vly_hyper h = usual_hyper();
            float masks[ROWS];
            for (int i = 0; i < ROWS; i++) masks[i] = random_below(7) != 0;
            twin hyper = twin_of(p, &h, sizeof h), row = numbers(p, (size_t)n, ROWS),
                 logits = normals(p, (size_t)(n * A), 2), value = normals(p, (size_t)n, 1);
            twin action = numbers(p, ROWS, A), logp_old = normals(p, ROWS, 1),
                 value_old = normals(p, ROWS, 1), advantage = normals(p, ROWS, 1);
            twin target = normals(p, ROWS, 1), mask = twin_of(p, masks, sizeof masks),
                 moments = outputs(p, 3);
            twin dlogits = outputs(p, (size_t)(n * A)), dvalue = outputs(p, (size_t)n),
                 stats = zeros(p, VLY_STATS * 4);
            BOTH(c->moments(q, n, D(advantage), D(row), D(mask), D(moments)));
            NEAR(moments, 1e-6);
            for (int own = 0; own < 2; own++) { /* moments; statistics add up */
                BOTH(c->policy_loss(q, &(vly_policy_loss_args){
                                           n, A, plain, sum, normalize, D(row), D(logits), D(value),
                                           D(action), D(logp_old), D(value_old), D(advantage),
                                           D(target), D(mask), own ? NULL : D(moments), D(hyper),
                                           D(dlogits), D(dvalue), D(stats)}));
                if (normalize)
                    NEAR(dlogits, 1e-6), NEAR(dvalue, 1e-6);
                else
                    SAME(dlogits), SAME(dvalue);
                NEAR(stats, 1e-5);
            }
            twin *all[] = {&hyper,     &row,    &logits, &value,   &action,  &logp_old, &value_old,
                           &advantage, &target, &mask,   &moments, &dlogits, &dvalue,   &stats};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
        }
}

static void dqn_losses_agree(parity *p) {
    static const int shapes[][2] = {{1, 2}, {257, 6}, {32, 18}};
    for (size_t s = 0; s < 3; s++)
        for (int form = 0; form < 4; form++) {
            const int n = shapes[s][0], A = shapes[s][1];
            const size_t numbers_q = (size_t)(n * A);
            const vly_hyper h = usual_hyper();
            twin hyper = twin_of(p, &h, sizeof h), q0 = normals(p, numbers_q, 2),
                 q1 = normals(p, numbers_q, 2), q2 = normals(p, numbers_q, 2);
            twin action = numbers(p, (size_t)n, A + 1), n_return = normals(p, (size_t)n, 1),
                 discount = normals(p, (size_t)n, 1), weight = normals(p, (size_t)n, 1);
            twin dq = outputs(p, numbers_q), td = outputs(p, (size_t)n),
                 stats = zeros(p, VLY_STATS * 4), v = normals(p, (size_t)n, 1);
            BOTH(c->dqn_loss(q, &(vly_dqn_loss_args){n, A, D(q0), D(q1), form & 1 ? D(q2) : NULL,
                                                     D(action), D(n_return), D(discount),
                                                     form & 2 ? D(weight) : NULL, D(hyper), D(dq),
                                                     D(td), D(stats)}));
            SAME(dq);
            SAME(td);
            NEAR(stats, 1e-5);
            BOTH(c->dueling(q, n, A, D(v), D(q0), D(dq)));
            SAME(dq);
            BOTH(c->dueling_backward(q, n, A, D(q1), D(v), D(dq)));
            SAME(dq);
            SAME(v);
            twin *all[] = {&hyper,    &q0,     &q1, &q2, &action, &n_return,
                           &discount, &weight, &dq, &td, &stats,  &v};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
        }
}

/* Its own weights, rounded: those of the CPU may differ in the last bit. */
static void low_is_rounded(parity *p, int64_t n, const twin *param, const twin *low) {
    float *w = twin_gpu(p, param);
    uint16_t *got = twin_gpu(p, low);
    for (int64_t i = 0; i < n; i++) {
        const float scale = i >= n - n / 7            ? 0.3f
                            : i >= n / 3 && i < n / 2 ? 1.0f / 255
                                                      : 1.0f,
                    x = scale * w[i];
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        CHECK_EQ(got[i], (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16));
    }
    free(w), free(got);
}

static void optimizers_step_alike(parity *p) {
    static const int sizes[] = {1, 257, 4096, 100003};
    static const vly_optimizer kinds[] = {{VLY_SGD, 0, 0, 0, 0.9f},
                                          {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0},
                                          {VLY_RMSPROP, 0, 0.99f, 0.01f, 0.5f},
                                          {VLY_RMSPROP_TF, 0, 0.99f, 0.1f, 0},
                                          {VLY_RMSPROP_CENTERED, 0, 0.95f, 0.01f, 0}};
    for (size_t s = 0; s < 4; s++)
        for (size_t k = 0; k < 5; k++) {
            const int64_t n = sizes[s];
            vly_hyper h = usual_hyper();
            twin hyper = twin_of(p, &h, sizeof h), param = normals(p, (size_t)n, 1),
                 grad = normals(p, (size_t)n, 0.1f), norm = outputs(p, 2);
            twin m = zeros(p, (size_t)n * 4), v = zeros(p, (size_t)n * 4), step = zeros(p, 8),
                 stats = zeros(p, VLY_STATS * 4), target = normals(p, (size_t)n, 1);
            twin low = twin_of(p, NULL, (size_t)n * 2);
            for (int round = 0; round < 3; round++) {
                BOTH(c->grad_norm(q, n, D(grad), D(norm)));
                NEAR(norm, 1e-6);
                BOTH(c->copy(q, D(norm), D(norm), 0));
                BOTH(c->optimize(
                    q, &kinds[k],
                    &(vly_params){.n = n,
                                  .param = D(param),
                                  .grad = D(grad),
                                  .m = D(m),
                                  .v = D(v),
                                  .step = D(step),
                                  .low = D(low),
                                  .scaled = {{n / 3, n / 2, 1.0f / 255}, {n - n / 7, n, 0.3f}}},
                    D(norm), D(hyper), D(stats)));
                NEAR(param, 1e-6);
                low_is_rounded(p, n, &param, &low);
                NEAR(m, 1e-6);
                NEAR(v, 1e-6);
                SAME(step);
                NEAR(stats, 1e-6);
            }
            BOTH(c->polyak(q, n, D(target), D(param), D(hyper)));
            NEAR(target, 1e-6);
            twin *all[] = {&hyper, &param, &grad, &norm, &m, &v, &step, &stats, &target, &low};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
        }
}

static void a_gradient_that_is_not_finite_changes_nothing(parity *p) {
    enum { N = 1000 };
    static const float poison[] = {NAN, INFINITY, 1e25f};
    for (int k = 0; k < 3; k++) {
        float g[N];
        for (int i = 0; i < N; i++) g[i] = random_normal();
        g[777] = poison[k];
        vly_hyper h = usual_hyper();
        h.max_grad_norm = 0;
        const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-8f, 0};
        twin hyper = twin_of(p, &h, sizeof h), param = normals(p, N, 1),
             grad = twin_of(p, g, sizeof g), norm = outputs(p, 2), same = normals(p, 1, 1);
        twin m = normals(p, N, 1), v = zeros(p, N * 4), step = zeros(p, 8),
             stats = zeros(p, VLY_STATS * 4), low = zeros(p, N * 2);
        float *before = twin_gpu(p, &param), *after;
        BOTH(c->grad_norm(q, N, D(grad), D(norm)));
        BOTH(c->optimize(q, &adam,
                         &(vly_params){.n = N,
                                       .param = D(param),
                                       .grad = D(grad),
                                       .m = D(m),
                                       .v = D(v),
                                       .step = D(step),
                                       .low = D(low)},
                         D(norm), D(hyper), D(stats)));
        after = twin_gpu(p, &param);
        CHECK(memcmp(before, after, N * 4) == 0);
        SAME(param), SAME(m), SAME(v), SAME(step), SAME(stats), SAME(low);
        free(before), free(after);
        twin *all[] = {&hyper, &param, &grad, &norm, &same, &m, &v, &step, &stats, &low};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
    }
}

static void priorities_and_samples_are_equal(parity *p) {
    static const int64_t capacities[] = {1, 15, 257, 5000};
    for (size_t k = 0; k < 4; k++) {
        vly_tree plan;
        twin sum[VLY_TREE_LEVELS_MAX], total = zeros(p, 16);
        CHECK_OK(vly_tree_plan(&plan, capacities[k]));
        vly_tree cpu = plan, gpu = plan;
        for (int l = 0; l < plan.levels; l++) {
            sum[l] = zeros(p, (size_t)plan.width[l] * 8);
            cpu.sum[l] = sum[l].cpu, gpu.sum[l] = sum[l].gpu;
        }
        cpu.total = total.cpu, gpu.total = total.gpu;
        const vly_hyper h = usual_hyper();
        enum { N = 300 };
        twin hyper = twin_of(p, &h, sizeof h), rng = twin_of(p, &(vly_rng){5, 0}, sizeof(vly_rng)),
             flags = row_flags(p, N, 1);
        twin row = outputs(p, N), weight = outputs(p, N);
        BOTH(c->tree_sample(q, on_gpu ? &gpu : &cpu, N, D(rng), D(hyper), D(row),
                            D(weight))); /* empty
                                          */
        SAME(row), SAME(weight);
        for (int round = 0; round < 4; round++) {
            twin some = numbers(p, N, (int)capacities[k] + 3),
                 priority = normals(p, N, 2); /* out of range, duplicates, negative */
            BOTH(c->tree_insert(q, on_gpu ? &gpu : &cpu, round * 50 - 3, N,
                                round == 3 ? NULL : D(flags)));
            BOTH(c->tree_set(q, on_gpu ? &gpu : &cpu, N, D(some), D(priority), D(hyper),
                             round == 1));
            if (round == 1) { /* raw zeros withdraw rows: only the sums must be consistent */
                for (int l = 0; l < plan.levels; l++)
                    CHECK_OK(p->gpu->upload(p->gpu_queue, sum[l].gpu, sum[l].cpu, sum[l].bytes));
                CHECK_OK(p->gpu->upload(p->gpu_queue, total.gpu, total.cpu, total.bytes));
            }
            for (int l = 0; l < plan.levels; l++) SAME(sum[l]);
            SAME(total);
            BOTH(c->tree_sample(q, on_gpu ? &gpu : &cpu, N, D(rng), D(hyper), D(row), D(weight)));
            SAME(row);
            SAME(weight);
            BOTH(c->rng_advance(q, D(rng)));
            twin_free(p, &some), twin_free(p, &priority);
        }
        for (int l = 0; l < plan.levels; l++) twin_free(p, &sum[l]);
        twin *all[] = {&hyper, &rng, &flags, &row, &weight, &total};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
    }
}

static void n_step_rows_and_orders_are_equal(parity *p) {
    enum { T = 40, N = 7, BATCH = 301 };
    const vly_hyper h = usual_hyper();
    twin hyper = twin_of(p, &h, sizeof h), reward = normals(p, T * N, 1),
         action = numbers(p, T * N, 6), flags = row_flags(p, T, N);
    twin row = numbers(p, BATCH, T * N), a = outputs(p, BATCH), r = outputs(p, BATCH),
         d = outputs(p, BATCH), b = outputs(p, BATCH);
    for (int steps = 1; steps <= 5; steps += 2) {
        BOTH(c->nstep(q, &(vly_nstep_args){{T, N, D(reward), D(action), D(flags)},
                                           BATCH,
                                           steps,
                                           D(row),
                                           D(hyper),
                                           D(a),
                                           D(r),
                                           D(d),
                                           D(b)}));
        SAME(a), SAME(r), SAME(d), SAME(b);
    }
    twin *all[] = {&hyper, &reward, &action, &flags, &row, &a, &r, &d, &b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
    static const int sizes[] = {1, 2, 257, 4096, 10000};
    for (size_t s = 0; s < 5; s++) {
        twin rng = twin_of(p, &(vly_rng){3, s}, sizeof(vly_rng)),
             order = outputs(p, (size_t)sizes[s]);
        BOTH(c->permutation(q, sizes[s], D(rng), D(order)));
        SAME(order);
        twin_free(p, &rng), twin_free(p, &order);
    }
}

static void elements_agree(parity *p) {
    static const int64_t sizes[] = {1, 7, 8, 257, 30001};
    for (size_t s = 0; s < 5; s++) {
        const int64_t n = sizes[s];
        twin x = normals(p, (size_t)n, 1), y = normals(p, (size_t)n, 1),
             z = normals(p, (size_t)n, 1);
        twin low = twin_of(p, NULL, (size_t)n * 2), low2 = twin_of(p, NULL, (size_t)n * 2),
             low3 = twin_of(p, NULL, (size_t)n * 2);
        BOTH(c->convert(q, n, VLY_F32, D(x), VLY_BF16, D(low)));
        BOTH(c->convert(q, n, VLY_F32, D(y), VLY_BF16, D(low2)));
        SAME(low), SAME(low2);
        BOTH(c->relu(q, VLY_F32, n, D(x), D(z)));
        BOTH(c->relu(q, VLY_BF16, n, D(low), D(low3)));
        SAME(z), SAME(low3);
        for (int accumulate = 1; accumulate >= 0; accumulate--) {
            BOTH(c->relu_backward(q, VLY_F32, n, D(x), D(y), D(z), accumulate));
            BOTH(c->relu_backward(q, VLY_BF16, n, D(low), D(low2), D(low3), accumulate));
            SAME(z), SAME(low3);
        }
        BOTH(c->add(q, VLY_F32, n, D(x), D(z)));
        BOTH(c->add(q, VLY_BF16, n, D(low), D(low3)));
        SAME(z), SAME(low3);
        BOTH(c->convert(q, n, VLY_BF16, D(low3), VLY_F32, D(z)));
        SAME(z);
        twin *all[] = {&x, &y, &z, &low, &low2, &low3};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
    }
}

static void fingerprints_are_equal(parity *p) {
    static const int sizes[] = {0, 1, 257, 100003};
    for (size_t s = 0; s < 4; s++) {
        twin x = normals(p, (size_t)sizes[s] + 1, 1), out = outputs(p, 2);
        BOTH(c->fingerprint(q, sizes[s], D(x), D(out)));
        SAME(out);
        twin_free(p, &x), twin_free(p, &out);
    }
}

static void bad_arguments_are_refused(parity *p) {
    vly_compute *c = p->gpu;
    vly_queue *q = p->gpu_queue;
    CHECK_EQ(c->gae(q, &(vly_gae_args){0}), VLY_EINVAL);
    CHECK_EQ(c->policy_loss(q, &(vly_policy_loss_args){0}), VLY_EINVAL);
    CHECK_EQ(c->sample_policy(q, 3, 2, NULL, NULL, NULL, 0, NULL, NULL, NULL), VLY_EINVAL);
    CHECK_EQ(c->permutation(q, -1, NULL, NULL), VLY_EINVAL);
    CHECK_EQ(c->convert(q, 8, VLY_U8, c, VLY_F32, c), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "vly_convert_launch") != NULL);
}

int main(void) {
    parity both = parity_open(), *p = &both;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        parity_seed(seed);
        the_same_actions_are_drawn(p);
        actions_are_shown_to_the_host(p);
        frames_are_gathered_alike(p);
        advantages_agree(p);
        advantages_of_turns_agree(p);
        policy_losses_agree(p);
        dqn_losses_agree(p);
        optimizers_step_alike(p);
        a_gradient_that_is_not_finite_changes_nothing(p);
        priorities_and_samples_are_equal(p);
        n_step_rows_and_orders_are_equal(p);
        elements_agree(p);
        fingerprints_are_equal(p);
    }
    bad_arguments_are_refused(p);
#ifdef VLY_TEST_SHIM
    downloads_remain_where_nothing_is_mapped();
#endif
    parity_close(p);
    return TEST_PASS;
}
