"""Scripts over EnvPool and ale-py learn the same, to the last bit, when their import alone is changed to Volley's."""

import importlib.util
import os
import subprocess
import sys

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts")
CASES = (
    ("ppo_envpool.py", "import envpool\n", "from volley import envpool\n", ("torch", "envpool")),
    ("sb3_cnn.py", "from ale_py.vector_env import AtariVectorEnv\n", "from volley import AtariVectorEnv\n", ("stable_baselines3", "ale_py")),
)


def run(text):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("learned")][-1]


def main():
    ran = 0
    for name, theirs, ours, needed in CASES:
        missing = [m for m in needed if importlib.util.find_spec(m) is None]
        if missing:
            print(f"SKIPPED in part: {name}: {', '.join(missing)} is not installed", file=sys.stderr)
            continue
        with open(os.path.join(SCRIPTS, name)) as f:
            text = f.read()
        assert text.count(theirs) == 1
        first, second = run(text), run(text.replace(theirs, ours))
        assert first == second, f"{name}: {first} with {theirs.strip()}, {second} with {ours.strip()}"
        print(f"{name}: {first}")
        ran += 1
    if not ran:
        print("SKIPPED: neither torch with envpool nor stable_baselines3 with ale_py is installed", file=sys.stderr)
    sys.exit(0 if ran else 77)


if __name__ == "__main__":
    main()
