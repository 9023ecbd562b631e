#include "envs/mujoco/tasks.h"
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "envs/mujoco/body.h"
#include "envs/mujoco/numpy_sum.h"
#include "envs/numpy_normal.h"

typedef const vly_mj_world *world;
typedef const vly_mj_body *body;

static double clip_number(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static bool between(double low, double x, double high) {
    return low < x && x < high;
}

/* ---- starts ---- */

static void add_uniform(double *v, int n, double most, vly_pcg64 *rng) {
    for (int i = 0; i < n; i++) v[i] += vly_pcg64_uniform(rng, -most, most - -most);
}

static void start_uniform(world w, body b, vly_pcg64 *rng) {
    add_uniform(b->qpos, w->task->nq, w->weights.reset_noise, rng);
    add_uniform(b->qvel, w->task->nv, w->weights.reset_noise, rng);
}

static void start_normal(world w, body b, vly_pcg64 *rng) {
    add_uniform(b->qpos, w->task->nq, w->weights.reset_noise, rng);
    for (int i = 0; i < w->task->nv; i++)
        b->qvel[i] += w->weights.reset_noise * vly_pcg64_normal(rng);
}

/* The target lies anywhere in a disc around the arm. */
static void start_reacher(world w, body b, vly_pcg64 *rng) {
    double goal[2];
    add_uniform(b->qpos, w->task->nq, 0.1, rng);
    do {
        goal[0] = vly_pcg64_uniform(rng, -0.2, 0.2 - -0.2);
        goal[1] = vly_pcg64_uniform(rng, -0.2, 0.2 - -0.2);
    } while (!(vly_numpy_norm(goal, 2) < 0.2));
    memcpy(b->qpos + w->task->nq - 2, goal, sizeof goal);
    add_uniform(b->qvel, w->task->nv, 0.005, rng);
    b->qvel[w->task->nv - 2] = b->qvel[w->task->nv - 1] = 0;
}

/* The cylinder lies away from the goal, which is at 0. */
static void start_pusher(world w, body b, vly_pcg64 *rng) {
    double cylinder[4] = {0};
    do {
        cylinder[0] = vly_pcg64_uniform(rng, -0.3, 0 - -0.3);
        cylinder[1] = vly_pcg64_uniform(rng, -0.2, 0.2 - -0.2);
    } while (!(vly_numpy_norm(cylinder, 2) > 0.17));
    memcpy(b->qpos + w->task->nq - 4, cylinder, sizeof cylinder);
    add_uniform(b->qvel, w->task->nv, 0.005, rng);
    memset(b->qvel + w->task->nv - 4, 0, 4 * sizeof(double));
}

/* ---- observations ---- */

static double *put(double *to, const double *v, int n) {
    memcpy(to, v, (size_t)n * sizeof *v);
    return to + n;
}

static double *put_clipped(double *to, const double *v, int n, double most) {
    for (int i = 0; i < n; i++) *to++ = clip_number(v[i], -most, most);
    return to;
}

/* Positions without the first `skip`, which say where the body is, and speeds. */
static double *put_joints(world w, body b, double *to, int skip) {
    to = put(to, b->qpos + skip, w->task->nq - skip);
    return put(to, b->qvel, w->task->nv);
}

static void observe_pole(world w, body b, double *obs) {
    put_joints(w, b, obs, 0);
}

static void observe_cheetah(world w, body b, double *obs) {
    put_joints(w, b, obs, 1);
}

static void observe_swimmer(world w, body b, double *obs) {
    put_joints(w, b, obs, 2);
}

static void observe_hopper(world w, body b, double *obs) {
    obs = put(obs, b->qpos + 1, w->task->nq - 1);
    put_clipped(obs, b->qvel, w->task->nv, 10);
}

/* Of all bodies but the world. */
static void observe_ant(world w, body b, double *obs) {
    obs = put_joints(w, b, obs, 2);
    put_clipped(obs, b->cfrc_ext[1], 6 * (w->task->nbody - 1), 1);
}

static void observe_humanoid(world w, body b, double *obs) {
    const int bodies = w->task->nbody - 1;
    obs = put_joints(w, b, obs, 2);
    obs = put(obs, b->cinert[1], 10 * bodies);
    obs = put(obs, b->cvel[1], 6 * bodies);
    obs = put(obs, b->qfrc_actuator + 6, w->task->nv - 6);
    put(obs, b->cfrc_ext[1], 6 * bodies);
}

static void observe_double_pendulum(world w, body b, double *obs) {
    *obs++ = b->qpos[0];
    for (int i = 1; i < 3; i++) *obs++ = sin(b->qpos[i]);
    for (int i = 1; i < 3; i++) *obs++ = cos(b->qpos[i]);
    obs = put_clipped(obs, b->qvel, w->task->nv, 10);
    put_clipped(obs, b->qfrc_constraint, 1, 10);
}

static void subtract(const double *a, const double *b, double *out) {
    for (int i = 0; i < 3; i++) out[i] = a[i] - b[i];
}

enum { FINGER = 0, TARGET = 1 };         /* bodies of the reacher */
enum { OBJECT = 0, TIPS = 1, GOAL = 2 }; /* bodies of the pusher */

static void observe_reacher(world w, body b, double *obs) {
    double gap[3];
    subtract(b->xpos[w->id[FINGER]], b->xpos[w->id[TARGET]], gap);
    for (int i = 0; i < 2; i++) *obs++ = cos(b->qpos[i]);
    for (int i = 0; i < 2; i++) *obs++ = sin(b->qpos[i]);
    obs = put(obs, b->qpos + 2, w->task->nq - 2);
    obs = put(obs, b->qvel, 2);
    put(obs, gap, 2);
}

static void observe_pusher(world w, body b, double *obs) {
    obs = put(obs, b->qpos, 7);
    obs = put(obs, b->qvel, 7);
    obs = put(obs, b->xpos[w->id[TIPS]], 3);
    obs = put(obs, b->xpos[w->id[OBJECT]], 3);
    put(obs, b->xpos[w->id[GOAL]], 3);
}

/* ---- places ---- */

static double root_place(world w, body b) {
    (void)w;
    return b->qpos[0];
}

/* As of the last forward pass, which is one simulation step behind qpos. */
static double torso_place(world w, body b) {
    (void)w;
    return b->xpos[1][0];
}

static double mass_place(world w, body b) {
    double sum = 0;
    for (int i = 0; i < w->task->nbody; i++) sum += w->body_mass[i] * b->xipos[i][0];
    return sum / w->total_mass;
}

/* ---- rewards ---- */

/* In float32, as NumPy multiplies a float32 by a Python number. */
static float action_cost(world w, const float *action) {
    return (float)w->weights.ctrl_cost * vly_numpy_squares_f32(action, w->task->nu);
}

static double reward_cheetah(world w, body b, const float *action, double x_velocity,
                             bool *terminated) {
    (void)b;
    *terminated = false;
    return w->weights.forward_reward * x_velocity - (double)action_cost(w, action);
}

static double reward_upright(world w, const float *action, double x_velocity, bool healthy) {
    const double rewards = w->weights.forward_reward * x_velocity +
                           (healthy ? w->weights.healthy_reward : 0.0);
    return rewards - (double)action_cost(w, action);
}

static double reward_hopper(world w, body b, const float *action, double x_velocity,
                            bool *terminated) {
    bool healthy = 0.7 < b->qpos[1] && b->qpos[1] < INFINITY && between(-0.2, b->qpos[2], 0.2);
    for (int i = 2; i < w->task->nq; i++) healthy &= between(-100, b->qpos[i], 100);
    for (int i = 0; i < w->task->nv; i++) healthy &= between(-100, b->qvel[i], 100);
    *terminated = !healthy;
    return reward_upright(w, action, x_velocity, healthy);
}

static double reward_walker(world w, body b, const float *action, double x_velocity,
                            bool *terminated) {
    const bool healthy = between(0.8, b->qpos[1], 2.0) && between(-1.0, b->qpos[2], 1.0);
    *terminated = !healthy;
    return reward_upright(w, action, x_velocity, healthy);
}

static double reward_ant(world w, body b, const float *action, double x_velocity,
                         bool *terminated) {
    const int forces = 6 * w->task->nbody;
    double clipped[VLY_MJ_OBS_MOST];
    const bool healthy = vly_mj_finite(b->qpos, w->task->nq) &&
                         vly_mj_finite(b->qvel, w->task->nv) && 0.2 <= b->qpos[2] &&
                         b->qpos[2] <= 1.0;
    put_clipped(clipped, b->cfrc_ext[0], forces, 1);
    const double contact = w->weights.contact_cost * vly_numpy_squares(clipped, forces);
    const double rewards = x_velocity * w->weights.forward_reward +
                           (healthy ? w->weights.healthy_reward : 0.0);
    *terminated = !healthy;
    return rewards - ((double)action_cost(w, action) + contact);
}

/* Of controls, which are double and which the library sets to 0 when it restarts a simulation. */
static double control_cost(world w, body b) {
    return w->weights.ctrl_cost * vly_numpy_squares(b->ctrl, w->task->nu);
}

static double impact_cost(world w, body b) {
    const double cost = w->weights.contact_cost *
                        vly_numpy_squares(b->cfrc_ext[0], 6 * w->task->nbody);
    return clip_number(cost, -INFINITY, 10.0);
}

static double reward_humanoid(world w, body b, const float *action, double x_velocity,
                              bool *terminated) {
    const bool healthy = between(1.0, b->qpos[2], 2.0);
    const double rewards = w->weights.forward_reward * x_velocity +
                           (healthy ? w->weights.healthy_reward : 0.0);
    (void)action;
    *terminated = !healthy;
    return rewards - (control_cost(w, b) + impact_cost(w, b));
}

static double reward_standup(world w, body b, const float *action, double x_velocity,
                             bool *terminated) {
    (void)action, (void)x_velocity;
    *terminated = false;
    return b->qpos[2] / w->timestep - control_cost(w, b) - impact_cost(w, b) + 1;
}

static double reward_pole(world w, body b, const float *action, double x_velocity,
                          bool *terminated) {
    (void)action, (void)x_velocity;
    *terminated = !vly_mj_finite(b->qpos, w->task->nq) || !vly_mj_finite(b->qvel, w->task->nv) ||
                  fabs(b->qpos[1]) > 0.2;
    return *terminated ? 0 : 1;
}

static double reward_double_pendulum(world w, body b, const float *action, double x_velocity,
                                     bool *terminated) {
    const double x = b->site_xpos[0][0], y = b->site_xpos[0][2];
    const double far = 0.01 * vly_numpy_power2(x) + vly_numpy_power2(y - 2);
    const double fast = 0.001 * vly_numpy_power2(b->qvel[1]) + 0.005 * vly_numpy_power2(b->qvel[2]);
    (void)action, (void)x_velocity;
    *terminated = y <= 1;
    return w->weights.healthy_reward * !*terminated - far - fast;
}

static double reward_reacher(world w, body b, const float *action, double x_velocity,
                             bool *terminated) {
    double gap[3];
    (void)x_velocity;
    *terminated = false;
    subtract(b->xpos[w->id[FINGER]], b->xpos[w->id[TARGET]], gap);
    return -vly_numpy_norm(gap, 3) + (double)-action_cost(w, action);
}

static double reward_pusher(world w, body b, const float *action, double x_velocity,
                            bool *terminated) {
    double near[3], far[3];
    (void)x_velocity;
    *terminated = false;
    subtract(b->xpos[w->id[OBJECT]], b->xpos[w->id[TIPS]], near);
    subtract(b->xpos[w->id[OBJECT]], b->xpos[w->id[GOAL]], far);
    return -vly_numpy_norm(far, 3) + (double)-action_cost(w, action) +
           -vly_numpy_norm(near, 3) * 0.5;
}

/* ---- the table ---- */

/* As float32, which actions are. */
static const vly_bounds unit[] = {[0 ... 7] = {-1, 1}}, tiny[] = {[0 ... 16] = {-0.4f, 0.4f}};
static const vly_bounds twos[] = {[0 ... 6] = {-2, 2}}, three[] = {{-3, 3}};

static const char *const ant_joints[] = {"hip_4", "ankle_4", "hip_1", "ankle_1",
                                         "hip_2", "ankle_2", "hip_3", "ankle_3"};
static const char *const half_cheetah_joints[] = {"bthigh", "bshin", "bfoot",
                                                  "fthigh", "fshin", "ffoot"};
static const char *const walker2d_joints[] = {"thigh_joint",    "leg_joint",
                                              "foot_joint",     "thigh_left_joint",
                                              "leg_left_joint", "foot_left_joint"};
static const char *const humanoid_joints[] = {
    "abdomen_y",      "abdomen_z",       "abdomen_x",       "right_hip_x", "right_hip_z",
    "right_hip_y",    "right_knee",      "left_hip_x",      "left_hip_z",  "left_hip_y",
    "left_knee",      "right_shoulder1", "right_shoulder2", "right_elbow", "left_shoulder1",
    "left_shoulder2", "left_elbow"};
static const char *const swimmer_joints[] = {"motor1_rot", "motor2_rot"};
static const char *const reacher_joints[] = {"joint0", "joint1"};
static const char *const inverted_pendulum_joints[] = {"slider"};
static const char *const pusher_joints[] = {
    "r_shoulder_pan_joint", "r_shoulder_lift_joint", "r_upper_arm_roll_joint", "r_elbow_flex_joint",
    "r_forearm_roll_joint", "r_wrist_flex_joint",    "r_wrist_roll_joint"};

/* clang-format off */
#define UNPACK(...) __VA_ARGS__
#define TASK(name, model, skip, steps, nq, nv, nu, nbody, obs, bounds, joints, target, weights, contact, bodies, ...) \
    {"mujoco/" #name, model, skip, steps, nq, nv, nu, nbody, obs, bounds, joints, target, {UNPACK weights}, contact, {UNPACK bodies}, __VA_ARGS__},
/* clang-format on */
static const vly_mj_task tasks[] = {
#include "envs/mujoco/tasks.def"
};

const vly_mj_task *vly_mj_task_at(int i) {
    return i >= 0 && i < (int)(sizeof tasks / sizeof *tasks) ? &tasks[i] : NULL;
}

const vly_mj_task *vly_mj_task_named(const char *name) {
    for (int i = 0; vly_mj_task_at(i); i++)
        if (strcmp(tasks[i].name, name) == 0) return &tasks[i];
    return NULL;
}
