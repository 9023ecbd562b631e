"""Stable-Baselines3's PPO("CnnPolicy") over ALE's vector environment; prints a checksum of what was learned."""

import hashlib

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor


class ALEVecEnv(VecEnv):
    """Resets in the same step; the last observation is info["terminal_observation"], as SB3 has it."""

    def __init__(self, game, num_envs, **options):
        self.envs = AtariVectorEnv(game, num_envs, autoreset_mode="SameStep", **options)
        super().__init__(num_envs, self.envs.single_observation_space, self.envs.single_action_space)

    def reset(self):
        return self.envs.reset(seed=1)[0]

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        observation, reward, terminated, truncated, info = self.envs.step(self.actions)
        infos = [{"lives": int(lives)} for lives in info["lives"]]
        for i in np.flatnonzero(terminated | truncated):
            infos[i]["terminal_observation"] = info["final_obs"][i]
            infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observation, reward.astype(np.float32), terminated | truncated, infos

    def close(self):
        self.envs.close()

    def get_attr(self, attr_name, indices=None):
        return [getattr(self.envs, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * self.num_envs


torch.set_num_threads(1)
envs = VecMonitor(ALEVecEnv("pong", 2, episodic_life=True))
model = PPO("CnnPolicy", envs, n_steps=16, batch_size=16, n_epochs=1, seed=1, device="cpu")
model.learn(64)
learned = b"".join(w.detach().numpy().tobytes() for w in model.policy.parameters())
print("learned", hashlib.sha256(learned).hexdigest(), "steps", model.num_timesteps)
envs.close()
