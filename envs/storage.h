/* storage.h -- a battery on the electricity market: buy when power is cheap, sell when it is dear.
 *
 *   volley train storage
 *   volley train storage --env.args prices=day_ahead.txt      # one price an hour, 0 to 10000
 *
 * Its own rules, judged against the truth: vly_storage_optimum() computes by dynamic programming what
 * the best policy earns, and `info` tells it: for drawn prices once for all hours, on opening.
 *
 * The battery holds 0 to 10 units and moves at most 2 an hour; of what is bought 95 % arrives, and so
 * it does of what is sold; each unit moved wears it by 1. An episode is a week (option hours), begins
 * with 5 units and ends with TERMINATED; what is left then is worth nothing. Reward: what the hour
 * earned, divided by 100. Actions: 0 sell 2, 1 sell 1, 2 hold, 3 buy 1, 4 buy 2; what there is no room
 * or no energy for is not moved.
 *
 * Prices come from a stream that no action influences (stream.h): seven levels around a mean for each
 * hour of the day, of which the next is the same or a neighbour; with prices=FILE the rows of a file,
 * from the row that the seed draws, on and on; the first row is a midnight. Observation: units / 10, sine and cosine of the hour, the
 * part of the week that is left, price / 50. Option hidden=1: the price is not shown (0).
 */
#ifndef VLY_ENVS_STORAGE_H
#define VLY_ENVS_STORAGE_H
#include "common/base/env.h"
#include "envs/stream.h"

typedef struct {
    int32_t units, step, ended;
    uint32_t spare;
    vly_stream prices;
    double earned; /* in this episode */
    uint64_t spare2[2];
} vly_storage;

vly_status vly_storage_open(vly_env *env, const vly_env_args *args);
/* The sum of rewards of the best policy from this state to the episode's end: for drawn prices its
 * expectation, for those of a file with all of them known ahead. */
double vly_storage_optimum(const vly_env *env, const vly_storage *s);
#endif
