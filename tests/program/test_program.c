/* The program as users and scripts see it: words, exit codes, JSON, files, signals. */
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include "common/record/checkpoint.h"
#include "tests/kit/program.h"
#include "tests/kit/peer.h"

static void bad_input_is_exit_2_with_what_would_be_right(void) {
    static const char *const cases[][2] = {
        {"", "volley train"},
        {"trian cartpole", "train"},
        {"train", "needs ENV"},
        {"train cartpoel", "cartpole"},
        {"train cartpole more", "one argument too many"},
        {"train cartpole --sed 1", "nearest: seed"},
        {"train cartpole --seed", "needs a value"},
        {"train cartpole --seed x", "'x' is not a whole number"},
        {"train cartpole --ppo.lr 7", "--ppo.lr: '7' is not a number from 0 to 1"},
        {"train cartpole --ppo.lerning_rate 1", "ppo."},
        {"train cartpole --algo pop", "ppo"},
        {"train cartpole --preset cartpole-pop", "cartpole-ppo"},
        {"train cartpole --no-seed", "no option --no-seed"},
        {"train cartpole --config nothing.yaml", "nothing.yaml"},
        {"train cartpole --config .", "is not a file"},
        {"train cartpole --device tpu", "tpu"},
        {"train cartpole --ppo.minibatches 60000 --ppo.rollout 1", "minibatches"},
        {"train ./none.so", "none.so"},
        {"train cartpole -s 1", "no option"},
        {"train cartpole --json=true", "--json takes no value"},
        {"ls --config x", "no option --config; `volley"},
        {"train pong --roms out --steps 10", "Not a directory"},
        {"eval none", "there is no run none"},
        {"eval . ", "is not a run"},
        {"resume none", "there is no run none"},
        {"inspect none", "none"},
        {"inspect out", "not a safetensors file"},
        {"trace cartpole", "--actions FILE"},
        {"trace cartpole --actions nofile", "nofile"},
        {"trace cartpole --random 5 --actions x", "one question"},
        {"bench everything", "no suite"},
        {"bench envs --filter nothing-of-that-name", "nothing in envs"},
        {"ls everything", "not one of"},
        {"export none", "there is no run none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = volley("%s", cases[i][0]);
        if (code != 2) fprintf(stderr, "volley %s: exit %d, %s\n", cases[i][0], code, err);
        CHECK_EQ(code, 2);
        SAYS(err, cases[i][1]);
    }
    FILE *f = fopen("/tmp/vly-bad.yaml", "w");
    fputs("ppo:\n  lr: 1e-3\n  lrr: 2\n", f);
    fclose(f);
    CHECK_EQ(volley("train cartpole --config /tmp/vly-bad.yaml"), 2);
    SAYS(err, "/tmp/vly-bad.yaml, line 3");
    SAYS(err, "ppo.lr");
    unlink("/tmp/vly-bad.yaml");
}

static int lines_of(const char *text) {
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

static void every_verb_has_help_with_an_example_that_fits(void) {
    static const char *const verbs[] = {"train", "resume", "eval",   "inspect", "trace",
                                        "bench", "ls",     "doctor", "export"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        CHECK_EQ(volley("%s --help", verbs[i]), 0);
        SAYS(out, "example");
        SAYS(out, "--json");
        CHECK(lines_of(out) <= 40);
    }
    CHECK_EQ(volley("train --help all"), 0);
    SAYS(out, "--ppo.lr");
    SAYS(out, "episodes begin anew on resume");
    CHECK_EQ(volley("train --help dqn"), 0);
    SAYS(out, "--dqn.n_step");
    CHECK_EQ(volley("--help"), 0);
    CHECK_EQ(volley("--version"), 0);
}

/* What a run keeps is refused, and --help does not offer it. */
static void resume_shows_what_it_takes(const char *run) {
    static const char *const kept[] = {"algo", "preset", "out", "seed", "envs"},
                             *const taken[] = {"steps", "until-return", "workers", "device"},
                             *const topics[] = {"", " run", " all"};
    char option[32];
    for (int t = 0; t < 3; t++) {
        CHECK_EQ(volley("resume --help%s", topics[t]), 0);
        for (int i = 0; i < 5; i++) {
            snprintf(option, sizeof option, "  --%s ", kept[i]);
            if (strstr(out, option)) fprintf(stderr, "resume --help%s: %s\n", topics[t], option);
            CHECK(!strstr(out, option));
        }
        for (int i = 0; i < 4; i++) {
            snprintf(option, sizeof option, "  --%s ", taken[i]);
            SAYS(out, option);
        }
        CHECK_EQ(volley("train --help%s", topics[t]), 0);
        for (int i = 0; i < 5; i++) {
            snprintf(option, sizeof option, "  --%s ", kept[i]);
            SAYS(out, option);
        }
    }
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(volley("resume %s --%s 1", run, kept[i]), 2);
        SAYS(err, "keeps its");
    }
    CHECK_EQ(volley("resume %s --sed 1", run), 2);
    CHECK(!strstr(err, "nearest: seed"));
}

static void ls_and_doctor_speak_json(void) {
    CHECK_EQ(volley("ls --json"), 0);
    json_t *o = program_json();
    CHECK(json_array_size(json_object_get(o, "envs")) >= 5 &&
          json_array_size(json_object_get(o, "algos")) >= 2);
    json_decref(o);
    CHECK_EQ(volley("doctor --json"), 0);
    o = program_json();
    CHECK(json_is_array(json_object_get(o, "missing")));
    json_decref(o);
}

static void a_run_is_a_folder_with_all_that_was_promised(void) {
    static const char *const keys[] = {
        "run",       "env",         "algo",         "seed",
        "steps",     "updates",     "episodes",     "return_mean_100",
        "wall_s",    "steps_per_s", "frames_per_s", "stop",
        "checkpoint"};
    static const char *const files[] = {"config.yaml", "metrics.jsonl", "system.json",
                                        "checkpoints"};
    struct stat info;
    char path[256];
    CHECK_EQ(volley("train cartpole --algo ppo --seed 3 --steps 6000 --out one --json"), 0);
    json_t *o = program_json();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) CHECK(json_object_get(o, keys[i]));
    CHECK_STR(text_of(o, "stop"), "budget");
    CHECK_STR(text_of(o, "run"), "one");
    CHECK(json_integer_value(json_object_get(o, "steps")) >= 6000);
    snprintf(path, sizeof path, "%s/%s", folder, text_of(o, "checkpoint"));
    CHECK_EQ(stat(path, &info), 0);
    json_decref(o);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/one/%s", folder, files[i]);
        CHECK_EQ(stat(path, &info), 0);
    }
    SAYS(err, "volley eval one");
    CHECK_EQ(volley("train cartpole --out one"), 2);
    SAYS(err, "resume one");
    CHECK_EQ(volley("ls runs --runs . --json"), 0);
    SAYS(out, "\"run\":\"./one\"");
    CHECK_EQ(volley("eval one --episodes 7 --json"), 0);
    o = program_json();
    CHECK_EQ(json_array_size(json_object_get(o, "returns")), 7);
    CHECK_EQ(json_array_size(json_object_get(o, "return_ci95")), 2);
    CHECK(json_is_number(json_object_get(o, "return_mean")) &&
          json_is_number(json_object_get(o, "length_mean")));
    json_decref(o);
    CHECK_EQ(volley("eval one --episodes 7"), 0);
    SAYS(out, "95% interval");
    CHECK_EQ(volley("eval one --episodes 1"), 0); /* nothing to draw an interval from */
    SAYS(out, "mean return");
    CHECK(!strstr(out, "interval"));
}

