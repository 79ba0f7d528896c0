"""One conversion of one network in a process of its own, made once and kept."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from edgecmp import version
from edgecmp.benchmarks.peers.environment import Environment, last_line
from edgecmp.files import read_json, sha256_json, write_json

__all__ = ["convert", "exporter_digest"]


def exporter_digest() -> str:
    """Changes with the source of our exporter, so that its old results are not taken for new."""
    folder = Path(version.__file__).parent / "export"
    sources = {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*.py"))}
    return sha256_json(sources)


def convert(
    name: str,
    environment: Environment,
    network: Path,
    folder: Path,
    *,
    key: str,
    timeout_s: float = 900.0,
) -> dict[str, Any]:
    """Runs a converter in its environment, unless its files with the same `key` are there.

    Args:
        name: one of `edgecmp.benchmarks.peers.convert.CONVERTERS`.
        environment: where it runs.
        network: folder of the network.
        folder: gets the files, a log, and a note when all is done.
        key: of whatever the files depend on.
        timeout_s: before the converter counts as failed.

    Returns:
        What `edgecmp.benchmarks.peers.convert.convert` returns, and process_seconds (the whole
        process, imports included); or just reason, where the converter failed.
    """
    out = folder / name
    done = folder / f"{name}.done.json"
    if done.exists():
        document = read_json(done, what="a finished conversion")
        if document["key"] == key:
            return document
    words = environment.command(
        "peers.convert", name, "--network", str(network.resolve()), "--out", str(out.resolve())
    )
    start = time.perf_counter()
    log = folder / f"{name}.log"
    with log.open("wb") as stream:
        try:
            code = subprocess.run(
                words,
                env=environment.variables(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            return {"reason": str(error)}
    seconds = time.perf_counter() - start
    if code != 0:
        return {"reason": f"exit code {code}: {last_line(log.read_text(errors='replace'))}"}
    result = read_json(folder / f"{name}.json", what="a conversion")
    document = {"key": key, "process_seconds": seconds, **result}
    write_json(done, document)
    return document
