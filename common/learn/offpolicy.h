/* offpolicy.h -- actor and two critics with a replay memory: what SAC (sac.c) and TD3 (td3.c) share.
 *
 * Each update: sample, what two target critics expect of the next step (method->next_value), the
 * critics' step; every policy_every updates the policy's (method->improve), or as many of them as
 * updates have passed (method->catches_up); the targets move.
 * Actions are numbers in [-1, 1] inside, stretched to the environment's bounds on the way out, or
 * one choice (SAC alone). `replay.ratio` is enforced as DQN does.
 *
 * The critics are one network of two towers. They read observation and action side by side; with
 * choices the observation alone, and give a Q for each. With --net.normalize all networks read
 * observations by the moments of now, which are tensors of the policy's: those in the memory are raw.
 */
#ifndef VLY_COMMON_LEARN_OFFPOLICY_H
#define VLY_COMMON_LEARN_OFFPOLICY_H
#include "common/learn/learner.h"
#include "common/learn/memories.h"
#include "common/learn/moments.h"
#include "common/learn/pace.h"
#include "common/learn/head.h"
#include "common/learn/replay.h"

typedef struct vly_offpolicy vly_offpolicy;

typedef struct {
    const char *name;
    vly_head_kind head;
    int head_numbers;    /* of the policy's head, for a number of an action */
    bool delays_targets; /* the targets move with the policy, and the policy has one too */
    bool catches_up;     /* the policy makes policy_every steps at a time */
    /* acting->logits of actors first .. first + M - 1 become a->drawn; greedy: without noise. */
    vly_status (*explore)(vly_offpolicy *a, vly_queue *q, int first);
    /* a->value of the sample's bootstrap rows. */
    vly_status (*next_value)(vly_offpolicy *a, vly_queue *q);
    /* One step of the policy on the sample; policy->x holds its observations. */
    vly_status (*improve)(vly_offpolicy *a, vly_queue *q);
} vly_offpolicy_method;

typedef struct {
    int batch, n_step, policy_every;
    int64_t learning_starts;
    float lr, critic_lr, gamma, tau, reward_scale;
    float alpha, target_entropy; /* SAC; alpha 0: no temperature */
    float target_share; /* instead, for choices: of the largest entropy that masks allow; 0: none */
    bool learn_alpha;
} vly_offpolicy_options;

struct vly_offpolicy {
    vly_algo pub; /* first */
    vly_compute *c;
    const vly_config *config;
    const vly_offpolicy_method *method;
    vly_offpolicy_options o;
    vly_dist bounds; /* UNIT, to the environment's numbers; CHOICES */
    bool choices, eval, greedy;
    int N, M, G, parts, actions; /* actions: Q numbers of a critic */
    int width;                   /* numbers of an observation as networks read it */
    vly_net *net, *critic_net;
    vly_learner policy_learner, critic_learner;
    vly_exec *acting, *policy, *target_policy, *critics, *targets;
    vly_real *target_param, *target_policy_param;
    vly_replay *replay;

    vly_rng *rng; /* device: one per group (acting), sampling, learning */
    vly_real *drawn, *sent;
    void *sent_host;                       /* (N, parts) */
    vly_real *sent_shown;                  /* where the device writes the host's; NULL: downloads */
    vly_real *raw, *action, *logp, *value; /* (batch, parts), (batch) */
    vly_params alpha;                      /* log temperature */
    vly_real *alpha_norm, *alpha_stats, *alpha_shown; /* shown: log temperature, on the host */
    vly_moments running;                              /* of all observations so far */
    vly_real *normal; /* (batch, width): as the policy's network normalises them; or NULL */
    vly_graph **act_graph,
        *graph[2]; /* (2 G): at random, by the policy; updates without, with it */
    int group;
    bool with_policy, random; /* arguments of the captured functions */
    vly_pace *pace;
    vly_memories memories;
};

/* The policy's network. */
vly_net_desc vly_offpolicy_net(const vly_algo_args *args, const vly_offpolicy_method *method);
vly_status vly_offpolicy_create(vly_algo **out, const vly_algo_args *args,
                                const vly_offpolicy_method *method,
                                const vly_offpolicy_options *options);

/* ---- for the methods ---- */

/* Observations of these rows into policy->x, or another network's. */
vly_status vly_offpolicy_observe(vly_offpolicy *a, vly_queue *q, vly_exec *exec,
                                 const int32_t *row);
/* The observations in `from` and these actions are what these critics read. */
vly_status vly_offpolicy_judge(vly_offpolicy *a, vly_queue *q, vly_exec *critics,
                               const vly_exec *from, const vly_real *action);
/* After the critics ran forward on policy->x and an action: d -min(q1, q2) / d action (batch,
 * parts) into `out`; by the first critic alone: `first`. */
vly_status vly_offpolicy_ascend(vly_offpolicy *a, vly_queue *q, bool first, vly_real *out);
/* policy->dlogits are there. */
vly_status vly_offpolicy_step_policy(vly_offpolicy *a, vly_queue *q);
#endif
