"""volley.parallel_env: several players with PettingZoo's parallel API, on the Nim of examples/two_player_env.c.

    python players.py two_player_env.so
"""

import copy
import pickle
import sys

from kit import refused

import numpy as np
import gymnasium as gym
import volley
import volley.single


def a_game_is_played_by_its_rules(plugin):
    env = volley.parallel_env(plugin)
    assert env.possible_agents == ["player_0", "player_1"] and env.agents == []
    refused(ValueError, "reset", env.step, {"player_0": 0, "player_1": 0})
    rng, won = np.random.default_rng(0), {0: 0, 1: 0}
    for episode in range(40):
        observations, infos = env.reset(seed=episode)
        matches = int(observations["player_0"].argmax())
        assert set(observations) == set(infos) == set(env.agents) == set(env.possible_agents)
        while env.agents:
            mover = 0 if not infos["player_0"]["idle"] else 1
            assert infos[f"player_{1 - mover}"]["idle"] and infos["player_0"]["turn"] == mover
            actions = {agent: int(rng.integers(3)) for agent in env.agents}
            observations, rewards, terminated, truncated, infos = env.step(actions)
            matches -= min(matches, actions[f"player_{mover}"] + 1)
            assert all(int(o.argmax()) == matches and o in env.observation_space(a) for a, o in observations.items())
            assert all(terminated[a] == (matches == 0) and not truncated[a] for a in env.possible_agents)
            if matches == 0:
                assert rewards == {f"player_{mover}": 1.0, f"player_{1 - mover}": -1.0} and env.agents == []
                won[mover] += 1
            else:
                assert rewards == {"player_0": 0.0, "player_1": 0.0}
    assert min(won.values()) > 5, won
    env.reset(seed=7)
    state = env.get_state()
    actions = {"player_0": 1, "player_1": 1}
    first = env.step(actions)
    env.set_state(state)
    again = env.step(actions)
    assert all(np.array_equal(first[0][a], again[0][a]) for a in env.agents)
    refused(ValueError, "no action of player_1", env.step, {"player_0": 1})
    refused(ValueError, "0 to 2", env.step, {"player_0": 3, "player_1": 0})
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        refused(TypeError, "get_state", call, env)
    env.close()
    env.close()
    refused(ValueError, "closed", env.reset)
    refused(volley.Unsupported, "parallel_env", volley.single.VolleyEnv, plugin)
    refused(LookupError, "cartpoll", volley.parallel_env, "cartpoll")
    alone = volley.parallel_env("cartpole", max_steps=5)
    alone.reset(seed=0)
    assert [alone.step({"player_0": k % 2})[3]["player_0"] for k in range(5)] == [False] * 4 + [True]


def the_state_is_what_a_critic_of_all_players_sees(plugin):
    env = volley.parallel_env(plugin)
    refused(ValueError, "reset", env.state)
    observations, infos = env.reset(seed=3)
    assert env.state_space.shape == (2,) and env.state_space.dtype == np.float32
    before, held = env.get_state(), env.state()
    first = held.copy()
    while env.agents:
        state = env.state()
        assert state.dtype == np.float32 and state in env.state_space
        assert state.tolist() == [observations["player_0"].argmax(), infos["player_0"]["turn"]]
        observations, _, _, _, infos = env.step({"player_0": 0, "player_1": 2})
    assert env.state()[0] == 0 and np.array_equal(held, first)
    env.set_state(before)
    assert np.array_equal(env.state(), first)
    env.close()
    refused(ValueError, "closed", env.state)
    alone = volley.parallel_env("cartpole")
    alone.reset(seed=0)
    assert not hasattr(alone, "state_space")
    refused(NotImplementedError, "cartpole has no shared state", alone.state)


