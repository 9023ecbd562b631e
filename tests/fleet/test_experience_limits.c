/* Experience in a real Redis stays within its budget, and losses are counted after every kind of
 * failure. */
#include "tests/kit/check.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include "tests/fleet/experience_field.h"

/* ---- budgets ---- */

/* The client of Redis itself: it takes the address in parts. */
static const char *redis_cli(void) {
    static char text[128];
    char password[64];
    int port;
    CHECK_EQ(
        sscanf(vly_store_server_url(server), "redis://:%63[0-9a-f]@127.0.0.1:%d", password, &port),
        2);
    snprintf(text, sizeof text, "REDISCLI_AUTH=%s redis-cli -p %d", password, port);
    return text;
}

static int64_t server_number(const char *what) {
    char command[256], line[128] = "";
    snprintf(command, sizeof command, "%s info memory | grep '^%s:' | cut -d: -f2", redis_cli(),
             what);
    FILE *p = popen(command, "r");
    CHECK(p && fgets(line, sizeof line, p));
    pclose(p);
    return strtoll(line, NULL, 10);
}

static void server_set(const char *setting) {
    char command[256];
    snprintf(command, sizeof command, "%s config set %s >/dev/null", redis_cli(), setting);
    CHECK_EQ(system(command), 0);
}

static void a_shard_keeps_its_budget(void) {
    enum { BUDGET = 2 << 20 };
    field *f = field_open(image_obs(), 31);
    vly_store *store = shard_as("budget", 0);
    const int64_t before = server_number("used_memory");
    int pushed = 0, refused = 0, n;
    for (int i = 0; i < 5; i++)
        CHECK_EQ(push(store, f, BUDGET, 4), i < 4); /* no learner takes them: the queue fills */
    while (push(store, f, BUDGET, 1 << 20))
        CHECK(++pushed < 1000); /* without a queue limit, the budget refuses */
    vly_shard_state state;
    CHECK_OK(vly_shard_read_state(store, &state));
    CHECK(state.bytes <= BUDGET && state.bytes > BUDGET * 9 / 10);
    CHECK_EQ(state.tail, pushed + 4);
    vly_experience *e = learner("budget", 1, f, 0, BUDGET);
    for (int i = 0; i < 600; i++) {
        refused += !push(store, f, BUDGET, 64);
        CHECK_OK(vly_experience_take(e, 16, &n));
        CHECK_OK(vly_shard_read_state(store, &state));
        CHECK(state.bytes >= 0 && state.bytes <= BUDGET);
    }
    const int64_t taken = server_number("used_memory") - before;
    const vly_experience_report r = report_of(e);
    fprintf(stderr,
            "a budget of %d bytes: Redis grew by %lld; %lld transitions came, %lld evicted, %d "
            "pushes refused\n",
            BUDGET, (long long)taken, (long long)r.transitions, (long long)r.evicted, refused);
    CHECK(taken < BUDGET * 5 / 4);
    CHECK(refused < 10);
    CHECK_EQ(r.live, r.transitions - r.evicted);
    CHECK_EQ(r.lost + r.missed + r.corrupt, 0);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f);
}

static void a_server_short_of_memory_refuses_and_learning_continues(void) {
    field *f = field_open(image_obs(), 41);
    vly_store *store = shard_as("short", 0);
    vly_experience *e = learner("short", 1, f, 0, 1 << 30);
    char setting[64];
    bool accepted = true;
    int n, full = 0;
    snprintf(setting, sizeof setting, "maxmemory %lld",
             (long long)server_number("used_memory") + (3 << 17));
    server_set(setting);
    for (int i = 0; i < 800; i++) {
        const vly_block b = make(f);
        vly_status status = vly_shard_push(store, &b, 1 << 30, 64, &accepted);
        CHECK(status == VLY_OK || status == VLY_ENOSPACE);
        full += status == VLY_ENOSPACE;
        if (status == VLY_ENOSPACE) CHECK_OK(vly_experience_shrink(e));
        status = vly_experience_take(e, 16, &n);
        CHECK(status == VLY_OK || status == VLY_ENOSPACE);
        if (status == VLY_ENOSPACE) CHECK_OK(vly_experience_shrink(e));
    }
    server_set("maxmemory 0");
    const vly_experience_report r = report_of(e);
    fprintf(stderr, "a server short of memory refused %d of 800 pushes\n", full);
    CHECK(full > 0 && full < 100);
    CHECK(r.evicted > 0);
    CHECK(r.transitions > 600 * STEPS * LANES / 2);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f);
}

/* ---- faults ---- */

static void restart_server(void) {
    bool restarted = false;
    kill(vly_store_server_pid(server), SIGKILL);
    for (int wait = 0; wait < 500 && !restarted; wait++) {
        usleep(20000);
        CHECK_OK(vly_store_server_mend(server, &restarted));
    }
    CHECK(restarted);
}

