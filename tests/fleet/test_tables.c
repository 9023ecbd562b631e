/* Tables through a real Redis: what the hub counts for each worker. */
#include "tests/kit/check.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include <pthread.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "cpu/fleet/tables.h"

enum { STATES = 3, ACTIONS = 2, WORLD = 2, TTL_MS = 2000 };
static char folder[64] = "/tmp/volley-tables-XXXXXX";
static vly_store_server *redis;

typedef struct {
    int known, unknown;
    double sum;
} heard;

static void hear_score(void *arg, double score) {
    heard *h = arg;
    if (isnan(score))
        h->unknown++;
    else
        h->known++, h->sum += score;
}

static vly_tab *open_worker(vly_store *store, vly_tab_scheme scheme, int rank) {
    const vly_tab_options o = {
        .scheme = scheme, .rank = rank, .world = WORLD, .every = 1, .ttl_ms = TTL_MS, .seed = 1};
    vly_tab *t;
    CHECK_OK(vly_tab_create(&t, store, &o));
    return t;
}

static vly_tab_hub *open_hub(vly_store *store, vly_tab_scheme scheme) {
    const vly_tab_options o = {.scheme = scheme, .world = WORLD, .ttl_ms = TTL_MS};
    vly_tab_hub *h;
    CHECK_OK(vly_tab_hub_create(&h, store, &o, STATES, ACTIONS));
    return h;
}

/* One worker finishes one episode, the other many: each counts once. */
static void every_episode_counts_once(void) {
    vly_store *store[WORLD + 1];
    vly_tab *worker[WORLD];
    vly_tab_hub *hub;
    vly_real table[WORLD][STATES * ACTIONS] = {{0}}, whole[STATES * ACTIONS];
    uint32_t visits[WORLD][STATES * ACTIONS] = {{0}};
    const double once[] = {1}, often[] = {0, 0, 0};
    double many[40];
    heard h = {0};
    for (int i = 0; i <= WORLD; i++)
        CHECK_OK(vly_store_open(&store[i], vly_store_server_url(redis), "episodes", NULL));
    hub = open_hub(store[WORLD], VLY_TAB_GOSSIP);
    vly_tab_hub_on_episode(hub, hear_score, &h);
    for (int i = 0; i < WORLD; i++) {
        worker[i] = open_worker(store[i], VLY_TAB_GOSSIP, i);
        vly_tab_note(worker[i], 10, 10, i ? often : once, i ? 3 : 1);
        vly_sync *sync = vly_tab_sync(worker[i]);
        CHECK_OK(sync->tables->merge(sync, STATES, ACTIONS, table[i], visits[i]));
    }
    CHECK_OK(vly_tab_hub_table(hub, whole, NULL));
    CHECK_OK(vly_tab_hub_table(hub, whole, NULL)); /* the same tables again add nothing */
    CHECK_EQ(h.known, 4);
    CHECK_EQ(h.unknown, 0);
    CHECK_NEAR(h.sum / h.known, 0.25, 1e-9); /* the mean of the workers' means is 0.5 */

    for (int i = 0; i < 40; i++) many[i] = 2;
    vly_tab_note(worker[0], 10, 10, many, 40); /* more than the scores of a table hold */
    CHECK_OK(vly_tab_finish(worker[0]));
    CHECK_OK(vly_tab_hub_table(hub, whole, NULL));
    CHECK_EQ(h.known + h.unknown, 44);
    CHECK(h.known > 4 && h.unknown > 0);
    CHECK_NEAR(h.sum, 1 + 2.0 * (h.known - 4), 1e-9);
    vly_tab_report report;
    vly_tab_hub_report(hub, &report);
    CHECK_EQ(report.episodes, 44);
    vly_tab_hub_destroy(hub);
    for (int i = 0; i < WORLD; i++) vly_tab_destroy(worker[i]);
    for (int i = 0; i <= WORLD; i++) vly_store_close(store[i]);
}

/* A neighbour that has done less than half of a worker's steps does not move its values. */
static void beginners_do_not_teach(void) {
    vly_store *store[WORLD];
    vly_tab *worker[WORLD];
    vly_real table[WORLD][STATES * ACTIONS] = {{1}, {5}};
    uint32_t visits[WORLD][STATES * ACTIONS] = {{3}, {1}};
    for (int i = 0; i < WORLD; i++) {
        CHECK_OK(vly_store_open(&store[i], vly_store_server_url(redis), "beginners", NULL));
        worker[i] = open_worker(store[i], VLY_TAB_GOSSIP, i);
    }
    for (int round = 0; round < 2; round++) {
        vly_tab_note(worker[0], 500, 0, NULL, 0);
        vly_tab_note(worker[1], round ? 490 : 10, 0, NULL, 0);
        for (int i = WORLD - 1; i >= 0; i--) {
            vly_sync *sync = vly_tab_sync(worker[i]);
            CHECK_OK(sync->tables->merge(sync, STATES, ACTIONS, table[i], visits[i]));
        }
        /* one visit of four, of the value that was published: 1 + (5 - 1) / 4 */
        CHECK_NEAR(table[0][0], round ? 2 : 1, 1e-6);
    }
    for (int i = 0; i < WORLD; i++) vly_tab_destroy(worker[i]), vly_store_close(store[i]);
}

