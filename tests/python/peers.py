"""Volley's faces beside the originals: ale-py's AtariVectorEnv and EnvPool, every array of every step.

    python peers.py [--games breakout,seaquest | all] [--turns N] [--steps 84] [--envs 2] [--seeds 1,2,3] [--peer ale,envpool]
    python peers.py --games all --turns 3 --json FILE         # writes digests of what the peers showed, for:
    python peers.py --replay FILE                             # Volley alone against these digests
    python peers.py --games all --turns 9999 --steps 1000 --envs 4 --budget 3600 --json FILE     # an hour more each time

Compared: observations, rewards, ends and information, their types and shapes; where ALE leaves rows of final_obs undefined, the
others. Half-way some environments are reset. A peer that is not installed is passed over, and named.

Each game is played in turns, each time with the next setting; after all settings, with the next seed. Without --turns every setting
has every seed. FILE has for each game and peer the digest of each turn, over all that the peer showed; a run with the same FILE
goes on where it ends, and plays again what differed. --budget ends between two turns, SIGTERM and Control-C at once.
"""

import argparse
import functools
import hashlib
import json
import os
import signal
import sys
import time

try:
    import numpy as np
    import gymnasium  # noqa: F401

    import volley
except ImportError as e:
    print(f"SKIPPED: {e}: name a Python with gymnasium in VLY_PYTHON", file=sys.stderr)
    sys.exit(77)

ALE = [
    {},
    {"autoreset_mode": "SameStep"},
    {"autoreset_mode": "SameStep", "episodic_life": True, "max_num_frames_per_episode": 300},
    {"repeat_action_probability": 0.25},
    {"episodic_life": True, "max_num_frames_per_episode": 300},
    {"life_loss_info": True, "max_num_frames_per_episode": 500},
    {"grayscale": False},
    {"img_height": 210, "img_width": 160},
    {"stack_num": 1, "frameskip": 1},
    {"maxpool": False, "episodic_life": True},
    {"noop_max": 0, "use_fire_reset": False},
    {"full_action_space": True, "reward_clipping": False},
]
ENVPOOL = [
    {},
    {"seed": [5, 9, 2, 4, 1, 3, 8, 7]},
    {"episodic_life": True, "max_episode_steps": 60},
    {"reward_clip": True, "repeat_action_probability": 0.25},
    {"gray_scale": False, "stack_num": 2, "frame_skip": 3},
    {"noop_max": 1, "use_fire_reset": False, "full_action_space": True},
]
PACKAGES = {"ale": "ale-py", "envpool": "envpool"}
SAVED_EVERY_S = 60


# ---- what is compared ----


def same(what, ours, theirs, rows=None):
    assert ours.dtype == theirs.dtype, f"{what}: type {ours.dtype}, the peer's is {theirs.dtype}"
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, the peer's is {theirs.shape}"
    a, b = (ours, theirs) if rows is None else (ours[rows], theirs[rows])
    assert np.array_equal(a, b), f"{what}: {np.argwhere(a != b)[:4].tolist()} differ"


def same_info(t, ours, theirs, over=None):
    assert set(ours) == set(theirs), f"step {t}: information {sorted(ours)}, the peer's is {sorted(theirs)}"
    for key, value in ours.items():
        if isinstance(value, dict):
            same_info(t, value, theirs[key])
        else:
            same(f"step {t}: {key}", value, theirs[key], over if key == "final_obs" else None)


def same_spaces(ours, theirs):
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name), f"{name}: {getattr(ours, name)}, the peer's is {getattr(theirs, name)}"


name_of = functools.cache(str)  # NumPy makes the name of a type anew each time


def add(digest, value, over=None):
    """An array, or a dictionary of them."""
    if isinstance(value, dict):
        for key in sorted(value):
            digest.update(key.encode())
            add(digest, value[key], over if key == "final_obs" else None)
        return
    array = np.ascontiguousarray(value if over is None else value[over])
    digest.update(f"{name_of(array.dtype)}{array.shape}".encode())
    digest.update(array)


