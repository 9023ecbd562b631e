/* Experience in a real Redis: what goes in comes out, by priority, within its budget, whoever dies. */
#include "tests/check.h"
#ifndef VLY_HAVE_REDIS
int main(void) { SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev"); }
#else
#include <signal.h>
#include <unistd.h>
#include "common/rules.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/dist/dist_experience.h"

enum { LANES = 3, STEPS = 8, N_STEP = 3, ACTIONS = 5, BATCH = 64 };
static char folder[64] = "/tmp/volley-experience-XXXXXX";
static vly_store_server *server;
static vly_compute *c;
static vly_queue *q;

/* ---- actors ---- */

typedef struct {
    vly_replay *ring;
    vly_real *value;
    vly_block_maker *maker;
    vly_block_shape shape;
    uint64_t life, seq;
    int64_t next, step;
} field;

static vly_obs_spec small_obs(void) { return (vly_obs_spec){.dtype = VLY_F32, .ndim = 1, .shape = {4, 1, 1}, .stack = 1, .scale = 1, .bytes = 16}; }
static vly_obs_spec image_obs(void) {
    return (vly_obs_spec){.dtype = VLY_U8, .ndim = 3, .shape = {84, 84, 1}, .stack = 4, .scale = 1.0f / 255, .bytes = 84 * 84};
}

/* A frame says whose it is: life, lane and step; then a picture. */
static void draw_frame(uint8_t *frame, size_t bytes, uint64_t life, int lane, int64_t step) {
    const uint32_t code[4] = {(uint32_t)life, (uint32_t)lane, (uint32_t)step, 77};
    for (size_t i = sizeof code; i < bytes; i++) frame[i] = (uint8_t)((i / 97 + (size_t)(step / 5)) % 7 * 30); /* a new picture every 5 steps */
    memcpy(frame, code, sizeof code);
}

static void add_step(field *f) {
    vly_rows rows;
    uint8_t age[LANES];
    int32_t action[LANES];
    vly_replay_place(f->ring, 0, &rows);
    for (int i = 0; i < LANES; i++) {
        const vly_u32x4 x = vly_philox(f->life, VLY_STREAM_TEST, (uint64_t)f->step, (uint32_t)i);
        draw_frame(rows.obs + (size_t)i * rows.obs_stride, f->shape.obs.bytes, f->life, i, f->step);
        rows.reward[i] = vly_unit(x.v[0]);
        rows.score[i] = 0;
        rows.flags[i] = x.v[1] % 11 == 0 ? VLY_ROW_TERMINATED : x.v[1] % 11 == 1 ? VLY_ROW_TRUNCATED : x.v[1] % 11 == 2 ? VLY_ROW_RESET : 0;
        age[i] = (uint8_t)(x.v[2] % 6);
        action[i] = (int32_t)(x.v[3] % ACTIONS);
    }
    CHECK_OK(vly_replay_arrived(f->ring, q, 0, age));
    const int64_t row = vly_replay_newest(f->ring, 0);
    CHECK_OK(vly_replay_acted(f->ring, q, 0, action));
    for (int i = 0; i < LANES * ACTIONS; i++)
        f->value[row * ACTIONS + i] = (vly_real)(vly_unit(vly_philox(f->life, VLY_STREAM_TEST, (uint64_t)f->step, 100 + (uint32_t)i).v[0]) * 4);
    f->step++;
}

static field *field_open(vly_obs_spec obs, uint64_t life) {
    field *f = calloc(1, sizeof *f);
    const vly_replay_options o = {.obs = obs, .actors = LANES, .groups = 1, .capacity = (STEPS + N_STEP + obs.stack + 2) * LANES, .n_step = 1};
    f->shape = (vly_block_shape){.obs = obs, .actions = ACTIONS, .lanes_most = LANES, .steps_most = STEPS, .n_step = N_STEP};
    f->life = life;
    CHECK_OK(vly_replay_create(&f->ring, c, &o));
    CHECK_OK(vly_block_maker_create(&f->maker, &f->shape));
    f->value = calloc((size_t)(f->ring->T * LANES * ACTIONS), sizeof *f->value);
    return f;
}

static void field_close(field *f) {
    vly_replay_destroy(f->ring);
    vly_block_maker_destroy(f->maker);
    free(f->value);
    free(f);
}

static vly_block make(field *f) {
    const vly_block_source source = {f->ring, f->value, ACTIONS, 0.9f, 0.5f};
    vly_block b;
    while (f->step < f->next + STEPS + N_STEP + 1) add_step(f);
    CHECK_OK(vly_block_make(f->maker, &source, f->next, STEPS, &b));
    b.head->life = f->life, b.head->seq = ++f->seq, b.head->agent_steps = STEPS * LANES;
    f->next += STEPS;
    return b;
}

static vly_store *shard_as(const char *run, int number) {
    vly_store *s;
    CHECK_OK(vly_store_open(&s, vly_store_server_url(server), vly_shard_run(run, number).text, &(vly_store_options){.retry_ms = 5000}));
    return s;
}

static bool push(vly_store *s, field *f, int64_t budget, int queue) {
    bool accepted;
    const vly_block b = make(f);
    CHECK_OK(vly_shard_push(s, &b, budget, queue, &accepted));
    if (!accepted) f->seq--, f->next -= STEPS;
    return accepted;
}

static int64_t told_steps;
static void heard(void *arg, const vly_block_head *h) {
    (void)arg;
    told_steps += h->agent_steps;
}

static vly_experience *learner(const char *run, int shards, const field *f, int64_t cache, int64_t budget) {
    const vly_experience_options o = {.url = vly_store_server_url(server), .run = run, .shape = f->shape, .shards = shards, .batch = BATCH,
                                      .capacity = 4096, .shard_bytes = budget, .cache_bytes = cache, .retry_ms = 5000, .alpha = 0.6f,
                                      .priority_eps = 1e-3f, .seed = 5, .on_block = heard};
    vly_experience *e;
    CHECK_OK(vly_experience_open(&e, &o));
    return e;
}

static vly_experience_report report_of(const vly_experience *e) {
    vly_experience_report r;
    vly_experience_get_report(e, &r);
    return r;
}

static void take_all(vly_experience *e) {
    int n;
    do CHECK_OK(vly_experience_take(e, 16, &n));
    while (n);
}

/* ---- blocks ---- */

/* By the definition, not by common/rules.h. */
static void check_record(const field *f, const vly_block_record *r, int lane, int64_t step) {
    const vly_replay *g = f->ring;
    double sum = 0, power = 1;
    int boot = 0;
    for (int k = 0; k < N_STEP; k++) {
        const int64_t row = (step + k) % g->T * LANES + lane;
        const uint8_t flags = g->flags[row];
        if (flags & VLY_ROW_RESET) {
            if (k == 0) {
                CHECK_EQ(r->action, -1);
                return;
            }
            break;
        }
        sum += power * 0.5 * (double)g->reward[row];
        power *= 0.9;
        if (flags & VLY_ROW_TERMINATED) {
            power = 0;
            break;
        }
        boot = k + 1;
        if (flags & VLY_ROW_TRUNCATED) break;
    }
    const int64_t row = step % g->T * LANES + lane, next = (step + boot) % g->T * LANES + lane;
    double best = -1e9;
    for (int a = 0; a < ACTIONS; a++) best = fmax(best, (double)f->value[next * ACTIONS + a]);
    CHECK_EQ(r->action, g->action[row]);
    CHECK_NEAR((double)r->n_return, sum, 1e-5);
    CHECK_NEAR((double)r->discount, power, 1e-5);
    CHECK_NEAR((double)r->priority, fabs((double)f->value[row * ACTIONS + r->action] - sum - power * best), 1e-4);
    if (power > 0) CHECK_EQ(r->boot, boot);
}

static void blocks_give_back_what_went_in(vly_obs_spec obs) {
    field *f = field_open(obs, 3);
    uint8_t *frames = malloc(64 * obs.bytes), *some = malloc(8 * obs.bytes), *want = malloc(obs.bytes);
    for (int n = 0; n < 40; n++) {
        const vly_block b = make(f);
        vly_block_view v;
        CHECK_OK(vly_block_check(b.notice, b.notice_bytes, &f->shape, &v));
        for (int lane = 0; lane < LANES; lane++) {
            size_t offset, bytes;
            vly_block_range(&v, lane, 0, v.rows, &offset, &bytes);
            CHECK_OK(vly_block_frames(&v, lane, 0, v.rows, b.data + offset, bytes, frames));
            for (int k = 0; k < v.rows; k++) {
                const int64_t step = f->next - STEPS - (obs.stack - 1) + k;
                if (step < 0) continue;
                draw_frame(want, obs.bytes, f->life, lane, step);
                CHECK(memcmp(want, frames + (size_t)k * obs.bytes, obs.bytes) == 0);
            }
            for (int first = 0, count = 1; first < v.rows; first++, count = 1 + (first + n) % 5) { /* any part of it, as samples need it */
                if (first + count > v.rows) count = v.rows - first;
                vly_block_range(&v, lane, first, count, &offset, &bytes);
                CHECK_OK(vly_block_frames(&v, lane, first, count, b.data + offset, bytes, some));
                CHECK(memcmp(some, frames + (size_t)first * obs.bytes, (size_t)count * obs.bytes) == 0);
            }
            for (int k = 0; k < STEPS; k++) check_record(f, &v.record[lane * STEPS + k], lane, f->next - STEPS + k);
        }
    }
    free(frames), free(some), free(want);
    field_close(f);
}

static void damaged_blocks_are_errors(vly_obs_spec obs) {
    field *f = field_open(obs, 4);
    uint8_t *frames = malloc(64 * obs.bytes);
    int refused = 0;
    const vly_block b = make(f);
    uint8_t *notice = aligned_alloc(64, (b.notice_bytes + 63) / 64 * 64), *data = malloc(b.data_bytes);
    for (uint32_t n = 0; n < 20000; n++) {
        const vly_u32x4 x = vly_philox(9, VLY_STREAM_TEST, n, 0);
        const size_t bytes = x.v[3] % 4 ? b.notice_bytes : x.v[3] % (b.notice_bytes + 1);
        memcpy(notice, b.notice, b.notice_bytes), memcpy(data, b.data, b.data_bytes);
        notice[x.v[0] % b.notice_bytes] ^= (uint8_t)(1u << x.v[1] % 8);
        data[x.v[2] % b.data_bytes] ^= (uint8_t)(1u << x.v[1] / 8 % 8);
        vly_block_view v;
        const vly_status status = vly_block_check(notice, bytes, &f->shape, &v);
        CHECK(status == VLY_OK || status == VLY_ECORRUPT);
        refused += status != VLY_OK;
        if (status != VLY_OK || n % 16) continue;
        for (int lane = 0; lane < (int)v.head.lanes; lane++) {
            size_t offset, got;
            vly_block_range(&v, lane, 0, v.rows, &offset, &got);
            if (offset + got <= b.data_bytes) (void)vly_block_frames(&v, lane, 0, v.rows, data + offset, got, frames);
        }
    }
    CHECK(refused > 5000);
    free(notice), free(data), free(frames);
    field_close(f);
}

/* ---- sampling ---- */

static void check_samples(const vly_experience *e, const vly_feed *feed) {
    const size_t frame = feed->obs.bytes;
    for (int i = 0; i < BATCH; i++) {
        uint64_t life, seq;
        uint32_t code[4];
        int transition;
        CHECK(vly_experience_where(e, vly_experience_rows(e)[i], &life, &seq, &transition));
        const int64_t step = (int64_t)(seq - 1) * STEPS + transition % STEPS;
        CHECK_EQ(feed->host.row[i], vly_feed_row(feed, i));
        for (int k = 0; k < 2; k++) { /* the state's newest frame, the bootstrap's */
            const int32_t row = k ? feed->host.bootstrap_row[i] : feed->host.row[i];
            memcpy(code, feed->host.frames + (size_t)row * frame, sizeof code);
            CHECK_EQ(code[0], life);
            CHECK_EQ(code[1], transition / STEPS);
            CHECK_EQ(code[2], step + (row - feed->host.row[i]));
        }
        CHECK(feed->host.action[i] >= 0);
    }
}

static void sampling_follows_the_priorities(vly_obs_spec obs, int64_t cache, const char *run) {
    enum { SHARDS = 3, BLOCKS = 8, DRAWS = 1500 };
    field *f[SHARDS];
    for (int s = 0; s < SHARDS; s++) {
        f[s] = field_open(obs, 10 + (uint64_t)s);
        vly_store *store = shard_as(run, s);
        for (int i = 0; i < BLOCKS; i++) CHECK(push(store, f[s], 1 << 30, 100));
        vly_store_close(store);
    }
    vly_experience *e = learner(run, SHARDS, f[0], cache, 1 << 30);
    vly_feed *feed;
    CHECK_OK(vly_feed_create(&feed, c, &obs, BATCH, N_STEP));
    const vly_tree *t = vly_experience_tree(e);
    double *count = calloc((size_t)t->capacity, sizeof *count), chi2 = 0;
    for (int n = 0; n < DRAWS; n++) {
        CHECK_OK(vly_experience_draw(e, 0.4f));
        CHECK_OK(vly_experience_fetch(e, feed));
        for (int i = 0; i < BATCH; i++) count[vly_experience_rows(e)[i]]++;
        if (n % 50) continue;
        check_samples(e, feed);
        double most = 0;
        for (int i = 0; i < BATCH; i++) most = fmax(most, pow((double)t->sum[0][vly_experience_rows(e)[i]] / (double)t->total[0], -0.4));
        for (int i = 0; i < BATCH; i++)
            CHECK_NEAR((double)feed->host.weight[i], pow((double)t->sum[0][vly_experience_rows(e)[i]] / (double)t->total[0], -0.4) / most, 1e-4);
    }
    int cells = 0;
    for (int64_t i = 0; i < t->capacity; i++) {
        const double want = (double)t->sum[0][i] / (double)t->total[0] * DRAWS * BATCH;
        if (t->sum[0][i] == 0) CHECK_EQ(count[i], 0);
        else cells++, chi2 += (count[i] - want) * (count[i] - want) / want;
    }
    const vly_experience_report r = report_of(e);
    fprintf(stderr, "%-10s chi-square %.0f over %d transitions, %.0f %% from the cache\n", run, chi2, cells, 100.0 * (double)r.from_cache / (double)r.sampled);
    CHECK_EQ(r.live, cells);
    CHECK(cells > SHARDS * BLOCKS * STEPS * LANES / 2);
    CHECK(chi2 < cells + 4 * sqrt(2.0 * cells)); /* strata make it smaller than independent draws would */
    CHECK_EQ(r.from_cache, cache > 1 << 20 ? r.sampled : 0);
    free(count);
    vly_feed_destroy(feed);
    vly_experience_close(e);
    for (int s = 0; s < SHARDS; s++) field_close(f[s]);
}

/* ---- a million updates, and a restart ---- */

static uint64_t leaf_in(const vly_experience *e, uint64_t life, uint64_t seq, int transition) {
    uint64_t l, s;
    int t;
    for (int64_t i = 0; i < vly_experience_tree(e)->capacity; i++)
        if (vly_experience_where(e, i, &l, &s, &t) && l == life && s == seq && t == transition) return vly_experience_tree(e)->sum[0][i];
    return 0;
}

static void priorities_equal_a_recount(void) {
    enum { UPDATES = 1000000 };
    field *f = field_open(small_obs(), 21);
    vly_store *store = shard_as("recount", 0);
    for (int i = 0; i < 20; i++) CHECK(push(store, f, 1 << 30, 100));
    vly_experience *e = learner("recount", 1, f, 1 << 22, 1 << 30);
    vly_feed *feed;
    CHECK_OK(vly_feed_create(&feed, c, &f->shape.obs, BATCH, N_STEP));
    const vly_tree *t = vly_experience_tree(e);
    const vly_hyper h = {.alpha = 0.6f, .priority_eps = 1e-3f};
    uint64_t *shadow = malloc((size_t)t->capacity * sizeof *shadow), sum = 0;
    memcpy(shadow, t->sum[0], (size_t)t->capacity * sizeof *shadow);
    for (uint32_t n = 0; n < UPDATES / BATCH; n++) {
        CHECK_OK(vly_experience_draw(e, 0.4f));
        CHECK_OK(vly_experience_fetch(e, feed));
        for (int i = 0; i < BATCH; i++) feed->host.td_abs[i] = (vly_real)(vly_unit(vly_philox(2, VLY_STREAM_TEST, n, (uint32_t)i).v[0]) * 8);
        for (int i = 0; i < BATCH; i++) shadow[vly_experience_rows(e)[i]] = vly_rule_priority(feed->host.td_abs[i], &h, 0);
        CHECK_OK(vly_experience_learned(e, feed));
        if (n % 4000 == 0) CHECK_OK(vly_experience_keep(e));
    }
    CHECK_OK(vly_experience_keep(e));
    for (int64_t i = 0; i < t->capacity; i++) {
        CHECK_EQ(t->sum[0][i], shadow[i]);
        sum += shadow[i];
    }
    CHECK_EQ(t->total[0], sum);
    for (int l = 1; l < t->levels; l++)
        for (int64_t i = 0; i < t->width[l]; i++) {
            uint64_t under = 0;
            for (int k = 0; k < VLY_TREE_RADIX && i * VLY_TREE_RADIX + k < t->width[l - 1]; k++) under += t->sum[l - 1][i * VLY_TREE_RADIX + k];
            CHECK_EQ(t->sum[l][i], under);
        }
    /* the store has them, and a learner that starts again finds them, to the last bit */
    told_steps = 0;
    vly_experience *again = learner("recount", 1, f, 0, 1 << 30);
    CHECK_EQ(told_steps, 0); /* counted once */
    CHECK_EQ(vly_experience_tree(again)->total[0], sum);
    for (int64_t i = 0; i < t->capacity; i += 7) {
        uint64_t life, seq;
        int transition;
        if (vly_experience_where(e, i, &life, &seq, &transition)) CHECK_EQ(leaf_in(again, life, seq, transition), shadow[i]);
    }
    CHECK_EQ(report_of(again).live, report_of(e).live);
    vly_experience_close(again);
    free(shadow);
    vly_feed_destroy(feed);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f);
}

