/* Actions that are numbers, and masks, come back from the replay memory with their rows; a saved
 * memory has them too. */
#include "common/learn/replay.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/check.h"

enum { ACTORS = 2, NUMBERS = 3, CHOICES = 4, BATCH = 64, CAPACITY = 40 };

static vly_compute *c;
static vly_queue *q;

static uint8_t allowed_at(int t, int actor, int k) {
    return (uint8_t)((t * 7 + actor * 3 + k) % 3 != 0);
}

/* Frame t of an actor is (t, actor), its action (t, actor, t - actor). */
static void step(vly_replay *r, int t) {
    vly_rows rows = {0};
    vly_real numbers[ACTORS * NUMBERS];
    const uint8_t age[ACTORS] = {0};
    vly_replay_place(r, 0, &rows);
    CHECK_EQ(rows.mask_stride, CHOICES);
    for (int a = 0; a < ACTORS; a++) {
        const vly_rows at = vly_rows_at(rows, (size_t)a);
        const float obs[2] = {(float)t, (float)a};
        memcpy(at.obs, obs, sizeof obs);
        *at.reward = *at.score = 1;
        *at.flags = t == 0 ? VLY_ROW_RESET : 0;
        for (int k = 0; k < CHOICES; k++) at.mask[k] = allowed_at(t, a, k);
        numbers[a * NUMBERS] = (vly_real)t, numbers[a * NUMBERS + 1] = (vly_real)a,
                    numbers[a * NUMBERS + 2] = (vly_real)(t - a);
    }
    CHECK_OK(vly_replay_arrived(r, q, 0, age));
    CHECK_OK(vly_replay_acted_numbers(r, q, 0, numbers));
}

static vly_replay *create(void) {
    const vly_replay_options o = {
        .obs = {.dtype = VLY_F32, .ndim = 1, .shape = {2}, .stack = 1, .scale = 1, .bytes = 8},
        .actors = ACTORS,
        .groups = 1,
        .capacity = CAPACITY,
        .n_step = 1,
        .batch = BATCH,
        .numbers = NUMBERS,
        .choices = CHOICES};
    vly_replay *r;
    CHECK_OK(vly_replay_create(&r, c, &o));
    return r;
}

static void check_sample(vly_replay *r, uint64_t draw, int last) {
    const vly_rng rng = {3, draw};
    const vly_hyper h = {.gamma = 0.9f, .reward_scale = 1};
    const vly_replay_batch *b = &r->batch;
    CHECK_OK(vly_replay_sample(r, q, &rng, &h));
    for (int i = 0; i < BATCH; i++) {
        float obs[2];
        memcpy(obs, r->frames + (size_t)b->row[i] * 8, sizeof obs);
        const int t = (int)obs[0], a = (int)obs[1];
        CHECK(t >= 0 && t < last);
        CHECK_EQ(b->action[i], 0);
        CHECK_EQ(b->numbers[i * NUMBERS], t);
        CHECK_EQ(b->numbers[i * NUMBERS + 1], a);
        CHECK_EQ(b->numbers[i * NUMBERS + 2], t - a);
        for (int k = 0; k < CHOICES; k++) {
            CHECK_EQ(b->allowed[i * CHOICES + k], allowed_at(t, a, k));
            CHECK_EQ(b->next_allowed[i * CHOICES + k], allowed_at(t + 1, a, k));
        }
    }
}

static void copy_saved(const vly_replay *from, const vly_replay *to) {
    vly_buffer a[32], b[32];
    vly_buffer_list from_list = {a, 0, 32}, to_list = {b, 0, 32};
    vly_replay_buffers(from, &from_list);
    vly_replay_buffers(to, &to_list);
    CHECK_EQ(from_list.n, to_list.n);
    for (int i = 0; i < from_list.n; i++) memcpy(b[i].data, a[i].data, vly_buffer_bytes(&a[i]));
}

int main(void) {
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
    vly_replay *r = create(), *again = create();
    for (int t = 0; t < 100; t++) { /* the ring goes round several times */
        step(r, t);
        if (t > 4) check_sample(r, (uint64_t)t, t);
    }
    copy_saved(r, again);
    CHECK_OK(vly_replay_restored(again, q));
    check_sample(again, 7, 99);
    vly_buffer recent[8];
    vly_buffer_list list = {recent, 0, 8};
    vly_replay_recent_buffers(r, &list);
    CHECK_EQ(list.n, 2);
    CHECK_STR(recent[1].name, "allowed");
    for (int k = 0; k < CHOICES; k++)
        CHECK_EQ(((const uint8_t *)recent[1].data)[k], allowed_at(99, 0, k));
    vly_replay_destroy(r);
    vly_replay_destroy(again);
    c->queue_destroy(q);
    c->destroy(c);
    return TEST_PASS;
}
