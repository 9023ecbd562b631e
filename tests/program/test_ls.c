/* volley ls, of one environment and of all algorithms. */
#include <stdbool.h>
#include "tests/kit/program.h"

static void list_is(const json_t *list, const char *const *words, size_t n) {
    CHECK_EQ(json_array_size(list), n);
    for (size_t i = 0; i < n; i++) CHECK_STR(json_string_value(json_array_get(list, i)), words[i]);
}

/* Of one environment: what its actions and its numbers are called. */
static void ls_describes_an_environment(void) {
    static const char *const takes[] = {"take 1", "take 2", "take 3"},
                             *const numbers[] = {"matches", "turn"}, *const gust[] = {"gust"},
                             *const force[] = {"force"};
    CHECK_EQ(volley("ls %s --json", VLY_TEST_PLUGIN_PLAYERS), 0);
    SAYS(err, "take 1, take 2, take 3");
    SAYS(err, "matches, turn");
    json_t *o = program_json();
    const json_t *action = json_object_get(o, "action");
    CHECK_STR(text_of(o, "env"), "two_player_env");
    CHECK_STR(text_of(action, "kind"), "discrete");
    list_is(json_object_get(action, "names"), takes, 3);
    list_is(json_object_get(o, "info"), numbers, 2);
    CHECK_EQ(json_integer_value(json_object_get(o, "players")), 2);
    json_decref(o);
    CHECK_EQ(volley("ls windy --json"), 0);
    o = program_json();
    list_is(json_object_get(o, "info"), gust, 1);
    json_decref(o);
    CHECK_EQ(volley("ls mountaincar_continuous --json"), 0);
    o = program_json();
    action = json_object_get(o, "action");
    CHECK_STR(text_of(action, "kind"), "box");
    list_is(json_object_get(action, "names"), force, 1);
    CHECK_EQ(json_array_size(json_array_get(json_object_get(action, "bounds"), 0)), 2);
    json_decref(o);
    CHECK_EQ(volley("ls CartPole-v1"), 0);
    SAYS(out, "cartpole\n  observation  4 numbers\n");
    CHECK_EQ(volley("ls cartpoel"), 2);
    SAYS(err, "cartpole");
    CHECK_EQ(volley("ls ./none.so"), 2);
    SAYS(err, "none.so");
}

/* test_repeat.c shows those that do; workers with a parameter server run freely. */
static void the_list_says_which_algorithms_repeat(void) {
    static const char *const free_ones[] = {"impala", "a3c", "gorila"};
    CHECK_EQ(volley("ls algos --json"), 0);
    json_t *o = program_json(), *algo;
    size_t i;
    json_array_foreach(json_object_get(o, "algos"), i, algo) {
        bool repeats = true;
        for (int k = 0; k < 3; k++)
            repeats = repeats && strcmp(text_of(algo, "name"), free_ones[k]) != 0;
        CHECK_STR(text_of(algo, "schedule"), repeats ? "sync" : "async");
    }
    CHECK(i > 10);
    json_decref(o);
}

int main(void) {
    program_open();
    ls_describes_an_environment();
    the_list_says_which_algorithms_repeat();
    return program_close();
}