static double seconds_of_merge(vly_tab *t, vly_real *table, uint32_t *visits) {
    vly_sync *sync = vly_tab_sync(t);
    const double began = vly_now_s();
    CHECK_OK(sync->tables->merge(sync, STATES, ACTIONS, table, visits));
    return vly_now_s() - began;
}

/* The second call of merge, a moment later, from another thread. */
typedef struct {
    vly_tab *t;
    vly_real *table;
    uint32_t *visits;
} later;

static void *merge_later(void *arg) {
    later *l = arg;
    CHECK_EQ(usleep(300000), 0);
    seconds_of_merge(l->t, l->table, l->visits);
    return NULL;
}

/* An owner of a shard that gets no processor is waited for; one that has finished is not. */
static void owners_of_shards_go_on_together(void) {
    vly_store *store[WORLD];
    vly_tab *worker[WORLD];
    vly_real table[WORLD][STATES * ACTIONS] = {{0}};
    uint32_t visits[WORLD][STATES * ACTIONS] = {{0}};
    for (int i = 0; i < WORLD; i++) {
        CHECK_OK(vly_store_open(&store[i], vly_store_server_url(redis), "pace", NULL));
        worker[i] = open_worker(store[i], VLY_TAB_SHARD_STATE, i);
    }
    CHECK(seconds_of_merge(worker[0], table[0], visits[0]) < 0.2);
    later other = {worker[1], table[1], visits[1]};
    table[1][STATES * ACTIONS - 1] = 7;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, merge_later, &other), 0);
    CHECK(seconds_of_merge(worker[0], table[0], visits[0]) >= 0.2);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(table[0][STATES * ACTIONS - 1], 7); /* the value of the second's shard */
    CHECK_OK(vly_tab_finish(worker[1]));
    for (int i = 0; i < 5; i++)
        CHECK(seconds_of_merge(worker[0], table[0], visits[0]) < 2e-3 * TTL_MS);
    for (int i = 0; i < WORLD; i++) vly_tab_destroy(worker[i]), vly_store_close(store[i]);
}

/* It was killed, or its run was resumed: what it had learned and done is in its table. */
static void a_worker_that_starts_again_goes_on(void) {
    vly_store *store;
    vly_real table[STATES * ACTIONS] = {1, 2, 3}, again[STATES * ACTIONS] = {0};
    uint32_t visits[STATES * ACTIONS] = {4, 5, 6}, more[STATES * ACTIONS] = {0};
    CHECK_OK(vly_store_open(&store, vly_store_server_url(redis), "again", NULL));
    vly_tab *t = open_worker(store, VLY_TAB_SHARD_TIME, 0);
    CHECK_EQ(vly_tab_steps(t), 0);
    vly_tab_note(t, 500, 400, NULL, 0);
    seconds_of_merge(t, table, visits);
    vly_tab_destroy(t);
    t = open_worker(store, VLY_TAB_SHARD_TIME, 0);
    CHECK_EQ(vly_tab_steps(t), 500);
    seconds_of_merge(t, again, more);
    CHECK_EQ(memcmp(again, table, sizeof table), 0);
    CHECK_EQ(memcmp(more, visits, sizeof visits), 0);
    vly_tab_destroy(t);
    vly_store_close(store);
}

/* Of two workers, one with all its steps and one that was stopped before. */
static void only_a_resumed_run_takes_up_tables(void) {
    static const int64_t done[WORLD] = {100, 60};
    vly_store *store;
    vly_tab_hub *hub;
    vly_tab_report r;
    vly_real table[STATES * ACTIONS] = {1};
    uint32_t visits[STATES * ACTIONS] = {1};
    CHECK_OK(vly_store_open(&store, vly_store_server_url(redis), "resumed", NULL));
    for (int i = 0; i < WORLD; i++) {
        vly_tab *t = open_worker(store, VLY_TAB_GOSSIP, i);
        vly_tab_note(t, done[i], 0, NULL, 0);
        seconds_of_merge(t, table, visits);
        CHECK_OK(vly_tab_finish(t));
        vly_tab_destroy(t);
    }
    for (int resumed = 1; resumed >= 0; resumed--) {
        hub = open_hub(store, VLY_TAB_GOSSIP);
        CHECK_OK(vly_tab_hub_begin(hub, resumed, 100));
        CHECK_OK(vly_tab_hub_table(hub, table, NULL));
        vly_tab_hub_report(hub, &r);
        CHECK_EQ(r.steps, resumed ? 160 : 0);
        CHECK_EQ(r.finished, resumed);
        CHECK_EQ(table[0], resumed);
        vly_tab_hub_destroy(hub);
    }
    vly_tab *t = open_worker(store, VLY_TAB_GOSSIP, 0);
    CHECK_EQ(vly_tab_steps(t), 0);
    vly_tab_destroy(t);
    vly_store_close(store);
}

