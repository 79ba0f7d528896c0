"""Builds the wheel, installs it in an empty environment and uses it in another directory.

Run by `make wheel`. The base installation must suffice to search, the extra `export` to export.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> None:
    """Runs a command, prints it with its duration, and exits if it fails."""
    print(f"$ {' '.join(map(str, command))}", flush=True)
    start = time.monotonic()
    done = subprocess.run(list(map(str, command)), cwd=cwd, check=False)
    if done.returncode:
        sys.exit(f"error: the command failed (exit code {done.returncode})")
    print(f"  ({time.monotonic() - start:.0f} s)", flush=True)


def check(folder: Path) -> None:
    """Runs the whole check in `folder`, which is empty."""
    wheels, elsewhere, home = folder / "wheels", folder / "elsewhere", folder / "venv"
    run(sys.executable, "-m", "build", "--wheel", "--outdir", wheels, ROOT, cwd=ROOT)
    (wheel,) = wheels.glob("edgecmp-*.whl")
    venv.create(home, with_pip=True)
    elsewhere.mkdir()
    pip = (home / "bin" / "python", "-m", "pip", "install", "--quiet", "torch==2.13.0")
    pinned = ("-c", ROOT / "constraints" / f"3.{sys.version_info.minor}.txt")
    edgecmp = home / "bin" / "edgecmp"
    run(*pip, *pinned, wheel, cwd=elsewhere)
    run(edgecmp, "search", "--budget", "100M", "--quick", "--out", "search", cwd=elsewhere)
    run(edgecmp, "flops", "search/architecture.json", cwd=elsewhere)
    run(edgecmp, "eval", cwd=elsewhere)
    run(*pip, *pinned, f"edgecmp[export] @ {wheel.as_uri()}", cwd=elsewhere)
    run(edgecmp, "export", "--target", "tflite", "--out", "query.tflite", cwd=elsewhere)
    run(edgecmp, "parity", "query.tflite", cwd=elsewhere)
    run(home / "bin" / "python", "-m", "pip", "check", cwd=elsewhere)
    for name in ("search", "export", "benchmarks"):
        found = subprocess.run(
            [home / "bin" / "python", "-c", f"import {name}"],
            cwd=wheels,
            capture_output=True,
            check=False,
        )
        if not found.returncode:
            sys.exit(f"error: the wheel installed a top-level module {name!r}")
    print(f"passed: {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="work in this new folder and keep it"
    )
    keep: Path | None = parser.parse_args().keep
    if keep is not None:
        keep.mkdir(parents=True)
        check(keep.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="edgecmp-wheel-") as folder:
        check(Path(folder))


if __name__ == "__main__":
    main()
