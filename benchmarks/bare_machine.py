#!/usr/bin/env python3
"""A newcomer's path on a machine that has nothing: clone, `make run`, `make test`, and again without a network.

    debootstrap --variant=minbase --include=git,make,ca-certificates bookworm bare-debian
    python3 benchmarks/bare_machine.py bare-debian [--steps clone,pong,cartpole,test,offline] [--out benchmarks/results/bare_machine.json]

Needs root. Each step runs in the folder as in a machine of its own (unshare, chroot), with HOME empty and no compiler
cache; `offline` repeats cartpole, pong and test in a network namespace that has the loopback alone, Pong until its curve
has risen (cartpole-offline and so on are one of them). Seconds count from the clone's begin; what a step prints is kept
beside the folder, every line with its second. The file holds a row a step; those run later join it.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import measured

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMMANDS = {
    "clone": "rm -rf volley && git -c safe.directory='*' clone -q /srv/volley volley",
    "pong": "cd volley && make run",
    "cartpole": "cd volley && make run JOB='cartpole --until-return 475'",
    "test": "cd volley && make test",
}
MACHINE = """set -e
mount --bind {root} {root} # its root is a mount point then, as everywhere
mount --bind /dev {root}/dev; mount -t tmpfs none {root}/dev/shm; mount -t devpts none {root}/dev/pts -o ptmxmode=666
mount -t proc none {root}/proc; mount -t sysfs none {root}/sys
mkdir -p {root}/srv/volley; mount --bind -o ro {repository} {root}/srv/volley
{network}
exec chroot {root} env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm LANG=C.UTF-8 {more} sh -c "cd /root; {command}"
"""


def label(name, offline):
    return name + ("-offline" if offline else "")


def run(options, repository, name, offline, begin):
    """One command in the machine; its exit code and its lines with their seconds."""
    network = "ip link set lo up" if offline else ""
    script = MACHINE.format(root=options.root, repository=repository, network=network, command=COMMANDS[name], more=" ".join(options.env))
    lines = []
    with open(f"{options.root}.{label(name, offline)}.log", "w") as log:
        p = subprocess.Popen(["unshare", "-m", *(["-n"] if offline else []), "sh", "-c", script], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        stopped = False
        for line in p.stdout:
            lines.append((round(time.monotonic() - begin, 1), line.rstrip("\n")))
            print(*lines[-1], file=log, flush=True)
            if name == "pong" and offline and not stopped and rises(lines):
                os.killpg(p.pid, signal.SIGINT)  # as ^C on a terminal: it saves and says how to go on
                stopped = True
        code = p.wait()
        if stopped:
            code = 0 if any("resume" in line for _, line in lines[-12:]) else code
    print(f"{label(name, offline)}: exit {code} after {time.monotonic() - begin:.1f} s", file=sys.stderr)
    return code, lines


def first(lines, pattern):
    return next((t for t, line in lines if re.search(pattern, line)), None)


def rises(lines):
    """When a mean return stands two above the lowest before it, and both."""
    low = None
    for t, line in lines:
        m = re.search(r"  return (-?[\d.]+) of", line)
        if not m:
            continue
        value = float(m.group(1))
        low = value if low is None else min(low, value)
        if value >= low + 2:
            return {"s": t, "from": low, "to": value}
    return None


def told(name, code, lines, begin):
    entry = {"exit": code, "s": round(time.monotonic() - begin, 1)}
    counts = next((m for _, line in reversed(lines) if (m := re.search(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", line))), None)
    if name == "test":
        entry.update(zip(("passed", "failed", "skipped"), (int(n or 0) for n in counts.groups())) if counts else {})
        entry["skips"] = sorted({line.strip() for _, line in lines if line.startswith("  skipped: ")})
        return entry
    entry["installed_s"] = first(lines, r"^\[0/|^\[1/")
    entry["built_s"] = first(lines, r"Linking C executable volley")
    entry["first_figures_s"] = first(lines, r"  return -?[\d.]+ of")
    entry["rises"] = rises(lines)
    entry["reached_s"] = first(lines, r"^target after")
    evaluated = next((m for _, line in lines if (m := re.search(r"episodes? of \S+: mean return (\S+) ", line))), None)
    entry["eval_return_mean"] = float(evaluated.group(1)) if evaluated else None
    return {k: v for k, v in entry.items() if v is not None}


def release(root):
    with open(os.path.join(root, "etc/os-release")) as f:
        return re.search(r'^PRETTY_NAME="?([^"\n]*)', f.read(), re.M).group(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--steps", default="clone,pong,cartpole,test,offline")
    parser.add_argument("--repository", default=HERE)
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable that the machine needs, as for a proxy")
    parser.add_argument("--out", help="JSON that the entry joins")
    options = parser.parse_args()
    options.root, options.repository = os.path.abspath(options.root), os.path.abspath(options.repository)
    report = {"command": "python3 benchmarks/bare_machine.py ROOT", "results": []}
    if options.out and os.path.exists(options.out):
        with open(options.out) as f:
            report = json.load(f)
    bare = tempfile.TemporaryDirectory()  # a worktree is no repository to who is outside it
    subprocess.run(["git", "clone", "-q", "--bare", options.repository, bare.name], check=True)
    commit = subprocess.run(["git", "-C", bare.name, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    name, bad = release(options.root), 0
    steps = re.sub(r"(^|,)offline", r"\1cartpole-offline,pong-offline,test-offline", options.steps)
    plan = [(s.removesuffix("-offline"), s.endswith("-offline")) for s in steps.split(",")]
    before = None
    for step, offline in plan:
        start = begin if before == "clone" else time.monotonic()  # what follows the clone counts from its begin
        begin, before = start, step
        load = os.getloadavg()[0]
        code, lines = run(options, bare.name, step, offline, start)
        if step != "clone":
            row = {"name": f"{name}: {label(step, offline)}", **told(step, code, lines, start), "load": round(load, 1), "commit": commit}
            report["results"] = sorted([r for r in report["results"] if r["name"] != row["name"]] + [row], key=lambda r: r["name"])
        bad += code != 0
        if step == "clone" and code:
            return 1
    report.update(measured.facts("python3 benchmarks/bare_machine.py ROOT"), commit=commit)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    print(text)
    if options.out:
        with open(options.out, "w") as f:
            f.write(text + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