static void a_default_folder_is_named_after_the_run(void) {
    CHECK_EQ(volley("train minatar/breakout --algo ppo --seed 5 --steps 100 --envs 2 --pool.groups "
                    "1 --ppo.rollout 16 --json"),
             0);
    json_t *o = program_json();
    CHECK(!strncmp(text_of(o, "run"), "runs/minatar_breakout-ppo-5-20", 30));
    json_decref(o);
}

static void targets_and_budgets_have_their_codes(void) {
    CHECK_EQ(volley("train cartpole --algo ppo --steps 200k --until-return 15 --out target --json"),
             0);
    json_t *o = program_json();
    CHECK_STR(text_of(o, "stop"), "target");
    json_decref(o);
    CHECK_EQ(
        volley("train cartpole --algo ppo --steps 2000 --until-return 499 --out budget --json"), 3);
    o = program_json();
    CHECK_STR(text_of(o, "stop"), "budget");
    json_decref(o);
}

static int signalled(int signal_number, const char *name) {
    char command[1024];
    snprintf(command, sizeof command,
             "exec %s train cartpole --algo ppo --steps 1e9 --out %s --json >out 2>err",
             VLY_TEST_PROGRAM, name);
    const pid_t child = program_start(command);
    char metrics[128];
    struct stat info;
    snprintf(metrics, sizeof metrics, "%s/%s/metrics.jsonl", folder, name);
    for (int i = 0; i < 6000 && (stat(metrics, &info) || info.st_size == 0); i++) { /* until it
                                                                                       trains */
        struct timespec wait = {0, 20000000};
        nanosleep(&wait, NULL);
    }
    kill(child, signal_number);
    return program_finish(child);
}

