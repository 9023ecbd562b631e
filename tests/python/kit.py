"""What the tests of the package share. Import it first: without Gymnasium and NumPy the test ends here, as a skip."""

import sys

try:
    import gymnasium  # noqa: F401
    import numpy  # noqa: F401
except ImportError as e:
    print(f"SKIPPED: {e}: name a Python with gymnasium in VLY_PYTHON", file=sys.stderr)
    sys.exit(77)


def refused(kind, words, call, *args, **kwargs):
    """The call raises `kind` with `words` in its text."""
    try:
        call(*args, **kwargs)
    except kind as e:
        assert words in str(e), f"{e!r} does not say {words!r}"
    else:
        raise AssertionError(f"nothing was raised, expected {kind.__name__} with {words!r}")
