#!/usr/bin/env python3
"""Raw frames per second of the 2600 on one core by the wall clock, ours and ALE's, game by game, alternately in one run.

    python3 benchmarks/compare_atari.py [--games pong,breakout | all] [--out benchmarks/results/atari_speed.json]

Needs build/volley and ale-py, whose ROMs are used. Everybody plays random actions of the full set without sticky actions, one frame an
action; a game's end resets it.

    drawn     ours, every frame is drawn into the palette screen: what ALE does in act(), which cannot leave it out
    undrawn   ours, nothing is drawn, collisions are found all the same: what Volley does with the frames that a step skips
    ale       act(), drawn into ALE's screen, which nobody reads
    ale_read  act() and a copy of the screen in grey, getScreenGrayscale()
"""
import math
import os
import sys

import measured

ALE = """
import os, random
import ale_py
import numpy as np
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
rng = random.Random(1)
ale = ale_py.ALEInterface()
ale.setFloat("repeat_action_probability", 0.0)
ale.loadROM(os.path.join(os.path.dirname(ale_py.__file__), "roms", ARGS[0] + ".bin"))
read = ARGS[1] == "read"
screen = np.empty(ale.getScreenDims(), np.uint8)
def work():
    for _ in range(50):
        ale.act(rng.randrange(18))
        if read: ale.getScreenGrayscale(screen)
        if ale.game_over(): ale.reset_game()
    return 50
"""
EIGHT = "pong,breakout,space_invaders,seaquest,ms_pacman,qbert,beam_rider,tetris"


def listed_games(text):
    if text != "all":
        return text.split(",")
    with open(os.path.join(measured.ROOT, "tests", "atari", "games.txt")) as f:
        return f.read().split()


def ours(game, what, seconds, roms, cores=1):
    return measured.suite("envs", f"{game}/{what}", seconds, cores, arguments=["--env", game], environment={"VOLLEY_ROMS": roms})


def geometric_means(rows):
    means = {}
    for key in {k for r in rows for k in r if k.startswith("ratio_")}:
        ratios = [r[key]["median"] for r in rows if key in r]
        means[key] = {"games": len(ratios), "geometric_mean": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 3),
                      "least": round(min(ratios), 3), "most": round(max(ratios), 3)}
    return dict(sorted(means.items()))


def main():
    def more(parser):
        parser.add_argument("--games", default="all", help=f"all (default), or a list: {EIGHT}")

    o = measured.options(__doc__, "atari_speed.json", seconds=0.1, more=more)
    try:
        import ale_py
    except ImportError as error:
        print(f"SKIPPED: {error}", file=sys.stderr)
        return 77
    roms = os.path.join(os.path.dirname(ale_py.__file__), "roms")
    c = measured.Comparison(o, ale_py=ale_py.__version__)
    for game in listed_games(o.games):
        child = lambda what, g=game: lambda: measured.Child(ALE, g, what, seconds=o.seconds, cores=1)
        c.case(f"{game}/raw", "frames/s", {"drawn": ours(game, "drawn", o.seconds, roms), "undrawn": ours(game, "raw", o.seconds, roms),
                                           "ale": child("act"), "ale_read": child("read")}, own=2)
    return c.finish(over_games=geometric_means(c.cases))


if __name__ == "__main__":
    sys.exit(main())
