"""The one frame of all measurements: what a file of results says about itself, and how two sides are compared.

    options = measured.options(__doc__, "replay.json")                 # --rounds --seconds --budget --filter --busy --out ...
    with measured.Comparison(options, cpprb="11.0.0") as c:
        c.case("insert", "transitions/s", {"volley": ours, "cpprb": theirs})        # functions that open a side and return a sampler
    sys.exit(c.finish())

A file holds command, commit, date, hardware, flags and load (facts), then `results`: for each case the median, least and most of
every side, and of the ratio of the first side to each other one, taken round by round.

- A round measures every side once, one after the other; the side that begins changes from round to round. At least five rounds.
- A tree with changes that are not committed, or a program built from another commit, is refused when --out is given.
- A round during which other programs used more than half a processor is thrown away and measured again; when that does not end
  within --patience seconds, the comparison stops. --busy keeps such rounds, and the file says "busy".
- Finished rounds are kept in OUT.part, a line each. The same command goes on from there, so long as code and hardware are the
  same. --budget SECONDS stops between rounds: exit code 3, and OUT is not written until every case is whole.
"""
import argparse
import datetime
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "benchmarks", "results")
VOLLEY, BENCH = (os.path.join(ROOT, "build", name) for name in ("volley", "volley-bench"))
LOAD_MOST = 0.5  # processors that others may use
ROUNDS_LEAST = 5
NOT_CODE = [":!benchmarks/results", ":!*.md", ":!*.svg"]  # changes there make no other program
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "sve", "bf16")


class Refused(Exception):
    """What was asked for must not be recorded; the text says why and what to do."""


# ---- facts ----

def git(*words):
    try:
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
    except FileNotFoundError:  # a server with a bundle may have none
        return subprocess.CompletedProcess(words, 1, "", "")


def commit():
    head = git("rev-parse", "--short=12", "HEAD").stdout.strip()
    return head + ("-dirty" if head and git("diff", "--quiet", "HEAD", "--", ".", *NOT_CODE).returncode else "")


def same_code(one, other):
    """Whether two commits differ in results and documents alone."""
    return git("diff", "--quiet", one, other, "--", ".", *NOT_CODE).returncode == 0


def cpuinfo(field):
    try:
        with open("/proc/cpuinfo") as f:
            return next((line.split(":", 1)[1].strip() for line in f if line.split(":")[0].strip() == field), "")
    except OSError:
        return ""


def processor():
    """The name, and where that says little, family and model too."""
    name, family, model = (cpuinfo(field) for field in ("model name", "cpu family", "model"))
    return (name or platform.processor()) + (f" (family {family}, model {model})" if family else "")


def hardware():
    return f"{len(os.sched_getaffinity(0))} cores of {processor()}"


def flags():
    present = set((cpuinfo("flags") or cpuinfo("Features")).split())
    width = [f"VLY_SIMD={os.environ['VLY_SIMD']}"] if "VLY_SIMD" in os.environ else []
    return " ".join([flag for flag in FLAGS if flag in present] + width)


def facts(command=None, load=None):
    """load: processors that others used meanwhile; None: measured for half a second."""
    if load is None:
        with Others() as others:
            time.sleep(0.5)
        load = others.load
    return {"command": command or command_line(), "commit": commit(), "date": datetime.date.today().isoformat(), "hardware": hardware(),
            "flags": flags(), "load": round(load, 2)}


def command_line():
    """How this program was started, from the root of the tree, without folders of this machine."""
    words = [os.path.relpath(word, ROOT) if word.startswith(ROOT) else os.path.basename(word).upper() if word.startswith("/") else word
             for word in sys.argv[1:]]
    return shlex.join(["python3", os.path.relpath(os.path.abspath(sys.argv[0]), ROOT), *words])


def versions(*packages):
    """Of those Python packages that are installed here."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def check_program(path):
    """A program that was built from other code than the tree's measures something else. A bundle has no tree to compare with."""
    if not commit():
        return
    text = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    built = text[text.find("(") + 1:text.find(")")]
    if built.endswith("-dirty") or not same_code(built, "HEAD"):
        raise Refused(f"{path} was built from {built or 'unknown code'}, the tree is at {commit()}: build it again (cmake --build build)")


def check_tree():
    if commit().endswith("-dirty"):
        raise Refused("the tree has changes that are not committed, so that no commit names what is measured: commit them, or leave --out away")


def check_load():
    with Others() as now:
        time.sleep(1)
    if now.load > LOAD_MOST:
        raise Refused(f"others use {now.load:.1f} processors: wait for a quiet machine, or --busy records it all the same")


# ---- the load of others ----

