#!/usr/bin/env python3
"""kill -9, SIGSTOP, cut connections and garbage for the remote actors of runs; every run has to reach its target.

    python3 tests/fleet/remote_faults.py --program build/volley --faults 200 --out benchmarks/results/remote_faults.json

Actors are started again when they have died, as a supervisor does. A forwarder stands between them and the learner, so that
connections can be cut. Checked, or the script fails:
  - each run ends with exit 0: the mean return of its target
  - the learner has as many open descriptors after the faults as before, and stays below a stated limit of memory
  - what is no actor is refused, and counted
"""
import argparse, json, os, random, re, select, shutil, signal, socket, subprocess, sys, tempfile, threading, time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
import measured

TARGETS = [("ppo", ["--algo", "ppo"]), ("impala", ["--algo", "impala"])]
FAULTS = ["kill", "stop", "cut", "garbage"]
ACTORS, ENVS = 3, 4


class Forwarder(threading.Thread):
    """A TCP relay whose connections can be cut."""

    def __init__(self, to):
        super().__init__(daemon=True)
        self.to, self.pairs, self.lock = to, [], threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            for end in (near, far):  # before it can be cut
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
        except OSError:
            pass
        self.end(a, b)

    def end(self, a, b):
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.lock:
            gone = [p for p in self.pairs if a in p]
            self.pairs = [p for p in self.pairs if a not in p]
        for pair in gone:
            for s in pair:
                s.close()

    def cut(self, dice):
        with self.lock:
            pair = dice.choice(self.pairs) if self.pairs else None
        if pair:
            self.end(*pair)
        return pair is not None


