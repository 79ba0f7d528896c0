"""One conversion of one network in a separate process; its result is stored."""

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
    """Digest of the source of edgecmp's exporter, by which outdated results are recognised."""
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
    """Runs a converter in its environment, unless its files with the same `key` exist.

    Args:
        name: one of `edgecmp.benchmarks.peers.convert.CONVERTERS`.
        environment: the environment in which it runs.
        network: folder of the network.
        folder: folder for the files, a log, and a document that is written at the end.
        key: digest of everything that the files depend on.
        timeout_s: time in seconds after which the converter has failed.

    Returns:
        The result of `edgecmp.benchmarks.peers.convert.convert` with process_seconds (of the whole
        process, including imports); only "reason" if the converter failed.
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
