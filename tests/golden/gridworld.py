#!/usr/bin/env python3
"""GridWorld written from its definition (the opening of envs/gridworld.h), independently of the C code.

    python3 tests/golden/gridworld.py               # rewrites tests/golden/envs/gridworld.txt; needs numpy

The file's format is described in tests/golden/envs.py.
"""
import os
import struct
from collections import deque

import numpy as np

from envs import chance, record

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left: (rows, columns)


def built_in(size):
    """Start top left, goal top right, a wall in the middle column down to one cell above the lower edge."""
    rows = [["."] * size for _ in range(size)]
    if size > 2:
        for row in range(size - 1):
            rows[row][size // 2] = "#"
    rows[0][0], rows[0][size - 1] = "S", "G"
    return rows


class GridWorld:
    actions = 4

    def __init__(self, size=5, map=None, slip=0.0, cost=0.01, max_steps=0):
        self.maze = [list(line) for line in map.split("/")] if map else built_in(size)
        self.height, self.width = len(self.maze), len(self.maze[0])
        self.slip, self.cost = slip, cost
        self.max_steps = max_steps or 4 * self.height * self.width
        cells = [(r, c) for r in range(self.height) for c in range(self.width)]
        self.start = next(cell for cell in cells if self.maze[cell[0]][cell[1]] == "S")

    def target(self, cell, action):
        row, column = cell[0] + MOVES[action][0], cell[1] + MOVES[action][1]
        inside = 0 <= row < self.height and 0 <= column < self.width
        return (row, column) if inside and self.maze[row][column] != "#" else cell

    def pack(self):
        return struct.pack("<i", self.at[0] * self.width + self.at[1])

    def reset(self, seed=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.at, self.steps = self.start, 0
        return self.pack()

    def step(self, action):
        if self.slip > 0:
            u = self.rng.random()
            if u < self.slip / 2:
                action = (action - 1) % 4
            elif u < self.slip:
                action = (action + 1) % 4
        self.at = self.target(self.at, action)
        self.steps += 1
        what = self.maze[self.at[0]][self.at[1]]
        reward = {"G": 1.0, "P": -1.0}.get(what, -float(self.cost))
        return self.pack(), reward, what in "GP", self.steps >= self.max_steps


def to_the_goal(env, rng):
    """The first move of a shortest way that enters no pit; now and then any move."""
    if rng.random() < 0.2:
        return chance(env, rng)
    ways, seen = deque([(env.at, None)]), {env.at}
    while ways:
        cell, first = ways.popleft()
        if env.maze[cell[0]][cell[1]] == "G":
            return first
        for action in range(4):
            to = env.target(cell, action)
            if to not in seen and env.maze[to[0]][to[1]] != "P":
                seen.add(to)
                ways.append((to, action if first is None else first))
    return 0


WORLDS = (
    dict(),
    dict(size=2),
    dict(size=9, slip=0.2),
    dict(size=32, slip=0.05, cost=0),
    dict(map="S.#.P/..#.G/P....", slip=0.1, cost=0.05),
    dict(map="P...P/.###./S#G../.#.P./.....", cost=0.25, max_steps=30),
    dict(map="GS"),
)


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "envs", "gridworld.txt")
    with open(path, "w") as out:
        for options in WORLDS:
            extra = ",".join(f"{key}={value}" for key, value in options.items() if key != "max_steps")
            for seed in (0, 2**40 + 3):
                for policy in (chance, to_the_goal):
                    record(out, "gridworld", GridWorld(**options), policy, seed, 1000,
                           options.get("max_steps", 0), extra)


if __name__ == "__main__":
    main()
