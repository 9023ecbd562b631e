"""Trained agents on anyone's observations."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _library
from ._library import check, lib

Array = npt.NDArray[Any]


class Policy:
    """The network of a run; `load` opens one."""

    def __init__(self, run: str, *, best: bool = False, seed: int = 0, num_threads: int = 1) -> None:
        handle, facts = ctypes.c_void_p(), _library.PolicyFacts()
        options = _library.words_of({"best": best, "seed": seed, "num_threads": num_threads})
        check(lib.vly_policy_open(ctypes.addressof(handle), str(run).encode(), options))
        self._handle: int | None = handle.value
        check(lib.vly_policy_info(self._handle, ctypes.addressof(facts)))
        self.shape = tuple(facts.shape[: facts.ndim])
        self.dtype = np.dtype(np.uint8 if facts.type == _library.U8 else np.float32)
        self.actions, self.recurrent, self.q_values = int(facts.actions), int(facts.recurrent), bool(facts.q_values)
        self.scale = float(facts.scale)
        self.environment, self.algorithm = facts.environment.decode(), facts.algorithm.decode()
        self.network, self.activation = facts.network.decode(), facts.activation.decode()

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise _library.InvalidArgument("the policy is closed")
        return self._handle

    def initial_state(self, n: int) -> Array:
        """The state of a recurrent network at the start of n episodes."""
        return np.zeros((n, 2, self.recurrent), np.float32)

    def decide(self, observation: Any, *, mask: Any = None, state: Array | None = None, greedy: bool = True) -> dict[str, Array]:
        """action, logits (values of actions with Q-learning) and value for a batch of observations; state is replaced in place."""
        given = np.ascontiguousarray(observation, self.dtype)
        if given.shape[1:] != self.shape:
            raise _library.InvalidArgument(f"observations have the shape {given.shape}, (n, {', '.join(map(str, self.shape))}) is needed")
        n = given.shape[0]
        out = {"action": np.zeros(n, np.int64), "logits": np.zeros((n, self.actions), np.float32), "value": np.zeros(n, np.float32)}
        allowed = None if mask is None else np.ascontiguousarray(mask, np.uint8)
        if allowed is not None and allowed.shape != (n, self.actions):
            raise _library.InvalidArgument(f"the mask has the shape {allowed.shape}, {(n, self.actions)} is needed")
        if state is not None and (state.shape != (n, 2, self.recurrent) or state.dtype != np.float32 or not state.flags.c_contiguous):
            raise _library.InvalidArgument(f"the state is not float32 of the shape {(n, 2, self.recurrent)}")
        decision = _library.Decision(
            observation=given.ctypes.data,
            mask=None if allowed is None else allowed.ctypes.data,
            state=None if state is None else state.ctypes.data,
            greedy=int(greedy),
            **{name: array.ctypes.data for name, array in out.items()},
        )
        check(lib.vly_policy_act(self.handle, n, ctypes.addressof(decision)))
        return out

    def act(self, observation: Any, *, mask: Any = None, state: Array | None = None, greedy: bool = True) -> Any:
        """The actions for a batch of observations, or the one for a single observation."""
        single = np.shape(observation) == self.shape
        batch = np.asarray(observation)[None] if single else observation
        action = self.decide(batch, mask=np.asarray(mask)[None] if single and mask is not None else mask, state=state, greedy=greedy)["action"]
        return int(action[0]) if single else action

    def value(self, observation: Any, *, state: Array | None = None) -> Array:
        """The expected return."""
        return self.decide(observation, state=state)["value"]

    def weights(self) -> dict[str, Array]:
        """Copies of the weights by name; convolutions are (out, height, width, in)."""
        found, weight, i = {}, _library.Weight(), 0
        while lib.vly_policy_tensor(self.handle, i, ctypes.addressof(weight)) == 0:
            shape = tuple(weight.shape[: weight.ndim])
            numbers: Any = (ctypes.c_float * int(np.prod(shape))).from_address(weight.data)
            found[weight.name.decode()] = np.frombuffer(numbers, np.float32).reshape(shape).copy()
            i += 1
        return found

    def evaluate(self, episodes: int = 100, *, seed: int = 0, greedy: bool = True) -> Array:
        """Returns of whole episodes in the environment that the run was trained in."""
        returns = np.zeros(episodes)
        check(lib.vly_policy_evaluate(self.handle, episodes, seed, int(greedy), returns.ctypes.data, None))
        return returns

    def to_torch(self) -> Any:
        """A torch.nn.Module with equal outputs: module(observation) is (logits, value), value None where there is none."""
        from .torch_module import make_module

        return make_module(self)

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            lib.vly_policy_close(handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


def load(run: str, *, best: bool = False, seed: int = 0, num_threads: int = 1) -> Policy:
    """The agent of a run's folder or of one checkpoint, ready to act.

    >>> import tempfile
    >>> from volley.trainer import Trainer
    >>> with Trainer("cartpole", seed=1, steps=3000, workers=1, out=tempfile.mkdtemp() + "/run") as t:
    ...     folder = t.run()["folder"]
    >>> load(folder).act([0.0, 0.0, 0.1, 0.0]) in (0, 1)
    True
    """
    return Policy(run, best=best, seed=seed, num_threads=num_threads)
