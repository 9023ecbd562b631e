"""Threads, forks, closing and collecting in the middle of calls: exceptions, never a crash.

    python stress.py [--no-fork]

Under the thread sanitizer, by hand (it follows no threads of a child, and not every start of a Python that was not built with it
succeeds): LD_PRELOAD=$(gcc -print-file-name=libtsan.so) VOLLEY_LIBRARY=build-tsan/libvolley.so PYTHONPATH=python python stress.py --no-fork
"""

import gc
import os
import sys
import tempfile
import threading
import time

import kit  # noqa: F401

import numpy as np
import volley

ROUNDS = 40


def together(*works):
    """All at once; what one raises is raised."""
    errors, gate = [], threading.Barrier(len(works))

    def run(work):
        try:
            gate.wait()
            work()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def one_vector_in_many_threads_serves_one_call_at_a_time():
    envs = volley.make_vec("minatar/breakout", 8, num_threads=2)
    envs.reset(seed=0)
    served, refused = [], []

    def work():
        for k in range(ROUNDS * 5):
            try:
                envs.step(np.full(8, k % 3))
                served.append(1)
            except volley.InvalidArgument as e:
                assert "one at a time" in str(e)
                refused.append(1)

    together(work, work, work)
    assert len(served) + len(refused) == ROUNDS * 15 and len(served) >= ROUNDS


def a_vector_is_closed_in_the_middle_of_steps():
    for _ in range(ROUNDS):
        envs = volley.make_vec("minatar/asterix", 16, num_threads=2, copy=False)
        shown = envs.reset(seed=0)[0]

        def step():
            try:
                while True:
                    envs.step(np.zeros(16, np.int64))
            except volley.InvalidArgument as e:
                assert "closed" in str(e), e

        def close():
            time.sleep(0.002)
            envs.close()
            envs.close()

        together(step, close)
        assert int(shown.sum()) >= 0  # the library's memory is there as long as somebody looks at it
        del shown, envs
    gc.collect()


def asynchronous_vectors_are_dropped_with_actions_in_flight():
    for k in range(ROUNDS):
        envs = volley.make_vec("cartpole", 12, batch_size=3, num_threads=2)
        envs.async_reset(seed=k)
        for _ in range(5):
            info = envs.recv()[4]
            envs.send(np.zeros(3, np.int64), info["env_id"])
        if k % 2:
            envs.close()
        del envs
    gc.collect()


def children_of_a_fork_open_their_own():
    envs = volley.make_vec("cartpole", 6, batch_size=2, num_threads=2)
    envs.async_reset(seed=0)
    envs.recv()
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                try:
                    envs.recv()
                    os._exit(2)
                except volley.InvalidArgument:
                    pass
                mine = volley.make_vec("cartpole", 4, num_threads=1)
                mine.reset(seed=0)
                mine.step(np.zeros(4, np.int64))
                mine.close()
                envs.close()
                os._exit(0)
            except BaseException as e:
                print(repr(e), file=sys.stderr)
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    assert envs.recv()[0].shape == (2, 4)


def a_trainer_is_looked_at_stopped_and_closed_while_it_trains():
    with tempfile.TemporaryDirectory(prefix="volley-stress-") as folder:
        for k in range(3):
            t = volley.Trainer("cartpole", "ppo", seed=k, workers=2, out=f"{folder}/{k}", steps=2000000)

            def train():
                try:
                    while t.train(steps=20000)["stop"] is None:
                        pass
                except volley.InvalidArgument as e:
                    assert "closed" in str(e) or "one at a time" in str(e), e

            def look():
                for _ in range(20):
                    try:
                        t.report()
                    except volley.InvalidArgument as e:
                        assert "one at a time" in str(e), e
                    time.sleep(0.005)
                t.stop() if k % 2 else t.close()

            together(train, look)
            t.close()
            del t
            gc.collect()
        policy = volley.load(f"{folder}/1")

        def act():
            try:
                for _ in range(ROUNDS):
                    policy.act(np.zeros((300, 4), np.float32))
            except volley.InvalidArgument as e:
                assert "closed" in str(e) or "one at a time" in str(e), e

        together(act, act, lambda: (time.sleep(0.01), policy.close()))
        if "--no-fork" not in sys.argv:
            children_act_with_one_thread(f"{folder}/1")


def children_act_with_one_thread(run):
    """Threads of the parent are not there in a child of fork()."""
    alone, crowd = volley.load(run, num_threads=1), volley.load(run, num_threads=2)
    x = np.zeros((300, 4), np.float32)
    expected = alone.act(x).tolist()
    assert crowd.act(x).tolist() == expected
    child = os.fork()
    if child == 0:
        try:
            assert alone.act(x).tolist() == expected
            try:
                crowd.act(x)
                os._exit(2)
            except volley.InvalidArgument as e:
                assert "forked" in str(e), e
            crowd.close(), alone.close()
            os._exit(0 if volley.load(run, num_threads=2).act(x).tolist() == expected else 3)
        except BaseException as e:
            print(repr(e), file=sys.stderr)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def wrong_arrays_raise():
    envs = volley.make_vec("cartpole", 3)
    envs.reset(seed=0)
    states = envs.get_state()
    for bad in (np.zeros((3, 1)), np.zeros(2, int), np.zeros(3), np.zeros(3, complex), np.array(["a"] * 3), [None] * 3, [2, 0, 0], [-1, 0, 0], np.zeros((0,), int)):
        for call in (envs.step, envs.send):
            try:
                call(bad)
            except (ValueError, TypeError):
                continue
            raise AssertionError(f"{bad!r} was taken")
    for ids, given in (([0], states), ([0, 1, 9], states), ([0.5], states[:1]), (None, states[:, ::2]), (None, states.astype(np.int32)), (None, np.zeros_like(states))):
        try:
            envs.set_state(ids, given)
        except (ValueError, volley.Damaged):
            continue
        raise AssertionError(f"states for {ids} were taken")
    envs.set_state(None, np.asfortranarray(states))
    envs.step(np.zeros(3, np.uint8))  # any whole numbers


def main():
    for claim in (one_vector_in_many_threads_serves_one_call_at_a_time, a_vector_is_closed_in_the_middle_of_steps,
                  asynchronous_vectors_are_dropped_with_actions_in_flight, children_of_a_fork_open_their_own,
                  a_trainer_is_looked_at_stopped_and_closed_while_it_trains, wrong_arrays_raise):
        if claim is children_of_a_fork_open_their_own and "--no-fork" in sys.argv:
            continue
        start = time.time()
        claim()
        print(f"{claim.__name__} ({time.time() - start:.2f} s)", flush=True)


if __name__ == "__main__":
    main()
