#!/usr/bin/env python3
"""Steps per second of runs whose environments are stepped by remote actors, against the same run with threads.

    python3 benchmarks/remote_actors.py [--steps 200k] [--actors 2] [--out benchmarks/results/remote_actors.json]

All processes share this machine's processors: what is compared is the cost of the way, not of the environments. A delay is the round
trip that is added to the way: by `tc netem` in a network namespace where the kernel has it (root), else by a relay that holds what
passes for half of it each way. The file says which. A row with a delay answers how many environments hide it.
"""
import asyncio
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time

import measured

# name, environment, algorithm, environments, address, round trip in milliseconds
CASES = [
    ("cartpole/ppo/unix", "cartpole", "ppo", 64, "unix", 0),
    ("cartpole/ppo/tcp", "cartpole", "ppo", 64, "tcp", 0),
    ("minatar/impala/unix", "minatar/breakout", "impala", 64, "unix", 0),
    ("minatar/impala/tcp", "minatar/breakout", "impala", 64, "tcp", 0),
    ("minatar/impala/1ms", "minatar/breakout", "impala", 64, "tcp", 1),
    ("minatar/impala/20ms/64", "minatar/breakout", "impala", 64, "tcp", 20),
    ("minatar/impala/20ms/256", "minatar/breakout", "impala", 256, "tcp", 20),
    ("minatar/impala/20ms/1024", "minatar/breakout", "impala", 1024, "tcp", 20),
]


# ---- the delay ----

def quiet(*words):
    return subprocess.run(words, capture_output=True).returncode == 0


class Namespace:
    """A namespace whose loopback delays every packet; the run and its actors are started inside."""

    def __init__(self, ms):
        self.name, self.ms = f"vly-remote-{os.getpid()}", ms

    def __enter__(self):
        inside = ["ip", "netns", "exec", self.name]
        good = quiet("ip", "netns", "add", self.name) and quiet(*inside, "ip", "link", "set", "lo", "up") and \
            quiet(*inside, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", f"{self.ms / 2}ms")
        if not good:
            self.__exit__()
        return inside if good else None

    def __exit__(self, *_):
        quiet("ip", "netns", "del", self.name)


async def hold(reader, writer, seconds):
    """Passes what comes on, each piece `seconds` later."""
    pieces = asyncio.Queue()

    async def passing():
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not data:
                break
            writer.write(data)
        writer.close()

    task = asyncio.ensure_future(passing())
    try:
        while data := await reader.read(1 << 20):
            pieces.put_nowait((time.monotonic() + seconds, data))
    except OSError:
        pass
    pieces.put_nowait((time.monotonic(), b""))
    await task


def relay(port, ms, told):
    async def serve(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return writer.close()
        await asyncio.gather(hold(reader, far_writer, ms / 2000), hold(far_reader, writer, ms / 2000), return_exceptions=True)

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        told.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


# ---- runs ----

def train_command(case, steps, out):
    _, env, algo, envs, _, _ = case
    return [measured.VOLLEY, "train", env, "--algo", algo, "--envs", str(envs), "--steps", steps, "--seed", "1", "--out", out, "--json",
            "--checkpoint.every_s", "1e6", "--no-metrics.tensorboard"]


def with_threads(case, steps):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(train_command(case, steps, os.path.join(folder, "run")), capture_output=True, text=True)
    return {"value": json.loads(done.stdout.splitlines()[-1])["steps_per_s"]}


def wait_for_port(path):
    for _ in range(600):
        with open(path) as f:
            found = re.search(r"volley actor tcp://[0-9.]+:(\d+)", f.read())
        if found:
            return int(found.group(1))
        time.sleep(0.05)
    raise RuntimeError("the learner does not listen")


def with_actors(case, steps, actors, inside=(), ms=0):
    """inside: a prefix that starts programs in a namespace. ms: of a relay; 0: none."""
    helper = None
    with tempfile.TemporaryDirectory() as folder:
        token, log, out = (os.path.join(folder, name) for name in ("token", "log", "run"))
        with open(token, "w") as f:
            f.write("a-token-of-the-benchmark\n")
        address = f"unix:{folder}/socket" if case[4] == "unix" else "127.0.0.1:0"
        with open(log, "w") as err:
            learner = subprocess.Popen([*inside, *train_command(case, steps, out), "--listen", address, "--token-file", token, "--remote.deadline_s", "60"],
                                       stdout=subprocess.PIPE, stderr=err, text=True)
        if case[4] == "tcp":
            port = wait_for_port(log)
            if ms:
                told = multiprocessing.Queue()
                helper = multiprocessing.Process(target=relay, args=(port, ms, told), daemon=True)
                helper.start()
                port = told.get(timeout=30)
            address = f"tcp://127.0.0.1:{port}"
        each = -(-case[3] // actors)
        workers = [subprocess.Popen([*inside, measured.VOLLEY, "actor", address, "--token-file", token, "--envs", str(each), "--quiet"]) for _ in range(actors)]
        answer = learner.communicate()[0]
        for w in workers:
            w.kill()
            w.wait()
        if helper:
            helper.terminate()
            helper.join()
        with open(os.path.join(out, "actors.json")) as f:
            stats = json.load(f)
    return {"value": json.loads(answer.splitlines()[-1])["steps_per_s"], "round_trip_p50_ms": stats["round_trip_p50_ms"],
            "round_trip_p99_ms": stats["round_trip_p99_ms"]}


def remote(case, o, delays):
    if not case[5]:
        return with_actors(case, o.steps, o.actors)
    with Namespace(case[5]) as inside:
        delays[case[0]] = "tc netem" if inside else "relay"
        return with_actors(case, o.steps, o.actors, inside or (), 0 if inside else case[5])


def main():
    def more(parser):
        parser.add_argument("--steps", default="200k")
        parser.add_argument("--actors", type=int, default=2, help="processes (default 2)")

    o = measured.options(__doc__, "remote_actors.json", more=more)
    with Namespace(1) as inside:
        way = "tc netem" if inside else "a relay: this kernel has no netem"
    c, delays = measured.Comparison(o, delay=way), {}
    for case in CASES:
        c.case(case[0], "steps/s", {"remote": lambda case=case: lambda: remote(case, o, delays), "threads": lambda case=case: lambda: with_threads(case, o.steps)},
               steps=o.steps, envs=case[3], actors=o.actors, round_trip_ms=case[5])
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
