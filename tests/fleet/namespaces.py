#!/usr/bin/env python3
"""Learner, Redis and two actors on separate hosts: network namespaces on a bridge. Their links are cut and healed while they train.

    python3 tests/fleet/namespaces.py --program build/volley          # needs root, iproute2, redis-server
"""
import argparse, json, os, shutil, signal, subprocess, sys, tempfile, time

HOSTS = {"redis": 1, "learner": 2, "actor0": 3, "actor1": 4}
NET = "10.213.77"


def sh(command):
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")


class Network:
    """A switch in a namespace of its own, so that the machine's network is not touched."""

    def __init__(self):
        self.tag = f"vly{os.getpid()}"
        self.made = []

    def name(self, host):
        return f"{self.tag}-{host}"

    def create(self):
        self.add("switch")
        switch = self.name("switch")
        sh(f"ip -n {switch} link add bridge0 type bridge")
        sh(f"ip -n {switch} link set bridge0 up")
        for host, number in HOSTS.items():
            self.add(host)
            sh(f"ip -n {switch} link add port{number} type veth peer name eth0 netns {self.name(host)}")
            sh(f"ip -n {switch} link set port{number} master bridge0 up")
            sh(f"ip -n {self.name(host)} addr add {NET}.{number}/24 dev eth0")
            sh(f"ip -n {self.name(host)} link set eth0 up")
            sh(f"ip -n {self.name(host)} link set lo up")

    def add(self, host):
        sh(f"ip netns add {self.name(host)}")
        self.made.append(host)

    def link(self, host, state):
        sh(f"ip -n {self.name('switch')} link set port{HOSTS[host]} {state}")

    def start(self, host, command, **options):
        return subprocess.Popen(["ip", "netns", "exec", self.name(host), *command], **options)

    def where(self, host, pid):
        """What the threads of a process wait for, and the connections of its host."""
        lines = []
        for task in os.listdir(f"/proc/{pid}/task"):
            for what in ("comm", "wchan", "syscall"):
                try:
                    with open(f"/proc/{pid}/task/{task}/{what}") as f:
                        lines.append(f"  {task} {what} {f.read().strip()}")
                except OSError:
                    pass
        tcp = subprocess.run(["ip", "netns", "exec", self.name(host), "cat", "/proc/net/tcp"], capture_output=True, text=True).stdout
        return "\n".join(lines) + "\n" + tcp

    def remove(self):
        for host in self.made:
            subprocess.run(["ip", "netns", "del", self.name(host)], capture_output=True)


def train(o, net, folder):
    run, log = os.path.join(folder, "hosts"), open(os.path.join(folder, "log"), "w+")
    secret = os.path.join(folder, "secret")
    with open(secret, "w") as f:
        f.write("correct horse\n")
    env = dict(os.environ, VOLLEY_STORE_PASSWORD_FILE=secret, VOLLEY_STORE=f"redis://{NET}.1:6379/0")
    started = {"redis": net.start("redis", ["redis-server", "--bind", f"{NET}.1", "--requirepass", "correct horse", "--save", "", "--dir", folder],
                                  stdout=log, stderr=log)}
    try:
        with open(os.path.join(folder, "answer"), "w+") as answer:
            started["learner"] = net.start("learner", [o.program, "train", "cartpole", "--algo", "impala", "--role", "learner", "--store", env["VOLLEY_STORE"],
                                                       "--steps", "100M", "--metrics.every_s", "0.1", "--seed", "3", "--out", run, "--dist.ttl_s", "2", "--json"],
                                           stdout=answer, stderr=log, env=env)
            for i in range(2):
                started[f"actor{i}"] = net.start(f"actor{i}", [o.program, "actor", "--run", "hosts"], stdout=log, stderr=log, env=env)
                started[f"actor{i}"].again = i
            cut(o, net, folder, run, started, env, log)
            wait_for(f"a mean return of {o.until}", lambda: newest(run, "charts/return_mean_100") >= o.until, o.limit)
            started["learner"].send_signal(signal.SIGTERM)  # the run has no budget of steps
            code = started["learner"].wait(timeout=60)
            answer.seek(0)
            result = json.loads(answer.read().strip().splitlines()[-1])
        assert code == 143 and result["stop"] == "interrupted", (code, result)
        for i in range(2):
            assert started[f"actor{i}"].wait(timeout=30) == 0, f"actor{i} ended with {started[f'actor{i}'].returncode}"
        return result
    except BaseException:
        log.flush(), log.seek(0)
        sys.stderr.write(log.read()[-3000:])
        for host, p in started.items():
            if p.poll() is None:
                sys.stderr.write(f"{host} still runs:\n{net.where(host, p.pid)}")
        raise
    finally:
        for p in started.values():
            if p.poll() is None:
                p.kill()
                p.wait()


def newest(run, name):
    try:
        with open(run + "/metrics.jsonl") as f:
            values = [json.loads(line).get(name) for line in f if line.endswith("}\n")]
    except OSError:
        return 0
    return next((v for v in reversed(values) if v is not None), 0)


def steps_in(run):
    return newest(run, "step")


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def wait_to_continue(run):
    before = steps_in(run)
    wait_for(f"the run to go on from {before} steps", lambda: steps_in(run) > before)


def cut(o, net, folder, run, started, env, log):
    """Cuts the link of an actor, of the learner and of Redis in turn, each for longer than --dist.ttl_s."""
    for host in ("actor0", "learner", "redis"):
        wait_to_continue(run)
        assert started["learner"].poll() is None, "the learner ended before its links were cut"
        if host == "actor0":
            status = net.start("actor1", [o.program, "cluster", "status", "--store", env["VOLLEY_STORE"], "--json"], stdout=subprocess.PIPE, stderr=log, env=env)
            members = json.loads(status.communicate(timeout=60)[0].splitlines()[-1])["runs"][0]["members"]
            assert {m["role"] for m in members} == {"learner", "worker"}, members
        before = steps_in(run)
        net.link(host, "down")
        time.sleep(2.5)
        net.link(host, "up")
        during, healed = steps_in(run), time.monotonic()
        wait_to_continue(run)
        print(f"{host}: cut at {before} steps, healed at {during}, went on after {time.monotonic() - healed:.1f} s", flush=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--program", default="build/volley")
    a.add_argument("--until", type=float, default=475)
    a.add_argument("--limit", type=float, default=200)
    o = a.parse_args()
    o.program = os.path.abspath(o.program)
    for tool, package in (("ip", "iproute2"), ("redis-server", "redis-server")):
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed: apt-get install {package}")
            return 77
    net, folder = Network(), tempfile.mkdtemp(prefix="volley-hosts-")
    try:
        try:
            net.create()
        except RuntimeError as error:
            print(f"SKIPPED: network namespaces are not permitted here ({error}): run as root with CAP_NET_ADMIN and CAP_SYS_ADMIN")
            return 77
        result = train(o, net, folder)
        print(f"{result['steps']} steps, mean return {result['return_mean_100']} after three cuts, {result['wall_s']:.1f} s")
    finally:
        net.remove()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
