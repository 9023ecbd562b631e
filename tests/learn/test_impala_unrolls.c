/* IMPALA's unrolls: those of another process are learned from, or refused as a whole; an update that
 * is given up leaves nothing behind. */
#include <string.h>
#include "common/learn/algo.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/settings.h"

enum { NUMBERS = 3, ACTIONS = 2, STEPS = 4, ACTORS = 2, HIDDEN = 5, BUFFERS = 96, MOST = 4096 };

static vly_compute *c;
static vly_queue *q;

static const vly_env env = {
    .name = "vector",
    .obs = {VLY_F32, 1, {NUMBERS}, 1, 1.0f, NUMBERS * sizeof(float)},
    .action = {VLY_SPACE_DISCRETE, VLY_I32, 1, ACTIONS, NULL, NULL, NULL, sizeof(int32_t)},
    .players = 1,
    .tasks = 1};

static vly_algo *open_impala(vly_config *config, vly_sync *sync, int groups, const char *settings) {
    char text[256];
    vly_algo *a;
    snprintf(text, sizeof text,
             "run.algo=impala run.preset=none run.envs=2 net.hidden=8 impala.rollout=4 %s",
             settings);
    settings_resolve(config, "vector", "none", text);
    const vly_algo_args args = {.compute = c,
                                .env = &env,
                                .config = config,
                                .sync = sync,
                                .seed = 1,
                                .actors = ACTORS,
                                .groups = groups,
                                .queue = q};
    CHECK_OK(vly_algo_create(&a, "impala", &args));
    return a;
}

/* The rows of a group; the first start episodes. */
static void give_rows(vly_algo *a, int group, int n, bool first) {
    static const uint8_t age[ACTORS];
    static int drawn;
    vly_rows rows = {.obs = NULL};
    CHECK(a->place(a, group, &rows));
    for (int i = 0; i < n; i++) {
        float *x = (float *)(void *)(rows.obs + (size_t)i * rows.obs_stride);
        for (int k = 0; k < NUMBERS; k++) x[k] = (float)(++drawn % 7) * 0.25f;
        rows.reward[i] = first ? 0 : (float)(drawn % 5);
        rows.flags[i] = first ? VLY_ROW_RESET : 0;
    }
    CHECK_OK(a->arrived(a, q, group, age));
}

static void step_group(vly_algo *a, int group, int n) {
    CHECK_OK(a->act(a, q, &group, 1));
    CHECK(a->action(a, group).data != NULL);
    give_rows(a, group, n, false);
}

/* ---- from another process ---- */

static uint8_t sent[MOST];
static size_t sent_bytes;

static vly_status keep_unroll(vly_sync *s, const void *unroll, size_t bytes) {
    (void)s;
    CHECK(bytes <= sizeof sent);
    memcpy(sent, unroll, bytes);
    sent_bytes = bytes;
    return VLY_OK;
}

static vly_status keep_weights(vly_sync *s, vly_queue *queue, const vly_params *p,
                               int64_t *version) {
    (void)s, (void)queue, (void)p;
    *version = 0;
    return VLY_OK;
}

/* Fills `sent` with an unroll of both actors of another process. */
static void act_elsewhere(const char *settings) {
    static const vly_sync_unrolls unrolls = {keep_unroll, keep_weights};
    vly_config config;
    vly_sync sync = {.world = 1, .unrolls = &unrolls};
    const vly_progress progress = {.steps = 0};
    char text[128];
    snprintf(text, sizeof text, "pool.schedule=sync %s", settings);
    vly_algo *a = open_impala(&config, &sync, 1, text);
    give_rows(a, 0, ACTORS, true);
    for (int t = 0; t < STEPS; t++) step_group(a, 0, ACTORS);
    sent_bytes = 0;
    CHECK_OK(a->learn(a, q, &progress));
    CHECK(sent_bytes > 0);
    a->destroy(a);
}

static void spoil(size_t at, const void *bytes, size_t n) {
    CHECK(at + n <= sent_bytes);
    memcpy(sent + at, bytes, n);
}

/* Its slots are of one actor each: a message is cut into two. */
static vly_algo *open_receiver(vly_config *config, const char *settings) {
    char text[128];
    snprintf(text, sizeof text, "pool.schedule=async impala.batch=2 %s", settings);
    return open_impala(config, NULL, ACTORS, text);
}

static void unrolls_of_another_process_are_learned_from(void) {
    enum { SLOTS = ACTORS + 2 * 2 };
    vly_config config;
    vly_metric metrics[VLY_METRICS_MAX];
    int n;
    const vly_progress progress = {.steps = 8, .total_steps = 100};
    act_elsewhere("");
    vly_algo *a = open_receiver(&config, "");
    for (int i = 0; i < SLOTS; i += ACTORS) CHECK_OK(a->receive(a, q, sent, sent_bytes));
    CHECK_EQ(a->async.ready, SLOTS);
    CHECK_EQ(a->receive(a, q, sent, sent_bytes), VLY_ENOSPACE);
    for (int i = 0; i < SLOTS; i += ACTORS) {
        CHECK(a->collect(a, q));
        CHECK_EQ(a->async.learning, ACTORS);
        CHECK_OK(a->learn(a, q, &progress));
        CHECK_OK(a->metrics(a, metrics, &n));
        CHECK_OK(a->publish(a, q));
    }
    CHECK_EQ(a->version, SLOTS / ACTORS);
    CHECK(!a->collect(a, q));
    CHECK_OK(a->receive(a, q, sent, sent_bytes)); /* there is room again */
    a->destroy(a);
}

