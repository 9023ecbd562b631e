#!/usr/bin/env python3
"""What to expect of 8, 64 and 512 workers: a fleet simulated with costs fitted to a few measured runs.

    python3 benchmarks/simulate_scaling.py --measure --out benchmarks/results/scaling_workers.json     # --alone: as root
    python3 benchmarks/simulate_scaling.py --from benchmarks/results/scaling_workers.json      # the table again, without measuring

Measured, while 1 to 8 workers train CartPole: pushes per second, and what a push costs workers, learner and Redis in processor
seconds (/proc). fleet_model.py simulates threads with these costs on this machine's processors. It is fed the costs of the --fit
counts alone (1 and 2), and predicts the others from those of the largest of them: a prediction's error is its pushes per second
over the measured ones, which it has not seen. The expected rows, with a processor for each process, are made the same way. Not in
it: the network, and larger pushes than CartPole's.
"""
import argparse, json, os, shutil, statistics, subprocess, tempfile, time

import measured
from fleet_model import ROLES, Fleet

RUNS = {"impala": ["--algo", "impala", "--dist.processes", "true"], "a3c": ["--algo", "a3c"],
        "gorila": ["--algo", "gorila", "--dist.update", "async"]}
WAITS, LIMIT = {"impala": False, "a3c": True, "gorila": True}, {"impala": 4, "a3c": 64, "gorila": 64}  # cpu/fleet/ps.h
MORE = (8, 64, 512)


def family(pid):
    """Seconds of processor of the learner, its Redis and its workers."""
    out = dict.fromkeys(ROLES, 0.0)
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                text = f.read()
            comm, parent = text[text.index("(") + 1:text.rindex(")")], int(text[text.rindex(")") + 2:].split()[1])
            if pid not in (int(name), parent):
                continue
            ran = 0
            for thread in os.listdir(f"/proc/{name}/task"):
                with open(f"/proc/{name}/task/{thread}/schedstat") as f:
                    ran += int(f.read().split()[0])
        except OSError:
            continue
        out["learner" if int(name) == pid else "redis" if comm.startswith("redis") else "workers"] += 1e-9 * ran
    return out


