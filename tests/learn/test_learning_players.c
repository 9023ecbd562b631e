/* Several players of one state learn one policy: Nim of examples/two_player_env.c. Who leaves a
 * multiple of four wins, and nothing but the result says so. */
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/built.h"
#include "tests/kit/check.h"
#include "tests/kit/sanitized.h"

#define NIM "run.envs=16 net.hidden=64 run.seed=1 run.precision=fp32 "

typedef struct {
    vly_config config;
    vly_env env;
    vly_compute *c;
} nim;

static void open_nim(nim *n, const char *settings) {
    vly_assignments given = {0};
    char text[1024], *rest = text;
    const char *plugin = built_file(VLY_TEST_PLUGIN_PLAYERS);
    snprintf(text, sizeof text, "%s%s", settings, SANITIZED ? " run.steps=3k" : "");
    CHECK_OK(vly_assignments_add(&given, "run.env", plugin, "test"));
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        CHECK_OK(vly_assignments_add(&given, word, value, "test"));
    }
    CHECK_OK(vly_algo_resolve(&n->config, &given, plugin, "plugin"));
    vly_assignments_free(&given);
    CHECK_OK(vly_env_open(&n->env, plugin, NULL));
    CHECK_OK(vly_compute_create_cpu(&n->c, 2));
}

static void close_nim(nim *n) {
    n->c->destroy(n->c);
    n->env.close(&n->env);
}

static void copy_weights(vly_train *from, vly_train *to) {
    enum { MOST = 256 };
    static vly_buffer have[MOST], want[MOST];
    const int n = vly_train_buffers(from, have, MOST), m = vly_train_buffers(to, want, MOST);
    CHECK(n <= MOST && m <= MOST);
    for (int i = 0; i < m; i++)
        for (int k = 0; k < n; k++) {
            if (strcmp(want[i].name, have[k].name)) continue;
            void *host = malloc(vly_buffer_bytes(&want[i]));
            CHECK_OK(vly_train_read(from, &have[k], host));
            CHECK_OK(vly_train_write(to, &want[i], host));
            free(host);
        }
    CHECK_OK(vly_train_restored(to));
}

/* The policy plays both sides: its share of winning moves, where there is one. */
static double winning_moves(const nim *n, vly_train *trained) {
    enum { MOVES = 2000 };
    const vly_train_options o = {.compute = n->c,
                                 .env = &n->env,
                                 .config = &n->config,
                                 .eval = true,
                                 .greedy = true,
                                 .eval_actors = 1,
                                 .eval_seed = 99};
    vly_train *t;
    vly_train_moment m;
    double before[2], right = 0, all = 0;
    CHECK_OK(vly_train_create(&t, &o));
    copy_weights(trained, t);
    CHECK_OK(vly_train_step(t, &m));
    for (int i = 0; i < MOVES; i++) {
        n->env.info(&n->env, m.state, before);
        CHECK_OK(vly_train_step(t, &m));
        const int matches = (int)before[0], turn = (int)before[1];
        if (m.flags & VLY_ROW_RESET || matches % 4 == 0) continue;
        right += vly_action_ints(m.action)[turn] + 1 == matches % 4;
        all++;
    }
    vly_train_destroy(t);
    return right / all;
}

static double learned(const char *settings) {
    nim n;
    vly_train *t;
    vly_train_result result;
    open_nim(&n, settings);
    const vly_train_options o = {.compute = n.c, .env = &n.env, .config = &n.config};
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_train_run(t, &result));
    const double share = winning_moves(&n, t);
    fprintf(stderr, "%s: %.3f of the winning moves, %.2f s\n", settings, share,
            result.report.wall_s);
    vly_train_destroy(t);
    close_nim(&n);
    return share;
}

/* At random a third of the moves wins. */
static void both_players_learn_to_win(void) {
    const double ppo = learned(NIM "run.algo=ppo run.steps=200k ppo.lr=1e-2 ppo.rollout=64 "
                                   "ppo.gamma=1"),
                 a2c = learned(NIM "run.algo=a2c run.steps=400k a2c.lr=1e-2 a2c.rollout=16 "
                                   "a2c.gamma=1 optim.kind=adam optim.beta2=0.999"),
                 reinforce = learned(NIM "run.algo=reinforce run.steps=300k reinforce.lr=1e-2 "
                                         "reinforce.rollout=32 reinforce.gamma=1");
    CHECK(SANITIZED || (ppo > 0.95 && a2c > 0.6 && reinforce > 0.95));
}

static vly_status run_with(const char *settings) {
    nim n;
    vly_train *t;
    vly_train_result result;
    open_nim(&n, settings);
    const vly_train_options o = {.compute = n.c, .env = &n.env, .config = &n.config};
    vly_status status = vly_train_create(&t, &o);
    if (status == VLY_OK) status = vly_train_run(t, &result);
    vly_train_destroy(t);
    close_nim(&n);
    return status;
}

static void what_cannot_learn_from_turns_says_so(void) {
    CHECK_EQ(run_with(NIM "run.algo=dqn"), VLY_EUNSUPPORTED);
    CHECK(strstr(vly_error_text(), "waits while others move"));
    CHECK_EQ(run_with(NIM "run.algo=impala"), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "several players") && strstr(vly_error_text(), "ppo"));
}

int main(void) {
    if (SANITIZED)
        SKIP_PART("under a sanitizer: a few updates each; the bars are the plain build's");
    both_players_learn_to_win();
    what_cannot_learn_from_turns_says_so();
    return TEST_PASS;
}
