"""PPO in one file over EnvPool, in the shape of CleanRL's scripts; prints a checksum of what was learned."""

import argparse
import hashlib

import envpool
import numpy as np
import torch
from torch import nn

p = argparse.ArgumentParser()
p.add_argument("--env-id", default="Breakout-v5")
p.add_argument("--num-envs", type=int, default=4)
p.add_argument("--num-steps", type=int, default=16)
p.add_argument("--updates", type=int, default=3)
args = p.parse_args()

torch.manual_seed(1)
torch.set_num_threads(1)
envs = envpool.make(args.env_id, env_type="gymnasium", num_envs=args.num_envs, episodic_life=True, reward_clip=True, seed=1)


def layer(module, gain=2**0.5):
    nn.init.orthogonal_(module.weight, gain)
    nn.init.zeros_(module.bias)
    return module


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            layer(nn.Conv2d(4, 8, 8, stride=4)), nn.ReLU(), layer(nn.Conv2d(8, 16, 4, stride=2)), nn.ReLU(), nn.Flatten(),
            layer(nn.Linear(16 * 9 * 9, 64)), nn.ReLU(),
        )
        self.actor, self.critic = layer(nn.Linear(64, envs.action_space.n), 0.01), layer(nn.Linear(64, 1), 1)

    def forward(self, x, action=None):
        hidden = self.network(x / 255.0)
        chosen = torch.distributions.Categorical(logits=self.actor(hidden))
        action = chosen.sample() if action is None else action
        return action, chosen.log_prob(action), chosen.entropy(), self.critic(hidden)[:, 0]


agent = Agent()
optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-4, eps=1e-5)
returns, episode_returns = [], np.zeros(args.num_envs)
observation = torch.Tensor(envs.reset()[0])
done = torch.zeros(args.num_envs)
for update in range(args.updates):
    rows = []
    for step in range(args.num_steps):
        with torch.no_grad():
            action, logprob, _, value = agent(observation)
        seen, reward, terminated, truncated, info = envs.step(action.numpy())
        episode_returns += info["reward"]
        for i in np.flatnonzero(info["terminated"]):
            returns.append(episode_returns[i])
            episode_returns[i] = 0
        rows.append((observation, action, logprob, value, torch.Tensor(reward), done))
        observation, done = torch.Tensor(seen), torch.Tensor(terminated | truncated)
    with torch.no_grad():
        following, last, advantages = agent(observation)[3], 0, []
    for _, _, _, value, reward, ended in reversed(rows):
        delta = reward + 0.99 * following * (1 - done) - value
        last = delta + 0.99 * 0.95 * (1 - done) * last
        advantages.insert(0, last)
        following, done = value, ended
    done = torch.Tensor(terminated | truncated)
    x, a, old, v = (torch.cat([row[k] for row in rows]) for k in range(4))
    advantage = torch.cat(advantages)
    for epoch in range(2):
        for part in torch.randperm(len(x)).chunk(2):
            _, logprob, entropy, value = agent(x[part], a[part])
            ratio, gain = (logprob - old[part]).exp(), advantage[part]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            loss = torch.max(-gain * ratio, -gain * ratio.clamp(0.9, 1.1)).mean()
            loss = loss - 0.01 * entropy.mean() + 0.25 * ((value - advantage[part] - v[part]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
envs.close()
learned = b"".join(w.detach().numpy().tobytes() for w in agent.parameters())
print("learned", hashlib.sha256(learned).hexdigest(), "returns", returns)
