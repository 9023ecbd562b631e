/* dqn.h -- deep Q-learning (Mnih et al. 2015) with its usual improvements as switches: double (van
 * Hasselt et al. 2016), dueling (Wang et al. 2016), n-step returns, prioritized replay (Schaul et
 * al. 2016), a target network that is copied or averaged, many actors at once, one exploration rate
 * for all or a ladder (Horgan et al. 2018).
 *
 * `replay.ratio` is enforced: after each phase floor(replay.ratio x transitions since learning
 * started / batch) - updates so far are run. The remainder carries over. The ratio that was reached
 * is reported as charts/replay_ratio.
 */
#ifndef VLY_COMMON_LEARN_DQN_H
#define VLY_COMMON_LEARN_DQN_H
#include "common/learn/algo.h"
#include "common/learn/feed.h"
#ifdef __cplusplus
extern "C" {
#endif
/* Ape-X: whether the replay memory lies in a store. The learner then has no memory of its own:
 * every learn() is one update from its feed, which is filled before. An actor's
 * (args.sync->experience) has no learner. */
bool vly_dqn_in_store(const vly_config *config);
vly_feed *vly_dqn_feed(vly_algo *a); /* NULL: it has none */
#ifdef __cplusplus
}
#endif
#endif
