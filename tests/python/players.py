"""volley.parallel_env: several players with PettingZoo's parallel API, on the Nim of examples/two_player_env.c.

    python players.py two_player_env.so
"""

import sys

from kit import refused

import numpy as np
import volley


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
    state = env.state()
    actions = {"player_0": 1, "player_1": 1}
    first = env.step(actions)
    env.set_state(state)
    again = env.step(actions)
    assert all(np.array_equal(first[0][a], again[0][a]) for a in env.agents)
    refused(ValueError, "no action of player_1", env.step, {"player_0": 1})
    refused(ValueError, "0 to 2", env.step, {"player_0": 3, "player_1": 0})
    env.close()
    env.close()
    refused(ValueError, "closed", env.reset)
    refused(volley.Unsupported, "parallel_env", volley.make_vec, plugin, 2)
    refused(LookupError, "cartpoll", volley.parallel_env, "cartpoll")
    alone = volley.parallel_env("cartpole", max_steps=5)
    alone.reset(seed=0)
    assert [alone.step({"player_0": k % 2})[3]["player_0"] for k in range(5)] == [False] * 4 + [True]


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
    pettingzoo_finds_nothing_wrong(sys.argv[1])
