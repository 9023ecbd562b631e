/* Experience in a real Redis: transitions are read back unchanged, sampled by priority. */
#include "tests/kit/check.h"
#ifndef VLY_HAVE_REDIS
int main(void) {
    SKIP("built without hiredis and lz4: apt-get install libhiredis-dev liblz4-dev");
}
#else
#include "tests/fleet/experience_field.h"

/* ---- blocks ---- */

/* Computed from the definition, not with common/base/rules.h. */
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
    CHECK_NEAR((double)r->priority,
               fabs((double)f->value[row * ACTIONS + r->action] - sum - power * best), 1e-4);
    if (power > 0) CHECK_EQ(r->boot, boot);
}

static void blocks_return_what_was_stored(vly_obs_spec obs) {
    field *f = field_open(obs, 3);
    uint8_t *frames = malloc(64 * obs.bytes), *some = malloc(8 * obs.bytes),
            *want = malloc(obs.bytes);
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
            for (int first = 0, count = 1; first < v.rows;
                 first++, count = 1 + (first + n) % 5) { /* any range, as samples need it */
                if (first + count > v.rows) count = v.rows - first;
                vly_block_range(&v, lane, first, count, &offset, &bytes);
                CHECK_OK(vly_block_frames(&v, lane, first, count, b.data + offset, bytes, some));
                CHECK(memcmp(some, frames + (size_t)first * obs.bytes, (size_t)count * obs.bytes) ==
                      0);
            }
            for (int k = 0; k < STEPS; k++)
                check_record(f, &v.record[lane * STEPS + k], lane, f->next - STEPS + k);
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
    uint8_t *notice = aligned_alloc(64, (b.notice_bytes + 63) / 64 * 64),
            *data = malloc(b.data_bytes);
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
            if (offset + got <= b.data_bytes)
                (void)vly_block_frames(&v, lane, 0, v.rows, data + offset, got, frames);
        }
    }
    CHECK(refused > 5000);
    free(notice), free(data), free(frames);
    field_close(f);
}

/* ---- sampling ---- */

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
        for (int i = 0; i < BATCH; i++)
            most =
                fmax(most,
                     pow((double)t->sum[0][vly_experience_rows(e)[i]] / (double)t->total[0], -0.4));
        for (int i = 0; i < BATCH; i++)
            CHECK_NEAR(
                (double)feed->host.weight[i],
                pow((double)t->sum[0][vly_experience_rows(e)[i]] / (double)t->total[0], -0.4) /
                    most,
                1e-4);
    }
    int cells = 0;
    for (int64_t i = 0; i < t->capacity; i++) {
        const double want = (double)t->sum[0][i] / (double)t->total[0] * DRAWS * BATCH;
        if (t->sum[0][i] == 0)
            CHECK_EQ(count[i], 0);
        else
            cells++, chi2 += (count[i] - want) * (count[i] - want) / want;
    }
    const vly_experience_report r = report_of(e);
    fprintf(stderr, "%-10s chi-square %.0f over %d transitions, %.0f %% from the cache\n", run,
            chi2, cells, 100.0 * (double)r.from_cache / (double)r.sampled);
    CHECK_EQ(r.live, cells);
    CHECK(cells > SHARDS * BLOCKS * STEPS * LANES / 2);
    /* stratified draws make it smaller than independent draws would */
    CHECK(chi2 < cells + 4 * sqrt(2.0 * cells));
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
        if (vly_experience_where(e, i, &l, &s, &t) && l == life && s == seq && t == transition)
            return vly_experience_tree(e)->sum[0][i];
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
        for (int i = 0; i < BATCH; i++)
            feed->host.td_abs[i] =
                (vly_real)(vly_unit(vly_philox(2, VLY_STREAM_TEST, n, (uint32_t)i).v[0]) * 8);
        for (int i = 0; i < BATCH; i++)
            shadow[vly_experience_rows(e)[i]] = vly_rule_priority(feed->host.td_abs[i], &h, 0);
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
            for (int k = 0; k < VLY_TREE_RADIX && i * VLY_TREE_RADIX + k < t->width[l - 1]; k++)
                under += t->sum[l - 1][i * VLY_TREE_RADIX + k];
            CHECK_EQ(t->sum[l][i], under);
        }
    /* the store holds the priorities; a restarted learner reads the same, to the last bit */
    told_steps = 0;
    vly_experience *again = learner("recount", 1, f, 0, 1 << 30);
    CHECK_EQ(told_steps, 0); /* blocks counted before the restart are not counted again */
    CHECK_EQ(vly_experience_tree(again)->total[0], sum);
    for (int64_t i = 0; i < t->capacity; i += 7) {
        uint64_t life, seq;
        int transition;
        if (vly_experience_where(e, i, &life, &seq, &transition))
            CHECK_EQ(leaf_in(again, life, seq, transition), shadow[i]);
    }
    CHECK_EQ(report_of(again).live, report_of(e).live);
    vly_experience_close(again);
    free(shadow);
    vly_feed_destroy(feed);
    vly_experience_close(e);
    vly_store_close(store);
    field_close(f);
}

int main(void) {
    field_begin();
    blocks_return_what_was_stored(small_obs());
    blocks_return_what_was_stored(image_obs());
    damaged_blocks_are_errors(small_obs());
    damaged_blocks_are_errors(image_obs());
    sampling_follows_the_priorities(small_obs(), 0, "small");
    sampling_follows_the_priorities(image_obs(), 0, "frames");
    sampling_follows_the_priorities(image_obs(), 1 << 24, "cached");
    priorities_equal_a_recount();
    return field_end();
}
#endif