static void signals_save_and_say_how_to_go_on(void) {
    CHECK_EQ(signalled(SIGINT, "int"), 130);
    SAYS(err, "resume int");
    json_t *o = program_json();
    CHECK_STR(text_of(o, "stop"), "interrupted");
    json_decref(o);
    CHECK_EQ(signalled(SIGTERM, "term"), 143);
    CHECK_EQ(volley("inspect term --json"), 0);
    o = program_json();
    int64_t steps = json_integer_value(json_object_get(json_object_get(o, "counters"), "steps"));
    CHECK(steps > 0);
    json_decref(o);
    CHECK_EQ(volley("resume term --steps %lld", (long long)steps + 1000), 0);
}

static void damaged_checkpoints_are_named_and_passed_over(void) {
    char path[256], command[600];
    CHECK_EQ(volley("train cartpole --algo ppo --steps 8000 --checkpoint.every_steps 2000 --out "
                    "bad --json"),
             0);
    json_t *o = program_json();
    snprintf(path, sizeof path, "%s", text_of(o, "checkpoint"));
    json_decref(o);
    snprintf(command, sizeof command, "cd %s && truncate -s 3000 %s", folder, path);
    CHECK_EQ(system(command), 0);
    CHECK_EQ(volley("inspect %s", path), 2);
    SAYS(err, path);
    SAYS(err, "newest good checkpoint there is bad/checkpoints/step-");
    CHECK_EQ(volley("resume bad --steps 9000"), 0);
    SAYS(out, "skipped: bad/checkpoints/");
    SAYS(out, "going on from bad/checkpoints/step-");
    CHECK_EQ(volley("resume bad --algo a2c"), 2);
    SAYS(err, "keeps its algo");
    CHECK_EQ(volley("resume bad --net.hidden 32 --steps 10000"), 2); /* another network */
    SAYS(err, "another network");
    snprintf(command, sizeof command, "cd %s && sed -i 's/^format: 1/format: 7/' bad/config.yaml",
             folder);
    CHECK_EQ(system(command), 0);
    CHECK_EQ(volley("resume bad"), 2);
    SAYS(err, "newer version");
}

/* A file limit stands for a full disk: training goes on, the end says it, and what was there stays.
 */
static void a_full_disk_is_reported_and_survived(void) {
    char command[2048], digest[40];
    CHECK_EQ(volley("train cartpole --algo ppo --steps 3000 --out full --metrics.tensorboard false "
                    "--metrics.jsonl false"),
             0);
    digest_of("full", digest);
    snprintf(command, sizeof command,
             "(ulimit -f 16; exec %s resume full --steps 6000 --json) >out 2>err",
             VLY_TEST_PROGRAM);
    CHECK_EQ(shell(command), 1);
    SAYS(err, "could not be saved");
    json_t *o = program_json();
    CHECK(json_integer_value(json_object_get(o, "steps")) >= 6000);
    json_decref(o);
    char again[40];
    digest_of("full", again);
    CHECK_STR(digest, again);
}

static void a_diverging_run_stops_and_poisons_nothing(void) {
    CHECK_EQ(volley("train cartpole --algo ppo --steps 1e6 --ppo.reward_scale 1e9 --ppo.lr 1 "
                    "--optim.kind sgd --optim.max_grad_norm 0 "
                    "--ppo.value_coef 1000 --out nan --json"),
             1);
    json_t *o = program_json();
    CHECK_STR(text_of(o, "stop"), "failed");
    json_decref(o);
    SAYS(err, "update ");
    CHECK_EQ(volley("eval nan --episodes 1"), 2); /* nothing good was saved, nothing bad either */
}

static void traces_are_tables_that_repeat(void) {
    CHECK_EQ(volley("trace cartpole --seed 7 --random 50"), 0);
    CHECK_EQ(lines_of(out), 51);
    char *first = strdup(out);
    CHECK_EQ(volley("trace CartPole-v1 --seed 7 --random 50 --out t.tsv"), 0);
    char *second = program_read("t.tsv");
    CHECK_STR(first, second);
    free(first);
    free(second);
}