class Pair:
    """Ours and a peer's environments, or ours alone; the digest is of what the peer showed, where there is one."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs, self.digest = ours, theirs, hashlib.sha256()
        if theirs is not None:
            same_spaces(ours, theirs)

    def reset(self, what, **reset):
        shown = self.ours.reset(**reset)
        if self.theirs is not None:
            mine, shown = shown, self.theirs.reset(**reset)
            same(what, mine[0], shown[0])
            same_info(what, mine[1], shown[1])
        for part in shown:
            add(self.digest, part)

    def step(self, t, action):
        shown = self.ours.step(action)
        over = shown[2] | shown[3]
        if self.theirs is not None:
            mine, shown = shown, self.theirs.step(action)
            for name, x, y in zip(("observation", "reward", "terminated", "truncated"), mine, shown):
                same(f"step {t}: {name}", x, y)
            same_info(f"step {t}", mine[4], shown[4], over)
        for part in shown[:4]:
            add(self.digest, part)
        add(self.digest, shown[4], over)
        return int(over.sum())

    def close(self):
        for envs in (self.ours, self.theirs):
            if envs is not None:
                envs.close()


def play(pair, key, steps, **reset):
    """Random actions, which NumPy's frozen generator gives for ever; how many episodes ended."""
    rng, ends, n, actions = np.random.RandomState(key), 0, pair.ours.num_envs, pair.ours.single_action_space.n
    pair.reset("reset", **reset)
    for t in range(steps):
        if t == steps // 2:
            mask = rng.random_sample(n) < 0.5
            mask[rng.randint(n)] = True
            pair.reset(f"reset at {t}", options={"reset_mask": mask})
        ends += pair.step(t, rng.randint(0, actions, n, np.int64))
    return ends


# ---- the peers ----


def camel(game):
    return "".join(w.capitalize() for w in game.split("_"))


def ale(game, options, seed, envs, with_peer):
    peer = None
    if with_peer:
        from ale_py.vector_env import AtariVectorEnv as peer
    if options.get("img_width") == 160:
        screen = volley.make_vec(game, options={"atari.preset": "ale", "atari.size": 210}).single_observation_space.shape
        options = {**options, "img_height": screen[-2] if screen[-1] == 160 else screen[-3]}
    return [make and make(game, envs, num_threads=1, **options) for make in (volley.AtariVectorEnv, peer)], {"seed": seed}


def envpool(game, options, seed, envs, with_peer):
    from volley import envpool as ours

    peer = None
    if with_peer:
        import envpool as peer
    options = {"seed": seed, **options}
    if isinstance(options["seed"], list):
        options["seed"] = options["seed"][:envs]
    return [module and module.make(f"{camel(game)}-v5", "gymnasium", num_envs=envs, num_threads=1, **options) for module in (ours, peer)], {}


PEERS = {"ale": (ale, ALE), "envpool": (envpool, ENVPOOL)}


