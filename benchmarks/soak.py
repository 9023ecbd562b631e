#!/usr/bin/env python3
"""Resident memory and descriptors of one run, sampled while it trains: under a limit, and flat.

    python3 benchmarks/soak.py [--algo ppo] [--minutes 30] [--out benchmarks/results/soak_ppo.json] [-- more options of train]
    python3 benchmarks/soak.py --hostile --minutes 120 --out benchmarks/results/soak_minatar.json -- --run.workers 1

Starts `volley train ENV`, samples VmRSS and the open descriptors of the process every few seconds, stops it with SIGTERM at the end
and checks that it saved (exit 143). Flat: the mean memory of the last third is at most 2 % above that of the second (the first holds
what fills up once: replay, histories, checkpoints), and its median of descriptors is at most one more.

--hostile trains MinAtar with a checkpoint every second, and meanwhile:
- the live page is read by a client that does what the browser's page does;
- the run's folder is a small file system of its own, which is filled for a few seconds every few minutes and freed again: saving has
  to fail, training and page have to go on, and the next checkpoints have to be saved;
- the process is stopped and continued, and gets signals that have no meaning for it;
- every minute another run is resumed for a few seconds and ended by SIGTERM, SIGINT, SIGHUP, or two signals at once: it has to save,
  and to end with 143 or 130.
Afterwards the newest checkpoint of each has to read back, and the run to go on from it. Exit 1 when a claim does not hold. The file
of results is written every five minutes, too, with "whole": false.
"""
import argparse
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import measured

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DISK_MB, FILL_EVERY_S, FULL_S = 96, 240, 6
STOP_EVERY_S, STOPPED_S = 97, 1
SAVE_EVERY_S = ["--checkpoint.every_s", "1"]


def memory_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        fields = dict(line.split(":", 1) for line in f if ":" in line)
    return int(fields["VmRSS"].split()[0]), int(fields["VmHWM"].split()[0]), int(fields["Threads"])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def newest(run):
    try:
        names = os.listdir(os.path.join(run, "checkpoints"))
    except FileNotFoundError:
        return -1
    return max((int(n[5:-12]) for n in names if n.startswith("step-") and n.endswith(".safetensors")), default=-1)


def within(seconds, claim):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if claim():
            return True
        time.sleep(0.2)
    return claim()


def json_of(command):
    """The object on the last line, or None where the program failed."""
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        print(done.stderr[-600:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


class Page(threading.Thread):
    """Reads the live page as a browser does: the stream all the time, everything else every second."""

    def __init__(self, port, run):
        super().__init__(daemon=True)
        self.port, self.run_name = port, os.path.basename(run)
        self.done, self.read, self.failed, self.bytes, self.slowest_s = threading.Event(), 0, 0, 0, 0.0

    def get(self, path):
        begun = time.monotonic()
        try:
            self.bytes += len(urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30).read())
            self.read += 1
        except OSError as error:
            self.failed += 1
            print(f"{path}: {error}", file=sys.stderr)
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)

    def open_stream(self):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return stream

    def run(self):
        stream, i = None, 0
        while not self.done.wait(1):
            try:
                stream = stream or self.open_stream()
                if select.select([stream], [], [], 0)[0] and not stream.recv(1 << 20):
                    stream = stream.close()
            except OSError:
                self.failed += 1
                stream = None
            for path in (f"/api/frame?i={i % 6}", "/metrics") + (("/", "/api/runs", f"/api/series?run={self.run_name}&points=600") if i % 10 == 0 else ()):
                self.get(path)
            i += 1


class Disk:
    """A small file system for the run's folder, which can be filled. Needs the right to mount."""

    def __init__(self, folder):
        self.folder, self.ballast = folder, os.path.join(folder, "ballast")
        self.times = self.recovered = 0
        os.makedirs(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], check=True)

    def fill(self):
        try:
            with open(self.ballast, "wb", buffering=0) as f:
                while f.write(bytes(1 << 16)):
                    pass
        except OSError:
            self.times += 1

    def free(self, run):
        """Whether checkpoints are saved again."""
        os.remove(self.ballast)
        before = newest(run)
        self.recovered += within(60, lambda: newest(run) > before)

    def close(self):
        subprocess.run(["umount", "-l", self.folder], check=False)


def scheduled(pid):
    """Seconds that the process's first thread was on a processor, and that it waited for one; None where it is gone."""
    try:
        with open(f"/proc/{pid}/schedstat") as f:
            on, waiting, _ = f.read().split()
        return int(on) * 1e-9, int(waiting) * 1e-9
    except (OSError, ValueError):
        return None


