/* actions.h -- operations on actions that are more than one choice: distributions over several
 * choices or over numbers, soft actor-critic, TD3, and running moments.
 *
 *   const vly_dist d = {.kind = VLY_DIST_NORMAL, .parts = 6, .width = 12, .low = low, .high = high};
 *   VLY_TRY(c->dist_sample(q, &d, n, logits, rng, VLY_STREAM_ACT, lane0, raw, logp));
 *   VLY_TRY(c->dist_action(q, &d, n, raw, action));      // as the environment takes it
 *   ... later, with another network ...
 *   VLY_TRY(c->dist_loss(q, &loss));                     // d loss / d logits
 *
 * A policy's network gives `width` numbers a row; vly_dist says what they mean. `raw` is what was
 * drawn, before clipping or squashing: log-probabilities are of it. Masks are applied to the
 * network's numbers first (mask_actions), so nothing else has to know of them.
 */
#ifndef VLY_COMMON_BASE_ACTIONS_H
#define VLY_COMMON_BASE_ACTIONS_H
#include "common/base/compute.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    VLY_DIST_CHOICES,  /* several choices at once: a softmax each */
    VLY_DIST_NORMAL,   /* independent normal numbers, clipped to the bounds */
    VLY_DIST_SQUASHED, /* tanh of normal numbers, stretched to the bounds */
    VLY_DIST_UNIT      /* numbers in [-1, 1], stretched to the bounds: no distribution (TD3) */
} vly_dist_kind;

struct vly_dist {
    vly_dist_kind kind;
    int parts;                  /* CHOICES: choices made at once; else numbers of an action */
    int width;                  /* numbers of a row: CHOICES the sum of `choices`; NORMAL and
                                   SQUASHED 2 parts: means, then log deviations; UNIT parts */
    const int32_t *choices;     /* device (parts); CHOICES alone */
    const vly_real *low, *high; /* device (parts): the environment's bounds; NULL: dist_action
                                   neither clips nor stretches */
    int spread;                 /* NORMAL, SQUASHED: vly_spread */
};

/* How a number of the network becomes a log deviation. */
typedef enum {
    VLY_SPREAD_CLAMP, /* kept between LOW and HIGH; beyond, its gradient is 0 */
    VLY_SPREAD_TANH   /* tanh, stretched to TANH_LOW .. HIGH */
} vly_spread;
#define VLY_LOG_STD_LOW (-20.0f)
#define VLY_LOG_STD_TANH_LOW (-5.0f)
#define VLY_LOG_STD_HIGH 2.0f

/* What mask_actions writes: finite, so that 0 times it is 0; below every logit. */
#define VLY_MASKED (-1e30f)

/* The policy loss of compute.h for any distribution. p.actions is dist.width, p.action unused. A
 * row with an impossible choice has no gradient and is not counted. */
struct vly_dist_loss_args {
    vly_policy_loss_args p;
    vly_dist dist;
    const void *raw; /* (rows, parts), gathered by p.row; CHOICES int32_t, else vly_real */
};

/* Numbers in [-1, 1]: clamp(mean + clamp(deviation * normal, +-limit)). */
struct vly_noise_args {
    int n, parts;
    const vly_real *mean;   /* (n, parts); NULL: uniform in (-1, 1) */
    float deviation, limit; /* limit 0: the noise itself is not clamped */
    const vly_rng *rng;     /* may be NULL when deviation is 0 */
    uint32_t stream;
    int lane0;
    vly_real *out; /* (n, parts); may be mean */
};

/* Running moments of `width` columns (Chan et al. 1979), and what normalises by them. */
struct vly_running_args {
    int n, width;
    const vly_real *x;    /* (n, width) */
    float factor;         /* moments are those of factor x; 0: of x */
    const vly_real *mask; /* (n): rows with 0 are left out; NULL: none is */
    double *state;        /* (3, width): count, mean, sum of squared deviations; starts at 0 */
    vly_real *mean;       /* (width), may be NULL */
    vly_real *scale;      /* (width): 1 / sqrt(variance + 1e-8) */
};

/* Discounted sums of rewards up to each row, along each actor's stream. */
struct vly_discounted_args {
    int T, N;
    const vly_real *reward; /* (T, N) */
    const uint8_t *flags;   /* (T, N) */
    const vly_hyper *hyper; /* gamma */
    vly_real *carry;        /* (N): the sums now, before and after */
    vly_real *out, *mask;   /* (T, N); RESET and FAILED rows have mask 0 */
};

/* What two critics expect after a transition: min(q1, q2), less the policy's entropy term. */
struct vly_soft_value_args {
    int n, actions;            /* Q numbers of a row: 1 when the critics read the action */
    const vly_real *q1, *q2;   /* (n, actions) */
    const vly_real *logits;    /* (n, actions): the mean over this policy's choices; NULL: none */
    const vly_real *logp;      /* (n): of the action that the critics read; NULL: no entropy term */
    const vly_real *log_alpha; /* temperature (1); NULL: none */
    vly_real *value;           /* (n) */
};

/* Squared errors of both critics: mean of w (1/2 (q1 - y)^2 + 1/2 (q2 - y)^2), y = n_return +
 * discount * value. Rows whose action is out of range have no gradient. */
struct vly_twin_loss_args {
    int n, actions;
    const vly_real *q1, *q2;             /* (n, actions) */
    const int32_t *action;               /* (n) in [0, actions) */
    const vly_real *n_return, *discount; /* (n) */
    const vly_real *value;               /* (n) */
    const vly_real *weight;              /* (n) or NULL */
    vly_real *dq1, *dq2;                 /* (n, actions) */
    vly_real *td_abs;                    /* (n) mean of both |errors|, or NULL */
    vly_real *stats;                     /* COUNT, VALUE_LOSS, TD_ABS, Q, NONFINITE */
};

/* The policy's loss of soft actor-critic: mean of alpha logp - min(q1, q2), reparameterised; and
 * the temperature's: mean of -alpha (logp + target_entropy). SQUASHED distributions alone. */
struct vly_soft_policy_args {
    int n, parts;
    const vly_real *z;         /* (n, 2 parts) */
    const vly_real *raw;       /* (n, parts) drawn from it */
    const vly_real *logp;      /* (n) */
    const vly_real *q1, *q2;   /* (n) of the squashed action */
    const vly_real *daction;   /* (n, parts): gradient of -min(q1, q2) / n by the squashed action */
    const vly_real *log_alpha; /* (1) */
    float target_entropy;
    int spread;           /* vly_spread */
    vly_real *dz;         /* (n, 2 parts) */
    vly_real *dlog_alpha; /* (1) overwritten */
    vly_real *stats;      /* COUNT, POLICY_LOSS, ENTROPY, NONFINITE */
};

/* The same for choices, exactly, over all of them (Christodoulou 2019). */
struct vly_soft_choice_args {
    int n, actions;
    const vly_real *logits, *q1, *q2; /* (n, actions) */
    const vly_real *log_alpha;
    float target_entropy;
    float target_share; /* instead, of the largest entropy that a row's mask allows; 0: none */
    vly_real *dlogits, *dlog_alpha, *stats;
};

#ifdef __cplusplus
}
#endif
#endif
