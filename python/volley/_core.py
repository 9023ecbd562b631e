"""A vector of environments: one call of the library for each batch, into arrays that are used again once nobody holds them."""

from __future__ import annotations

import ctypes
import functools
import operator
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from . import _library
from ._library import Batch, Owner, check, lib

Array = npt.NDArray[Any]
Call = TypeVar("Call", bound=Callable[..., Any])
TYPES: dict[int, Any] = {
    _library.U8: np.uint8,
    _library.I32: np.int32,
    _library.I64: np.int64,
    _library.F32: np.float32,
    _library.F64: np.float64,
}
KEPT = 6  # sets of arrays that are used again


class Rows:
    """The arrays of one batch, and what the library is told about them."""

    def __init__(self, core: Core, n: int, final: bool) -> None:
        self.reward = np.zeros(n, core.reward_type)
        self.terminated = np.zeros(n, np.bool_)
        self.truncated = np.zeros(n, np.bool_)
        self.env_id = np.zeros(n, np.int32)
        self.columns = {name: np.zeros((n, count) if count > 1 else n, kind) for name, kind, count in core.columns if core.wanted(name)}
        self.batch = Batch(
            reward=self.reward.ctypes.data,
            terminated=self.terminated.ctypes.data,
            truncated=self.truncated.ctypes.data,
            env_id=self.env_id.ctypes.data,
        )
        self.observation: Array | None = None
        if not core.view:
            self.observation = np.zeros((n, *core.shape), core.type)
            self.batch.observation = self.observation.ctypes.data
        self._pointers = self._point(core, self.columns)
        self.batch.column = ctypes.addressof(self._pointers)
        self.final: Array | None = None
        self.final_columns: dict[str, Array] = {}
        if final:
            self.final = np.zeros((n, *core.shape), core.type)
            self.batch.final_observation = self.final.ctypes.data
            self.final_columns = {name: np.zeros_like(array) for name, array in self.columns.items()}
            self._final_pointers = self._point(core, self.final_columns)
            self.batch.final_column = ctypes.addressof(self._final_pointers)
        self.at = ctypes.addressof(self.batch)
        self._held = [self.reward, self.terminated, self.truncated, self.env_id, *self.columns.values()]
        if self.observation is not None:
            self._held.insert(0, self.observation)
        self._alone = self._count()

    @staticmethod
    def _point(core: Core, arrays: dict[str, Array]) -> Any:
        addresses = [arrays[name].ctypes.data if name in arrays else None for name, _, _ in core.columns]
        return (ctypes.c_void_p * len(addresses))(*addresses)

    def _count(self) -> int:
        return sum(map(sys.getrefcount, self._held))

    def unused(self) -> bool:
        """Whether nobody else holds one of the arrays, or a view of one."""
        return self._count() == self._alone


def _opened(name: str, options: dict[str, Any]) -> Owner:
    handle = ctypes.c_void_p()
    check(lib.vly_vec_open(ctypes.addressof(handle), _library.text_of(name), _library.words_of(options)))
    return Owner(handle.value, lib.vly_vec_close)


def _alone(method: Call) -> Call:
    """One call at a time, as the library has it: what is given and returned lies in arrays that all calls use."""

    @functools.wraps(method)
    def call(self: Core, *args: Any, **kwargs: Any) -> Any:
        if not self._lock.acquire(False):
            raise _library.InvalidArgument("another thread is in a call with this vector: one at a time")
        try:
            return method(self, *args, **kwargs)
        finally:
            self._lock.release()

    return cast(Call, call)


def seeds_of(seed: Any, n: int) -> list[int]:
    """A seed for each of n environments, -1 for those that have none.

    >>> seeds_of(7, 3), seeds_of([4, None, 2], 3)
    ([7, 8, 9], [4, -1, 2])
    """
    try:
        first = operator.index(seed)
        given: list[int | None] = list(range(first, first + n))
    except TypeError:
        if isinstance(seed, (str, bytes)) or not isinstance(seed, Iterable):
            raise TypeError(f"a seed is a whole number, a list of them or None, not {seed!r}") from None
        given = [None if s is None else operator.index(s) for s in seed]
    if len(given) != n:
        raise _library.InvalidArgument(f"{len(given)} seeds for {n} environments")
    wrong = [s for s in given if s is not None and not 0 <= s < 1 << 63]
    if wrong:
        raise _library.InvalidArgument(f"the seed is {wrong[0]}, it must not be negative" if wrong[0] < 0 else f"the seed {wrong[0]} is above 2^63 - 1")
    return [-1 if s is None else s for s in given]


