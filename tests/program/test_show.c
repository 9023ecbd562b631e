/* play, record and plot as users call them. */
#include <stdbool.h>
#include "common/base/env.h"
#include "cpu/program/picture.h"
#include "tests/kit/peer.h"
#include "tests/kit/program.h"

static size_t starts_with(const char *name, const char *magic, size_t n, size_t skip) {
    char path[256], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(vly_file_read(path, 1 << 26, &text, &bytes));
    CHECK(bytes > skip + n && memcmp(text + skip, magic, n) == 0);
    free(text);
    return bytes;
}

static bool has(const char *program) {
    char test[128];
    snprintf(test, sizeof test, "command -v %s >/dev/null 2>&1", program);
    if (system(test) == 0) return true;
    SKIP_PART("%s is not installed", program);
    return false;
}

static void episodes_become_pictures(void) {
    CHECK_EQ(volley("record r --out a.png --steps 60"), 0);
    CHECK(starts_with("a.png", "\x89PNG\r\n\x1a\n", 8, 0) > 2000);
    CHECK_EQ(volley("record r --out a.xyz"), 2);
    CHECK_EQ(volley("record nowhere --out a.png"), 2);
    if (!has("ffmpeg")) return;
    CHECK_EQ(volley("record r --out 'it'\\''s.mp4' --steps 60"), 0); /* a name that a shell would
                                                                        trip over */
    CHECK(starts_with("it's.mp4", "ftyp", 4, 4) > 1000);
    CHECK_EQ(volley("record r --out a.gif --steps 30"), 0);
    CHECK(starts_with("a.gif", "GIF89a", 6, 0) > 1000);
    CHECK_EQ(volley("record r --out /proc/no/such/a.mp4 --steps 30"), 2);
}

static void the_terminal_shows_the_agent(void) {
    CHECK_EQ(volley("play r --steps 10 --fps 1000"), 0);
    char *text = program_read("out");
    CHECK(strstr(text, "SCORE") && strstr(text, "\xe2\x96\x80") && strstr(text, "VALUE"));
    free(text);
}

static double number_said(const char *command, const char *key) {
    CHECK_EQ(volley(command), 0);
    json_t *o = program_json();
    const double number = json_number_value(json_object_get(o, key));
    json_decref(o);
    return number;
}

/* A step of CartPole earns 1, one of Acrobot -1. */
static double score_of(const char *command) {
    return number_said(command, "score");
}

static void each_of_several_environments_is_shown(void) {
    CHECK_EQ(volley("train multi:cartpole,acrobot --algo ppo --steps 2k --seed 1 --out several"),
             0);
    CHECK(score_of("play several --steps 6 --fps 1000 --json") > 0);
    CHECK(score_of("play several --task acrobot --steps 6 --fps 1000 --json") < 0);
    CHECK(score_of("record several --task 1 --steps 6 --out several.png --json") < 0);
    CHECK(score_of("record several --task cartpole --steps 6 --out several.png --json") > 0);
    CHECK_EQ(volley("play several --task pong --steps 6"), 2);
    CHECK_EQ(volley("record r --task 0 --out b.png --steps 6"), 2);
    CHECK_EQ(volley("trace multi:cartpole,acrobot --task 1 --random 1"), 0);
    char *text = program_read("out");
    CHECK(strstr(text, "\t0\t1\t111\n")); /* the mark of the second task, its mask */
    free(text);
}

static double rate_of(const char *command) {
    return number_said(command, "fps");
}

