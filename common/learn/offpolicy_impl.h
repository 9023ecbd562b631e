/* offpolicy_impl.h -- the members of vly_algo that common/learn/offpolicy.c defines, for
 * offpolicy_create.c, which creates, saves and destroys. */
#ifndef VLY_COMMON_LEARN_OFFPOLICY_IMPL_H
#define VLY_COMMON_LEARN_OFFPOLICY_IMPL_H
#include "common/learn/offpolicy.h"

bool vly_offpolicy_place(vly_algo *a, int group, vly_rows *rows);
vly_status vly_offpolicy_arrived(vly_algo *a, vly_queue *q, int group, const uint8_t *age);
vly_status vly_offpolicy_act(vly_algo *a, vly_queue *q, const int *group, int count);
vly_actions vly_offpolicy_action(vly_algo *a, int group);
vly_status vly_offpolicy_learn(vly_algo *a, vly_queue *q, const vly_progress *progress);
vly_status vly_offpolicy_discard(vly_algo *a, vly_queue *q);
vly_status vly_offpolicy_metrics(vly_algo *a, vly_metric *out, int *count);
#endif
