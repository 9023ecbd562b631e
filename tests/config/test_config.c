#include <sys/stat.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/base/philox.h"
#include "common/learn/algo.h"
#include "tests/kit/check.h"

static vly_config config;

static void says(const char *words) {
    if (!strstr(vly_error_text(), words)) {
        fprintf(stderr, "'%s' is not in '%s'\n", words, vly_error_text());
        exit(TEST_FAIL);
    }
}

static void every_default_is_allowed_and_reads_back(void) {
    int n;
    const vly_option *o = vly_config_options(&n);
    CHECK_OK(vly_config_defaults(&config));
    for (int i = 0; i < n; i++) {
        char text[VLY_CONFIG_TEXT], again[VLY_CONFIG_TEXT], key[128];
        vly_option_get(&config, &o[i], text, sizeof text);
        snprintf(key, sizeof key, "%s.%s", o[i].section, o[i].key);
        CHECK_OK(vly_config_set(&config, key, text));
        vly_option_get(&config, &o[i], again, sizeof again);
        CHECK_STR(text, again);
    }
}

static void no_option_stands_twice(void) {
    int n;
    const vly_option *o = vly_config_options(&n);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            CHECK(strcmp(o[i].section, o[k].section) || strcmp(o[i].key, o[k].key));
}

static void values_are_read_as_people_write_them(void) {
    CHECK_OK(vly_config_set(&config, "ppo.lr", "3e-4"));
    CHECK(config.ppo.lr == 3e-4f);
    CHECK_OK(vly_config_set(&config, "steps", "10M"));
    CHECK_EQ(config.run.steps, 10000000);
    CHECK_OK(vly_config_set(&config, "run.steps", "2.5e6"));
    CHECK_EQ(config.run.steps, 2500000);
    CHECK_OK(vly_config_set(&config, "replay.bytes", "2GiB"));
    CHECK_EQ(config.replay.bytes, (int64_t)2 << 30);
    CHECK_OK(vly_config_set(&config, "until-return", "475"));
    CHECK(config.run.until_return == 475);
    CHECK_OK(vly_config_set(&config, "until_return", "none"));
    CHECK(isnan(config.run.until_return));
    CHECK_OK(vly_config_set(&config, "net.hidden", "[32, 64,128]"));
    CHECK_EQ(config.net.hidden.n, 3);
    CHECK_EQ(config.net.hidden.v[2], 128);
    CHECK_OK(vly_config_set(&config, "atari.full_actions", "yes"));
    CHECK_EQ(config.atari.full_actions, 1);
    CHECK_OK(vly_config_set(&config, "pool.schedule", "async"));
    CHECK_EQ(config.pool.schedule, VLY_POOL_SCHEDULE_ASYNC);
    CHECK_OK(vly_config_set(&config, "run.seed", "9000000000000000001")); /* beyond a double's
                                                                             digits */
    CHECK_EQ(config.run.seed, 9000000000000000001);
}