/* Refused as a whole, and no slot is taken by it. */
static void is_refused(vly_algo *a, size_t bytes) {
    CHECK_EQ(a->receive(a, q, sent, bytes), VLY_ECORRUPT);
    CHECK_EQ(a->async.ready, 0);
    CHECK(!a->collect(a, q));
}

/* Where the parts of a message lie (common/learn/impala_unroll.c), without an LSTM or with one. */
static void what_would_poison_the_weights_is_refused(void) {
    static const char lstm[] = "net.lstm=5";
    enum { HEAD = 48, VERSION = HEAD, FRAMES = VERSION + STEPS * 8 };
    enum { REWARD = FRAMES + (STEPS + 1) * ACTORS * NUMBERS * 4 };
    enum { ACTION = REWARD + (STEPS + 1) * ACTORS * 5, LOGP = ACTION + STEPS * ACTORS * 4 };
    enum { STATE = LOGP + STEPS * ACTORS * 4, END = STATE + 2 * ACTORS * HIDDEN * 4 };
    static const uint32_t none = 0x7fc00000, infinite = 0x7f800000;
    static const int32_t beyond = ACTIONS, below = -1;
    static const int64_t future = -1;
    static const struct {
        size_t at;
        const void *bytes;
        size_t n;
    } faults[] = {{0, &below, 4},         {4, &beyond, 4},
                  {VERSION, &future, 8},  {FRAMES, &none, 4},
                  {REWARD - 4, &none, 4}, {REWARD, &infinite, 4},
                  {ACTION, &beyond, 4},   {LOGP - 4, &below, 4},
                  {LOGP, &none, 4},       {STATE - 4, &infinite, 4},
                  {STATE, &none, 4},      {END - 4, &infinite, 4}};
    vly_config config;
    uint8_t whole[MOST];
    act_elsewhere(lstm);
    CHECK_EQ(sent_bytes, END);
    memcpy(whole, sent, sent_bytes);
    vly_algo *a = open_receiver(&config, lstm);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        memcpy(sent, whole, sent_bytes);
        spoil(faults[i].at, faults[i].bytes, faults[i].n);
        is_refused(a, sent_bytes);
    }
    memcpy(sent, whole, sent_bytes);
    is_refused(a, sent_bytes - 1);
    is_refused(a, HEAD - 1);
    is_refused(a, 0);
    CHECK_OK(a->receive(a, q, sent, sent_bytes));
    CHECK_EQ(a->async.ready, ACTORS);
    CHECK(a->collect(a, q));
    a->destroy(a);
}

/* Of a learner that was started again: they count as acted by the newest weights. */
static void weights_that_the_learner_has_not_reached_are_the_newest(void) {
    static const int64_t later = 9;
    vly_config config;
    act_elsewhere("");
    for (int t = 0; t < STEPS; t++) spoil(48 + (size_t)t * sizeof later, &later, sizeof later);
    vly_algo *a = open_receiver(&config, "");
    CHECK_OK(a->receive(a, q, sent, sent_bytes));
    CHECK(a->collect(a, q));
    CHECK_EQ(a->async.lag_mean, 0);
    a->destroy(a);
}

/* ---- a stop within an update ---- */

static bool is_over(const void *arg) {
    return --*(int *)(uintptr_t)arg < 0;
}

static const vly_buffer *find_buffer(vly_algo *a, const char *name) {
    static vly_buffer list[BUFFERS];
    const int n = a->buffers(a, list, BUFFERS);
    CHECK(n <= BUFFERS);
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) return &list[i];
    fprintf(stderr, "no buffer %s\n", name);
    exit(TEST_FAIL);
}

/* Wherever it is given up, it is as if it had not begun: rewards are counted once. */
static void an_update_that_is_given_up_counts_no_rewards(void) {
    vly_config config;
    vly_algo *a = open_impala(&config, NULL, ACTORS,
                              "pool.schedule=async impala.batch=2 impala.normalize_reward=true");
    const double *returns = find_buffer(a, "moments.return")->data;
    int given_up = 0, looks;
    vly_status status = VLY_ECANCELED;
    for (int g = 0; g < ACTORS; g++) give_rows(a, g, 1, true);
    for (int t = 0; t < STEPS; t++)
        for (int g = 0; g < ACTORS; g++) step_group(a, g, 1);
    for (; status == VLY_ECANCELED; given_up++) {
        const vly_progress progress = {
            .steps = 8, .total_steps = 100, .stop_asked = is_over, .stop_arg = &looks};
        looks = given_up;
        CHECK(a->collect(a, q));
        status = a->learn(a, q, &progress);
        if (status == VLY_OK) break;
        CHECK_EQ(returns[0], 0);
        a->uncollect(a);
    }
    CHECK_OK(status);
    CHECK(given_up > 3); /* before layers, forward and backward */
    CHECK_EQ(returns[0], ACTORS * STEPS);
    a->destroy(a);
}

int main(void) {
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
    unrolls_of_another_process_are_learned_from();
    what_would_poison_the_weights_is_refused();
    weights_that_the_learner_has_not_reached_are_the_newest();
    an_update_that_is_given_up_counts_no_rewards();
    c->queue_destroy(q);
    c->destroy(c);
    return TEST_PASS;
}
