"""What the live page costs training: alone, watched in a browser's way, and beside 1,000 slow and hostile clients.

    python benchmarks/monitor_cost.py build/volley [--pairs 5] [--steps 10000000] [--json FILE]

The three take turns; each turn is one run, judged by its own steps per second. The clients have a process of their own, whose
processor time is reported too: on a small machine it costs training something that is not the monitor's doing.
"""
import argparse
import json
import multiprocessing
import os
import re
import resource
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

import measured

SLOW = 1000


def watch(port, done):
    """As the page does: the stream, the runs and curves now and then, a picture every second."""
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    i = 0
    while not done.is_set():
        if select.select([stream], [], [], 1)[0]:
            stream.recv(1 << 20)
        for path in [f"/api/frame?i={i % 6}"] + (["/api/runs", "/api/series?run=r&points=600", "/"] if i % 10 == 0 else []):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read()
            except OSError:
                pass
        i += 1


def besiege(port, done):
    """A thousand connections that say a byte a second, rubbish among them; who is thrown out comes again."""
    words = [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"\xff\x00rubbish\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"GET /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    clients = [[None, words[i % len(words)], 0] for i in range(SLOW)]
    while not done.is_set():
        begun = time.monotonic()
        for c in clients:
            try:
                if c[0] is None:
                    c[0], c[2] = socket.socket(), 0
                    c[0].setblocking(False)
                    c[0].connect_ex(("127.0.0.1", port))
                else:
                    c[0].send(c[1][c[2] % len(c[1]):c[2] % len(c[1]) + 1])
                    c[2] += 1
            except BlockingIOError:
                pass
            except OSError:
                c[0].close()
                c[0] = None
        done.wait(max(0.01, 1 - (time.monotonic() - begun)))


def client(kind, port, done, spent):
    os.nice(39)  # they stand for other machines
    (watch if kind == "watched" else besiege)(port, done)
    use = resource.getrusage(resource.RUSAGE_SELF)
    spent.value = use.ru_utime + use.ru_stime


def monitor_seconds(port):
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        return float(re.search(r"^volley_monitor_cpu_seconds_total (\S+)", text, re.M).group(1))
    except OSError:
        return None


def turn(args, kind, folder):
    out = os.path.join(folder, "r")
    shutil.rmtree(out, ignore_errors=True)
    command = [args.volley, "train", args.env, "--steps", str(args.steps), "--metrics.status", "none", "--out", out, "--json"]
    if kind != "alone":
        command.append("--monitor")
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    done, spent, helper, port, monitor = multiprocessing.Event(), multiprocessing.Value("d", 0), None, None, None
    for line in run.stderr:
        found = re.search(r"live page: http://127.0.0.1:(\d+)", line)
        if found:
            port = int(found.group(1))
            helper = multiprocessing.Process(target=client, args=(kind, port, done, spent))
            helper.start()
            break
    while kind != "alone" and run.poll() is None:
        monitor = monitor_seconds(port) or monitor
        time.sleep(1)
    result = json.loads(run.communicate()[0].strip().splitlines()[-1])
    done.set()
    if helper:
        helper.join()
    return {"steps_per_s": result["steps_per_s"], "wall_s": result["wall_s"], "monitor_cpu_s": monitor, "clients_cpu_s": round(spent.value, 3)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("volley")
    parser.add_argument("--env", default="cartpole")
    parser.add_argument("--steps", type=int, default=10000000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json")
    parser.add_argument("--busy", action="store_true", help="records although others use the machine")
    args = parser.parse_args()
    record = measured.Record(args.json, args.busy, args.volley)
    kinds = ["alone", "watched", "besieged"]
    turns = {kind: [] for kind in kinds}
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.pairs):
            for kind in kinds[i % 3:] + kinds[:i % 3]:
                turns[kind].append(turn(args, kind, folder))
    rows = []
    for kind in kinds:
        rates = [t["steps_per_s"] for t in turns[kind]]
        ratios = [a["steps_per_s"] / b["steps_per_s"] for a, b in zip(turns[kind], turns["alone"])]
        row = {"name": f"{args.env}/{kind}", "median": round(statistics.median(rates)), "min": round(min(rates)), "max": round(max(rates)), "unit": "steps/s",
               "ratio_to_alone": round(statistics.median(ratios), 4), "ratios": [round(r, 4) for r in ratios], "turns": turns[kind]}
        rows.append(row)
        shares = [t["monitor_cpu_s"] / t["wall_s"] for t in turns[kind] if t["monitor_cpu_s"]]
        row["monitor_cpu_share"] = round(statistics.median(shares), 4) if shares else None
        print(f"{row['name']:22} {row['median']:>9} steps/s   {row['ratio_to_alone']:.4f} of alone   monitor {row['monitor_cpu_share']} of a processor")
    record.write({"results": rows})


if __name__ == "__main__":
    main()
