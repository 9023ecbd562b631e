"""Our 2600 beside ALE's, raw frames per second on one core, ROM by ROM, in alternation.

    python benchmarks/compare_atari.py build/atari_raw ROMS [--frames N] [--json FILE] [--games a,b]

For each game: ALE plays N frames of random actions (act only, resets outside the clock), then ours
does, and again; the best of each counts. Prints the ratio per game, the geometric mean, the slowest.
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import time

import measured

import ale_py


def ale_seconds(ale, frames, actions):
    spent, left = 0.0, frames
    while left > 0:
        begin = time.perf_counter()
        while left > 0 and not ale.game_over():
            ale.act(actions.randrange(18))
            left -= 1
        spent += time.perf_counter() - begin
        if ale.game_over():
            ale.reset_game()
    return spent


def ours(program, roms, game, frames):
    out = subprocess.run([program, roms, "--game", game, "--frames", str(frames), "--rounds", "2"],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)["frames_per_s"]


def compare(args, game):
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(f"{args.roms}/{game}.bin")
    actions = random.Random(1)
    theirs, our = 0.0, 0.0
    for _ in range(2):
        theirs = max(theirs, args.frames / ale_seconds(ale, args.frames, actions))
        our = max(our, ours(args.program, args.roms, game, args.frames))
    return {"name": f"{game}/raw", "ale": round(theirs), "volley": our, "ratio": round(our / theirs, 2)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("roms")
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--json")
    parser.add_argument("--games", default="")
    args = parser.parse_args()
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    listed = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "atari", "games.txt")
    games = args.games.split(",") if args.games else open(listed).read().split()
    rows = []
    for game in games:
        try:
            rows.append(compare(args, game))
            print("%(name)-24s %(ale)8.0f %(volley)8.0f %(ratio)6.2f" % rows[-1], flush=True)
        except (subprocess.CalledProcessError, RuntimeError, json.JSONDecodeError) as error:
            print(f"{game}: {error}", file=sys.stderr)
    mean = math.exp(sum(math.log(r["ratio"]) for r in rows) / len(rows))
    least = min(rows, key=lambda r: r["ratio"])
    slowest = min(rows, key=lambda r: r["volley"])
    print(f"{len(rows)} games, geometric mean {mean:.2f}; least {least['name']} {least['ratio']}; "
          f"slowest {slowest['name']} {slowest['volley']:.0f} frames/s")
    if args.json:
        with open(args.json, "w") as out:
            json.dump({**measured.facts(" ".join(["python"] + sys.argv)), "ale": ale_py.__version__,
                       "frames": args.frames, "geometric_mean_ratio": round(mean, 3), "results": rows}, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
