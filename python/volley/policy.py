"""Trained agents on anyone's observations."""

from __future__ import annotations

import ctypes
import operator
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _library
from ._library import Owner, check, lib

Array = npt.NDArray[Any]


def _waited(call: Callable[[], None]) -> None:
    """The call, on a thread beside the main one, which would not answer Control-C within it. Interrupted, it ends unheard."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


class Policy:
    """The network of a run; `load` opens one."""

    def __init__(self, run: str | os.PathLike[str], *, best: bool = False, seed: int = 0, num_threads: int = 1, accept_config: bool = False) -> None:
        handle, facts = ctypes.c_void_p(), _library.PolicyFacts()
        options = _library.words_of({"best": best, "seed": seed, "num_threads": num_threads, "accept_config": accept_config})
        check(lib.vly_policy_open(ctypes.addressof(handle), _library.text_of(run), options))
        self._owner: Owner | None = Owner(handle.value, lib.vly_policy_close)
        check(lib.vly_policy_info(handle.value, ctypes.addressof(facts)))
        self.shape = tuple(facts.shape[: facts.ndim])
        self.dtype = np.dtype(np.uint8 if facts.type == _library.U8 else np.float32)
        self.actions, self.recurrent, self.q_values = int(facts.actions), int(facts.recurrent), bool(facts.q_values)
        self.scale = float(facts.scale)
        self.environment, self.algorithm = facts.environment.decode(), facts.algorithm.decode()
        self.network, self.activation = facts.network.decode(), facts.activation.decode()
        self.box, self.width, self.deterministic = bool(facts.box), int(facts.width), bool(facts.deterministic)
        self.choices: tuple[int, ...] = tuple((ctypes.c_int32 * facts.parts).from_address(facts.choices)) if facts.choices else ()
        self.parts: tuple[int, ...] = (int(facts.parts),) if facts.box or facts.parts > 1 else ()

    @property
    def owner(self) -> Owner:
        owner = self._owner
        if owner is None:
            raise _library.InvalidArgument("the policy is closed")
        return owner

    def initial_state(self, n: int) -> Array:
        """The state of a recurrent network at the start of n episodes."""
        return np.zeros((n, 2, self.recurrent), np.float32)

    def _taken(self, array: Array) -> Array:
        """Bytes are not made of numbers between them, nor numbers of words."""
        if array.dtype.kind not in ("biu" if self.dtype == np.uint8 else "biuf"):
            raise _library.InvalidArgument(f"observations are of type {array.dtype}, those of {self.environment} are of {self.dtype}")
        if self.dtype == np.uint8 and array.dtype != np.uint8 and array.size and not 0 <= array.min() <= array.max() <= 255:
            raise _library.InvalidArgument("observations are bytes: a number is not in 0 to 255")
        return array

    def decide(self, observation: Any, *, mask: Any = None, state: Array | None = None, greedy: bool = True) -> dict[str, Array]:
        """action, logits (values of actions with Q-learning) and value for a batch of observations; state is replaced in place.

        An action is a whole number, of several choices (parts,) of them, in a box (parts,) numbers of float32. A mask has one entry for
        each choice.
        """
        given = np.ascontiguousarray(self._taken(np.asarray(observation)), self.dtype)
        if given.shape[1:] != self.shape:
            raise _library.InvalidArgument(f"observations have the shape {given.shape}, (n, {', '.join(map(str, self.shape))}) is needed")
        n = given.shape[0]
        action = np.zeros((n, *self.parts), np.float32 if self.box else np.int64)
        out = {"logits": np.zeros((n, self.width), np.float32), "value": np.zeros(n, np.float32)}
        allowed = None if mask is None else np.ascontiguousarray(np.asarray(mask) != 0, np.uint8)
        if allowed is not None and allowed.shape != (n, self.actions):
            raise _library.InvalidArgument(f"the mask has the shape {allowed.shape}, {(n, self.actions)} is needed")
        if state is not None and (not isinstance(state, np.ndarray) or state.shape != (n, 2, self.recurrent) or state.dtype != np.float32 or not state.flags.carray):
            raise _library.InvalidArgument(f"the state is not a writable array of float32 of the shape {(n, 2, self.recurrent)}")
        decision = _library.Decision(
            observation=given.ctypes.data,
            mask=None if allowed is None else allowed.ctypes.data,
            state=None if state is None else state.ctypes.data,
            greedy=int(greedy),
            **{name: array.ctypes.data for name, array in out.items()},
            **{"numbers" if self.box else "action": action.ctypes.data},
        )
        owner = self.owner
        check(lib.vly_policy_act(owner.handle, n, ctypes.addressof(decision)))
        return {"action": action, **out}

    def _decide_one(self, observation: Any, mask: Any, state: Array | None, greedy: bool) -> dict[str, Array]:
        """Of a batch, or of a single observation with its mask as a batch of one."""
        if np.shape(observation) == self.shape:
            observation, mask = np.asarray(observation)[None], None if mask is None else np.asarray(mask)[None]
        return self.decide(observation, mask=mask, state=state, greedy=greedy)

    def act(self, observation: Any, *, mask: Any = None, state: Array | None = None, greedy: bool = True) -> Any:
        """The actions for a batch of observations, or the one for a single observation."""
        single = np.shape(observation) == self.shape
        action = self._decide_one(observation, mask, state, greedy)["action"]
        if not single:
            return action
        return action[0] if self.parts else int(action[0])

    def value(self, observation: Any, *, mask: Any = None, state: Array | None = None) -> Any:
        """The expected return from a batch of observations, or from a single one; with Q-learning the best value of an action."""
        single = np.shape(observation) == self.shape
        value = self._decide_one(observation, mask, state, True)["value"]
        return float(value[0]) if single else value

    def weights(self) -> dict[str, Array]:
        """Copies of the weights by name; convolutions are (out, height, width, in)."""
        found, weight, i, owner = {}, _library.Weight(), 0, self.owner
        while lib.vly_policy_tensor(owner.handle, i, ctypes.addressof(weight)) == 0:
            shape = tuple(weight.shape[: weight.ndim])
            numbers: Any = (ctypes.c_float * int(np.prod(shape))).from_address(weight.data)
            found[weight.name.decode()] = np.frombuffer(numbers, np.float32).reshape(shape).copy()
            i += 1
        return found

    def evaluate(self, episodes: int = 100, *, seed: int = 0, greedy: bool = True, env: Callable[[], Any] | None = None) -> Array:
        """Returns of whole episodes in the environment that the run was trained in; of one written in Python, `env` is the class."""
        if operator.index(episodes) < 1 or not 0 <= operator.index(seed) < 1 << 63:
            raise _library.InvalidArgument(f"{episodes} episodes from the seed {seed}: one at least, and a seed from 0 to 2^63 - 1")
        if env is not None:
            from .custom import play

            def begin() -> Callable[[Array, Array | None], Any]:
                state = self.initial_state(1) if self.recurrent else None
                return lambda row, mask: self.act(row, mask=mask, state=state, greedy=greedy)

            return play(env, begin, episodes, seed)
        returns, owner = np.zeros(episodes), self.owner
        _waited(lambda: check(lib.vly_policy_evaluate(owner.handle, episodes, seed, int(greedy), returns.ctypes.data, None)))
        return returns

    def to_torch(self) -> Any:
        """A torch.nn.Module with equal outputs: module(observation) is (logits, value), value None where there is none.

        Of a recurrent network: module(observation, state) is (logits, value, state), with the state of initial_state or None.
        """
        from .torch_module import make_module

        return make_module(self)

    def close(self) -> None:
        """Once or twice."""
        self._owner = None

    def __enter__(self) -> Policy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a policy is not pickled or copied: volley.load(folder) opens another")


def load(run: str | os.PathLike[str], *, best: bool = False, seed: int = 0, num_threads: int = 1, accept_config: bool = False) -> Policy:
    """The agent of a run's folder or of one checkpoint, ready to act.

    accept_config: also where the run's config.yaml is not what the checkpoint was saved with.

    >>> import tempfile
    >>> from volley.trainer import Trainer
    >>> with Trainer("cartpole", seed=1, steps=3000, workers=1, out=tempfile.mkdtemp() + "/run") as t:
    ...     folder = t.run()["folder"]
    >>> load(folder).act([0.0, 0.0, 0.1, 0.0]) in (0, 1)
    True
    """
    return Policy(run, best=best, seed=seed, num_threads=num_threads, accept_config=accept_config)
