/* Training in environments of the caller's, through libvolley. */
#include <math.h>
#include <unistd.h>
#include "tests/library/calls.h"

static char scratch[512];

/* A hall of 5 cells from the middle: action 1 goes to the right, where 1 is earned; mask: the wall
 * to the left is not walked into. */
enum { HALLS = 64, CELLS = 5 };
typedef struct {
    int at[HALLS], begun[HALLS], ended[HALLS];
    int64_t steps, calls, resets, numbers;
    int fail_after, nan_after;
} halls;

static void show_hall(const halls *h, int k, int i, const vly_host_batch *b) {
    float *row = (float *)b->observation + (size_t)i * CELLS;
    for (int c = 0; c < CELLS; c++) row[c] = c == h->at[k];
    if (b->mask) b->mask[2 * i] = h->at[k] > 0, b->mask[2 * i + 1] = 1;
}

static int step_halls(void *arg, const vly_host_batch *b) {
    halls *h = arg;
    const int32_t *action = b->action;
    CHECK(b->bytes >= sizeof *b && strcmp(b->name, "host:hall") == 0);
    h->calls++;
    if (h->fail_after && h->steps > h->fail_after) return 7;
    for (int i = 0; i < b->n; i++) {
        const int k = b->env[i];
        CHECK(k >= 0 && k < HALLS);
        if (k >= h->numbers) h->numbers = k + 1;
        if (b->seed[i] == -2) {
            CHECK(h->begun[k] && !h->ended[k]); /* never a step without an episode */
            CHECK(!b->mask || action[i] == 1 || h->at[k] > 0);
            h->at[k] += action[i] ? 1 : h->at[k] > 0 ? -1 : 0;
            h->steps++;
        } else {
            CHECK(b->seed[i] == -1 ? h->ended[k] : !h->begun[k]);
            h->at[k] = CELLS / 2, h->begun[k] = 1, h->resets++;
        }
        h->ended[k] = b->terminated[i] = h->at[k] == CELLS - 1;
        b->truncated[i] = 0;
        b->reward[i] = h->ended[k] ? 1 : -0.1f;
        if (h->nan_after && h->steps > h->nan_after) b->reward[i] = NAN;
        show_hall(h, k, i, b);
    }
    return 0;
}

static vly_trainer *open_halls(halls *h, const char *name, const char *more) {
    char options[1024];
    vly_trainer *t = NULL;
    snprintf(options, sizeof options,
             "env=host:hall env.args=observation=f32:5,action=choice:2%s algo=ppo seed=1 envs=16 "
             "steps=20000 workers=1 pool.chunk=16 ppo.rollout=32 out=%s/%s monitor=false",
             more, scratch, name);
    CHECK_CALL(vly_trainer_open_hosted(&t, NULL, options, step_halls, h));
    return t;
}

static void the_callers_environment_is_learned(void) {
    halls h = {0};
    vly_report r = {.bytes = sizeof r};
    vly_trainer *t = open_halls(&h, "learned", "");
    do CHECK_CALL(vly_trainer_train(t, 5000, -1, &r));
    while (r.stop == 0);
    CHECK_EQ(r.stop, 2);
    CHECK(r.return_mean_100 > 0.85); /* two steps; at random some eight: 0.3 */
    CHECK_EQ(h.numbers, 16);
    CHECK(h.steps + h.resets < 17 * h.calls && h.steps + h.resets > 7 * h.calls); /* batches */
    vly_trainer_close(t);
}

static void masks_reach_the_policy(void) {
    halls h = {0};
    vly_report r = {.bytes = sizeof r};
    vly_trainer *t = open_halls(&h, "masked", ",mask=1");
    CHECK_CALL(vly_trainer_train(t, 5000, -1, &r));
    vly_trainer_close(t);
}

static void what_fails_ends_the_training(void) {
    halls h = {.fail_after = 3000};
    vly_report r = {.bytes = sizeof r};
    vly_trainer *t = open_halls(&h, "fails", "");
    REFUSED(vly_trainer_train(t, 19000, -1, &r), -12, "host:hall: its rules failed");
    vly_trainer_close(t);
    halls n = {.nan_after = 3000};
    t = open_halls(&n, "nan", "");
    REFUSED(vly_trainer_train(t, 19000, -1, &r), -10, "reward that is not finite");
    vly_trainer_close(t);
}

