"""What users of Gymnasium, EnvPool and NumPy do with the package, rightly and wrongly; run by ctest in the Python of VLY_PYTHON."""

import copy
import doctest
import importlib.util
import multiprocessing
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time
import warnings

from kit import refused

import numpy as np
import gymnasium as gym
import volley
import volley.single, volley._core, volley._library

FOLDER = tempfile.TemporaryDirectory(prefix="volley-python-")


def python(code):
    """What a fresh interpreter prints, on both channels."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout.strip(), done.stderr.strip()


# ---- imports ----


def what_is_imported_is_what_is_used():
    asked = "print([m for m in ('numpy', 'gymnasium', 'torch', 'tqdm', 'pettingzoo', 'asyncio') if m in sys.modules])"
    for code, there in (
        ("import volley, sys", []),
        ("import volley, sys; volley.names(); volley.Error", []),
        ("import volley, sys; volley.Trainer, volley.load", ["numpy"]),
        ("import volley, sys; volley.make_vec('cartpole', 2)", ["numpy", "gymnasium"]),
    ):
        out, err = python(f"{code}; {asked}")
        got = eval(out or "None")
        # Gymnasium may import torch by itself where it is installed.
        assert got is not None and [m for m in got if m in ("numpy", "gymnasium")] == there and "tqdm" not in got, (code, out, err)
        assert there == ["numpy", "gymnasium"] or got == there, (code, got)
    timed = "import time; start = time.process_time(); import volley; print(time.process_time() - start)"
    assert min(float(python(timed)[0]) for _ in range(4)) < 0.05  # of processor, with nothing compiled before
    mine = python("import sys; before = set(sys.modules); import volley; print(*(set(sys.modules) - before))")[0].split()
    assert "volley" in mine and "volley._core" not in mine and "volley.vector" not in mine, mine


def gymnasium_finds_the_ids_whoever_looked_for_it_before():
    made = "print(gymnasium.make_vec('volley/CartPole-v1', num_envs=2).num_envs, gymnasium.make('volley/MinAtar-Breakout-v0').spec.id)"
    for code in (
        "import volley, importlib.util; importlib.util.find_spec('gymnasium'); import gymnasium",
        "import volley, importlib; importlib.invalidate_caches(); import gymnasium",
        "import volley, importlib.metadata; importlib.metadata.version('gymnasium'); import gymnasium",
        "import volley, gymnasium.spaces, gymnasium; gymnasium.register_envs(volley)",
        "import volley, pkgutil, gymnasium; assert pkgutil.get_data('gymnasium', '__init__.py')",
    ):
        out, err = python(f"{code}; {made}")
        assert out == "2 volley/MinAtar-Breakout-v0", (code, out, err)


def options_go_before_what_an_id_sets():
    try:
        volley.AtariVectorEnv("pong", 1).close()
    except LookupError as e:
        print(f"SKIPPED in part: {e}", file=sys.stderr)
        return
    for options, skip, actions in (({}, 4, 6), ({"atari.frame_skip": 2}, 2, 6), ({"atari.full_actions": True}, 4, 18)):
        envs = gym.make_vec("volley/Pong-v5", num_envs=2, options=options)
        assert envs.unwrapped._core.facts.frames_per_step == skip and envs.single_action_space.n == actions, options
    sticky, exact, plain = (volley.make_vec(name, 4, options=options) for name, options in (
        ("ALE/Pong-v5", {}), ("ALE/Pong-v5", {"atari.sticky": 0}), ("pong", {"atari.sticky": 0})))
    shown, rng = [[e.reset(seed=1)[0]] for e in (sticky, exact, plain)], np.random.default_rng(0)
    for _ in range(60):
        action = rng.integers(0, 6, 4)
        for rows, envs in zip(shown, (sticky, exact, plain)):
            rows.append(envs.step(action)[0])
    assert np.array_equal(shown[1], shown[2]) and not np.array_equal(shown[0], shown[1])
    refused(ValueError, "frame_skip", volley.make_vec, "pong", 2, frame_skip=2)
    refused(ValueError, "no Atari game", volley.make_vec, "cartpole", 2, options={"atari.frame_skip": 2})
    assert repr(volley.envpool.make("Pong-v5", num_envs=2)).startswith("AtariGymnasiumEnvPool(num_envs=2, ")


# ---- one environment ----


def one_environment_is_gymnasiums():
    from gymnasium.utils.env_checker import check_env

    for name in ("volley/CartPole-v1", "volley/Pendulum-v1", "volley/MinAtar-Asterix-v0"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on bounds and ranges
            check_env(gym.make(name, render_mode="rgb_array").unwrapped, skip_close_check=True)
    ours, theirs = gym.make("volley/CartPole-v1"), gym.make("CartPole-v1")
    rng = np.random.default_rng(0)
    for episode in range(4):
        seed = 5 if episode == 0 else None
        assert np.array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
        over = False
        while not over:
            action = int(rng.integers(2))
            a, b = ours.step(action), theirs.step(action)
            assert np.array_equal(a[0], b[0]) and a[1:4] == b[1:4] and [type(x) for x in a[1:4]] == [float, bool, bool]
            over = a[2] or a[3]
    refused(ValueError, "ended", ours.step, 0)
    env = ours.unwrapped
    first, _ = env.reset(seed=3)
    state = env.get_state()
    moved = env.step(1)[0]
    assert np.array_equal(env.set_state(state), first) and np.array_equal(env.step(1)[0], moved)
    refused(TypeError, "get_state", copy.deepcopy, env)
    assert gym.make(pickle.loads(pickle.dumps(ours.spec))).reset(seed=1)[0].shape == (4,)
    limited = gym.wrappers.RecordEpisodeStatistics(gym.make("volley/CartPole-v1", max_episode_steps=7))
    limited.reset(seed=0)
    assert [limited.step(k % 2)[3] for k in range(7)] == [False] * 6 + [True]
    env.close()
    env.close()
    refused(ValueError, "closed", env.reset)
    in_turn = gym.make_vec("volley/CartPole-v1", num_envs=3, vectorization_mode="sync")
    at_once = gym.make_vec("volley/CartPole-v1", num_envs=3)
    assert np.array_equal(in_turn.reset(seed=2)[0], at_once.reset(seed=2)[0])


# ---- arguments ----


def seeds_are_whole_numbers():
    envs = volley.make_vec("cartpole", 2)
    first = envs.reset(seed=7)[0]
    for same in (np.int32(7), np.array(7), [7, 8], (7, 8), np.array([7, 8], ">u2"), (7 + i for i in range(2)), range(7, 9)):
        assert np.array_equal(envs.reset(seed=same)[0], first), same
    for wrong, words in (("12", "'12'"), (b"12", "b'12'"), (1.5, "1.5"), (7.0, "7.0"), ([1.5, 2], "float"), (object(), "object"), ({}, "")):
        refused((TypeError, ValueError), words, envs.reset, seed=wrong)
    for wrong, words in ((-1, "negative"), ([3, -1], "negative"), (1 << 63, "2^63"), ((1 << 63) - 1, "2^63"), ([1], "1 seeds for 2"), (np.arange(3), "3 seeds for 2")):
        refused(ValueError, words, envs.reset, seed=wrong)
    assert np.array_equal(envs.reset(seed=[7, (1 << 63) - 1])[0][0], first[0])
    envs.step([0, 0])  # what was refused changed nothing
    assert np.array_equal(envs.reset(seed=[7, None])[0][0], first[0])


def actions_come_in_any_layout():
    envs, again = volley.make_vec("cartpole", 4), volley.make_vec("cartpole", 4)
    envs.reset(seed=1), again.reset(seed=1)
    fixed = np.array([0, 1, 1, 0])
    fixed.flags.writeable = False
    wide = np.zeros((4, 3), np.int16)
    wide[:, 1] = fixed
    for given in (fixed, wide[:, 1], fixed.astype(">i4"), fixed.astype(np.uint64), [0, 1, 1, 0], tuple(fixed), fixed[::-1][::-1], [np.int8(a) for a in fixed]):
        assert np.array_equal(envs.step(given)[0], again.step(fixed)[0])
    for wrong in (fixed.astype(bool), fixed.astype(np.float32), fixed[:3], fixed[:, None], [0, 1, 1, None], "0110", [0, 1, 1, 1 << 40], np.full(4, 2**64 - 1, np.uint64), None):
        refused((ValueError, TypeError), "", envs.step, wrong)
    boxes = volley.make_vec("pendulum", 2)
    boxes.reset(seed=0)
    for given in (np.zeros((2, 1)), np.zeros((2, 1), int), [[0.0], [9.0]], np.zeros((2, 1), ">f8"), np.zeros((1, 2), np.float16).T):
        assert boxes.step(given)[0].shape == (2, 3)
    for wrong in (np.zeros((2, 1), complex), [[0.0], [np.inf]], [["a"], ["b"]], np.zeros(2)):
        refused((ValueError, TypeError), "", boxes.step, wrong)


def numbers_of_environments_and_threads_are_checked():
    for options in ({"num_envs": 0}, {"num_envs": -1}, {"num_envs": 2.5}, {"num_envs": "many"}, {"num_envs": 2, "batch_size": 3}, {"num_envs": 2, "batch_size": -1},
                    {"num_threads": -1}, {"max_episode_steps": -1}, {"max_episode_steps": "x"}, {"reward": "f16"}, {"autoreset_mode": "sometimes"}, {"autoreset_mode": None},
                    {"num_envs": 2, "batch_size": 1, "copy": False}):
        refused(ValueError, "", volley.make_vec, "cartpole", **options)
    for name in ("", None, 3, "cart\0pole", b"\0"):
        refused((ValueError, TypeError, LookupError), "", volley.make_vec, name)
    many = volley.make_vec("cartpole", 3, num_threads=500)  # more than there are processors, or environments
    assert many.reset(seed=0)[0].shape == (3, 4)
    for make in (lambda **o: volley.AtariVectorEnv("pong", **o), lambda **o: volley.envpool.make("Pong-v5", "gymnasium", **o)):
        for options in ({"num_envs": 0}, {"num_envs": 2, "batch_size": 3}, {"num_envs": 1, "num_threads": -2}):
            refused(ValueError, "", make, **options)


def options_are_python_values():
    envs = volley.make_vec("cliffwalking", 2, options={"slippery": np.True_})
    envs.reset(seed=0)
    for options in ({'a"b': 1}, {"a b": 1}, {"a=b": 1}, {"": 1}, {"slippery": 'x" num_envs="4'}):
        refused(ValueError, "", volley.make_vec, "cliffwalking", options=options)
    folder = pathlib.Path(FOLDER.name) / "with blanks, ünd more"
    options = {"net.hidden": [16, 16], "net.separate": True}
    with volley.Trainer("cartpole", "ppo", steps=2e3, seed=np.int64(1), workers=1, out=folder, options=options) as t:
        report = t.run()
        assert report["steps"] >= 2000 and pathlib.Path(t.folder) == folder and pathlib.Path(report["checkpoint"]).exists()
        refused(TypeError, "resume", pickle.dumps, t)
    policy = volley.load(folder)
    assert {w.shape[0] for n, w in policy.weights().items() if n.startswith("policy.") and "head" not in n} == {16}
    with volley.Trainer(resume=folder, steps=4e3) as t:
        refused(ValueError, "negative", t.train, -1)
        refused(TypeError, "", t.train, 1.5)
        assert t.train(steps=1e3)["steps"] >= 3000
    refused(ValueError, "class", volley.Trainer, gym.make("CartPole-v1"))
    refused(ValueError, "quote", volley.Trainer, "cartpole", out='a"b')


def policies_take_what_fits():
    with volley.Trainer("minatar/breakout", "ppo", steps=256, seed=1, workers=1, out=f"{FOLDER.name}/minatar") as t:
        t.run()
        policy = volley.load(t.folder)
    x = np.random.default_rng(0).integers(0, 2, (3, *policy.shape))
    first = policy.decide(x.astype(np.uint8))["logits"]
    for same in (x, x.astype(bool), x.astype(">i2"), np.asfortranarray(x.astype(np.uint8)), x.tolist()):
        assert np.array_equal(policy.decide(same)["logits"], first)
    for wrong in (x / 2, x.astype(np.float32), x + 255, x - 1, x.astype(complex), x.astype(str), x[:, :-1], x[0]):
        refused(ValueError, "", policy.decide, wrong)
    assert policy.act(x[0]) == policy.act(x)[0] and policy.value(x[0]) == policy.value(x)[0]
    for mask in (np.eye(6)[2] * 0.5, np.eye(6, dtype=np.int64)[2] * 256, np.eye(6, dtype=bool)[2]):
        assert policy.act(x[0], mask=mask) == 2
    refused(ValueError, "mask", policy.decide, x, mask=np.ones((3, 5)))
    refused(ValueError, "state", policy.decide, x, state=[[0]])
    refused(ValueError, "0 observations", policy.act, x[:0])
    for wrong in ({"episodes": 0}, {"episodes": 1, "seed": -1}, {"episodes": 1, "seed": 1 << 70}, {"episodes": 2.5}):
        refused((ValueError, TypeError), "", policy.evaluate, **wrong)
    refused(TypeError, "volley.load", pickle.dumps, policy)
    with policy:
        pass
    refused(ValueError, "closed", policy.weights)


def tables_are_acted_with_whatever_is_observed():
    with volley.Trainer("cliffwalking", "qlearning", steps=2000, seed=1, workers=1, out=f"{FOLDER.name}/table") as t:
        policy = volley.load(t.run()["folder"])
    for wild in (np.nan, np.inf, -np.inf, 1e30, -1e30):
        assert policy.act(np.full(policy.shape, wild, np.float32)) in range(4)


# ---- vectors ----


def vectors_close_once_and_are_not_copied():
    faces = [lambda: volley.make_vec("cartpole", 2)]
    try:
        volley.AtariVectorEnv("pong", 1).close()
        faces += [lambda: volley.AtariVectorEnv("pong", 2), lambda: volley.envpool.make_gymnasium("Pong-v5", num_envs=2)]
    except LookupError as e:
        print(f"SKIPPED in part: {e}", file=sys.stderr)
    for make in faces:
        with make() as envs:
            first = envs.reset()[0]
            assert first.shape[0] == 2
            for call in (pickle.dumps, copy.copy, copy.deepcopy):
                refused(TypeError, "get_state", call, envs)
            states = envs.get_state()
            assert np.array_equal(envs.set_state([1, 0], states[::-1]), first[::-1])
        assert envs.closed
        refused(ValueError, "closed", envs.step, np.zeros(2, int))
    for code in ("volley.make_vec('cartpoll')", "volley.AtariVectorEnv('pongg', 1)", "volley.envpool.make('X-v5')", "volley.AtariVectorEnv('pong', 1, frameskip=0)"):
        err = python(f"import volley\ntry: {code}\nexcept Exception: pass")[1]
        assert err == "", (code, err)


def asynchronous_calls_out_of_order_raise():
    envs = volley.make_vec("cartpole", 4, batch_size=2, num_threads=1)
    refused(ValueError, "reset", envs.send, [0, 0], [0, 1])
    refused(ValueError, "only 0", envs.recv)
    envs.async_reset(seed=1)
    refused(ValueError, "recv() first", envs.send, [0, 0], [0, 1])
    got = [envs.recv()[4]["env_id"] for _ in range(2)]
    assert sorted(np.concatenate(got)) == [0, 1, 2, 3]
    refused(ValueError, "only 0", envs.recv)
    refused(ValueError, "step() needs", envs.step, [0] * 4)
    refused(ValueError, "twice", envs.send, [0, 0], [2, 2])
    refused(ValueError, "shape", envs.send, [0], [0, 1])
    for ids in ([0, 9], [0, 1 << 32], [-1, 0], [0.0, 1.0], [[0, 1]], [True, False], []):
        refused((ValueError, IndexError), "", envs.send, [0] * 2, ids)
    envs.send([0, 1], np.array([3, 1], np.int64))
    assert sorted(envs.recv()[4]["env_id"]) == [1, 3]
    refused(ValueError, "without send", volley.make_vec("cartpole", 2).recv)


def a_sum(seed):
    envs = volley.make_vec("minatar/breakout", 3, num_threads=2)
    total = int(envs.reset(seed=seed)[0].sum())
    for t in range(50):
        total += int(envs.step([t % 3] * 3)[0].sum())
    return total


def processes_of_every_kind_make_their_own():
    here = a_sum(3)
    for kind in ("fork", "spawn", "forkserver"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fork beside threads
            with multiprocessing.get_context(kind).Pool(1) as pool:
                assert pool.apply(a_sum, (3,)) == here, kind


def interrupts_end_loops():
    code = """