def busy_seconds():
    """Of all processors since the machine started: user, nice, system, and what a host took away. Interrupts are nobody's."""
    with open("/proc/stat") as f:
        ticks = [int(n) for n in f.readline().split()[1:]]
    return (sum(ticks[0:3]) + ticks[7]) / os.sysconf("SC_CLK_TCK")


def family_seconds():
    """Of processor, used by this process, its descendants, and their dead children."""
    parents, used = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(name)], used[int(name)] = int(fields[1]), sum(int(n) for n in fields[11:15])
    total, me = 0, os.getpid()
    for pid in used:
        at = pid
        while at not in (me, 0, 1) and at in parents:
            at = parents[at]
        total += used[pid] if at == me else 0
    return total / os.sysconf("SC_CLK_TCK")


class Others:
    """Processors that others used inside a `with` block: .load afterwards."""

    def __enter__(self):
        self.start, self.busy, self.own = time.monotonic(), busy_seconds(), family_seconds()
        return self

    def __exit__(self, *_):
        wall = max(time.monotonic() - self.start, 0.01)
        self.load = max(0.0, (busy_seconds() - self.busy - family_seconds() + self.own) / wall)


def is_whole(path):
    """Whether a file of results was measured with this code on this hardware, and no part of a newer one lies beside it."""
    try:
        with open(path) as f:
            head = json.load(f)
    except (OSError, ValueError):
        return False
    return not head.get("filter") and not os.path.exists(path + ".part") and head.get("hardware") == hardware() and bool(head.get("commit")) and same_code(head["commit"], "HEAD")


# ---- numbers ----

def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def rate(work, seconds):
    """Calls work(), which returns how many units it did, for a while: units per second of the clock."""
    done, start = 0, time.perf_counter()
    while True:
        done += work()
        passed = time.perf_counter() - start
        if passed >= seconds:
            return done / passed


def warm(work, seconds):
    """A sampler of `work` that has run once."""
    work()
    return lambda: rate(work, seconds)


def on_cores(count):
    """For a child's preexec_fn: the first `count` of the processors that this process may use; None: all."""
    return (lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])) if count else None


def suite(bench, name, seconds, cores=None, field="median", arguments=(), environment=None):
    """A side of ours: one line of a suite, `volley bench SUITE --filter NAME`, by one sample after a warm-up."""
    command = [VOLLEY, "bench", bench, "--filter", name, "--seconds", str(seconds), "--samples", "1", "--json", *arguments]

    def sample():
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **(environment or {})}, preexec_fn=on_cores(cores))
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()[-300:]}")
        return next(r[field] for r in json.loads(done.stdout.splitlines()[-1])["results"] if r["name"] == name)

    return lambda: sample


LOOP = """
work()
print("ready", flush=True)
for _ in sys.stdin:
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        done += work()
    print(done / (time.perf_counter() - start), flush=True)
"""