static void a_run_that_goes_on_begins_new_episodes(void) {
    char run[600];
    halls h = {0}, again = {0};
    vly_report r = {.bytes = sizeof r};
    vly_trainer *t = open_halls(&h, "on", "");
    CHECK_CALL(vly_trainer_train(t, 5000, -1, &r));
    CHECK_CALL(vly_trainer_save(t));
    const int64_t before = r.steps;
    vly_trainer_close(t);
    snprintf(run, sizeof run, "%s/on", scratch);
    CHECK_CALL(vly_trainer_open_hosted(&t, run, NULL, step_halls, &again));
    CHECK_CALL(vly_trainer_train(t, 5000, -1, &r));
    CHECK(r.steps >= before + 5000);
    CHECK_EQ(again.numbers, 16);
    vly_trainer_close(t);
    CHECK_CALL(vly_trainer_open(&t, run, NULL));
    REFUSED(vly_trainer_train(t, 5000, -1, &r), -14, "its rules are the program's that trained it");
    vly_trainer_close(t);
    vly_policy *p;
    float x[CELLS] = {0, 0, 1, 0, 0};
    int64_t action = -1;
    const vly_decision d = {.bytes = sizeof d, .observation = x, .greedy = 1, .action = &action};
    CHECK_CALL(vly_policy_open(&p, run, NULL));
    CHECK_CALL(vly_policy_act(p, 1, &d));
    CHECK_EQ(action, 1);
    vly_policy_close(p);
}

static void what_is_not_a_description_is_refused(void) {
    static const struct {
        const char *args, *words;
    } bad[] = {
        {"", "observation= and action="},
        {"observation=f32:5", "observation= and action="},
        {"observation=f32:0,action=choice:2", "observation=f32:0"},
        {"observation=f64:5,action=choice:2", "observation=f64:5"},
        {"observation=u8:5x5,action=choice:2", "observation=u8:5x5"},
        {"observation=u8:5x5x1x1,action=choice:2", "observation="},
        {"observation=f32:5,action=choice:", "action=choice:"},
        {"observation=f32:5,action=choice:2x", "action=choice:2x"},
        {"observation=f32:5,action=choices:2;", "action=choices:2;"},
        {"observation=f32:5,action=choices:2*2000", "action="},
        {"observation=f32:5,action=choices:4096*2", "action="},
        {"observation=f32:5,action=box:1:-1", "action=box:1:-1"},
        {"observation=f32:5,action=box:-inf:1", "action=box:-inf:1"},
        {"observation=f32:5,action=box:-1:1,mask=1", "no mask"},
        {"observation=f32:5,action=choice:2,speed=3", "speed"},
    };
    halls h = {0};
    vly_trainer *t;
    char options[1024];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(options, sizeof options, "env=host:hall env.args=\"%s\" out=%s/bad monitor=false",
                 bad[i].args, scratch);
        REFUSED(vly_trainer_open_hosted(&t, NULL, options, step_halls, &h), -1, bad[i].words);
    }
    snprintf(options, sizeof options, "env=cartpole out=%s/bad monitor=false", scratch);
    REFUSED(vly_trainer_open_hosted(&t, NULL, options, step_halls, &h), -1, "rules of its own");
    REFUSED(vly_trainer_open_hosted(&t, NULL, options, NULL, NULL), -1, "without a function");
    REFUSED(vly_trainer_open(&t, NULL, "env=host:"), -1, "without a name");
}

int main(void) {
    const char *folder = getenv("TMPDIR");
    char clean[700];
    snprintf(scratch, sizeof scratch, "%s/volley-hosted-XXXXXX", folder ? folder : "/tmp");
    CHECK(mkdtemp(scratch));
    the_callers_environment_is_learned();
    masks_reach_the_policy();
    what_fails_ends_the_training();
    a_run_that_goes_on_begins_new_episodes();
    what_is_not_a_description_is_refused();
    snprintf(clean, sizeof clean, "rm -rf %s", scratch);
    CHECK_EQ(system(clean), 0);
    return TEST_PASS;
}