import os, signal, threading, volley
envs = volley.make_vec('minatar/asterix', 64, num_threads=2)
envs.reset(seed=0)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True: envs.step(envs.action_space.sample())
except KeyboardInterrupt:
    envs.reset(seed=0); envs.step(envs.action_space.sample()); print('whole')
"""
    assert python(code) == ("whole", "")


def a_long_evaluation_is_interrupted():
    code = f"""
import os, signal, threading, time, volley
policy = volley.load({FOLDER.name!r} + '/table')
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try: policy.evaluate(3_000_000)
except (KeyboardInterrupt, volley.Error) as e: print(type(e).__name__)
"""
    assert python(code)[0] == "KeyboardInterrupt", python(code)


def documented_examples_run():
    for module in (volley.single, volley._core, volley._library):
        result = doctest.testmod(module, extraglobs={"volley": volley})
        assert result.failed == 0 and result.attempted > 0, module


HELPERS = {"refused", "python", "a_sum", "main"}


def main():
    claims = [f for name, f in globals().items() if callable(f) and getattr(f, "__module__", "") == "__main__" and name not in HELPERS]
    for claim in claims:
        start = time.time()
        claim()
        print(f"{claim.__name__} ({time.time() - start:.2f} s)", flush=True)
    assert len(claims) == 16, len(claims)


if __name__ == "__main__":
    main()
