#!/usr/bin/env python3
"""kill -9 and SIGSTOP of actors, learner and Redis while runs train; every run has to reach its target.

    python3 tests/fleet/faults.py --program build/volley --faults 200 --out benchmarks/results/faults.json

A supervisor (this script, elsewhere systemd, Slurm or Kubernetes) restarts what has died: Redis on its append-only file,
the learner with `volley resume`, actors as they were. Checked, or the script fails:
  - each run ends with exit 0: the mean return of its target
  - no acknowledged checkpoint is lost: the newest one seen before a learner's death is complete after it, and the next
    learner starts from it or a newer one
  - memory: Redis and the processes stay below the stated limits
  - experience: what the learner finds missing (sequence numbers) is within queue + one push per actor, for each death of Redis
"""
import argparse, glob, json, os, random, re, shutil, signal, subprocess, sys, tempfile, time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
import measured

TARGETS = [  # name, options, limit of the queue in the store
    ("impala", ["--algo", "impala"], 4),
    ("a3c", ["--algo", "a3c", "--steps", "3M"], 64),
    ("gorila", ["--algo", "gorila", "--dist.update", "async", "--steps", "1M"], 64),
]
FIRST_FAULTS = [(who, how) for how in ("KILL", "STOP") for who in ("learner", "actor", "redis")]  # each kind once, then by chance
REDIS_LIMIT, PROCESS_LIMIT = 64 << 20, 256 << 20  # bytes


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def resident(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024
    except (OSError, AttributeError):
        return 0


def steps_of(path):
    return int(re.search(r"step-(\d+)", path).group(1))


class Run:
    def __init__(self, o, folder, number, faults_left):
        self.o, self.number, self.faults_left = o, number, faults_left
        self.name, self.args, self.queue = TARGETS[number % len(TARGETS)]
        self.base = os.path.join(folder, f"{number}")
        os.makedirs(self.base)
        self.port, self.out = free_port(), os.path.join(self.base, f"run{number}")
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.counts, self.deaths = {}, {"actor": 0, "learner": 0, "redis": 0}
        self.lost = self.lost_steps = self.redone_steps = self.checkpoints_checked = 0
        self.peak = {"redis": 0, "learner": 0, "actor": 0}
        self.seen = self.begun_at = -1
        self.stopped, self.log = [], open(os.path.join(self.base, "log"), "a")
        self.redis = self.learner = None
        self.actors = [None] * o.actors

    # ---- processes

    def start_redis(self):
        self.redis = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.base, "--save", "", "--appendonly", "yes",
             "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"], stdout=self.log, stderr=self.log)

    def start_learner(self):
        if glob.glob(self.out + "/checkpoints/step-*.safetensors"):
            command = [self.o.program, "resume", self.out]
        else:  # no checkpoint was acknowledged: from the start
            shutil.rmtree(self.out, ignore_errors=True)
            command = [self.o.program, "train", "cartpole", *self.args, "--role", "learner", "--store", self.url, "--seed", str(self.number + 1),
                       "--until-return", str(self.o.until), "--out", self.out, "--checkpoint.every_s", "0.2", "--metrics.every_s", "0.2",
                       "--dist.ttl_s", "1"]
        self.answer = open(os.path.join(self.base, "answer"), "w+")
        self.learner = subprocess.Popen([*command, "--json"], stdout=self.answer, stderr=self.log)

    def start_actor(self, i):
        self.actors[i] = subprocess.Popen([self.o.program, "actor", "--run", os.path.basename(self.out), "--quiet"], stdout=self.log, stderr=self.log,
                                          env=dict(os.environ, VOLLEY_STORE=self.url))

    # ---- what is checked

    def newest(self):
        files = glob.glob(self.out + "/checkpoints/step-*.safetensors")
        return max(files, key=steps_of) if files else None

    def records(self):
        rows = []
        try:
            with open(self.out + "/metrics.jsonl") as f:
                for line in f:
                    try:
                        rows.append(json.loads(line))
                    except ValueError:
                        pass  # an incomplete last line
        except OSError:
            pass
        return rows

    def learner_died(self):
        """Reads the last metrics and checks that the newest acknowledged checkpoint is still complete."""
        rows = self.records()
        self.add_losses(rows)
        path = self.newest()
        if self.seen < 0:
            return
        assert path and steps_of(path) >= self.seen, f"checkpoint at {self.seen} steps is lost: newest is {path}"
        whole = subprocess.run([self.o.program, "inspect", path, "--json"], capture_output=True, timeout=120)
        assert whole.returncode == 0, f"{path}: {whole.stderr.decode()}"
        self.checkpoints_checked += 1
        if rows:
            self.redone_steps += max(0, rows[-1]["step"] - steps_of(path))

    def add_losses(self, rows):
        if rows:
            self.lost += int(rows[-1].get("dist/lost", 0))
            self.lost_steps += int(rows[-1].get("dist/lost_steps", 0))

    def look(self):
        path = self.newest()
        if path:
            self.seen = max(self.seen, steps_of(path))
        for name, processes in (("redis", [self.redis]), ("learner", [self.learner]), ("actor", self.actors)):
            for p in processes:
                if p and p.poll() is None:
                    self.peak[name] = max(self.peak[name], resident(p.pid))

    # ---- faults

    def inject(self):
        if not self.o.deck:
            self.o.deck = FIRST_FAULTS * 2 + [("actor", "KILL")] * 3
            self.o.dice.shuffle(self.o.deck)
        who, how = self.o.deck[0]
        p = self.redis if who == "redis" else self.learner if who == "learner" else self.o.dice.choice(self.actors)
        if not p or p.poll() is not None or any(s[0] is p for s in self.stopped):
            return
        self.o.deck.pop(0)
        self.look()
        if how == "KILL":
            p.kill()
        else:
            p.send_signal(signal.SIGSTOP)
            self.stopped.append((p, time.monotonic() + self.o.dice.uniform(0.1, 2.5)))
        self.counts[f"{how.lower()} {who}"] = self.counts.get(f"{how.lower()} {who}", 0) + 1
        self.faults_left -= 1

    def mend(self):
        now = time.monotonic()
        for p, until in list(self.stopped):
            if now >= until or p.poll() is not None:
                self.stopped.remove((p, until))
                if p.poll() is None:
                    p.send_signal(signal.SIGCONT)
        if self.redis.poll() is not None:
            self.deaths["redis"] += 1
            self.start_redis()
        for i, p in enumerate(self.actors):
            if p.poll() is not None:
                self.deaths["actor"] += 1
                self.start_actor(i)
        code = self.learner.poll()
        if code is not None and code != 0:
            assert code in (-9, 1), f"the learner ended with {code}"
            self.deaths["learner"] += 1
            self.learner_died()
            self.start_learner()
        return code == 0

    # ---- a run

    def go(self):
        self.start_redis()
        self.start_learner()
        for i in range(len(self.actors)):
            self.start_actor(i)
        begun, next_fault, done = time.monotonic(), time.monotonic() + 0.3, False
        budget = self.o.fault_share
        while not done:
            time.sleep(0.02)
            self.look()
            done = self.mend()
            if not done and self.faults_left > 0 and budget > 0 and time.monotonic() >= next_fault:
                before = self.faults_left
                self.inject()
                budget -= before - self.faults_left
                next_fault = time.monotonic() + self.o.dice.uniform(*self.o.interval)
            assert time.monotonic() - begun < self.o.limit, f"run {self.number} ({self.name}) is not at its target after {self.o.limit} s"
        self.answer.seek(0)
        result = json.loads(self.answer.read().strip().splitlines()[-1])
        assert result["stop"] == "target" and result["return_mean_100"] >= self.o.until, result
        self.add_losses(self.records())
        bound = self.deaths["redis"] * (self.queue + len(self.actors)) + self.deaths["actor"] + self.deaths["learner"] * (self.queue + len(self.actors))
        assert self.lost <= bound, f"{self.lost} pushes are lost, at most {bound} may be"
        assert self.peak["redis"] < REDIS_LIMIT and max(self.peak["learner"], self.peak["actor"]) < self.o.process_limit, self.peak
        return {"algo": self.name, "faults": sum(self.counts.values()), "by_kind": self.counts, "deaths": self.deaths, "steps": result["steps"],
                "return_mean_100": result["return_mean_100"], "seconds": round(time.monotonic() - begun, 1), "pushes_lost": self.lost,
                "pushes_lost_bound": bound, "steps_lost": self.lost_steps, "steps_done_again": self.redone_steps,
                "checkpoints_checked": self.checkpoints_checked, "peak_bytes": self.peak}

    def end(self):
        for p in [self.learner, *self.actors, self.redis]:
            if p and p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.kill()
        for p in [self.learner, *self.actors, self.redis]:
            if p:
                p.wait()
        self.log.close()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--program", default="build/volley")
    a.add_argument("--faults", type=int, default=200)
    a.add_argument("--per-run", type=int, default=25, dest="fault_share", help="faults in one run at most, so that it can end")
    a.add_argument("--actors", type=int, default=2)
    a.add_argument("--until", type=float, default=475)
    a.add_argument("--interval", type=float, nargs=2, default=(0.15, 0.6))
    a.add_argument("--limit", type=float, default=240, help="seconds for one run")
    a.add_argument("--process-limit", type=int, default=PROCESS_LIMIT)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out")
    o = a.parse_args()
    if not shutil.which("redis-server"):
        print("SKIPPED: redis-server is not installed: apt-get install redis-server")
        return 77
    record = measured.Record(o.out, program=o.program, timed=False)
    o.program, o.dice, o.deck = os.path.abspath(o.program), random.Random(o.seed), list(FIRST_FAULTS)
    folder, runs, left = tempfile.mkdtemp(prefix="volley-faults-"), [], o.faults
    while left > 0:
        run = Run(o, folder, len(runs), left)
        try:
            runs.append(run.go())
        except BaseException:
            run.end()
            sys.stderr.write(open(os.path.join(run.base, "log")).read()[-4000:])
            raise
        run.end()
        left = run.faults_left
        print(f"run {len(runs)}: {json.dumps(runs[-1])}", flush=True)
    total = {k: sum(r[k] for r in runs) for k in ("faults", "pushes_lost", "pushes_lost_bound", "steps_lost", "steps_done_again", "checkpoints_checked")}
    kinds = {}
    for r in runs:
        for k, v in r["by_kind"].items():
            kinds[k] = kinds.get(k, 0) + v
    peak = {k: max(r["peak_bytes"][k] for r in runs) for k in ("redis", "learner", "actor")}
    summary = {"runs": len(runs), "runs_at_target": len(runs), **total, "checkpoints_lost": 0, "by_kind": kinds, "peak_bytes": peak,
               "limits_bytes": {"redis": REDIS_LIMIT, "process": o.process_limit}}
    print(json.dumps(summary))
    record.write({"summary": summary, "runs": runs})
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
