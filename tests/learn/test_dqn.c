/* DQN: it learns, keeps to its replay ratio, and goes on bit for bit after a restart. */
#include "common/config/config.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/check.h"
#include "tests/kit/sanitized.h"

enum { BUFFERS = 96 };

static vly_compute *c;

/* What a checkpoint would hold. */
typedef struct {
    int n;
    vly_buffer buffer[BUFFERS];
    void *data[BUFFERS];
} saved;

static void save(vly_train *t, saved *s) {
    s->n = vly_train_buffers(t, s->buffer, BUFFERS);
    CHECK(s->n <= BUFFERS);
    for (int i = 0; i < s->n; i++) {
        s->data[i] = realloc(s->data[i], vly_buffer_bytes(&s->buffer[i]) + 1);
        CHECK_OK(vly_train_read(t, &s->buffer[i], s->data[i]));
    }
}

static void load(vly_train *t, const saved *s, bool with_replay) {
    vly_buffer to[BUFFERS];
    CHECK_EQ(vly_train_buffers(t, to, BUFFERS), s->n);
    for (int i = 0; i < s->n; i++) {
        CHECK_STR(to[i].name, s->buffer[i].name);
        if (to[i].role != VLY_BUFFER_REPLAY || with_replay)
            CHECK_OK(vly_train_write(t, &to[i], s->data[i]));
    }
    CHECK_OK(vly_train_restored(t));
}

static void check_same(const saved *a, const saved *b) {
    CHECK_EQ(a->n, b->n);
    for (int i = 0; i < a->n; i++)
        if (memcmp(a->data[i], b->data[i], vly_buffer_bytes(&a->buffer[i])) != 0) {
            fprintf(stderr, "buffer %s differs\n", a->buffer[i].name);
            exit(TEST_FAIL);
        }
}

static void drop(saved *s) {
    for (int i = 0; i < s->n; i++) free(s->data[i]);
    memset(s, 0, sizeof *s);
}

/* ---- runs ---- */

typedef struct {
    int64_t save_at, stop_at; /* rounds of the trainer; 0: never */
    saved *to;
    double ratio, ratio_max, size;
} watch;

static double metric(const vly_train_report *r, const char *name) {
    for (int i = 0; i < r->metric_count; i++)
        if (strcmp(r->metrics[i].name, name) == 0) return r->metrics[i].value;
    return NAN;
}

static int on_update(void *arg, const vly_train_report *r) {
    watch *w = arg;
    w->ratio = metric(r, "charts/replay_ratio");
    w->size = metric(r, "charts/replay_size");
    w->ratio_max = fmax(w->ratio_max, w->ratio);
    return (w->save_at && r->rounds == w->save_at ? VLY_TRAIN_SAVE : 0) |
           (w->stop_at && r->rounds >= w->stop_at ? VLY_TRAIN_STOP : 0);
}

static vly_status on_save(void *arg, vly_train *t) {
    watch *w = arg;
    if (w->to) save(t, w->to);
    return VLY_OK;
}

static vly_config configure(const char *env, const char *const *settings) {
    vly_config config;
    vly_assignments given = {0};
    CHECK_OK(vly_assignments_add(&given, "run.env", env, "test"));
    CHECK_OK(vly_assignments_add(&given, "run.algo", "dqn", "test"));
    for (; *settings; settings += 2)
        CHECK_OK(vly_assignments_add(&given, settings[0], settings[1], "test"));
    CHECK_OK(vly_algo_resolve(&config, &given, env, "classic"));
    vly_assignments_free(&given);
    return config;
}

/* stack: frames of the observation, whatever the environment's own. */
static vly_train_result run(const vly_config *config, int stack, watch *w, const saved *from,
                            bool with_replay) {
    vly_env env;
    vly_train *t;
    vly_train_result result;
    CHECK_OK(vly_env_open(&env, config->run.env, NULL));
    env.obs.stack = stack;
    const vly_train_options o = {.compute = c,
                                 .env = &env,
                                 .config = config,
                                 .arg = w,
                                 .on_update = on_update,
                                 .on_save = on_save};
    CHECK_OK(vly_train_create(&t, &o));
    if (from) load(t, from, with_replay);
    CHECK_OK(vly_train_run(t, &result));
    vly_train_destroy(t);
    env.close(&env);
    return result;
}

