"""Mutated artefacts end in a UserError, the same result or, if people write them, another one.

A slice runs in the quick suite; `make fuzz` runs 10,000 mutants (EDGECMP_FUZZ) and prints a table.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from edgecmp.errors import UserError
from tests.fixtures.mutations import mutated, peak_gib, within_memory
from tests.fuzz.kinds import DOCUMENTS, KINDS

MUTANTS = int(os.environ.get("EDGECMP_FUZZ", "0"))
"""In all; 0 for the slice of the quick suite."""

SLICE = 12
SECONDS = 20
"""A mutant that takes longer has hung: none of these artefacts takes a second to open."""


class _HungError(Exception):
    """A mutant was not read within `SECONDS`."""


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise _HungError


def _outcome(kind: str, path: Path, expected: str) -> str:
    """What became of a mutant: "refused", "same" or "changed"; anything else is raised."""
    signal.signal(signal.SIGALRM, _hung)
    signal.alarm(SECONDS)
    try:
        found = KINDS[kind].load(path)
    except UserError:
        return "refused"
    finally:
        signal.alarm(0)
    return "same" if found == expected else "changed"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(name, marks=pytest.mark.slow if kind.slow and not MUTANTS else ())
        for name, kind in KINDS.items()
    ],
)
def test_a_mutant_is_refused_or_means_the_same(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind].make(tmp_path)
    expected = KINDS[kind].load(path)
    files = sorted(file for file in tmp_path.glob(KINDS[kind].files) if file.is_file())
    generator = random.Random(f"edgecmp {kind}")
    count = MUTANTS // len(KINDS) + 1 if MUTANTS else SLICE
    outcomes: Counter[str] = Counter()
    faults = []
    started, before = time.monotonic(), peak_gib()
    for number in range(count):
        file = generator.choice(files)
        content = file.read_bytes()
        file.write_bytes(mutated(content, generator, document=file.suffix in DOCUMENTS))
        try:
            outcome = _outcome(kind, path, expected)
        except Exception as error:  # every one of them is a fault that the list names
            outcome = "died"
            faults.append(f"{number} ({file.name}): {type(error).__name__}: {error}"[:300])
        else:
            if outcome == "changed" and KINDS[kind].sealed:
                faults.append(f"{number} ({file.name}): the change was accepted")
        outcomes[outcome] += 1
        file.write_bytes(content)
    memory = peak_gib()
    print(
        f"{kind}: {count} mutants in {time.monotonic() - started:.0f} s, "
        f"{', '.join(f'{n} {name}' for name, n in sorted(outcomes.items()))}, "
        f"peak {memory:.2f} GiB"
    )
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults[:20])
    assert within_memory(before)