/* Rank 1 of an earlier run was the first to meet cell 2. */
static void a_fresh_run_divides_its_table_anew(void) {
    vly_store *store;
    vly_tab_hub *hub;
    int64_t owner;
    CHECK_OK(vly_store_open(&store, vly_store_server_url(redis), "claims", NULL));
    for (int resumed = 1; resumed >= 0; resumed--) {
        CHECK_OK(vly_store_claim(store, "owner:2", 1, &owner));
        hub = open_hub(store, VLY_TAB_SHARD_TIME);
        CHECK_OK(vly_tab_hub_begin(hub, resumed, 100));
        vly_tab_hub_destroy(hub);
        CHECK_OK(vly_store_claim(store, "owner:2", 0, &owner));
        CHECK_EQ(owner, resumed);
    }
    vly_store_close(store);
}

/* Each round once took ten seconds, whatever --dist.ttl_s was. */
static void a_rank_that_is_gone_is_waited_for_once(void) {
    vly_store *store[WORLD];
    vly_tab *worker[WORLD];
    vly_real table[WORLD][STATES * ACTIONS] = {{0}, {4}};
    uint32_t visits[WORLD][STATES * ACTIONS] = {{1}, {1}};
    for (int i = 0; i < WORLD; i++) {
        CHECK_OK(vly_store_open(&store[i], vly_store_server_url(redis), "gone", NULL));
        worker[i] = open_worker(store[i], VLY_TAB_ALLREDUCE, i);
    }
    const double waited = seconds_of_merge(worker[0], table[0], visits[0]);
    CHECK(waited >= 2e-3 * TTL_MS && waited < 9);
    for (int i = 0; i < 5; i++)
        CHECK(seconds_of_merge(worker[0], table[0], visits[0]) < 2e-3 * TTL_MS);
    /* it comes, and has to catch up: then both average again */
    for (int i = 0; i < 6; i++)
        CHECK(seconds_of_merge(worker[1], table[1], visits[1]) < 2e-3 * TTL_MS);
    later other = {worker[1], table[1], visits[1]};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, merge_later, &other), 0);
    CHECK(seconds_of_merge(worker[0], table[0], visits[0]) < 2e-3 * TTL_MS);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(table[0][0] == table[1][0] && table[0][0] > 0);
    for (int i = 0; i < WORLD; i++) vly_tab_destroy(worker[i]), vly_store_close(store[i]);
}

/* A worker publishes, is not answered for a while, and goes on: its table of then is in the store. */
static void a_round_that_was_not_merged_counts_in_the_next(void) {
    vly_store *store[2];
    vly_tab_hub *hub;
    vly_real table[STATES * ACTIONS] = {3}, whole[STATES * ACTIONS];
    uint32_t visits[STATES * ACTIONS] = {1};
    for (int i = 0; i < 2; i++)
        CHECK_OK(vly_store_open(&store[i], vly_store_server_url(redis), "unmerged", NULL));
    hub = open_hub(store[1], VLY_TAB_MERGE_MEAN);
    vly_tab *t = open_worker(store[0], VLY_TAB_MERGE_MEAN, 0);
    CHECK_OK(vly_tab_hub_stop(hub)); /* so that it waits for no merge */
    for (int round = 0; round < 2; round++) {
        seconds_of_merge(t, table, visits);
        CHECK_OK(vly_tab_hub_table(hub, whole, NULL));
        CHECK_EQ(whole[0], 3);
        table[1] = 5, visits[1] = 1;
    }
    CHECK_EQ(whole[1], 5);
    vly_tab_destroy(t);
    vly_tab_hub_destroy(hub);
    for (int i = 0; i < 2; i++) vly_store_close(store[i]);
}

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    const vly_status status = vly_store_server_start(&redis, folder, false, NULL);
    if (status == VLY_ENOTFOUND) SKIP("%s", vly_error_text());
    CHECK_EQ(status, VLY_OK);
    every_episode_counts_once();
    beginners_do_not_teach();
    owners_of_shards_go_on_together();
    a_worker_that_starts_again_goes_on();
    only_a_resumed_run_takes_up_tables();
    a_fresh_run_divides_its_table_anew();
    a_rank_that_is_gone_is_waited_for_once();
    a_round_that_was_not_merged_counts_in_the_next();
    vly_store_server_stop(redis);
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}
#endif