def end_of(child, seconds):
    """Its exit code, and how long that took: by the clock, on a processor, waiting for one (the rest: the disk, other threads)."""
    begun, first = time.monotonic(), scheduled(child.pid)
    last = first
    while child.poll() is None and time.monotonic() - begun < seconds:
        last = scheduled(child.pid) or last
        time.sleep(0.01)
    took = time.monotonic() - begun
    on, waiting = (b - a for a, b in zip(first, last)) if first else (0.0, 0.0)
    return child.wait(1), {"clock_s": round(took, 3), "on_processor_s": round(on, 3), "waiting_for_one_s": round(waiting, 3)}


class Ended(threading.Thread):
    """Beside the soak: a run that is resumed and ended by a signal every minute."""

    ENDS = [[signal.SIGTERM], [signal.SIGINT], [signal.SIGHUP], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]]

    def __init__(self, program, run, log):
        super().__init__(daemon=True)
        self.program, self.folder, self.log = program, run, log
        self.done, self.times, self.wrong, self.longest, self.peaks = threading.Event(), 0, 0, {"clock_s": 0.0}, []

    def command(self):
        if not os.path.exists(self.folder):
            return [self.program, "train", "minatar/asterix", "--algo", "dqn", "--replay.capacity", "20000", "--dqn.learning_starts", "1000",
                    "--steps", str(10**13), "--out", self.folder, *SAVE_EVERY_S]
        return [self.program, "resume", self.folder]

    def once(self):
        ends, before = self.ENDS[self.times % len(self.ENDS)], newest(self.folder)
        child = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log)
        within(120, lambda: newest(self.folder) > before or child.poll() is not None)
        if child.poll() is None:
            self.peaks.append(memory_kb(child.pid)[1])
        for number in ends:
            child.send_signal(number)
        code, took = end_of(child, 120)
        self.longest = max(self.longest, took, key=lambda t: t["clock_s"])
        self.wrong += code not in {130 if number == signal.SIGINT else 143 for number in ends}  # of two, the system chooses the first
        self.times += 1

    def run(self):
        while True:
            self.once()
            if self.done.wait(50):
                return


def page_of(log):
    """The port of the live page, once it is printed."""
    found = []

    def is_there():
        with open(log) as f:
            found[:] = re.findall(r"live page: http://127.0.0.1:(\d+)", f.read())
        return bool(found)

    return int(found[0]) if within(60, is_there) else None


