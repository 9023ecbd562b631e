#!/usr/bin/env python3
"""What the committed presets learn: seeds of one environment and algorithm, trained, evaluated, written down.

    python3 benchmarks/learning.py cartpole ppo --until 475 --seeds 1,2,3,4,5
    python3 benchmarks/learning.py pong ppo --until 18 --seeds 1,2,3 --out benchmarks/results/pong.json
    python3 benchmarks/learning.py minatar/asterix ppo --table benchmarks/results/learning_minatar.json --published "15: gymnax"
    python3 benchmarks/learning.py --markdown benchmarks/results/learning_minatar.json

A run is timed from start of process, its last checkpoint included; processor time stands beside the
clock for machines that others use too, and beside both the time that the program estimated after its
first updates. Finished seeds are kept in runs/ of the tree: the same command at the same commit goes on
with the next one, and writes its file after the last. --table adds the result under its environment to
a file that has several; --runs keeps the run folders (for `volley plot`), else they are deleted.
"""
import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import measured

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VOLLEY = os.path.join(ROOT, "build", "volley")
UNIT_S = {"second": 1, "seconds": 1, "minutes": 60, "hours": 3600}


def volley(*arguments):
    """The object on the last line, what was said, seconds, processor seconds. Exit 3 (the budget ended first) is a result too."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([PROGRAM, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(done.args)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1]), done.stderr, wall, sum(after[:2]) - sum(before[:2])


def estimated(said):
    """The first time to the target that the run named, in seconds, or None."""
    found = re.search(r"about ([\d.]+) (\w+) to a mean return of", said)
    return float(found[1]) * UNIT_S[found[2]] if found else None


def one(options, extra, seed, folder):
    run = os.path.join(folder, f"{options.env.replace('/', '-')}-{options.algo}-{seed}")
    until = ["--until-return", str(options.until)] if options.until is not None else []
    told, said, wall, processor = volley("train", options.env, "--algo", options.algo, "--seed", str(seed), "--out", run, *until, *extra)
    played, *_ = volley("eval", run, "--episodes", str(options.episodes))
    return {"seed": seed, "stop": told["stop"], "steps": told["steps"], "updates": told["updates"],
            "return_mean_100": round(told["return_mean_100"], 3), "wall_s": round(wall, 3), "processor_s": round(processor, 3),
            "estimated_s": estimated(said),
            "eval_return_mean": round(played["return_mean"], 3), "eval_return_sd": round(played["return_sd"], 3),
            **({"tasks": told["tasks"], "eval_tasks": played["tasks"]} if "tasks" in told else {}),
            "curve": curve(os.path.join(run, "metrics.jsonl"))}


def curve(path, points=60):
    """[steps, seconds, mean return of the last 100 episodes], thinned."""
    rows = [json.loads(line) for line in open(path)]
    rows = [[r["step"], round(r["seconds"], 2), round(r["charts/return_mean_100"], 2)] for r in rows if "charts/return_mean_100" in r]
    return rows[:: max(1, len(rows) // points)] + rows[-1:]


def all_seeds(options, extra, path, command, folder):
    """One run after the other; those that this command has finished at this commit are not repeated."""
    kept_in = os.path.join(ROOT, "runs", os.path.basename(path) + ".part")
    kept = json.load(open(kept_in)) if os.path.exists(kept_in) else {}
    name = {"command": command, "commit": measured.commit()}
    if {key: kept.get(key) for key in name} != name:
        kept = {**name, "facts": [], "runs": []}
    for seed in map(int, options.seeds.split(",")):
        if any(run["seed"] == seed for run in kept["runs"]):
            continue
        record = measured.Record(path, options.busy, PROGRAM, timed=options.until is not None)
        kept["runs"].append(one(options, extra, seed, folder))
        kept["facts"].append(record.facts(command))
        os.makedirs(os.path.dirname(kept_in), exist_ok=True)
        measured.write(kept_in, kept)
    busiest = max(kept["facts"], key=lambda facts: facts["load"])
    return busiest, [run for run in kept["runs"] if str(run["seed"]) in options.seeds.split(",")], kept_in


def markdown(path):
    print("| game | preset | steps | return, last 100 training episodes | evaluation, 100 episodes | published | seeds |")
    print("|---|---|---|---|---|---|---|")
    for env, r in json.load(open(path)).items():
        runs = r["runs"]
        mean = lambda key: ", ".join(f"{run[key]:.1f}" for run in runs)
        print(f"| {env} | {r['algo']} | {max(run['steps'] for run in runs):,} | {mean('return_mean_100')} | {mean('eval_return_mean')} "
              f"| {r.get('published', '')} | {', '.join(str(run['seed']) for run in runs)} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("env", nargs="?")
    p.add_argument("algo", nargs="?", default="ppo")
    p.add_argument("--seeds", default="1")
    p.add_argument("--until", type=float)
    p.add_argument("--episodes", type=int, default=100, help="of the evaluation")
    p.add_argument("--out", help="default: benchmarks/results/learning_ALGO_ENV.json")
    p.add_argument("--table", help="a file of several environments, to which this one is added")
    p.add_argument("--published", help="what others report, and who")
    p.add_argument("--runs", help="folder that keeps the runs")
    p.add_argument("--busy", action="store_true", help="records times although others use the machine")
    p.add_argument("--note", default="", help="what else ran on the machine")
    p.add_argument("--program", default=VOLLEY)
    p.add_argument("--markdown", help="prints a table of such a file, and nothing else")
    options, extra = p.parse_known_args()
    if options.markdown:
        return markdown(options.markdown)
    if not options.env:
        p.error("which environment?")
    global PROGRAM
    PROGRAM = options.program
    path = options.table or options.out or os.path.join(ROOT, "benchmarks", "results", f"learning_{options.algo}_{options.env.replace('/', '-')}.json")
    until = f" --until-return {options.until:g}" if options.until is not None else ""
    command = " ".join(["volley train", options.env, "--algo", options.algo, "--seed N" + until, *extra]) + f"; volley eval RUN --episodes {options.episodes}"
    with tempfile.TemporaryDirectory() as scratch:
        facts, runs, kept_in = all_seeds(options, extra, path, command, options.runs or scratch)
    result = {**facts, "algo": options.algo, **({"note": options.note} if options.note else {})}
    if options.published:
        result["published"] = options.published
    for key in ("steps", "wall_s", "processor_s", "return_mean_100", "eval_return_mean"):
        result["median_" + key] = statistics.median(run[key] for run in runs)
    guessed = [run["estimated_s"] / run["wall_s"] for run in runs if run["estimated_s"]]
    if guessed:
        result["estimated_over_true"] = [round(ratio, 2) for ratio in sorted(guessed)]
    result["runs"] = runs
    whole = result
    if options.table:
        whole = json.load(open(path)) if os.path.exists(path) else {}
        whole[options.env] = result
    with open(path, "w") as f:
        f.write(json.dumps(whole, indent=1) + "\n")
    os.remove(kept_in)
    print(json.dumps({k: v for k, v in result.items() if k != "runs"}, indent=1), f"\n{path}")


if __name__ == "__main__":
    main()