def setting_of(peer, game, turn, seeds):
    """A turn's setting and seed: games begin at different settings, and the seed changes when each setting had its turn."""
    settings = PEERS[peer][1]
    first, n = volley.names("atari").index(game), len(settings)
    return settings[(first + turn) % n], seeds[(turn % n + turn // n) % len(seeds)]


def run(peer, game, turn, about, with_peer=True):
    """(ends, digest) of one turn; AssertionError says what differs."""
    setting, seed = setting_of(peer, game, turn, about["seeds"])
    made, reset = PEERS[peer][0](game, setting, seed, about["envs"], with_peer)
    pair = Pair(*made)
    try:
        return play(pair, [seed, turn], about["steps_each"], **reset), pair.digest.hexdigest()[:16]
    finally:
        pair.close()


# ---- the file ----


class Kept:
    """Digests by peer and game, a word each; "differs" where there was a difference, which is played again."""

    def __init__(self, about, path=None):
        self.path, self.rows, self.differing, self.commits, self.saved = path, {}, [], [], time.monotonic()
        self.about = about
        if path:
            sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
            import measured

            self.record = measured.Record(path, timed=False)
            self.commits = [measured.commit()]
            if os.path.exists(path):
                self._read()

    def _read(self):
        with open(self.path) as f:
            before = json.load(f)
        for key, value in self.about.items():
            if before[key] != value:
                sys.exit(f"{self.path} was made with {key} {before[key]}, not {value}: name another file, or the same {key}")
        self.rows = {(r["peer"], r["game"]): {**r, "digests": r["digests"].split()} for r in before["runs"]}
        self.commits = [c for c in before.get("commits", []) if c not in self.commits] + self.commits

    def row(self, peer, game):
        return self.rows.setdefault((peer, game), {"peer": peer, "game": game, "steps": 0, "ends": 0, "differences": 0, "digests": []})

    def has(self, peer, game, turn):
        digests = self.row(peer, game)["digests"]
        return turn < len(digests) and digests[turn] != "differs"

    def put(self, peer, game, turn, ends, digest):
        row = self.row(peer, game)
        row["digests"][turn : turn + 1] = [digest]
        row["ends"] += ends
        row["differences"] = row["digests"].count("differs")
        row["steps"] = (len(row["digests"]) - row["differences"]) * self.about["steps_each"] * self.about["envs"]
        if self.path and time.monotonic() - self.saved > SAVED_EVERY_S:
            self.write()

    def results(self):
        """A row for each peer."""
        rows = []
        for peer in sorted({p for p, _ in self.rows}):
            mine = [r for r in self.rows.values() if r["peer"] == peer and r["digests"]]
            settings, seeds, turns = len(PEERS[peer][1]), len(self.about["seeds"]), max((len(r["digests"]) for r in mine), default=0)
            rows.append({"peer": peer, "games": len(mine), "settings": min(turns, settings), "seeds": min(turns, seeds), "turns": turns,
                         **{key: sum(r[key] for r in mine) for key in ("steps", "ends", "differences")}})
        return rows

    def sums(self):
        rows = self.results()
        return {"games": max((r["games"] for r in rows), default=0), **{key: sum(r[key] for r in rows) for key in ("steps", "ends", "differences")}}

    def write(self):
        if self.path:
            runs = [{**r, "digests": " ".join(r["digests"])} for r in self.rows.values() if r["digests"]]
            self.record.write({"commit": self.commits[-1], **self.about, "commits": self.commits, **self.sums(), "results": self.results(), "differing": self.differing, "runs": runs})
            self.saved = time.monotonic()


def compare(args, games):
    from importlib import metadata

    peers, seeds = args.peer.split(","), [int(s) for s in args.seeds.split(",")]
    versions, absent = {}, set()
    for peer in peers:
        try:
            versions[PACKAGES[peer]] = metadata.version(PACKAGES[peer])
        except metadata.PackageNotFoundError:
            print(f"SKIPPED in part: {PACKAGES[peer]} is not installed", file=sys.stderr)
            absent.add(peer)
    kept = Kept({"peers": versions, "seeds": seeds, "steps_each": args.steps, "envs": args.envs}, args.json)
    whole = {peer: len(PEERS[peer][1]) * len(seeds) for peer in peers}
    until = time.monotonic() + args.budget
    wanted = [(peer, game, turn) for turn in range(args.turns or max(whole.values())) for game in games for peer in peers
              if peer not in absent and (args.turns or turn < whole[peer]) and not kept.has(peer, game, turn)]
    try:
        for peer, game, turn in wanted:
            if time.monotonic() > until:
                break
            try:
                ends, digest = run(peer, game, turn, kept.about)
            except (AssertionError, volley.Error) as e:
                ends, digest = 0, "differs"
                setting, seed = setting_of(peer, game, turn, seeds)
                kept.differing.append({"peer": peer, "game": game, "setting": setting, "seed": seed, "turn": turn, "what": str(e)})
                print(f"DIFFERS {peer} {game} {setting} seed {seed} turn {turn}: {e}", flush=True)
            kept.put(peer, game, turn, ends, digest)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
    kept.write()
    sums = kept.sums()
    print(f"{sums['games']} games, {sums['steps']} steps, {sums['ends']} ends, {sums['differences']} differ")
    sys.exit(1 if sums["differences"] else 0 if sums["steps"] else 77)


def replay(args):
    """Volley's rows of every recorded turn, against the digest of what its peer showed."""
    with open(args.replay) as f:
        recorded = json.load(f)
    turns, ends, wrong, until = 0, 0, 0, time.monotonic() + args.budget
    for row in (r for r in recorded["runs"] if r["peer"] in args.peer.split(",")):
        for turn, digest in enumerate(row["digests"].split()):
            if digest == "differs" or time.monotonic() > until:
                continue
            ended, mine = run(row["peer"], row["game"], turn, recorded, with_peer=False)
            turns, ends = turns + 1, ends + ended
            if mine != digest:
                wrong += 1
                setting, seed = setting_of(row["peer"], row["game"], turn, recorded["seeds"])
                print(f"DIFFERS {row['peer']} {row['game']} {setting} seed {seed} turn {turn}", flush=True)
    print(f"{turns} turns, {turns * recorded['steps_each'] * recorded['envs']} steps, {ends} ends, {wrong} differ from {recorded['peers']}")
    sys.exit(1 if wrong or not turns else 0)


def parsed():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--games", default="breakout")
    p.add_argument("--steps", type=int, default=84)
    p.add_argument("--seeds", default="1,2,3")
    p.add_argument("--envs", type=int, default=2)
    p.add_argument("--peer", default="ale,envpool")
    p.add_argument("--turns", type=int, default=0)
    p.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--replay", metavar="FILE")
    return p.parse_args()


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    args = parsed()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        volley.AtariVectorEnv("pong", 1).close()
    except LookupError as e:
        print(f"SKIPPED: {e}", file=sys.stderr)
        sys.exit(77)
    if args.replay:
        replay(args)
    compare(args, volley.names("atari") if args.games == "all" else args.games.split(","))


if __name__ == "__main__":
    main()
