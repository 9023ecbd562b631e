"""Plays ROM files in ALE and writes what comes out, for test_atari_lockstep to compare with.

    python ale_trace.py ROM FRAMES SEED [ROM FRAMES SEED ...] > trace

For each ROM a header "<iii" (screen height, width, number of records); then a record for loadROM
and one per frame: action (255: the game was reset instead), 128 bytes of RAM, the screen.
"""
import random
import struct
import sys

import ale_py


def trace(out, path, frames, seed):
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 1)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(path)
    height, width = ale.getScreenDims()
    out.write(struct.pack("<iii", height, width, frames + 1))
    actions = random.Random(seed)
    action = 0

    def record(label):
        out.write(bytes([label]))
        out.write(ale.getRAM().tobytes())
        out.write(ale.getScreen().tobytes())

    record(255)
    for _ in range(frames):
        if ale.game_over():
            ale.reset_game()
            record(255)
            continue
        if actions.random() < 0.3:
            action = actions.randrange(18)
        ale.act(action)
        record(action)


def main():
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    jobs = sys.argv[1:]
    for i in range(0, len(jobs), 3):
        trace(sys.stdout.buffer, jobs[i], int(jobs[i + 1]), int(jobs[i + 2]))


if __name__ == "__main__":
    main()
