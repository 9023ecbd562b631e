"""volley.Trainer and volley.load; run by ctest in the Python of VLY_PYTHON. torch is used where it is there."""

import doctest
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

from kit import refused

import numpy as np
import gymnasium as gym
import volley
import volley.policy, volley.trainer

FOLDER = tempfile.TemporaryDirectory(prefix="volley-python-")


def run_of(name, env="cartpole", algo="ppo", **options):
    return volley.Trainer(env, algo, seed=1, workers=1, out=os.path.join(FOLDER.name, name), **options)


def a_trained_agent_plays():
    with run_of("good", until_return=400) as t:
        reports = [t.train(steps=5000)]
        while reports[-1]["stop"] is None:
            reports.append(t.train())
        assert reports[-1]["stop"] == "target" and reports[-1]["return_mean_100"] >= 400
        assert "losses/policy_loss" in reports[-1]["metrics"]
        folder = t.folder
    policy = volley.load(folder)
    envs = volley.make_vec("cartpole", 16)
    observation, falls = envs.reset(seed=3)[0], 0
    for _ in range(400):
        observation, _, terminated, _, _ = envs.step(policy.act(observation))
        falls += int(terminated.sum())
    assert falls < 16, falls  # random play falls some 290 times
    assert policy.evaluate(20, seed=1).mean() > 300
    one = gym.make("CartPole-v1").reset(seed=1)[0]
    assert policy.act(one) in (0, 1) and policy.act(one, mask=[0, 1]) == 1
    assert np.isfinite(policy.value(one[None])).all()


def weights_give_the_same_outputs():
    policy = volley.load(os.path.join(FOLDER.name, "good"))
    w, x = policy.weights(), np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    hidden = x
    for i in range(sum(n.startswith("policy.") and n.endswith(".weight") for n in w) - 1):
        hidden = np.tanh(hidden @ w[f"policy.{i}.weight"].T + w[f"policy.{i}.bias"])
    logits = hidden @ w["policy.head.weight"].T + w["policy.head.bias"]
    assert np.allclose(policy.decide(x)["logits"], logits, atol=1e-5)


def torch_modules_give_the_same_outputs():
    try:
        import torch
    except ImportError:
        print("SKIPPED in part: torch is not installed", file=sys.stderr)
        return
    for env, algo, options in (
        ("cartpole", "ppo", {}), ("cartpole", "dqn", {}), ("minatar/breakout", "ppo", {}), ("pendulum", "ppo", {}),
        ("pendulum", "sac", {}), ("pendulum", "td3", {}), ("cartpole", "ppo", {"net.normalize": True}),
        ("minatar/breakout", "ppo", {"net.kind": "impala"}), ("minatar/breakout", "ppo", {"net.centre": 0.25}), ("minatar/seaquest", "ppo", {}),
    ):
        with run_of(f"torch-{env.replace('/', '-')}-{algo}-{len(options)}{options.get('net.kind', options.get('net.centre', ''))}", env, algo, steps=1500, options=options) as t:
            policy = volley.load(t.run()["folder"])
        rng = np.random.default_rng(0)
        x = rng.integers(0, 2, (7, *policy.shape)).astype(np.uint8) if policy.dtype == np.uint8 else rng.normal(size=(7, *policy.shape)).astype(np.float32)
        with torch.no_grad():
            logits, value = policy.to_torch()(torch.from_numpy(x))
        decided = policy.decide(x)
        assert np.allclose(logits.numpy(), decided["logits"], atol=1e-5)
        assert value is None or np.allclose(value.numpy(), decided["value"], atol=1e-5)
    recurrent_modules_give_the_same_outputs(torch)


def recurrent_modules_give_the_same_outputs(torch):
    with run_of("torch-lstm", "cartpole_hidden", "ppo", steps=1500, options={"net.lstm": 16}) as t:
        policy = volley.load(t.run()["folder"])
    module, mine, theirs = policy.to_torch(), policy.initial_state(5), None
    for step in range(4):
        x = np.random.default_rng(step).normal(size=(5, *policy.shape)).astype(np.float32)
        with torch.no_grad():
            logits, value, theirs = module(torch.from_numpy(x), theirs)
        decided = policy.decide(x, state=mine)
        assert np.allclose(logits.numpy(), decided["logits"], atol=1e-5) and np.allclose(value.numpy(), decided["value"], atol=1e-5)
        assert np.allclose(theirs.numpy(), mine, atol=1e-5) and np.abs(mine).max() > 0
    mine.flags.writeable = False
    refused(ValueError, "writable", policy.decide, x, state=mine)