static void cached_blocks_survive_a_lost_store(void) {
    field *f = field_open(image_obs(), 51);
    vly_store *store = shard_as("gone", 0);
    for (int i = 0; i < 10; i++) CHECK(push(store, f, 1 << 30, 100));
    vly_experience *all = learner("gone", 1, f, 1 << 24, 1 << 30),
                   *none = learner("gone", 1, f, 0, 1 << 30);
    vly_feed *feed;
    CHECK_OK(vly_feed_create(&feed, c, &f->shape.obs, BATCH, N_STEP));
    const int64_t live = report_of(all).live;
    CHECK_EQ(report_of(none).live, live);
    for (int i = 0; i < 2; i++)
        CHECK(push(store, f, 1 << 30, 100)); /* not taken yet: lost with the store */
    restart_server();
    for (int i = 0; i < 2; i++) CHECK(push(store, f, 1 << 30, 100)); /* the actor continues */
    take_all(all), take_all(none);
    const vly_experience_report a = report_of(all), b = report_of(none);
    CHECK_EQ(a.lost, 0);
    CHECK_EQ(a.live, a.transitions);
    CHECK(a.live > live);
    CHECK_EQ(a.missed, 2); /* blocks that no learner read */
    CHECK_EQ(b.lost, live);
    CHECK_EQ(b.live, a.live - live);
    for (int n = 0; n < 20; n++) {
        CHECK_OK(vly_experience_draw(all, 1));
        CHECK_OK(vly_experience_fetch(all, feed));
        for (int i = 0; i < BATCH; i++) CHECK(feed->host.action[i] >= 0);
        CHECK_OK(vly_experience_draw(none, 1));
        CHECK_OK(vly_experience_fetch(none, feed));
        for (int i = 0; i < BATCH; i++) CHECK(feed->host.action[i] >= 0);
    }
    vly_feed_destroy(feed);
    vly_experience_close(all), vly_experience_close(none);
    vly_store_close(store);
    field_close(f);
}

static void lost_frames_are_counted_and_not_sampled_again(void) {
    field *f = field_open(image_obs(), 61);
    vly_store *store = shard_as("vanish", 0);
    for (int i = 0; i < 4; i++) CHECK(push(store, f, 1 << 30, 100));
    vly_experience *e = learner("vanish", 1, f, 0, 1 << 30);
    vly_feed *feed;
    CHECK_OK(vly_feed_create(&feed, c, &f->shape.obs, BATCH, N_STEP));
    const int64_t live = report_of(e).live;
    CHECK_OK(vly_store_delete(store, vly_shard_data_key(f->life, 2).text));
    CHECK_OK(vly_store_set(store, vly_shard_data_key(f->life, 3).text, "nonsense", 8));
    for (int n = 0; n < 10; n++) {
        CHECK_OK(vly_experience_draw(e, 1));
        CHECK_OK(vly_experience_fetch(e, feed));
        for (int i = 0; i < BATCH; i++)
            if (feed->host.action[i] < 0) CHECK_EQ(feed->host.weight[i], 0);
        if (n) check_samples(e, feed);
    }
    CHECK(report_of(e).lost > live / 3 && report_of(e).lost < live * 2 / 3);
    CHECK_EQ(report_of(e).live, live - report_of(e).lost);
    vly_feed_destroy(feed);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f);
}

static void invalid_notices_are_counted(void) {
    field *f = field_open(small_obs(), 71);
    vly_store *store = shard_as("nonsense", 0);
    bool accepted;
    int64_t one;
    const char *const key[] = {"state"};
    CHECK(push(store, f, 1 << 30, 100));
    CHECK_OK(vly_store_push(store, "notices", "who knows", 9, 0, NULL));
    CHECK_OK(vly_store_script(store, "return redis.call('HINCRBY',KEYS[1],'tail',1)", key, 1, NULL,
                              0, &one, 1));
    const vly_block b = make(f);
    /* repeated pushes, as after a store that died between storing and answering */
    for (int i = 0; i < 3; i++) {
        CHECK_OK(vly_shard_push(store, &b, 1 << 30, 100, &accepted));
        CHECK(accepted);
    }
    vly_experience *e = learner("nonsense", 1, f, 1 << 20, 1 << 30);
    CHECK_EQ(report_of(e).corrupt, 1);
    CHECK_EQ(report_of(e).blocks, 2);
    CHECK_EQ(report_of(e).missed, 0);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f);
}

/* Of an earlier run of its name, whose observations were others. */
static void a_fresh_run_begins_without_experience(void) {
    field *f = field_open(small_obs(), 81), *old = field_open(image_obs(), 82);
    vly_store *store = shard_as("fresh", 0);
    vly_experience_options o = learner_options("fresh", 1, f, 1 << 20, 1 << 30);
    vly_experience *e;
    vly_shard_state state;
    char data[8];
    size_t got;
    const int64_t told = told_steps;
    CHECK(push(store, old, 1 << 30, 100));
    for (int i = 0; i < 3; i++) CHECK(push(store, f, 1 << 30, 100));
    o.fresh = true;
    CHECK_OK(vly_experience_open(&e, &o));
    take_all(e);
    CHECK_EQ(report_of(e).blocks, 0);
    CHECK_EQ(told_steps, told);
    CHECK_OK(vly_shard_read_state(store, &state));
    CHECK(state.bytes == 0 && state.head == 0 && state.tail == 0 && state.seen == 0);
    CHECK_EQ(vly_store_get(store, vly_shard_data_key(old->life, 1).text, data, sizeof data, &got),
             VLY_ENOTFOUND);
    CHECK_EQ(vly_store_get(store, vly_shard_data_key(f->life, 3).text, data, sizeof data, &got),
             VLY_ENOTFOUND);
    CHECK(push(store, f, 1 << 30, 100)); /* and goes on like any other */
    take_all(e);
    CHECK_EQ(report_of(e).blocks, 1);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f), field_close(old);
}

int main(void) {
    field_begin();
    a_shard_keeps_its_budget();
    a_server_short_of_memory_refuses_and_learning_continues();
    lost_frames_are_counted_and_not_sampled_again();
    invalid_notices_are_counted();
    a_fresh_run_begins_without_experience();
    cached_blocks_survive_a_lost_store();
    return field_end();
}
#endif
