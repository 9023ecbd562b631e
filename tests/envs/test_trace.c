#include <unistd.h>
#include "envs/registry.h"
#include "envs/trace.h"
#include "tests/kit/check.h"

/* The trace of `actions` as text; free it. */
static char *trace(const char *name, const vly_env_args *args, uint64_t seed,
                   const int32_t *actions, size_t n) {
    vly_env env;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    CHECK_OK(vly_env_open(&env, name, args));
    CHECK_OK(vly_trace_write(out, &env, seed, actions, n));
    fclose(out);
    env.close(&env);
    return text;
}

static int lines(const char *text) {
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

/* The numbers of Gymnasium 1.4.0: reset(seed=42), then action 1. */
static void cartpole_rows_are_those_of_gymnasium(void) {
    const int32_t actions[2] = {1, 0};
    char *text = trace("CartPole-v1", NULL, 42, actions, 2);
    const char *want = "step\taction\treward\tterminated\ttruncated\tobs0\tobs1\tobs2\tobs3\n"
                       "0\t1\t1\t0\t0\t0.0272733625\t0.188477665\t0.0362545289\t-0.261419773\n";
    CHECK(strncmp(text, want, strlen(want)) == 0 || (fputs(text, stderr), 0));
    CHECK_EQ(lines(text), 3);
    free(text);
}

/* The row after the end of an episode is the next one's first step; resets have no row. */
static void an_end_leads_on_without_a_row(void) {
    const vly_env_args args = {.max_steps = 3};
    const int32_t actions[7] = {0, 1, 0, 1, 0, 1, 0};
    char *text = trace("cartpole", &args, 1, actions, 7);
    CHECK_EQ(lines(text), 8);
    int row = -1;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), row++) {
        int step, action, terminated, truncated;
        double reward;
        if (row < 0) continue;
        CHECK_EQ(sscanf(line, "%d %d %lf %d %d", &step, &action, &reward, &terminated, &truncated),
                 5);
        CHECK(step == row && action == actions[row] && reward == 1.0 && !terminated);
        CHECK_EQ(truncated, row % 3 == 2);
    }
    free(text);
}

static void discrete_states_are_one_number(void) {
    const int32_t actions[3] = {0, 1, 2};
    char *text = trace("cliffwalking", NULL, 0, actions, 3);
    CHECK_STR(text, "step\taction\treward\tterminated\ttruncated\tobs0\n"
                    "0\t0\t-1\t0\t0\t24\n1\t1\t-1\t0\t0\t25\n2\t2\t-100\t0\t0\t36\n");
    free(text);
}

static void minatar_rows_hold_crc_and_bits(void) {
    const vly_env_args args = {.extra = "sticky=0"};
    const int32_t actions[1] = {0};
    char *text = trace("minatar/freeway", &args, 0, actions, 1);
    char bits[4096] = "";
    unsigned crc;
    CHECK_EQ(sscanf(strchr(text, '\n') + 1, "0\t0\t0\t0\t0\t%8x\t%4095s", &crc, bits), 2);
    CHECK(strncmp(bits, "0,9,4;1,1,", 10) == 0 && bits[strlen(bits) - 1] != ';');
    int things = 1;
    for (char *p = bits; *p; p++) things += *p == ';';
    CHECK_EQ(things, 1 + 8 + 8); /* the chicken, the cars, their trails */
    free(text);
}

static void a_wrong_action_is_named(void) {
    vly_env env;
    const int32_t actions[2] = {0, 2};
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_EQ(vly_trace_write(stdout, &env, 0, actions, 2), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "action 2 at step 1") != NULL);
    env.close(&env);
}

static void a_full_disk_is_an_error(void) {
    vly_env env;
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        CHECK_EQ(vly_trace_write(full, &env, 0, NULL, 5000), VLY_EIO);
        fclose(full);
    }
    env.close(&env);
}

static vly_status read_at(const char *path, int32_t **out, size_t *n) {
    const vly_space six = vly_space_discrete(6);
    void *actions;
    const vly_status status = vly_trace_read(path, &six, 1, &actions, n);
    *out = actions;
    return status;
}

static vly_status read_text(const char *text, int32_t **out, size_t *n) {
    char path[] = "/tmp/volley-trace-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    const vly_status status = read_at(path, out, n);
    unlink(path);
    return status;
}

static void action_files_are_read_or_refused_by_line(void) {
    int32_t *actions;
    size_t n;
    CHECK_OK(read_text("# a comment\n0\n 5 \n\n3\r\n1", &actions, &n));
    CHECK(n == 4 && actions[0] == 0 && actions[1] == 5 && actions[2] == 3 && actions[3] == 1);
    free(actions);
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"0\nleft\n", ":2: 'left'"},
        {"0 1\n", ":1:"},
        {"6\n", "action 6 is outside 0 to 5"},
        {"-1\n", "outside"},
        {"1.5\n", ":1:"},
        {"99999999999999999999\n", "outside"},
        {"", "no action"},
        {"# only\n", "no action"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(read_text(bad[i].text, &actions, &n), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), bad[i].says) || (fputs(vly_error_text(), stderr), 0));
        CHECK(actions == NULL && n == 0);
    }
    char wide[2000];
    memset(wide, '1', sizeof wide);
    wide[sizeof wide - 1] = '\0';
    CHECK_EQ(read_text(wide, &actions, &n), VLY_EINVAL);
    CHECK_EQ(read_at("/no/such/file", &actions, &n), VLY_ENOTFOUND);
}

static void random_actions_depend_on_the_seed_alone(void) {
    int seen[6] = {0}, same = 0;
    for (uint64_t i = 0; i < 600; i++) {
        const int32_t action = vly_trace_random_choice(7, i, 6);
        CHECK_EQ(vly_trace_random_choice(7, i, 6), action);
        same += vly_trace_random_choice(8, i, 6) == action;
        seen[action]++;
    }
    for (int i = 0; i < 6; i++) CHECK(seen[i] > 60);
    CHECK(same < 150);
}

int main(void) {
    cartpole_rows_are_those_of_gymnasium();
    an_end_leads_on_without_a_row();
    discrete_states_are_one_number();
    minatar_rows_hold_crc_and_bits();
    a_wrong_action_is_named();
    a_full_disk_is_an_error();
    action_files_are_read_or_refused_by_line();
    random_actions_depend_on_the_seed_alone();
    return TEST_PASS;
}
