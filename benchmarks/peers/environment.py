"""The Python environment of a peer, and the command that creates it.

edgecmp need not be installed in it: a folder with a link to this package is on its path.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecmp import version

__all__ = ["ENVIRONMENTS", "Environment", "last_line", "missing_from", "own_environment"]

ENVIRONMENTS = {
    "litert-torch": (
        "python3.11 -m venv litert-torch && litert-torch/bin/pip install torch==2.13.0 "
        "litert-torch==0.10.0 cattrs==25.2.0 'numpy<2' faiss-cpu==1.15.1 pytorchcv==0.0.67"
    ),
    "executorch": (
        "python3.11 -m venv executorch && executorch/bin/pip install torch==2.13.0 "
        "executorch==1.4.1 safetensors rich"
    ),
}
"""By peer: the command that creates its environment, as tested."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A Python with the packages of a peer, and the folder from which it imports edgecmp."""

    python: Path
    link: Path

    def command(self, module: str, *words: str) -> list[str]:
        """The command that runs a module of the benchmarks in this environment."""
        return [str(self.python), "-m", f"edgecmp.benchmarks.{module}", *words]

    def variables(self, threads: int | None = None) -> dict[str, str]:
        """The environment variables of its processes; creates the link to edgecmp if needed."""
        package = Path(version.__file__).parent
        self.link.mkdir(parents=True, exist_ok=True)
        target = self.link / "edgecmp"
        if not target.is_symlink() or target.readlink() != package:
            target.unlink(missing_ok=True)
            target.symlink_to(package)
        variables = {**os.environ, "PYTHONPATH": str(self.link.resolve())}
        if threads is not None:
            variables["OMP_NUM_THREADS"] = str(threads)
        return variables


def own_environment(link: Path) -> Environment:
    """The environment of the current Python."""
    return Environment(python=Path(sys.executable), link=link)


def missing_from(python: Path, packages: Sequence[str]) -> str:
    """Why a Python lacks the packages of a peer; empty if it does not."""
    code = "import importlib.metadata as m, sys; [m.version(p) for p in sys.argv[1:]]"
    try:
        done = subprocess.run(
            [str(python), "-c", code, *packages], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else last_line(done.stderr)


def last_line(text: str) -> str:
    """The last line that is not blank, which is usually the message of an exception."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
