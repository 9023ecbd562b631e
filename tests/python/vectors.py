"""Volley's vectors as Gymnasium's users have them; run by ctest in the Python of VLY_PYTHON."""

import doctest
import gc
import os
import pickle
import subprocess
import sys
import threading
import time

from kit import refused

import numpy as np
import gymnasium as gym
from gymnasium.vector import AutoresetMode
import volley
import volley._core, volley._library, volley.atari, volley.envpool, volley.vector


def actions_of(envs, rng):
    return rng.integers(0, envs.single_action_space.n, envs.num_envs)


# ---- beside Gymnasium's own ----


def equal_steps(ours, theirs, steps, seed):
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    a, b = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
    assert np.array_equal(a, b)
    rng, ends = np.random.default_rng(0), 0
    for _ in range(steps):
        action = actions_of(ours, rng)
        a, b = ours.step(action), theirs.step(action)
        for x, y in zip(a[:4], b[:4]):
            assert x.dtype == y.dtype and np.array_equal(x, y)
        over = a[2] | a[3]
        ends += int(over.sum())
        if "final_obs" in b[4]:
            assert np.array_equal(a[4]["_final_obs"], b[4]["_final_obs"])
            for x, y in zip(a[4]["final_obs"], b[4]["final_obs"]):
                assert (x is None) == (y is None) and (x is None or np.array_equal(x, y))
        else:
            assert "final_obs" not in a[4]
    assert ends > 5
    ours.close()
    theirs.close()


def cartpole_is_gymnasiums_in_each_autoreset_mode():
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        theirs = gym.make_vec("CartPole-v1", 4, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})
        equal_steps(gym.make_vec("volley/CartPole-v1", 4, autoreset_mode=mode), theirs, 400, seed=3)
    equal_steps(volley.make_vec("CartPole-v1", 3), gym.make_vec("CartPole-v1", 3, vectorization_mode="sync"), 200, seed=[9, 4, 7])


def numbers_as_actions_are_gymnasiums():
    ours, theirs = volley.make_vec("Pendulum-v1", 3), gym.make_vec("Pendulum-v1", 3, vectorization_mode="sync")
    assert ours.single_action_space == theirs.single_action_space
    assert np.array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    rng = np.random.default_rng(0)
    for _ in range(450):
        action = rng.uniform(-2, 2, (3, 1)).astype(np.float32)
        a, b = ours.step(action), theirs.step(action)
        assert np.array_equal(a[0], b[0]) and np.allclose(a[1], b[1], rtol=1e-6) and np.array_equal(a[3], b[3])
    refused(ValueError, "shape", ours.step, action[:, 0])
    refused(ValueError, "not finite", ours.step, np.full((3, 1), np.nan))


