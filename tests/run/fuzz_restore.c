/* A checkpoint whose checksums are right and whose contents are somebody else's choice: each of its
 * arrays may hold any bytes. It is refused in words, or training goes on from it without leaving
 * its memory.
 *   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_restore &&
 *   build-fuzz/fuzz_restore tests/fuzz/restore
 * The first byte chooses a run; then changes follow: an array, a place in it, what is written. */
#include <stdio.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/fuzz/input.h"

enum { BUFFERS = 192, CHANGES = 24 };

static const struct {
    const char *env, *settings;
} kinds[] = {
    {"gridworld", "run.algo=qlearning tabular.phase=4 run.envs=2"},
    {"cliffwalking", "run.algo=sarsa tabular.phase=4 run.envs=2 pool.groups=2"},
    {"cartpole", "run.algo=ppo run.envs=2 pool.groups=1 ppo.rollout=4 ppo.minibatches=2 "
                 "ppo.epochs=1 net.hidden=4"},
    {"minatar/breakout",
     "run.algo=ppo run.envs=2 pool.groups=1 ppo.rollout=4 ppo.epochs=1 net.hidden=4"},
    {"cartpole", "run.algo=dqn run.envs=2 dqn.learning_starts=8 dqn.batch=4 replay.capacity=64 "
                 "net.hidden=4 replay.prioritized=true dqn.n_step=2"},
    {"acrobot", "run.algo=impala run.envs=2 impala.rollout=4 impala.batch=2 pool.schedule=sync "
                "net.lstm=4 net.hidden=4"},
    {"minatar/seaquest", "run.algo=dqn run.envs=2 dqn.learning_starts=8 dqn.batch=4 "
                         "replay.capacity=64 net.hidden=4"},
    {"mountaincar", "run.algo=a2c run.envs=2 pool.groups=1 a2c.rollout=4 net.hidden=4"},
    {"minatar/asterix", "run.algo=a2c run.envs=2 pool.groups=1 a2c.rollout=4 net.hidden=4"},
    {"minatar/freeway", "run.algo=a2c run.envs=2 pool.groups=1 a2c.rollout=4 net.hidden=4"},
    {"minatar/space_invaders", "run.algo=a2c run.envs=2 pool.groups=1 a2c.rollout=4 net.hidden=4"},
    {"pendulum", "run.algo=sac run.envs=2 sac.learning_starts=8 sac.batch=4 replay.capacity=64 "
                 "net.hidden=4"},
    {"mountaincar_continuous", "run.algo=td3 run.envs=2 td3.learning_starts=8 td3.batch=4 "
                               "replay.capacity=64 net.hidden=4"},
    {"pendulum", "run.algo=ppo run.envs=2 pool.groups=1 ppo.rollout=4 ppo.minibatches=2 "
                 "ppo.epochs=1 net.hidden=4"},
    {"cartpole", "run.algo=apex apex.replay=local run.envs=2 dqn.learning_starts=8 dqn.batch=4 "
                 "replay.capacity=64 net.hidden=4 apex.block=4"},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

typedef struct {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_buffer list[BUFFERS];
    int buffers;
    uint8_t *good[BUFFERS]; /* as they were after a few updates */
    int64_t rounds;
} run;

static int stop_after_one(void *arg, const vly_train_report *report) {
    const run *r = arg;
    return report->rounds > r->rounds ? VLY_TRAIN_STOP : VLY_TRAIN_GO_ON;
}

static void configure(run *r, int kind) {
    vly_assignments given = {0};
    char text[512], *rest = text;
    snprintf(text, sizeof text, "run.workers=1 %s", kinds[kind].settings);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        fuzz_check(vly_assignments_add(&given, word, value, "fuzz") == VLY_OK);
    }
    fuzz_check(vly_algo_resolve(&r->config, &given, kinds[kind].env,
                                strchr(kinds[kind].env, '/') ? "minatar" : "classic") == VLY_OK);
    vly_assignments_free(&given);
}

