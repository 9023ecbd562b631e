/* The MuJoCo tasks apart from their numbers, which tests/mujoco/peers.py compares with Gymnasium's. */
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>
#include "common/base/philox.h"
#include "envs/registry.h"
#include "tests/kit/check.h"
#include "tests/kit/peer.h"

enum { ACTIONS_MOST = 32 };

typedef struct {
    vly_env env;
    uint8_t *state, *obs, flags;
    float reward, score, action[ACTIONS_MOST];
} one;

static vly_rows row_of(one *a) {
    return vly_rows_plain(a->obs, a->env.obs.bytes, &a->reward, &a->score, &a->flags);
}

static one one_open(const char *name, const char *extra, int max_steps) {
    const vly_env_args args = {.extra = extra, .max_steps = max_steps};
    one a = {.reward = 0};
    CHECK_OK(vly_env_open(&a.env, name, &args));
    CHECK(a.env.action.kind == VLY_SPACE_BOX && a.env.action.count <= ACTIONS_MOST);
    a.state = aligned_alloc(64, a.env.state_bytes);
    a.obs = malloc(a.env.obs.bytes);
    CHECK(a.state && a.obs);
    return a;
}

static void one_close(one *a) {
    a->env.close(&a->env);
    free(a->state), free(a->obs);
}

static void start(one *a, uint64_t seed) {
    a->env.reset(&a->env, a->state, seed, row_of(a));
    CHECK_EQ(a->flags, VLY_ROW_RESET);
}

static void step(one *a, uint64_t at) {
    const vly_actions action = {a->action, a->env.action.bytes};
    for (int i = 0; i < a->env.action.count; i++) {
        const vly_bounds *b = &a->env.action.bounds[i];
        const float u = vly_unit(vly_philox(5, VLY_STREAM_TEST, at, (uint32_t)i).v[0]);
        a->action[i] = (float)(b->low + (b->high - b->low) * (double)u);
    }
    a->env.step(&a->env, a->state, 1, action, row_of(a));
}

static bool same_row(const one *a, const one *b) {
    return a->flags == b->flags && memcmp(&a->reward, &b->reward, sizeof a->reward) == 0 &&
           memcmp(a->obs, b->obs, a->env.obs.bytes) == 0;
}

/* ---- what is missing is named ---- */

static char folder[256], empty[] = "/tmp/volley-mujoco-XXXXXX";

static void link_in(const char *into, const char *target, const char *name) {
    char from[600], to[600];
    snprintf(from, sizeof from, "%s/%s", folder, target);
    snprintf(to, sizeof to, "%s/%s", into, name);
    unlink(to);
    CHECK_EQ(symlink(from, to), 0);
}

static void refused(const char *name, const char *extra, vly_status status, const char *word) {
    const vly_env_args args = {.extra = extra};
    vly_env env;
    CHECK_EQ(vly_env_open(&env, name, &args), status);
    if (strstr(vly_error_text(), word)) return;
    fprintf(stderr, "'%s' does not say %s\n", vly_error_text(), word);
    exit(TEST_FAIL);
}

static void without_a_library_the_message_says_what_fetches_it(void) {
    setenv("VOLLEY_MUJOCO", empty, 1);
    refused("mujoco/ant", NULL, VLY_ENOTFOUND, "'make mujoco'");
    refused("Hopper-v5", "version=3.6.0", VLY_ENOTFOUND, "'make mujoco'");
}

static void a_description_needs_no_library(void) {
    vly_env_info info;
    CHECK_OK(vly_env_describe(&info, "Humanoid-v5", NULL));
    CHECK_STR(info.name, "mujoco/humanoid");
    CHECK_STR(info.family, "mujoco");
    CHECK_EQ(info.obs.shape[0], 348);
}

static void other_versions_are_refused_by_name(const char *library) {
    char path[600];
    snprintf(path, sizeof path, "%s/libmujoco.so.9.9.9", empty);
    FILE *file = fopen(path, "w");
    CHECK(file && fclose(file) == 0);
    refused("mujoco/ant", NULL, VLY_EVERSION, "libmujoco.so.9.9.9");
    refused("mujoco/ant", "version=9.9.9", VLY_EVERSION, "9.9.9");
    unlink(path);
    const char *other = strcmp(library, "libmujoco.so.3.3.7") ? "3.3.7" : "3.6.0";
    char name[64], extra[64];
    snprintf(name, sizeof name, "libmujoco.so.%s", other);
    snprintf(extra, sizeof extra, "version=%s", other);
    link_in(empty, library, name);
    refused("mujoco/ant", extra, VLY_EVERSION, "it is version");
    snprintf(path, sizeof path, "%s/%s", empty, name);
    unlink(path);
}

