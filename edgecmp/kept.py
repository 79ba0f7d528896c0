"""Keeps what several commands of one process open or compute again, such as the user's images.

Nothing is kept by default: a command reads what is there when it runs. Within `keeping` the first
result for a key is used again, so that a run of many commands reads and checks its images once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["keeping", "kept"]

Result = TypeVar("Result")

_results: dict[Hashable, Any] | None = None


@contextmanager
def keeping() -> Iterator[None]:
    """Within the block, `kept` keeps results; they are dropped at its end."""
    global _results
    before = _results
    _results = {} if before is None else before
    try:
        yield
    finally:
        _results = before


def kept(key: Hashable, make: Callable[[], Result]) -> Result:
    """The result of `make`, or that of an earlier call with the same key.

    Args:
        key: everything that determines the result.
        make: makes it; an error is raised and not kept.
    """
    if _results is None:
        return make()
    if key not in _results:
        _results[key] = make()
    result: Result = _results[key]
    return result
