"""One environment as gymnasium.Env: gymnasium.make("volley/Pong-v5")."""

from __future__ import annotations

from typing import Any

import gymnasium

from ._core import Array, Core, Rows
from ._library import InvalidArgument, Unsupported
from .vector import HIDDEN, action_space, observation_space


class VolleyEnv(gymnasium.Env[Any, Any]):
    """A vector of one, without autoreset. `options` are those of the environment, as in make_vec.

    >>> env = gymnasium.make("volley/CartPole-v1", render_mode="rgb_array")
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(1)
    >>> reward, env.render().shape[2]
    (1.0, 3)
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, name: str, *, render_mode: str | None = None, roms: str | None = None, options: dict[str, Any] | None = None, **more: Any) -> None:
        if render_mode not in (None, "rgb_array"):
            raise InvalidArgument(f"render_mode is {render_mode!r}, it can be None or 'rgb_array'")
        given = {"autoreset": "disabled", "reward": "f64", "data": roms, **(options or {}), **more}
        self._core = Core(name, lambda column: column not in HIDDEN, num_envs=1, num_threads=1, **given)
        if self._core.players > 1:
            raise Unsupported(f"{self._core.name} has {self._core.players} players: volley.parallel_env and volley.make_vec take them")
        self.render_mode = render_mode
        self.observation_space, self.action_space = observation_space(self._core), action_space(self._core)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Starts an episode; options are not used."""
        super().reset(seed=seed)
        rows = self._core.reset(seed)
        return self._core.shown(rows)[0], self._info(rows)

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        rows = self._core.step([action])
        return self._core.shown(rows)[0], float(rows.reward[0]), bool(rows.terminated[0]), bool(rows.truncated[0]), self._info(rows)

    @staticmethod
    def _info(rows: Rows) -> dict[str, Any]:
        return {name: column[0] for name, column in rows.columns.items()}

    def get_state(self) -> Array:
        """The environment as bytes, for set_state."""
        state: Array = self._core.save()[0]
        return state

    def set_state(self, state: Array) -> Array:
        """Puts it into a state and returns the observation that belongs to it."""
        observation: Array = self._core.load(state[None])[0]
        return observation

    def render(self) -> Any:
        return None if self.render_mode is None else self._core.render(0)

    def close(self) -> None:
        self._core.close()

    def __reduce__(self) -> Any:
        raise TypeError("an environment is not pickled or copied: make another, and take over get_state()")
