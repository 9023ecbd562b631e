/* Replay memory against a plain record of everything that ever happened. */
#include "common/base/philox.h"
#include "common/learn/replay.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/check.h"

enum { BYTES = 6, STEPS_MAX = 900, ACTORS_MAX = 6 };

static vly_compute *c;
static vly_queue *q;

static uint32_t draw(uint32_t a, uint32_t b, uint32_t lane) {
    return vly_philox(77, VLY_STREAM_TEST, (uint64_t)a << 32 | b, lane).v[0];
}

/* ---- the record: what each actor lived through ---- */

typedef struct {
    uint8_t frame[BYTES], flags, age; /* flags: which came with this frame */
    float reward;                     /* likewise */
    int32_t action;                   /* chosen here */
} moment;
static moment lived[ACTORS_MAX][STEPS_MAX];

/* Episodes of random length, terminated, truncated, life-lost or failed. */
static void live(int actors, uint32_t seed) {
    for (int a = 0; a < actors; a++) {
        bool ended = true;
        for (int t = 0; t < STEPS_MAX; t++) {
            moment *m = &lived[a][t];
            const uint32_t x = draw(seed, (uint32_t)t, (uint32_t)a), kind = x % 16;
            m->flags = ended                ? VLY_ROW_RESET
                       : kind == 0          ? VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER
                       : kind == 1          ? VLY_ROW_TRUNCATED
                       : kind == 2          ? VLY_ROW_TERMINATED | VLY_ROW_LIFE_LOST
                       : kind == 3 && t > 0 ? VLY_ROW_FAILED | VLY_ROW_RESET
                                            : 0;
            if (t == 0) m->flags = VLY_ROW_RESET;
            ended = (m->flags & VLY_ROW_ENDED) != 0;
            m->age = (m->flags & VLY_ROW_RESET) || t == 0 ? 0 : (uint8_t)(lived[a][t - 1].age + 1);
            m->reward = (m->flags & VLY_ROW_RESET) ? 0 : (float)(x >> 8 & 255) / 16.0f - 8;
            m->action = (int32_t)(x >> 20);
            memcpy(m->frame, &x, 4);
            m->frame[4] = (uint8_t)a, m->frame[5] = (uint8_t)(t % 251);
        }
    }
}

/* What an n-step sample from (actor, t) must be, by the definition; false: it is no transition. */
static bool expected(int a, int t, int n, double gamma, double *ret, double *discount,
                     int *bootstrap) {
    if (lived[a][t + 1].flags & VLY_ROW_RESET) return false;
    *ret = 0, *discount = 1, *bootstrap = t;
    for (int k = 1; k <= n; k++) {
        const moment *m = &lived[a][t + k];
        if (m->flags & VLY_ROW_RESET)
            return true; /* failed on the way: value of the last good frame */
        *ret += *discount * (double)m->reward;
        *discount *= gamma;
        *bootstrap = t + k;
        if (m->flags & VLY_ROW_TERMINATED) *discount = 0;
        if (m->flags & VLY_ROW_ENDED) return true;
    }
    return true;
}

/* ---- driving ---- */

static void step_group(vly_replay *r, int g, int t) {
    vly_rows rows;
    uint8_t age[ACTORS_MAX];
    int32_t action[ACTORS_MAX];
    vly_replay_place(r, g, &rows);
    for (int i = 0; i < r->M; i++) {
        const moment *m = &lived[g * r->M + i][t];
        const vly_rows at = vly_rows_at(rows, (size_t)i);
        memcpy(at.obs, m->frame, BYTES);
        *at.reward = m->reward, *at.score = 1, *at.flags = m->flags;
        age[i] = m->age, action[i] = m->action;
    }
    CHECK_OK(vly_replay_arrived(r, q, g, age));
    CHECK_OK(vly_replay_acted(r, q, g, action));
}

static vly_replay *new_replay(int actors, int groups, int capacity, int n, int stack, int batch,
                              bool prioritized) {
    const vly_replay_options o = {.obs = {.dtype = VLY_U8,
                                          .ndim = 3,
                                          .shape = {2, 3, 1},
                                          .stack = stack,
                                          .scale = 1,
                                          .bytes = BYTES},
                                  .actors = actors,
                                  .groups = groups,
                                  .capacity = capacity,
                                  .n_step = n,
                                  .batch = batch,
                                  .prioritized = prioritized};
    vly_replay *r;
    CHECK_OK(vly_replay_create(&r, c, &o));
    return r;
}

