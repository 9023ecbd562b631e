#!/usr/bin/env python3
"""Records what the reference environments do, for tests/envs/test_envs_golden.c.

    python3 tests/golden/envs.py                    # rewrites tests/golden/envs/*.txt
    python3 tests/golden/envs.py --live 7 --out F   # all environments, other seeds, into one file

Needs gymnasium (1.4.0 recorded these), minatar (1.0.15) and numpy. gridworld.py records gridworld.txt. A file holds
runs:

    run NAME seed=N max_steps=N extra=TEXT    what to open and how to seed it
    - CRC                                     the row of the reset
    DIGITS CRC                                up to 100 actions, one digit each, and their rows;
                                              in a box of one number 0 is low, 8 high and 9 beyond

CRC is zlib's crc32 over the rows: the observation's bytes (float32 or uint8; the state's number as
int32 where states are discrete), the reward as float32, and the flags byte of common/base/env.h. After
the row that ends an episode, the next action is ignored and its row is the reset's: reward 0.
"""
import argparse
import os
import struct
import sys
import zlib

import numpy as np

TERMINATED, TRUNCATED, RESET, GAME_OVER = 1, 2, 4, 16
MINATAR = ("breakout", "asterix", "freeway", "seaquest", "space_invaders")


class Gymnasium:
    """A Gymnasium environment with Volley's rows."""

    def __init__(self, gym_id, discrete=False, **kwargs):
        import gymnasium

        self.env, self.discrete = gymnasium.make(gym_id, **kwargs), discrete
        self.box = None if hasattr(self.env.action_space, "n") else self.env.action_space
        self.actions = 10 if self.box else int(self.env.action_space.n)

    def pack(self, obs):
        return struct.pack("<i", obs) if self.discrete else np.asarray(obs, np.float32).tobytes()

    def reset(self, seed=None):
        obs, _ = self.env.reset(seed=seed)
        self.obs = obs
        return self.pack(obs)

    def step(self, action):
        if self.box:
            low, high = float(self.box.low[0]), float(self.box.high[0])
            action = np.array([low + (high - low) * action / 8], np.float32)
        obs, reward, terminated, truncated, _ = self.env.step(action)
        self.obs = obs
        return self.pack(obs), reward, terminated, truncated


class MinAtar:
    """A MinAtar game, seeded as its Gymnasium wrapper seeds it."""

    def __init__(self, game, minimal=False, max_steps=0, **kwargs):
        self.game, self.kwargs, self.max_steps = game, kwargs, max_steps
        self.make()
        full = list(range(6))
        self.action_set = self.env.minimal_action_set() if minimal else full
        self.actions = len(self.action_set)

    def make(self):
        import logging

        logging.disable(logging.WARNING)
        from minatar import Environment

        self.env = Environment(self.game, **self.kwargs)

    def pack(self):
        return self.env.state().astype(np.uint8).tobytes()

    def reset(self, seed=None):
        if seed is not None:
            self.make()
            self.env.seed(seed)
        self.env.reset()
        self.at = 0
        return self.pack()

    def step(self, action):
        reward, done = self.env.act(self.action_set[action])
        self.at += 1
        return self.pack(), float(reward), bool(done), bool(self.max_steps and self.at >= self.max_steps)


# Policies: good enough that episodes reach all corners of the rules, with some chance in them.
def chance(env, rng):
    return int(rng.integers(env.actions))


def balance(env, rng):
    if rng.random() < 0.02:
        return chance(env, rng)
    x, v, angle, spin = (float(k) for k in env.obs)
    return int(0.05 * x + 0.1 * v + 3 * angle + 0.6 * spin > 0)


def swing(env, rng):
    return chance(env, rng) if rng.random() < 0.1 else (2 if env.obs[1] >= 0 else 0)


def pump(env, rng):
    return chance(env, rng) if rng.random() < 0.1 else (0 if env.obs[4] > 0 else 2)


def swing_up(env, rng):
    """Pendulum: pumps with the motion, holds near the top."""
    if rng.random() < 0.1:
        return chance(env, rng)
    cosine, sine, speed = (float(k) for k in env.obs)
    if cosine > 0.8:
        return int(np.clip(4 - 2 * (10 * sine + 2 * speed), 0, 9))
    return 8 if speed >= 0 else 0


