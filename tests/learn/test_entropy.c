/* The entropy bonus of PPO and its schedule: with one observation, no rewards and no discount there is no advantage,
 * so that the steps of a linear policy are those of the bonus alone, worked out by hand. */
#include <math.h>
#include "tests/kit/by_hand.h"

enum { ACTIONS = 3, T = 4, SEEN = 64 };
#define RATE 1e-3

static const float seen[] = {SEEN};

static void open_bench(by_hand *b, int entropy_steps) {
    char settings[256];
    snprintf(settings, sizeof settings,
             "run.algo=ppo ppo.lr=1e-3 ppo.anneal=false ppo.rollout=%d ppo.epochs=1 "
             "ppo.minibatches=1 ppo.value_coef=0 ppo.gamma=1 ppo.normalize_advantage=false "
             "ppo.overlap=off ppo.entropy_coef=0.2 ppo.entropy_steps=%d",
             T, entropy_steps);
    by_hand_open(b, 1, ACTIONS, settings);
    by_hand_arrive(b, seen, 0, VLY_ROW_RESET);
}

/* Weights and biases after one update at `steps`: one step of RATE along `weight` times the gradient of the
 * entropy. */
static void step_of(by_hand *b, int64_t steps, int64_t update, double weight) {
    const vly_real *w = by_hand_find(b, "policy.head.weight"),
                   *bias = by_hand_find(b, "policy.head.bias");
    double w0[ACTIONS], bias0[ACTIONS], p[ACTIONS], total = 0, entropy = 0, most = 0;
    for (int k = 0; k < ACTIONS; k++) {
        w0[k] = (double)w[k], bias0[k] = (double)bias[k];
        total += exp(w0[k] * SEEN + bias0[k]);
    }
    for (int k = 0; k < ACTIONS; k++) {
        p[k] = exp(w0[k] * SEEN + bias0[k]) / total;
        entropy -= p[k] * log(p[k]);
    }
    for (int t = 0; t < T; t++) {
        by_hand_act(b);
        by_hand_arrive(b, seen, 0, 0);
    }
    by_hand_learn(b, steps, update);
    for (int k = 0; k < ACTIONS; k++) {
        const double up = -RATE * weight * p[k] * (log(p[k]) + entropy);
        CHECK_NEAR(w[k], w0[k] + SEEN * up, 2e-7);
        CHECK_NEAR(bias[k], bias0[k] + up, 2e-8);
        most = fmax(most, SEEN * fabs(up));
    }
    CHECK(weight == 0 || most > 2e-5); /* there was a step to see */
}

static void the_bonus_falls_to_nothing(void) {
    static by_hand b;
    open_bench(&b, 1000);
    step_of(&b, 0, 0, 0.2);
    step_of(&b, 250, 1, 0.15);
    step_of(&b, 1000, 2, 0);
    step_of(&b, 5000, 3, 0);
    by_hand_close(&b);
}

static void without_a_schedule_it_stays(void) {
    static by_hand b;
    open_bench(&b, 0);
    step_of(&b, 0, 0, 0.2);
    step_of(&b, 1000000, 1, 0.2);
    by_hand_close(&b);
}

int main(void) {
    the_bonus_falls_to_nothing();
    without_a_schedule_it_stays();
    return TEST_PASS;
}