/* Frames of the stack at (actor, t), oldest first, from the record. */
static void check_stack(const vly_replay *r, int64_t row, int a, int t) {
    const int stack = r->o.obs.stack;
    uint8_t x[BYTES * 8];
    const int32_t at = (int32_t)row;
    const vly_frames frames = vly_replay_frames(r);
    CHECK_OK(c->gather(q, &frames, 1, &at, 0, VLY_U8, x));
    for (int k = 0; k < stack; k++)
        for (int i = 0; i < BYTES; i++) {
            const int back = stack - 1 - k;
            CHECK_EQ(x[i * stack + k], back <= lived[a][t].age ? lived[a][t - back].frame[i] : 0);
        }
}

/* Every row of the ring: sampleable exactly when it should be, and then with the right contents. */
static void check_all(vly_replay *r, const int *newest) {
    const float gamma = 0.9f;
    const vly_hyper hyper = {.gamma = gamma, .reward_scale = 1};
    int64_t size = 0;
    for (int a = 0; a < r->N; a++) {
        const int h = newest[a / r->M];
        for (int t = h < r->T ? 0 : h - (int)r->T + 1; t <= h; t++) {
            const int64_t row = t % r->T * r->N + a;
            double ret, discount;
            int bootstrap;
            /* the next frame overwrites step h + 1 - T: nothing may need it, however young the
             * episode */
            const bool whole = t + r->o.n_step <= h && t - (r->o.obs.stack - 1) > h + 1 - r->T;
            const bool should = whole && expected(a, t, r->o.n_step, (double)gamma, &ret, &discount,
                                                  &bootstrap);
            CHECK_EQ(r->tree.sum[0][row] != 0, should);
            if (!should) continue;
            size++;
            int32_t in = (int32_t)row, action, boot;
            vly_real n_return, d;
            const vly_nstep_args args = {.rows = {r->T, r->N, r->reward, r->action, r->flags},
                                         .n = 1,
                                         .steps = r->o.n_step,
                                         .row = &in,
                                         .hyper = &hyper,
                                         .action = &action,
                                         .n_return = &n_return,
                                         .discount = &d,
                                         .bootstrap_row = &boot};
            CHECK_OK(c->nstep(q, &args));
            CHECK_EQ(action, lived[a][t].action);
            CHECK_NEAR(n_return, ret, 1e-5);
            CHECK_NEAR(d, discount, 1e-6);
            check_stack(r, row, a, t);
            if (discount == 0) continue;
            CHECK_EQ(boot, bootstrap % r->T * r->N + a);
            check_stack(r, boot, a, bootstrap);
        }
    }
    CHECK_EQ(vly_replay_size(r), size);
}

