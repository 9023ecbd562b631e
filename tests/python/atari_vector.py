"""What ale-py documents of AtariVectorEnv, checked of volley.AtariVectorEnv, and its rows beside Gymnasium's Atari wrappers."""

import sys
import time

from kit import refused

import gymnasium as gym
import numpy as np
import volley
from volley import AtariVectorEnv


def check_rows(envs, rows, shape):
    observation, reward, terminated, truncated, info = rows
    n = envs.batch_size
    assert observation.shape == (n, *shape) and observation.dtype == np.uint8 and observation in envs.observation_space
    assert reward.shape == terminated.shape == truncated.shape == (n,)
    assert terminated.dtype == truncated.dtype == np.bool_ and reward.dtype == np.int32
    assert all(isinstance(v, np.ndarray) and len(v) == n for v in info.values())


def shapes_and_types_are_as_documented():
    for n in (1, 3):
        for stack in (4, 6):
            for size in ((84, 84), (210, 160)):
                for colours in (True, False):
                    envs = AtariVectorEnv("breakout", n, stack_num=stack, img_height=size[0], img_width=size[1], grayscale=colours)
                    shape = (stack, *size) + (() if colours else (3,))
                    assert envs.num_envs == n and envs.observation_space.shape == (n, *shape) and envs.action_space.shape == (n,)
                    observation, info = envs.reset(seed=0)
                    assert observation.shape == (n, *shape) and set(info) == {"env_id", "lives", "frame_number", "episode_frame_number"}
                    check_rows(envs, envs.step(envs.action_space.sample()), shape)
                    envs.close()


def rows_are_those_of_gymnasiums_wrappers():
    try:
        import ale_py
        import cv2  # noqa: F401
    except ImportError as e:
        print(f"SKIPPED in part: {e}: Gymnasium's Atari wrappers need it", file=sys.stderr)
        return
    gym.register_envs(ale_py)
    for n, stack, size, skip in ((1, 4, 84, 4), (8, 4, 84, 1), (2, 6, 84, 4), (2, 4, 210, 4), (1, 6, 210, 1)):
        screen = (210, 160) if size == 210 else (84, 84)

        def one():
            env = gym.make("BreakoutNoFrameskip-v4")
            env = gym.wrappers.AtariPreprocessing(env, noop_max=0, frame_skip=skip, screen_size=screen[::-1] if size == 210 else screen)
            return gym.wrappers.FrameStackObservation(env, stack, padding_type="zero")

        theirs = gym.vector.SyncVectorEnv([one] * n)
        ours = AtariVectorEnv("breakout", n, stack_num=stack, frameskip=skip, img_height=screen[0], img_width=screen[1], noop_max=0, use_fire_reset=False)
        a, b = ours.reset(seed=0)[0], theirs.reset(seed=0)[0]
        assert np.array_equal(a, b), f"{n} {stack} {size} {skip}: the first observations differ"
        rng = np.random.default_rng(123)
        for t in range(100):
            action = rng.integers(0, 4, n)
            x, y = ours.step(action), theirs.step(action)
            for name, mine, other in zip(("observation", "reward", "terminated", "truncated"), x, y):
                assert np.array_equal(mine, other), f"step {t}: {name}"
            for key in ("lives", "frame_number", "episode_frame_number"):
                assert np.array_equal(x[4][key], y[4][key]), f"step {t}: {key}"
            assert np.array_equal(x[4]["env_id"], np.arange(n))
        ours.close()
        theirs.close()


def batches_of_some_are_of_those_that_were_sent():
    envs = AtariVectorEnv("pong", 5, batch_size=2, num_threads=2)
    assert envs.observation_space.shape == (2, 4, 84, 84) and envs.action_space.shape == (2,)
    observation, info = envs.reset(seed=0)
    seen = np.zeros(5, int)
    for _ in range(50):
        assert observation.shape == (2, 4, 84, 84) and len(set(info["env_id"])) == 2
        seen[info["env_id"]] += 1
        observation, _, _, _, info = envs.step(np.zeros(2, np.int64))
    assert (seen > 0).all()
    for _ in range(2):
        _, info = envs.reset(seed=0)
        assert len(set(info["env_id"])) == 2 and (info["episode_frame_number"] < 200).all()
        envs.step(np.zeros(2, np.int64))
    envs.close()


def the_full_set_is_ales():
    # ALE gives two games no actions that fire, not even in the full set.
    for game, least, most in (("pong", 6, 18), ("breakout", 4, 18), ("boxing", 18, 18), ("skiing", 3, 9), ("lost_luggage", 9, 9)):
        assert AtariVectorEnv(game, 1).single_action_space.n == least
        assert AtariVectorEnv(game, 1, full_action_space=True).single_action_space.n == most


def episodes_are_cut_off_after_their_frames():
    envs = AtariVectorEnv("pong", 2, max_num_frames_per_episode=100, noop_max=0, use_fire_reset=False)
    envs.reset(seed=0)
    ends = [t for t in range(60) if envs.step(np.zeros(2, np.int64))[3].all()]
    assert ends[0] == 24 and len(ends) >= 2, ends  # 25 steps of 4 frames
    envs.close()


