"""Volley's faces beside the originals: ale-py's AtariVectorEnv and EnvPool, every array of every step.

    python peers.py [--games breakout,seaquest | all] [--steps 200] [--seeds 1,2,3] [--envs 3] [--peer ale,envpool] [--short]

Compared: observations, rewards, ends and information, their types and shapes; where ALE leaves rows of final_obs undefined, the
others. A peer that is not installed is passed over, and named.
"""

import argparse
import sys

try:
    import numpy as np
    import gymnasium

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


def play(ours, theirs, number, steps, **reset):
    """Both, with the same actions; how many episodes ended."""
    same_spaces(ours, theirs)
    (mine, my_info), (other, other_info) = ours.reset(**reset), theirs.reset(**reset)
    same("reset", mine, other)
    same_info("reset", my_info, other_info)
    rng, ends, actions = np.random.default_rng(number), 0, ours.single_action_space.n
    for t in range(steps):
        action = rng.integers(0, actions, ours.num_envs)
        a, b = ours.step(action), theirs.step(action)
        for name, x, y in zip(("observation", "reward", "terminated", "truncated"), a, b):
            same(f"step {t}: {name}", x, y)
        over = a[2] | a[3]
        same_info(f"step {t}", a[4], b[4], over)
        ends += int(over.sum())
    ours.close()
    theirs.close()
    return ends


def camel(game):
    return "".join(w.capitalize() for w in game.split("_"))


def ale(game, options, seed, args):
    from ale_py.vector_env import AtariVectorEnv

    pair = [make(game, args.envs, **options) for make in (volley.AtariVectorEnv, AtariVectorEnv)]
    return play(*pair, seed, args.steps, seed=seed)


def envpool(game, options, seed, args):
    import envpool as peer
    from volley import envpool as ours

    options = {"seed": seed, **options}
    if isinstance(options["seed"], list):
        options["seed"] = options["seed"][: args.envs]
    pair = [make(f"{camel(game)}-v5", "gymnasium", num_envs=args.envs, **options) for make in (ours.make, peer.make)]
    return play(*pair, seed, args.steps)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--games", default="breakout")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--seeds", default="1")
    p.add_argument("--envs", type=int, default=3)
    p.add_argument("--peer", default="ale,envpool")
    p.add_argument("--short", action="store_true", help="the first settings alone")
    args = p.parse_args()
    games = volley.names("atari") if args.games == "all" else args.games.split(",")
    ran = wrong = steps = ends = 0
    for name in args.peer.split(","):
        compare, settings = {"ale": (ale, ALE), "envpool": (envpool, ENVPOOL)}[name]
        for game in games:
            for options in settings[:1] if args.short else settings:
                for seed in map(int, args.seeds.split(",")):
                    try:
                        ends += compare(game, options, seed, args)
                        ran, steps = ran + 1, steps + args.steps * args.envs
                    except ModuleNotFoundError as e:
                        print(f"SKIPPED in part: {name}: {e}", file=sys.stderr)
                        break
                    except (AssertionError, volley.Error) as e:
                        wrong += 1
                        print(f"DIFFERS {name} {game} {options} seed {seed}: {e}", flush=True)
                else:
                    continue
                break
    print(f"{ran} runs, {steps} steps, {ends} ends, {wrong} differ")
    sys.exit(1 if wrong else 0 if ran else 77)


if __name__ == "__main__":
    main()
