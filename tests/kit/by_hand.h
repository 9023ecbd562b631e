/* by_hand.h -- an algorithm alone: one actor whose rows a test writes, a linear network, plain SGD, so that updates
 * can be worked out by hand.
 *
 *   static by_hand b;
 *   by_hand_open(&b, 2, 3, "run.algo=ppo ppo.rollout=4 ...");   // two numbers, three actions
 *   by_hand_arrive(&b, (float[]){0.5f, -1}, 0, VLY_ROW_RESET);
 *   const int action = by_hand_act(&b);                          // and by_hand_arrive, for each step of a rollout
 *   by_hand_learn(&b, 4, 0);                                     // at so many steps, after so many updates
 *   by_hand_close(&b);
 */
#ifndef VLY_TESTS_KIT_BY_HAND_H
#define VLY_TESTS_KIT_BY_HAND_H
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/settings.h"

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_algo *a;
    vly_config config;
    vly_env env;
} by_hand;

/* NULL: the algorithm has no such tensor. */
static inline vly_real *by_hand_find(by_hand *b, const char *name) {
    vly_buffer list[64];
    const int n = b->a->buffers(b->a, list, 64);
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) return list[i].data;
    return NULL;
}

static inline void by_hand_open(by_hand *b, int numbers, int actions, const char *settings) {
    char text[1024];
    snprintf(text, sizeof text,
             "run.preset=none run.envs=1 pool.groups=1 run.precision=fp32 optim.kind=sgd "
             "optim.max_grad_norm=0 %s",
             settings);
    settings_resolve(&b->config, "by hand", "none", text);
    b->config.net.hidden.n = 0;
    b->env = (vly_env){.name = "by hand", .players = 1, .tasks = 1};
    b->env.action = vly_space_discrete(actions);
    b->env.obs = (vly_obs_spec){.dtype = VLY_F32,
                                .ndim = 1,
                                .shape = {numbers},
                                .stack = 1,
                                .scale = 1,
                                .bytes = (size_t)numbers * sizeof(float)};
    CHECK_OK(vly_compute_create_cpu(&b->c, 1));
    CHECK_OK(b->c->queue_create(b->c, VLY_QUEUE_LEARN, &b->q));
    const vly_algo_args args = {.compute = b->c,
                                .env = &b->env,
                                .config = &b->config,
                                .seed = 3,
                                .actors = 1,
                                .groups = 1,
                                .queue = b->q};
    CHECK_OK(vly_algo_create(&b->a, b->config.run.algo, &args));
}

static inline void by_hand_close(by_hand *b) {
    b->a->destroy(b->a);
    b->c->queue_destroy(b->q);
    b->c->destroy(b->c);
}

static inline void by_hand_arrive(by_hand *b, const float *obs, float reward, uint8_t flags) {
    vly_rows at;
    const uint8_t age = 0;
    CHECK(b->a->place(b->a, 0, &at));
    memcpy(at.obs, obs, b->env.obs.bytes);
    *at.reward = *at.score = reward, *at.flags = flags;
    CHECK_OK(b->a->arrived(b->a, b->q, 0, &age));
}

static inline int by_hand_act(by_hand *b) {
    CHECK_OK(b->a->act(b->a, b->q, &(int){0}, 1));
    CHECK_OK(b->c->queue_sync(b->q));
    return vly_action_ints(b->a->action(b->a, 0))[0];
}

static inline void by_hand_learn(by_hand *b, int64_t steps, int64_t updates) {
    CHECK_OK(b->a->learn(b->a, b->q, &(vly_progress){.steps = steps, .updates = updates}));
    CHECK_OK(b->c->queue_sync(b->q));
}
#endif
