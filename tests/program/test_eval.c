/* volley eval as users call it: one run, several, seeds, the protocol. */
#include <math.h>
#include "tests/kit/program.h"

static double real(const json_t *o, const char *name) {
    return json_number_value(json_object_get(o, name));
}

static void one_run_keeps_the_contract_and_adds_its_seeds(void) {
    CHECK_EQ(volley("eval a --episodes 6 --seed 40 --json"), 0);
    json_t *plain = program_json();
    CHECK_EQ(volley("eval a --episodes 6 --seed 39 --seeds 2 --json"), 0);
    json_t *both = program_json(), *returns = json_object_get(both, "returns");
    CHECK_EQ(json_array_size(returns), 12);
    double sum = 0;
    for (size_t i = 0; i < 6; i++) { /* the second seed is the one evaluated alone */
        const double one = json_number_value(json_array_get(json_object_get(plain, "returns"), i));
        CHECK(one == json_number_value(json_array_get(returns, 6 + i)));
        sum += one;
    }
    CHECK(fabs(real(plain, "return_mean") - sum / 6) < 1e-9);
    json_t *second = json_array_get(json_object_get(both, "seeds"), 1);
    CHECK(real(second, "seed") == 40 && fabs(real(second, "return_mean") - sum / 6) < 1e-9);
    const json_t *all = json_object_get(both, "aggregate");
    CHECK(strcmp(json_string_value(json_object_get(all, "interval_over")), "evaluation seeds") ==
          0);
    CHECK(fabs(real(all, "iqm") - real(both, "return_mean")) < 1e-9); /* of two scores nothing is
                                                                         cut */
    CHECK(json_object_get(plain, "aggregate") == NULL);
    json_decref(plain);
    json_decref(both);
}

static void runs_of_one_environment_are_one_task(void) {
    CHECK_EQ(volley("eval a b c --episodes 5 --seeds 2 --json"), 0);
    json_t *o = program_json(), *runs = json_object_get(o, "runs"),
           *all = json_object_get(o, "aggregate"), *tasks = json_object_get(all, "tasks");
    CHECK_EQ(json_array_size(runs), 3);
    CHECK_EQ(json_array_size(tasks), 2);
    const json_t *cartpole = json_array_get(tasks, 0), *grid = json_array_get(tasks, 1);
    CHECK(real(cartpole, "runs") == 2 && real(cartpole, "scores") == 2 &&
          real(grid, "scores") == 1);
    const double mean = (real(json_array_get(runs, 0), "return_mean") +
                         real(json_array_get(runs, 1), "return_mean")) /
                        2;
    CHECK(fabs(real(cartpole, "iqm") - mean) < 1e-9);
    const json_t *ci = json_object_get(cartpole, "iqm_ci95");
    CHECK(json_number_value(json_array_get(ci, 0)) <= mean &&
          json_number_value(json_array_get(ci, 1)) >= mean);
    CHECK(json_is_null(json_object_get(grid, "iqm_ci95"))); /* one score */
    CHECK(strcmp(json_string_value(json_object_get(all, "interval_over")), "runs") == 0);
    CHECK(json_object_get(all, "iqm") == NULL); /* no common scale */
    json_decref(o);
}

static void the_protocol_is_for_atari(void) {
    CHECK_EQ(volley("eval a --protocol machado"), 2);
    CHECK_EQ(volley("eval a --protocol mine"), 2);
    CHECK_EQ(volley("eval a nowhere"), 2);
    if (volley("trace pong --random 1") != 0) {
        SKIP_PART("no ROM of Pong (make roms): the protocol was not played");
        return;
    }
    CHECK_EQ(volley("train pong --algo ppo --preset none --envs 2 --ppo.rollout 8 --net.kind a3c "
                    "--steps 64 --atari.full_actions --out pong"),
             0);
    CHECK_EQ(
        volley("eval pong --protocol machado --minutes 1 --seeds 2 --episodes 1 --actors 1 --json"),
        0);
    json_t *o = program_json(), *p = json_object_get(o, "protocol");
    CHECK(real(p, "sticky") == 0.25 && real(p, "actions") == 18 && real(p, "max_frames") == 3600 &&
          real(p, "noop_max") == 0);
    CHECK(!json_is_true(json_object_get(p, "episodic_life")) &&
          !json_is_true(json_object_get(p, "fire_reset")));
    CHECK(real(o, "length_mean") <= 900); /* a minute of steps of four frames */
    CHECK(fabs(real(o, "human_normalised") - (real(o, "return_mean") + 20.7) / 35.3) < 1e-9);
    CHECK(strcmp(json_string_value(json_object_get(json_object_get(o, "aggregate"), "scale")),
                 "human-normalised") == 0);
    json_decref(o);
}

int main(void) {
    program_open();
    CHECK_EQ(volley("train cartpole --steps 3k --seed 1 --out a"), 0);
    CHECK_EQ(volley("train cartpole --steps 3k --seed 2 --out b"), 0);
    CHECK_EQ(volley("train gridworld --algo qlearning --steps 20k --out c"), 0);
    one_run_keeps_the_contract_and_adds_its_seeds();
    runs_of_one_environment_are_one_task();
    the_protocol_is_for_atari();
    return program_close();
}