def numbers_and_tables_are_acted_with():
    with run_of("sac", "pendulum", "sac") as t:
        policy = volley.load(t.run()["folder"])
    envs = volley.make_vec("pendulum", 16)
    observation, total = envs.reset(seed=3)[0], np.zeros(16)
    for _ in range(200):
        action = policy.act(observation)
        assert action.shape == (16, 1) and action.dtype == np.float32
        observation, reward, _, _, _ = envs.step(action)
        total += reward
    assert total.mean() > -400, total.mean()  # at random about -1200
    with run_of("table", "cliffwalking", "qlearning") as t:
        policy = volley.load(t.run()["folder"])
    envs = volley.make_vec("cliffwalking", 1)
    observation, total, over = envs.reset(seed=0)[0], 0.0, False
    while not over and total > -100:
        observation, reward, terminated, truncated, _ = envs.step(policy.act(observation))
        total, over = total + float(reward[0]), bool(terminated[0] | truncated[0])
    assert total >= -17, total  # along the cliff 13 steps, the safe way 17
    assert policy.network == "table" and policy.weights()["table.q"].shape == (48, 4)


def ten_lines_train_with_workers():
    if not shutil.which("redis-server"):
        print("SKIPPED in part: redis-server is not installed", file=sys.stderr)
        return
    t = volley.Trainer("cartpole", algo="a3c", workers=4, out=os.path.join(FOLDER.name, "a3c"))
    before = 0
    for _ in range(3):
        report = t.train(steps=4000)
        assert report["steps"] >= before + 4000 and report["stop"] is None
        before = report["steps"]
    assert os.path.exists(t.save())
    folder = t.folder
    t.close()
    assert volley.load(folder).act(np.zeros((2, 4), np.float32)).shape == (2,)


def a_run_goes_on():
    with run_of("on", steps=100000) as t:
        steps = t.train(steps=2000)["steps"]
        assert os.path.exists(t.save())
        folder = t.folder
    with volley.Trainer(resume=folder) as t:
        before = t.checkpoint
        assert t.save() != before and os.path.exists(t.checkpoint)
        assert t.train(steps=2000)["steps"] >= steps + 2000


def a_policy_is_evaluated_as_it_was_loaded():
    with run_of("evaluated", steps=60000) as t:
        t.train(steps=2000)
        t.save()
        early = volley.load(t.folder)
        before = early.evaluate(10, seed=1)
        folder = t.run()["folder"]
    assert not np.array_equal(volley.load(folder).evaluate(10, seed=1), before)
    shutil.rmtree(folder)
    assert np.array_equal(early.evaluate(10, seed=1), before)


def control_c_saves():
    with run_of("interrupted", steps=500000000) as t:
        t.train(steps=1000)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            t.train(steps=400000000)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("it was not interrupted")
        assert t.report()["stop"] == "interrupted" and os.path.exists(t.checkpoint)


def misuse_raises():
    refused(LookupError, "cartpole", volley.Trainer, "cartpoll")
    refused(ValueError, "ppo", volley.Trainer, "cartpole", algo="pppo")
    refused(LookupError, "nowhere", volley.load, "/nowhere/at/all")
    t = run_of("closed", steps=1000)
    t.close()
    t.close()
    refused(ValueError, "closed", t.train)
    policy = volley.load(os.path.join(FOLDER.name, "good"))
    refused(ValueError, "shape", policy.act, np.zeros((3, 5), np.float32))
    refused(ValueError, "no action", policy.act, np.zeros((1, 4), np.float32), mask=[[0, 0]])
    policy.close()
    refused(ValueError, "closed", policy.act, np.zeros((1, 4), np.float32))


def documented_examples_run():
    for module in (volley.trainer, volley.policy):
        assert doctest.testmod(module).failed == 0


def main():
    for claim in (a_trained_agent_plays, weights_give_the_same_outputs, torch_modules_give_the_same_outputs,
                  numbers_and_tables_are_acted_with, ten_lines_train_with_workers, a_run_goes_on, a_policy_is_evaluated_as_it_was_loaded, control_c_saves,
                  misuse_raises, documented_examples_run):
        start = time.time()
        claim()
        print(f"{claim.__name__} ({time.time() - start:.2f} s)", flush=True)


if __name__ == "__main__":
    main()
