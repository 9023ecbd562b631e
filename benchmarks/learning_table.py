#!/usr/bin/env python3
"""Every environment with every algorithm: steps and seconds to the usual threshold, or that it is not reached.

    python3 benchmarks/learning_table.py                      # what is missing; ^C at any time, the same command goes on
    python3 benchmarks/learning_table.py --only cartpole,minatar --seeds 1,2,3 --workers 1
    python3 benchmarks/learning_table.py --def                # writes common/config/learned.def
    python3 benchmarks/learning_table.py --markdown

A pair runs with the settings that `volley train ENV --algo A --until-return R` chooses by itself, on one seed after the
other; the first that misses the threshold ends it. A pair that the program refuses is written down with its words, and
one that is stopped after --limit seconds of the clock is not counted as a miss: it is left out of learned.def. Where others
used the machine ("busy"), the seconds of the table are of processor time. `results` in the file is the table that the report
shows, `pairs` is what was measured: each run of each pair.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import measured

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "benchmarks", "results", "learning_table.json")
LEARNED = os.path.join(ROOT, "common", "config", "learned.def")

# Mean return of the last 100 training episodes. Gymnasium's thresholds; where the optimum is known and training explores,
# a bar below it: 15 moves and a few of exploration in windy, Sutton and Barto's figure for the cliff, 95 % of it in storage. MinAtar: what the
# presets of PPO pass within 4 M steps.
TARGETS = {
    "cartpole": 475, "cartpole_hidden": 475, "acrobot": -100, "mountaincar": -110, "pendulum": -200, "mountaincar_continuous": 90,
    "gridworld": 0.85, "cliffwalking": -60, "windy": -20, "deepsea": 0.9, "storage": 24.9,
    "minatar/breakout": 20, "minatar/asterix": 15, "minatar/freeway": 50, "minatar/seaquest": 15, "minatar/space_invaders": 50,
    "pong": 18,
}
ALGOS = ["ppo", "a2c", "reinforce", "impala", "a3c", "dqn", "gorila", "apex", "sac", "td3", "qlearning", "sarsa"]


def read():
    """{"ENV ALGO": what was measured}"""
    pairs = json.load(open(RESULTS))["pairs"] if os.path.exists(RESULTS) else []
    return {f"{p['env']} {p['algo']}": p for p in pairs}


def write(table):
    order = {env: i for i, env in enumerate(TARGETS)}
    pairs = sorted(table.values(), key=lambda p: (order.get(p["env"], len(order)), ALGOS.index(p["algo"])))
    with open(RESULTS + ".new", "w") as f:
        f.write(json.dumps({"command": "python3 benchmarks/learning_table.py", "results": list(rows(table)), "pairs": pairs}, indent=1) + "\n")
    os.replace(RESULTS + ".new", RESULTS)


def one(options, env, algo, target, seed, folder):
    """What the run said, or {"refused": words}; {"stop": "limit"} where the clock ended it."""
    run = os.path.join(folder, "run")
    command = [options.program, "train", env, "--algo", algo, "--seed", str(seed), "--until-return", str(target), "--out", run,
               "--no-metrics.jsonl", "--no-metrics.tensorboard", "--json", *(["--workers", options.workers] if options.workers else [])]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=options.limit)
    except subprocess.TimeoutExpired:
        return {"seed": seed, "stop": "limit", "wall_s": round(time.perf_counter() - start, 1)}
    if done.returncode == 2:
        return {"refused": done.stderr.strip().splitlines()[-1].removeprefix("volley: ")}
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    told, after = json.loads(done.stdout.splitlines()[-1]), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seed": seed, "stop": told["stop"], "steps": told["steps"], "wall_s": round(told["wall_s"], 2),
            "processor_s": round(sum(after[:2]) - sum(before[:2]), 2),
            "return": round(told["return_mean_100"], 3) if told["return_mean_100"] is not None else None, "preset": preset_of(run)}


def preset_of(run):
    for line in open(os.path.join(run, "config.yaml")):
        if line.strip().startswith("preset:"):
            return line.split('"')[1]
    sys.exit(f"{run}/config.yaml names no preset")


def measure(options, env, algo, target):
    runs = []
    for seed in options.seeds.split(","):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(one(options, env, algo, target, int(seed), folder))
        if runs[-1].get("stop") != "target":
            break
    if "refused" in runs[-1]:
        return {"target": target, "refused": runs[-1]["refused"]}
    pair = {"target": target, "preset": runs[-1].get("preset", runs[0].get("preset")), "reached": all(r["stop"] == "target" for r in runs)}
    if pair["reached"]:
        pair["median_steps"] = int(statistics.median(r["steps"] for r in runs))
        pair["median_s"] = round(statistics.median(r["wall_s"] for r in runs), 2)
        pair["median_processor_s"] = round(statistics.median(r["processor_s"] for r in runs), 2)
    return {**pair, "runs": runs}


def words(pair):
    if "refused" in pair:
        return "–"
    if pair["reached"]:
        seconds = pair.get("median_processor_s" if pair.get("busy") else "median_s")
        time_words = f", {seconds:.3g} s{' of processor' if pair.get('busy') else ''}" if seconds is not None else ""
        return f"{pair['median_steps']:,} steps{time_words}"
    last = pair["runs"][-1]
    if last["stop"] == "limit":
        return "not measured"
    return f"not expected ({'no episode ended' if last['return'] is None else format(last['return'], '.4g')} after {last['steps']:,})"


def rows(table):
    """One for each environment."""
    for env in TARGETS:
        pairs = {algo: table.get(f"{env} {algo}") for algo in ALGOS}
        if any(pairs.values()):
            target = next(p["target"] for p in pairs.values() if p)
            yield {"environment": env, "threshold": target, **{algo: words(p) if p else "" for algo, p in pairs.items()}}


def markdown(table):
    print("| environment | threshold | " + " | ".join(ALGOS) + " |\n|" + "---|" * (len(ALGOS) + 2))
    for row in rows(table):
        print("| " + " | ".join(str(cell) for cell in row.values()) + " |")


def write_def(table):
    head = open(LEARNED).read().split("*/")[0] + "*/\n"
    lines = []
    for p in table.values():
        env, algo = p["env"], p["algo"]
        if p.get("reached"):
            steps = sorted(r["steps"] for r in p["runs"])
            lines.append(f'LEARNED("{env}", "{algo}", "{p["preset"]}", {p["target"]:g}, {p["median_steps"]}, {steps[0]}, {steps[-1]}, {len(steps)})')
        elif "refused" not in p and p["runs"][-1]["stop"] == "budget" and p["runs"][-1]["return"] is not None:
            last = p["runs"][-1]
            lines.append(f'UNLEARNED("{env}", "{algo}", "{p["preset"]}", {p["target"]:g}, {last["return"]:g}, {last["steps"]})')
    with open(LEARNED, "w") as f:
        f.write(head + "\n".join(sorted(lines)) + "\n")
    print(f"{len(lines)} rows: {LEARNED}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", default="1,2,3", help="not those that the preset was chosen on")
    p.add_argument("--only", default="", help="environments, or families (minatar)")
    p.add_argument("--algos", default=",".join(ALGOS))
    p.add_argument("--again", action="store_true", help="measures what is there already too")
    p.add_argument("--limit", type=float, default=600, metavar="SECONDS", help="of a run by the clock (default 600)")
    p.add_argument("--workers", default="", help="threads of a run; default: the program's own choice")
    p.add_argument("--busy", action="store_true", help="records although others use the machine")
    p.add_argument("--program", default=os.path.join(ROOT, "build", "volley"))
    p.add_argument("--def", action="store_true", dest="definitions", help="writes common/config/learned.def, and measures nothing")
    p.add_argument("--markdown", action="store_true", help="prints the table, and measures nothing")
    options = p.parse_args()
    table = read()
    if options.definitions or options.markdown:
        return write_def(table) if options.definitions else markdown(table)
    wanted = [env for env in TARGETS if not options.only or any(env == one or env.startswith(one + "/") for one in options.only.split(","))]
    for env in wanted:
        target = TARGETS[env]
        for algo in options.algos.split(","):
            if f"{env} {algo}" in table and not options.again:
                continue
            record = measured.Record(RESULTS, options.busy, options.program)
            pair = measure(options, env, algo, target)
            facts = record.facts(f"volley train {env} --algo {algo} --seed N --until-return {target:g}")
            write({**read(), f"{env} {algo}": {"env": env, "algo": algo, **facts, **pair}})
            print(f"{env:24} {algo:10} {words(pair)}", flush=True)


if __name__ == "__main__":
    main()