class Soak:
    def __init__(self, args):
        self.o, self.program = args, os.path.abspath(args.program)
        self.work = tempfile.mkdtemp(prefix="vly-soak-")
        self.log = os.path.join(self.work, "log")
        self.rss, self.fds, self.peak, self.threads = [], [], 0, 0
        self.disk = Disk(os.path.join(self.work, "disk")) if args.hostile else None
        self.run = os.path.join(self.disk.folder if self.disk else self.work, "run")
        self.page = self.ended = None
        self.signals, self.stopped_s, self.written = 0, 0, 0.0

    def begin(self):
        env = self.o.env or ("minatar/breakout" if self.o.hostile else "cartpole")
        command = [self.program, "train", env, "--algo", self.o.algo, "--seed", "1", "--steps", str(10**13), "--out", self.run, *self.o.more]
        if self.o.hostile:
            command += ["--monitor", *SAVE_EVERY_S]
        log = open(self.log, "w")
        self.child = subprocess.Popen(command, stdout=log, stderr=log)
        if self.o.hostile:
            self.page = Page(page_of(self.log), self.run)
            self.ended = Ended(self.program, os.path.join(self.work, "ended"), open(os.path.join(self.work, "ended.log"), "w"))
            self.page.start()
            self.ended.start()

    def sample(self):
        rss, self.peak, self.threads = memory_kb(self.child.pid)
        self.rss.append(rss)
        self.fds.append(descriptors(self.child.pid))

    def send_signals(self, draw):
        for number in (signal.SIGWINCH, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGURG):
            if draw.random() < 0.5:
                self.child.send_signal(number)
                self.signals += 1
        self.child.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        self.child.send_signal(signal.SIGCONT)
        self.signals += 2

    def hold(self, minutes, partly):
        """Until the time is over or the process has ended by itself."""
        draw, start = random.Random(1), time.monotonic()
        fill, stop, note = start + FILL_EVERY_S / 2, start + STOP_EVERY_S, start + 300
        while time.monotonic() - start < 60 * minutes and self.child.poll() is None:
            time.sleep(self.o.every)
            now = time.monotonic()
            if self.disk and now > fill:
                self.disk.fill()
                time.sleep(FULL_S)
                self.disk.free(self.run)
                fill = now + FILL_EVERY_S
            if self.o.hostile and now > stop:
                self.send_signals(draw)
                stop = now + STOP_EVERY_S
            if self.child.poll() is None:
                self.sample()
            if now > note:
                partly({**self.memory(), **self.hostility(), "minutes": (now - start) / 60, "whole": False})
                note = now + 300
        self.minutes = (time.monotonic() - start) / 60

    def end(self):
        for helper in filter(None, (self.page, self.ended)):
            helper.done.set()
            helper.join(180)
        self.child.send_signal(signal.SIGTERM)
        self.code, self.stop = end_of(self.child, 60)

    def memory(self):
        third = len(self.rss) // 3
        second, final = (statistics.mean(v) if v else float("nan") for v in (self.rss[third:2 * third], self.rss[2 * third:]))
        fds = [statistics.median(v) if v else 0 for v in (self.fds[third:2 * third], self.fds[2 * third:])]
        return {"threads": self.threads, "peak_mb": self.peak / 1024, "second_third_mb": second / 1024, "last_third_mb": final / 1024,
                "growth": final / second - 1, "descriptors_second_third": fds[0], "descriptors_last_third": fds[1], "descriptors_most": max(self.fds, default=0),
                "under_limit": self.peak / 1024 < self.o.limit_mb, "flat": final <= 1.02 * second and fds[1] <= fds[0] + 1,
                "rss_kb": [self.rss[i] for i in range(0, len(self.rss), max(1, len(self.rss) // 120))]}

    def hostility(self):
        if not self.o.hostile:
            return {}
        return {"disk_filled": self.disk.times, "saved_again_after": self.disk.recovered, "page_read": self.page.read, "page_failed": self.page.failed,
                "page_mb": self.page.bytes / 2**20, "page_slowest_s": self.page.slowest_s, "signals": self.signals, "ended_by_signals": self.ended.times,
                "ended_otherwise": self.ended.wrong, "ended_longest": self.ended.longest,
                "ended_peak_mb": [round(kb / 1024, 1) for kb in self.ended.peaks[:: max(1, len(self.ended.peaks) // 20)]]}

    def afterwards(self):
        """What was left on disk is whole, and goes on."""
        found = json_of([self.program, "inspect", self.run])
        report = {"exit": self.code, "stopped_in": self.stop, "steps": found["counters"]["steps"] if found else None}
        if not self.o.hostile:
            return {**report, "good": found is not None}
        more = json_of([self.program, "resume", self.run, "--steps", str(report["steps"] + 2000)]) if found else None
        ended = json_of([self.program, "inspect", self.ended.folder])
        return {**report, "resumed_to": more and more["steps"], "good": bool(found and more and ended and more["steps"] >= report["steps"] + 2000)}

    def close(self, keep):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        if keep:
            print(f"what it said is in {self.work}", file=sys.stderr)
        if self.disk:
            self.disk.close()
        if not keep:
            shutil.rmtree(self.work, ignore_errors=True)


def holds(o, report):
    calm = report["under_limit"] and report["flat"] and report["exit"] == 143 and report["good"]
    if not o.hostile:
        return calm
    return calm and report["saved_again_after"] == report["disk_filled"] > 0 and report["page_read"] > 0 and report["page_failed"] == report["ended_otherwise"] == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "volley"))
    parser.add_argument("--env", help="default cartpole; minatar/breakout with --hostile")
    parser.add_argument("--algo", default="ppo")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=5)
    parser.add_argument("--limit-mb", type=float, default=200)
    parser.add_argument("--hostile", action="store_true", help="with a full disk, signals and the page open")
    parser.add_argument("--out")
    parser.add_argument("more", nargs="*")
    args = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's would be the children's too
    record = measured.Record(args.out, program=args.program, timed=False)
    soak, good = Soak(args), False
    try:
        soak.begin()
        soak.hold(args.minutes, lambda report: args.out and measured.write(args.out, report))
        soak.end()
        report = {**soak.afterwards(), "minutes": soak.minutes, "whole": True, **soak.hostility(), **soak.memory()}
        good = holds(args, report)
        print(json.dumps({k: v for k, v in record.write({**report, "holds": good}).items() if k != "rss_kb"}))
    finally:
        soak.close(keep=not good)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
