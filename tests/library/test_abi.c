/* Sizes and offsets of include/volley.h, as programs that were built against soname 0 have them. A
 * member that is added stands at the end, and its row here with it; no row ever changes. */
#include <stddef.h>
#include "include/volley.h"
#include "tests/kit/check.h"

typedef struct {
    const char *what;
    size_t is, was;
} row;

#define SIZE(type, n) \
    { "sizeof(" #type ")", sizeof(type), n }
#define AT(type, member, n) \
    { #type "." #member, offsetof(type, member), n }

static const row rows[] = {
    SIZE(vly_vec_known, 40),
    AT(vly_vec_known, name, 8),
    AT(vly_vec_known, gymnasium, 16),
    AT(vly_vec_known, summary, 24),
    AT(vly_vec_known, family, 32),
    SIZE(vly_vec_space, 104),
    AT(vly_vec_space, type, 8),
    AT(vly_vec_space, ndim, 12),
    AT(vly_vec_space, shape, 16),
    AT(vly_vec_space, n, 80),
    AT(vly_vec_space, low, 88),
    AT(vly_vec_space, high, 96),
    SIZE(vly_vec_facts, 64),
    AT(vly_vec_facts, num_envs, 8),
    AT(vly_vec_facts, batch_size, 12),
    AT(vly_vec_facts, num_threads, 16),
    AT(vly_vec_facts, autoreset, 20),
    AT(vly_vec_facts, stack, 24),
    AT(vly_vec_facts, frames_per_step, 28),
    AT(vly_vec_facts, reward_type, 32),
    AT(vly_vec_facts, columns, 36),
    AT(vly_vec_facts, state_bytes, 40),
    AT(vly_vec_facts, asynchronous, 48),
    AT(vly_vec_facts, renders, 52),
    AT(vly_vec_facts, players, 56),
    SIZE(vly_column, 24),
    AT(vly_column, name, 8),
    AT(vly_column, type, 16),
    AT(vly_column, count, 20),
    SIZE(vly_batch, 72),
    AT(vly_batch, observation, 8),
    AT(vly_batch, reward, 16),
    AT(vly_batch, terminated, 24),
    AT(vly_batch, truncated, 32),
    AT(vly_batch, env_id, 40),
    AT(vly_batch, final_observation, 48),
    AT(vly_batch, column, 56),
    AT(vly_batch, final_column, 64),
    SIZE(vly_report, 80),
    AT(vly_report, steps, 8),
    AT(vly_report, updates, 16),
    AT(vly_report, episodes, 24),
    AT(vly_report, return_mean_100, 32),
    AT(vly_report, length_mean_100, 40),
    AT(vly_report, wall_s, 48),
    AT(vly_report, steps_per_s, 56),
    AT(vly_report, frames_per_s, 64),
    AT(vly_report, stop, 72),
    SIZE(vly_host_batch, 96),
    AT(vly_host_batch, n, 8),
    AT(vly_host_batch, env, 16),
    AT(vly_host_batch, seed, 24),
    AT(vly_host_batch, action, 32),
    AT(vly_host_batch, observation, 40),
    AT(vly_host_batch, reward, 48),
    AT(vly_host_batch, terminated, 56),
    AT(vly_host_batch, truncated, 64),
    AT(vly_host_batch, mask, 72),
    AT(vly_host_batch, name, 80),
    AT(vly_host_batch, description, 88),
    SIZE(vly_policy_facts, 152),
    AT(vly_policy_facts, type, 8),
    AT(vly_policy_facts, ndim, 12),
    AT(vly_policy_facts, shape, 16),
    AT(vly_policy_facts, actions, 80),
    AT(vly_policy_facts, recurrent, 84),
    AT(vly_policy_facts, q_values, 88),
    AT(vly_policy_facts, scale, 92),
    AT(vly_policy_facts, environment, 96),
    AT(vly_policy_facts, algorithm, 104),
    AT(vly_policy_facts, network, 112),
    AT(vly_policy_facts, activation, 120),
    AT(vly_policy_facts, parts, 128),
    AT(vly_policy_facts, box, 132),
    AT(vly_policy_facts, width, 136),
    AT(vly_policy_facts, deterministic, 140),
    AT(vly_policy_facts, choices, 144),
    SIZE(vly_decision, 72),
    AT(vly_decision, observation, 8),
    AT(vly_decision, mask, 16),
    AT(vly_decision, state, 24),
    AT(vly_decision, greedy, 32),
    AT(vly_decision, action, 40),
    AT(vly_decision, logits, 48),
    AT(vly_decision, value, 56),
    AT(vly_decision, numbers, 64),
    SIZE(vly_weight, 64),
    AT(vly_weight, name, 8),
    AT(vly_weight, data, 16),
    AT(vly_weight, ndim, 24),
    AT(vly_weight, shape, 32),
};

int main(void) {
    int wrong = 0;
    if (sizeof(void *) != 8) SKIP("the table is of machines of 64 bits");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].is != rows[i].was) {
            fprintf(stderr, "%s is %zu, was %zu\n", rows[i].what, rows[i].is, rows[i].was);
            wrong++;
        }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(VLY_TYPE_U8, 0);
    CHECK_EQ(VLY_TYPE_I32, 1);
    CHECK_EQ(VLY_TYPE_I64, 2);
    CHECK_EQ(VLY_TYPE_F32, 3);
    CHECK_EQ(VLY_TYPE_F64, 4);
    return TEST_PASS;
}
