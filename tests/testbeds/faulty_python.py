"""A Python on the phone that fails after two printed lines: for tests, in place of the real one."""

from __future__ import annotations

import builtins
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["faulty_python"]

LINES = 2


def faulty_python(path: Path, fault: str) -> Path:
    """Writes an executable to name in ?python=.

    Args:
        path: where.
        fault: "killed" (by the system, as when memory is short) or "server" (the adb server of the
            client is ended, which on a phone that is this machine we can do from there).
    """
    words = f"{sys.executable} {Path(__file__).resolve()} {fault}"
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
    return path


def main() -> None:
    """Runs the script of the second argument with a `print` that counts."""
    fault, script, *arguments = sys.argv[1:]
    printed, lines = builtins.print, 0

    def count(*values: Any, **options: Any) -> None:
        nonlocal lines
        printed(*values, **options)
        lines += 1
        if lines == LINES and "--plan" in " ".join(arguments):
            sys.stdout.flush()
            if fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(1)  # so that the lines have passed through the server
            subprocess.run(["adb", "kill-server"], capture_output=True, check=True)

    builtins.print = count
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
