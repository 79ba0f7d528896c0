"""Runs the quick tests under coverage; fails on a module of which they cover under a quarter.

    python -m scripts.check_quick_suite

Lines that run in a process of their own (worker processes, programs on a device) are not seen;
`ELSEWHERE` names the modules that run only there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).parents[1]
QUICK = "not (slow or board or packaging or peers)"
FOLDERS = ("edgecmp", "search", "export", "benchmarks")
LEAST = 25.0
"""Percent of a module's lines."""

ELSEWHERE = {"edgecmp/__main__.py", "edgecmp/api/paths.py"}
"""The module that starts the program, and one of types alone."""


def shares(report: Path) -> dict[str, float]:
    """Percent of the lines that ran, by module."""
    files = json.loads(report.read_text())["files"]
    return {
        name: entry["summary"]["percent_covered"]
        for name, entry in files.items()
        if entry["summary"]["num_statements"]
    }


def main() -> None:
    """Runs the tests; exit code 1 if a module is not covered, the tests' own if they fail."""
    with tempfile.TemporaryDirectory(prefix="edgecmp-coverage-") as folder:
        report = Path(folder) / "coverage.json"
        sources = [f"--cov={name}" for name in FOLDERS]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-n", "auto", "-m", QUICK),
                *(*sources, "--cov-report", f"json:{report}", *sys.argv[1:]),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "COVERAGE_FILE": str(Path(folder) / "data"),
                # quick from Python 3.12 on; before, the tests take twice as long
                **({"COVERAGE_CORE": "sysmon"} if sys.version_info >= (3, 12) else {}),
            },
            check=False,
        )
        covered = shares(report)
    few = {name: share for name, share in covered.items() if share < LEAST}
    for name in sorted(few.keys() - ELSEWHERE):
        print(f"{few[name]:5.1f} %  {name}")
    missing = sorted(few.keys() - ELSEWHERE)
    if done.returncode:
        sys.exit(done.returncode)
    if missing:
        sys.exit(f"error: the quick tests cover under {LEAST:.0f} % of {len(missing)} modules.")
    print(f"The quick tests cover at least {LEAST:.0f} % of each of {len(covered)} modules.")


if __name__ == "__main__":
    main()
