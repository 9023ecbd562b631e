"""Our Atari against ALE, frame by frame, game by game.

    python lockstep.py --driver build/atari_driver [--games pong,tetris] [--frames 20000]
                       [--seeds 1,2,3] [--sticky 0,0.25] [--modes all|default] [--json FILE]

ale-py runs here, ours in a process of its own. Compared at every frame: all 128 bytes of RAM, the
palette screen, reward, lives, end of game, the episode's frame number. Actions are uniform over ALE's
full set, held for 1 to 12 frames, so that games are really played; now and then the game is reset.
"""
import argparse, json, os, subprocess, sys, time, zlib

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
    env = dict(os.environ, **({"CLONE": "1"} if clone else {}))
    done = subprocess.run(command, input=actions.tobytes(), capture_output=True, env=env)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return np.frombuffer(done.stdout, RECORD)


def differences(ale, theirs, r):
    out = []
    ram = ale.getRAM()
    if (ram != r["ram"]).any():
        at = np.nonzero(ram != r["ram"])[0]
        out.append("ram " + " ".join(f"{128 + i:02x}:{ram[i]:02x}/{r['ram'][i]:02x}" for i in at[:6]))
    if zlib.crc32(ale.getScreen().tobytes()) != r["screen"]:
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
    result = dict(game=game, seed=seed, sticky=sticky, mode=mode, difficulty=difficulty, frames=0, episodes=0, score=0, rewards=0, equal=True)

    def check(r, reward):
        bad = differences(ale, dict(reward=reward, lives=ale.lives(), frame=ale.getEpisodeFrameNumber(),
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


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--driver", required=True)
    p.add_argument("--roms")
    p.add_argument("--games", default="")
    p.add_argument("--frames", type=int, default=20000)
    p.add_argument("--seeds", default="1")
    p.add_argument("--sticky", default="0,0.25")
    p.add_argument("--modes", default="default")
    p.add_argument("--max-frames", type=int, default=0)
    p.add_argument("--clone", action="store_true")
    p.add_argument("--json")
    args = p.parse_args()
    roms = args.roms or os.path.join(os.path.dirname(ale_py.__file__), "roms")
    listed = os.path.join(os.path.dirname(os.path.abspath(__file__)), "games.txt")
    names = args.games.split(",") if args.games else open(listed).read().split()
    rows, start = [], time.time()
    for game in names:
        rom = os.path.join(roms, game + ".bin")
        cases = [(-1, 0)]
        if args.modes == "all":
            ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
            ale = ale_py.ALEInterface()
            ale.loadROM(rom)
            levels = ale.getAvailableDifficulties()
            cases = [(m, d) for m in ale.getAvailableModes() for d in levels]
            if len(cases) > 200:
                cases = cases[:60] + cases[60::20]
        for mode, difficulty in cases:
            for seed in map(int, args.seeds.split(",")):
                for sticky in map(float, args.sticky.split(",")):
                    try:
                        r = lockstep(args, game, rom, seed, sticky, mode, difficulty, args.frames, args.max_frames)
                    except RuntimeError as e:
                        r = dict(game=game, seed=seed, sticky=sticky, mode=mode, difficulty=difficulty, equal=False, frames=0, first=str(e).strip())
                    rows.append(r)
                    if not r["equal"] or args.modes != "all":
                        print(("equal  " if r["equal"] else "DIFFERS"), game, f"mode {mode}.{difficulty} seed {seed} sticky {sticky}:", f"{r['frames']} frames, {r.get('episodes')} resets, {r.get('rewards')} rewards", r.get("first", ""), flush=True)
    bad = [r for r in rows if not r["equal"]]
    print(f"{len(rows)} runs, {len(rows) - len(bad)} equal, {len(bad)} differ in {sorted({r['game'] for r in bad})}; {sum(r['frames'] for r in rows)} frames, {time.time() - start:.0f} s")
    if args.json:
        json.dump(dict(ale_py=ale_py.__version__, command=" ".join(sys.argv), rows=rows), open(args.json, "w"), indent=0)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