def climb(env, rng):
    return chance(env, rng) if rng.random() < 0.05 else (9 if env.obs[1] >= 0 else 0)


def along_the_cliff(env, rng):
    if rng.random() < 0.3:
        return chance(env, rng)
    row, column = divmod(int(env.obs), 12)
    return 2 if column == 11 else 1 if row < 3 else 0


def follow_ball(env, rng):
    g = env.env.env
    if rng.random() < 0.05:
        return chance(env, rng)
    target = g.ball_x + (1 if g.ball_dir in (1, 2) else -1)
    return 1 if target < g.pos else 3 if target > g.pos else 0


def hunt_gold(env, rng):
    """Asterix: steps out of the way of enemies, otherwise towards gold."""
    g = env.env.env
    if rng.random() < 0.1:
        return chance(env, rng)

    def risky(y):
        return any(e and e[1] == y and not e[3] and abs(e[0] - g.player_x) <= 2 for e in g.entities)

    if risky(g.player_y):
        for action, y in ((2, g.player_y - 1), (4, g.player_y + 1)):
            if 1 <= y <= 8 and not risky(y):
                return action
    gold = [e for e in g.entities if e and e[3]]
    if gold:
        e = min(gold, key=lambda k: abs(k[1] - g.player_y))
        step = 2 if e[1] < g.player_y else 4 if e[1] > g.player_y else 0
        if step and not risky(g.player_y + (-1 if step == 2 else 1)):
            return step
    return 0


def upwards(env, rng):
    return 2 if rng.random() < 0.8 else chance(env, rng)


def dive(env, rng):
    """Seaquest: collects divers, shoots, dodges, surfaces only with divers aboard."""
    g = env.env.env
    if rng.random() < 0.03:
        return chance(env, rng)
    enemies = g.e_fish + g.e_subs

    def safe(x, y):
        if y == 0 and g.diver_count <= 0:
            return False
        ahead = [(e[0], e[1]) for e in enemies] + [(e[0] + (1 if e[2] else -1), e[1]) for e in enemies]
        shots = [(b[0] + (k if b[2] else -k), b[1]) for b in g.e_bullets for k in (0, 1, 2)]
        return (x, y) not in ahead and (x, y) not in shots

    moves = {0: (0, 0), 5: (0, 0), 1: (-1, 0), 2: (0, -1), 3: (1, 0), 4: (0, 1)}
    places = {a: (min(9, max(0, g.sub_x + dx)), min(8, max(0, g.sub_y + dy))) for a, (dx, dy) in moves.items()}
    fine = [a for a, p in places.items() if safe(*p)]
    if not fine:
        return chance(env, rng)
    if g.diver_count >= 6 or (g.oxygen < 60 and g.diver_count > 0):
        goal = (g.sub_x, 0)
    elif g.sub_y == 0:
        goal = (g.sub_x, 4)
    elif g.divers:
        d = min(g.divers, key=lambda k: abs(k[0] - g.sub_x) + abs(k[1] - g.sub_y))
        goal = (d[0], d[1])
    else:
        goal = (5, 5)
    in_line = [e for e in enemies if e[1] == g.sub_y and (e[0] > g.sub_x) == g.sub_or]
    if 5 in fine and in_line and g.shot_timer == 0:
        return 5
    return min(fine, key=lambda a: abs(places[a][0] - goal[0]) + abs(places[a][1] - goal[1]) + 0.1 * rng.random())


def shoot(env, rng):
    """Space invaders: dodges bullets, stays under aliens, fires."""
    g = env.env.env
    if rng.random() < 0.05:
        return chance(env, rng)

    def hit(x):
        return any(g.e_bullet_map[y, x] for y in (7, 8, 9))

    if hit(g.pos):
        for action, x in ((1, g.pos - 1), (3, g.pos + 1)):
            if 0 <= x <= 9 and not hit(x):
                return action
    if g.shot_timer == 0 and g.alien_map[:, g.pos].any():
        return 5
    columns = np.flatnonzero(g.alien_map.any(axis=0))
    nearest = columns[np.argmin(abs(columns - g.pos))]
    step = 1 if nearest < g.pos else 3 if nearest > g.pos else 0
    x = g.pos + {1: -1, 3: 1, 0: 0}[step]
    return 0 if hit(x) else step


SKILL = dict(breakout=follow_ball, asterix=hunt_gold, freeway=upwards, seaquest=dive, space_invaders=shoot)


