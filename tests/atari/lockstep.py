"""Compares the emulator with ALE, frame by frame, game by game.

    python lockstep.py --driver build/atari_driver [--games pong,tetris] [--frames 20000]
                       [--seeds 1,2,3] [--sticky 0,0.25] [--modes all|default] [--jobs 2] [--resume FILE] [--json FILE]

ale-py runs in this process, the emulator in one of its own. Compared at every frame: all 128 bytes of RAM,
the palette screen, reward, lives, end of game, the episode's frame number. Actions are uniform over ALE's
full set and held for 1 to 12 frames, so that games progress; one in 4,000 is a reset. The report holds a
checksum of each run's records: `--replay REPORT` compares a later build with those, without ALE and many
times faster.
"""
import argparse, concurrent.futures, json, os, subprocess, sys, time, zlib

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
import measured

try:
    import numpy as np
    import ale_py
except ImportError as e:
    print(f"SKIPPED: {e}: pip install ale-py numpy, and name that Python in VLY_PYTHON", file=sys.stderr)
    sys.exit(77)

RECORD = np.dtype([("ram", np.uint8, 128), ("reward", "<i4"), ("lives", "<i4"), ("frame", "<i4"),
                   ("over", np.uint8), ("truncated", np.uint8), ("failed", np.uint8), ("pad", np.uint8),
                   ("screen", "<u4")])