def first_in_line():
    """Before everything else that runs here; children inherit it."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def keep_idle_time(processors, seconds):
    """What the fleet leaves goes to empty loops: builds would empty its caches, and a processor that halts takes long to wake. They
    end by themselves."""
    return [subprocess.Popen(["timeout", str(seconds), "sh", "-c", "while :; do :; done"]) for _ in range(processors)]


def measure(program, algo, workers, seconds, folder, alone):
    run = os.path.join(folder, f"{algo}{workers}-{time.monotonic_ns()}")
    p = subprocess.Popen([program, "train", "cartpole", *RUNS[algo], "--workers", str(workers), "--steps", "1G", "--metrics.every_s", "0.1", "--out", run],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=first_in_line if alone else None)
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


def costs(point):
    """Processor seconds of a push, by role: what is measured."""
    return {r: point["cpu_s"][r] / point["pushes"] for r in ROLES}


def simulate(algo, cost, workers, processors, request_s=None):
    """Pushes a second; what a request costs Redis, if not given found from the requests that a push turns out to need."""
    pushes, rate = 4000 + 20 * workers, None
    for given in ([None, "found"] if request_s is None else [request_s]):
        fleet = Fleet(cost, workers, processors, WAITS[algo], LIMIT[algo], request_s if given == "found" else given)
        rate = fleet.rate(pushes)
        request_s = request_s or cost["redis"] * fleet.taken / fleet.requests
    return rate, request_s


def table(algo, points, processors, fit):
    rows, per_push = [], statistics.median(p["steps_per_s"] / p["pushes_per_s"] for p in points)
    fed = [p for p in points if p["workers"] in fit]
    cost = costs(fed[-1])
    request_s = simulate(algo, cost, fed[-1]["workers"], processors)[1]
    for p in points:
        own = p in fed
        model, _ = simulate(algo, costs(p) if own else cost, p["workers"], processors, None if own else request_s)
        rows.append({"algo": algo, "workers": p["workers"], "kind": "fitted" if own else "predicted", "measured_per_s": round(p["pushes_per_s"]),
                     "model_per_s": round(model), "error": round(model / p["pushes_per_s"] - 1, 3), "processors_used": round(p["processors_used"], 2)})
    slow = max(("learner", "redis"), key=lambda r: cost[r])
    one, full = simulate(algo, cost, 1, 1e9, request_s)[0], sum(cost.values()) / cost[slow]
    more = []
    for n in MORE:
        rate, _ = simulate(algo, cost, n, 1e9, request_s)
        more.append({"workers": n, "pushes_per_s": round(rate), "steps_per_s": round(rate * per_push), "times_one_worker": round(rate / one, 1)})
    print(f"{algo}: a push is " + ", ".join(f"{1e6 * cost[r]:.0f} us of {r}" for r in ROLES) +
          f"; {slow} is full at {full:.1f} workers, {1 / cost[slow]:.0f} pushes/s")
    for r in rows:
        print("  {workers} workers, {kind}: {measured_per_s} pushes/s measured, model {model_per_s} ({error:+.1%})".format(**r))
    for r in more:
        print("  {workers} workers with a processor each: {pushes_per_s} pushes/s, {steps_per_s} steps/s, {times_one_worker} times one".format(**r))
    return {"points": rows, "largest_error_fitted": max(abs(r["error"]) for r in rows if r["kind"] == "fitted"),
            "largest_error_predicted": max((abs(r["error"]) for r in rows if r["kind"] == "predicted"), default=None), "expected": more, "bottleneck": slow,
            "full_at_workers": round(full, 1), "steps_per_push": round(per_push, 1)}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--program", default="build/volley")
    a.add_argument("--measure", action="store_true")
    a.add_argument("--from", dest="source", default="benchmarks/results/scaling_workers.json")
    a.add_argument("--algos", default="impala,a3c,gorila")
    a.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 4, 6, 8])
    a.add_argument("--fit", type=int, nargs="+", default=[1, 2], help="counts whose costs the model is fed; the others it predicts")
    a.add_argument("--busy", action="store_true", help="records although others use the machine")
    a.add_argument("--rounds", type=int, default=5, help="each point is the median of so many, taken in turn")
    a.add_argument("--seconds", type=float, default=2)
    a.add_argument("--alone", action="store_true", help="at real-time priority, and with idle time kept from others (root)")
    a.add_argument("--processors", type=int, default=len(os.sched_getaffinity(0)), help="of the machine that was measured")
    a.add_argument("--out")
    o = a.parse_args()
    if not o.measure:
        with open(o.source) as f:
            report = json.load(f)
        for algo, entry in report["runs"].items():
            entry.update(table(algo, entry["measured"], o.processors, o.fit))
        return finish(o.out, report)
    record = measured.Record(o.out, o.busy, o.program)
    algos, folder, taken = o.algos.split(","), tempfile.mkdtemp(prefix="volley-scaling-"), []
    seconds = 10 + len(algos) * o.rounds * len(o.workers) * (o.seconds + 3)
    keepers = keep_idle_time(o.processors, int(seconds)) if o.alone else []
    try:
        taken = [(algo, measure(os.path.abspath(o.program), algo, n, o.seconds, folder, o.alone))
                 for _ in range(o.rounds) for algo in algos for n in o.workers]
    finally:
        for keeper in keepers:
            keeper.terminate()
        shutil.rmtree(folder)
    report = {**record.facts(), "alone": o.alone, "fit": o.fit, "rounds": o.rounds, "runs": {}}
    for algo in algos:
        points = []
        for n in o.workers:
            same = sorted((t for a, t in taken if a == algo and t["workers"] == n), key=lambda t: t["pushes_per_s"])
            points.append({**same[len(same) // 2], "range_per_s": measured.spread([t["pushes_per_s"] for t in same])})
        report["runs"][algo] = {"measured": points}
        report["runs"][algo].update(table(algo, points, o.processors, o.fit))
    finish(o.out, report)


def finish(path, report):
    report["results"] = [row for entry in report["runs"].values() for row in entry["points"]]
    if path:
        measured.write(path, report)


if __name__ == "__main__":
    main()
