"""Volley: exact Atari, MinAtar and classic control at the speed of C, and agents that train in seconds.

>>> import volley
>>> envs = volley.make_vec("cartpole", num_envs=2)
>>> envs.reset(seed=0)[0].shape
(2, 4)

What is imported is what is used: `volley.make_vec` brings Gymnasium, `volley.envpool` its own face.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from ._library import Damaged, Error, InputOutput, InvalidArgument, NotFound, OutOfMemory, Unsupported, names, version

if TYPE_CHECKING:
    from . import envpool as envpool
    from .policy import Policy as Policy
    from .policy import load as load
    from .parallel import parallel_env as parallel_env
    from .trainer import Trainer as Trainer
    from .atari import AtariVectorEnv as AtariVectorEnv
    from .vector import VolleyVectorEnv as VolleyVectorEnv
    from .vector import make_vec as make_vec
    from .vector import register as register

__version__ = version()
__all__ = [
    "AtariVectorEnv",
    "Damaged",
    "Error",
    "InputOutput",
    "InvalidArgument",
    "NotFound",
    "OutOfMemory",
    "Policy",
    "Trainer",
    "Unsupported",
    "VolleyVectorEnv",
    "envpool",
    "load",
    "make_vec",
    "names",
    "parallel_env",
    "register",
    "version",
]

_WHERE = {
    "AtariVectorEnv": "atari",
    "Policy": "policy",
    "Trainer": "trainer",
    "VolleyVectorEnv": "vector",
    "load": "policy",
    "make_vec": "vector",
    "parallel_env": "parallel",
    "register": "vector",
}


def __getattr__(name: str) -> Any:
    if name == "envpool":
        return importlib.import_module(".envpool", __name__)
    if name in _WHERE:
        return getattr(importlib.import_module("." + _WHERE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _AfterGymnasium:
    """Registers the environments when Gymnasium is imported after this package, which does not import it itself."""

    _loader: Any = None

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "gymnasium":
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((s for s in found if s is not None), None)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self  # type: ignore[assignment]
        return spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
        importlib.import_module(".vector", __name__)  # which registers at its end


if "gymnasium" in sys.modules:
    importlib.import_module(".vector", __name__)
else:
    sys.meta_path.insert(0, _AfterGymnasium())