/* Nothing that is asked for is lost in silence, nor put where it was not meant to be. */
static void output_that_cannot_be_written_is_said(void) {
    const char *verbs[] = {"ls", "ls --json", "--help", "trace cartpole --random 5",
                           "trace cartpole --random 100000"};
    char command[512];
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        const char *nowhere[] = {">/dev/full", ">&-"};
        for (int k = 0; k < 2; k++) {
            snprintf(command, sizeof command, "exec %s %s 2>err %s", VLY_TEST_PROGRAM, verbs[i],
                     nowhere[k]);
            CHECK_EQ(shell(command), 1);
            SAYS(err, "cannot write ");
        }
    }
    snprintf(command, sizeof command,
             "(%s trace cartpole --random 3000000 2>err; echo $? >code) | head -n 1 >out",
             VLY_TEST_PROGRAM);
    CHECK_EQ(shell(command), 0);
    CHECK_EQ(lines_of(out), 1);
    CHECK_STR(err, "");
    char *code = program_read("code");
    CHECK_STR(code, "0\n");
    free(code);
    CHECK_EQ(volley("trace cartpole --random 5 --out %s", folder), 2); /* a folder */
    CHECK_EQ(volley("trace cartpole --random 5 --out /dev/full"), 1);
    CHECK_EQ(volley("train cartpole --algo ppo --steps 2000 --out kept"), 0);
    CHECK_EQ(volley("export kept --format npz --out /dev/null"), 2); /* it would be a file from then
                                                                        on */
    SAYS(err, "/dev/null");
}

static void traces_take_actions_from_a_pipe(void) {
    char command[512];
    snprintf(command, sizeof command,
             "printf '1\\n0\\n' | %s trace cartpole --actions - --json >out 2>err",
             VLY_TEST_PROGRAM);
    CHECK_EQ(shell(command), 0);
    CHECK_EQ(lines_of(out), 4);
    json_t *o = program_json();
    CHECK_EQ(json_integer_value(json_object_get(o, "rows")), 2);
    json_decref(o);
    CHECK_EQ(volley("trace cartpole --actions nosuch --out t2.tsv"), 2);
    SAYS(err, "nosuch");
    CHECK_EQ(volley("trace cartpole --random 5 --actions -"), 2);
}

/* Where the path was relative, only the folder of the training found the plugin again. */
static void a_plugins_run_is_read_from_any_folder(void) {
    char command[1024];
    snprintf(command, sizeof command, "mkdir plugins && cp %s plugins/env.so >out 2>err",
             VLY_TEST_PLUGIN);
    CHECK_EQ(shell(command), 0);
    CHECK_EQ(volley("train ./plugins/env.so --algo ppo --steps 200 --out near"), 0);
    char *config = program_read("near/config.yaml");
    snprintf(command, sizeof command, "env: \"%s/plugins/env.so\"\n", folder);
    SAYS(config, command);
    free(config);
    snprintf(command, sizeof command,
             "cd / && " VLY_TEST_PROGRAM " eval %s/near --episodes 1 >%s/out 2>%s/err", folder,
             folder, folder);
    CHECK_EQ(shell(command), 0);
    snprintf(command, sizeof command,
             "cd / && " VLY_TEST_PROGRAM " resume %s/near --steps 400 >%s/out 2>%s/err", folder,
             folder, folder);
    CHECK_EQ(shell(command), 0);
}

static void plugins_train_by_path(void) {
    CHECK_EQ(volley("train %s --algo ppo --seed 1 --steps 400000 --until-return 0.9 --out plugin",
                    VLY_TEST_PLUGIN),
             0);
    CHECK_EQ(volley("eval plugin --episodes 5"), 0);
    a_plugins_run_is_read_from_any_folder();
    CHECK_EQ(volley("train %s --env.args abi", VLY_TEST_PLUGIN_BAD), 2);
    SAYS(err, VLY_TEST_PLUGIN_BAD);
    CHECK_EQ(volley("train %s --env.args fails --steps 1e6 --pool.restarts 50 --out broken",
                    VLY_TEST_PLUGIN_BAD),
             1);
    SAYS(err, "--pool.restarts 50");
    CHECK_EQ(volley("train %s --algo dqn --steps 1000 --out turns", VLY_TEST_PLUGIN_PLAYERS), 2);
    SAYS(err, "waits while others move");
}