static void what_is_sampled_is_what_was_lived(void) {
    const struct {
        int actors, groups, capacity, n, stack;
    } cases[] = {{1, 1, 16, 1, 1}, {6, 2, 64, 3, 4},  {4, 4, 40, 5, 2},
                 {3, 1, 3, 1, 4},  {6, 3, 100, 1, 8}, {2, 1, 17, 10, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vly_replay *r = new_replay(cases[i].actors, cases[i].groups, cases[i].capacity, cases[i].n,
                                   cases[i].stack, 4, true);
        int newest[ACTORS_MAX], t[ACTORS_MAX] = {0};
        for (int g = 0; g < ACTORS_MAX; g++) newest[g] = -1;
        live(cases[i].actors, (uint32_t)i);
        for (int event = 0; event < 700; event++) { /* groups at their own pace */
            const int g = (int)(draw(9, (uint32_t)event, 0) % (uint32_t)cases[i].groups);
            if (t[g] + 1 == STEPS_MAX) continue;
            step_group(r, g, t[g]);
            newest[g] = t[g]++;
            if (event % 7 == 0 || event > 650) check_all(r, newest);
        }
        CHECK(vly_replay_size(r) <= cases[i].capacity + cases[i].actors);
        vly_replay_destroy(r);
    }
}

/* ---- sampling ---- */

/* Upper 1e-6 point of chi-square with k degrees of freedom (Wilson and Hilferty 1931). */
static double chi_limit(double k) {
    const double z = 4.753, a = 2 / (9 * k);
    return k * pow(1 - a + z * sqrt(a), 3);
}

static double chi_square(const vly_replay *r, const int64_t *seen, int64_t draws, int *cells) {
    double chi = 0;
    *cells = 0;
    for (int64_t row = 0; row < r->tree.capacity; row++) {
        const double p = (double)r->tree.sum[0][row] / (double)r->tree.total[0],
                     e = p * (double)draws;
        if (p == 0)
            CHECK_EQ(seen[row], 0);
        else
            chi += ((double)seen[row] - e) * ((double)seen[row] - e) / e, ++*cells;
    }
    return chi;
}

static void recount(const vly_replay *r) {
    const vly_tree *t = &r->tree;
    for (int l = 0; l + 1 < t->levels; l++)
        for (int64_t i = 0; i < t->width[l] / VLY_TREE_RADIX; i++) {
            uint64_t sum = 0;
            for (int k = 0; k < VLY_TREE_RADIX; k++) sum += t->sum[l][i * VLY_TREE_RADIX + k];
            CHECK(sum == t->sum[l + 1][i]);
        }
    uint64_t total = 0;
    for (int k = 0; k < VLY_TREE_RADIX; k++) total += t->sum[t->levels - 1][k];
    CHECK(total == t->total[0]);
}

/* A million updates of priorities mixed with insertions, then draws against the exact
 * probabilities. */
static void draws_follow_priorities_after_a_million_updates(void) {
    enum { BATCH = 250, DRAWS = 4000 };
    vly_replay *r = new_replay(6, 1, 3000, 3, 1, BATCH, true);
    live(6, 99);
    vly_rng rng = {.seed = 5};
    const vly_hyper hyper = {
        .gamma = 0.99f, .alpha = 0.6f, .beta = 0.5f, .priority_eps = 1e-3f, .reward_scale = 1};
    int t = 0;
    for (int update = 0; update < 1000000 / BATCH; update++, rng.step++) {
        if (t < STEPS_MAX && (update < 500 || update % 10 == 0)) step_group(r, 0, t++);
        CHECK_OK(vly_replay_sample(r, q, &rng, &hyper));
        for (int i = 0; i < BATCH; i++) /* errors over five orders of magnitude */
            r->batch.td_abs[i] =
                (vly_real)pow(10.0, vly_unit(draw(3, (uint32_t)update, (uint32_t)i)) * 5 - 3);
        CHECK_OK(vly_replay_update(r, q, &hyper));
    }
    recount(r);
    int64_t *seen = calloc((size_t)r->tree.capacity, sizeof *seen);
    for (int k = 0; k < DRAWS; k++, rng.step++) {
        CHECK_OK(vly_replay_sample(r, q, &rng, &hyper));
        double largest = 0;
        for (int i = 0; i < BATCH; i++) {
            seen[r->batch.row[i]]++;
            largest = fmax(largest, (double)r->batch.weight[i]);
            const double p = (double)r->tree.sum[0][r->batch.row[i]],
                         p0 = (double)r->tree.sum[0][r->batch.row[0]];
            CHECK_NEAR(r->batch.weight[i] / r->batch.weight[0], pow(p / p0, -0.5), 1e-4);
        }
        CHECK_NEAR(largest, 1, 1e-6);
    }
    int cells;
    const double chi = chi_square(r, seen, (int64_t)DRAWS * BATCH, &cells);
    CHECK(cells > 2000);
    CHECK(chi < chi_limit(cells - 1));
    printf("prioritized: chi-square %.0f over %d rows, limit %.0f\n", chi, cells,
           chi_limit(cells - 1));
    free(seen);
    vly_replay_destroy(r);
}

static void uniform_draws_are_uniform_over_transitions(void) {
    enum { BATCH = 128, DRAWS = 4000 };
    vly_replay *r = new_replay(6, 2, 600, 2, 4, BATCH, false);
    live(6, 4);
    CHECK(r->batch.weight == NULL && r->batch.td_abs == NULL);
    for (int t = 0; t < 300; t++)
        for (int g = 0; g < 2; g++) step_group(r, g, t);
    vly_rng rng = {.seed = 8};
    const vly_hyper hyper = {.gamma = 0.99f, .reward_scale = 1};
    int64_t *seen = calloc((size_t)r->tree.capacity, sizeof *seen);
    for (int k = 0; k < DRAWS; k++, rng.step++) {
        CHECK_OK(vly_replay_sample(r, q, &rng, &hyper));
        CHECK_OK(vly_replay_update(r, q, &hyper));
        for (int i = 0; i < BATCH; i++) {
            seen[r->batch.row[i]]++;
            CHECK(r->batch.action[i] >= 0);
        }
    }
    int cells;
    const double chi = chi_square(r, seen, (int64_t)DRAWS * BATCH, &cells);
    CHECK_EQ(cells, vly_replay_size(r));
    CHECK(chi < chi_limit(cells - 1));
    free(seen);
    vly_replay_destroy(r);
}

static void an_empty_memory_gives_no_rows(void) {
    vly_replay *r = new_replay(2, 1, 32, 1, 1, 8, true);
    const vly_rng rng = {.seed = 1};
    const vly_hyper hyper = {.gamma = 0.9f, .alpha = 0.6f, .beta = 0.4f, .reward_scale = 1};
    live(2, 1);
    step_group(r, 0, 0);
    CHECK_OK(vly_replay_sample(r, q, &rng, &hyper));
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(r->batch.row[i], -1);
        CHECK_EQ(r->batch.action[i], -1);
        CHECK(r->batch.weight[i] == 0);
        r->batch.td_abs[i] = 3;
    }
    CHECK_OK(vly_replay_update(r, q, &hyper));
    CHECK(r->tree.total[0] == 0);
    CHECK_EQ(vly_replay_size(r), 0);
    vly_replay_destroy(r);
}

