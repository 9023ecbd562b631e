#!/usr/bin/env python3
"""Runs the fuzz targets under the sanitizers, in turns, until each has had so many executions; counts go into a file.

    python3 tests/fuzz/run.py [--executions 1000000] [--total 20000000] [--out benchmarks/results/fuzz.json] [TARGET...]

Builds with clang (the preset fuzz). The target with the fewest executions runs next, for --slice seconds on one core; once
each has enough, the fastest. Counts are kept
in OUT, and the same command goes on from there. A finding stays in build-fuzz/TARGET-*; its target rests until the next call, which
builds again: mend it, put the input into tests/fuzz/NAME, and call again. At the end, and with --merge alone, inputs that reach new
code join the committed corpus, as few as reach it. Exit 1 when there was a finding.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "benchmarks"))
import measured

BUILD = os.path.join(ROOT, "build-fuzz")
# Longest input: a ROM is 16 KB, a saved console 8 KB, a request head 8 KB; the others are built from few bytes.
LONGEST = {"atari_rom": 16400, "atari_state": 12000, "http": 9000, "checkpoint": 4096, "config": 1024, "metrics": 1024}
# No child of a fuzzer is looked for, and freed memory is soon given back: it is the bytes beside a buffer that matter.
SANITIZER = "quarantine_size_mb=8:detect_leaks=0:max_malloc_fill_size=0:allocator_may_return_null=1"
COMMITTED_BYTES = 4096


def dictionary(subject):
    """Words that random bytes do not meet."""
    words = []
    if subject in ("config", "command_line"):
        for name in ("options.def", "atari.def"):
            with open(os.path.join(ROOT, "common", "config", name)) as f:
                for section, key in re.findall(r"^[A-Z]+\((\w+), *(\w+)", f.read(), re.M):
                    words += [section, key, f"{section}.{key}", f"--{section}.{key}"]
        words += ["--json", "--config", "--help", "--", "--no-", "=", "true", "none", "redis://", "unix://"]
    if subject == "checkpoint":
        words += ['"dtype":"F32"', '"shape":[', '"data_offsets":[', "__metadata__", "U8", "I64", "F64", "volley.format", "xxh3:", "state:", "note:"]
    if subject == "http":
        words += ["GET ", "HEAD ", " HTTP/1.1\r\n", "Host: localhost\r\n", "Origin: ", "Authorization: Bearer ", "Cookie: ", "\r\n\r\n",
                  "Transfer-Encoding: chunked", "Content-Length: 0", "token=", "0123456789abcdefX", "/api/", "%00", "%2e"]
    if subject == "metrics":
        words += ['{"step":', ',"seconds":', ',"charts/SPS":', "null", "1e308", "-0", "}\n", "NaN", '\\"']
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\x0d").replace("\n", "\\x0a") for word in words)
    path = os.path.join(BUILD, f"{subject}.dict")
    with open(path, "w") as f:
        f.writelines(f'"{word}"\n' for word in dict.fromkeys(quoted))
    return [f"-dict={path}"] if words else []


def build(targets):
    configure = ["cmake", "--preset", "fuzz"]
    subprocess.run(configure, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "fuzz", "--target", *targets], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def folders(target):
    subject = target.removeprefix("fuzz_")
    found, committed = os.path.join(BUILD, f"found_{subject}"), os.path.join(ROOT, "tests", "fuzz", subject)
    os.makedirs(found, exist_ok=True)
    os.makedirs(committed, exist_ok=True)
    return subject, found, committed


def once(target, seconds):
    """One slice: executions, seconds, edges, whether it ended with a finding, and messages where an input is a list of them."""
    subject, found, committed = folders(target)
    told = os.path.join(BUILD, f"{target}.messages")
    if os.path.exists(told):
        os.remove(told)
    command = [os.path.join(BUILD, target), f"-max_total_time={seconds}", f"-max_len={LONGEST.get(subject, 1024)}", "-timeout=120", "-rss_limit_mb=2048",
               "-print_final_stats=1", "-close_fd_mask=3", "-reload=0", *dictionary(subject), f"-artifact_prefix={BUILD}/{target}-", found, committed]
    begun = time.monotonic()
    log = os.path.join(BUILD, f"{target}.log")
    with open(log, "w") as f:
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=f, cwd=ROOT, env={**os.environ, "ASAN_OPTIONS": SANITIZER, "VLY_FUZZ_MESSAGES": told}).returncode
    with open(log, errors="replace") as f:
        text = f.read()
    executions = re.findall(r"^stat::number_of_executed_units: *(\d+)", text, re.M) or re.findall(r"^#(\d+)", text, re.M)[-1:]
    edges = re.findall(r" cov: (\d+) ", text)
    bad = code != 0 or "ERROR: " in text or "runtime error" in text
    if bad:
        print(f"{target}: a finding; {log}:\n" + "\n".join(text.splitlines()[-45:]), file=sys.stderr)
    messages = 0
    if os.path.exists(told):
        with open(told) as f:
            messages = int(f.read())
    return int(executions[0]) if executions else 0, time.monotonic() - begun, int(edges[-1]) if edges else 0, bad, messages


def merge(target):
    """The committed corpus becomes the fewest inputs that reach what it and the found ones reach; inputs of findings stay."""
    subject, found, committed = folders(target)
    subprocess.run([os.path.join(BUILD, target), "-merge=1", "-use_counters=0", f"-max_len={min(COMMITTED_BYTES, LONGEST.get(subject, 1024))}", "-close_fd_mask=3",
                    committed, found], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "ASAN_OPTIONS": SANITIZER})
    return len(os.listdir(committed))


def row_of(rows, target):
    for row in rows:
        if row["target"] == target:
            return row
    rows.append({"target": target, "executions": 0, "seconds": 0.0, "per_s": 0, "edges": 0, "findings": 0, "since_the_last": 0, "corpus_files": 0})
    return rows[-1]


def count(row, executions, seconds, edges, bad, messages=0):
    row["executions"] += executions
    row["seconds"] = round(row["seconds"] + seconds, 1)
    row["per_s"] = round(row["executions"] / max(row["seconds"], 1))
    row["edges"] = max(row["edges"], edges)
    row["findings"] += bad
    if messages:
        row["messages"] = row.get("messages", 0) + messages
    row["since_the_last"] = 0 if bad else row["since_the_last"] + executions
    row["corpus_files"] = len(os.listdir(folders(row["target"])[2]))


def known(out):
    if not out or not os.path.exists(out):
        return []
    with open(out) as f:
        rows = json.load(f).get("results", [])
    return [row for row in rows if "since_the_last" in row]


def all_targets():
    names = [name[:-2] for _, _, files in os.walk(os.path.join(ROOT, "tests")) for name in files if re.fullmatch(r"fuzz_\w+\.c", name)]
    return sorted(names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="fuzz_config ...; default: all")
    parser.add_argument("--executions", type=float, default=1e6, help="of each target at least (default 1,000,000)")
    parser.add_argument("--total", type=float, default=20e6, help="of all together at least (default 20,000,000)")
    parser.add_argument("--slice", type=int, default=60, metavar="SECONDS")
    parser.add_argument("--out")
    parser.add_argument("--merge", action="store_true", help="only makes the corpora smaller")
    args = parser.parse_args()
    targets = args.targets or all_targets()
    build(targets)
    rows, resting = known(args.out), set()

    def save():
        if args.out:
            total = {key: sum(row[key] for row in rows) for key in ("executions", "findings")}
            measured.write(args.out, {**measured.facts(load=0), "compiler": compiler(), **total, "results": sorted(rows, key=lambda row: row["target"])})

    while not args.merge:
        open_ones = [row_of(rows, target) for target in targets if target not in resting]
        due = [row for row in open_ones if row["since_the_last"] < args.executions]
        if due:
            row = min(due, key=lambda r: r["since_the_last"])
        elif open_ones and sum(r["executions"] for r in rows) < args.total:
            row = max(open_ones, key=lambda r: r["per_s"])
        else:
            break
        found = once(row["target"], args.slice)
        count(row, *found)
        resting |= {row["target"]} if found[3] else set()
        print(f"{row['target']:20} {row['executions']:>10} executions {row['per_s']:>7}/s {row['edges']:>5} edges {row['findings']} findings", flush=True)
        save()
    for target in targets:
        row_of(rows, target)["corpus_files"] = merge(target)
    save()
    return 1 if resting else 0


def compiler():
    return subprocess.run(["clang", "--version"], capture_output=True, text=True).stdout.splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
