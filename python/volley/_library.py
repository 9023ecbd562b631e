"""libvolley by ctypes: structures, functions, errors."""

from __future__ import annotations

import ctypes
import os
import pathlib
from typing import Any, NoReturn

U8, I32, I64, F32, F64 = range(5)


class Error(RuntimeError):
    """What libvolley refuses, in its own words. Subclasses are Python's usual kinds as well."""


class InvalidArgument(Error, ValueError):
    """A value that is out of range, or a call that does not fit."""


class OutOfMemory(Error, MemoryError):
    """There is not enough memory."""


class InputOutput(Error, OSError):
    """A file cannot be read or written."""


class NotFound(Error, LookupError):
    """No environment, file or device of that name."""


class Damaged(Error):
    """Data that was changed since it was saved."""


class Unsupported(Error, NotImplementedError):
    """Not offered here."""


UNSUPPORTED = -14
_KINDS: dict[int, type[Error]] = {
    -1: InvalidArgument,
    -2: OutOfMemory,
    -3: NotFound,
    -5: InputOutput,
    -6: NotFound,
    -7: Damaged,
    UNSUPPORTED: Unsupported,
}


class _Sized(ctypes.Structure):
    """A structure that begins with its own size."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bytes = ctypes.sizeof(self)


class Known(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("gymnasium", ctypes.c_char_p),
        ("summary", ctypes.c_char_p),
        ("family", ctypes.c_char_p),
    ]


class Space(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("type", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
        ("n", ctypes.c_int64),
        ("low", ctypes.c_double),
        ("high", ctypes.c_double),
    ]


class Facts(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("num_envs", ctypes.c_int32),
        ("batch_size", ctypes.c_int32),
        ("num_threads", ctypes.c_int32),
        ("autoreset", ctypes.c_int32),
        ("stack", ctypes.c_int32),
        ("frames_per_step", ctypes.c_int32),
        ("reward_type", ctypes.c_int32),
        ("columns", ctypes.c_int32),
        ("state_bytes", ctypes.c_uint64),
        ("asynchronous", ctypes.c_int32),
        ("renders", ctypes.c_int32),
        ("players", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]


class Column(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int32),
        ("count", ctypes.c_int32),
    ]


class Batch(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("observation", ctypes.c_void_p),
        ("reward", ctypes.c_void_p),
        ("terminated", ctypes.c_void_p),
        ("truncated", ctypes.c_void_p),
        ("env_id", ctypes.c_void_p),
        ("final_observation", ctypes.c_void_p),
        ("column", ctypes.c_void_p),
        ("final_column", ctypes.c_void_p),
    ]


class Report(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("steps", ctypes.c_int64),
        ("updates", ctypes.c_int64),
        ("episodes", ctypes.c_int64),
        ("return_mean_100", ctypes.c_double),
        ("length_mean_100", ctypes.c_double),
        ("wall_s", ctypes.c_double),
        ("steps_per_s", ctypes.c_double),
        ("frames_per_s", ctypes.c_double),
        ("stop", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]


class HostBatch(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("n", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("env", ctypes.c_void_p),
        ("seed", ctypes.c_void_p),
        ("action", ctypes.c_void_p),
        ("observation", ctypes.c_void_p),
        ("reward", ctypes.c_void_p),
        ("terminated", ctypes.c_void_p),
        ("truncated", ctypes.c_void_p),
        ("mask", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
    ]


class PolicyFacts(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("type", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
        ("actions", ctypes.c_int32),
        ("recurrent", ctypes.c_int32),
        ("q_values", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("environment", ctypes.c_char_p),
        ("algorithm", ctypes.c_char_p),
        ("network", ctypes.c_char_p),
        ("activation", ctypes.c_char_p),
        ("parts", ctypes.c_int32),
        ("box", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("deterministic", ctypes.c_int32),
        ("choices", ctypes.c_void_p),
    ]


class Decision(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("observation", ctypes.c_void_p),
        ("mask", ctypes.c_void_p),
        ("state", ctypes.c_void_p),
        ("greedy", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("action", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
        ("value", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
    ]


class Weight(_Sized):
    _fields_ = [
        ("bytes", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("ndim", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 4),
    ]


HOST_STEP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_P, _I, _S = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "vly_version": (ctypes.c_char_p, []),
    "vly_last_error": (ctypes.c_char_p, []),
    "vly_vec_list": (_I, [_I, _P]),
    "vly_vec_open": (_I, [_P, ctypes.c_char_p, ctypes.c_char_p]),
    "vly_vec_close": (None, [_P]),
    "vly_vec_info": (_I, [_P, _P]),
    "vly_vec_spaces": (_I, [_P, _P, _P]),
    "vly_vec_bounds": (_I, [_P, _P, _P]),
    "vly_vec_name": (ctypes.c_char_p, [_P]),
    "vly_vec_column": (_I, [_P, _I, _P]),
    "vly_vec_reset": (_I, [_P, _P, _P, _P]),
    "vly_vec_step": (_I, [_P, _P, _I, _P]),
    "vly_vec_send": (_I, [_P, _P, _I, _P, _I]),
    "vly_vec_send_reset": (_I, [_P, _P, _I, _P]),
    "vly_vec_recv": (_I, [_P, _P]),
    "vly_vec_view": (_I, [_P, _P, _P]),
    "vly_vec_shared_space": (_I, [_P, _P]),
    "vly_vec_shared": (_I, [_P, _P, _I, _P, _S]),
    "vly_vec_save": (_I, [_P, _P, _I, _P, _S]),
    "vly_vec_load": (_I, [_P, _P, _I, _P, _S, _P]),
    "vly_vec_render": (_I, [_P, _I, _P, _P, _P]),
    "vly_trainer_open": (_I, [_P, ctypes.c_char_p, ctypes.c_char_p]),
    "vly_trainer_open_hosted": (_I, [_P, ctypes.c_char_p, ctypes.c_char_p, HOST_STEP, _P]),
    "vly_trainer_close": (None, [_P]),
    "vly_trainer_train": (_I, [_P, ctypes.c_int64, _I, _P]),
    "vly_trainer_report": (_I, [_P, _P]),
    "vly_trainer_metric": (_I, [_P, _I, _P, _P]),
    "vly_trainer_save": (_I, [_P]),
    "vly_trainer_stop": (_I, [_P]),
    "vly_trainer_folder": (ctypes.c_char_p, [_P]),
    "vly_trainer_checkpoint": (ctypes.c_char_p, [_P]),
    "vly_trainer_said": (_I, [_P, _P, _S]),
    "vly_policy_open": (_I, [_P, ctypes.c_char_p, ctypes.c_char_p]),
    "vly_policy_close": (None, [_P]),
    "vly_policy_info": (_I, [_P, _P]),
    "vly_policy_act": (_I, [_P, _I, _P]),
    "vly_policy_tensor": (_I, [_P, _I, _P]),
    "vly_policy_evaluate": (_I, [_P, _I, ctypes.c_int64, _I, _P, _P]),
}


def _places() -> list[str]:
    """Where the library is: named, beside this file (a wheel), in a checkout's build, in the system's folders."""
    here = pathlib.Path(__file__).resolve().parent
    named = os.environ.get("VOLLEY_LIBRARY")
    if named:
        return [named]
    near = [here / "libvolley.so.0", here.parent.parent / "build" / "libvolley.so.0"]
    return [str(p) for p in near if p.exists()] + ["libvolley.so.0"]


def _load() -> ctypes.CDLL:
    reasons = []
    for place in _places():
        try:
            library = ctypes.CDLL(place)
        except OSError as error:
            reasons.append(str(error))
            continue
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        return library
    raise ImportError("libvolley cannot be loaded (install the wheel, or build it, or name it in VOLLEY_LIBRARY): " + "; ".join(reasons))


lib = _load()


class Owner:
    """A handle of the library. A call keeps its owner, so that it is closed when the last call has returned, whoever closes it."""

    def __init__(self, handle: Any, close: Any) -> None:
        self.handle, self._close = handle, close

    def __del__(self) -> None:
        self._close(self.handle)


def text_of(value: Any) -> bytes:
    """A name or a path for the library.

    >>> text_of(pathlib.Path("runs/a"))
    b'runs/a'
    """
    text = os.fsencode(value)
    if b"\0" in text:
        raise InvalidArgument(f"{value!r} has a character that no name has: \\0")
    return text


def _word_of(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_word_of, value))
    word = os.fsdecode(value) if isinstance(value, (bytes, os.PathLike)) else str(value)
    return {"True": "1", "False": "0"}.get(word, word)


def words_of(options: dict[str, Any]) -> bytes:
    """The library's words for options: True as 1, a list with commas, None left out, a value with blanks in quotes.

    >>> words_of({"seed": 1, "net.separate": True, "net.hidden": [64, 64], "steps": None, "out": "my runs/a"})
    b'seed=1 net.separate=1 net.hidden=64,64 out="my runs/a"'
    """
    words = []
    for key, value in options.items():
        if value is None:
            continue
        word = _word_of(value)
        if not key or any(c in '="' or c.isspace() for c in key):
            raise InvalidArgument(f"{key!r} is not the name of an option")
        if '"' in word:
            raise InvalidArgument(f"{key}: the value {word!r} holds a double quote, which no option takes")
        words.append(f'{key}="{word}"' if not word or any(c.isspace() for c in word) else f"{key}={word}")
    return text_of(" ".join(words))


def fail(status: int) -> NoReturn:
    """Raises what a status stands for, with the library's words."""
    words = (lib.vly_last_error() or b"").decode(errors="replace")
    raise _KINDS.get(status, Error)(words)


def check(status: int) -> None:
    if status:
        fail(status)


def version() -> str:
    return str(lib.vly_version().decode())


def names(family: str | None = None) -> list[str]:
    """The environments there are, or those of one family.

    >>> "cartpole" in names("classic"), len(names("atari"))
    (True, 104)
    """
    return [name for name, _, kind in known() if family in (None, kind)]


def known() -> list[tuple[str, str | None, str]]:
    """Name, Gymnasium's id and family of each environment."""
    rows, entry, i = [], Known(), 0
    while lib.vly_vec_list(i, ctypes.addressof(entry)) == 0:
        gymnasium = entry.gymnasium.decode() if entry.gymnasium else None
        rows.append((entry.name.decode(), gymnasium, entry.family.decode()))
        i += 1
    return rows
