"""Workers, Redis and a learner as a queueing network on a few processors, simulated; used by simulate_scaling.py.

Every process has one thread. A thread that has work waits for a processor, first come, first served; one that waits for an answer
takes none. A worker computes a push and sends it; where the scheme asks for it, it waits until the learner has taken it; then it
fetches weights. The learner waits for a push, fetches it from Redis, computes, and publishes. Redis serves one request at a time,
in order. A worker that finds the queue full sleeps and tries again. Services are exponential; their means are processor seconds
that were measured. The last quarter of each is what a thread does after it has sent its message, on its way to sleep: whoever
waits for the message does not wait for that. (A quarter: with one worker some thread is always waited for, so what its push
costs in all and how long it takes say how much of the work overlaps. Nothing else is fitted.)
"""
import heapq
import random
from collections import deque

PAUSE_FIRST_S, PAUSE_MOST_S = 125e-6, 64e-3  # cpu/fleet/ps_client.c
AFTER = 0.25
ROLES = ("workers", "learner", "redis")


class Thread:
    __slots__ = ("left", "then")


class Fleet:
    """cost: {role: processor seconds a push}. waits: a worker waits until its push is taken and published; else it goes on unless
    `limit` pushes lie in the queue, and weights are published when that takes at most a fifth of the learner's time
    (cpu/fleet/ps.h). request_s: of Redis, a request; None: its cost of a push, divided evenly among the requests of one."""

    def __init__(self, cost, workers, processors, waits, limit, request_s=None, seed=1):
        self.random, self.processors, self.cost, self.waits, self.limit = random.Random(seed), processors, dict(cost), waits, limit
        self.request_s = request_s
        self.ready, self.running, self.sleeping, self.now = deque(), [], [], 0.0
        self.redis, self.learner, self.asked, self.redis_busy, self.requests = Thread(), Thread(), deque(), False, 0
        self.pushes, self.learner_waits, self.taken, self.published_s, self.publish_s = deque(), True, 0, 0.0, 0.0
        for _ in range(workers):
            self.compute(Thread())

    def burn(self, thread, seconds, then, keeps=False):
        """Processor time of a thread, then `then`. keeps: it is on a processor already."""
        thread.left, thread.then = seconds, then
        if keeps:
            self.ready.appendleft(thread)
        else:
            self.ready.append(thread)

    def burn_in_two(self, thread, seconds, tell, then=lambda: None, keeps=False):
        """Tells who waits for it before the last of it."""
        seconds = self.random.expovariate(1 / seconds)

        def told():
            tell()
            self.burn(Thread(), seconds * AFTER, then, True)

        self.burn(thread, seconds * (1 - AFTER), told, keeps)

    # ---- Redis ----

    def ask(self, then):
        """A request; `then` when it is answered."""
        self.asked.append(then)
        if not self.redis_busy:
            self.serve(True)

    def serve(self, slept):
        self.redis_busy = True
        self.requests += 1
        seconds = self.request_s or self.cost["redis"] * max(self.taken, 20) / max(self.requests, 100)
        self.burn_in_two(self.redis, seconds, lambda: self.asked.popleft()(), self.redis_next, not slept)

    def redis_next(self):
        self.redis_busy = False
        if self.asked:
            self.serve(False)

    # ---- a worker ----

    def compute(self, worker):
        self.burn_in_two(worker, self.cost["workers"], lambda: self.push(worker))

    def push(self, worker, pause=PAUSE_FIRST_S):
        self.ask(lambda: self.pushed(worker, pause))

    def pushed(self, worker, pause):
        if len(self.pushes) >= self.limit:  # refused: it looks whether the run is over, sleeps, and tries again
            self.ask(lambda: heapq.heappush(self.sleeping, (self.now + pause, id(worker), lambda: self.push(worker, min(2 * pause, PAUSE_MOST_S)))))
            return
        self.pushes.append(worker)
        if self.learner_waits:
            self.take()
        if not self.waits:
            self.ask(lambda: self.compute(worker))

    # ---- the learner ----

    def take(self):
        worker, self.learner_waits = self.pushes.popleft(), False
        self.ask(lambda: self.burn_in_two(self.learner, self.cost["learner"], lambda: self.learned(worker)))

    def learned(self, worker):
        self.taken += 1
        begun = self.now
        if self.waits:
            self.ask(lambda: self.heard(worker))
        elif begun - self.published_s >= 4 * self.publish_s:
            self.ask(lambda: self.published(begun))
        else:
            self.take_next()

    def heard(self, worker):
        self.ask(lambda: self.ask(lambda: self.compute(worker)))
        self.take_next()

    def published(self, begun):
        self.published_s, self.publish_s = self.now, self.now - begun
        self.take_next()

    def take_next(self):
        if self.pushes:
            self.take()
        else:
            self.learner_waits = True

    # ---- time ----

    def step(self):
        while self.ready and len(self.running) < self.processors:
            self.running.append(self.ready.popleft())
        if self.sleeping and (not self.running or self.sleeping[0][0] - self.now < min(t.left for t in self.running)):
            until, _, then = heapq.heappop(self.sleeping)
            for thread in self.running:
                thread.left -= until - self.now
            self.now = until
            then()
            return
        first = min(self.running, key=lambda t: t.left)
        left = first.left
        self.now += left
        for thread in self.running:
            thread.left -= left
        self.running.remove(first)
        first.then()

    def rate(self, pushes=6000):
        """Pushes a second, once under way."""
        while self.taken < pushes // 8:
            self.step()
        begun, taken = self.now, self.taken
        while self.taken < pushes + taken:
            self.step()
        return (self.taken - taken) / (self.now - begun)