static void open_trainer(run *r) {
    const vly_train_options o = {.compute = r->c,
                                 .env = &r->env,
                                 .config = &r->config,
                                 .arg = r,
                                 .on_update = stop_after_one};
    fuzz_check(vly_train_create(&r->t, &o) == VLY_OK);
    r->buffers = vly_train_buffers(r->t, r->list, BUFFERS);
    fuzz_check(r->buffers <= BUFFERS);
}

static vly_status go_on(run *r) {
    vly_train_result result;
    vly_train_report now;
    vly_train_get_report(r->t, &now);
    r->rounds = now.rounds;
    return vly_train_run(r->t, &result);
}

/* The state of a run that is under way. */
static void open_run(run *r, int kind) {
    configure(r, kind);
    fuzz_check(vly_env_open(&r->env, kinds[kind].env, NULL) == VLY_OK);
    fuzz_check(vly_compute_create_cpu(&r->c, 1) == VLY_OK);
    open_trainer(r);
    for (int i = 0; i < 16; i++) fuzz_check(go_on(r) == VLY_OK);
    for (int i = 0; i < r->buffers; i++) {
        r->good[i] = malloc(vly_buffer_bytes(&r->list[i]) + 1);
        fuzz_check(r->good[i] && vly_train_read(r->t, &r->list[i], r->good[i]) == VLY_OK);
    }
}

static void put_values(fuzz_input *in, uint8_t *to, size_t at, size_t bytes, vly_dtype dtype) {
    const unsigned kind = fuzz_byte(in);
    if (kind & 1) {
        const int64_t x = fuzz_number(in);
        const float f = fuzz_float(in);
        const double d = (double)f;
        const void *from = dtype == VLY_F32   ? (const void *)&f
                           : dtype == VLY_F64 ? (const void *)&d
                                              : (const void *)&x;
        const size_t size = dtype == VLY_U8                                            ? 1
                            : dtype == VLY_F64 || dtype == VLY_I64 || dtype == VLY_U64 ? 8
                                                                                       : 4;
        at -= at % size;
        memcpy(to + at, from, size < bytes - at ? size : bytes - at);
    } else {
        uint8_t raw[64];
        const size_t n = 1 + kind / 2 % sizeof raw;
        fuzz_take(in, raw, n);
        memcpy(to + at, raw, n < bytes - at ? n : bytes - at);
    }
}

/* Every array is written: what the run before left is gone. */
static vly_status write_changed(run *r, fuzz_input *in) {
    static uint8_t *changed[BUFFERS];
    vly_status status = VLY_OK;
    for (int i = 0; i < CHANGES && in->left; i++) {
        const int which = (int)(fuzz_byte(in) % (unsigned)r->buffers);
        const size_t bytes = vly_buffer_bytes(&r->list[which]), high = fuzz_byte(in),
                     place = high << 8 | fuzz_byte(in);
        if (bytes == 0) continue;
        if (!changed[which]) {
            fuzz_check((changed[which] = malloc(bytes)) != NULL);
            memcpy(changed[which], r->good[which], bytes);
        }
        put_values(in, changed[which], place % bytes, bytes, r->list[which].dtype);
    }
    for (int i = 0; i < r->buffers; i++) {
        const vly_status one = vly_train_write(r->t, &r->list[i],
                                               changed[i] ? changed[i] : r->good[i]);
        status = status == VLY_OK ? one : status;
        free(changed[i]);
        changed[i] = NULL;
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static run *runs[KINDS];
    fuzz_input in = {data, bytes};
    const int kind = (int)(fuzz_byte(&in) % KINDS);
    run *r = runs[kind];
    if (!r) {
        fuzz_check((r = runs[kind] = calloc(1, sizeof *r)) != NULL);
        open_run(r, kind);
    }
    vly_error_clear();
    vly_status status = write_changed(r, &in);
    if (status == VLY_OK) status = vly_train_restored(r->t);
    const bool restored = status == VLY_OK;
    if (restored) status = go_on(r);
    if (status == VLY_OK) return 0;
    fuzz_check(vly_error_text()[0] != '\0');
    if (!restored) return 0; /* the next input is written over all of it */
    vly_train_destroy(r->t); /* a run's failure is final */
    open_trainer(r);
    return 0;
}
