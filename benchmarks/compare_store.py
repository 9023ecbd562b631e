#!/usr/bin/env python3
"""Experience over a network store, ours (Redis) and Reverb's, alternately in one run.

    python3 benchmarks/compare_store.py [--python PYTHON] [--out benchmarks/results/apex_store.json]

Needs build/volley, redis-server, and dm-reverb with its TensorFlow in a Python of its own (pip install 'dm-reverb[tensorflow]==0.14.0'),
which --python names. Server and clients are processes of their own and share the machine on both sides.

small: transitions of 4 floats, an action, a reward, each an item. frames: every step appends an 84 x 84 picture (the pictures of
bench_store.c) and makes an item of the last five, each frame sent once.

insert/KIND/W  W writers on both sides, ours threads, theirs processes with a trajectory writer that stays open and flushes every 256
               items, as our blocks do; tried with chunks of one step, of 32, and as Reverb tunes them itself.
sample/KIND    batches of 512 by priority, then 512 new priorities, every frame fetched; cached/KIND is ours from the learner's cache of
               blocks, beside the same figure of Reverb's. Reverb's sampler stays open: its client's, and its TrajectoryDataset, which
               batches in C++; with 1 and 4 workers.

Each is measured at its best, which the file names.
"""
import os
import subprocess
import sys

import measured

HERE = os.path.dirname(os.path.abspath(__file__))
ITEMS = {"small": 200_000, "frames": 20_000}
FLUSH = 256

SERVER = """
import sys, reverb
table = reverb.Table("t", reverb.selectors.Prioritized(0.6), reverb.selectors.Fifo(), int(sys.argv[1]), reverb.rate_limiters.MinSize(1))
server = reverb.Server(tables=[table])
print("port", server.port, flush=True)
sys.stdin.read()
server.stop()
"""

WRITER = """
import numpy as np
import reverb
sys.path.insert(0, ARGS[0])
from compare_store import FLUSH, episode
kind, chunk, lane = ARGS[2], ARGS[3], int(ARGS[4])
steps, window = episode(np, kind, lane)
key = "obs" if kind == "small" else "frame"
writer = reverb.Client("localhost:" + ARGS[1]).trajectory_writer(num_keep_alive_refs=window + 32)
if chunk != "auto":
    for name in steps[0]:
        writer.configure((name,), num_keep_alive_refs=window + 32, max_chunk_length=int(chunk))
written = 0
def work():
    global written
    for i, step in enumerate(steps):
        writer.append(step)
        if written + i + 1 >= window:
            part = {key: writer.history[key][-window:], "action": writer.history["action"][-1:], "reward": writer.history["reward"][-1:]}
            writer.create_item("t", priority=1.0 + i % 7, trajectory=part)
    written += len(steps)
    writer.flush(FLUSH)
    return len(steps)
"""

CLIENT_SAMPLER = """
import reverb
client = reverb.Client("localhost:" + ARGS[1])
stream = iter(client.sample("t", num_samples=10**12, emit_timesteps=False))
def work():
    keys = [int(next(stream).info.key) for _ in range(512)]
    client.mutate_priorities("t", updates={key: 1.0 + key % 7 for key in keys})
    return 512
"""

DATASET_SAMPLER = """
import reverb
import tensorflow as tf
client = reverb.Client("localhost:" + ARGS[1])
window = 1 if ARGS[2] == "small" else 5
first = ("obs", tf.float32, (window, 4)) if ARGS[2] == "small" else ("frame", tf.uint8, (window, 84, 84))
types = {first[0]: first[1], "action": tf.int32, "reward": tf.float32}
shapes = {first[0]: tf.TensorShape(first[2]), "action": tf.TensorShape((1,)), "reward": tf.TensorShape((1,))}
data = reverb.TrajectoryDataset("localhost:" + ARGS[1], "t", types, shapes, max_in_flight_samples_per_worker=1024,
                                num_workers_per_iterator=int(ARGS[3])).batch(512, drop_remainder=True)
stream = iter(data)
def work():
    batch = next(stream)
    keys = batch.info.key.numpy()
    client.mutate_priorities("t", updates={int(key): 1.0 + int(key) % 7 for key in keys})
    return 512
"""


