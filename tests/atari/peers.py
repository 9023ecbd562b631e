"""Compares the observations with the peers': Gymnasium's AtariPreprocessing, ALE's AtariVectorEnv, EnvPool.

    python peers.py --driver build/atari_steps [--peer gymnasium,ale,envpool] [--games pong,...]
                    [--steps 10000] [--seed 3] [--json FILE]

The peer runs in this process, the environment in one of its own with the preset of the peer's name, the same seed
and the same actions. Compared at every step: all bytes of the newest 84 x 84 picture, the reward,
terminated and truncated. An ended episode is reset by an ordinary reset() without a seed.
"""
import argparse, json, os, subprocess, sys, time, zlib

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
import measured

try:
    import numpy as np
    import ale_py
except ImportError as e:
    print(f"SKIPPED: {e}: pip install ale-py numpy, and name that Python in VLY_PYTHON", file=sys.stderr)
    sys.exit(77)

TEN = "pong,breakout,seaquest,space_invaders,ms_pacman,qbert,beam_rider,montezuma_revenge,freeway,asterix"
ROW = np.dtype([("reward", "<f4"), ("flags", "<u4"), ("obs", "<u4")])
TERMINATED, TRUNCATED, RESET = 1, 2, 4


def camel(game):
    return "".join(w.capitalize() for w in game.split("_"))


class Gymnasium:
    """gymnasium.wrappers.AtariPreprocessing over ALE/X-v5 without its own frame skip"""
    def __init__(self, args, game, seed, options):
        import cv2, gymnasium as gym
        gym.register_envs(ale_py)
        env = gym.make(f"ALE/{camel(game)}-v5", frameskip=1, repeat_action_probability=options.get("sticky", 0.0),
                       max_num_frames_per_episode=options.get("max_frames", 108000))
        self.env = gym.wrappers.AtariPreprocessing(env, terminal_on_life_loss=bool(options.get("episodic_life", 0)))
        self.actions = self.env.action_space.n
        self.first, _ = self.env.reset(seed=seed)

    def step(self, a):
        obs, r, t, u, _ = self.env.step(a)
        return obs, r, t, u

    def reset(self):
        return self.env.reset()[0]


class Ale:
    """ale_py's AtariVectorEnv of one environment; its stack's newest picture"""
    def __init__(self, args, game, seed, options):
        from ale_py.vector_env import AtariVectorEnv
        more = {}
        if "sticky" in options: more["repeat_action_probability"] = options["sticky"]
        if "max_frames" in options: more["max_num_frames_per_episode"] = options["max_frames"]
        if "episodic_life" in options: more["episodic_life"] = bool(options["episodic_life"])
        self.env = AtariVectorEnv(game, num_envs=1, **more)
        self.actions = self.env.single_action_space.n
        self.first = self.env.reset(seed=seed)[0][0, -1]

    def step(self, a):
        obs, r, t, u, _ = self.env.step(np.array([a]))
        return obs[0, -1], r[0], t[0], u[0]

    def reset(self):
        return self.step(0)[0]


class EnvPool:
    """EnvPool of one environment; its stack's newest picture"""
    def __init__(self, args, game, seed, options):
        import envpool
        more = {}
        if "episodic_life" in options: more["episodic_life"] = bool(options["episodic_life"])
        if "max_frames" in options: more["max_episode_steps"] = options["max_frames"] // 4
        if "sticky" in options: more["repeat_action_probability"] = options["sticky"]
        self.env = envpool.make_gymnasium(f"{camel(game)}-v5", num_envs=1, seed=seed, **more)
        self.actions = self.env.action_space.n
        self.first = self.env.reset()[0][0, -1]

    def step(self, a):
        obs, r, t, u, _ = self.env.step(np.array([a]))
        return obs[0, -1], r[0], t[0], u[0]

    def reset(self):
        return self.step(0)[0]


PEERS = {"gymnasium": Gymnasium, "ale": Ale, "envpool": EnvPool}


def actions_for(n, count, seed):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, count, n), rng.integers(1, 8, n))[:n].astype(np.uint8)


def compare(args, peer_name, game, options):
    start = time.time()
    peer = PEERS[peer_name](args, game, args.seed, options)
    actions = actions_for(args.steps, peer.actions, args.seed + 77)
    text = ",".join(f"{k}={v}" for k, v in options.items())
    done = subprocess.run([args.driver, game, args.roms, peer_name, str(args.seed), text], input=actions.tobytes(), capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    rows = np.frombuffer(done.stdout, ROW)
    result = dict(peer=peer_name, game=game, options=options, seed=args.seed, steps=0, episodes=0, equal=True)

    def check(i, obs, r=0.0, t=False, u=False, reset=False):
        row, bad = rows[i], []
        if zlib.crc32(np.ascontiguousarray(obs).tobytes()) != row["obs"]: bad.append("picture")
        if float(r) != float(row["reward"]): bad.append(f"reward {r}/{row['reward']}")
        if bool(t) != bool(row["flags"] & TERMINATED): bad.append(f"terminated {t}")
        if bool(u) != bool(row["flags"] & TRUNCATED): bad.append(f"truncated {u}")
        if reset != bool(row["flags"] & RESET): bad.append("reset")
        if bad:
            result.update(equal=False, first=f"row {i}, step {result['steps']}: " + ", ".join(bad))
        return not bad

    ok, i, ended = check(0, peer.first, reset=True), 1, False
    for a in actions:
        if not ok:
            break
        if ended:
            ok, ended = check(i, peer.reset(), reset=True), False
            result["episodes"] += 1
        else:
            obs, r, t, u = peer.step(int(a))
            ok, ended = check(i, obs, r, t, u), t or u
            result["steps"] += 1
        i += 1
    result["seconds"] = round(time.time() - start, 1)
    return result


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--driver", required=True)
    p.add_argument("--roms", default="")
    p.add_argument("--peer", default="gymnasium,ale,envpool")
    p.add_argument("--games", default=TEN)
    p.add_argument("--steps", type=int, default=10000)
    p.add_argument("--seed", type=int, default=3)
    p.add_argument("--options", default="", help="more runs: 'episodic_life=1;sticky=0.25;max_frames=1000'")
    p.add_argument("--json")
    args = p.parse_args()
    args.roms = args.roms or os.path.join(os.path.dirname(ale_py.__file__), "roms")
    rows, skipped, record = [], False, measured.Record(args.json, timed=False)
    for peer in args.peer.split(","):
        for game in args.games.split(","):
            for options in [{}] + [dict((k, float(v) if "." in v else int(v)) for k, v in (x.split("=") for x in o.split(","))) for o in args.options.split(";") if o]:
                try:
                    r = compare(args, peer, game, options)
                except ImportError as e: # EnvPool and OpenCV are large: compared where they are
                    print(f"SKIPPED: {peer}: {e}", file=sys.stderr)
                    skipped = True
                    continue
                except RuntimeError as e:
                    r = dict(peer=peer, game=game, options=options, equal=False, first=f"cannot run: {e}", steps=0)
                rows.append(r)
                print("equal  " if r["equal"] else "DIFFERS", peer, game, options, f"{r['steps']} steps, {r.get('episodes')} resets", r.get("first", ""), flush=True)
    bad = [r for r in rows if not r["equal"]]
    print(f"{len(rows)} runs, {len(bad)} differ")
    if skipped and not rows:
        sys.exit(77)
    if args.json:
        versions = {}
        for name in ("ale_py", "gymnasium", "cv2", "envpool", "numpy"):
            try: versions[name] = __import__(name).__version__
            except Exception: pass
        record.write(dict(versions=versions, rows=rows))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
