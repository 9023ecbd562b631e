"""What every file of results says about itself, in one form: `volley bench report` prints it above the table.

    report = {**measured.facts("python3 benchmarks/compare_envs.py --rounds 5"), "results": rows}
"""
import datetime
import os
import platform
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def processor():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.processor())


def facts(command):
    git = ["git", "-C", ROOT]
    commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    # Files of results change while results are made: that is not another program.
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ".", ":!benchmarks/results"], capture_output=True).returncode
    return {"command": command, "hardware": f"{len(os.sched_getaffinity(0))} cores of {processor()}, load {os.getloadavg()[0]:.1f}",
            "commit": commit + ("-dirty" if commit and changed else ""), "date": datetime.date.today().isoformat()}
