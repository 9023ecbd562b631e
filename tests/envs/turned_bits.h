/* turned_bits.h -- vly_env.valid against play, and against states with some bits turned over. */
#ifndef VLY_TESTS_ENVS_TURNED_BITS_H
#define VLY_TESTS_ENVS_TURNED_BITS_H
#include <stdlib.h>
#include <string.h>
#include "common/base/env.h"
#include "common/base/philox.h"
#include "envs/trace.h"
#include "tests/kit/check.h"

typedef struct {
    uint8_t *state, *obs, flags;
    float reward, score;
} one_actor;

static inline vly_rows actor_row(const vly_env *env, one_actor *a) {
    return vly_rows_plain(a->obs, env->obs.bytes, &a->reward, &a->score, &a->flags);
}

static inline one_actor actor_begin(const vly_env *env, uint64_t seed) {
    one_actor a = {aligned_alloc(64, env->state_bytes), malloc(env->obs.bytes), 0, 0, 0};
    CHECK(a.state && a.obs);
    env->reset(env, a.state, seed, actor_row(env, &a));
    return a;
}

static inline void actor_end(one_actor *a) {
    free(a->state), free(a->obs);
}

static inline uint32_t draw_below(uint64_t stream, uint64_t i, uint32_t n) {
    return vly_below(vly_philox(stream, VLY_STREAM_TEST, i, 0).v[0], n);
}

static inline void actor_step(const vly_env *env, one_actor *a, uint64_t i) {
    int32_t action[16];
    CHECK(env->action.bytes <= sizeof action);
    vly_trace_random(env, 1, i, NULL, action);
    env->step(env, a->state, 1, (vly_actions){action, env->action.bytes}, actor_row(env, a));
}

static inline void every_state_of_play_is_valid(const vly_env *env, int steps) {
    one_actor a = actor_begin(env, 7);
    for (int i = 0; i < steps; i++) {
        if (env->valid(env, a.state) != VLY_OK) {
            fprintf(stderr, "%s, step %d: %s\n", env->name, i, vly_error_text());
            CHECK(!"a state of play is not valid");
        }
        actor_step(env, &a, (uint64_t)i);
    }
    actor_end(&a);
}

/* One bit: anywhere, or near the state's beginning or end, since most of it may be the state of a
 * random generator. */
static inline void turn_bit(const vly_env *env, uint8_t *state, uint64_t at) {
    enum { NEAR = 640 };
    const uint32_t all = (uint32_t)env->state_bytes, part = all < NEAR ? all : NEAR,
                   where = draw_below(4, at, 3);
    const uint32_t bit = draw_below(3, at, (where ? part : all) * 8);
    state[(where == 2 ? all - part : 0) + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* Under the sanitizers, running an invalid state that passed as valid ends the test. */
static inline void turned_bits_are_refused_or_played_on(const vly_env *env, int rounds) {
    one_actor a = actor_begin(env, 8), b = actor_begin(env, 8);
    int refused = 0;
    for (int i = 0; i < rounds; i++) {
        const uint64_t at = (uint64_t)i * 100;
        actor_step(env, &a, at);
        memcpy(b.state, a.state, env->state_bytes);
        for (uint32_t k = 0; k < 1 + draw_below(2, at, 4); k++) turn_bit(env, b.state, at + k);
        if (env->valid(env, b.state) != VLY_OK) {
            refused++;
            continue;
        }
        for (uint64_t k = 0; k < 8; k++) {
            if (env->state_index)
                CHECK((unsigned)env->state_index(env, b.state) < (unsigned)env->states);
            actor_step(env, &b, at + k);
        }
    }
    printf("%s: %d of %d states with bits turned over were refused\n", env->name, refused, rounds);
    actor_end(&a), actor_end(&b);
}
#endif