/* A copy of a model in which the elements of a kind are comments. */
static void without(const char *element, const char *model) {
    char command[1600];
    snprintf(command, sizeof command,
             "rm -f %s/%s; sed 's/<%s \\([^>]*\\)>/<!-- -->/' %s/%s >%s/%s", empty, model, element,
             folder, model, empty, model);
    CHECK_EQ(system(command), 0);
}

static void another_model_is_refused_by_what_differs(const char *library) {
    link_in(empty, library, library);
    refused("mujoco/ant", NULL, VLY_ENOTFOUND, "ant.xml");
    link_in(empty, "hopper.xml", "ant.xml");
    refused("mujoco/ant", NULL, VLY_EVERSION, "nq is 6, Gymnasium's v5 has 15");
    char path[600];
    snprintf(path, sizeof path, "%s/ant.xml", empty);
    unlink(path);
    without("motor", "hopper.xml");
    refused("mujoco/hopper", NULL, VLY_EVERSION, "nu is 0, Gymnasium's v5 has 3");
    without("site", "inverted_double_pendulum.xml");
    refused("mujoco/inverted_double_pendulum", NULL, VLY_EVERSION, "its first site is not 'tip'");
    snprintf(path, sizeof path, "%s/%s", empty, library);
    unlink(path);
}

/* ---- states ---- */

static void every_state_of_play_is_valid(one *a) {
    for (uint64_t i = 0; i < 60; i++) {
        CHECK_OK(a->env.valid(&a->env, a->state));
        step(a, i);
        CHECK(!(a->flags & VLY_ROW_FAILED));
    }
}

static void a_copied_state_goes_on_the_same(one *a) {
    one b = one_open(a->env.name, NULL, 0);
    memcpy(b.state, a->state, a->env.state_bytes);
    for (uint64_t i = 0; i < 60; i++) {
        step(a, 100 + i), step(&b, 100 + i);
        CHECK(same_row(a, &b));
    }
    CHECK_EQ(memcmp(a->state, b.state, a->env.state_bytes), 0);
    one_close(&b);
}

