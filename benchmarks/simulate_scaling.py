#!/usr/bin/env python3
"""What to expect of 8, 64 and 512 workers: a closed queueing network fitted to a few measured runs.

    python3 benchmarks/simulate_scaling.py --measure --out benchmarks/results/scaling_workers.json
    python3 benchmarks/simulate_scaling.py --from benchmarks/results/scaling_workers.json      # the table again, without measuring

A worker computes a push, then Redis and the learner's one thread serve it. Workers are customers that think and then queue at two
servers: exact mean value analysis of that closed network (Reiser & Lavenberg 1980) gives the throughput of any number of workers
with a processor each. Fitted are the three services, in processor time from /proc while 1 to 4 workers train; the model says that
they do not depend on the number of workers, and each point's error is how far that is from true. Not in it: the network, and
larger pushes than CartPole's.
"""
import argparse, json, os, re, shutil, statistics, subprocess, tempfile, time

RUNS = {"impala": ["--algo", "impala", "--dist.processes", "true"], "a3c": ["--algo", "a3c"],
        "gorila": ["--algo", "gorila", "--dist.update", "async"]}
MORE = (8, 64, 512)
TICK = os.sysconf("SC_CLK_TCK")


def family(pid):
    """Seconds of processor of the learner, its Redis and its workers, by /proc."""
    out = {"learner": 0.0, "redis": 0.0, "workers": 0.0}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as f:
                text = f.read()
        except OSError:
            continue
        comm, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        used = (int(rest[11]) + int(rest[12])) / TICK
        if int(name) == pid:
            out["learner"] = used
        elif int(rest[1]) == pid:
            out["redis" if comm.startswith("redis") else "workers"] += used
    return out


def measure(program, algo, workers, seconds, folder):
    run = os.path.join(folder, f"{algo}{workers}-{time.monotonic_ns()}")
    p = subprocess.Popen([program, "train", "cartpole", *RUNS[algo], "--workers", str(workers), "--steps", "100M", "--metrics.every_s", "0.1", "--out", run],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)  # the fleet is up, and learns
    first, begun = family(p.pid), time.monotonic()
    time.sleep(seconds)
    last, wall = family(p.pid), time.monotonic() - begun
    p.terminate()
    p.wait()
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl") if line.endswith("}\n")]
    rows = [r for r in rows if r["seconds"] >= rows[-1]["seconds"] - wall]
    span, key = rows[-1]["seconds"] - rows[0]["seconds"], "dist/unrolls" if algo == "impala" else "dist/gradients"
    pushes = rows[-1][key] - rows[0][key]
    used = {k: last[k] - first[k] for k in first}
    return {"workers": workers, "pushes_per_s": pushes / span, "steps_per_s": (rows[-1]["step"] - rows[0]["step"]) / span,
            "processors_used": sum(used.values()) / wall, "cpu_s": used, "wall_s": wall, "pushes": pushes * wall / span}


def mva(customers, think, demands):
    """Throughput of a closed network: `think` seconds without queueing, one queue for each of `demands`."""
    lengths, rate = [0.0] * len(demands), 0.0
    for n in range(1, customers + 1):
        times = [d * (1 + q) for d, q in zip(demands, lengths)]
        rate = n / (think + sum(times))
        lengths = [rate * t for t in times]
    return rate


def fit(points):
    """Work of a push, in seconds of a processor: the workers', the learner's (it has one thread), Redis' (another)."""
    return {k: statistics.median(p["cpu_s"][k] / p["pushes"] for p in points) for k in ("learner", "redis", "workers")}


def predict(work, workers):
    """A processor for each process: workers think, learner and Redis are queues of their own."""
    return mva(workers, work["workers"], [work["learner"], work["redis"]])


def table(algo, points, work):
    """Measured and model beside each other by the second of processor time: others use this machine too."""
    rows, per_push, total = [], statistics.median(p["steps_per_s"] / p["pushes_per_s"] for p in points), sum(work.values())
    for p in points:
        measured = p["pushes"] / sum(p["cpu_s"].values())
        rows.append({"workers": p["workers"], "measured_per_cpu_s": round(measured), "model_per_cpu_s": round(1 / total),
                     "error": round(1 / total / measured - 1, 3), "processors_used": round(p["processors_used"], 2)})
    one, slow = predict(work, 1), "learner" if work["learner"] > work["redis"] else "redis"
    full = (sum(work.values())) / work[slow]
    more = [{"workers": n, "pushes_per_s": round(predict(work, n)), "steps_per_s": round(predict(work, n) * per_push),
             "times_one_worker": round(predict(work, n) / one, 1)} for n in MORE]
    print(f"{algo}: a push is {1e6 * work['workers']:.0f} us of a worker, {1e6 * work['learner']:.0f} of the learner, {1e6 * work['redis']:.0f} of Redis; "
          f"{slow} is full at {full:.1f} workers, {1 / work[slow]:.0f} pushes/s")
    for r in rows:
        print("  {workers} workers: {measured_per_cpu_s} pushes per second of processor measured, model {model_per_cpu_s} ({error:+.1%})".format(**r))
    for r in more:
        print("  {workers} workers with a processor each: {pushes_per_s} pushes/s, {steps_per_s} steps/s, {times_one_worker} times one".format(**r))
    return {"points": rows, "largest_error": max(abs(r["error"]) for r in rows), "expected": more, "bottleneck": slow,
            "full_at_workers": round(full, 1), "steps_per_push": round(per_push, 1)}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--program", default="build/volley")
    a.add_argument("--measure", action="store_true")
    a.add_argument("--from", dest="source", default="benchmarks/results/scaling_workers.json")
    a.add_argument("--algos", default="impala,a3c,gorila")
    a.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 4])
    a.add_argument("--rounds", type=int, default=3, help="each point is the median of so many, taken in turn")
    a.add_argument("--seconds", type=float, default=2)
    a.add_argument("--out")
    o = a.parse_args()
    processors = len(os.sched_getaffinity(0))
    if not o.measure:
        with open(o.source) as f:
            for algo, entry in json.load(f)["runs"].items():
                table(algo, entry["measured"], entry["work_s"])
        return
    folder, runs = tempfile.mkdtemp(prefix="volley-scaling-"), {}
    for algo in o.algos.split(","):
        taken = [measure(os.path.abspath(o.program), algo, n, o.seconds, folder) for _ in range(o.rounds) for n in o.workers]
        points = []
        for n in o.workers:
            same = sorted((t for t in taken if t["workers"] == n), key=lambda t: t["pushes_per_s"])
            points.append(same[len(same) // 2])
        model = fit(points)
        runs[algo] = {"measured": points, "work_s": model, **table(algo, points, model)}
    shutil.rmtree(folder)
    if o.out:
        with open("/proc/cpuinfo") as f:
            name = re.search(r"model name\s*:\s*(.*)", f.read()).group(1)
        with open(o.out, "w") as f:
            json.dump({"command": "python3 benchmarks/simulate_scaling.py --measure --out benchmarks/results/scaling_workers.json", "date": "2026-11-21",
                       "hardware": f"{processors} cores of {name}, shared with builds", "runs": runs}, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
