"""Training by libvolley, an iteration at a time."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import operator
import os
import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _library
from ._library import Owner, check, lib

if TYPE_CHECKING:
    from .custom import Custom

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

    `env` is a name, or a Gymnasium class (or a function that makes an environment): Python then steps it, which is slow, and a warning
    says how slow. What it raises, train() raises. A run of it goes on with Trainer(Class, resume=folder), in new episodes.
    """

    def __init__(
        self,
        env: str | os.PathLike[str] | Callable[[], Any] | None = None,
        algo: str | None = None,
        *,
        resume: str | os.PathLike[str] | None = None,
        options: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        handle = ctypes.c_void_p()
        self._custom: Custom | None = None
        given: dict[str, Any] = {"env": env, "algo": algo, "monitor": False, **more, **(options or {})}
        if env is not None and not isinstance(env, (str, os.PathLike)):
            given = self._take_custom(env, given, resume is not None)
        words, run = _library.words_of(given), _library.text_of(resume) if resume else None
        if self._custom is None:
            check(lib.vly_trainer_open(ctypes.addressof(handle), run, words))
        else:
            self._check(lib.vly_trainer_open_hosted(ctypes.addressof(handle), run, words, self._custom.call, None))
        self._owner: Owner | None = Owner(handle.value, self._closer(self._custom))
        self._report = _library.Report()
        if self._custom is not None:
            _open_custom.add(self)

    def _take_custom(self, make: Callable[[], Any], given: dict[str, Any], goes_on: bool) -> dict[str, Any]:
        from . import custom

        here = os.getcwd()
        try:
            self._custom = custom.Custom(make)
        finally:
            os.chdir(here)  # an environment that goes elsewhere while it is looked at does not take the run along
        described = {"env": self._custom.name, "env.args": self._custom.description}
        mine = {**custom.DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
        return {**mine, "env": None} if goes_on else {**mine, **described}

    @staticmethod
    def _closer(custom: Custom | None) -> Callable[[Any], None]:
        """Environments close after the run that steps them."""

        def close(handle: Any) -> None:
            lib.vly_trainer_close(handle)
            if custom is not None:
                custom.close()

        return close

    def _check(self, status: int) -> None:
        """As check(); where an environment raised, that is raised again."""
        if status and self._custom is not None and self._custom.error is not None:
            raise self._custom.error
        check(status)

    @property
    def owner(self) -> Owner:
        owner = self._owner
        if owner is None:
            raise _library.InvalidArgument("the trainer is closed")
        return owner

    def train(self, steps: float = 0) -> dict[str, Any]:
        """Trains for at least so many steps (0: for a second) and reports. Control-C saves, ends the run and raises KeyboardInterrupt."""
        owner, wanted = self.owner, _steps(steps)
        try:
            while True:
                status = lib.vly_trainer_train(owner.handle, wanted, _SLICE_MS, ctypes.addressof(self._report))
                if status != _TIMEOUT:
                    break
        except KeyboardInterrupt:
            lib.vly_trainer_stop(owner.handle)
            lib.vly_trainer_train(owner.handle, 0, -1, ctypes.addressof(self._report))
            del owner
            raise
        del owner  # what is raised from here on keeps this frame, which would keep the run open
        self._check(status)
        return self.report()

    def run(self, progress: bool | None = None) -> dict[str, Any]:
        """Trains to the run's end: until_return, or steps. A bar is shown where a person looks and tqdm is there."""
        report = self.report()
        with _bar(progress) as bar:
            while report["stop"] is None:
                report = self.train()
                if bar is not None:
                    bar.update(report["steps"] - bar.n)
                    bar.set_postfix(mean_return=f"{report['return_mean_100']:.1f}", refresh=False)
        return report

    def report(self) -> dict[str, Any]:
        """Counters, rates and the metrics of the last update."""
        r, owner = self._report, self.owner
        check(lib.vly_trainer_report(owner.handle, ctypes.addressof(r)))
        numbers = {name: getattr(r, name) for name in _NUMBERS}
        return {**numbers, "stop": STOPS[r.stop], "metrics": self._metrics(), "folder": self.folder, "checkpoint": self.checkpoint}

    def _metrics(self) -> dict[str, float]:
        metrics, name, value, i, owner = {}, ctypes.c_char_p(), ctypes.c_double(), 0, self.owner
        while lib.vly_trainer_metric(owner.handle, i, ctypes.addressof(name), ctypes.addressof(value)) == 0:
            metrics[(name.value or b"").decode()] = value.value
            i += 1
        return metrics

    def save(self) -> str:
        """Writes a checkpoint, as a rule after one more update; its path."""
        owner = self.owner
        self._check(lib.vly_trainer_save(owner.handle))
        return self.checkpoint

    def stop(self) -> None:
        """Ends the run, saved; also from another thread while train() runs."""
        owner = self.owner
        check(lib.vly_trainer_stop(owner.handle))

    @property
    def folder(self) -> str:
        owner = self.owner
        return os.fsdecode(lib.vly_trainer_folder(owner.handle))

    @property
    def checkpoint(self) -> str:
        owner = self.owner
        return os.fsdecode(lib.vly_trainer_checkpoint(owner.handle))

    def said(self) -> list[str]:
        """What the run had to say since the last call."""
        text, owner = ctypes.create_string_buffer(1 << 16), self.owner
        check(lib.vly_trainer_said(owner.handle, text, len(text)))
        return text.value.decode(errors="replace").splitlines()

    def close(self) -> None:
        """Saves what was trained. Once or twice."""
        self._owner = None

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a trainer is not pickled or copied: save(), then volley.Trainer(resume=folder)")


# Closed while Python still runs: their environments are stepped by it.
_open_custom: weakref.WeakSet[Trainer] = weakref.WeakSet()


@atexit.register
def _close_custom() -> None:
    for trainer in list(_open_custom):
        trainer.close()


def _steps(steps: float) -> int:
    """1e6 is a whole number too."""
    if isinstance(steps, float) and steps.is_integer():
        steps = int(steps)
    whole = operator.index(steps)  # type: ignore[arg-type]
    if not 0 <= whole < 1 << 63:
        raise _library.InvalidArgument(f"steps is {whole}, it must not be negative, nor above 2^63 - 1")
    return whole


def _bar(wanted: bool | None) -> Any:
    """A bar of tqdm in a terminal, or where one is asked for; a context of None elsewhere."""
    watched = sys.stderr is not None and sys.stderr.isatty()
    if wanted is False or (wanted is None and not watched):
        return contextlib.nullcontext()
    try:
        import tqdm
    except ImportError:
        if wanted:
            raise
        return contextlib.nullcontext()
    return tqdm.tqdm(unit=" steps", unit_scale=True)
