"""Gymnasium's vector environments over libvolley."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from . import _library
from ._core import TYPES, Array, Core, Rows
from ._library import InvalidArgument

if TYPE_CHECKING:
    from typing_extensions import Self

_MODES = {AutoresetMode.NEXT_STEP: "next_step", AutoresetMode.SAME_STEP: "same_step", AutoresetMode.DISABLED: "disabled"}
_BY_NAME = {name: mode for mode, name in _MODES.items()}
HIDDEN = ("game_over", "ram")


def mode_of(mode: AutoresetMode | str) -> AutoresetMode:
    """An autoreset mode by Gymnasium's names or as NEXT_STEP, next_step.

    >>> mode_of("same_step")
    <AutoresetMode.SAME_STEP: 'SameStep'>
    """
    if not isinstance(mode, str):
        return AutoresetMode(mode)
    return _BY_NAME[mode.lower()] if mode.lower() in _BY_NAME else AutoresetMode(mode)


def observation_space(core: Core) -> Space[Any]:
    o = core.observation
    return Box(o.low, o.high, core.shape, core.type)


def shared_space(core: Core) -> Space[Any] | None:
    """Of the state that critics of all players are shown; None: the environment has none."""
    s = core.shared_space()
    return None if s is None else Box(s.low, s.high, tuple(s.shape[: s.ndim]), TYPES[s.type])


def action_space(core: Core) -> Space[Any]:
    if core.action.n:
        return Discrete(int(core.action.n))
    low, high = core.bounds()
    if core.action_type == _library.I64:
        return MultiDiscrete(high.astype(np.int64) + 1)
    return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


class CoreVectorEnv(VectorEnv[Any, Any, Any]):
    """What the faces have in common: states, `with`, closing."""

    _core: Core

    def _shown(self, array: Array) -> Array:
        """Observations as this face has them."""
        return array

    def get_state(self, env_id: Any = None) -> Array:
        """The states of environments as rows of bytes, with the observations that belong to them.

        >>> envs = make_vec("cartpole", num_envs=2)
        >>> first, _ = envs.reset(seed=1)
        >>> states = envs.get_state([0])
        >>> _ = envs.step([0, 1])
        >>> bool((envs.set_state([1], states)[0] == first[0]).all())
        True
        """
        return self._core.save(env_id)

    def set_state(self, env_id: Any, states: Any) -> Array:
        """Puts environments into states and returns their observations."""
        return self._shown(self._core.load(states, env_id))

    def close_extras(self, **kwargs: Any) -> None:
        core = getattr(self, "_core", None)  # there is none when opening failed
        if core is not None:
            core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a vector of environments is not pickled or copied: pickle its `spec`, or make another and take over get_state()")


class VolleyVectorEnv(CoreVectorEnv):
    """Environments stepped by one call of libvolley; use `make_vec`.

    Of several players every player has a row: row `env * players + player`. They begin and end together; seeds, masks and states are
    of environments. `info["idle"]` says whose action the next step ignores.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(
        self,
        name: str,
        num_envs: int = 1,
        *,
        batch_size: int = 0,
        num_threads: int = 0,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        copy: bool = True,
        reward: str = "f64",
        roms: str | None = None,
        options: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise InvalidArgument(f"render_mode is {render_mode!r}, it can be None or 'rgb_array'")
        self.autoreset_mode = mode_of(autoreset_mode)
        self._core = Core(
            name,
            lambda column: column not in HIDDEN,
            num_envs=num_envs,
            batch_size=batch_size,
            num_threads=num_threads,
            autoreset=_MODES[self.autoreset_mode],
            max_steps=max_episode_steps,
            view=not copy,
            reward=reward,
            data=roms,
            **(options or {}),
            **more,
        )
        core = self._core
        self.players, self.num_envs, self.batch_size = core.players, core.actors, core.batch_size * core.players
        self.render_mode = render_mode
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = observation_space(core), action_space(core)
        self.observation_space = batch_space(self.single_observation_space, self.batch_size)
        self.action_space = batch_space(self.single_action_space, self.batch_size)
        self._everyone = np.ones(self.batch_size, np.bool_)
        self._everyone.flags.writeable = False

    # ---- Gymnasium's interface ----

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts episodes: environment i with seed + i, or with entry i of a list. options["reset_mask"] chooses which.

        >>> envs = make_vec("cartpole", num_envs=2)
        >>> observation, info = envs.reset(seed=7)
        >>> observation.shape, observation.dtype
        ((2, 4), dtype('float32'))
        """
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        if mask is not None and isinstance(mask, np.ndarray) and not mask.any():
            raise ValueError("`options['reset_mask']` must contain a boolean array with at least one True value")
        if options:
            raise InvalidArgument(f"reset has no option {sorted(options)[0]!r}: it has 'reset_mask'")
        rows = self._core.reset(seed, mask)
        return self._core.shown(rows), self._info(rows, ended=False)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        rows = self._core.step(actions)
        return self._core.shown(rows), rows.reward, rows.terminated, rows.truncated, self._info(rows, ended=True)

    def send(self, actions: Any, env_id: Any = None) -> None:
        """Actions for the environments `env_id`, or for all in order, without waiting."""
        self._core.send(actions, env_id)

    def recv(self) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """batch_size rows, of an asynchronous vector those that are done first: info["env_id"] says whose."""
        rows = self._core.recv()
        info = self._info(rows, ended=True)
        info["env_id"] = rows.env_id
        return self._core.shown(rows), rows.reward, rows.terminated, rows.truncated, info

    def async_reset(self, seed: Any = None) -> None:
        """Starts episodes of all environments, whose rows recv() returns."""
        self._core.send_reset(seed=seed)

    def render(self) -> tuple[Any, ...] | None:
        """A picture for each row, (height, width, 3); players of one environment have the same."""
        if self.render_mode is None:
            return None
        pictures = [self._core.render(i) for i in range(self._core.num_envs)]
        return tuple(pictures[i // self.players] for i in range(self.num_envs))

    # ---- information ----

    def _add(self, info: dict[str, Any], columns: dict[str, Array], mask: Array) -> None:
        for name, array in columns.items():
            info[name] = array
            info["_" + name] = mask

    def _info(self, rows: Rows, ended: bool) -> dict[str, Any]:
        info: dict[str, Any] = {}
        mask = self._everyone if rows.reward.shape[0] == self.batch_size else np.ones(rows.reward.shape[0], np.bool_)
        self._add(info, rows.columns, mask)
        if ended and rows.final is not None:
            self._add_final(info, rows)
        return info

    def _add_final(self, info: dict[str, Any], rows: Rows) -> None:
        over = rows.terminated | rows.truncated
        if rows.final is None or not over.any():
            return
        observations = np.full(over.shape, None, dtype=object)
        for i in np.flatnonzero(over):
            observations[i] = rows.final[i].copy()
        final: dict[str, Any] = {}
        columns = {name: array.copy() for name, array in rows.final_columns.items()}
        for array in columns.values():
            array[~over] = 0
        self._add(final, columns, over.copy())
        info["final_obs"], info["_final_obs"] = observations, over
        info["final_info"], info["_final_info"] = final, over.copy()


def make_vec(name: str, num_envs: int = 1, **options: Any) -> VolleyVectorEnv:
    """A vector of environments by Volley's name, a Gymnasium id or the path of a plugin.

    num_threads, batch_size, autoreset_mode, max_episode_steps, render_mode, roms, reward ("f64", "f32", "i32"); copy=False shows
    observations in place, until the next call. `options` are those of the environment: {"atari.sticky": 0.25}, {"slippery": 1}.

    >>> envs = make_vec("cartpole", num_envs=3)
    >>> observation, info = envs.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = envs.step([0, 1, 0])
    >>> reward
    array([1., 1., 1.])
    >>> envs.close()
    """
    return VolleyVectorEnv(name, num_envs, **options)


def camel(name: str) -> str:
    """The name in Gymnasium's way: minatar/space_invaders is MinAtar-SpaceInvaders."""
    family, _, game = name.rpartition("/")
    words = "".join(word.capitalize() for word in game.split("_"))
    return f"{'MinAtar' if family == 'minatar' else family}-{words}" if family else words


def register() -> None:
    """Registers volley/Pong-v5, volley/CartPole-v1 … with Gymnasium; done when both packages are imported."""
    from ._library import known

    for name, gymnasium_id, family in known():
        version = "v5" if family == "atari" else "v0"
        plain = f"{camel(name)}-{version}"
        if gymnasium_id and family in ("classic", "mujoco"):
            plain = gymnasium_id
        full = f"volley/{plain}"
        if full not in gymnasium.registry:
            arguments = {"name": f"ALE/{camel(name)}-v5" if family == "atari" else name}
            gymnasium.register(full, "volley.single:VolleyEnv", vector_entry_point="volley.vector:make_vec", kwargs=arguments)


register()