static const char *const everything[] = {"run.steps",
                                         "1M",
                                         "run.envs",
                                         "6",
                                         "pool.groups",
                                         "2",
                                         "dqn.batch",
                                         "16",
                                         "net.hidden",
                                         "16",
                                         "dqn.learning_starts",
                                         "100",
                                         "dqn.n_step",
                                         "3",
                                         "dqn.dueling",
                                         "true",
                                         "dqn.double_q",
                                         "true",
                                         "replay.prioritized",
                                         "true",
                                         "replay.capacity",
                                         "700",
                                         "replay.ratio",
                                         "5",
                                         "dqn.target_every",
                                         "7",
                                         "dqn.eps_steps",
                                         "1000",
                                         NULL,
                                         NULL};

static void resuming_changes_nothing(void) {
    for (int stack = 1; stack <= 3; stack += 2) { /* 150 rounds: the ring has wrapped */
        const vly_config config = configure("cartpole", everything);
        saved straight = {0}, half = {0}, resumed = {0};
        watch w = {.stop_at = 400, .to = &straight};
        run(&config, stack, &w, NULL, true);
        w = (watch){.stop_at = 170, .to = &half};
        run(&config, stack, &w, NULL, true);
        w = (watch){.stop_at = 400, .to = &resumed};
        run(&config, stack, &w, &half, true);
        check_same(&straight, &resumed);
        drop(&resumed);
        w = (watch){.save_at = 170, .stop_at = 400, .to = &resumed}; /* saving on the way is no
                                                                        event either */
        run(&config, stack, &w, NULL, true);
        check_same(&straight, &resumed);
        drop(&straight), drop(&half), drop(&resumed);
    }
}

static void a_run_without_its_memory_fills_it_again(void) {
    const vly_config config = configure("cartpole", everything);
    saved half = {0};
    watch w = {.stop_at = 170, .to = &half};
    run(&config, 3, &w, NULL, true);
    w = (watch){.stop_at = 175};
    run(&config, 3, &w, &half, false);
    CHECK(w.size < 40); /* learns nothing yet */
    CHECK(w.ratio == 0);
    w = (watch){.stop_at = 400};
    run(&config, 3, &w, &half, false);
    CHECK(w.size > 600);
    CHECK(w.ratio > 4.5 && w.ratio_max <= 5);
    drop(&half);
}

static void workers_do_not_matter(void) {
    saved one = {0}, many = {0};
    vly_config config = configure("cartpole", everything);
    config.run.workers = 1;
    watch w = {.stop_at = 150, .to = &one};
    run(&config, 1, &w, NULL, true);
    config.run.workers = 5;
    w.to = &many;
    run(&config, 1, &w, NULL, true);
    check_same(&one, &many);
    drop(&one), drop(&many);
}

static void the_replay_ratio_is_kept(void) {
    const char *const ratios[] = {"0.25", "1", "5", "33"};
    for (int i = 0; i < 4; i++) {
        const char *const settings[] = {"run.steps",
                                        "3000",
                                        "run.envs",
                                        "3",
                                        "pool.groups",
                                        "1",
                                        "dqn.batch",
                                        "16",
                                        "net.hidden",
                                        "8",
                                        "dqn.learning_starts",
                                        "200",
                                        "replay.capacity",
                                        "1000",
                                        "replay.ratio",
                                        ratios[i],
                                        NULL,
                                        NULL};
        const vly_config config = configure("cartpole", settings);
        watch w = {0};
        run(&config, 1, &w, NULL, true);
        const double ratio = atof(ratios[i]);
        CHECK(w.ratio_max <= ratio + 1e-9);
        CHECK(w.ratio > ratio - 16 / 2000.0 - 1e-9); /* less than an update waits */
        CHECK(w.size <= 1000 + 3);
    }
}

