"""The processes that a comparison of peers sends its work to: one conversion, or one runtime.

Each runs `edgecmp.benchmarks.peers.convert` or `.serve` with the Python of its own environment.
That environment need not hold edgecmp: a folder with a link to this package is on its path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgecmp import version
from edgecmp.files import read_json, sha256_json, write_json

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "Server",
    "ServerLostError",
    "convert",
    "exporter_digest",
    "last_line",
    "missing_from",
    "own_environment",
]

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
"""By peer: the command that makes its environment, as it was tested."""


class ServerLostError(Exception):
    """The process of a runtime died; the message is the last line it wrote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A Python with some packages, and the folder where it finds edgecmp."""

    python: Path
    link: Path

    def command(self, module: str, *words: str) -> list[str]:
        """The words that run a module of the benchmarks there."""
        return [str(self.python), "-m", f"edgecmp.benchmarks.{module}", *words]

    def variables(self, threads: int | None = None) -> dict[str, str]:
        """The environment variables of its processes."""
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


def last_line(text: str) -> str:
    """The last line that says something: an exception's own message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


@dataclass(kw_only=True)
class Server:
    """One process of `edgecmp.benchmarks.peers.serve`, and the models it holds.

    Attributes:
        runtime: its name.
        models: name of each, and its path.
        facts: by model: version and embedding, or the reason why it does not run.
    """

    runtime: str
    environment: Environment
    models: Mapping[str, Path]
    image: Path
    threads: int
    log: Path
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        words = self.environment.command(
            "peers.serve",
            self.runtime,
            *(str(path.resolve()) for path in self.models.values()),
            f"--threads={self.threads}",
            f"--image={self.image.resolve()}",
        )
        with self.log.open("wb") as stream:
            self._process = subprocess.Popen(
                words,
                env=self.environment.variables(self.threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        return self

    def ready(self) -> None:
        """Waits until every model is open and has run once."""
        self.facts = dict(zip(self.models, self._answer(), strict=True))

    def visit(self, model: str, milliseconds: float) -> dict[str, Any]:
        """See `edgecmp.benchmarks.peers.serve.visit`."""
        assert self._process is not None
        assert self._process.stdin is not None
        index = list(self.models).index(model)
        try:
            print(index, milliseconds, file=self._process.stdin, flush=True)
        except OSError as error:
            raise ServerLostError(self._last_words()) from error
        answer: dict[str, Any] = self._answer()
        return answer

    def _answer(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise ServerLostError(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        return f"{self.runtime}: {last_line(self.log.read_text(errors='replace'))}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with suppress(OSError):  # it may be dead already
                        stream.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def own_environment(link: Path) -> Environment:
    """The Python that runs now."""
    return Environment(python=Path(sys.executable), link=link)


def missing_from(python: Path, packages: Sequence[str]) -> str:
    """Why a Python cannot serve as a peer, or nothing."""
    code = "import importlib.metadata as m, sys; [m.version(p) for p in sys.argv[1:]]"
    try:
        done = subprocess.run(
            [str(python), "-c", code, *packages], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else last_line(done.stderr)