def the_ids_are_there_in_any_order():
    for imports in ("import volley, gymnasium", "import gymnasium, volley"):
        code = imports + "; print(gymnasium.make_vec('volley/CartPole-v1', num_envs=2).reset(seed=1)[0].shape)"
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert said.stdout.strip() == "(2, 4)", said.stderr
    for alone in ("make_vec('cartpole', 2)", "envpool.list_all_envs()[0]", "AtariVectorEnv", "Trainer"):
        said = subprocess.run([sys.executable, "-c", f"import volley; print(volley.{alone})"], capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
    lean = subprocess.run([sys.executable, "-c", "import volley, sys; print('numpy' in sys.modules)"], capture_output=True, text=True)
    assert lean.stdout.strip() == "False", lean.stderr


def ends_of(envs, halves):
    """By environment: what the first episodes end with. Actions follow from the environment's own time."""
    n = envs.unwrapped._core.num_envs
    time, ends, ids = np.zeros(n, int), [[] for _ in range(n)], np.arange(n)
    if envs.batch_size < n:
        envs.async_reset(seed=3)
        ids = envs.recv()[4]["env_id"]
    else:
        envs.reset(seed=3)
    while min(map(len, ends)) < 2:
        action = time[ids] // 3 % 2
        time[ids] += 1
        if halves:
            envs.send(action, ids if envs.batch_size < n else None)
        _, _, terminated, truncated, info = envs.recv() if halves else envs.step(action)
        ids = info.get("env_id", ids)
        for i in np.flatnonzero(terminated | truncated):
            final = info["final_info"]
            assert info["_final_obs"][i] and final["_elapsed_step"][i]
            ends[ids[i]].append((info["final_obs"][i].tolist(), {key: final[key][i].tolist() for key in final}))
    return [e[:2] for e in ends]


def ends_in_the_same_step_are_shown_however_it_is_stepped():
    for name in ("cartpole", "multi:cartpole,acrobot"):  # these have masks
        make = lambda **more: volley.make_vec(name, 4, autoreset_mode="SameStep", **more)
        once = ends_of(make(), halves=False)
        assert all(final["elapsed_step"] > 5 for e in once for _, final in e)
        assert once == ends_of(make(num_threads=2), halves=True) == ends_of(make(batch_size=2, num_threads=2), halves=True)


def without_autoreset_a_mask_resets():
    ours = volley.make_vec("cartpole", 4, autoreset_mode="Disabled")
    theirs = gym.make_vec("CartPole-v1", 4, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED})
    assert np.array_equal(ours.reset(seed=5)[0], theirs.reset(seed=5)[0])
    rng, resets = np.random.default_rng(1), 0
    while resets < 12:
        action = actions_of(ours, rng)
        a, b = ours.step(action), theirs.step(action)
        assert all(np.array_equal(x, y) for x, y in zip(a[:4], b[:4]))
        over = a[2] | a[3]
        if over.any():
            refused(ValueError, "has ended", ours.step, action)
            x, _ = ours.reset(options={"reset_mask": over})
            y, _ = theirs.reset(options={"reset_mask": over.copy()})
            assert np.array_equal(x, y)
            resets += 1
    refused(ValueError, "at least one True", ours.reset, options={"reset_mask": np.zeros(4, bool)})
    refused(TypeError, "numpy array", ours.reset, options={"reset_mask": [True] * 4})
    ours.close()


def a_mask_resets_running_environments_too():
    ours, theirs = volley.make_vec("cartpole", 2), gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    ours.reset(seed=2), theirs.reset(seed=2)
    for _ in range(5):
        ours.step([0, 1]), theirs.step(np.array([0, 1]))
    mask = np.array([False, True])
    a, b = ours.reset(options={"reset_mask": mask})[0], theirs.reset(options={"reset_mask": mask})[0]
    assert np.array_equal(a, b)
    a, b = ours.reset()[0], theirs.reset()[0]
    assert np.array_equal(a, b)


def it_is_a_vector_environment():
    envs = gym.make_vec("volley/MinAtar-Breakout-v0", num_envs=3)
    assert isinstance(envs, gym.vector.VectorEnv) and envs.num_envs == 3 and envs.spec.id == "volley/MinAtar-Breakout-v0"
    observation, info = envs.reset(seed=1)
    assert observation in envs.observation_space and observation[0] in envs.single_observation_space
    again = gym.make_vec(pickle.loads(pickle.dumps(envs.spec)))
    assert np.array_equal(again.reset(seed=1)[0], observation)
    envs.action_space.seed(1)
    for _ in range(50):
        observation, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
        assert observation in envs.observation_space and reward.dtype == np.float64
        assert terminated.dtype == truncated.dtype == np.bool_ and reward.shape == terminated.shape == (3,)
        assert all(len(v) == 3 for v in info.values())
    refused(TypeError, "spec", pickle.dumps, envs)
    envs.close()
    assert envs.closed
    shown = volley.make_vec("cartpole", 2, render_mode="rgb_array")
    shown.reset(seed=0)
    assert all(p.ndim == 3 and p.shape[2] == 3 and p.any() for p in shown.render())


