"""ALE's vector environment, argument for argument and bit for bit (ale-py 0.12.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import error
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from ._core import Array, Core, Rows
from ._library import InvalidArgument, Unsupported
from .vector import _MODES, CoreVectorEnv, mode_of

_INFO = ("lives", "frame_number", "episode_frame_number")


class AtariVectorEnv(CoreVectorEnv):
    """In place of ale_py.vector_env.AtariVectorEnv: the same arguments, observations, rewards, ends and information.

    autoreset_mode may be Disabled too. Refused: continuous=True, and sizes other than a square of 16 to 160 or the screen's own.
    """

    def __init__(
        self,
        game: str,
        num_envs: int,
        *,
        batch_size: int = 0,
        num_threads: int = 0,
        thread_affinity_offset: int = -1,
        max_num_frames_per_episode: int = 108000,
        repeat_action_probability: float = 0.0,
        full_action_space: bool = False,
        continuous: bool = False,
        continuous_action_threshold: float = 0.5,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        img_height: int = 84,
        img_width: int = 84,
        grayscale: bool = True,
        stack_num: int = 4,
        frameskip: int = 4,
        maxpool: bool = True,
        noop_max: int = 30,
        episodic_life: bool = False,
        life_loss_info: bool = False,
        reward_clipping: bool = True,
        use_fire_reset: bool = True,
        roms: str | None = None,
    ) -> None:
        if type(frameskip) is not int:
            raise error.Error(f"Invalid frameskip type: {type(frameskip)}.")
        if frameskip <= 0:
            raise error.Error(f"Invalid frameskip of {frameskip}, frameskip must be positive.")
        if continuous:
            raise Unsupported("continuous=True is not offered: paddles move at full strength here")
        if thread_affinity_offset != -1:
            raise Unsupported("thread_affinity_offset is not offered: taskset(1) binds the whole process")
        self.autoreset_mode = mode_of(autoreset_mode)
        self._core = Core(
            game,
            _INFO.__contains__,
            num_envs=num_envs,
            batch_size=batch_size,
            num_threads=num_threads,
            autoreset=_MODES[self.autoreset_mode],
            reward="i32",
            life_loss=life_loss_info,
            data=roms,
            **{
                "atari.preset": "ale",
                "atari.stale_terminal": True,
                "atari.max_frames": max_num_frames_per_episode,
                "atari.sticky": repeat_action_probability,
                "atari.full_actions": full_action_space,
                "atari.size": _size(img_height, img_width),
                "atari.grayscale": grayscale,
                "atari.stack": stack_num,
                "atari.frame_skip": frameskip,
                "atari.max_pool": maxpool,
                "atari.noop_max": noop_max,
                "atari.episodic_life": episodic_life,
                "atari.reward_mode": "clip" if reward_clipping else "none",
                "atari.fire_reset": use_fire_reset,
            },
        )
        core = self._core
        self.continuous, self.continuous_action_threshold, self.grayscale = continuous, continuous_action_threshold, grayscale
        self.num_envs, self.batch_size = core.num_envs, core.batch_size
        self.metadata = {"autoreset_mode": self.autoreset_mode}
        shape = (stack_num, img_height, img_width) + (() if grayscale else (3,))
        if int(np.prod(core.shape)) != int(np.prod(shape)):
            core.close()
            raise Unsupported(f"pictures of {img_height} x {img_width} are not offered of {game}: its screen is as high as {core.shape}")
        self._shape = shape
        self._last = np.arange(core.batch_size, dtype=np.int32)
        self.single_observation_space = Box(low=0, high=255, shape=shape, dtype=np.uint8)
        self.single_action_space = Discrete(int(core.action.n))
        self.observation_space = batch_space(self.single_observation_space, self.batch_size)
        self.action_space = batch_space(self.single_action_space, self.batch_size)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """seed: an int, from which consecutive ones follow, or an array with one for each environment that is reset."""
        mask = (options or {}).get("reset_mask")
        if mask is not None and self.batch_size != self.num_envs:
            raise InvalidArgument("a reset of some environments needs batch_size equal to num_envs")
        if mask is not None and isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (self.num_envs,):
            seed = self._spread(seed, mask)
        elif seed is not None and not isinstance(seed, (int, np.ndarray)):
            raise TypeError("Unsupported seed type")
        if self.batch_size == self.num_envs:
            rows = self._core.reset(seed, mask)
        else:
            self._core.send_reset(seed=seed)
            rows = self._core.recv()
        self._last = rows.env_id.copy()
        return self._shown(self._core.shown(rows)), self._info(rows, ended=False)

    def _spread(self, seed: Any, mask: Any) -> Any:
        """Seeds by environment of those that count the environments which are reset."""
        if seed is None:
            return None
        chosen = np.flatnonzero(mask)
        given = np.arange(seed, seed + len(chosen)) if isinstance(seed, int) else np.asarray(seed)
        if given.shape != (len(chosen),):
            raise ValueError(f"`seed` must have one entry per sub-environment being reset, expected shape {(len(chosen),)}, got {given.shape}")
        seeds: list[Any] = [None] * self.num_envs
        for i, one in zip(chosen.tolist(), given.tolist()):
            seeds[i] = one
        return seeds

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self.batch_size != self.num_envs:
            self.send(actions)
            return self.recv()
        return self._result(self._core.step(actions))

    def send(self, actions: Any) -> None:
        """Actions for the environments of the last batch, in its order."""
        self._core.send(actions, None if self.batch_size == self.num_envs else self._last)

    def recv(self) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        rows = self._core.recv()
        self._last = rows.env_id.copy()
        return self._result(rows)

    def _result(self, rows: Rows) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        return self._shown(self._core.shown(rows)), rows.reward, rows.terminated, rows.truncated, self._info(rows, ended=True)

    def _shown(self, array: Array) -> Array:
        return array if array.shape[1:] == self._shape else array.reshape(-1, *self._shape)

    def _info(self, rows: Rows, ended: bool) -> dict[str, Any]:
        info: dict[str, Any] = {"env_id": rows.env_id, **rows.columns}
        over = rows.terminated | rows.truncated
        if rows.final is not None and ended and over.any():
            info["final_obs"] = self._final(rows, over)
        return info

    def _final(self, rows: Rows, over: Any) -> Any:
        """The observation before a reset where there was one. ALE leaves the others undefined; here they are what is shown."""
        assert rows.final is not None and rows.observation is not None
        final = rows.observation.copy()
        final[over] = rows.final[over]
        return self._shown(final)


def _size(height: int, width: int) -> int:
    """The whole screen is 160 wide, and as high as the game draws, which is seen when it is opened."""
    if width == 160 and height > 160:
        return 210
    if height != width:
        raise Unsupported(f"pictures of {height} x {width} are not offered: squares of 16 to 160 are, and the whole screen")
    return height