class Child:
    """A peer in a process of its own on `cores` processors. `code` defines work(), which returns how many units it did; it finds its
    words in ARGS. Calling the object takes a sample."""

    def __init__(self, code, *words, seconds=0.5, cores=None, python=sys.executable, environment=None):
        text = "import sys, time\nSECONDS, ARGS = float(sys.argv[1]), sys.argv[2:]\n" + code + LOOP
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([python, "-c", text, str(seconds), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, env={**os.environ, **(environment or {})}, preexec_fn=on_cores(cores))
        self.answer("ready")

    def answer(self, wanted=None):
        """The next line, of those that a library prints on its own the last that is ours."""
        while line := self.process.stdout.readline():
            if wanted and line.strip() == wanted:
                return None
            try:
                return float(line)
            except ValueError:
                continue
        self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().strip()
        raise RuntimeError(text.splitlines()[-1] if text else f"the peer ended with {self.process.returncode}")

    def begin(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def __call__(self):
        self.begin()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


class Best:
    """A side at its best setting: openers by name; each is tried once and the fastest kept. A sample names the setting."""

    def __init__(self, openers):
        self.setting, self.sampler, self.tried, best = None, None, {}, 0
        for name, make in openers.items():
            try:
                sampler = make()
            except Exception as error:
                print(f"  without {name}: {str(error)[:160]}", file=sys.stderr)
                continue
            self.tried[name] = sampler()
            worse = sampler if self.tried[name] <= best else self.sampler
            if worse is not sampler:
                self.setting, self.sampler, best = name, sampler, self.tried[name]
            close(worse)
        if not self.sampler:
            raise RuntimeError("none of its settings runs")

    def __call__(self):
        return {"value": self.sampler(), "setting": self.setting}

    def close(self):
        close(self.sampler)


def close(sampler):
    if hasattr(sampler, "close"):
        sampler.close()


def short(value):
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * scale:
            return f"{value / scale:.4g} {unit}"
    return f"{value:.4g}"


def write(path, report):
    with open(path + ".new", "w") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)


# ---- a record of one side ----

class Record:
    """A file of results of one program, where nothing is compared: refused before hours are spent.

        record = measured.Record(options.out, options.busy, program)
        ... measure ...
        record.write({"results": rows})

    timed=False: what is counted does not depend on who else uses the machine, whose load is only written down.
    """

    def __init__(self, out, busy=False, program=None, timed=True):
        self.out, self.others = out, Others()
        try:
            if out:
                check_tree()
                if program:
                    check_program(program)
                if timed and not busy:
                    check_load()
        except Refused as error:
            refuse(error)
        self.others.__enter__()

    def facts(self, command=None):
        self.others.__exit__()
        head = facts(command, self.others.load)
        return {**head, **({"busy": True} if self.others.load > LOAD_MOST else {})}

    def write(self, report, command=None):
        head = self.facts(command)
        if self.out:
            write(self.out, {**head, **report})
        return {**head, **report}


# ---- a comparison ----

def options(text, out, rounds=ROUNDS_LEAST, seconds=0.5, more=None, arguments=None):
    """out: the usual name below benchmarks/results. more(parser) adds a program's own options."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="FILE", help=f"writes the results, usually benchmarks/results/{out}")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"of each case (default {rounds}, at least {ROUNDS_LEAST} to record)")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"of one sample (default {seconds})")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS", help="stops between rounds; the same command goes on")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only cases with this in their names")
    parser.add_argument("--busy", action="store_true", help="records although others use the machine")
    parser.add_argument("--patience", type=float, default=120, metavar="SECONDS", help="waits so long for a quiet machine (default 120)")
    if more:
        more(parser)
    return parser.parse_args(arguments)


def refuse(error):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")


class Comparison:
    """facts: what else the file says, as versions of peers. program: of ours, whose commit is checked; None: none."""

    def __init__(self, options, program=VOLLEY, **facts):
        self.o, self.facts, self.cases, self.left = options, facts, [], 0
        self.end = time.monotonic() + options.budget
        self.part = options.out and options.out + ".part"
        self.samples, self.loads = {}, []
        try:
            if options.out:
                if options.rounds < ROUNDS_LEAST:
                    raise Refused(f"--rounds {options.rounds}: a range of fewer than {ROUNDS_LEAST} is none")
                check_tree()
                if program:
                    check_program(program)
                self.resume()
        except Refused as error:
            refuse(error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    # -- OUT.part: a first line that says of what, then a line for each round --

    def resume(self):
        if not os.path.exists(self.part):
            return self.begin_part()
        with open(self.part) as f:
            head, *rows = [json.loads(line) for line in f if line.endswith("}\n")] or [{}]
        same = head.get("commit") and same_code(head["commit"], "HEAD") and head.get("hardware") == hardware() and head.get("seconds") == self.o.seconds
        if not same:
            return self.begin_part()
        for row in rows:
            self.samples.setdefault(row["case"], []).append(row)
        print(f"going on from {self.part}: {len(rows)} rounds are there", file=sys.stderr)

    def begin_part(self):
        with open(self.part, "w") as f:
            f.write(json.dumps({"commit": commit(), "hardware": hardware(), "seconds": self.o.seconds}) + "\n")

    def keep(self, row):
        self.samples.setdefault(row["case"], []).append(row)
        if self.part:
            with open(self.part, "a") as f:
                f.write(json.dumps(row) + "\n")

    # -- rounds --

    def round(self, samplers, first):
        """One sample of every side, from side `first` on; again while others use the machine."""
        names, until = list(samplers), time.monotonic() + self.o.patience
        while True:
            with Others() as others:
                values = {name: samplers[name]() for name in names[first:] + names[:first]}
            if others.load <= LOAD_MOST or self.o.busy or not self.o.out:
                return {name: values[name] for name in names}, others.load
            if time.monotonic() > until:
                refuse(f"others use {others.load:.1f} processors for {self.o.patience:.0f} s: run it again on a quiet machine (it goes on), or with --busy")
            time.sleep(min(5, self.o.patience / 10))

    def case(self, name, unit, sides, own=1, fastest=False, **more):
        """sides: {name: function that opens the side and returns a sampler (), which returns a rate, or a dict with "value" and what
        else the file shall keep of each round}. The first `own` are ours; each is divided by each peer (unit "s": the other way
        round). fastest: a ratio to the fastest peer of each round too. A peer that cannot be opened is left out, and named."""
        if self.o.filter not in name:
            return None
        have = self.samples.get(name, [])
        if len(have) < self.o.rounds and time.monotonic() < self.end:
            have = self.measure(name, sides, have)
            if have is None:
                return None
        if len(have) < self.o.rounds:
            self.left += 1
            return None
        row = self.row(name, unit, have[:self.o.rounds], own, fastest, more)
        self.cases.append(row)
        self.show(row)
        return row

    def measure(self, name, sides, have):
        """The rounds that are still missing, as far as the budget goes; None: nothing to compare with."""
        samplers = self.open(name, sides)
        if not samplers:
            return None
        try:
            while len(have) < self.o.rounds and time.monotonic() < self.end:
                values, load = self.round(samplers, len(have) % len(samplers))
                self.keep({"case": name, "values": values, "load": round(load, 2)})
                have = self.samples[name]
        finally:
            for sampler in samplers.values():
                close(sampler)
        return have

    @staticmethod
    def open(case, sides):
        samplers = {}
        for who, make in sides.items():
            try:
                samplers[who] = make()
            except Exception as error:  # a peer that is not installed is no reason to stop; without ours nothing is compared
                print(f"{case}: without {who}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
                if not samplers:
                    return None
        return samplers

    def row(self, name, unit, rounds, own, fastest, more):
        self.loads += [r["load"] for r in rounds]
        sides, kept = {}, {}
        for who in rounds[0]["values"]:
            given = [r["values"][who] for r in rounds]
            sides[who] = [g["value"] if isinstance(g, dict) else g for g in given]
            notes = [{k: v for k, v in g.items() if k != "value"} for g in given if isinstance(g, dict)]
            if notes:
                kept[who] = notes[0] if all(n == notes[0] for n in notes) else notes
        ours, peers = list(sides)[:own], list(sides)[own:]
        row = {"name": name, "unit": unit, "rounds": len(rounds), **more, **{who: spread(values) for who, values in sides.items()}}
        for who in ours:
            for peer in peers:
                over = [p / v if unit == "s" else v / p for v, p in zip(sides[who], sides[peer])]
                row["_".join(["ratio", *([who] if own > 1 else []), *([peer] if len(peers) > 1 else [])])] = spread(over)
        if fastest:
            row["ratio"] = spread([ours_now / max(theirs) for ours_now, *theirs in zip(sides[ours[0]], *(sides[p] for p in peers))])
        samples = {who: [float(f"{v:.6g}") for v in values] for who, values in sides.items()}
        return {**row, **({"kept": kept} if kept else {}), "samples": samples}

    @staticmethod
    def show(row):
        text = []
        for key, value in row.items():
            if isinstance(value, dict) and "median" in value:
                text.append("{} {} ({} to {})".format(key, *(short(value[k]) for k in ("median", "min", "max"))))
        print(f"{row['name']:32} {row['unit']}: " + ", ".join(text), flush=True)

    def finish(self, **more):
        """Writes the file when every case is whole. The exit code: 0, or 3 when the budget ended before that."""
        if self.left:
            print(f"{self.left} cases are left" + (f", what was measured is in {self.part}: the same command goes on" if self.part else ""), file=sys.stderr)
            return 3
        if not self.cases:
            refuse("nothing was measured")
        if self.o.out:
            try:
                check_tree()
            except Refused as error:
                refuse(error)
            head = facts(load=statistics.median(self.loads))
            if max(self.loads) > LOAD_MOST:
                head["busy"] = True
            if self.o.filter:
                head["filter"] = self.o.filter
            write(self.o.out, {**head, **self.facts, "seconds": self.o.seconds, **more, "results": self.cases})
            os.remove(self.part)
        return 0


def record(out, command, busy):
    """Runs a program that prints one object, and writes it under the facts."""
    kept = Record(out, busy)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}: nothing was recorded")
    kept.write({k: v for k, v in json.loads(done.stdout).items() if k not in ("commit", "date", "hardware", "command")}, shlex.join(command))


def main():
    parser = argparse.ArgumentParser(description="looks at files of results, or makes one of what a program prints")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("whole", help="exit code 0 when FILE need not be measured again").add_argument("file")
    one = verbs.add_parser("record", help="writes the object that COMMAND prints, with commit, hardware and load")
    one.add_argument("--busy", action="store_true")
    one.add_argument("file")
    one.add_argument("command", nargs=argparse.REMAINDER)
    o = parser.parse_args()
    return not is_whole(o.file) if o.verb == "whole" else record(o.file, o.command, o.busy)


if __name__ == "__main__":
    sys.exit(main())
