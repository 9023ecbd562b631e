#!/usr/bin/env python3
"""Clicks through the monitor's page in a Chromium without a window; any error on its console fails.

    python3 tests/monitor/click.py --volley build/volley                                # as the test suite does
    python3 tests/monitor/click.py --volley build/volley --keep tests/monitor/pictures  # and makes the committed pictures

Real runs: finished ones, a live one with its pictures, a fleet over Redis, and one with a million lines.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chromium

SKIP = 77
HOSTILE = '<img src=x onerror="alert(1)">'


def check(condition, words):
    if not condition:
        raise AssertionError(words)


class Programs:
    """What was started, by its process: all of it is ended with the test."""

    def __init__(self, volley, folder):
        self.volley, self.folder, self.running = volley, folder, []

    def train(self, *args):
        subprocess.run([self.volley, "train", *map(str, args)], cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)

    def start(self, *args):
        p = subprocess.Popen([self.volley, *map(str, args)], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.running.append(p)
        return p

    def url(self, process):
        for line in process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                return found.group()
        raise RuntimeError("no address was printed")

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        self.running.remove(process)
        return process.returncode

    def close(self):
        for p in list(self.running):
            self.end(p)


def make_million(folder):
    """A million lines, as a run of eleven days leaves them; its settings are those of another run."""
    run = os.path.join(folder, "runs", "million")
    os.mkdir(run)
    shutil.copy(os.path.join(folder, "runs", "cartpole-ppo-1", "config.yaml"), run)
    value = 0.0
    with open(os.path.join(run, "metrics.jsonl"), "w") as f:
        for i in range(1, 1000001):
            value += ((i * 7919) % 1000 - 499.5) * 0.01
            f.write(f'{{"step":{i * 64},"seconds":{i},"charts/episodic_return":{value:.3f},"charts/SPS":{50000 + i % 977}}}\n')
        f.write('{"step":64000064,"seconds":1000001,"charts/episodic_return":123456,"charts/SPS":1}\n')
    old = time.time() - 86400
    os.utime(os.path.join(run, "config.yaml"), (old, old))


def make_hostile(folder):
    run = os.path.join(folder, "runs", HOSTILE.replace("/", ""))
    os.mkdir(run)
    shutil.copy(os.path.join(folder, "runs", "cartpole-ppo-1", "config.yaml"), run)
    with open(os.path.join(run, "metrics.jsonl"), "w") as f:
        for i in range(1, 40):
            f.write(f'{{"step":{i},"seconds":{i},"charts/episodic_return":{i},"own/<script>alert(1)</script>":{i}}}\n')
    old = time.time() - 2 * 86400
    os.utime(os.path.join(run, "config.yaml"), (old, old))


def make_runs(programs, steps):
    for seed, rate in ((1, "1e-3"), (2, "2.5e-3"), (3, "3e-4")):
        programs.train("cartpole", "--seed", seed, "--steps", steps, "--ppo.lr", rate, "--metrics.every_s", 0.02, "--out", f"runs/cartpole-ppo-{seed}")
    programs.train("cartpole", "--algo", "a2c", "--steps", steps, "--metrics.every_s", 0.02, "--out", "runs/cartpole-a2c-1")


# ---- the page ----


def inked(page, selector):
    """Pixels of the canvas that something was drawn on."""
    return page.run(f"""(() => {{ const c = document.querySelector({json.dumps(selector)}), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
                        let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }})()""")


def fits(page, what):
    wide = page.run("document.documentElement.scrollWidth - innerWidth")
    check(wide <= 0, f"{what} is {wide} pixels wider than the window")


def overview(page):
    page.wait("document.querySelectorAll('#rows tr').length >= 6 && data.link === 'live'")
    page.wait("[...document.querySelectorAll('.chart')].every(c => c.querySelector('canvas').width > 200)")
    page.wait("data.loaded.size > 1")
    page.pause(0.5)
    check(inked(page, ".chart canvas") > 2000, "the curves of all runs are not drawn")
    chosen = page.run("overview.chosen.size")
    page.click("#rows input:checked")
    page.wait(f"overview.chosen.size === {chosen - 1}")
    page.click("#rows input:not(:checked)")
    page.wait(f"overview.chosen.size === {chosen}")
    page.click("[data-axis=seconds]")
    page.wait("view.axis === 'seconds'")
    page.click("[data-axis=step]")
    page.run("(() => { const s = document.querySelector('.smooth input'); s.value = 0.8; s.dispatchEvent(new Event('input')); })()")
    page.wait("view.smooth === 0.8")
    x, y, w, _ = page.point(".chart canvas", "!document.getElementById('tip').hidden && document.getElementById('tip').textContent.includes('step')")
    page.mouse("mousePressed", x - w / 5, y)
    page.mouse("mouseMoved", x + w / 5, y)
    page.mouse("mouseReleased", x + w / 5, y)
    page.wait("view.range !== null")
    page.key("Escape")
    page.wait("view.range === null")
    page.run("setSmooth(0)")
    page.mouse("mouseMoved", 5, 5)
    page.key("/")
    page.wait("document.activeElement.id === 'filter'")
    for letter in "a2c":
        page.key(letter)
    page.wait("document.querySelectorAll('#rows tr').length === 1")
    page.run("(() => { const f = document.getElementById('filter'); f.value = ''; f.dispatchEvent(new Event('input')); f.blur(); })()")
    page.wait("document.querySelectorAll('#differences tr').length > 1")
    check(page.run("document.querySelector('#differences').textContent.includes('ppo.lr')"), "the differences do not name ppo.lr")
    check(page.run("document.images.length") == 0, "a run's name became an element")
    # Returns of different environments have no common axis.
    page.run("window.before = overview.chosen; overview.chosen = new Set(data.runs.filter(r => !r.error).map(r => r.name)); renderChosen()")
    page.wait("(() => { const envs = new Set(chosenRuns().map(r => r.env)); return envs.size > 1 && [...envs].every(e => "
              "[...document.querySelectorAll('.chart')].filter(c => c.textContent.includes('Return: ' + e)).length === 1); })()")
    page.run("overview.chosen = window.before; renderChosen()")
    fits(page, "the overview")


def one_run(page, name):
    page.run(f"location.hash = '#/run/' + encodeURIComponent({json.dumps(name)})")
    page.wait("document.querySelectorAll('.chart').length >= 6 && document.querySelectorAll('.tile').length >= 5")
    page.wait("document.querySelectorAll('.settings tr').length > 5")
    page.pause(0.3)
    check(inked(page, ".chart canvas") > 800, "the run's curves are not drawn")
    check(page.run("[...document.querySelectorAll('.chart h3')].some(e => e.textContent === 'Where the time goes')"), "no shares of the time")
    page.run("document.querySelector('.chart canvas').focus()")
    page.key("ArrowLeft")
    page.wait("view.hover !== null")
    page.key("Enter")
    page.wait("document.querySelector('.chart.big')")
    page.key("Escape")
    page.wait("!document.querySelector('.chart.big') && view.hover === null")
    page.run("(() => { const s = document.querySelector('.two input[type=search]'); s.value = 'gamma'; s.dispatchEvent(new Event('input')); })()")
    page.wait("document.querySelector('.settings').textContent.includes('ppo.gamma')")
    page.run("(() => { const s = document.querySelector('.two input[type=search]'); s.value = ''; s.dispatchEvent(new Event('input')); })()")
    fits(page, "a run")


def keyboard(page):
    page.key("1")
    page.wait("document.querySelector('main').dataset.view === 'runs'")
    page.key("j")
    page.wait("document.querySelector('main').dataset.view === 'run'")
    first = page.run("lastRun")
    page.key("k")
    page.wait(f"lastRun !== {json.dumps(first)}")
    page.key("j")
    page.wait(f"lastRun === {json.dumps(first)}")
    before = page.run("theme.name")
    page.key("t")
    page.wait(f"theme.name !== {json.dumps(before)}")
    page.key("t")
    page.key("x")
    page.wait("view.axis === 'seconds'")
    page.key("x")
    page.key("?")
    page.wait("document.getElementById('help').open")
    page.key("Escape")
    page.wait("!document.getElementById('help').open")
    page.key("3")
    page.wait("document.querySelector('main').dataset.view === 'fleet'")


def remote_actors(page):
    """The row of a remote actor tells one that is slow from one that is gone."""
    told = page.run("""['serving', 'slow', 'gone'].map(state => {
        const row = actorRow({name: 'a:1', state, environments: 4, rows: 9, round_trip_ms: 0.25, heard_s: 1}, false), dot = row.querySelector('.dot');
        return [dot.textContent, dot.classList.contains('live'), row.textContent.includes('0.25 ms')]; })""")
    check(told == [["serving", True, True], ["slow", False, True], ["gone", False, True]], f"the rows of remote actors: {told}")


def million(page):
    page.wait("data.run('million') && data.run('million').loaded === 1 || (refreshRuns(), false)", 60)
    begun = time.monotonic()
    page.run("location.hash = '#/run/million'")
    page.wait("data.loaded.get('million') && document.querySelectorAll('.chart').length >= 2", 30)
    took = time.monotonic() - begun
    points, high = page.run("(() => { const s = data.loaded.get('million')['charts/episodic_return']; return [s.mean.length, Math.max(...s.max)]; })()")
    check(100 < points <= 1000, f"a million lines came as {points} points")
    check(high == 123456, f"the extreme was thinned out: {high}")
    print(f"a million lines: {points} points, {took:.2f} s from click to curve")


def lost_and_mended(page, programs, monitor, url):
    port = re.search(r":(\d+)", url).group(1)
    errors = len(page.errors)
    programs.end(monitor)
    page.wait("data.link === 'lost' && !document.getElementById('banner').hidden", 30)
    again = programs.start("monitor", "runs", "--port", port)
    check(programs.url(again) == url, "another address after the restart")
    page.wait("data.link === 'live'", 40)
    page.wait("document.getElementById('banner').hidden", 10)
    unexpected = [e for e in page.errors[errors:] if not re.search("ERR_(CONNECTION|EMPTY|INCOMPLETE|FAILED|NETWORK)", e)]
    check(not unexpected, unexpected)
    del page.errors[errors:]
    return again


def prometheus(url):
    text = urllib.request.urlopen(url + "metrics", timeout=20).read().decode()
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        print("SKIPPED in part: prometheus_client is not installed (sh tests/kit/peers.sh)", file=sys.stderr)
        return
    families = {f.name: f for f in text_string_to_metric_families(text)}
    steps = families["volley_run_steps"]
    check(steps.type == "counter" and any(s.labels["run"] == "cartpole-ppo-1" and s.value >= 20000 for s in steps.samples), "steps are not in /metrics")
    print(f"/metrics: {len(families)} families, {sum(len(f.samples) for f in families.values())} samples, read by prometheus_client")


def pictures(browser, url, live, keep):
    """Every view in dark and light, wide and on a phone: nothing sticks out, nothing is on the console."""
    views = [("overview", url, "document.querySelectorAll('#rows tr').length >= 6 && data.loaded.size > 1", 940),
             ("run", live, "document.querySelectorAll('.chart').length >= 6 && !document.querySelector('.pictures').hidden", 1180),
             ("fleet", url + "#/fleet", "document.querySelector('.fleet') || document.querySelector('.store')" if shutil.which("redis-server") else "document.querySelector('main h2')", 620)]
    for name, address, ready, height in views:
        for theme in ("dark", "light"):
            page = browser.open(address, 1360, height, theme=theme)
            page.wait(ready, 180)
            page.pause(4 if keep else 0.3)
            fits(page, f"{name}, {theme}")
            check(page.run("theme.name") == theme, "the system's theme is not followed")
            page.screenshot(os.path.join(keep, f"{name}-{theme}.png"))
            check(not page.errors, page.errors)
            page.close()
        page = browser.open(address, 390, 844, phone=True)
        page.wait(ready, 180)
        page.pause(4 if keep else 0.3)
        fits(page, f"{name} on a phone")
        page.screenshot(os.path.join(keep, f"{name}-phone.png"))
        check(not page.errors, page.errors)
        page.close()


def shrink(folder):
    """256 colours are enough for them; ffmpeg is there for videos anyway."""
    if not shutil.which("ffmpeg"):
        return
    for name in sorted(os.listdir(folder)):
        path, small = os.path.join(folder, name), os.path.join(folder, "small-" + name)
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, "-vf", "split[a][b];[a]palettegen=max_colors=256:stats_mode=full[p];[b][p]paletteuse=dither=none", small], check=True)
        if os.path.getsize(small) < os.path.getsize(path):
            os.replace(small, path)
        else:
            os.remove(small)


def whole(programs, browser, keep):
    fleet = None
    if shutil.which("redis-server"):
        fleet = programs.start("train", "cartpole", "--algo", "a3c", "--workers", "2", "--steps", "100M", "--metrics.status", "none", "--out", "runs/cartpole-a3c-1")
    else:
        print("SKIPPED in part: redis-server is not installed (apt-get install redis-server): the page of a fleet was not seen", file=sys.stderr)
    live = programs.start("train", "minatar/breakout", "--seed", "3", "--steps", "100M", "--metrics.every_s", "0.25", "--monitor", "--out", "runs/minatar-breakout-ppo")
    live_url = programs.url(live)
    if keep:
        time.sleep(60)
    monitor = programs.start("monitor", "runs", "--port", "0")
    url = programs.url(monitor)
    page = browser.open(url, 1360, 900)
    overview(page)
    one_run(page, "cartpole-ppo-1")
    keyboard(page)
    remote_actors(page)
    if not keep:
        page.run(f"location.hash = '#/run/' + encodeURIComponent({json.dumps(HOSTILE.replace('/', ''))})")
        page.wait("document.querySelectorAll('.chart').length >= 2")
        check(page.run("document.images.length + document.scripts.length") == 1, "words of a run became elements")
    million(page)
    check(not page.errors, page.errors)
    monitor = lost_and_mended(page, programs, monitor, url)
    check(not page.errors, page.errors)
    page.run("localStorage.clear()")  # what the keyboard chose
    page.close()
    prometheus(url)
    pictures(browser, url, live_url, keep or programs.folder)
    if keep:
        shrink(keep)
    check(programs.end(live) == 130, "the live run did not end as Ctrl-C ends runs")
    if fleet:
        programs.end(fleet)
    check(programs.end(monitor) == 0, "the monitor did not end well")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--volley", required=True)
    parser.add_argument("--keep", default="", help="a folder for the pictures")
    given = parser.parse_args()
    if not chromium.find():
        print("SKIPPED: no Chromium (apt-get install chromium): the monitor's page was not clicked through", file=sys.stderr)
        return SKIP
    folder = tempfile.mkdtemp(prefix="volley-click-")
    programs = Programs(os.path.abspath(given.volley), folder)
    keep = os.path.abspath(given.keep) if given.keep else ""
    if keep:
        os.makedirs(keep, exist_ok=True)
    try:
        make_runs(programs, 300000 if keep else 20000)
        make_million(folder)
        if not keep:
            make_hostile(folder)
        with chromium.Chromium() as browser:
            whole(programs, browser, keep)
    finally:
        programs.close()
        shutil.rmtree(folder, ignore_errors=True)
    print("the page: overview, a run, the fleet, keyboard, a million lines, a lost connection; no error on the console")
    return 0


if __name__ == "__main__":
    sys.exit(main())