def actions_for(n, seed, resets=True):
    rng = np.random.default_rng(seed)
    out = np.repeat(rng.integers(0, 18, n), rng.integers(1, 13, n))[:n].astype(np.uint8)
    if resets:
        out[rng.integers(0, n, max(1, n // 4000))] = 255
    return out


def ours(args, game, rom, seed, sticky, mode, difficulty, max_frames, resets, actions, clone=False):
    command = [args.driver, game, rom, str(seed), repr(sticky), str(mode), str(difficulty), str(max_frames), str(resets)]
    env = dict(os.environ, **({"CLONE": "1"} if clone else {}), **({"UNDRAWN": "1"} if args.undrawn else {}))
    done = subprocess.run(command, input=actions.tobytes(), capture_output=True, env=env)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return np.frombuffer(done.stdout, RECORD)


class Screen:
    """The RAM and the screen's checksum of ALE, without an array a frame."""

    def __init__(self, ale, drawn):
        self.ale, self.drawn = ale, drawn
        height, width = ale.getScreenDims()
        self.ram, self.pixels = np.zeros(128, np.uint8), np.zeros((height, width), np.uint8)

    def differences(self, theirs, r):
        out = []
        self.ale.getRAM(self.ram)
        self.ale.getScreen(self.pixels)
        ram = self.ram
        if ram.tobytes() != r["ram"].tobytes():
            at = np.nonzero(ram != r["ram"])[0]
            out.append("ram " + " ".join(f"{128 + i:02x}:{ram[i]:02x}/{r['ram'][i]:02x}" for i in at[:6]))
        if self.drawn and zlib.crc32(self.pixels) != r["screen"]:
            out.append("screen")
        for key, want in theirs.items():
            if int(want) != int(r[key]):
                out.append(f"{key} {int(want)}/{int(r[key])}")
        return out


def lockstep(args, game, rom, seed, sticky, mode=-1, difficulty=0, frames=20000, max_frames=0):
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", sticky)
    ale.setInt("max_num_frames_per_episode", max_frames)
    ale.loadROM(rom)
    resets = 0
    if mode >= 0 or difficulty:
        if mode >= 0:
            ale.setMode(mode)
        ale.setDifficulty(difficulty)
        ale.reset_game()
        resets = 1
    actions = actions_for(frames, seed * 1000003 + zlib.crc32(game.encode()))
    records = ours(args, game, rom, seed, sticky, mode, difficulty, max_frames, resets, actions, args.clone)
    seen = Screen(ale, not args.undrawn)
    result = dict(game=game, seed=seed, sticky=sticky, mode=mode, difficulty=difficulty, frames=0, episodes=0, score=0, rewards=0, equal=True,
                  digest=f"{zlib.crc32(records):08x}")

    def check(r, reward):
        bad = seen.differences(dict(reward=reward, lives=ale.lives(), frame=ale.getEpisodeFrameNumber(),
                                    over=ale.game_over(with_truncation=False), truncated=ale.game_truncated()), r)
        if bad:
            result["equal"] = False
            result["first"] = f"frame {result['frames']}: " + "; ".join(bad)
        return not bad

    i = 1
    if not check(records[0], 0):
        return result
    for a in actions:
        if a == 255:
            ale.reset_game()
            result["episodes"] += 1
            continue
        reward = ale.act(int(a))
        if i >= len(records):
            result.update(equal=False, first="our side stopped")
            break
        if not check(records[i], reward):
            break
        i += 1
        result["frames"] += 1
        result["score"] += reward
        result["rewards"] += reward != 0
        if ale.game_over():
            ale.reset_game()
            result["episodes"] += 1
    return result


def replay(args, game, rom, seed, sticky, mode, difficulty, frames):
    """Our side alone: for a digest that an earlier build earned beside ALE."""
    resets = 1 if mode >= 0 or difficulty else 0
    actions = actions_for(frames, seed * 1000003 + zlib.crc32(game.encode()))
    records = ours(args, game, rom, seed, sticky, mode, difficulty, 0, resets, actions, args.clone)
    return dict(game=game, seed=seed, sticky=sticky, mode=mode, difficulty=difficulty, frames=len(records) - 1,
                equal=True, digest=f"{zlib.crc32(records):08x}")


KEY = ("game", "seed", "sticky", "mode", "difficulty")


def one(job):
    args, (game, seed, sticky, mode, difficulty) = job
    rom = os.path.join(args.roms, game + ".bin")
    try:
        if args.replay:
            return replay(args, game, rom, seed, sticky, mode, difficulty, args.frames)
        return lockstep(args, game, rom, seed, sticky, mode, difficulty, args.frames, args.max_frames)
    except RuntimeError as e:
        return dict(game=game, seed=seed, sticky=sticky, mode=mode, difficulty=difficulty, equal=False, frames=0, first=str(e).strip())


def cases_of(args, game):
    if args.modes != "all":
        return [(-1, 0)]
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.loadROM(os.path.join(args.roms, game + ".bin"))
    cases = [(m, d) for m in ale.getAvailableModes() for d in ale.getAvailableDifficulties()]
    return cases if len(cases) <= 200 else cases[:60] + cases[60::20]


def summary(rows):
    """A row per game."""
    games = {}
    for r in rows:
        g = games.setdefault(r["game"], dict(game=r["game"], runs=0, equal=0, frames=0, episodes=0, rewards=0, differs=[], digests={}))
        g["runs"] += 1
        g["equal"] += bool(r["equal"])
        for key in ("frames", "episodes", "rewards"):
            g[key] += r.get(key, 0)
        g["digests"]["/".join(str(r[k]) for k in KEY[1:])] = r.get("digest")
        if not r["equal"]:
            g["differs"].append({k: r[k] for k in KEY[1:]} | {"first": r.get("first")})
    return [games[k] for k in sorted(games)]


def compare_digests(rows, path):
    known = {g["game"]: g["digests"] for g in json.load(open(path))["rows"]}
    for r in rows:
        want = known.get(r["game"], {}).get("/".join(str(r[k]) for k in KEY[1:]))
        if want != r.get("digest"):
            r.update(equal=False, first=f"digest {r.get('digest')}, was {want}")


def parsed():
    p = argparse.ArgumentParser()
    p.add_argument("--driver", required=True)
    p.add_argument("--roms")
    p.add_argument("--games", default="")
    p.add_argument("--frames", type=int, default=20000)
    p.add_argument("--seeds", default="1")
    p.add_argument("--sticky", default="0,0.25")
    p.add_argument("--modes", default="default")
    p.add_argument("--max-frames", type=int, default=0)
    p.add_argument("--clone", action="store_true", help="play every frame on a copy of the copy before it")
    p.add_argument("--undrawn", action="store_true", help="our side draws nothing, and screens are not compared")
    p.add_argument("--jobs", type=int, default=1, help="processes")
    p.add_argument("--resume", metavar="FILE", help="a line of JSON per run; runs that it already has are not repeated")
    p.add_argument("--replay", metavar="JSON", help="without ALE: our records against the digests of an earlier --json")
    p.add_argument("--json")
    args = p.parse_args()
    args.roms = args.roms or os.path.join(os.path.dirname(ale_py.__file__), "roms")
    return args


def main():
    args = parsed()
    listed = os.path.join(os.path.dirname(os.path.abspath(__file__)), "games.txt")
    names = args.games.split(",") if args.games else open(listed).read().split()
    start, record = time.time(), measured.Record(args.json, timed=False)
    rows = [json.loads(line) for line in open(args.resume)] if args.resume and os.path.exists(args.resume) else []
    done = {tuple(r[k] for k in KEY) for r in rows}
    jobs = [(game, seed, sticky, mode, difficulty) for seed in map(int, args.seeds.split(",")) for sticky in map(float, args.sticky.split(","))
            for game in names for mode, difficulty in cases_of(args, game)]
    jobs = [(args, j) for j in jobs if j not in done]
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        for r in pool.map(one, jobs) if args.jobs > 1 else map(one, jobs):
            rows.append(r)
            if args.resume:
                with open(args.resume, "a") as out:
                    out.write(json.dumps(r) + "\n")
            if not r["equal"] or args.modes != "all":
                print(("equal  " if r["equal"] else "DIFFERS"), r["game"], f"mode {r['mode']}.{r['difficulty']} seed {r['seed']} sticky {r['sticky']}:",
                      f"{r['frames']} frames, {r.get('episodes')} resets, {r.get('rewards')} rewards", r.get("first", ""), flush=True)
    if args.replay:
        compare_digests(rows, args.replay)
    bad = [r for r in rows if not r["equal"]]
    print(f"{len(rows)} runs, {len(rows) - len(bad)} equal, {len(bad)} differ in {sorted({r['game'] for r in bad})}; "
          f"{sum(r['frames'] for r in rows)} frames, {time.time() - start:.0f} s")
    if args.json:
        record.write(dict(ale_py=ale_py.__version__, runs=len(rows), equal=len(rows) - len(bad), frames=sum(r["frames"] for r in rows),
                          rows=list(summary(rows))))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
