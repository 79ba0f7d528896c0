"""Kills a search at random moments until it is finished, and compares it with an undisturbed one.

    python scripts/check_resume.py --kills 20

Both run `edgecmp search --budget 100M --quick` with the starter kit. The histories (except the line
that states the command) and the winners must be equal, byte for byte.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["main"]

STARTUP_SECONDS = 4.0
"""Least time in s before a kill, so that it interrupts the search and not the imports."""


def start(out: Path) -> subprocess.Popen[bytes]:
    """Starts the search as a separate process."""
    words = ["search", "--budget", "100M", "--quick", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "edgecmp", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run_with_kills(out: Path, kills: int, seconds: float, generator: random.Random) -> int:
    """Runs the search to its end with up to `kills` kills; returns the number of kills."""
    for kill in range(kills):
        process = start(out)
        try:
            process.wait(STARTUP_SECONDS + generator.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        else:
            return kill
        history = out / "history.jsonl"
        lines = history.read_bytes().count(b"\n") if history.exists() else 0
        print(f"kill {kill + 1}: {lines} lines of history", flush=True)
    if start(out).wait():
        sys.exit("error: the resumed search failed")
    return kills


def main() -> None:
    """Prints the comparison; exit code 1 if something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8.0, help="longest time between kills")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Path(folder) / "undisturbed", Path(folder) / "killed"
        began = time.monotonic()
        if start(undisturbed).wait():
            sys.exit("error: the undisturbed search failed")
        print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        kills = run_with_kills(killed, given.kills, given.seconds, random.Random(given.seed))
        folders = (undisturbed, killed)
        histories = [(p / "history.jsonl").read_bytes().splitlines()[1:] for p in folders]
        winners = [(p / "architecture.json").read_bytes() for p in folders]
    same = histories[0] == histories[1] and winners[0] == winners[1]
    print(
        f"{'passed' if same else 'FAILED'}: {kills} kills, {len(histories[0])} candidates, "
        f"history {'equal' if histories[0] == histories[1] else 'differs'}, "
        f"winner {'equal' if winners[0] == winners[1] else 'differs'}"
    )
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
