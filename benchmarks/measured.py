"""What every file of results says about itself, in one form: `volley bench report` prints it above the table.

    report = {**measured.facts("python3 benchmarks/compare_x.py --rounds 5"), "results": rows}
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
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], capture_output=True, text=True).stdout
    return {"command": command, "hardware": f"{len(os.sched_getaffinity(0))} cores of {processor()}, load {os.getloadavg()[0]:.1f}",
            "commit": commit.strip(), "date": datetime.date.today().isoformat()}
