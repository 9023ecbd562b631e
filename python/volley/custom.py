"""Gymnasium environments written in Python, for volley.Trainer: one call for a batch, one Python step for each environment in it."""

from __future__ import annotations

import ctypes
import time
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from gymnasium.spaces.utils import flatdim, flatten

from . import _library
from ._library import InvalidArgument, Unsupported

Array = npt.NDArray[Any]
_STEP, _PROBE_S = -2, 0.05
DEFAULTS = {"workers": 1, "pool.chunk": 65536, "pool.deadline_s": 3600}  # Python steps on one thread: a batch is one call


class Observations:
    """How observations of a space become the network's input: pictures as they are, everything else as one vector of float32."""

    def __init__(self, space: Space[Any]) -> None:
        self._space, self._box = space, isinstance(space, Box)
        self.shape: tuple[int, ...]
        self.type: Any
        if isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3:
            self.shape, self.type = space.shape, np.uint8
            scale = 1.0 if space.high.max() <= 1 else 1 / 255
            self.text = f"observation=u8:{'x'.join(map(str, space.shape))},scale={scale!r}"
            return
        try:
            self.shape, self.type = (max(1, flatdim(space)),), np.float32
        except (NotImplementedError, ValueError) as e:
            raise Unsupported(f"observations of {space} are not of a fixed size") from e
        self.text = f"observation=f32:{self.shape[0]}"

    def put(self, to: Array, observation: Any) -> None:
        if self.type == np.uint8:
            to[...] = observation
        elif self._box:
            to[...] = np.asarray(observation, np.float32).reshape(-1)
        else:
            to[...] = flatten(self._space, observation)


class Actions:
    """How the policy's choices and numbers become actions of a space."""

    def __init__(self, space: Space[Any]) -> None:
        self.type: Any = np.int32
        self.count, self._space = 1, space
        self.masked = isinstance(space, (Discrete, MultiDiscrete))  # where the information may hold masks
        self.give: Callable[[Array], Any]
        if isinstance(space, Discrete):
            start = int(space.start)
            self.text, self.choices = f"choice:{space.n}", int(space.n)
            self.give = lambda row: int(row[0]) + start
        elif isinstance(space, (MultiDiscrete, MultiBinary)):
            shape, kind, first = space.shape, space.dtype, getattr(space, "start", 0)
            sizes = space.nvec.reshape(-1) if isinstance(space, MultiDiscrete) else np.full(int(np.prod(space.shape)), 2)
            self.count, self.choices = int(sizes.size), int(sizes.sum())
            self.text = "choices:" + _repeated([str(n) for n in sizes])
            self.give = lambda row: row.reshape(shape).astype(kind) + np.asarray(first, kind)
        elif isinstance(space, Box):
            self._take_box(space)
        else:
            raise Unsupported(f"actions of {space} are not offered: Discrete, MultiDiscrete, MultiBinary and Box are")

    def mask(self, info: dict[str, Any]) -> Array | None:
        """The choices that are allowed, flat; None: the information does not say."""
        given = info.get("action_mask")
        if given is not None and not self.masked:
            raise Unsupported(f"info holds an action_mask, which actions of {self._space} cannot have: Discrete and MultiDiscrete can")
        return None if given is None else np.asarray(given).reshape(-1) != 0

    def sample(self, mask: Array | None) -> Any:
        """An action at random, of those that the mask allows."""
        if mask is None:
            return self._space.sample()
        sizes = self._space.nvec if isinstance(self._space, MultiDiscrete) else None
        ends = [self.choices] if sizes is None else np.cumsum(sizes.reshape(-1)).tolist()
        if not all(mask[begin:end].any() for begin, end in zip([0, *ends], ends)):
            raise InvalidArgument("the mask allows no action; at least one must be allowed where the episode goes on")
        return self._space.sample(mask.astype(np.int8) if sizes is None else _by_choice(mask.astype(np.int8), sizes))

    def _take_box(self, space: Box) -> None:
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise InvalidArgument(f"the bounds of the actions {space} are not finite")
        if not np.issubdtype(space.dtype, np.floating):
            raise Unsupported(f"actions of {space} are not offered: whole numbers are choices of a MultiDiscrete")
        shape, kind = space.shape, space.dtype
        self.type, self.count, self.choices = np.float32, int(np.prod(shape)), 0
        pairs = zip(space.low.reshape(-1).tolist(), space.high.reshape(-1).tolist())
        self.text = "box:" + _repeated([f"{low!r}:{high!r}" for low, high in pairs])
        low, high = space.low, space.high
        self.give = lambda row: np.clip(row.reshape(shape).astype(kind), low, high)


def _repeated(parts: list[str]) -> str:
    """Parts with ";" between, equal ones that follow each other once with their number.

    >>> _repeated(["2", "3", "3"])
    '2;3*2'
    """
    runs: list[tuple[str, int]] = []
    for part in parts:
        if runs and runs[-1][0] == part:
            runs[-1] = (part, runs[-1][1] + 1)
        else:
            runs.append((part, 1))
    return ";".join(part if n == 1 else f"{part}*{n}" for part, n in runs)


def _by_choice(mask: Array, sizes: Array) -> Any:
    """A flat mask as MultiDiscrete.sample takes it: an array for each choice, in tuples for each axis.

    >>> _by_choice(np.array([1, 0, 1, 1, 0]), np.array([2, 3]))
    (array([1, 0]), array([1, 1, 0]))
    """
    parts: list[Any] = np.split(mask, np.cumsum(sizes)[:-1])
    for n in reversed(sizes.shape[1:]):
        parts = [tuple(parts[i : i + n]) for i in range(0, len(parts), n)]
    return tuple(parts)