static void bad_values_say_what_is_allowed(void) {
    static const char *const bad[][3] = {
        {"ppo.lr", "7", "from 0 to 1"},
        {"ppo.lr", "nan", "from 0 to 1"},
        {"ppo.lr", "0.1x", "'0.1x'"},
        {"ppo.epochs", "0", "from 1 to 1000"},
        {"ppo.epochs", "2.5", "whole number"},
        {"ppo.epochs", "99999999999999999999", "whole number"},
        {"ppo.anneal", "maybe", "true or false"},
        {"net.kind", "resnet", "one of auto, mlp"},
        {"net.hidden", "64,,3", "like 64,64"},
        {"net.hidden", "1,2,3,4,5", "up to 4"},
        {"net.hidden", "[1", "like 64,64"},
        {"net.hidden", "64]", "like 64,64"},
        {"net.hidden", "64,", "like 64,64"},
        {"net.hidden", "[64,]", "like 64,64"},
        {"net.hidden", ",64", "like 64,64"},
        {"net.hidden", "[]64", "like 64,64"},
        {"net.hidden", "64 64", "like 64,64"},
        {"net.hidden", "0x40", "like 64,64"},
        {"run.seed", "0x10", "whole number"},
        {"run.seed", "1e-400", "whole number"},
        {"run.seed", " 1", "whole number"},
        {"run.seed", "1e", "whole number"},
        {"run.seed", "", "whole number"},
        {"ppo.lr", "0x1p-4", "from 0 to 1"},
        {"ppo.lr", "1e-400", "from 0 to 1"},
        {"ppo.lr", "1e-60", "from 0 to 1"},
        {"ppo.lr", ".", "from 0 to 1"},
        {"ppo.lr", " 0.1", "from 0 to 1"},
        {"optim.eps", "0", "from 1e-20 to 1"},
        {"atari.preset", "mine", "machado"},
        {"run.env", "a\nb", "control"},
        {"run.out", "caf\xe9", "UTF-8"}, /* YAML would not read it back */
        {"run.out", "\xc0\xaf", "UTF-8"},
        {"run.out", "\xed\xa0\x80", "UTF-8"},
        {"run.out", "\xf4\x90\x80\x80", "UTF-8"},
        {"run.out", "a\xc2\x9b", "control"},
        {"run.out", "a\xe2\x80\xa8", "control"},
        {"run.out", "a\xef\xbb\xbf", "control"},
        {"run.out", "a\xef\xbf\xbf", "control"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(vly_config_set(&config, bad[i][0], bad[i][1]), VLY_EINVAL);
        says(bad[i][2]);
        says(bad[i][0]);
    }
}

static void decimal_numbers_and_lists_are_read(void) {
    static const struct {
        const char *key, *text, *value;
    } good[] = {{"net.hidden", "", "[]"},
                {"net.hidden", "[]", "[]"},
                {"net.hidden", "[ 8 , 9 ]", "[8, 9]"},
                {"net.hidden", "7", "[7]"},
                {"run.seed", "1e3", "1000"},
                {"run.seed", "0.5e1", "5"},
                {"run.seed", "+7", "7"},
                {"run.steps", "10M", "10000000"},
                {"ppo.lr", "1.e-3", "0.001"},
                {"ppo.lr", ".5", "0.5"},
                {"ppo.lr", "0e-999", "0"},
                {"replay.capacity", "64k", "64000"},
                {"run.out", "caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[64];
        CHECK_OK(vly_config_set(&config, good[i].key, good[i].text));
        vly_option_get(&config, vly_config_find(good[i].key), text, sizeof text);
        CHECK_STR(text, good[i].value);
    }
}

/* Who asks for --layout NATIVE gets what --layout native gives. */
static void a_choice_is_kept_as_the_table_spells_it(void) {
    typedef struct {
        char layout[16];
    } own;
    static const vly_option layout = {
        NULL,           "layout", VLY_OPTION_TEXT, offsetof(own, layout), 16, "torch", 0, 0,
        "torch|native", "how"};
    own o;
    CHECK_OK(vly_option_set(&o, &layout, "--layout", "NATIVE"));
    CHECK_STR(o.layout, "native");
    CHECK_OK(vly_option_set(&o, &layout, "--layout", "Torch"));
    CHECK_STR(o.layout, "torch");
    CHECK_EQ(vly_option_set(&o, &layout, "--layout", "nativ"), VLY_EINVAL);
}

static void unknown_names_bring_the_nearest(void) {
    static const char *const near[][2] = {
        {"ppo.learning", "no option 'ppo.learning'"},
        {"ppo.lrr", "ppo.lr"},
        {"sed", "seed"},
        {"lr", "ppo.lr"},
        {"checkpoint.kep", "checkpoint.keep"},
        {"dqn.eps", "dqn.eps_"},
    };
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        CHECK_EQ(vly_config_set(&config, near[i][0], "1"), VLY_EINVAL);
        says(near[i][1]);
    }
}

static vly_status parse(const char *yaml, vly_assignments *list) {
    vly_assignments_free(list);
    return vly_config_parse(yaml, strlen(yaml), "run.yaml", list);
}

static void files_may_nest_or_be_flat(void) {
    vly_assignments list = {0};
    CHECK_OK(parse("# mine\nseed: 3\nppo:\n  lr: 1e-3\n  anneal: no\nnet.hidden: [8, 9]\nrun: "
                   "{env: cartpole}\n",
                   &list));
    CHECK_EQ(list.n, 5);
    CHECK_STR(list.v[1].key, "ppo.lr");
    CHECK_STR(list.v[3].value, "8,9");
    CHECK_OK(parse("", &list));
    CHECK_OK(parse("# nothing\n", &list));
    CHECK_EQ(list.n, 0);
    vly_assignments_free(&list);
}

static void bad_files_name_the_line(void) {
    static const char *const bad[][2] = {
        {"ppo:\n  lrr: 1\n", "run.yaml, line 2"},
        {"ppo:\n  lr: 1\n  lr: 2\n", "given twice"},
        {"ppo:\n  lr: 5\n", "line 2: ppo.lr: '5'"},
        {"- a\n- b\n", "expected `section:`"},
        {"ppo: {lr: {x: 1}}", "do not nest"},
        {"ppo: [", "not YAML"},
        {"seed: &x 1\nsteps: *x\n", "line 1: anchors"},
        {"ppo: &p\n  lr: 1\n", "line 1: anchors"},
        {"net.hidden: &h [1]\n", "line 1: anchors"},
        {"ppo:\n  lr: *x\n", "line 2: aliases"},
        {"net.hidden: [*x]\n", "line 1: aliases"},
        {"ppo:\n  <<: *x\n", "line 2: aliases"},
        {"*x : 1\n", "line 1: aliases"},
        {"ppo:\n  lr: 1e-3\n\x01", "line 3: not YAML"},
        {"seed: 1\nsteps: \xff\n", "line 2: not YAML"},
        {"ppo:\n  lr: 1\n---\nppo:\n  lr: 1\n", "more than one document"},
        {"\x01", "not YAML"},
        {"seed: [[1]]", "expected a number"},
        {"ppo:\n lr: 1\n\tgamma: 2\n", "not YAML"},
        {"format: x\n", "not a version"},
    };
    vly_assignments list = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(parse(bad[i][0], &list), VLY_EINVAL);
        says(bad[i][1]);
    }
    CHECK_EQ(parse("format: 99\n", &list), VLY_EVERSION);
    says("newer version");
    vly_assignments_free(&list);
}

