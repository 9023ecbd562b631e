/* Prints the row of envs/mujoco/layouts.def for the headers that it is compiled with: where the members
 * lie that Volley reads. tests/mujoco/layout.sh compiles it. */
#include <mujoco/mujoco.h>
#include <stddef.h>
#include <stdio.h>

#define M(member) (int)offsetof(mjModel, member)
#define D(member) (int)offsetof(mjData, member)

_Static_assert(sizeof(mjtNum) == 8, "numbers are doubles");
_Static_assert(mjSTATE_TIME == 1 && mjSTATE_QPOS == 2 && mjSTATE_QVEL == 4 && mjSTATE_ACT == 8,
               "bits");
_Static_assert(mjOBJ_BODY == 1 && mjOBJ_SITE == 6 && mjOBJ_CAMERA == 7, "kinds of objects");
_Static_assert(mjCAT_ALL == 7 && mjFB_OFFSCREEN == 1 && mjCAMERA_FIXED == 2, "drawing");
_Static_assert(offsetof(mjvCamera, fixedcamid) == 4 && offsetof(mjvCamera, trackbodyid) == 8 &&
                   offsetof(mjvCamera, lookat) == 16 && offsetof(mjvCamera, distance) == 40 &&
                   offsetof(mjvCamera, azimuth) == 48 && offsetof(mjvCamera, elevation) == 56,
               "a camera");

int main(void) {
    const int v = mjVERSION_HEADER;
    const int minor = v < 1000 ? v / 10 % 10 : v / 1000 % 1000,
              patch = v < 1000 ? v % 10 : v % 1000;
    printf("LAYOUT(%d, \"%d.%d.%d\", %d, %d, %d, %d, %d, %d, ", v, v < 1000 ? v / 100 : v / 1000000,
           minor, patch, mjSTATE_WARMSTART, M(nbody), M(opt.timestep), M(body_mass),
           M(actuator_ctrlrange), M(vis.global.offwidth));
    printf("%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, ", D(qpos), D(qvel), D(ctrl),
           D(qfrc_actuator), D(qfrc_constraint), D(xpos), D(xipos), D(site_xpos), D(cinert),
           D(cvel), D(cfrc_ext));
    printf("%d, %d, %d, %d, %d)\n", (int)sizeof(mjvScene), (int)sizeof(mjvOption),
           (int)sizeof(mjvCamera), (int)sizeof(mjvPerturb), (int)sizeof(mjrContext));
    return 0;
}