/* ---- budgets ---- */

static int64_t server_number(const char *what) {
    char command[256], line[128] = "";
    snprintf(command, sizeof command, "redis-cli -u %s info memory | grep '^%s:' | cut -d: -f2", vly_store_server_url(server), what);
    FILE *p = popen(command, "r");
    CHECK(p && fgets(line, sizeof line, p));
    pclose(p);
    return strtoll(line, NULL, 10);
}

static void server_set(const char *setting) {
    char command[256];
    snprintf(command, sizeof command, "redis-cli -u %s config set %s >/dev/null", vly_store_server_url(server), setting);
    CHECK_EQ(system(command), 0);
}

static void a_shard_keeps_its_budget(void) {
    enum { BUDGET = 2 << 20 };
    field *f = field_open(image_obs(), 31);
    vly_store *store = shard_as("budget", 0);
    const int64_t before = server_number("used_memory");
    int pushed = 0, refused = 0, n;
    for (int i = 0; i < 5; i++) CHECK_EQ(push(store, f, BUDGET, 4), i < 4); /* nobody takes them: back-pressure */
    while (push(store, f, BUDGET, 1 << 20)) CHECK(++pushed < 1000);         /* and without a limit of that kind, the budget */
    vly_shard_state state;
    CHECK_OK(vly_shard_look(store, &state));
    CHECK(state.bytes <= BUDGET && state.bytes > BUDGET * 9 / 10);
    CHECK_EQ(state.tail, pushed + 4);
    vly_experience *e = learner("budget", 1, f, 0, BUDGET);
    for (int i = 0; i < 600; i++) {
        refused += !push(store, f, BUDGET, 64);
        CHECK_OK(vly_experience_take(e, 16, &n));
        CHECK_OK(vly_shard_look(store, &state));
        CHECK(state.bytes >= 0 && state.bytes <= BUDGET);
    }
    const int64_t taken = server_number("used_memory") - before;
    const vly_experience_report r = report_of(e);
    fprintf(stderr, "a budget of %d bytes: Redis grew by %lld; %lld transitions came, %lld evicted, %d pushes refused\n", BUDGET, (long long)taken,
            (long long)r.transitions, (long long)r.evicted, refused);
    CHECK(taken < BUDGET * 5 / 4);
    CHECK(refused < 10);
    CHECK_EQ(r.live, r.transitions - r.evicted);
    CHECK_EQ(r.lost + r.missed + r.corrupt, 0);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f);
}

