"""EnvPool's Atari environments, call for call and bit for bit (EnvPool 1.2.5).

>>> from volley import envpool
>>> "Pong-v5" in envpool.list_all_envs()
True
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode

from ._core import Array, Core, Rows, seeds_of
from ._library import InvalidArgument, NotFound, Unsupported, names
from .vector import CoreVectorEnv, camel

_INFO = ("lives", "score", "game_over", "elapsed_step", "ram")
_DEFAULTS: dict[str, Any] = {
    "num_envs": 1,
    "batch_size": 0,
    "num_threads": 0,
    "max_num_players": 1,
    "thread_affinity_offset": -1,
    "seed": 42,
    "stack_num": 4,
    "frame_skip": 4,
    "noop_max": 30,
    "zero_discount_on_life_loss": False,
    "episodic_life": False,
    "reward_clip": False,
    "use_fire_reset": True,
    "img_height": 84,
    "img_width": 84,
    "full_action_space": False,
    "repeat_action_probability": 0.0,
    "use_inter_area_resize": True,
    "gray_scale": True,
    "max_episode_steps": 27000,
    "mode": -1,
    "difficulty": -1,
    "gym_reset_return_info": True,
    "roms": None,
}
# What cannot be had, and what is had instead.
_ONLY = {"max_num_players": 1, "thread_affinity_offset": -1, "use_inter_area_resize": True, "gym_reset_return_info": True}


def list_all_envs() -> list[str]:
    """The ids that make() takes."""
    return sorted(f"{camel(name)}-v5" for name in names("atari"))


def make(task_id: str, env_type: str = "gymnasium", **options: Any) -> AtariGymnasiumEnvPool:
    """envpool.make for env_type "gymnasium" (or "gym"), with its options and defaults; `roms` names a folder of ROMs."""
    if env_type not in ("gym", "gymnasium"):
        raise Unsupported(f"env_type {env_type!r} is not offered: 'gymnasium' is")
    return AtariGymnasiumEnvPool(task_id, **options)


def make_gymnasium(task_id: str, **options: Any) -> AtariGymnasiumEnvPool:
    return make(task_id, "gymnasium", **options)


make_gym = make_gymnasium


def make_dm(task_id: str, **options: Any) -> NoReturn:
    raise Unsupported("env_type 'dm' is not offered: 'gymnasium' is")


def make_spec(task_id: str, **options: Any) -> Any:
    """The specification of an environment: config, observation_space, action_space."""
    pool = make(task_id, **options)
    spec = pool.spec
    pool.close()
    return spec


def _settings(task_id: str, options: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(options) - set(_DEFAULTS) - {"render_mode"})
    if unknown:
        raise InvalidArgument(f"{task_id} has no option {unknown[0]!r}")
    config = {**_DEFAULTS, **options}
    for key, only in _ONLY.items():
        if config[key] != only:
            raise Unsupported(f"{key}={config[key]!r} is not offered: {only!r} is")
    if config["img_height"] != config["img_width"]:
        raise Unsupported("pictures that are not square are not offered")
    return config


def _game(task_id: str) -> str:
    for name in names("atari"):
        if f"{camel(name)}-v5" == task_id:
            return name
    raise NotFound(f"{task_id} is not supported, `envpool.list_all_envs()` lists what is")


class AtariGymnasiumEnvPool(CoreVectorEnv):
    """What envpool.make returns. Its observation_space and action_space are those of one environment, as EnvPool's are."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, task_id: str, **options: Any) -> None:
        self.config = _settings(task_id, options)
        c = self.config
        self.render_mode = c.pop("render_mode", None)
        self._core = Core(
            _game(task_id),
            _INFO.__contains__,
            num_envs=c["num_envs"],
            batch_size=c["batch_size"],
            num_threads=c["num_threads"],
            stack_start="repeat",
            stack_lives=True,
            data=c["roms"],
            **{
                "atari.preset": "envpool",
                "atari.stale_terminal": True,
                "atari.stack": c["stack_num"],
                "atari.frame_skip": c["frame_skip"],
                "atari.noop_max": c["noop_max"],
                "atari.episodic_life": c["episodic_life"],
                "atari.reward_mode": "sign" if c["reward_clip"] else "none",
                "atari.fire_reset": c["use_fire_reset"],
                "atari.size": c["img_height"],
                "atari.full_actions": c["full_action_space"],
                "atari.sticky": c["repeat_action_probability"],
                "atari.grayscale": c["gray_scale"],
                "atari.mode": c["mode"],
                "atari.difficulty": c["difficulty"],
                "atari.max_frames": c["max_episode_steps"] * c["frame_skip"],
            },
        )
        self.num_envs = self._core.num_envs
        self.task_id = task_id
        self._seeded, self._first_seeds = False, seeds_of(c["seed"], self.num_envs)
        channels = c["stack_num"] * (1 if c["gray_scale"] else 3)
        self._shape = (channels, c["img_height"], c["img_width"])
        self.single_observation_space = self.observation_space = Box(0, 255, self._shape, np.uint8)
        self.single_action_space = self.action_space = Discrete(int(self._core.action.n))
        # EnvPool's `spec` is a specification of its own kind, not one of Gymnasium's registry.
        self.spec: Any = SimpleNamespace(config=SimpleNamespace(**c), observation_space=self.observation_space, action_space=self.action_space)

    @property
    def all_env_ids(self) -> Array:
        return np.arange(self.num_envs, dtype=np.int32)

    @property
    def is_async(self) -> bool:
        return bool(self._core.facts.asynchronous)

    def __len__(self) -> int:
        return self.num_envs

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config.items())})"

    # ---- calls ----

    def _seed(self) -> Any:
        """Environment i has seed + i from its first reset on; later resets go on."""
        first, self._seeded = not self._seeded, True
        return self._first_seeds if first else None

    def async_reset(self) -> None:
        """Starts episodes of all environments; recv() returns their rows."""
        self._core.send_reset(seed=self._seed())

    def reset(self, env_id: Any = None, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            warnings.warn("seeds are fixed when the environment is made: reset(seed=...) is ignored, pass seed to make()", stacklevel=2)
        chosen = self._chosen(options or {})
        if env_id is not None and chosen is not None:
            raise InvalidArgument("reset takes env_id or options['reset_mask'], not both")
        env_id = chosen if env_id is None else env_id
        if env_id is None or not self._seeded:
            rows = self._core.reset(self._seed())
            return self._result(rows, reset=True) if env_id is None else self._some(rows, env_id)
        mask = np.zeros(self.num_envs, np.bool_)
        mask[env_id] = True
        return self._some(self._core.reset(None, mask), env_id)

    def _chosen(self, options: dict[str, Any]) -> Array | None:
        """The environments of options["reset_mask"]."""
        unknown = sorted(set(options) - {"reset_mask"})
        if unknown:
            raise InvalidArgument(f"reset has no option {unknown[0]!r}: it has 'reset_mask'")
        if options.get("reset_mask") is None:
            return None
        mask = np.asarray(options["reset_mask"], np.bool_)
        if mask.shape != (self.num_envs,) or not mask.any():
            raise InvalidArgument(f"reset_mask has the shape {mask.shape} and {mask.sum()} chosen, it needs ({self.num_envs},) and at least one")
        return np.flatnonzero(mask)

    def _some(self, rows: Rows, env_id: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self._result(rows, reset=True)
        return observation[env_id], {k: ({"env_id": v["env_id"][env_id]} if k == "players" else v[env_id]) for k, v in info.items()}

    def send(self, action: Any, env_id: Any = None) -> None:
        if isinstance(action, dict):
            action, env_id = action["action"], action.get("env_id", env_id)
        self._core.send(np.asarray(action).astype(np.int32), None if self._all(env_id) else env_id)

    def _all(self, env_id: Any) -> bool:
        return env_id is None or (not self.is_async and np.array_equal(env_id, self.all_env_ids))

    def recv(self, reset: bool = False, return_info: bool = True) -> Any:
        return self._result(self._core.recv(), reset)

    def step(self, action: Any, env_id: Any = None) -> Any:
        if self.is_async or isinstance(action, dict) or not self._all(env_id):
            self.send(action, env_id)
            return self.recv()
        return self._result(self._core.step(np.asarray(action).astype(np.int32)))

    def _result(self, rows: Rows, reset: bool = False) -> Any:
        c = rows.columns
        info = {
            "lives": c["lives"],
            "ram": c["ram"],
            "reward": c["score"],
            "terminated": c["game_over"].astype(np.int32),
            "env_id": rows.env_id,
            "players": {"env_id": rows.env_id},
            "elapsed_step": c["elapsed_step"],
        }
        observation = self._shown(self._core.shown(rows))
        if reset:
            return observation, info
        done = rows.terminated | rows.truncated
        late = done & (c["elapsed_step"] >= self.config["max_episode_steps"])
        return observation, rows.reward, done & ~late, late, info

    def _shown(self, array: Array) -> Array:
        if not self.config["gray_scale"]:
            array = np.moveaxis(array, -1, -3)
        return array if array.shape[1:] == self._shape else array.reshape(-1, *self._shape)

    def render(self, env_ids: Any = None) -> Any:
        """Pictures of environments: those of `env_ids`, else the first."""
        if self.render_mode != "rgb_array":
            raise RuntimeError("render_mode must be set to 'rgb_array' when creating this env")
        return np.stack([self._core.render(int(i)) for i in np.atleast_1d(0 if env_ids is None else env_ids)])