/* A turned bit is refused, or played on, or its row fails: nothing else. */
static void turned_bits_do_no_harm(one *a) {
    one b = one_open(a->env.name, NULL, 0);
    for (uint64_t i = 0; i < 150; i++) {
        const vly_u32x4 random = vly_philox(6, VLY_STREAM_TEST, i, 0);
        memcpy(b.state, a->state, a->env.state_bytes);
        const uint32_t bit = vly_below(random.v[0], (uint32_t)a->env.state_bytes * 8);
        b.state[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (b.env.valid(&b.env, b.state) != VLY_OK) continue;
        for (uint64_t k = 0; k < 3; k++) step(&b, i + k);
    }
    one_close(&b);
}

static void each_task(void) {
    int n = 0;
    for (int i = 0; vly_env_list(i); i++) {
        if (!vly_env_needs(vly_env_list(i))) continue;
        one a = one_open(vly_env_list(i)->name, NULL, 0);
        start(&a, 3);
        every_state_of_play_is_valid(&a);
        a_copied_state_goes_on_the_same(&a);
        turned_bits_do_no_harm(&a);
        one_close(&a);
        n++;
    }
    CHECK_EQ(n, 11);
}

static void damaged_states_are_refused(void) {
    const double nan = NAN;
    one a = one_open("mujoco/hopper", NULL, 0);
    start(&a, 1);
    memcpy(a.state + a.env.state_bytes / 64 * 64 - 64, &nan, sizeof nan);
    CHECK_EQ(a.env.valid(&a.env, a.state), VLY_ECORRUPT);
    start(&a, 1);
    a.state[0] ^= 1;
    CHECK_EQ(a.env.valid(&a.env, a.state), VLY_ECORRUPT);
    CHECK(strstr(vly_error_text(), "version") != NULL);
    one_close(&a);
}

/* ---- episodes ---- */

static void an_action_that_is_no_number_fails_its_row_alone(void) {
    one a = one_open("mujoco/half_cheetah", NULL, 0);
    const float none[6] = {NAN, 0, 0, 0, 0, 0};
    start(&a, 1);
    a.env.step(&a.env, a.state, 1, (vly_actions){none, sizeof none}, row_of(&a));
    CHECK_EQ(a.flags, VLY_ROW_FAILED);
    CHECK_OK(a.env.valid(&a.env, a.state));
    start(&a, 1);
    step(&a, 1);
    CHECK_EQ(a.flags, 0);
    one_close(&a);
}

static void the_limit_truncates(void) {
    one a = one_open("mujoco/swimmer", NULL, 3);
    start(&a, 1);
    step(&a, 0), step(&a, 1);
    CHECK_EQ(a.flags, 0);
    step(&a, 2);
    CHECK_EQ(a.flags, VLY_ROW_TRUNCATED | VLY_ROW_GAME_OVER);
    step(&a, 3);
    CHECK_EQ(a.flags, VLY_ROW_RESET);
    one_close(&a);
}

static void a_restart_begins_as_the_end_of_an_episode_would(void) {
    one a = one_open("mujoco/reacher", NULL, 5), b = one_open("mujoco/reacher", NULL, 5);
    start(&a, 9), start(&b, 9);
    for (uint64_t i = 0; i < 6; i++) step(&a, i);
    step(&b, 0);
    b.env.restart(&b.env, b.state, row_of(&b));
    CHECK_EQ(a.flags, VLY_ROW_RESET);
    CHECK(same_row(&a, &b));
    one_close(&a), one_close(&b);
}

/* 0.1 * 0.36 * 6 less than without a cost, in float32. */
static void options_go_by_gymnasiums_names(void) {
    one a = one_open("mujoco/half_cheetah", NULL, 0),
        b = one_open("mujoco/half_cheetah", "ctrl_cost_weight=0", 0);
    const float action[6] = {0.6f, 0.6f, 0.6f, 0.6f, 0.6f, 0.6f};
    start(&a, 1), start(&b, 1);
    a.env.step(&a.env, a.state, 1, (vly_actions){action, sizeof action}, row_of(&a));
    b.env.step(&b.env, b.state, 1, (vly_actions){action, sizeof action}, row_of(&b));
    CHECK_NEAR(b.reward - a.reward, 0.216, 1e-5);
    one_close(&a), one_close(&b);
    refused("mujoco/half_cheetah", "colour=1", VLY_EINVAL, "colour");
}

/* Before a library is looked for. */
static void options_that_a_task_does_not_read_are_refused(void) {
    refused("mujoco/reacher", "reset_noise_scale=0.5", VLY_EINVAL,
            "mujoco/reacher has no option 'reset_noise_scale'; it has reward_control_weight, "
            "version");
    refused("mujoco/half_cheetah", "healthy_reward=1", VLY_EINVAL,
            "it has forward_reward_weight, ctrl_cost_weight, reset_noise_scale, version");
    refused("mujoco/hopper", "contact_cost_weight=1", VLY_EINVAL, "contact_cost_weight");
    refused("mujoco/inverted_pendulum", "ctrl_cost_weight=1", VLY_EINVAL,
            "it has reset_noise_scale, version");
    refused("mujoco/humanoid_standup", "forward_reward_weight=1", VLY_EINVAL,
            "it has ctrl_cost_weight, impact_cost_weight, reset_noise_scale, version");
}

static void a_task_without_weights_rewards_nothing(void) {
    one a = one_open("mujoco/ant",
                     "forward_reward_weight=0,ctrl_cost_weight=0,contact_cost_weight=0,"
                     "healthy_reward=0,reset_noise_scale=0",
                     0);
    start(&a, 1), step(&a, 1);
    CHECK(a.reward <= 0 && a.reward >= 0);
    one_close(&a);
}

/* The model's time step times the frames of a step; Gymnasium's `dt`. */
static void a_step_takes_the_simulations_time(void) {
    static const struct {
        const char *name;
        double step_s;
    } of[] = {{"mujoco/hopper", 0.008}, {"mujoco/half_cheetah", 0.05}, {"mujoco/humanoid", 0.015}};
    for (int i = 0; i < 3; i++) {
        one a = one_open(of[i].name, NULL, 0);
        CHECK_NEAR(a.env.step_s, of[i].step_s, 1e-12);
        one_close(&a);
    }
}

/* ---- threads ---- */

typedef struct {
    one *a;
    uint64_t first;
} run;

static void *play(void *arg) {
    const run *r = arg;
    for (uint64_t i = 0; i < 200; i++) step(r->a, r->first + i);
    return NULL;
}

/* Both of one environment: the simulations are what they share. */
static void threads_do_not_disturb_each_other(void) {
    one a = one_open("mujoco/hopper", NULL, 0), b = a, c = one_open("mujoco/hopper", NULL, 0);
    pthread_t thread;
    b.state = aligned_alloc(64, a.env.state_bytes), b.obs = malloc(a.env.obs.bytes);
    start(&a, 1), start(&b, 2), start(&c, 2);
    run first = {&a, 0}, second = {&b, 1000}, alone = {&c, 1000};
    CHECK_EQ(pthread_create(&thread, NULL, play, &first), 0);
    play(&second);
    pthread_join(thread, NULL);
    play(&alone);
    CHECK(same_row(&b, &c));
    CHECK_EQ(memcmp(b.state, c.state, c.env.state_bytes), 0);
    free(b.state), free(b.obs);
    one_close(&a), one_close(&c);
}

/* ---- pictures ---- */

static void a_picture_or_what_it_needs(void) {
    one a = one_open("mujoco/ant", NULL, 0);
    int width, height;
    start(&a, 1);
    vly_error_clear();
    a.env.render(&a.env, a.state, NULL, &width, &height);
    if (width == 0) {
        CHECK(strstr(vly_error_text(), "apt-get install") != NULL);
        SKIP_PART("%s", vly_error_text());
    } else {
        uint8_t *rgb = calloc((size_t)width * (size_t)height, 3);
        a.env.render(&a.env, a.state, rgb, &width, &height);
        int colours = 0;
        for (int i = 3; i < width * height * 3; i += 3) colours += memcmp(rgb + i, rgb, 3) != 0;
        CHECK(colours > width * height / 4);
        free(rgb);
    }
    one_close(&a);
}

/* The folder that is named, the user's, or one of links to a Python's packages. */
static void find_library(char *library, size_t bytes) {
    static char made[] = "/tmp/volley-mujoco-XXXXXX";
    const char *python = peer_python("mujoco, gymnasium");
    char command[1024];
    if (!python)
        SKIP("no Python here has mujoco and gymnasium: pip install 'gymnasium[mujoco]', and name "
             "it in "
             "VLY_PYTHON");
    CHECK(mkdtemp(made) != NULL);
    snprintf(folder, sizeof folder, "%s", made);
    snprintf(command, sizeof command, "%s tests/mujoco/folder.py %s", python, folder);
    CHECK_EQ(system(command), 0);
    snprintf(command, sizeof command, "basename %s/libmujoco.so.*", folder);
    FILE *name = popen(command, "r");
    CHECK(name && fgets(library, (int)bytes, name));
    pclose(name);
    library[strcspn(library, "\n")] = '\0';
}

static void remove_folder(const char *path) {
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", path);
    CHECK_EQ(system(command), 0);
}

int main(void) {
    char library[128];
    CHECK(mkdtemp(empty) != NULL);
    without_a_library_the_message_says_what_fetches_it();
    a_description_needs_no_library();
    options_that_a_task_does_not_read_are_refused();
    find_library(library, sizeof library);
    other_versions_are_refused_by_name(library);
    another_model_is_refused_by_what_differs(library);
    remove_folder(empty);
    setenv("VOLLEY_MUJOCO", folder, 1);
    each_task();
    damaged_states_are_refused();
    an_action_that_is_no_number_fails_its_row_alone();
    the_limit_truncates();
    a_restart_begins_as_the_end_of_an_episode_would();
    options_go_by_gymnasiums_names();
    a_task_without_weights_rewards_nothing();
    a_step_takes_the_simulations_time();
    threads_do_not_disturb_each_other();
    a_picture_or_what_it_needs();
    remove_folder(folder);
    return TEST_PASS;
}