static void a_pipe_is_not_waited_for(void) {
    char folder[] = "/tmp/vly-config-XXXXXX", path[64];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/config.yaml", folder);
    CHECK(mkfifo(path, 0600) == 0);
    alarm(20);
    CHECK_EQ(vly_config_read(&config, path), VLY_EINVAL);
    says("is not a file");
    alarm(0);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

static void what_is_saved_is_what_is_read(void) {
    char path[] = "/tmp/vly-config-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK_OK(vly_config_defaults(&config));
    CHECK_OK(vly_config_set(&config, "algo", "ppo"));
    CHECK_OK(vly_config_set(&config, "env", "./a \"b\" \\ c: #d.so"));
    CHECK_OK(vly_config_set(&config, "env.args", "no"));
    for (int i = 0; i < 200; i++) { /* any float survives */
        vly_config back;
        char text[64];
        vly_u32x4 r = vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0);
        snprintf(text, sizeof text, "%.9g", (double)vly_unit(r.v[0]));
        CHECK_OK(vly_config_set(&config, "ppo.lr", text));
        CHECK_OK(vly_config_save(&config, path));
        CHECK_OK(vly_algo_restore(&back, path));
        CHECK(back.ppo.lr == config.ppo.lr);
        CHECK_STR(back.run.env, config.run.env);
        CHECK_STR(back.env.args, "no");
    }
    unlink(path);
}

