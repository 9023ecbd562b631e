"""Stable-Baselines3's PPO on a vector of Volley: the adapter is SB3's VecEnv over volley.make_vec.

    python examples/sb3_volley.py [--steps 20000] [--env cartpole]
"""

import argparse

import numpy as np
import volley
from stable_baselines3 import PPO
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv, VecMonitor


class VolleyVecEnv(VecEnv):
    """SB3 resets in the same step and finds the last observation in info["terminal_observation"]."""

    def __init__(self, name, num_envs, **options):
        self.envs = volley.make_vec(name, num_envs, autoreset_mode="SameStep", reward="f32", **options)
        super().__init__(num_envs, self.envs.single_observation_space, self.envs.single_action_space)

    def reset(self):
        seeds = [s for s in self._seeds if s is not None]
        self._reset_seeds()
        return self.envs.reset(seed=seeds if len(seeds) == self.num_envs else None)[0]

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        observation, reward, terminated, truncated, info = self.envs.step(self.actions)
        infos = [{"TimeLimit.truncated": bool(u and not t)} for t, u in zip(terminated, truncated)]
        for i in np.flatnonzero(terminated | truncated):
            infos[i]["terminal_observation"] = info["final_obs"][i]
        return observation, reward, terminated | truncated, infos

    def close(self):
        self.envs.close()

    def get_attr(self, attr_name, indices=None):
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name, value, indices=None):
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise NotImplementedError("environments in C have no methods of their own")

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * len(list(self._get_indices(indices)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--env", default="cartpole")
    p.add_argument("--steps", type=int, default=20000)
    args = p.parse_args()
    envs = VecMonitor(VolleyVecEnv(args.env, 8))
    model = PPO("CnnPolicy" if is_image_space(envs.observation_space) else "MlpPolicy", envs, n_steps=64, seed=1, device="cpu")
    model.learn(args.steps)
    print("mean return of the last episodes:", np.mean([e["r"] for e in model.ep_info_buffer]))


if __name__ == "__main__":
    main()