/* NumPy, safetensors and, where it is, PyTorch load what is exported, with the same numbers. */
static void exports_load_elsewhere(void) {
    char command[1024];
    CHECK_EQ(
        volley("train minatar/breakout --algo ppo --steps 300 --envs 2 --ppo.rollout 16 --out cnn"),
        0);
    CHECK_EQ(volley("export cnn --format npz --out torch.npz"), 0);
    CHECK_EQ(volley("export cnn --format npz --layout native --out native.npz"), 0);
    CHECK_EQ(volley("export cnn --format safetensors --out torch.safetensors --json"), 0);
    json_t *o = program_json();
    CHECK(json_array_size(json_object_get(o, "tensors")) >= 6);
    json_decref(o);
    CHECK_EQ(volley("inspect torch.safetensors"), 0);
    CHECK_EQ(volley("export cnn --format onnx --out torch.onnx"), 0);
    CHECK_EQ(volley("export cnn --format gguf"), 2);
    CHECK_EQ(volley("export torch.safetensors --format onnx --out x.onnx"), 2); /* no configuration
                                                                                   beside it */
    const char *python = peer_python("numpy, safetensors");
    if (!python) {
        SKIP_PART(
            "numpy and safetensors are not here (tests/kit/peers.sh): exports were not read back");
        return;
    }
    snprintf(command, sizeof command, "%s tests/kit/read_weights.py %s/torch %s/native", python,
             folder, folder);
    CHECK_EQ(system(command), 0);
}

static void read_numbers(const char *path, const char *name, int64_t n, float *x) {
    vly_checkpoint *c;
    CHECK_OK(vly_checkpoint_open(&c, path));
    CHECK_OK(vly_checkpoint_read(c, name, VLY_F32, x, (size_t)n * sizeof *x));
    vly_checkpoint_close(c);
}

/* A model's metadata: a name and a value, each behind its field's number and its length. */
static bool has_note(const char *model, const char *name, const char *value) {
    char path[256], note[512], *text;
    size_t bytes;
    bool found = false;
    const int n = snprintf(note, sizeof note, "\n%c%s\x12%c%s", (int)strlen(name), name,
                           (int)strlen(value), value);
    snprintf(path, sizeof path, "%s/%s", folder, model);
    CHECK_OK(vly_file_read(path, 1 << 26, &text, &bytes));
    for (size_t i = 0; i + (size_t)n <= bytes && !found; i++)
        found = !memcmp(text + i, note, (size_t)n);
    free(text);
    return found;
}

typedef struct {
    const char *train, *notes[8][2];
} exported_model;

/* What a program that reads the model needs to know, for each kind of action and policy. */
static void models_say_how_to_act(void) {
    static const exported_model of[] = {
        {"pendulum --algo td3",
         {{"action", "box"}, {"low", "-2"}, {"high", "2"}, {"squash", "stretch"}}},
        {"pendulum --algo sac",
         {{"squash", "tanh"},
          {"deviation", "clamp"},
          {"deviation_low", "-20"},
          {"deviation_high", "2"}}},
        {"pendulum --algo sac --sac.deviation tanh",
         {{"deviation", "tanh"}, {"deviation_low", "-5"}}},
        {"pendulum --algo ppo --preset none --ppo.reward_scale 0.25",
         {{"squash", "clip"}, {"deviation", "clamp"}, {"reward_scale", "0.25"}}},
        {"pendulum --algo ppo --preset none --net.squash", {{"squash", "tanh"}}},
        {VLY_TEST_PLUGIN_FACTORS " --algo ppo --env.args masked=1",
         {{"action", "multi"}, {"choices", "2,3,4"}, {"masked", "true"}, {"reward_scale", "1"}}},
        {"cartpole --algo dqn --preset none --dqn.reward_scale 0.1",
         {{"action", "discrete"}, {"choices", "2"}, {"reward_scale", "0.1"}}},
    };
    char command[600];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        snprintf(command, sizeof command, "train %s --steps 300 --out acts-%zu", of[i].train, i);
        CHECK_EQ(volley(command), 0);
        snprintf(command, sizeof command, "export acts-%zu --format onnx --out acts.onnx", i);
        CHECK_EQ(volley(command), 0);
        for (int k = 0; of[i].notes[k][0]; k++)
            if (!has_note("acts.onnx", of[i].notes[k][0], of[i].notes[k][1])) {
                fprintf(stderr, "%s: no note %s %s\n", of[i].train, of[i].notes[k][0],
                        of[i].notes[k][1]);
                exit(TEST_FAIL);
            }
        CHECK_EQ(has_note("acts.onnx", "deviation", "clamp") ||
                     has_note("acts.onnx", "deviation", "tanh"),
                 !strncmp(of[i].train, "pendulum", 8) && i > 0);
    }
}