def picture(np, t, lane):
    y, x = np.mgrid[0:84, 0:84]
    block = (y >= 18) & (y < 42) & ((x // 6 * 7 + y // 4 * 13 + t // 16) % 5 < 3)
    frame = np.where(block, 60 + y // 4 * 10, y // 12 % 7 * 20).astype(np.uint8)
    paddle, bx, by = t * 3 % 76, t * 5 % 82, t * 7 % 82
    frame[76:78, paddle:paddle + 8] = 200
    frame[by:by + 2, bx:bx + 2] = 236
    flat = frame.reshape(-1)
    for i in range(40):
        h = (t * 2654435761 ^ (lane * 40503 + i * 2246822519)) & 0xffffffff
        flat[(h ^ h >> 15) % 7056] = h >> 8 & 255
    return frame


def episode(np, kind, lane):
    """256 steps that a writer appends again and again, and how many of them an item holds."""
    rng = np.random.default_rng(lane)
    same = lambda t: {"action": np.int32(t % 4), "reward": np.float32(1)}
    if kind == "small":
        return [{"obs": rng.random(4, dtype=np.float32), **same(t)} for t in range(256)], 1
    return [{"frame": picture(np, t, lane), **same(t)} for t in range(256)], 5


class Reverb:
    """A server and its clients; a sample is their rates together. Sampling begins with a full table."""

    def __init__(self, python, kind, code, words, clients, seconds, fill):
        self.server = subprocess.Popen([python, "-c", SERVER, str(ITEMS[kind])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        line = next((line for line in self.server.stdout if line.startswith("port ")), None)
        if not line:
            raise RuntimeError("Reverb's server did not start")
        self.clients, port = [], line.split()[1]
        child = lambda *a, **k: measured.Child(*a, python=python, environment={"TF_CPP_MIN_LOG_LEVEL": "3"}, **k)
        try:
            if fill:
                filler = child(WRITER, HERE, port, kind, "32", 0, seconds=2)
                filler()
                filler.close()
            self.clients = [child(code, HERE, port, kind, *words, lane, seconds=seconds) for lane in range(clients)]
        except Exception:
            self.close()
            raise

    def __call__(self):
        for one in self.clients:
            one.begin()
        return sum(one.answer() for one in self.clients)

    def close(self):
        for one in self.clients:
            one.close()
        self.server.stdin.close()
        self.server.terminate()
        self.server.wait()


def inserting(o, kind, writers):
    one = lambda chunk: lambda: Reverb(o.python, kind, WRITER, [chunk], writers, o.seconds, False)
    return lambda: measured.Best({f"chunks of {chunk}": one(chunk) for chunk in ("1", "32", "auto")})


def sampling(o, kind):
    one = lambda code, *words: lambda: Reverb(o.python, kind, code, words, 1, o.seconds, True)
    return lambda: measured.Best({"client": one(CLIENT_SAMPLER), "dataset, 1 worker": one(DATASET_SAMPLER, 1), "dataset, 4 workers": one(DATASET_SAMPLER, 4)})


def main():
    def more(parser):
        parser.add_argument("--python", default=os.path.join(measured.ROOT, "build", "peers-reverb", "bin", "python"), help="an interpreter that has reverb")

    o = measured.options(__doc__, "apex_store.json", seconds=1, more=more)
    has = subprocess.run([o.python, "-c", "import reverb, importlib.metadata as m; print(m.version('dm-reverb'))"], capture_output=True, text=True)
    if has.returncode:
        print("SKIPPED: no Reverb in " + o.python, file=sys.stderr)
        return 77
    c = measured.Comparison(o, dm_reverb=has.stdout.split()[-1])
    for kind in ("small", "frames"):
        for writers in (1, 2, 4):
            name = f"insert/{kind}/{writers}"
            c.case(name, "transitions/s", {"volley": measured.suite("store", "store/" + name, o.seconds), "reverb": inserting(o, kind, writers)})
        own = {what: measured.suite("store", f"store/{what}/{kind}", o.seconds) for what in ("sample", "cached")}
        c.case(f"sample/{kind}", "transitions/s", {**own, "reverb": sampling(o, kind)}, own=2)
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
