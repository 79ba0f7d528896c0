"""Copies the runs of `edgecmp reproduce` into the package, where `--list` finds them.

    python -m scripts.keep_runs runs/reproduce --recipe emoji

A run in the package is replaced by the run in the folder with the same key. In the recorded
commands the folder is named runs/reproduce, whatever its real name.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edgecmp.benchmarks.paper.run import RECORDED, RESULT, Run
from edgecmp.files import read_json, write_atomic

__all__ = ["keep", "main"]

FOLDER = "runs/reproduce"


def keep(folder: Path, recipe: str, kept: Path) -> int:
    """Merges the runs in `folder` into the .jsonl file `kept`; returns the number of runs in it."""
    runs: dict[str, Run] = {}
    if kept.exists():
        for number, line in enumerate(kept.read_text().splitlines(), start=1):
            run = Run.from_dict(json.loads(line), source=f"line {number} of {kept}")
            runs[run.key] = run
    for path in sorted((folder / recipe).rglob(RESULT)):
        document = read_json(path, what="a run")
        command = document["provenance"]["command"].replace(str(folder), FOLDER)
        document["provenance"]["command"] = command
        run = Run.from_dict(document, source=str(path))
        runs[run.key] = run
    lines = [json.dumps(runs[key].to_dict(), sort_keys=True) + "\n" for key in sorted(runs)]
    write_atomic(kept, "".join(lines).encode())
    return len(runs)


def main() -> None:
    """Runs `keep` with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="--out of `edgecmp reproduce`")
    parser.add_argument("--recipe", default="emoji")
    given = parser.parse_args()
    kept = RECORDED / f"{given.recipe}.jsonl"
    print(f"{kept} contains {keep(given.folder, given.recipe, kept)} runs.")


if __name__ == "__main__":
    main()