/* Of the run that was trained last, with --json. */
static void name_checkpoint(char *path, size_t bytes) {
    json_t *o = program_json();
    snprintf(path, bytes, "%s/%s", folder, text_of(o, "checkpoint"));
    json_decref(o);
}

/* Values are of rewards by the running deviation of returns: as the checkpoint has it. */
static void models_say_what_rewards_were_divided_by(void) {
    double moments[3];
    char path[256], scale[32];
    CHECK_EQ(volley("train pendulum --algo ppo --preset none --ppo.normalize_reward --steps 5000 "
                    "--out divided --json"),
             0);
    name_checkpoint(path, sizeof path);
    vly_checkpoint *c;
    CHECK_OK(vly_checkpoint_open(&c, path));
    CHECK_OK(vly_checkpoint_read(c, "moments.return", VLY_F64, moments, sizeof moments));
    vly_checkpoint_close(c);
    CHECK(moments[0] > 0 && moments[2] / moments[0] > 4);
    snprintf(scale, sizeof scale, "%.9g", 1 / sqrt(moments[2] / moments[0] + 1e-8));
    CHECK_EQ(volley("export divided --format onnx --out divided.onnx"), 0);
    CHECK(has_note("divided.onnx", "reward_scale", scale));
}

/* A network that centres its input leaves as one that reads images as they are. */
static void centres_leave_in_the_bias(void) {
    enum { CHANNELS = 16, INPUTS = 3 * 3 * 4 };
    char kept[256], exported[256];
    float w[CHANNELS * INPUTS], before[CHANNELS], after[CHANNELS], centre;
    CHECK_EQ(volley("train minatar/breakout --algo ppo --steps 300 --envs 2 --ppo.rollout 16 "
                    "--net.centre 0.25 --out centred --json"),
             0);
    name_checkpoint(kept, sizeof kept);
    snprintf(exported, sizeof exported, "%s/centred.safetensors", folder);
    CHECK_EQ(volley("export centred --layout native --out centred.safetensors"), 0);
    read_numbers(kept, "input.centre", 1, &centre);
    CHECK_EQ(centre, 0.25);
    read_numbers(kept, "trunk.conv0.weight", CHANNELS * INPUTS, w);
    read_numbers(kept, "trunk.conv0.bias", CHANNELS, before);
    read_numbers(exported, "input.centre", 1, &centre);
    CHECK_EQ(centre, 0);
    read_numbers(exported, "trunk.conv0.bias", CHANNELS, after);
    for (int k = 0; k < CHANNELS; k++) {
        double sum = 0;
        for (int i = 0; i < INPUTS; i++) sum += (double)w[k * INPUTS + i];
        CHECK_NEAR(after[k], (double)before[k] - 0.25 * sum, 1e-6);
    }
    CHECK_EQ(volley("train cartpole --algo ppo --net.centre 0.25 --steps 100 --out vector"), 2);
    SAYS(err, "vectors have net.normalize");
}

/* Without the memory the newest observations are what a run goes on from: those of the ring. */
static void a_checkpoint_without_the_memory_has_the_newest_observations(void) {
    enum { ENVS = 8, WIDTH = 4, ROWS = 8000 / ENVS + 64 }; /* and the ring's margin */
    static float frames[ROWS * ENVS * WIDTH];
    float newest[ENVS * WIDTH];
    char paths[2][256];
    for (int with = 0; with < 2; with++) {
        CHECK_EQ(volley("train cartpole --algo dqn --steps 3000 --seed 2 --pool.groups 1 "
                        "--replay.capacity 8000 "
                        "--checkpoint.replay %s --out memory-%d --json",
                        with ? "true" : "false", with),
                 0);
        json_t *o = program_json();
        snprintf(paths[with], sizeof paths[with], "%s/%s", folder, text_of(o, "checkpoint"));
        json_decref(o);
    }
    int64_t step;
    vly_checkpoint *c;
    CHECK_OK(vly_checkpoint_open(&c, paths[1]));
    CHECK_OK(vly_checkpoint_read(c, "replay.step", VLY_I64, &step, sizeof step));
    CHECK(step > 300 && step < ROWS);
    const size_t bytes = vly_array_bytes(vly_checkpoint_find(c, "replay.frames"));
    CHECK(bytes <= sizeof frames);
    CHECK_OK(vly_checkpoint_read(c, "replay.frames", VLY_U8, frames, bytes));
    vly_checkpoint_close(c);
    CHECK_OK(vly_checkpoint_open(&c, paths[0]));
    CHECK_OK(vly_checkpoint_read(c, "observation.0", VLY_U8, newest, sizeof newest));
    vly_checkpoint_close(c);
    CHECK(memcmp(newest, frames + step * ENVS * WIDTH, sizeof newest) == 0);
}

