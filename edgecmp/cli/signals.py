"""SIGTERM and SIGHUP end a command as Ctrl-C does: with a sentence, and nothing half-written."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["interruptible"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

REPEAT_S = 1.0
"""Within this time after the first signal, others are the same wish: `timeout` sends two, and a
closed terminal sends one from the system and one from the shell."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, the first signal raises KeyboardInterrupt; a later one ends the process.

    Signals that are ignored stay ignored, as under nohup. The earlier handlers are restored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    first: float | None = None

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if first is None:
            first = now
            raise KeyboardInterrupt
        if now - first > REPEAT_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    usual = (signal.SIG_DFL, signal.default_int_handler)
    before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
    try:
        for number in ENDING:
            if signal.getsignal(number) in usual:
                before[number] = signal.signal(number, end)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