def several_environments_are_one():
    envs, alone = volley.make_vec("multi:cartpole,acrobot", 4), volley.make_vec("cartpole", 4)
    observation, info = envs.reset(seed=3)
    assert observation.shape == (4, 6 + 2) and envs.single_action_space.n == 3
    assert info["task"].tolist() == [0, 1, 0, 1]
    assert info["action_mask"].tolist() == [[1, 1, 0], [1, 1, 1]] * 2
    assert all(envs.single_action_space.sample(info["action_mask"][0]) < 2 for _ in range(20))
    assert all(envs.action_space.sample(tuple(info["action_mask"]))[0] < 2 for _ in range(20))
    assert np.array_equal(observation[:, 6:], np.eye(2)[[0, 1, 0, 1]])
    assert np.array_equal(observation[::2, :4], alone.reset(seed=3)[0][::2])
    for action in ([0, 0, 1, 0], [1, 2, 1, 1]):
        observation, reward = envs.step(action)[:2]
        theirs = alone.step(action if 2 not in action else [1, 1, 1, 1])
        assert np.array_equal(observation[::2, :4], theirs[0][::2]) and reward.tolist() == [1, -1, 1, -1]
    same = volley.make_vec("multi:cartpole,acrobot", 2, autoreset_mode="SameStep")
    same.reset(seed=3)
    while "final_info" not in info:
        info = same.step([0, 0])[4]
    assert info["final_info"]["action_mask"].tolist() == [[1, 1, 0], [0, 0, 0]] and info["_final_info"].tolist() == [True, False]


def gymnasiums_wrappers_wrap_it():
    from gymnasium.wrappers import vector as w

    envs = volley.make_vec("cartpole", 4)
    envs = w.NormalizeReward(w.NormalizeObservation(w.RecordEpisodeStatistics(envs)))
    envs.reset(seed=1)
    rng, episodes = np.random.default_rng(0), 0
    for _ in range(300):
        info = envs.step(actions_of(envs, rng))[4]
        episodes += int(info.get("_episode", np.zeros(1)).sum())
    assert episodes > 10
    envs.close()


# ---- arrays ----


def what_is_held_is_never_overwritten():
    envs = volley.make_vec("minatar/asterix", 4)
    rng, kept = np.random.default_rng(0), []
    kept.append((envs.reset(seed=0)[0], None))
    for k in range(40):
        observation, reward, *_ = envs.step(actions_of(envs, rng))
        part = observation[1, 2:5] if k % 2 else observation
        kept.append((part, part.copy()))
    assert all(copy is None or np.array_equal(part, copy) for part, copy in kept)
    del kept, part
    a = envs.step(actions_of(envs, rng))[0]
    at = a.ctypes.data
    del a, observation, reward
    seen = {envs.step(actions_of(envs, rng))[0].ctypes.data for _ in range(20)}
    assert len(seen) <= volley._core.KEPT and at  # arrays are used again


def views_show_the_same_and_outlive_a_close():
    copies, views = volley.make_vec("cartpole", 3), volley.make_vec("cartpole", 3, copy=False)
    assert np.array_equal(copies.reset(seed=1)[0], views.reset(seed=1)[0])
    rng = np.random.default_rng(0)
    for _ in range(100):
        action = actions_of(copies, rng)
        a, b = copies.step(action)[0], views.step(action)[0]
        assert np.array_equal(a, b)
    refused(ValueError, "read-only", b.__setitem__, 0, 1)
    views.close()
    gc.collect()
    assert np.array_equal(a, b)


def arrays_go_elsewhere_without_a_copy():
    envs = volley.make_vec("cartpole", 3)
    observation = envs.reset(seed=1)[0]
    twin = np.from_dlpack(observation)
    assert np.shares_memory(twin, observation)
    values = twin.copy()
    del observation
    for _ in range(10):
        envs.step([0, 1, 0])
    assert np.array_equal(twin, values)


# ---- states ----


