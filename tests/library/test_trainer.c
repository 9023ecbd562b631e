/* Training and trained agents through libvolley. */
#include <math.h>
#include <pthread.h>
#include <unistd.h>
#include "tests/library/calls.h"

static char scratch[512];

static vly_trainer *open_trainer_as(const char *name, const char *more) {
    char options[1024];
    vly_trainer *t = NULL;
    snprintf(options, sizeof options,
             "env=cartpole algo=ppo seed=1 steps=400000 out=%s/%s workers=2 monitor=false %s",
             scratch, name, more);
    CHECK_CALL(vly_trainer_open(&t, NULL, options));
    return t;
}

/* ---- iterations ---- */

static void iterations_stop_where_they_are_asked_to(void) {
    vly_trainer *t = open_trainer_as("iterations", "");
    vly_report r = {.bytes = sizeof r};
    int64_t before = 0;
    REFUSED(vly_trainer_save(t), -1, "nothing was trained");
    for (int i = 1; i <= 3; i++) {
        CHECK_CALL(vly_trainer_train(t, 5000, -1, &r));
        CHECK(r.steps >= before + 5000 && r.steps < before + 5000 + 100000);
        CHECK_EQ(r.stop, 0);
        before = r.steps;
        usleep(20000);
        CHECK_CALL(vly_trainer_report(t, &r));
        CHECK_EQ(r.steps, before); /* nothing is trained between iterations */
    }
    const char *name = NULL;
    double value = NAN;
    CHECK_CALL(vly_trainer_metric(t, 0, &name, &value));
    CHECK(name && isfinite(value));
    REFUSED(vly_trainer_metric(t, 1000, &name, &value), -6, "1000");
    CHECK_CALL(vly_trainer_save(t));
    CHECK(access(vly_trainer_checkpoint(t), R_OK) == 0);
    vly_trainer_close(t);
}

/* The same digest however training is cut into iterations: that of one call. */
static void cutting_changes_nothing(void) {
    char path[2][1400];
    float weight[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        vly_trainer *t = open_trainer_as(k ? "cut" : "whole", "steps=40000");
        vly_report r = {.bytes = sizeof r};
        do CHECK_CALL(vly_trainer_train(t, k ? 3000 : 1000000, -1, &r));
        while (r.stop == 0);
        CHECK_EQ(r.stop, 2);
        CHECK_CALL(vly_trainer_train(t, 1000, -1, &r)); /* ended: at once */
        snprintf(path[k], sizeof path[k], "%s", vly_trainer_checkpoint(t));
        vly_trainer_close(t);
        vly_policy *p;
        vly_weight w = {.bytes = sizeof w};
        CHECK_CALL(vly_policy_open(&p, path[k], NULL));
        CHECK_CALL(vly_policy_tensor(p, 0, &w));
        for (int i = 0; i < 16; i++) weight[k] += w.data[i];
        vly_policy_close(p);
    }
    CHECK(weight[0] == weight[1] && weight[0] != 0);
}

static void a_stopped_run_goes_on(void) {
    char folder[1400];
    vly_report r = {.bytes = sizeof r};
    vly_trainer *t = open_trainer_as("stopped", "");
    CHECK_CALL(vly_trainer_train(t, 3000, -1, &r));
    CHECK_CALL(vly_trainer_stop(t));
    CHECK_CALL(vly_trainer_train(t, 3000, -1, &r));
    CHECK_EQ(r.stop, 3);
    const int64_t steps = r.steps;
    snprintf(folder, sizeof folder, "%s", vly_trainer_folder(t));
    vly_trainer_close(t);
    CHECK_CALL(vly_trainer_open(&t, folder, "monitor=false"));
    CHECK_CALL(vly_trainer_train(t, 3000, -1, &r));
    CHECK(r.steps >= steps + 3000);
    vly_trainer_close(t);
}

static void a_timeout_comes_back_while_training_goes_on(void) {
    vly_trainer *t = open_trainer_as("timeout", "");
    vly_report r = {.bytes = sizeof r};
    int status, timeouts = 0;
    while ((status = vly_trainer_train(t, 30000, 1, &r)) == -11) timeouts++;
    CHECK_EQ(status, 0);
    CHECK(timeouts > 0 && r.steps >= 30000);
    CHECK_EQ(vly_trainer_train(t, 300000, 1, &r), -11);
    CHECK_CALL(vly_trainer_save(t));
    CHECK(access(vly_trainer_checkpoint(t), R_OK) == 0);
    vly_trainer_close(t);
}

