"""Environments of several players as PettingZoo's parallel API."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from ._core import Array, Core, Rows
from ._library import InvalidArgument
from .vector import action_space, observation_space, shared_space

try:
    from pettingzoo import ParallelEnv as _Base  # type: ignore[import-untyped, import-not-found, unused-ignore]
except ImportError:  # the same methods without the class
    _Base = object


class VolleyParallelEnv(_Base):  # type: ignore[misc, unused-ignore]
    """One environment, whose players act at once; use `parallel_env`."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "name": "volley", "is_parallelizable": True}

    def __init__(self, name: str, *, render_mode: str | None = None, options: dict[str, Any] | None = None, **more: Any) -> None:
        if render_mode not in (None, "rgb_array"):
            raise InvalidArgument(f"render_mode is {render_mode!r}, it can be None or 'rgb_array'")
        self._core = Core(name, lambda _: True, num_envs=1, num_threads=1, autoreset="disabled", **more, **(options or {}))
        self.metadata = {**type(self).metadata, "name": self._core.name}
        self.render_mode = render_mode
        self.possible_agents = [f"player_{i}" for i in range(self._core.facts.players)]
        self.agents: list[str] = []
        self.observation_spaces: dict[str, gymnasium.Space[Any]] = {agent: observation_space(self._core) for agent in self.possible_agents}
        self.action_spaces: dict[str, gymnasium.Space[Any]] = {agent: action_space(self._core) for agent in self.possible_agents}
        shared = shared_space(self._core)
        if shared is not None:  # PettingZoo's wrappers ask whether there is one
            self.state_space = shared

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        return self.action_spaces[agent]

    @property
    def num_agents(self) -> int:
        return len(self.agents)

    @property
    def max_num_agents(self) -> int:
        return len(self.possible_agents)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Starts an episode; options are not used."""
        rows = self._core.reset(seed)
        self.agents = list(self.possible_agents)
        return self._by_agent(self._core.shown(rows)), self._infos(rows)

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """A step of all players at once. An idle one's action is ignored: infos[agent]["idle"]."""
        if not self.agents:
            raise InvalidArgument("the episode is over, or none was begun: reset() first")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise InvalidArgument(f"no action of {', '.join(missing)}")
        rows = self._core.step(np.stack([np.asarray(actions[agent]) for agent in self.agents]))
        result = (
            self._by_agent(self._core.shown(rows)),
            {agent: float(rows.reward[i]) for i, agent in enumerate(self.agents)},
            {agent: bool(rows.terminated[i]) for i, agent in enumerate(self.agents)},
            {agent: bool(rows.truncated[i]) for i, agent in enumerate(self.agents)},
            self._infos(rows),
        )
        if rows.terminated[0] or rows.truncated[0]:
            self.agents = []
        return result

    def _by_agent(self, array: Array) -> dict[str, Array]:
        return {agent: array[i] for i, agent in enumerate(self.agents)}

    def _infos(self, rows: Rows) -> dict[str, dict[str, Any]]:
        return {agent: {name: column[i] for name, column in rows.columns.items()} for i, agent in enumerate(self.agents)}

    def state(self) -> Array:
        """What a critic of all players is shown; `state_space` is its space. NotImplementedError: the environment has none."""
        state: Array = self._core.shared()[0]
        return state

    def get_state(self) -> Array:
        """The environment as bytes, for set_state."""
        state: Array = self._core.save()[0]
        return state

    def set_state(self, state: Array) -> dict[str, Array]:
        """Puts it into a state and returns the observations that belong to it."""
        observation = self._core.load(np.asarray(state)[None])
        return {agent: observation[i] for i, agent in enumerate(self.possible_agents)}

    def render(self) -> Array | None:
        return None if self.render_mode is None else self._core.render(0)

    def close(self) -> None:
        self._core.close()

    def __reduce__(self) -> Any:
        raise TypeError("an environment is not pickled or copied: make another, and take over get_state()")

    @property
    def unwrapped(self) -> VolleyParallelEnv:
        return self

    def __str__(self) -> str:
        return self._core.name


def parallel_env(name: str, **options: Any) -> VolleyParallelEnv:
    """An environment of several players, by name or path of a plugin, with PettingZoo's parallel API.

    max_steps, render_mode; `options` are those of the environment.
    """
    return VolleyParallelEnv(name, **options)
