/* embed.c -- libvolley in a program of your own: 64 CartPoles, random actions, a thousand steps.
 *
 *   cc -o embed examples/embed.c $(pkg-config --cflags --libs volley)
 *   ./embed
 */
#include <stdio.h>
#include <stdlib.h>
#include <volley.h>

enum { ENVS = 64, NUMBERS = 4, STEPS = 1000 };

static int play(vly_vec *v) {
    static float observation[ENVS][NUMBERS], reward[ENVS];
    static uint8_t terminated[ENVS], truncated[ENVS];
    int32_t action[ENVS];
    int64_t seed[ENVS];
    const vly_batch batch = {.bytes = sizeof batch,
                             .observation = observation,
                             .reward = reward,
                             .terminated = terminated,
                             .truncated = truncated};
    int ended = 0;
    for (int i = 0; i < ENVS; i++) seed[i] = 7 + i;
    if (vly_vec_reset(v, NULL, seed, &batch) != 0) return -1;
    for (int t = 0; t < STEPS; t++) {
        for (int i = 0; i < ENVS; i++) action[i] = rand() % 2;
        if (vly_vec_step(v, action, VLY_TYPE_I32, &batch) != 0) return -1;
        for (int i = 0; i < ENVS; i++) ended += terminated[i] | truncated[i];
    }
    return ended;
}

int main(void) {
    vly_vec *v;
    int ended = -1;
    if (vly_vec_open(&v, "cartpole", "num_envs=64") == 0) ended = play(v);
    if (ended < 0)
        fprintf(stderr, "embed: %s\n", vly_last_error());
    else
        printf("volley %s: %d episodes\n", vly_version(), ended);
    vly_vec_close(v);
    return ended < 0;
}
