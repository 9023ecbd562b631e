/* The tables of unrolls that a checkpoint of IMPALA holds: what does not agree is refused, and what
 * no group holds is free again. */
#include <string.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

enum { BUFFERS = 96, READY = 0, SLOT_LEARN = 1, SLOT_TAIL = 2 };

typedef struct {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_buffer list[BUFFERS];
    int n;
} tables;

static void open_tables(tables *r) {
    vly_train_result result;
    memset(r, 0, sizeof *r);
    settings_resolve(&r->config, "cartpole", "classic",
                     "run.algo=impala run.envs=4 pool.groups=2 pool.schedule=sync impala.rollout=4 "
                     "impala.batch=4 net.hidden=4 run.steps=56");
    CHECK_OK(vly_env_open(&r->env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&r->c, 1));
    const vly_train_options o = {.compute = r->c, .env = &r->env, .config = &r->config};
    CHECK_OK(vly_train_create(&r->t, &o));
    CHECK_OK(vly_train_run(r->t, &result));
    r->n = vly_train_buffers(r->t, r->list, BUFFERS);
    CHECK(r->n <= BUFFERS);
}

static void close_tables(tables *r) {
    vly_train_destroy(r->t);
    r->c->destroy(r->c);
    r->env.close(&r->env);
}

static vly_buffer *find(tables *r, const char *name) {
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->list[i].name, name)) return &r->list[i];
    fprintf(stderr, "no buffer %s\n", name);
    exit(TEST_FAIL);
}

static void tables_that_do_not_agree_are_refused(void) {
    tables r;
    open_tables(&r);
    int64_t *const numbers = find(&r, "slots.numbers")->data, ready_count = numbers[READY];
    int32_t *const ready = find(&r, "slots.ready")->data,
                   *const slot = find(&r, "groups.slot")->data,
                   *const cursor = find(&r, "groups.cursor")->data;
    const int32_t kept_ready[2] = {ready[0], ready[1]}, kept_slot = slot[0],
                  kept_cursor = cursor[0];
    CHECK_OK(vly_train_restored(r.t));
    ready[0] = ready[1] = slot[1], numbers[READY] = 2; /* complete twice */
    CHECK_EQ(vly_train_restored(r.t), VLY_ECORRUPT);
    numbers[READY] = 1, ready[0] = slot[0], cursor[0] = 1; /* complete, and being filled */
    CHECK_EQ(vly_train_restored(r.t), VLY_ECORRUPT);
    numbers[READY] = ready_count, ready[0] = kept_ready[0], ready[1] = kept_ready[1];
    cursor[0] = kept_cursor, slot[0] = slot[1]; /* of two groups */
    CHECK_EQ(vly_train_restored(r.t), VLY_ECORRUPT);
    slot[0] = kept_slot;
    CHECK_OK(vly_train_restored(r.t));
    close_tables(&r);
}

static void what_no_group_holds_is_free(void) {
    tables r;
    open_tables(&r);
    const vly_buffer *b = find(&r, "slots.busy");
    int32_t *const busy = b->data;
    const int64_t slots = b->shape[0];
    int32_t kept[64];
    CHECK(slots <= 64);
    memcpy(kept, busy, (size_t)slots * sizeof *busy);
    for (int64_t s = 0; s < slots; s++)
        if (!busy[s]) busy[s] = SLOT_LEARN | SLOT_TAIL; /* taken by a group that hung */
    CHECK(memcmp(kept, busy, (size_t)slots * sizeof *busy) != 0);
    CHECK_OK(vly_train_restored(r.t));
    CHECK(memcmp(kept, busy, (size_t)slots * sizeof *busy) == 0);
    close_tables(&r);
}

/* It is said to have begun, and stands before its first row. */
static void a_group_without_an_observation_does_not_act(void) {
    tables r;
    vly_train_result result;
    open_tables(&r);
    int32_t *const cursor = find(&r, "groups.cursor")->data;
    cursor[0] = -1;
    CHECK_OK(vly_train_restored(r.t));
    r.config.run.steps = 200;
    CHECK_EQ(vly_train_run(r.t, &result), VLY_ECORRUPT);
    CHECK(strstr(vly_error_text(), "no observation") != NULL);
    close_tables(&r);
}

int main(void) {
    tables_that_do_not_agree_are_refused();
    what_no_group_holds_is_free();
    a_group_without_an_observation_does_not_act();
    return TEST_PASS;
}
