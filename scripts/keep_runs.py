"""Keeps the runs of `edgecmp reproduce` with the package, so that `--list` shows them to everybody.

    python -m scripts.keep_runs runs/reproduce --recipe emoji

A run that is kept already under the same key is replaced by the folder's. In the commands the
folder is called runs/reproduce, wherever it lies.
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
    """Merges the runs in `folder` into the .jsonl file `kept`; gives how many there are then."""
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
    """Runs `keep` with the command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="--out of `edgecmp reproduce`")
    parser.add_argument("--recipe", default="emoji")
    given = parser.parse_args()
    kept = RECORDED / f"{given.recipe}.jsonl"
    print(f"{keep(given.folder, given.recipe, kept)} runs are kept in {kept}")


if __name__ == "__main__":
    main()
