"""Training by libvolley, an iteration at a time."""

from __future__ import annotations

import ctypes
from typing import Any

from . import _library
from ._library import check, lib

STOPS = (None, "target", "budget", "interrupted", "failed")
_NUMBERS = ("steps", "updates", "episodes", "return_mean_100", "length_mean_100", "wall_s", "steps_per_s", "frames_per_s")
_TIMEOUT, _SLICE_MS = -11, 100


class Trainer:
    """A run that trains an agent.

    >>> import tempfile
    >>> t = Trainer("cartpole", algo="ppo", seed=1, workers=1, out=tempfile.mkdtemp() + "/run")
    >>> report = t.train(steps=20000)
    >>> report["steps"] >= 20000, report["stop"]
    (True, None)
    >>> path = t.save()
    >>> t.close()

    Options are those of `volley train`: seed, steps, until_return, workers, out, device, ppo.lr as options={"ppo.lr": 3e-4}. The run's
    folder holds settings, curves and checkpoints; `volley resume`, `eval` and `play` take it.
    """

    def __init__(self, env: str | None = None, algo: str | None = None, *, resume: str | None = None, options: dict[str, Any] | None = None, **more: Any) -> None:
        handle = ctypes.c_void_p()
        more = {"monitor": False, **more}
        words = _library.words_of({"env": env, "algo": algo, **more, **(options or {})})
        check(lib.vly_trainer_open(ctypes.addressof(handle), resume.encode() if resume else None, words))
        self._handle: int | None = handle.value
        self._report = _library.Report()

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise _library.InvalidArgument("the trainer is closed")
        return self._handle

    def train(self, steps: int = 0) -> dict[str, Any]:
        """Trains for at least so many steps (0: for a second) and reports. Control-C saves, ends the run and raises KeyboardInterrupt."""
        try:
            while True:
                status = lib.vly_trainer_train(self.handle, steps, _SLICE_MS, ctypes.addressof(self._report))
                if status != _TIMEOUT:
                    break
        except KeyboardInterrupt:
            lib.vly_trainer_stop(self.handle)
            lib.vly_trainer_train(self.handle, 0, -1, ctypes.addressof(self._report))
            raise
        check(status)
        return self.report()

    def run(self, progress: bool | None = None) -> dict[str, Any]:
        """Trains to the run's end: until_return, or steps. A bar is shown where a person looks and tqdm is there."""
        bar = _bar(progress)
        report = self.report()
        while report["stop"] is None:
            report = self.train()
            if bar is not None:
                bar.update(report["steps"] - bar.n)
                bar.set_postfix(mean_return=f"{report['return_mean_100']:.1f}", refresh=False)
        if bar is not None:
            bar.close()
        return report

    def report(self) -> dict[str, Any]:
        """Counters, rates and the metrics of the last update."""
        r = self._report
        check(lib.vly_trainer_report(self.handle, ctypes.addressof(r)))
        numbers = {name: getattr(r, name) for name in _NUMBERS}
        return {**numbers, "stop": STOPS[r.stop], "metrics": self._metrics(), "folder": self.folder, "checkpoint": self.checkpoint}

    def _metrics(self) -> dict[str, float]:
        metrics, name, value, i = {}, ctypes.c_char_p(), ctypes.c_double(), 0
        while lib.vly_trainer_metric(self.handle, i, ctypes.addressof(name), ctypes.addressof(value)) == 0:
            metrics[(name.value or b"").decode()] = value.value
            i += 1
        return metrics

    def save(self) -> str:
        """Writes a checkpoint, as a rule after one more update; its path."""
        check(lib.vly_trainer_save(self.handle))
        return self.checkpoint

    def stop(self) -> None:
        """Ends the run, saved; also from another thread while train() runs."""
        check(lib.vly_trainer_stop(self.handle))

    @property
    def folder(self) -> str:
        return str(lib.vly_trainer_folder(self.handle).decode())

    @property
    def checkpoint(self) -> str:
        return str(lib.vly_trainer_checkpoint(self.handle).decode())

    def said(self) -> list[str]:
        """What the run had to say since the last call."""
        text = ctypes.create_string_buffer(1 << 16)
        check(lib.vly_trainer_said(self.handle, text, len(text)))
        return text.value.decode(errors="replace").splitlines()

    def close(self) -> None:
        """Saves what was trained. Once or twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            lib.vly_trainer_close(handle)

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


def _bar(wanted: bool | None) -> Any:
    import sys

    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        return None
    try:
        import tqdm
    except ImportError:
        return None
    return tqdm.tqdm(unit=" steps", unit_scale=True)