static void the_speed_is_the_environments_own(void) {
    static const struct {
        double step_s;
        int rate;
    } of[] = {{4 / 60.0, 15}, {1 / 60.0, 60}, {64 / 60.0, 1}, {0.008, 125},
              {0.05, 20},     {0, 30},        {1e-9, 200},    {1e300, 1}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        CHECK_EQ(vly_picture_rate(&(vly_env){.frames_per_step = 4, .step_s = of[i].step_s}),
                 of[i].rate);
    CHECK_EQ(rate_of("record r --out s.png --steps 3 --json"), 30);
    CHECK_EQ(rate_of("record r --out s.png --steps 3 --fps 7 --json"), 7);
    if (volley("trace pong --random 1") != 0) {
        SKIP_PART("no ROM of Pong (make roms): it was not watched at its own speed");
        return;
    }
    CHECK_EQ(volley("train pong --algo ppo --preset none --envs 2 --ppo.rollout 8 --net.kind a3c "
                    "--steps 64 --atari.frame_skip 64 --out slow"),
             0);
    CHECK_EQ(rate_of("play slow --steps 2 --json"), 1);
    if (has("ffmpeg")) CHECK_EQ(rate_of("record slow --out slow.mp4 --steps 3 --json"), 1);
}

static void curves_are_drawn(void) {
    CHECK_EQ(volley("plot r --metric no/such"), 2);
    CHECK_EQ(volley("plot r --out a.txt"), 2);
    if (!has("gnuplot")) return;
    CHECK_EQ(volley("plot r r2 --out c.svg"), 0);
    CHECK(starts_with("c.svg", "<?xml", 5, 0) > 1000);
    CHECK_EQ(volley("plot r --metric losses/value_loss --smooth 3 --out c.png"), 0);
    CHECK(starts_with("c.png", "\x89PNG", 4, 0) > 1000);
}

/* Trained here, exported, played by onnxruntime in Gymnasium's own CartPole. */
static void an_exported_agent_plays_elsewhere(void) {
    const char *python = peer_python("gymnasium, onnxruntime");
    char command[400];
    double mean = 0;
    CHECK_EQ(volley("train cartpole --algo ppo --seed 1 --until-return 475 --out solved"), 0);
    CHECK_EQ(volley("export solved --format onnx --out agent.onnx"), 0);
    if (!python) {
        SKIP_PART("gymnasium and onnxruntime are not here (tests/kit/peers.sh): the exported agent "
                  "did not play");
        return;
    }
    snprintf(command, sizeof command,
             "%s examples/play_onnx.py %s/agent.onnx CartPole-v1 --episodes 3", python, folder);
    FILE *said = popen(command, "r");
    CHECK(said && fscanf(said, "3 episodes of CartPole-v1: mean return %lf", &mean) == 1 &&
          pclose(said) == 0);
    CHECK(mean >= 475);
}

/* Boxes by each kind of policy: TD3's action, SAC's squashed means, PPO's clipped ones. The mean
 * return is to be that of playing here; an action of the wrong size earns -1200 and less. */
static void exported_policies_of_numbers_play_elsewhere(void) {
    static const struct {
        const char *algo, *until;
    } of[] = {{"td3", "-300"}, {"sac", "-250"}, {"ppo", "-250"}};
    const char *python = peer_python("gymnasium, onnxruntime");
    char command[400];
    if (!python) {
        SKIP_PART("gymnasium and onnxruntime are not here (tests/kit/peers.sh): policies of "
                  "numbers did not play");
        return;
    }
    for (int i = 0; i < 3; i++) {
        double mean = 0;
        snprintf(command, sizeof command,
                 "train pendulum --algo %s --seed 1 --until-return %s --out %s", of[i].algo,
                 of[i].until, of[i].algo);
        CHECK_EQ(volley(command), 0);
        snprintf(command, sizeof command, "export %s --format onnx --out box.onnx", of[i].algo);
        CHECK_EQ(volley(command), 0);
        snprintf(command, sizeof command,
                 "%s examples/play_onnx.py %s/box.onnx Pendulum-v1 --episodes 10", python, folder);
        FILE *said = popen(command, "r");
        CHECK(said && fscanf(said, "10 episodes of Pendulum-v1: mean return %lf", &mean) == 1 &&
              pclose(said) == 0);
        fprintf(stderr, "%s: mean return %.0f elsewhere\n", of[i].algo, mean);
        CHECK(mean > -350);
    }
}

static void letters_stay_inside_the_picture(void) {
    enum { W = 20, H = 10, GUARD = 64 };
    uint8_t rgb[GUARD + W * H * 3 + GUARD];
    memset(rgb, 0xa5, sizeof rgb);
    vly_picture_text(rgb + GUARD, W, H, -7, -3, 3, 0xffffff, "Ag9%~\xff long text beyond the edge");
    for (int i = 0; i < GUARD; i++)
        CHECK(rgb[i] == 0xa5 && rgb[sizeof rgb - 1 - (size_t)i] == 0xa5);
}

int main(void) {
    program_open();
    letters_stay_inside_the_picture();
    CHECK_EQ(volley("train cartpole --steps 8k --seed 1 --metrics.every_s 0.01 --out r"), 0);
    CHECK_EQ(volley("train cartpole --steps 8k --seed 2 --metrics.every_s 0.01 --out r2"), 0);
    episodes_become_pictures();
    the_terminal_shows_the_agent();
    each_of_several_environments_is_shown();
    the_speed_is_the_environments_own();
    curves_are_drawn();
    an_exported_agent_plays_elsewhere();
    exported_policies_of_numbers_play_elsewhere();
    return program_close();
}
