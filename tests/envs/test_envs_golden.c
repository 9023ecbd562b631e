#include "tests/envs/env_golden.h"

/* Claim: every recorded row of the reference implementations is ours, bit for bit. GridWorld's
 * reference is tests/golden/gridworld.py, written from the definition in envs/gridworld.h. */
int main(void) {
    static const char *const files[] = {"acrobot.txt",
                                        "cartpole.txt",
                                        "classic_ids.txt",
                                        "cliffwalking.txt",
                                        "minatar_asterix.txt",
                                        "minatar_breakout.txt",
                                        "minatar_freeway.txt",
                                        "minatar_seaquest.txt",
                                        "minatar_space_invaders.txt",
                                        "mountaincar.txt",
                                        "gridworld.txt",
                                        "deepsea.txt",
                                        "pendulum.txt",
                                        "mountaincar_continuous.txt"};
    const int n = (int)(sizeof files / sizeof *files);
    long rows = 0;
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "tests/golden/envs/%s", files[i]);
        const long replayed = golden_replay(path); /* fails where the file is missing */
        CHECK(replayed > 0);
        rows += replayed;
    }
    printf("%ld rows in %d files\n", rows, n);
    return TEST_PASS;
}
