"""Draws the tables in docs/images/ from the runs in the package, without any training.

    python -m scripts.draw_tables docs/images

docs/results/paper-tables.md shows these pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgecmp.benchmarks.paper.listing import listing
from edgecmp.benchmarks.paper.plot import draw
from edgecmp.benchmarks.paper.reproduce import TABLES

__all__ = ["main"]

SHOWN = ("table3", "table4", "figure1")


def main() -> None:
    """Draws the pictures into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--recipe", default="emoji")
    given = parser.parse_args()
    for name in SHOWN:
        kept = listing(name, recipe_name=given.recipe, out=given.out)
        path = draw(TABLES[name], kept.groups, given.out / f"{name}.png", data=str(kept.data))
        print(f"Wrote {path}")


if __name__ == "__main__":
    main()
