#!/usr/bin/env python3
"""Resident memory of a CartPole run, sampled while it trains: under a limit, and flat.

    python3 benchmarks/soak.py [--algo ppo] [--minutes 30] [--out benchmarks/results/soak_ppo.json] [-- more options of train]

Starts `volley train cartpole`, samples VmRSS of the process every few seconds, stops it with SIGTERM at the end and
checks that it saved (exit 143). Flat: the mean of the last third is at most 2 % above that of the second
(the first holds what fills up once: replay, histories, checkpoints). Exit 1 when a claim does not hold.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import measured

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def memory_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        fields = dict(line.split(":", 1) for line in f if ":" in line)
    return int(fields["VmRSS"].split()[0]), int(fields["VmHWM"].split()[0]), int(fields["Threads"])


def soak(program, algo, minutes, every, more):
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        command = [program, "train", "cartpole", "--algo", algo, "--seed", "1", "--steps", str(10**13), "--out", run, *more]
        with open(os.path.join(folder, "log"), "w") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log)
        start, samples, peak, threads = time.monotonic(), [], 0, 0
        while time.monotonic() - start < 60 * minutes and child.poll() is None:
            time.sleep(every)
            rss, peak, threads = memory_kb(child.pid)
            samples.append(rss)
        child.send_signal(signal.SIGTERM)
        code = child.wait(60)
        with open(os.path.join(run, "metrics.jsonl")) as f:
            last = json.loads(f.readlines()[-1])
        return samples, peak, threads, code, last


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "volley"))
    parser.add_argument("--algo", default="ppo")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=5)
    parser.add_argument("--limit-mb", type=float, default=200)
    parser.add_argument("--out")
    parser.add_argument("more", nargs="*")
    args = parser.parse_args()
    record = measured.Record(args.out, program=args.program, timed=False)
    samples, peak, threads, code, last = soak(args.program, args.algo, args.minutes, args.every, args.more)
    third = len(samples) // 3
    second, final = statistics.mean(samples[third:2 * third]), statistics.mean(samples[2 * third:])
    report = {"steps": last.get("step", last.get("steps")), "exit": code, "threads": threads,
              "peak_mb": peak / 1024, "second_third_mb": second / 1024, "last_third_mb": final / 1024, "growth": final / second - 1,
              "under_limit": peak / 1024 < args.limit_mb, "flat": final <= 1.02 * second,
              "rss_kb": [samples[i] for i in range(0, len(samples), max(1, len(samples) // 120))]}
    print(json.dumps({k: v for k, v in report.items() if k != "rss_kb"}))
    record.write(report)
    return 0 if report["under_limit"] and report["flat"] and code == 143 else 1


if __name__ == "__main__":
    sys.exit(main())