def row(packed, reward, flags):
    return packed + struct.pack("<fB", reward, flags)


def record(out, name, env, policy, seed, steps, max_steps=0, extra=""):
    rng = np.random.default_rng([seed, len(name)])
    out.write(f"run {name} seed={seed} max_steps={max_steps} extra={extra}\n")
    out.write(f"- {zlib.crc32(row(env.reset(seed), 0, RESET)):08x}\n")
    digits, crc, ended, ends, score = "", 0, False, 0, 0.0
    for i in range(steps):
        if ended:
            action, data, ended = 0, row(env.reset(), 0, RESET), False
        else:
            action = policy(env, rng)
            packed, reward, terminated, truncated = env.step(action)
            ended = terminated or truncated
            flags = TERMINATED * bool(terminated) | TRUNCATED * bool(truncated) | GAME_OVER * ended
            data = row(packed, reward, flags)
            ends, score = ends + ended, score + reward
        digits, crc = digits + str(action), zlib.crc32(data, crc)
        if len(digits) == 100 or i + 1 == steps:
            out.write(f"{digits} {crc:08x}\n")
            digits, crc = "", 0
    print(f"{name:24s} {policy.__name__:16s} seed {seed:<20d} {steps} steps, {ends} episodes, reward {score:g}",
          file=sys.stderr)


def classic(out, seeds, steps, only=None):
    plan = (
        ("cartpole", "CartPole-v1", (chance, balance), {}),
        ("acrobot", "Acrobot-v1", (chance, pump), {}),
        ("mountaincar", "MountainCar-v0", (chance, swing), {}),
        ("mountaincar_continuous", "MountainCarContinuous-v0", (chance, climb), {}),
        ("pendulum", "Pendulum-v1", (chance, swing_up), {}),
        ("cliffwalking", "CliffWalking-v1", (chance, along_the_cliff), dict(discrete=True)),
        ("CliffWalkingSlippery-v1", "CliffWalkingSlippery-v1", (along_the_cliff,), dict(discrete=True)),
        ("CartPole-v0", "CartPole-v0", (balance,), {}),
    )
    for name, gym_id, policies, kwargs in plan:
        if only and name != only:
            continue
        for seed in seeds:
            for policy in policies:
                record(out, name, Gymnasium(gym_id, **kwargs), policy, seed, steps)


def minatar(out, game, seeds, steps):
    name, skill = f"minatar/{game}", SKILL[game]
    for seed in seeds:
        for policy in (chance, skill):
            record(out, name, MinAtar(game), policy, seed, steps)
    seed = seeds[0]
    title = game.title().replace("_", "")
    record(out, f"MinAtar/{title}-v1", MinAtar(game, minimal=True), chance, seed, steps // 4)
    record(out, f"MinAtar/{title}-v0", MinAtar(game), chance, seed, steps // 4)
    plain = dict(sticky_action_prob=0.0, difficulty_ramping=False)
    record(out, name, MinAtar(game, max_steps=150, **plain), skill, seed, steps // 4, 150, "sticky=0,ramping=0")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--live", type=int, help="a first seed: record all into --out")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--out")
    args = parser.parse_args()
    import warnings

    warnings.simplefilter("ignore")
    if args.live is not None:
        with open(args.out, "w") as out:
            seeds = (args.live, args.live + 1)
            classic(out, seeds, args.steps)
            for game in MINATAR:
                minatar(out, game, seeds, args.steps)
        return
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "envs")
    os.makedirs(folder, exist_ok=True)
    seeds = (0, 1, 2**31 - 1)
    for name in ("cartpole", "acrobot", "mountaincar", "mountaincar_continuous", "pendulum", "cliffwalking"):
        with open(os.path.join(folder, name + ".txt"), "w") as out:
            # NumPy's generator takes seeds of any length: one that needs two words too.
            classic(out, seeds + (2**40 + 3,), 3000, name)
    with open(os.path.join(folder, "classic_ids.txt"), "w") as out:
        for name in ("CliffWalkingSlippery-v1", "CartPole-v0"):
            classic(out, seeds, 2000, name)
    for game in MINATAR:
        with open(os.path.join(folder, f"minatar_{game}.txt"), "w") as out:
            minatar(out, game, seeds, 4000)


if __name__ == "__main__":
    main()