static void a_server_short_of_memory_is_shared(void) {
    field *f = field_open(image_obs(), 41);
    vly_store *store = shard_as("short", 0);
    vly_experience *e = learner("short", 1, f, 0, 1 << 30);
    char setting[64];
    bool accepted = true;
    int n, full = 0;
    snprintf(setting, sizeof setting, "maxmemory %lld", (long long)server_number("used_memory") + (3 << 17));
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

static void what_the_cache_holds_outlives_the_store(void) {
    field *f = field_open(image_obs(), 51);
    vly_store *store = shard_as("gone", 0);
    for (int i = 0; i < 10; i++) CHECK(push(store, f, 1 << 30, 100));
    vly_experience *all = learner("gone", 1, f, 1 << 24, 1 << 30), *none = learner("gone", 1, f, 0, 1 << 30);
    vly_feed *feed;
    CHECK_OK(vly_feed_create(&feed, c, &f->shape.obs, BATCH, N_STEP));
    const int64_t live = report_of(all).live;
    CHECK_EQ(report_of(none).live, live);
    for (int i = 0; i < 2; i++) CHECK(push(store, f, 1 << 30, 100)); /* not taken yet: these die */
    restart_server();
    for (int i = 0; i < 2; i++) CHECK(push(store, f, 1 << 30, 100)); /* the actor goes on */
    take_all(all), take_all(none);
    const vly_experience_report a = report_of(all), b = report_of(none);
    CHECK_EQ(a.lost, 0);
    CHECK_EQ(a.live, a.transitions);
    CHECK(a.live > live);
    CHECK_EQ(a.missed, 2); /* blocks that nobody saw */
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

static void frames_that_vanish_are_counted_and_not_sampled_again(void) {
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

static void nonsense_in_the_list_is_counted(void) {
    field *f = field_open(small_obs(), 71);
    vly_store *store = shard_as("nonsense", 0);
    bool accepted;
    int64_t one;
    const char *const key[] = {"state"};
    CHECK(push(store, f, 1 << 30, 100));
    CHECK_OK(vly_store_push(store, "notices", "who knows", 9, 0, NULL));
    CHECK_OK(vly_store_script(store, "return redis.call('HINCRBY',KEYS[1],'tail',1)", key, 1, NULL, 0, &one, 1));
    const vly_block b = make(f);
    for (int i = 0; i < 3; i++) { /* sent again: the store died between taking and answering */
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

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    const vly_status status = vly_store_server_start(&server, folder, false);
    if (status == VLY_ENOTFOUND) SKIP("%s", vly_error_text());
    CHECK_EQ(status, VLY_OK);
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_ACT, &q));
    blocks_give_back_what_went_in(small_obs());
    blocks_give_back_what_went_in(image_obs());
    damaged_blocks_are_errors(small_obs());
    damaged_blocks_are_errors(image_obs());
    sampling_follows_the_priorities(small_obs(), 0, "small");
    sampling_follows_the_priorities(image_obs(), 0, "frames");
    sampling_follows_the_priorities(image_obs(), 1 << 24, "cached");
    priorities_equal_a_recount();
    a_shard_keeps_its_budget();
    a_server_short_of_memory_is_shared();
    frames_that_vanish_are_counted_and_not_sampled_again();
    nonsense_in_the_list_is_counted();
    what_the_cache_holds_outlives_the_store();
    c->queue_destroy(q);
    c->destroy(c);
    vly_store_server_stop(server);
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}
#endif