static void wrong_settings_are_refused_with_words(void) {
    vly_trainer *t = NULL;
    REFUSED(vly_trainer_open(&t, NULL, "env=cartpoll"), -6, "cartpole");
    REFUSED(vly_trainer_open(&t, NULL, "env=cartpole algo=pppo"), -1, "ppo");
    REFUSED(vly_trainer_open(&t, NULL, "env=cartpole ppo.lrr=1"), -1, "ppo.lr");
    REFUSED(vly_trainer_open(&t, NULL, ""), -1, "which environment");
    REFUSED(vly_trainer_open(&t, "/nowhere/at/all", NULL), -6, "nowhere");
    CHECK(t == NULL);
    vly_trainer_close(NULL);
}

/* ---- what was trained ---- */

static double mean_of(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

/* Plays CartPole through a vector with the policy's actions: what training reached. */
static void a_policy_plays_what_it_learned(void) {
    enum { N = 16, STEPS = 1200 };
    vly_trainer *t = open_trainer_as("learned", "until_return=300");
    vly_report r = {.bytes = sizeof r};
    do CHECK_CALL(vly_trainer_train(t, 0, -1, &r));
    while (r.stop == 0);
    CHECK_EQ(r.stop, 1);
    vly_policy *p;
    CHECK_CALL(vly_policy_open(&p, vly_trainer_folder(t), NULL));
    vly_trainer_close(t);
    vly_policy_facts facts = {.bytes = sizeof facts};
    CHECK_CALL(vly_policy_info(p, &facts));
    CHECK_EQ(facts.actions, 2);
    CHECK_EQ(facts.shape[0], 4);
    CHECK_STR(facts.algorithm, "ppo");
    static float observation[N][4], reward[N], logits[N][2], value[N];
    static uint8_t terminated[N], truncated[N];
    static int64_t action[N];
    const vly_batch batch = {.bytes = sizeof batch,
                             .observation = observation,
                             .reward = reward,
                             .terminated = terminated,
                             .truncated = truncated};
    const vly_decision d = {.bytes = sizeof d,
                            .observation = observation,
                            .greedy = 1,
                            .action = action,
                            .logits = &logits[0][0],
                            .value = value};
    vly_vec *v;
    CHECK_CALL(vly_vec_open(&v, "cartpole", "num_envs=16"));
    CHECK_CALL(vly_vec_reset(v, NULL, NULL, &batch));
    int falls = 0;
    for (int k = 0; k < STEPS; k++) {
        CHECK_CALL(vly_policy_act(p, N, &d));
        for (int i = 0; i < N; i++) {
            CHECK(isfinite(value[i]));
            CHECK_EQ(action[i], logits[i][1] > logits[i][0]);
        }
        CHECK_CALL(vly_vec_step(v, action, VLY_TYPE_I64, &batch));
        for (int i = 0; i < N; i++) falls += terminated[i];
    }
    CHECK(falls < N * STEPS / 150); /* random play falls every 22 steps */
    double returns[20];
    int32_t lengths[20];
    CHECK_CALL(vly_policy_evaluate(p, 20, 5, 1, returns, lengths));
    CHECK(mean_of(returns, 20) > 200);
    CHECK_EQ((int64_t)returns[0], lengths[0]);
    vly_vec_close(v);
    vly_policy_close(p);
}

static void masks_forbid_and_samples_follow_probabilities(const char *run) {
    enum { N = 4000 };
    static float observation[N][4], logits[N][2];
    static uint8_t mask[N][2];
    static int64_t action[N];
    vly_policy *p;
    CHECK_CALL(vly_policy_open(&p, run, "seed=3"));
    vly_decision d = {
        .bytes = sizeof d, .observation = observation, .action = action, .logits = &logits[0][0]};
    CHECK_CALL(vly_policy_act(p, N, &d));
    double expected = 0, ones = 0;
    for (int i = 0; i < N; i++) {
        expected += 1 / (1 + exp((double)(logits[i][0] - logits[i][1])));
        ones += (double)action[i];
        mask[i][i % 2] = 1;
    }
    CHECK(fabs(ones - expected) < 5 * sqrt(N * 0.25));
    d.mask = &mask[0][0];
    CHECK_CALL(vly_policy_act(p, N, &d));
    for (int i = 0; i < N; i++) CHECK_EQ(action[i], i % 2);
    memset(mask, 0, sizeof mask);
    REFUSED(vly_policy_act(p, N, &d), -1, "no action");
    float state[2];
    d.state = state;
    REFUSED(vly_policy_act(p, N, &d), -1, "not recurrent");
    REFUSED(vly_policy_act(p, 0, &d), -1, "0 observations");
    vly_policy_close(p);
}

/* Other settings make another network of the same weights. */
static void an_edited_run_is_refused(const char *run) {
    char edit[1400];
    vly_policy *p;
    snprintf(edit, sizeof edit, "sed -i 's/^  activation: .*/  activation: relu/' %s/config.yaml",
             run);
    CHECK_EQ(system(edit), 0);
    REFUSED(vly_policy_open(&p, run, NULL), -1, "net.activation relu instead of ");
    CHECK_CALL(vly_policy_open(&p, run, "accept_config=true"));
    double returns[2];
    int32_t lengths[2];
    CHECK_CALL(vly_policy_evaluate(p, 2, 5, 1, returns, lengths));
    vly_policy_close(p);
}

/* A recurrent state that is carried on gives what the states that were carried gave. */
static void recurrent_state_is_given_and_returned(void) {
    enum { T = 5, H = 32 };
    vly_trainer *t = open_trainer_as("recurrent", "net.lstm=32 steps=3000");
    vly_report r = {.bytes = sizeof r};
    do CHECK_CALL(vly_trainer_train(t, 0, -1, &r));
    while (r.stop == 0);
    vly_policy *p;
    CHECK_CALL(vly_policy_open(&p, vly_trainer_folder(t), NULL));
    vly_trainer_close(t);
    static float observation[1][4] = {{0.1f, 0.2f, -0.1f, 0.3f}};
    float state[2 * H] = {0}, logits[T][2], again[2], kept[2 * H];
    vly_decision d = {.bytes = sizeof d, .observation = observation, .state = state};
    for (int k = 0; k < T; k++) {
        d.logits = logits[k];
        if (k == 3) memcpy(kept, state, sizeof kept);
        CHECK_CALL(vly_policy_act(p, 1, &d));
    }
    CHECK(logits[0][0] != logits[1][0]);
    d.state = kept, d.logits = again;
    CHECK_CALL(vly_policy_act(p, 1, &d));
    CHECK(again[0] == logits[3][0] && again[1] == logits[3][1]);
    d.state = NULL;
    REFUSED(vly_policy_act(p, 1, &d), -1, "needs a state");
    vly_policy_close(p);
}

/* From the start of the cliff: up, eleven or more to the right, down. */
static void a_table_acts_on_its_states(void) {
    char options[1024];
    vly_trainer *t;
    vly_policy *p;
    vly_report r = {.bytes = sizeof r};
    snprintf(options, sizeof options,
             "env=cliffwalking algo=qlearning seed=1 out=%s/table monitor=false", scratch);
    CHECK_CALL(vly_trainer_open(&t, NULL, options));
    do CHECK_CALL(vly_trainer_train(t, 0, -1, &r));
    while (r.stop == 0);
    CHECK_CALL(vly_policy_open(&p, vly_trainer_folder(t), NULL));
    vly_policy_facts facts = {.bytes = sizeof facts};
    CHECK_CALL(vly_policy_info(p, &facts));
    CHECK(strcmp(facts.network, "table") == 0 && facts.width == 4 && facts.q_values);
    vly_weight w = {.bytes = sizeof w};
    CHECK_CALL(vly_policy_tensor(p, 0, &w));
    CHECK(strcmp(w.name, "table.q") == 0 && w.shape[0] == 48 && w.shape[1] == 4);
    REFUSED(vly_policy_tensor(p, 1, &w), -6, "1");
    float row[48] = {0}, logits[4], value, state[2];
    int64_t action;
    vly_decision d = {.bytes = sizeof d,
                      .observation = row,
                      .action = &action,
                      .logits = logits,
                      .value = &value};
    row[36] = 1; /* the lower left corner */
    CHECK_CALL(vly_policy_act(p, 1, &d));
    CHECK_EQ(action, 0);
    CHECK(value <= -12.9f && value == logits[0]); /* thirteen steps of -1 */
    d.state = state;
    REFUSED(vly_policy_act(p, 1, &d), -1, "not recurrent");
    vly_policy_close(p);
    vly_trainer_close(t);
}

static void a_box_is_acted_in_within_its_bounds(void) {
    char options[1024];
    vly_trainer *t;
    vly_policy *p;
    vly_report r = {.bytes = sizeof r};
    for (int i = 0; i < 3; i++) {
        static const char *const algo[] = {"ppo", "sac", "td3"};
        snprintf(options, sizeof options,
                 "env=pendulum algo=%s seed=1 steps=1500 out=%s/box-%s monitor=false", algo[i],
                 scratch, algo[i]);
        CHECK_CALL(vly_trainer_open(&t, NULL, options));
        do CHECK_CALL(vly_trainer_train(t, 1500, -1, &r));
        while (r.stop == 0);
        CHECK_CALL(vly_policy_open(&p, vly_trainer_folder(t), NULL));
        vly_policy_facts facts = {.bytes = sizeof facts};
        CHECK_CALL(vly_policy_info(p, &facts));
        CHECK(facts.box && facts.parts == 1 && facts.actions == 0 && !facts.choices);
        CHECK_EQ(facts.width, i == 2 ? 1 : 2);
        enum { N = 600 }; /* more than one pass of the network takes */
        static float x[N][3], z[2 * N], u[N];
        for (int k = 0; k < N; k++)
            x[k][0] = cosf((float)k), x[k][1] = sinf((float)k), x[k][2] = (float)(k % 17 - 8);
        vly_decision d = {
            .bytes = sizeof d, .observation = x, .logits = z, .numbers = u, .greedy = 1};
        CHECK_CALL(vly_policy_act(p, N, &d));
        for (int k = 0; k < N; k++) {
            const float mean = z[facts.width * k], clipped = fminf(fmaxf(mean, -2), 2),
                        likely = i == 0   ? clipped
                                 : i == 1 ? 2 * tanhf(mean)
                                          : 2 * mean;
            CHECK(fabsf(u[k] - likely) < 1e-5f);
        }
        d.greedy = 0;
        double moved = 0;
        CHECK_CALL(vly_policy_act(p, N, &d));
        for (int k = 0; k < N; k++) {
            CHECK(u[k] >= -2 && u[k] <= 2);
            moved += k > 0 && u[k] != u[k - 1];
        }
        CHECK(moved > N / 4);
        const uint8_t mask[N] = {1};
        d.mask = mask;
        REFUSED(vly_policy_act(p, N, &d), -1, "no mask");
        vly_policy_close(p);
        vly_trainer_close(t);
    }
}

static vly_policy *train_pendulum(const char *name, const char *more) {
    char options[1024];
    vly_trainer *t;
    vly_policy *p;
    vly_report r = {.bytes = sizeof r};
    snprintf(options, sizeof options,
             "env=pendulum seed=1 steps=1500 env.max_steps=1 out=%s/%s monitor=false %s", scratch,
             name, more);
    CHECK_CALL(vly_trainer_open(&t, NULL, options));
    do CHECK_CALL(vly_trainer_train(t, 1500, -1, &r));
    while (r.stop == 0);
    CHECK_CALL(vly_policy_open(&p, vly_trainer_folder(t), NULL));
    vly_trainer_close(t);
    return p;
}

/* How much larger the mean square of a torque is than that of the likeliest: as the trainer's own
 * policy draws it. A step of the pendulum costs a thousandth of the square beside what its state does,
 * and the same seed begins the same episodes. */
static double square_of_the_trainer(const vly_policy *p) {
    enum { EPISODES = 4000 };
    static double drawn[EPISODES], likely[EPISODES];
    CHECK_CALL(vly_policy_evaluate(p, EPISODES, 5, 0, drawn, NULL));
    CHECK_CALL(vly_policy_evaluate(p, EPISODES, 5, 1, likely, NULL));
    return 1000 * (mean_of(likely, EPISODES) - mean_of(drawn, EPISODES));
}

static double square_of_the_library(vly_policy *p) {
    enum { N = 4000 };
    static float x[N][3], u[N];
    double mean[2] = {0, 0};
    for (int k = 0; k < N; k++) { /* as its episodes begin */
        const double angle = M_PI * (2.0 * k / N - 1), speed = 2 * fmod(k * 0.618, 1) - 1;
        x[k][0] = (float)cos(angle), x[k][1] = (float)sin(angle), x[k][2] = (float)speed;
    }
    vly_decision d = {.bytes = sizeof d, .observation = x, .numbers = u};
    for (; d.greedy < 2; d.greedy++) {
        CHECK_CALL(vly_policy_act(p, N, &d));
        for (int k = 0; k < N; k++) mean[d.greedy] += (double)u[k] * (double)u[k] / N;
    }
    return mean[0] - mean[1];
}

static void numbers_are_drawn_as_the_trainer_draws_them(void) {
    static const char *const ways[] = {"algo=sac sac.learning_starts=10000",
                                       "algo=sac sac.learning_starts=10000 sac.deviation=tanh",
                                       "algo=ppo",
                                       "algo=ppo net.squash=true",
                                       "algo=ppo net.deviation=state",
                                       "algo=td3 td3.noise=0"};
    double square[sizeof ways / sizeof *ways];
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char name[32];
        snprintf(name, sizeof name, "drawn-%zu", i);
        vly_policy *p = train_pendulum(name, ways[i]);
        square[i] = square_of_the_library(p);
        CHECK_NEAR(square[i], square_of_the_trainer(p), 0.02 + 0.1 * square[i]);
        vly_policy_close(p);
    }
    CHECK(square[1] < square[0] / 2); /* e^-1.5 where the other deviation is 1 */
}