def a_state_goes_on_as_it_would_have():
    for name in ("cartpole", "minatar/space_invaders"):
        a, b = volley.make_vec(name, 4), volley.make_vec(name, 4)
        a.reset(seed=1), b.reset(seed=50)
        rng = np.random.default_rng(0)
        for _ in range(30):
            shown = a.step(actions_of(a, rng))[0]
        states = a.get_state()
        assert np.array_equal(b.set_state(None, states), shown)
        assert np.array_equal(b.set_state([2, 0], states[[3, 1]]), shown[[3, 1]])
        b.set_state(range(4), states)
        for _ in range(50):
            action = actions_of(a, rng)
            assert all(np.array_equal(x, y) for x, y in zip(a.step(action)[:4], b.step(action)[:4]))
        bad = states.copy()
        bad[1, 200] ^= 1
        refused(volley.Damaged, "changed", b.set_state, None, bad)
        refused(ValueError, "states are", b.set_state, None, states[:, :-1])


def asynchronous_batches_come():
    envs = volley.make_vec("cartpole", 6, batch_size=2, num_threads=2)
    envs.async_reset(seed=0)
    seen = np.zeros(6, int)
    for _ in range(300):
        observation, reward, terminated, truncated, info = envs.recv()
        assert observation.shape == (2, 4) and observation in envs.observation_space
        seen[info["env_id"]] += 1
        envs.send(np.zeros(2, np.int64), info["env_id"])
    assert seen.sum() == 600 and (seen > 0).all()
    envs.close()


# ---- misuse ----


def misuse_raises():
    envs = volley.make_vec("cartpole", 2)
    refused(ValueError, "reset()", envs.step, [0, 1])
    envs.reset(seed=0)
    for bad, kind, words in (([0], ValueError, "shape"), ([[0, 1]], ValueError, "shape"), ([0.0, 1.0], ValueError, "float64"), ([0, 2], ValueError, "action 2")):
        refused(kind, words, envs.step, bad)
    refused(ValueError, "negative", envs.reset, seed=-1)
    refused(ValueError, "3 seeds", envs.reset, seed=[1, 2, 3])
    refused(ValueError, "there are 2", envs.get_state, [7])
    envs.step([0, 1])
    envs.close()
    envs.close()
    for call in (lambda: envs.step([0, 1]), envs.reset, envs.get_state, envs.recv):
        refused(volley.InvalidArgument, "closed", call)
    refused(LookupError, "cartpole", volley.make_vec, "cartpoll")
    refused(ValueError, "gravity", volley.make_vec, "cartpole", options={"gravity": 2})
    refused(ValueError, "render_mode", volley.make_vec, "cartpole", render_mode="human")
    refused(volley.Unsupported, "continuous", volley.AtariVectorEnv, "pong", 1, continuous=True)
    refused(LookupError, "list_all_envs", volley.envpool.make, "Nothing-v5")


def a_forked_child_is_refused():
    envs = volley.make_vec("cartpole", 4, num_threads=2)
    envs.reset(seed=0)
    child = os.fork()
    if child == 0:
        try:
            refused(ValueError, "forked", envs.step, [0, 0, 0, 0])
            envs.close()
            mine = volley.make_vec("cartpole", 4, num_threads=2)
            mine.reset(seed=0)
            mine.step([0, 0, 0, 0])
            mine.close()
            os._exit(0)
        except BaseException as e:
            print(e, file=sys.stderr)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    envs.step([0, 0, 0, 0])


def threads_have_vectors_of_their_own():
    sums, errors = [], []

    def work():
        try:
            envs = volley.make_vec("minatar/breakout", 4, num_threads=2)
            total = envs.reset(seed=0)[0].sum()
            for t in range(200):
                total += envs.step([t % 3] * 4)[0].sum()
            envs.close()
            sums.append(int(total))
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors and len(set(sums)) == 1 and len(sums) == 4, errors


def documented_examples_run():
    for module in (volley, volley._library, volley.vector, volley.envpool):
        result = doctest.testmod(module, extraglobs={"volley": volley})
        assert result.failed == 0 and (result.attempted > 0)


def main():
    claims = [f for name, f in globals().items() if callable(f) and f.__module__ == "__main__" and name not in HELPERS]
    for claim in claims:
        start = time.time()
        claim()
        print(f"{claim.__name__} ({time.time() - start:.2f} s)", flush=True)
    assert len(claims) == 18, len(claims)


HELPERS = {"refused", "actions_of", "equal_steps", "ends_of", "main"}
if __name__ == "__main__":
    main()