/* The memory is filled anew, and then learned from. */
static void a_run_without_its_memory_is_resumed(void) {
    static const char *const runs[] = {"cartpole --algo dqn", "gridworld --algo sac",
                                       "pendulum --algo td3"};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(volley("train %s --steps 2000 --checkpoint.replay false --out forgetful-%d --json",
                        runs[i], i),
                 0);
        json_t *o = program_json();
        const json_int_t before = json_integer_value(json_object_get(o, "updates"));
        json_decref(o);
        CHECK(before > 0);
        CHECK_EQ(volley("resume forgetful-%d --steps 4000 --json", i), 0);
        o = program_json();
        CHECK(json_integer_value(json_object_get(o, "steps")) >= 4000);
        CHECK(json_integer_value(json_object_get(o, "updates")) > before);
        json_decref(o);
    }
}

/* Once these were taken, and nothing was normalised, or a worker refused them after the start. */
static void what_is_not_normalised_is_refused(void) {
    static const char *const algos[] = {"gorila", "apex --apex.replay store", "a3c"};
    char command[256];
    for (int i = 0; i < 3; i++) {
        snprintf(command, sizeof command,
                 "train mountaincar --algo %s --net.normalize --steps 100 --out flat", algos[i]);
        CHECK_EQ(volley(command), 2);
        SAYS(err, "--net.normalize: ");
        SAYS(err, "moments");
    }
    CHECK_EQ(volley("train gridworld --algo a3c --a2c.normalize_reward --out flat"), 2);
    SAYS(err, "--a2c.normalize_reward: ");
}

/* Once these were taken, and the network was another than was asked for. */
static void a_network_that_is_not_made_is_refused(void) {
    static const char *const separate[] = {"cartpole --algo ppo --net.lstm 8",
                                           "minatar/breakout --algo ppo", "cartpole --algo dqn",
                                           "pendulum --algo td3"};
    static const char *const kinds[] = {"minatar/breakout --algo sac --net.kind minatar",
                                        "pendulum --algo td3 --net.kind nature"};
    char command[256];
    for (int i = 0; i < 4; i++) {
        snprintf(command, sizeof command, "train %s --net.separate --steps 100 --out torso",
                 separate[i]);
        CHECK_EQ(volley(command), 2);
        SAYS(err, "--net.separate: ");
    }
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "train %s --steps 100 --out torso", kinds[i]);
        CHECK_EQ(volley(command), 2);
        SAYS(err, "--net.kind: ");
        SAYS(err, "auto or mlp");
    }
    CHECK_EQ(volley("train minatar/breakout --algo dqn --net.hidden 32,32 --out torso"), 2);
    SAYS(err, "--net.hidden has 2 numbers, and network \"minatar\" one layer");
    CHECK_EQ(volley("train minatar/breakout --algo a2c --net.activation tanh --out torso"), 2);
    SAYS(err, "--net.activation tanh: network \"minatar\"");
    CHECK_EQ(volley("train pendulum --algo sac --net.squash --out shape"), 2);
    SAYS(err, "--net.squash changes nothing of sac");
    CHECK_EQ(volley("train cartpole --algo a2c --net.deviation state --out shape"), 2);
    SAYS(err, "--net.deviation changes nothing of a2c in cartpole");
    CHECK_EQ(volley("train pendulum --algo a2c --net.squash --net.deviation state --steps 100 "
                    "--out shape"),
             0);
    CHECK_EQ(volley("train minatar/breakout --net.hidden 32 --net.activation relu --steps 100 "
                    "--out rectified"),
             0);
    CHECK_EQ(volley("train minatar/breakout --config rectified/config.yaml --net.hidden 64,64 "
                    "--out own"),
             0);
    CHECK_EQ(volley("train minatar/breakout --algo ppo --net.kind mlp --net.hidden 32,32 "
                    "--net.activation tanh --steps 100 --out mlp"),
             0);
    CHECK_EQ(volley("train pendulum --algo sac --net.kind mlp --steps 100 --out two"), 0);
    CHECK_EQ(volley("train cartpole --algo ppo --net.lstm 8 --steps 100 --out preset"), 0);
    CHECK_EQ(volley("resume preset --steps 200"), 0); /* whose preset has separate torsos */
    CHECK_EQ(volley("play preset --steps 3"), 0);     /* one environment, the run's minibatches */
    CHECK_EQ(volley("record preset --steps 3 --out preset.png"), 0);
    CHECK_EQ(volley("train cartpole --algo a2c --net.separate --steps 100 --out towers"), 0);
}