class Core:
    """An opened vector; what the faces of this package share."""

    def __init__(self, name: str, wanted: Callable[[str], bool], **options: Any) -> None:
        self._owner: Owner | None = _opened(name, options)
        handle = self._owner.handle
        self.wanted = wanted
        facts, observation, action = _library.Facts(), _library.Space(), _library.Space()
        check(lib.vly_vec_info(handle, ctypes.addressof(facts)))
        check(lib.vly_vec_spaces(handle, ctypes.addressof(observation), ctypes.addressof(action)))
        self.facts, self.observation, self.action = facts, observation, action
        self._lock = threading.Lock()
        self.name: str = lib.vly_vec_name(handle).decode()
        self.num_envs, self.batch_size, self.players = int(facts.num_envs), int(facts.batch_size), int(facts.players)
        self.actors = self.num_envs * self.players  # rows, and actions
        self.view = bool(options.get("view", False))
        self.type = TYPES[observation.type]
        self.shape = tuple(observation.shape[: observation.ndim])
        self.reward_type = TYPES[facts.reward_type]
        self.columns = self._read_columns()
        self.same_step = facts.autoreset == 1
        self._rows: list[Rows] = []
        self._views: dict[int, Array] = {}
        self.action_type = _library.F32 if action.type == _library.F32 else _library.I64
        self.action_shape = tuple(action.shape[: action.ndim])
        self._actions = np.zeros((self.actors, *self.action_shape), TYPES[self.action_type])
        self._actions_at = self._actions.ctypes.data
        self._ids = np.zeros(self.num_envs, np.int32)
        self._ids_at = self._ids.ctypes.data
        self._seeds = np.zeros(self.num_envs, np.int64)
        self._mask = np.zeros(self.num_envs, np.uint8)

    def _read_columns(self) -> list[tuple[str, Any, int]]:
        columns, column = [], _library.Column()
        for i in range(self.facts.columns):
            check(lib.vly_vec_column(self.owner.handle, i, ctypes.addressof(column)))
            name = column.name.decode()
            kind = np.int8 if name == "action_mask" else TYPES[column.type]  # as Gymnasium's spaces sample with
            columns.append((name, kind, int(column.count)))
        return columns

    def bounds(self) -> tuple[Array, Array]:
        """Of each number of an action: the least and the largest."""
        low, high = np.zeros(max(1, int(np.prod(self.action_shape)))), np.zeros(max(1, int(np.prod(self.action_shape))))
        owner = self.owner
        check(lib.vly_vec_bounds(owner.handle, low.ctypes.data, high.ctypes.data))
        return low.reshape(self.action_shape), high.reshape(self.action_shape)

    # ---- rows ----

    def rows(self, n: int) -> Rows:
        """Arrays that nobody holds."""
        for rows in self._rows:
            if rows.reward.shape[0] == n and rows.unused():
                return rows
        rows = Rows(self, n, self.same_step)
        if len(self._rows) == KEPT:
            self._rows.pop(0)
        self._rows.append(rows)
        return rows

    def shown(self, rows: Rows) -> Array:
        """The observations of a batch: its own, or those in the library's memory."""
        return self._view() if rows.observation is None else rows.observation

    def _view(self) -> Array:
        data, stride = ctypes.c_void_p(), ctypes.c_size_t()
        owner = self.owner
        check(lib.vly_vec_view(owner.handle, ctypes.addressof(data), ctypes.addressof(stride)))
        at = int(data.value or 0)
        view = self._views.get(at)
        if view is None:
            view = self._views[at] = self._make_view(at, int(stride.value))
        return view

    def _make_view(self, at: int, row: int) -> Array:
        """Rows lie `row` bytes apart, what is in one row together. The array keeps the library's memory."""
        size = int(np.prod(self.shape)) * np.dtype(self.type).itemsize
        memory = (ctypes.c_uint8 * (row * (self.actors - 1) + size)).from_address(at)
        memory._owner = self._owner
        flat = np.frombuffer(memory, self.type)
        inner = np.empty(self.shape, self.type).strides
        array = np.lib.stride_tricks.as_strided(flat, (self.actors, *self.shape), (row, *inner), writeable=False)
        return array

    # ---- calls ----

    @property
    def owner(self) -> Owner:
        owner = self._owner
        if owner is None:
            raise _library.InvalidArgument("the vector is closed")
        return owner

    def take_actions(self, actions: Any, n: int) -> None:
        array = np.asarray(actions)
        if array.shape != (n, *self.action_shape):
            raise _library.InvalidArgument(f"actions have the shape {array.shape}, {(n, *self.action_shape)} is needed")
        if array.dtype.kind not in ("iuf" if self.action_type == _library.F32 else "iu"):
            raise _library.InvalidArgument(f"actions are of type {array.dtype}, those of {self.name} are of {self._actions.dtype}")
        self._actions[:n] = array

    def take_seeds(self, seed: Any) -> int | None:
        """Environment i gets seed + i, or entry i of a list; None leaves its random numbers as they are."""
        if seed is None:
            return None
        self._seeds[:] = seeds_of(seed, self.num_envs)
        return int(self._seeds.ctypes.data)

    def take_mask(self, mask: Any) -> int | None:
        if mask is None:
            return None
        if not isinstance(mask, np.ndarray):
            raise TypeError(f"`options['reset_mask']` must be a numpy array, got {type(mask)}")
        if mask.dtype != np.bool_:
            raise TypeError(f"`options['reset_mask']` must have dtype bool, got {mask.dtype}")
        if self.players > 1 and mask.shape == (self.actors,):
            mask = self._mask_of_all(mask.reshape(self.num_envs, self.players))
        if mask.shape != (self.num_envs,):
            raise ValueError(f"`options['reset_mask']` must have shape ({self.num_envs},), got {mask.shape}")
        self._mask[:] = mask
        return int(self._mask.ctypes.data)

    @staticmethod
    def _mask_of_all(players: Array) -> Array:
        """A mask of environments from one of players, who begin together."""
        if (players.any(1) != players.all(1)).any():
            raise ValueError("`options['reset_mask']` is True for some players of an environment, but not for all")
        every: Array = np.asarray(players.all(1))
        return every

    def take_ids(self, ids: Any) -> tuple[int | None, int]:
        if ids is None:
            return None, self.num_envs
        array = np.atleast_1d(np.asarray(ids))
        if array.ndim != 1 or array.dtype.kind not in "iu" or not 0 < array.size <= self.num_envs:
            raise _library.InvalidArgument(f"environments are named by 1 to {self.num_envs} whole numbers")
        self._ids[: array.size] = array
        if not np.array_equal(self._ids[: array.size], array):
            raise _library.InvalidArgument(f"environment {array.max()}: there are {self.num_envs}, from 0")
        return self._ids_at, int(array.size)

    @_alone
    def reset(self, seed: Any = None, mask: Any = None) -> Rows:
        owner = self.owner
        seeds, chosen = self.take_seeds(seed), self.take_mask(mask)
        rows = self.rows(self.actors)
        check(lib.vly_vec_reset(owner.handle, chosen, seeds, rows.at))
        return rows

    @_alone
    def step(self, actions: Any) -> Rows:
        owner = self.owner
        self.take_actions(actions, self.actors)
        rows = self.rows(self.actors)
        status = lib.vly_vec_step(owner.handle, self._actions_at, self.action_type, rows.at)
        if status:
            _library.fail(status)
        return rows

    @_alone
    def send(self, actions: Any, ids: Any = None) -> None:
        owner = self.owner
        at, n = self.take_ids(ids)
        self.take_actions(actions, n * self.players)
        check(lib.vly_vec_send(owner.handle, at, n, self._actions_at, self.action_type))

    @_alone
    def send_reset(self, ids: Any = None, seed: Any = None) -> None:
        owner = self.owner
        at, n = self.take_ids(ids)
        check(lib.vly_vec_send_reset(owner.handle, at, n, self.take_seeds(seed)))

    @_alone
    def recv(self) -> Rows:
        owner = self.owner
        rows = self.rows(self.batch_size * self.players)
        check(lib.vly_vec_recv(owner.handle, rows.at))
        return rows

    @_alone
    def save(self, ids: Any = None) -> Array:
        at, n = self.take_ids(ids)
        owner = self.owner
        states = np.empty((n, int(self.facts.state_bytes)), np.uint8)
        check(lib.vly_vec_save(owner.handle, at, n, states.ctypes.data, states.nbytes))
        return states

    @_alone
    def load(self, states: Any, ids: Any = None) -> Array:
        at, n = self.take_ids(ids)
        array = np.ascontiguousarray(states)
        if array.dtype != np.uint8 or array.shape != (n, int(self.facts.state_bytes)):
            raise _library.InvalidArgument(f"states are {array.dtype} of the shape {array.shape}, not uint8 of {(n, int(self.facts.state_bytes))}")
        observation = np.empty((n * self.players, *self.shape), self.type)
        batch, owner = Batch(observation=observation.ctypes.data), self.owner
        check(lib.vly_vec_load(owner.handle, at, n, array.ctypes.data, array.nbytes, ctypes.addressof(batch)))
        return observation

    def shared_space(self) -> _library.Space | None:
        """What the shared state of an environment is; None: it has none."""
        space, owner = _library.Space(), self.owner
        status = lib.vly_vec_shared_space(owner.handle, ctypes.addressof(space))
        if status == _library.UNSUPPORTED:
            return None
        check(status)
        return space

    @_alone
    def shared(self, ids: Any = None) -> Array:
        """The shared states of environments, for critics that see all of them."""
        at, n = self.take_ids(ids)
        owner, space = self.owner, _library.Space()
        check(lib.vly_vec_shared_space(owner.handle, ctypes.addressof(space)))
        states = np.empty((n, *space.shape[: space.ndim]), TYPES[space.type])
        check(lib.vly_vec_shared(owner.handle, at, n, states.ctypes.data, states.nbytes))
        return states

    @_alone
    def render(self, env: int) -> Array:
        size, owner = (ctypes.c_int * 2)(), self.owner
        width, height = ctypes.addressof(size), ctypes.addressof(size) + ctypes.sizeof(ctypes.c_int)
        check(lib.vly_vec_render(owner.handle, env, None, width, height))
        picture = np.empty((size[1], size[0], 3), np.uint8)
        check(lib.vly_vec_render(owner.handle, env, picture.ctypes.data, width, height))
        return picture

    def close(self) -> None:
        """Once or twice. Arrays that show the library's memory keep it until they are gone."""
        self._views.clear()
        self._owner = None