class Custom:
    """The environments that a trainer steps, made as it asks for them."""

    def __init__(self, make: Callable[[], Any]) -> None:
        if not callable(make):
            raise InvalidArgument(f"{make!r} is not a class of environments, nor a function that makes one: each environment is made anew")
        self._make = make
        self._envs: list[Any] = []
        self.error: BaseException | None = None
        self._checked = False
        probe = make()
        if not isinstance(probe, gymnasium.Env):
            raise InvalidArgument(f"{make!r} made a {type(probe).__name__}, not a gymnasium.Env")
        self.name = f"host:{type(probe.unwrapped).__name__}"[:63]
        self.observations, self.actions = Observations(probe.observation_space), Actions(probe.action_space)
        self.masked = self._probe(probe)
        probe.close()
        words = [self.observations.text, f"action={self.actions.text}"]
        self.description = ",".join(words + (["mask=1"] if self.masked else []))
        if len(self.description) > 500:
            raise Unsupported(f"{self.name}: bounds that differ in so many numbers cannot be written down in 500 characters: normalise them to [-1, 1]")
        self.call = _library.HOST_STEP(self._step)

    def _probe(self, env: Any) -> bool:
        """Plays a moment at random, says how fast that is, and whether the information holds masks."""
        _, info = env.reset(seed=0)
        mask = self.actions.mask(info)
        masked = mask is not None
        if mask is not None and mask.size != self.actions.choices:
            raise InvalidArgument(f"{self.name[5:]}: action_mask has {mask.size} numbers, there are {self.actions.choices} choices")
        env.action_space.seed(0)
        start, steps = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < _PROBE_S:
            _, _, terminated, truncated, info = env.step(self.actions.sample(self.actions.mask(info)))
            steps += 1
            if terminated or truncated:
                _, info = env.reset()
        rate = steps / passed
        warnings.warn(
            f"{self.name[5:]} is written in Python, which steps it about {rate:,.0f} times a second: training cannot be faster than that, "
            "whatever workers are given",
            stacklevel=4,
        )
        return masked

    # ---- the library's calls ----

    def _step(self, _: Any, at: int) -> int:
        """Called on a thread of the library; what it raises is raised again by the trainer."""
        try:
            if self.error is None:
                self._step_batch(_library.HostBatch.from_address(at))
        except BaseException as e:  # noqa: B036 also SystemExit: it must not end the library's thread
            self.error = e
        return int(self.error is not None)

    def _check(self, batch: Any) -> None:
        name, description = batch.name.decode(), batch.description.decode()
        if (name, description) != (self.name, self.description):
            raise InvalidArgument(f"the run learned {name} ({description}), it cannot go on in {self.name} ({self.description})")
        self._checked = True

    def _step_batch(self, b: Any) -> None:
        if not self._checked:
            self._check(b)
        n, put, give = b.n, self.observations.put, self.actions.give
        numbers = _array(b.env, np.int32, (n,)).tolist()
        seeds = _array(b.seed, np.int64, (n,)).tolist()
        action = _array(b.action, self.actions.type, (n, self.actions.count))
        observation = _array(b.observation, self.observations.type, (n, *self.observations.shape))
        reward, terminated, truncated = _array(b.reward, np.float32, (n,)), _array(b.terminated, np.uint8, (n,)), _array(b.truncated, np.uint8, (n,))
        mask = _array(b.mask, np.uint8, (n, self.actions.choices)) if self.masked else None
        for i in range(n):
            env = self._env(numbers[i])
            if seeds[i] == _STEP:
                seen, gained, ended, cut, info = env.step(give(action[i]))
                reward[i], terminated[i], truncated[i] = gained, bool(ended), bool(cut)
            else:
                seen, info = env.reset(seed=seeds[i] if seeds[i] >= 0 else None)
                reward[i] = terminated[i] = truncated[i] = 0
            put(observation[i], seen)
            if mask is not None:  # no action follows a terminated row, whose mask may allow none
                mask[i] = 1 if terminated[i] else np.asarray(info["action_mask"]).reshape(-1) != 0

    def _env(self, number: int) -> Any:
        while number >= len(self._envs):
            self._envs.append(self._make())
        return self._envs[number]

    def close(self) -> None:
        for env in self._envs:
            env.close()
        self._envs.clear()


def _array(at: int, kind: Any, shape: tuple[int, ...]) -> Array:
    """The library's memory, for one call."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(at), kind).reshape(shape)


def play(make: Callable[[], Any], begin: Callable[[], Callable[[Array, Array | None], Any]], episodes: int, seed: int) -> Array:
    """Returns of whole episodes. begin() starts one: what it returns has the network's input for an observation and the mask, and gives the action."""
    env = make()
    observations, actions = Observations(env.observation_space), Actions(env.action_space)
    row, returns = np.zeros(observations.shape, observations.type), np.zeros(episodes)
    for episode in range(episodes):
        act, over = begin(), False
        seen, info = env.reset(seed=seed + episode)
        while not over:
            observations.put(row, seen)
            seen, reward, ended, cut, info = env.step(actions.give(np.atleast_1d(act(row, actions.mask(info)))))
            returns[episode] += reward
            over = ended or cut
    env.close()
    return returns