/* Pole balancing to an average of 195, in seconds, with all switches off and on. */
static void it_learns(void) {
    for (int i = 0; i < 8; i += 7) {
        const char *const settings[] = {"run.seed",
                                        "1",
                                        "run.steps",
                                        SANITIZED ? "6k" : "60k",
                                        "run.until_return",
                                        "195",
                                        "dqn.double_q",
                                        i & 1 ? "true" : "false",
                                        "dqn.dueling",
                                        i & 2 ? "true" : "false",
                                        "replay.prioritized",
                                        i & 4 ? "true" : "false",
                                        NULL,
                                        NULL};
        const vly_config config = configure("cartpole", settings);
        watch w = {0};
        const vly_train_result r = run(&config, 1, &w, NULL, true);
        printf("%s: mean return %.0f after %lld steps, %.1f s\n",
               i ? "double, dueling, prioritized" : "plain", r.report.return_mean_100,
               (long long)r.report.steps, r.report.wall_s);
        if (SANITIZED)
            SKIP_PART(
                "under a sanitizer: DQN takes some updates, and reaches 195 in the plain build");
        else
            CHECK_EQ(r.stop, VLY_STOP_TARGET);
    }
}

static const void *held(const saved *s, const char *name, int64_t numbers, size_t size) {
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->buffer[i].name, name) == 0) {
            CHECK(vly_buffer_bytes(&s->buffer[i]) >= (size_t)numbers * size);
            return s->data[i];
        }
    fprintf(stderr, "no buffer %s\n", name);
    exit(TEST_FAIL);
}

/* By the rows that arrived, all of which the ring still holds; the target network by the same. */
static void observations_are_normalised_by_what_arrived(void) {
    enum { WIDTH = 4, ROUNDS = 100, ACTORS = 3, ROWS = ROUNDS * ACTORS };
    const char *const settings[] = {"run.steps",
                                    "1M",
                                    "run.envs",
                                    "3",
                                    "pool.groups",
                                    "1",
                                    "dqn.batch",
                                    "16",
                                    "net.hidden",
                                    "8",
                                    "dqn.learning_starts",
                                    "50",
                                    "replay.capacity",
                                    "1000",
                                    "net.normalize",
                                    "true",
                                    "dqn.target_every",
                                    "100000",
                                    NULL,
                                    NULL};
    const vly_config config = configure("cartpole", settings);
    saved s = {0};
    watch w = {.stop_at = ROUNDS, .to = &s};
    run(&config, 1, &w, NULL, true);
    const float *row = held(&s, "replay.frames", ROWS * WIDTH, sizeof(float)),
                *mean = held(&s, "input.mean", WIDTH, sizeof(float)),
                *scale = held(&s, "input.scale", WIDTH, sizeof(float)),
                *target = held(&s, "target", 2 * WIDTH, sizeof(float));
    const int64_t newest = *(const int64_t *)held(&s, "replay.step", 1, sizeof(int64_t)),
                  rows = (newest + 1) * ACTORS;
    CHECK(rows >= ROWS && rows <= 1000); /* the ring has not wrapped */
    for (int k = 0; k < WIDTH; k++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < rows; i++) sum += (double)row[i * WIDTH + k];
        const double middle = sum / (double)rows;
        for (int64_t i = 0; i < rows; i++) squares += pow((double)row[i * WIDTH + k] - middle, 2);
        CHECK_NEAR(mean[k], middle, 1e-6);
        CHECK_NEAR(scale[k] * sqrt(squares / (double)rows), 1, 1e-4);
        /* rows may have arrived since the last update */
        CHECK_NEAR(target[k], mean[k], 1e-2);
        CHECK_NEAR(target[WIDTH + k] / scale[k], 1, 0.1);
    }
    drop(&s);
}

static void what_cannot_be_is_refused_by_name(void) {
    vly_env env;
    vly_train *t;
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    vly_config config = configure("cartpole", everything);
    vly_train_options o = {.compute = c, .env = &env, .config = &config};
    config.net.lstm = 16;
    CHECK_EQ(vly_train_create(&t, &o), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "--net.lstm") != NULL);
    config.net.lstm = 0, config.replay.capacity = 5;
    CHECK_EQ(vly_train_create(&t, &o), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "--replay.capacity") != NULL);
    config.replay.capacity = 1000, config.replay.bytes = 50;
    CHECK_EQ(vly_train_create(&t, &o), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "--replay.bytes") != NULL);
    env.close(&env);
}

int main(void) {
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    resuming_changes_nothing();
    a_run_without_its_memory_fills_it_again();
    workers_do_not_matter();
    the_replay_ratio_is_kept();
    observations_are_normalised_by_what_arrived();
    what_cannot_be_is_refused_by_name();
    it_learns();
    c->destroy(c);
    return TEST_PASS;
}