static void one_process_writes_to_a_run(void) {
    char command[1024];
    CHECK_EQ(volley("train cartpole --algo ppo --steps 2000 --out locked"), 0);
    snprintf(command, sizeof command,
             "exec flock locked/lock %s resume locked --steps 4000 >out 2>err", VLY_TEST_PROGRAM);
    CHECK_EQ(shell(command), 2);
    SAYS(err, "another process");
}

static void check_tasks(json_t *o, const char *mean) {
    const json_t *tasks = json_object_get(o, "tasks");
    CHECK_EQ(json_array_size(tasks), 3);
    int64_t episodes = 0;
    for (size_t i = 0; i < 3; i++) {
        const json_t *task = json_array_get(tasks, i);
        static const char *const names[] = {"cartpole", "acrobot", "mountaincar"};
        CHECK_STR(json_string_value(json_object_get(task, "env")), names[i]);
        CHECK(json_object_get(task, mean) != NULL);
        episodes += json_integer_value(json_object_get(task, "episodes"));
    }
    CHECK_EQ(episodes, json_integer_value(json_object_get(o, "episodes")));
    json_decref(o);
}

static void changes_of_several_environments_are_reported_one_by_one(void) {
    CHECK_EQ(volley("train multi:windy,windy --algo ppo --preset none --envs 4 --steps 20000 "
                    "--env.max_steps 100 --env.args drift=2000 --out winds --json"),
             0);
    SAYS(err, "change 1 of windy, at ");
    json_t *o = program_json();
    const json_t *changes = json_object_get(o, "changes");
    CHECK_EQ(json_array_size(changes), 4);
    for (size_t i = 0; i < 4; i++) {
        const json_t *one = json_array_get(changes, i);
        CHECK_STR(json_string_value(json_object_get(one, "env")), "windy");
        CHECK_EQ(json_integer_value(json_object_get(one, "phase")), i % 2 + 1);
    }
    json_decref(o);
}

static void several_environments_are_reported_one_by_one(void) {
    CHECK_EQ(
        volley("train multi:cartpole,acrobot,mountaincar --algo ppo --envs 6 --steps 6000 --out "
               "several --json"),
        0);
    check_tasks(program_json(), "return_mean_100");
    CHECK_EQ(volley("resume several --steps 9000 --json"), 0);
    check_tasks(program_json(), "return_mean_100");
    CHECK_EQ(volley("eval several --episodes 9 --json"), 0);
    check_tasks(program_json(), "return_mean");
    CHECK_EQ(volley("eval several --episodes 9 --actors 2"), 2);
    SAYS(err, "--actors has to be at least 3");
    CHECK_EQ(volley("eval several --episodes 1"), 0);
    SAYS(out, "0 episodes\n");
    CHECK(!strstr(out, "nan"));
    CHECK_EQ(volley("train multi:cartpole,acrobot,mountaincar --algo ppo --envs 2 --steps 600"), 2);
    SAYS(err, "--envs has to be at least 3");
}

int main(void) {
    program_open();
    bad_input_is_exit_2_with_what_would_be_right();
    every_verb_has_help_with_an_example_that_fits();
    ls_and_doctor_speak_json();
    a_run_is_a_folder_with_all_that_was_promised();
    resume_shows_what_it_takes("one");
    a_default_folder_is_named_after_the_run();
    targets_and_budgets_have_their_codes();
    signals_save_and_say_how_to_go_on();
    damaged_checkpoints_are_named_and_passed_over();
    a_full_disk_is_reported_and_survived();
    a_diverging_run_stops_and_poisons_nothing();
    several_environments_are_reported_one_by_one();
    changes_of_several_environments_are_reported_one_by_one();
    a_network_that_is_not_made_is_refused();
    traces_are_tables_that_repeat();
    output_that_cannot_be_written_is_said();
    traces_take_actions_from_a_pipe();
    plugins_train_by_path();
    a_checkpoint_without_the_memory_has_the_newest_observations();
    a_run_without_its_memory_is_resumed();
    what_is_not_normalised_is_refused();
    one_process_writes_to_a_run();
    exports_load_elsewhere();
    models_say_how_to_act();
    models_say_what_rewards_were_divided_by();
    centres_leave_in_the_bias();
    return program_close();
}