/* An update that comes late must not bring back a row that was withdrawn meanwhile. */
static void a_withdrawn_row_stays_withdrawn(void) {
    vly_replay *r = new_replay(1, 1, 16, 1, 1, 64, true);
    const vly_rng rng = {.seed = 1};
    const vly_hyper hyper = {.gamma = 0.9f, .alpha = 1, .beta = 0.4f, .reward_scale = 1};
    int newest[1] = {0};
    live(1, 2);
    int t = 0;
    for (; t < 40; t++) step_group(r, 0, t);
    CHECK_OK(vly_replay_sample(r, q, &rng, &hyper));
    for (; t < 45; t++) step_group(r, 0, t);
    for (int i = 0; i < 64; i++) r->batch.td_abs[i] = 2;
    CHECK_OK(vly_replay_update(r, q, &hyper));
    newest[0] = t - 1;
    check_all(r, newest);
    recount(r);
    vly_replay_destroy(r);
}

/* ---- saving ---- */

static void restored_memory_goes_on_bit_for_bit(void) {
    vly_replay *a = new_replay(6, 2, 200, 3, 4, 32, true),
               *b = new_replay(6, 2, 200, 3, 4, 32, true);
    live(6, 12);
    for (int t = 0; t < 90; t++)
        for (int g = 0; g < 2; g++) step_group(a, g, t);
    step_group(a, 0, 90);
    vly_buffer from[16], to[16];
    vly_buffer_list la = {from, 0, 16}, lb = {to, 0, 16};
    vly_replay_buffers(a, &la);
    vly_replay_buffers(b, &lb);
    CHECK_EQ(la.n, lb.n);
    for (int i = 0; i < la.n; i++) {
        CHECK_STR(from[i].name, to[i].name);
        CHECK_EQ(vly_buffer_bytes(&from[i]), vly_buffer_bytes(&to[i]));
        memcpy(to[i].data, from[i].data, vly_buffer_bytes(&to[i]));
    }
    CHECK_OK(vly_replay_restored(b, q));
    CHECK_EQ(vly_replay_size(a), vly_replay_size(b));
    vly_rng rng = {.seed = 3};
    const vly_hyper hyper = {.gamma = 0.9f, .alpha = 0.7f, .beta = 0.4f, .reward_scale = 1};
    for (int t = 90; t < 200; t++, rng.step++) {
        vly_replay *const both[2] = {a, b};
        for (int k = 0; k < 2; k++) {
            if (t > 90) step_group(both[k], 0, t);
            step_group(both[k], 1, t);
            CHECK_OK(vly_replay_sample(both[k], q, &rng, &hyper));
            for (int i = 0; i < 32; i++)
                both[k]->batch.td_abs[i] = (vly_real)(draw(1, (uint32_t)t, (uint32_t)i) % 100) / 7;
            CHECK_OK(vly_replay_update(both[k], q, &hyper));
        }
        CHECK(memcmp(a->batch.row, b->batch.row, 32 * sizeof(int32_t)) == 0);
        CHECK(memcmp(a->tree_memory, b->tree_memory, (size_t)a->tree_words * 8) == 0);
    }
    CHECK_EQ(vly_replay_size(a), vly_replay_size(b));
    b->step[1] = -7;
    CHECK_EQ(vly_replay_restored(b, q), VLY_ECORRUPT);
    vly_replay_destroy(a);
    vly_replay_destroy(b);
}