static void layers_go_from_defaults_to_the_command_line(void) {
    vly_assignments given = {0};
    CHECK_OK(parse("env: CartPole-v1\nppo: {gamma: 0.5, lambda: 0.4}\n", &given));
    CHECK_OK(vly_assignments_add(&given, "ppo.gamma", "0.6", "--ppo.gamma"));
    CHECK_OK(vly_algo_resolve(&config, &given, "cartpole", "classic"));
    CHECK_STR(config.run.algo, "ppo");
    CHECK_STR(config.run.preset, "cartpole-ppo");
    CHECK(config.ppo.gamma == 0.6f && config.ppo.lambda == 0.4f);
    CHECK_OK(vly_assignments_add(&given, "run.algo", "a2c", "--algo"));
    CHECK_OK(vly_algo_resolve(&config, &given, "cartpole", "classic"));
    CHECK_EQ(config.optim.kind, VLY_OPTIM_KIND_RMSPROP);
    CHECK_OK(vly_assignments_add(&given, "run.preset", "cartpole-dqn", "--preset"));
    CHECK_EQ(vly_algo_resolve(&config, &given, "cartpole", "classic"), VLY_EINVAL);
    says("is for dqn");
    CHECK_OK(vly_assignments_add(&given, "run.preset", "cartpol-ppo", "--preset"));
    CHECK_EQ(vly_algo_resolve(&config, &given, "cartpole", "classic"), VLY_EINVAL);
    says("cartpole-ppo");
    CHECK_OK(vly_assignments_add(&given, "run.preset", "none", "--preset"));
    CHECK_OK(vly_assignments_add(&given, "run.algo", "poo", "--algo"));
    CHECK_EQ(vly_algo_resolve(&config, &given, "cartpole", "classic"), VLY_EINVAL);
    says("ppo");
    vly_assignments_free(&given);
}

/* Whatever a preset says must be readable: a typing error there is found here, not by a user. */
static void every_preset_resolves(void) {
    const vly_preset *p;
    for (int i = 0; (p = vly_preset_list(i)); i++) {
        vly_assignments given = {0};
        CHECK_OK(vly_assignments_add(&given, "run.preset", p->name, "--preset"));
        CHECK_OK(vly_algo_resolve(&config, &given, "x", "y"));
        CHECK_STR(config.run.algo, p->algo);
        vly_assignments_free(&given);
    }
    static const char *const atari[] = {"volley", "gymnasium", "ale", "envpool", "machado", "dqn"};
    for (int i = 0; i < 6; i++) {
        vly_assignments given = {0};
        CHECK_OK(vly_assignments_add(&given, "atari.preset", atari[i], "--atari.preset"));
        CHECK_OK(vly_assignments_add(&given, "atari.noop_max", "7", "--atari.noop_max"));
        CHECK_OK(vly_algo_resolve(&config, &given, "pong", "atari"));
        CHECK_EQ(config.atari.noop_max, 7);
        vly_assignments_free(&given);
    }
}

/* MinAtar's preset has two groups. */
static void groups_of_a_preset_follow_fewer_environments(void) {
    vly_assignments given = {0};
    CHECK_OK(vly_algo_resolve(&config, &given, "minatar/breakout", "minatar"));
    CHECK_EQ(config.pool.groups, 2);
    CHECK_OK(vly_assignments_add(&given, "run.envs", "1", "--envs"));
    CHECK_OK(vly_algo_resolve(&config, &given, "minatar/breakout", "minatar"));
    CHECK_EQ(config.pool.groups, 1);
    CHECK_OK(vly_assignments_add(&given, "pool.groups", "2", "--pool.groups"));
    CHECK_EQ(vly_algo_resolve(&config, &given, "minatar/breakout", "minatar"), VLY_EINVAL);
    says("--pool.groups 2 is more than --envs 1");
    vly_assignments_free(&given);
}

/* Once it failed in the first update, in the words of an operation. */
static void momentum_is_refused_where_there_is_none(void) {
    vly_assignments given = {0};
    CHECK_OK(vly_assignments_add(&given, "optim.kind", "rmsprop_centered", "--optim.kind"));
    CHECK_OK(vly_algo_resolve(&config, &given, "cartpole", "classic"));
    CHECK_OK(vly_assignments_add(&given, "optim.momentum", "0.5", "--optim.momentum"));
    CHECK_EQ(vly_algo_resolve(&config, &given, "cartpole", "classic"), VLY_EINVAL);
    says("--optim.momentum 0.5: rmsprop_centered has none");
    vly_assignments_free(&given);
}