def a_vector_has_a_row_for_each_player(plugin):
    envs = gym.wrappers.vector.RecordEpisodeStatistics(volley.make_vec(plugin, 3))
    alone = [volley.parallel_env(plugin) for _ in range(3)]
    assert envs.num_envs == 6 and envs.unwrapped.players == 2 and envs.action_space.shape == (6,)
    observation, info = envs.reset(seed=7)
    shown = [env.reset(seed=7 + i)[0] for i, env in enumerate(alone)]
    rng, episodes = np.random.default_rng(0), 0
    for _ in range(200):
        assert observation in envs.observation_space and (info["idle"].reshape(3, 2).sum(1) == 1).all()
        for i, env in enumerate(alone):
            if env.agents:  # its first episode
                assert np.array_equal(observation[2 * i : 2 * i + 2], [shown[i]["player_0"], shown[i]["player_1"]])
        action = rng.integers(0, 3, 6)
        observation, reward, terminated, truncated, info = envs.step(action)
        assert np.array_equal(terminated[::2], terminated[1::2]) and np.array_equal(reward[::2], -reward[1::2])
        for i, env in enumerate(alone):
            if env.agents:
                shown[i], gained, ended, _, _ = env.step({"player_0": action[2 * i], "player_1": action[2 * i + 1]})
                assert gained["player_0"] == reward[2 * i] and ended["player_1"] == terminated[2 * i + 1]
        episodes += int(info.get("_episode", np.zeros(6)).sum())
    assert episodes > 100
    plain = envs.unwrapped
    states = plain.get_state([2])
    assert np.array_equal(plain.set_state([0], states), observation[4:])
    plain.send(np.zeros(6, int))
    assert plain.recv()[4]["env_id"].tolist() == [0, 0, 1, 1, 2, 2]
    refused(ValueError, "shape", plain.step, np.zeros(3, int))
    refused(ValueError, "2 seeds for 3", plain.reset, seed=[1, 2])
    refused(volley.Unsupported, "players", volley.make_vec, plugin, 2, autoreset_mode="SameStep")
    refused(volley.Unsupported, "players", volley.make_vec, plugin, 2, batch_size=1)


def masks_are_of_environments_or_of_their_rows(plugin):
    envs, same = (volley.make_vec(plugin, 2, autoreset_mode="Disabled") for _ in range(2))
    envs.reset(seed=1), same.reset(seed=1)
    over = np.zeros(4, bool)
    while not over.any():
        _, _, terminated, truncated, _ = envs.step([0, 0, 2, 2])
        same.step([0, 0, 2, 2])
        over = terminated | truncated
    a = envs.reset(options={"reset_mask": over})[0]
    assert np.array_equal(a, same.reset(options={"reset_mask": over[::2]})[0])
    idle = envs.step([0, 0, 0, 0])[4]["idle"].copy()
    shown = envs.reset(options={"reset_mask": np.array([True, False])})[1]["idle"]
    assert shown[2:].tolist() == idle[2:].tolist() and idle[2:].sum() == shown[:2].sum() == 1
    refused(ValueError, "some players", envs.reset, options={"reset_mask": np.array([True, False, True, True])})
    refused(ValueError, "shape", envs.reset, options={"reset_mask": np.ones(3, bool)})


def pettingzoo_finds_nothing_wrong(plugin):
    try:
        from pettingzoo import ParallelEnv
        from pettingzoo.test import parallel_api_test
    except ImportError as e:
        print(f"SKIPPED in part: {e}", file=sys.stderr)
        return
    env = volley.parallel_env(plugin)
    assert isinstance(env, ParallelEnv)
    parallel_api_test(env, num_cycles=300)


if __name__ == "__main__":
    a_game_is_played_by_its_rules(sys.argv[1])
    the_state_is_what_a_critic_of_all_players_sees(sys.argv[1])
    a_vector_has_a_row_for_each_player(sys.argv[1])
    masks_are_of_environments_or_of_their_rows(sys.argv[1])
    pettingzoo_finds_nothing_wrong(sys.argv[1])