/* Each number of a saved tree by itself, larger and smaller: a leaf, a sum, what lies beside them. */
static void priorities_that_do_not_add_up_are_refused(void) {
    vly_replay *r = new_replay(6, 2, 200, 3, 4, 32, true);
    live(6, 12);
    for (int t = 0; t < 90; t++)
        for (int g = 0; g < 2; g++) step_group(r, g, t);
    CHECK_OK(vly_replay_restored(r, q));
    CHECK(r->tree.levels > 1 && r->tree.width[0] > r->tree.capacity);
    uint64_t *const words = r->tree_memory, *const largest = r->tree.total + 1;
    for (uint64_t *word = words; word <= largest; word++) {
        const uint64_t good = *word, bad[] = {good + 1, good - 1, good | (uint64_t)1 << 40};
        for (int i = 0; i < 3; i++) {
            const bool allowed = word == largest && bad[i] <= VLY_PRIORITY_MOST;
            *word = bad[i];
            CHECK_EQ(vly_replay_restored(r, q), allowed ? VLY_OK : VLY_ECORRUPT);
        }
        *word = good;
    }
    for (uint64_t *word = words; word < r->tree.total; word++) *word = VLY_PRIORITY_MOST + 1;
    CHECK_EQ(vly_replay_restored(r, q), VLY_ECORRUPT);
    vly_replay_destroy(r);
}

static void sizes_follow_capacity_and_budget(void) {
    vly_replay *r = new_replay(6, 2, 1000, 3, 4, 8, true);
    CHECK(r->T * r->N >= 1000 && r->bytes < 2000 * vly_replay_row_bytes(&r->o.obs));
    vly_replay_options o = r->o;
    vly_replay_destroy(r);
    o.bytes = (int64_t)vly_replay_row_bytes(&o.obs) * 6 * 50;
    CHECK_OK(vly_replay_create(&r, c, &o));
    CHECK_EQ(r->T, 50);
    CHECK(r->bytes < (size_t)o.bytes + 8192);
    vly_replay_destroy(r);
    o.bytes = 100;
    CHECK_EQ(vly_replay_create(&r, c, &o), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "--replay.bytes") != NULL);
    CHECK(r == NULL);
    const int64_t step = (int64_t)vly_replay_row_bytes(&o.obs) * 6; /* 7 of margin, 2 for a batch */
    o.bytes = step * 8;
    CHECK_EQ(vly_replay_create(&r, c, &o), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "does not hold 9 steps") != NULL);
    o.bytes = step * 9;
    CHECK_OK(vly_replay_create(&r, c, &o));
    CHECK(vly_replay_most(r) >= o.batch);
    vly_replay_destroy(r);
    o.bytes = 0, o.capacity = 4000000000;
    CHECK_EQ(vly_replay_create(&r, c, &o), VLY_EINVAL);
    o.capacity = 0;
    CHECK_EQ(vly_replay_create(&r, c, &o), VLY_EINVAL);
    o.capacity = 10, o.groups = 4;
    CHECK_EQ(vly_replay_create(&r, c, &o), VLY_EINVAL);
}

int main(void) {
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
    what_is_sampled_is_what_was_lived();
    draws_follow_priorities_after_a_million_updates();
    uniform_draws_are_uniform_over_transitions();
    an_empty_memory_gives_no_rows();
    a_withdrawn_row_stays_withdrawn();
    restored_memory_goes_on_bit_for_bit();
    priorities_that_do_not_add_up_are_refused();
    sizes_follow_capacity_and_budget();
    c->queue_destroy(q);
    c->destroy(c);
    return TEST_PASS;
}