static uint64_t hash_with(const char *algo, const char *key, const char *value) {
    vly_assignments given = {0};
    CHECK_OK(vly_assignments_add(&given, "run.algo", algo, "--algo"));
    CHECK_OK(vly_assignments_add(&given, key, value, key));
    CHECK_OK(vly_algo_resolve(&config, &given, "cartpole", "classic"));
    vly_assignments_free(&given);
    return vly_algo_config_hash(&config);
}

/* Two runs that learn differently must not pass for the same run, nor ranks for alike. */
static void the_hash_covers_every_section_that_the_algorithm_reads(void) {
    static const struct {
        const char *algo, *key, *one, *other;
        bool decides;
    } cases[] = {
        {"ppo", "ppo.lr", "1e-3", "2e-3", true},     {"ppo", "dqn.lr", "1e-3", "2e-3", false},
        {"dqn", "dqn.lr", "1e-3", "2e-3", true},     {"apex", "dqn.lr", "1e-3", "2e-3", true},
        {"apex", "apex.block", "16", "32", true},    {"dqn", "apex.block", "16", "32", false},
        {"gorila", "dqn.gamma", "0.9", "0.8", true}, {"a3c", "a2c.gamma", "0.9", "0.8", true},
        {"apex", "run.workers", "1", "2", false},    {"sarsa", "tabular.bins", "7", "8", true},
        {"ppo", "atari.sticky", "0", "0.25", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint64_t one = hash_with(cases[i].algo, cases[i].key, cases[i].one);
        CHECK_EQ(one != hash_with(cases[i].algo, cases[i].key, cases[i].other), cases[i].decides);
    }
}

static uint64_t hash_of_apex(const char *anneal, const char *steps) {
    vly_assignments given = {0};
    CHECK_OK(vly_assignments_add(&given, "run.algo", "apex", "--algo"));
    CHECK_OK(vly_assignments_add(&given, "replay.prioritized", "false", "--replay.prioritized"));
    CHECK_OK(vly_assignments_add(&given, "dqn.anneal", anneal, "--dqn.anneal"));
    CHECK_OK(vly_assignments_add(&given, "run.steps", steps, "--steps"));
    CHECK_OK(vly_algo_resolve(&config, &given, "cartpole", "classic"));
    vly_assignments_free(&given);
    return vly_algo_config_hash(&config);
}

static void the_budget_is_hashed_where_a_schedule_follows_it(void) {
    CHECK(hash_of_apex("true", "1M") != hash_of_apex("true", "2M"));
    CHECK_EQ(hash_of_apex("false", "1M"), hash_of_apex("false", "2M"));
}

static void the_reference_page_is_the_table(void) {
    char *page, *committed;
    size_t bytes, old;
    FILE *out = open_memstream(&page, &bytes);
    vly_config_print_reference(out);
    fclose(out);
    CHECK_OK(vly_file_read("common/config/OPTIONS.md", 1 << 20, &committed, &old));
    if (strcmp(page, committed)) {
        fprintf(stderr, "common/config/OPTIONS.md is old: build/volley ls options --markdown > "
                        "common/config/OPTIONS.md\n");
        exit(TEST_FAIL);
    }
    free(page);
    free(committed);
}

int main(void) {
    every_default_is_allowed_and_reads_back();
    no_option_stands_twice();
    values_are_read_as_people_write_them();
    bad_values_say_what_is_allowed();
    decimal_numbers_and_lists_are_read();
    a_pipe_is_not_waited_for();
    a_choice_is_kept_as_the_table_spells_it();
    unknown_names_bring_the_nearest();
    files_may_nest_or_be_flat();
    bad_files_name_the_line();
    the_reference_page_is_the_table();
    what_is_saved_is_what_is_read();
    layers_go_from_defaults_to_the_command_line();
    every_preset_resolves();
    groups_of_a_preset_follow_fewer_environments();
    momentum_is_refused_where_there_is_none();
    the_hash_covers_every_section_that_the_algorithm_reads();
    the_budget_is_hashed_where_a_schedule_follows_it();
    return TEST_PASS;
}