static void *train_alone(void *name) {
    vly_trainer *t = open_trainer_as(name, "steps=20000");
    vly_report r = {.bytes = sizeof r};
    do CHECK_CALL(vly_trainer_train(t, 4000, -1, &r));
    while (r.stop == 0);
    vly_trainer_close(t);
    return NULL;
}

static void two_trainers_at_once(void) {
    static char names[2][8] = {"one", "two"};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&thread[i], NULL, train_alone, names[i]) == 0);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
}

static void *train_to_the_end(void *trainer) {
    vly_report r = {.bytes = sizeof r};
    do CHECK_CALL(vly_trainer_train(trainer, 4000, -1, &r));
    while (r.stop == 0);
    return NULL;
}

/* It is a whole name, whenever the run writes a newer one. */
static void the_checkpoint_is_asked_for_while_it_trains(void) {
    static const char end[] = ".safetensors";
    vly_trainer *t = open_trainer_as("asked", "steps=20000 checkpoint.every_steps=1000");
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, train_to_the_end, t) == 0);
    for (int i = 0; i < 300; i++) {
        const char *name = vly_trainer_checkpoint(t);
        const size_t n = strlen(name);
        CHECK(n == 0 || (n > sizeof end && !strcmp(name + n - sizeof end + 1, end)));
        usleep(500);
    }
    pthread_join(thread, NULL);
    vly_trainer_close(t);
}

int main(void) {
    const char *folder = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/volley-trainer-XXXXXX", folder ? folder : "/tmp");
    CHECK(mkdtemp(scratch));
    char run[600], clean[700];
    iterations_stop_where_they_are_asked_to();
    cutting_changes_nothing();
    a_stopped_run_goes_on();
    a_timeout_comes_back_while_training_goes_on();
    wrong_settings_are_refused_with_words();
    a_policy_plays_what_it_learned();
    snprintf(run, sizeof run, "%s/whole", scratch);
    masks_forbid_and_samples_follow_probabilities(run);
    an_edited_run_is_refused(run);
    recurrent_state_is_given_and_returned();
    a_table_acts_on_its_states();
    a_box_is_acted_in_within_its_bounds();
    numbers_are_drawn_as_the_trainer_draws_them();
    the_checkpoint_is_asked_for_while_it_trains();
    two_trainers_at_once();
    snprintf(clean, sizeof clean, "rm -rf %s", scratch);
    CHECK_EQ(system(clean), 0);
    return TEST_PASS;
}
