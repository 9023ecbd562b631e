"""Environments written in Python, trained by volley.Trainer; run by ctest in the Python of VLY_PYTHON."""

import doctest
import os
import tempfile
import threading
import time
import traceback
import warnings

import kit

import numpy as np
import gymnasium as gym
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
import volley
from volley.custom import Actions, Custom, Observations

FOLDER = tempfile.TemporaryDirectory(prefix="volley-python-")
# Eight environments and small networks learn CartPole within 60,000 steps, as the preset cartpole-ppo does.
CARTPOLE = {
    "envs": 8, "pool.groups": 1, "net.hidden": "16,16", "net.separate": True, "ppo.lr": 4e-3, "ppo.rollout": 64, "ppo.epochs": 4,
    "ppo.minibatches": 4, "ppo.clip": 0.1, "ppo.reward_scale": 0.1, "optim.max_grad_norm": 2,
}


class Target(gym.Env):
    """One step: the observation says which action is rewarded. What `kind` is observed and done is up to the spaces."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(1 << 30)))
        self.seen = self.observation_space.sample()
        return self.seen, {}

    def step(self, action):
        assert self.action_space.contains(action), (action, self.action_space)
        return self.seen, 1.0, True, False, {}


class Walk(gym.Env):
    """A walk of 9 cells whose steps are counted by the class; ends at the right, is cut off after 40 steps."""

    resets, seeds = [], []
    observation_space, action_space = Discrete(9, start=3), Discrete(2, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Walk.resets.append(id(self))
        Walk.seeds.append(seed)
        self.at, self.steps, self.over = 4, 0, False
        return np.int64(self.at + 3), {}

    def step(self, action):
        assert action in (5, 6) and not self.over, "a step after the end"
        self.at = max(0, self.at + (1 if action == 6 else -1))
        self.steps += 1
        ended, cut = self.at == 8, self.steps == 40
        self.over = ended or cut
        return np.int64(self.at + 3), 1.0 if ended else -0.01, ended, cut, {}


class Masked(Walk):
    """The walk with the way to the left forbidden in the leftmost cell."""

    def mask(self):
        return {"action_mask": np.array([self.at > 0, True], np.int8)}

    def reset(self, **more):
        return super().reset(**more)[0], self.mask()

    def step(self, action):
        assert action == 6 or self.at > 0, "a forbidden action"
        return (*super().step(action)[:4], self.mask())


class Doors(gym.Env):
    """Several choices at once, of each of which the first or the last is forbidden."""

    observation_space = Box(0, 1, (1,))

    def __init__(self, sizes=(2, 3)):
        self.action_space = MultiDiscrete(sizes)

    def draw(self):
        sizes = self.action_space.nvec.reshape(-1)
        self.forbidden = [int(n - 1) * int(self.np_random.integers(2)) for n in sizes]
        allowed = [np.arange(n) != f for n, f in zip(sizes, self.forbidden)]
        return np.zeros(1, np.float32), {"action_mask": np.concatenate(allowed).astype(np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.draw()

    def step(self, action):
        assert self.action_space.contains(action) and (action.reshape(-1) != self.forbidden).all(), "a forbidden action"
        self.steps += 1
        seen, info = self.draw()
        return seen, 1.0, self.steps == 10, False, info


class MaskedToTheEnd(Masked):
    """Nothing is allowed where the game is over."""

    def mask(self):
        return {"action_mask": np.zeros(2, np.int8)} if self.at == 8 else super().mask()


class WrongMask(Walk):
    def reset(self, **more):
        return super().reset(**more)[0], {"action_mask": np.ones(7, np.int8)}


class Goes(Walk):
    """Somewhere else, at every step."""

    def step(self, action):
        os.chdir("/")
        return super().step(action)


class Breaks(Walk):
    """The first that is made, which is looked at before the training, does not."""

    made = 0

    def __init__(self):
        Breaks.made += 1
        self.number, self.left = Breaks.made, 100

    def step(self, action):
        self.left -= 1
        if self.number > 1 and self.left < 0:
            raise KeyError("the battery is flat")
        return super().step(action)


def cartpole():
    return gym.make("CartPole-v1")


def run_of(name, env, algo="ppo", options=None, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return volley.Trainer(env, algo, seed=1, out=os.path.join(FOLDER.name, name), options=options, **more)


def refused(*what, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kit.refused(*what, **more)


def a_python_cartpole_is_learned():
    with run_of("cartpole", cartpole, options=CARTPOLE, steps=150000, until_return=300) as t:
        report = t.run()
    assert report["stop"] == "target", report  # random play returns 22
    policy = volley.load(report["folder"])
    assert policy.evaluate(5, env=cartpole, seed=5).mean() > 200
    refused(volley.Error, "Python", policy.evaluate, 1)


def the_warning_says_how_fast_it_is():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        Custom(cartpole)
    text = str(said[0].message)
    rate = float(text.split("about ")[1].split(" ")[0].replace(",", ""))
    assert "CartPoleEnv" in text and rate > 100


def spaces_become_the_networks_and_back():
    high = np.array([[1, 2, 2]], np.float32)
    for observation, action, words in (
        (Box(-1, 1, (2, 3)), Discrete(3, start=-1), "observation=f32:6,action=choice:3"),
        (Discrete(5), MultiDiscrete([3, 2, 2]), "observation=f32:5,action=choices:3;2*2"),
        (MultiDiscrete([2, 3]), Box(-high, high), "observation=f32:5,action=box:-1.0:1.0;-2.0:2.0*2"),
        (MultiBinary(4), MultiBinary(3), "observation=f32:4,action=choices:2*3"),
        (Dict(a=Discrete(2), b=Box(0, 1, (3,))), MultiDiscrete([[2, 3]]), "observation=f32:5,action=choices:2;3"),
        (Box(0, 255, (12, 10, 3), np.uint8), Discrete(2), f"observation=u8:12x10x3,scale={1 / 255!r},action=choice:2"),
        (Box(0, 1, (10, 10, 4), np.uint8), Box(-1, 1, (2,), np.float64), "observation=u8:10x10x4,scale=1.0,action=box:-1.0:1.0*2"),
    ):
        name = f"spaces-{abs(hash(words))}"
        with run_of(name, lambda: Target(observation, action), options={"ppo.rollout": 16}, envs=4, steps=256) as t:
            report = t.run()
        assert report["stop"] == "budget" and report["return_mean_100"] == 1, report
        assert f"{Observations(observation).text},action={Actions(action).text}" == words
        policy = volley.load(report["folder"])
        assert policy.evaluate(3, env=lambda: Target(observation, action)).tolist() == [1, 1, 1]
    refused(volley.Unsupported, "Discrete", Actions, gym.spaces.Text(3))
    refused(ValueError, "finite", Actions, Box(-np.inf, np.inf, (2,)))
    refused(ValueError, "not a gymnasium.Env", volley.Trainer, lambda: 3)


def episodes_begin_and_end_where_gymnasium_says():
    Walk.resets, Walk.seeds = [], []
    with run_of("walk", Walk, options={"ppo.rollout": 32}, envs=4, steps=2048) as t:
        report = t.run()
    first = Walk.seeds[1:]  # the first is the probe's
    given = [s for s in first if s is not None and s > 0]
    assert len(given) >= 4 and len(set(given)) == len(given), given  # each environment has a seed of its own, then goes on
    # An episode has at most 40 steps, a step after its end asserts; every step is one of an episode or a reset.
    assert report["episodes"] > 2048 / 41 * 0.5 and report["length_mean_100"] <= 40
    assert len(Walk.resets) >= report["episodes"]
    with run_of("limit", Walk, options={"ppo.rollout": 32, "env.max_steps": 10}, envs=4, steps=512) as t:
        assert t.run()["length_mean_100"] <= 10


def masks_are_kept_to():
    for name, env in (("masked", Masked), ("masked-to-the-end", MaskedToTheEnd), ("doors", Doors), ("doors-of-two-axes", lambda: Doors([[2, 3], [2, 2]]))):
        with run_of(name, env, options={"ppo.rollout": 32}, envs=4, steps=1024) as t:
            report = t.run()
        assert report["stop"] == "budget"
        policy = volley.load(report["folder"], seed=1)
        for greedy in (False, True):
            assert np.isfinite(policy.evaluate(20, env=env, greedy=greedy)).all()


def the_best_value_is_of_an_allowed_action():
    with run_of("masked-dqn", Masked, "dqn", options={"dqn.learning_starts": 100}, envs=4, steps=600) as t:
        policy = volley.load(t.run()["folder"])
    assert policy.evaluate(5, env=Masked).shape == (5,)
    x = np.eye(9, dtype=np.float32)
    q = policy.decide(x)["logits"]
    assert (policy.value(x) == q.max(1)).all()
    for action in (0, 1):
        mask = np.arange(2) == action
        assert (policy.value(x, mask=np.tile(mask, (9, 1))) == q[:, action]).all()
        assert policy.value(x[3], mask=mask) == q[3, action]


def documented_examples_run():
    result = doctest.testmod(volley.custom)
    assert result.failed == 0 and result.attempted > 0


def what_an_environment_raises_the_trainer_raises():
    t = run_of("breaks", Breaks, options={"ppo.rollout": 32}, envs=4, steps=100000)
    try:
        t.run()
    except KeyError as e:
        assert e.args == ("the battery is flat",)
        assert "raise KeyError" in "".join(traceback.format_exception(e))
    else:
        raise AssertionError("nothing was raised")
    refused(KeyError, "flat", t.train)
    t.close()
    t.close()


class NotANumber(Walk):
    def step(self, action):
        seen, _, ended, cut, info = super().step(action)
        return seen, float("nan"), ended, cut, info


def numbers_are_checked():
    t = run_of("nan", NotANumber, envs=2, steps=10000)
    refused(volley.Error, "reward that is not finite", t.run)


class Closes(Walk):
    closed = 0

    def close(self):
        Closes.closed += 1


def environments_close_after_their_last_step():
    t, raised = run_of("closes", Closes, options={"ppo.rollout": 32}, envs=4, steps=1000000), []
    Walk.resets = []

    def train():
        try:
            t.train(steps=5000)
        except Exception as e:
            raised.append(e)

    thread = threading.Thread(target=train)
    thread.start()
    while len(Walk.resets) < 20:
        time.sleep(0.001)
    t.close()
    thread.join()
    assert "trainer is closed" in str(raised[0]), raised
    assert Closes.closed == 5  # the probe and four


def a_mask_of_another_size_is_refused():
    refused(volley.InvalidArgument, "action_mask has 7 numbers, there are 2 choices", run_of, "wrong", WrongMask, envs=2, steps=1000)


class MaskedBits(Walk):
    action_space = MultiBinary(2)

    def reset(self, **more):
        return super().reset(**more)[0], {"action_mask": np.ones(4, np.int8)}


class Blocked(Masked):
    """Where nothing is allowed and the episode goes on."""

    def mask(self):
        return {"action_mask": np.zeros(2, np.int8)}


def masks_that_cannot_be_followed_are_refused():
    refused(volley.Unsupported, "actions of MultiBinary(2) cannot have", run_of, "bits", MaskedBits, envs=2, steps=1000)
    refused(volley.InvalidArgument, "the mask allows no action", run_of, "blocked", Blocked, envs=2, steps=1000)


def an_environment_that_goes_elsewhere_does_not_move_the_run():
    here = os.getcwd()
    os.chdir(FOLDER.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with volley.Trainer(Goes, seed=1, out="goes", envs=2, steps=1000, options={"ppo.rollout": 32}) as t:
                t.run()
        assert os.path.exists(os.path.join(FOLDER.name, "goes", "config.yaml")) and os.listdir(os.path.join(FOLDER.name, "goes", "checkpoints"))
    finally:
        os.chdir(here)


def a_run_goes_on_in_new_episodes():
    Walk.resets, Walk.seeds = [], []
    options = {"ppo.rollout": 32}
    with run_of("on", Walk, options=options, envs=4, steps=100000) as t:
        steps = t.train(steps=2000)["steps"]
        t.save()
        folder = t.folder
    Walk.resets = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with volley.Trainer(Walk, resume=folder) as t:
            report = t.train(steps=2000)
            assert report["steps"] >= steps + 2000 and len(set(Walk.resets)) == 5  # the probe and four
        with volley.Trainer(Masked, resume=folder) as t:
            refused(ValueError, "it cannot go on in host:Masked", t.train)
    with volley.Trainer(resume=folder) as t:
        refused(volley.Unsupported, "volley.Trainer(CLASS, resume=FOLDER)", t.train)


def the_same_seed_learns_the_same():
    weights = []
    for name in ("one", "two"):
        with run_of(name, Walk, options={"ppo.rollout": 32}, envs=4, steps=1024) as t:
            weights.append(volley.load(t.run()["folder"]).weights())
    assert all(np.array_equal(w, weights[1][name]) for name, w in weights[0].items())


def learners_that_wait_for_nobody_and_learners_of_memories():
    for algo, more in (("impala", {}), ("dqn", {"dqn.learning_starts": 100}), ("a2c", {})):
        with run_of(f"algo-{algo}", Walk, algo, options=more, envs=4, steps=600) as t:
            assert t.run()["stop"] == "budget"
    with run_of("sac", lambda: Target(Box(-1, 1, (3,)), Box(-2, 2, (2,))), "sac", options={"sac.learning_starts": 100}, envs=2, steps=200) as t:
        assert t.run()["stop"] == "budget"


def main():
    for claim in (a_python_cartpole_is_learned, the_warning_says_how_fast_it_is, spaces_become_the_networks_and_back,
                  episodes_begin_and_end_where_gymnasium_says, masks_are_kept_to, the_best_value_is_of_an_allowed_action, what_an_environment_raises_the_trainer_raises,
                  numbers_are_checked, environments_close_after_their_last_step, a_mask_of_another_size_is_refused, masks_that_cannot_be_followed_are_refused, an_environment_that_goes_elsewhere_does_not_move_the_run, a_run_goes_on_in_new_episodes, the_same_seed_learns_the_same,
                  learners_that_wait_for_nobody_and_learners_of_memories, documented_examples_run):
        start = time.time()
        claim()
        print(f"{claim.__name__} ({time.time() - start:.2f} s)", flush=True)


if __name__ == "__main__":
    main()
