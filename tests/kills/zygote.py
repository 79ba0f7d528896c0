"""A process that has everything imported, and forks one child per command; see `harness`.

It reads one request per line of stdin as JSON, and answers each with the child's exit status:

    {"call": "module:function", "arguments": [...], "watched": "folder", "at": 7,
     "happens": "SIGKILL", "events": "file", "output": "file"}

The child calls the function. Each time before it changes something in `watched`, or waits for the
disk, it counts one event. At number `at` it sends itself the signal that `happens` names, or fails
with "disk full": once, or from then on with "disk stays full". If it is not killed, it writes the
list of its events to `events`.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
TAKES_SPACE = {"open", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.fsync"}
"""Events that a disk that stays full refuses; a new name for what is there needs no space."""
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}


class Counter:
    """Counts the events of one child, and ends it at one of them."""

    def __init__(self, watched: str, at: int | None, happens: str) -> None:
        self.watched, self.at, self.happens = watched, at, happens
        self.events: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook (PEP 578): it is called before the operation."""
        if event in CHANGES or (event == "open" and int(arguments[2] or 0) & WRITING):
            path = arguments[0]
            if isinstance(path, str | bytes) and os.fsdecode(path).startswith(self.watched):
                self.count(event, os.fsdecode(path))

    def count(self, event: str, path: str = "") -> None:
        """One event more."""
        self.events.append(f"{event} {path.removeprefix(self.watched)}".rstrip())
        if self.at is None or len(self.events) < self.at:
            return
        if self.happens == "disk stays full":
            if event in TAKES_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        elif len(self.events) == self.at:
            if self.happens == "disk full" and event in TAKES_SPACE | {"os.rename"}:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            if self.happens.startswith("SIG"):
                os.kill(os.getpid(), signal.Signals[self.happens])


def child(request: dict[str, Any]) -> int:
    """Runs the function; returns the exit code."""
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    module, _, name = request["call"].partition(":")
    function: Callable[..., object] = getattr(importlib.import_module(module), name)
    counter = Counter(request["watched"], request["at"], request["happens"])
    fsync = os.fsync

    def counted(fd: Any) -> None:
        counter.count("os.fsync")
        fsync(fd)

    os.fsync = counted
    sys.addaudithook(counter.hook)
    code = function(*request["arguments"])
    counter.watched = "\0"  # what follows is not the command's
    Path(request["events"]).write_text(json.dumps(counter.events))
    return code if isinstance(code, int) else 0


def main() -> None:
    """Answers requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup
    for module in sys.argv[1:]:
        importlib.import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            try:
                code = child(request)
            except BaseException:
                traceback.print_exc()
                code = 99
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(os.waitpid(process, 0)[1], flush=True)


if __name__ == "__main__":
    main()