class Run:
    def __init__(self, o, folder, number, faults):
        self.o, self.number, self.faults_left = o, number, faults
        self.name, self.args = TARGETS[number % len(TARGETS)]
        self.out = os.path.join(folder, f"run{number}")
        self.log = open(os.path.join(folder, f"log{number}"), "w+")
        self.answer = open(os.path.join(folder, f"answer{number}"), "w+")
        self.token = os.path.join(folder, "token")
        self.actors, self.stopped, self.counts, self.peak = [None] * ACTORS, [], {}, 0
        self.base = None
        self.garbage = 0

    def start(self):
        self.learner = subprocess.Popen(
            [self.o.program, "train", "cartpole", *self.args, "--seed", str(self.number + 1), "--envs", str(ACTORS * ENVS), "--until-return",
             str(self.o.until), "--steps", "20M", "--out", self.out, "--listen", "127.0.0.1:0", "--token-file", self.token,
             "--remote.deadline_s", str(self.o.deadline), "--metrics.every_s", "0.2", "--json"], stdout=self.answer, stderr=self.log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.learner.poll() is None:
            self.log.seek(0)
            found = re.search(r"volley actor tcp://127\.0\.0\.1:(\d+)", self.log.read())
            if found:
                self.port = int(found.group(1))
                self.forwarder = Forwarder(self.port)
                return
            time.sleep(0.05)
        raise AssertionError("the learner does not listen")

    def keep_actors(self):
        for i, p in enumerate(self.actors):
            if p is None or p.poll() is not None:
                self.actors[i] = subprocess.Popen([self.o.program, "actor", f"tcp://127.0.0.1:{self.forwarder.port}", "--token-file", self.token,
                                                   "--envs", str(ENVS), "--workers", "1", "--quiet"], stdout=self.log, stderr=self.log)

    def descriptors(self):
        try:
            return len(os.listdir(f"/proc/{self.learner.pid}/fd"))
        except OSError:
            return 0

    def resident(self):
        try:
            with open(f"/proc/{self.learner.pid}/status") as f:
                return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024
        except (OSError, AttributeError):
            return 0

    def state(self):
        try:
            with open(os.path.join(self.out, "actors.json")) as f:
                return json.load(f)
        except (OSError, ValueError):
            return {}

    def inject(self):
        how = FAULTS[self.o.dealt % len(FAULTS)] if self.o.dealt < 2 * len(FAULTS) else self.o.dice.choice(FAULTS)
        p = self.o.dice.choice(self.actors)
        if how == "kill":
            p.kill()
        elif how == "stop":
            if any(s[0] is p for s in self.stopped):
                return
            p.send_signal(signal.SIGSTOP)
            self.stopped.append((p, time.monotonic() + self.o.dice.uniform(0.05, 3 * self.o.deadline)))
        elif how == "cut":
            if not self.forwarder.cut(self.o.dice):
                return
        else:
            self.send_garbage()
        self.counts[how] = self.counts.get(how, 0) + 1
        self.faults_left -= 1
        self.o.dealt += 1

    def send_garbage(self):
        bytes_ = self.o.dice.randbytes(self.o.dice.randint(1, 4096))
        if self.o.dice.random() < 0.5:  # behind a head that is right
            bytes_ = b"VLYR\x01\x00\x01\x00\xd0\x00\x00\x00" + bytes_
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                s.sendall(bytes_)
                select.select([s], [], [], 0.2)
        except OSError:
            pass
        self.garbage += 1

    def wake(self, all_=False):
        for p, when in list(self.stopped):
            if all_ or time.monotonic() > when:
                self.stopped.remove((p, when))
                if p.poll() is None:
                    p.send_signal(signal.SIGCONT)

    def follow(self):
        """Faults while it trains; descriptors are compared when all actors are connected."""
        started = time.monotonic()
        next_fault = started + 1.0
        while self.learner.poll() is None:
            assert time.monotonic() - started < self.o.patience, f"run {self.number}: no end after {self.o.patience} s: {self.state()}"
            self.keep_actors()
            self.wake()
            self.peak = max(self.peak, self.resident())
            whole = self.state().get("connected") == ACTORS and not self.stopped
            if whole and self.base is None:
                self.base = self.descriptors()
            if self.base is not None and self.faults_left > 0 and time.monotonic() > next_fault:
                self.inject()
                next_fault = time.monotonic() + self.o.dice.uniform(0.05, self.o.pause)
            time.sleep(0.02)

    def finish(self):
        self.wake(True)
        self.answer.seek(0)
        lines = self.answer.read().strip().splitlines()
        result = json.loads(lines[-1]) if lines else {}
        self.log.seek(0)
        assert self.learner.returncode == 0 and result.get("stop") == "target", f"exit {self.learner.returncode}: {result}\n{self.log.read()[-3000:]}"
        assert self.peak < self.o.limit, f"{self.peak} bytes of memory"
        for p in self.actors:
            if p and p.poll() is None:
                p.kill()
            p and p.wait()
        self.forwarder.server.close()
        return result


def check_descriptors(o, folder):
    """One learner that does not end by itself: the same descriptors before and after a series of faults."""
    keep = o.until
    o.until = 1e6  # never
    run = Run(o, folder, 1000, 0)
    run.start()
    o.until = keep
    deadline = time.monotonic() + o.patience

    def settle():
        while time.monotonic() < deadline:
            run.keep_actors()
            run.wake()
            if run.state().get("connected") == ACTORS and run.state().get("environments") == ACTORS * ENVS and not run.stopped:
                time.sleep(0.5)
                return run.descriptors()
            time.sleep(0.05)
        raise AssertionError(f"the actors did not come back: {run.state()}")

    before, memory = settle(), run.resident()
    while sum(run.counts.values()) < o.series:  # an actor that is stopped already is not stopped again: no fault
        run.inject()
        run.wake()
        run.keep_actors()
        time.sleep(o.dice.uniform(0.02, o.pause))
    after, memory_after = settle(), run.resident()
    run.learner.send_signal(signal.SIGTERM)
    assert run.learner.wait(60) == 143, run.learner.returncode
    for p in run.actors:
        p.kill()
        p.wait()
    run.forwarder.server.close()
    assert after == before, f"{before} descriptors before {o.series} faults, {after} after"
    return {"faults": sum(run.counts.values()), "kinds": run.counts, "descriptors_before": before, "descriptors_after": after,
            "memory_before": memory, "memory_after": memory_after}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("--faults", type=int, default=8)
    p.add_argument("--per-run", type=int, default=4)
    p.add_argument("--series", type=int, default=8, help="faults of the run whose descriptors are compared")
    p.add_argument("--until", type=float, default=475)
    p.add_argument("--deadline", type=float, default=0.5)
    p.add_argument("--pause", type=float, default=0.4, help="seconds between faults, at most")
    p.add_argument("--patience", type=float, default=240)
    p.add_argument("--process-limit", dest="limit", type=float, default=256 << 20)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--out")
    o = p.parse_args()
    o.program, o.dice, o.dealt = os.path.abspath(o.program), random.Random(o.seed), 0
    record = measured.Record(o.out, program=o.program, timed=False)
    folder = tempfile.mkdtemp(prefix="volley-remote-faults-")
    with open(os.path.join(folder, "token"), "w") as f:
        f.write("a-token-of-the-fault-test\n")
    results, left, number, counts = [], o.faults, 0, {}
    series = check_descriptors(o, folder)
    print(f"{series['faults']} faults in a row: {series['descriptors_before']} descriptors before, {series['descriptors_after']} after")
    while left > 0:
        run = Run(o, folder, number, min(o.per_run, left))
        run.start()
        run.follow()
        result = run.finish()
        done = sum(run.counts.values())
        left -= max(done, 1) if done else 1
        for k, v in run.counts.items():
            counts[k] = counts.get(k, 0) + v
        results.append({"algo": run.name, "faults": run.counts, "steps": result["steps"], "wall_s": result["wall_s"], "peak_bytes": run.peak})
        print(f"run {number} {run.name}: {run.counts}, target after {result['steps']} steps, {result['wall_s']:.1f} s")
        number += 1
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{sum(counts.values())} faults in {len(results)} runs ({counts}), all reached {o.until}")
    if o.out:
        record.write({"faults": sum(counts.values()) + sum(series["kinds"].values()), "kinds": counts, "series": series, "runs": results})


if __name__ == "__main__":
    main()