def lost_lives_end_episodes_or_are_told():
    def lives_and_ends(steps=400, **options):
        envs = AtariVectorEnv("breakout", 1, noop_max=0, **options)
        lives, ended, frames = [int(envs.reset(seed=0)[1]["lives"][0])], [], []
        for t in range(steps):
            _, _, terminated, _, info = envs.step(np.array([t % 2], np.int64))
            lives.append(int(info["lives"][0]))
            ended.append(bool(terminated[0]))
            frames.append(int(info["episode_frame_number"][0]))
        envs.close()
        return lives, ended, frames

    lives, ended, frames = lives_and_ends()
    assert lives[0] == 5 and sum(ended) == sum(b == 0 and a > 0 for a, b in zip(lives, lives[1:])) >= 1
    for option in ("episodic_life", "life_loss_info"):
        lives, ended, frames = lives_and_ends(**{option: True})
        lost = [t for t in range(len(ended)) if lives[t + 1] < lives[t]]
        assert lost and all(ended[t] for t in lost), option
    assert max(frames) > 200  # life_loss_info: the game goes on


def a_lost_life_that_is_told_ends_with_what_is_shown():
    envs, lost = AtariVectorEnv("breakout", 2, noop_max=0, autoreset_mode="SameStep", life_loss_info=True), 0
    lives = envs.reset(seed=0)[1]["lives"]
    for t in range(150):
        observation, _, terminated, _, info = envs.step(np.full(2, t % 2))
        for i in np.flatnonzero(terminated & (info["lives"] == lives - 1)):
            assert np.array_equal(info["final_obs"][i], observation[i])
            lost += 1
        lives = info["lives"]
    assert lost > 2
    envs.close()


def a_life_lost_at_the_limit_has_terminated_only():
    """Q*bert falls at the last frame once in these 3,200 steps, as ale-py 0.12.1 plays them too."""
    envs, rng, at_the_limit = AtariVectorEnv("qbert", 4, autoreset_mode="SameStep", episodic_life=True, max_num_frames_per_episode=300), np.random.RandomState([1, 0]), 0
    envs.reset(seed=1)
    for t in range(800):
        if t == 500:
            mask = rng.random_sample(4) < 0.5
            mask[rng.randint(4)] = True
            before = envs.reset(options={"reset_mask": mask})[1]["episode_frame_number"]
        _, _, terminated, truncated, info = envs.step(rng.randint(0, 6, 4, np.int64))
        assert not (terminated & truncated).any(), t
        if t > 500:
            at_the_limit += (terminated & (before >= 296)).sum()
        before = info["episode_frame_number"]
    assert at_the_limit > 0
    envs.close()


def seeds_and_masks_choose_what_begins():
    envs, same = AtariVectorEnv("pong", 3), AtariVectorEnv("pong", 3)
    a, b = envs.reset(seed=5)[0], same.reset(seed=np.array([5, 6, 7]))[0]
    assert np.array_equal(a, b)
    for _ in range(10):
        a, b = envs.step(np.ones(3, np.int64))[0], same.step(np.ones(3, np.int64))[0]
    mask = np.array([True, False, False])
    again = envs.reset(seed=5, options={"reset_mask": mask})
    assert np.array_equal(again[0][1:], b[1:]) and not np.array_equal(again[0][0], b[0])
    assert again[1]["episode_frame_number"][0] < again[1]["episode_frame_number"][1]
    refused(TypeError, "", envs.reset, seed="five")
    refused((TypeError, ValueError), "", envs.reset, options={"reset_mask": [True, False, False]})
    refused(ValueError, "", envs.reset, options={"reset_mask": mask[:2]})
    refused(ValueError, "one entry", envs.reset, seed=np.array([1, 2]), options={"reset_mask": mask})


def rewards_are_clipped_where_asked():
    rewards = {}
    for clip in (True, False):
        envs = AtariVectorEnv("space_invaders", 4, reward_clipping=clip)
        envs.reset(seed=0)
        rng = np.random.default_rng(0)
        rewards[clip] = np.concatenate([envs.step(rng.integers(0, 6, 4))[1] for _ in range(150)])
    assert set(np.unique(rewards[True])) == {0, 1} and rewards[False].max() >= 5
    assert np.array_equal(np.sign(rewards[False]), rewards[True])


def what_is_not_offered_is_named():
    refused(volley.Unsupported, "continuous=True", AtariVectorEnv, "pong", 1, continuous=True)
    refused(volley.Unsupported, "thread_affinity_offset", AtariVectorEnv, "pong", 1, thread_affinity_offset=0)
    refused(volley.Unsupported, "64 x 80", AtariVectorEnv, "pong", 1, img_height=64, img_width=80)
    refused(gym.error.Error, "frameskip", AtariVectorEnv, "pong", 1, frameskip=0)
    refused(gym.error.Error, "frameskip", AtariVectorEnv, "pong", 1, frameskip=(2, 5))
    refused(LookupError, "pong", AtariVectorEnv, "pongg", 1)


def main():
    try:
        AtariVectorEnv("pong", 1).close()
    except LookupError as e:
        print(f"SKIPPED: {e}", file=sys.stderr)
        sys.exit(77)
    for claim in (shapes_and_types_are_as_documented, rows_are_those_of_gymnasiums_wrappers, batches_of_some_are_of_those_that_were_sent,
                  the_full_set_is_ales, episodes_are_cut_off_after_their_frames, lost_lives_end_episodes_or_are_told,
                  a_lost_life_that_is_told_ends_with_what_is_shown, a_life_lost_at_the_limit_has_terminated_only,
                  seeds_and_masks_choose_what_begins, rewards_are_clipped_where_asked, what_is_not_offered_is_named):
        start = time.time()
        claim()
        print(f"{claim.__name__} ({time.time() - start:.2f} s)", flush=True)


if __name__ == "__main__":
    main()
