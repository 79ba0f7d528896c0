"""Calls a function in a child process with limits, for files that may crash or bloat their reader.

A runtime that is given a damaged file may end the process or take all memory. Here it ends the
child, and its end becomes an error. A child starts in 0.1 seconds, plus its imports.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError

__all__ = ["call"]

MEMORY = 2 * 2**30
"""Bytes that a child may use by default."""

SECONDS = 60
"""Of processor time that a child may use by default; of elapsed time, four times as much."""

MOST_ANSWER = 2**24
"""Bytes of an answer; what a file makes longer is not an honest file's content."""

START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from edgecmp import caged
caged.child()
"""

OTHER_FILE = "Copy it again, or write it again with the tool that made it."


def call(function: str, path: Path, *, memory: int = MEMORY, seconds: int = SECONDS) -> Any:
    """Calls `function(path)` in a child process.

    Args:
        function: "package.module:name" of a function that takes a Path and returns what JSON can
            represent.
        path: the file that it reads.
        memory: bytes that the child may allocate; Linux enforces this, macOS does not.
        seconds: of processor time that it may use.

    Returns:
        What the function returned.

    Raises:
        UserError: the function raised one, raised anything else, crashed, or exceeded a limit.
    """
    arguments = [json.dumps(sys.path), function, str(path), str(memory), str(seconds)]
    try:
        done = subprocess.run(
            [sys.executable, "-c", START, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=4 * seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unreadable(path, f"it takes more than {4 * seconds} seconds") from error
    if done.returncode:
        raise _unreadable(path, _end(done.returncode, memory, seconds))
    answer = json.loads(done.stdout)
    if "user_error" in answer:
        raise UserError(*answer["user_error"])
    if "error" in answer:
        raise _unreadable(path, answer["error"])
    return answer["value"]


def child() -> None:
    """The child process: sets the limits, calls the function and writes its answer to stdout."""
    _, function, path, memory, seconds = sys.argv[1:]
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # what a runtime prints must not mix with the answer
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(seconds),
        resource.RLIMIT_DATA: int(memory),
    }
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        with suppress(ValueError, OSError):  # a system without such a limit
            resource.setrlimit(kind, (limit if hard < 0 else min(limit, hard), hard))
    text = json.dumps(_answer(function, Path(path), int(memory))).encode()
    with os.fdopen(answers, "wb") as file:
        file.write(text)


def _answer(function: str, path: Path, memory: int) -> dict[str, Any]:
    """What the function returned or raised, for the parent."""
    module, _, name = function.partition(":")
    try:
        value = getattr(importlib.import_module(module), name)(path)
        if len(json.dumps(value)) <= MOST_ANSWER:
            return {"value": value}
        return {"error": "its description is too long"}
    except UserError as error:
        return {"user_error": [error.what, error.way_out]}
    except MemoryError:
        return {"error": _no_memory(memory)}
    except Exception as error:  # whatever a reader raises on a hostile file
        reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        return {"error": _no_memory(memory) if "bad_alloc" in reason else reason}


def _end(code: int, memory: int, seconds: int) -> str:
    """Why a child ended without an answer, by its return code."""
    if code == -signal.SIGXCPU:
        return f"it takes more than {seconds} seconds of processor time"
    if code == -signal.SIGKILL:
        return _no_memory(memory)
    if code > 0:
        return f"its reader ended with code {code}"
    return f"its reader crashed ({signal.Signals(-code).name})"


def _no_memory(memory: int) -> str:
    return f"it needs more than {memory / 2**30:.1f} GiB of memory"


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(f"{path} cannot be loaded: {reason}.", OTHER_FILE)
