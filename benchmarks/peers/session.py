"""The processes that keep the models of a comparison loaded, one per runtime.

Each runs `edgecmp.benchmarks.peers.serve` with the Python of its environment.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgecmp.benchmarks.peers.environment import Environment, last_line

__all__ = ["Server", "ServerLostError", "serving"]


class ServerLostError(Exception):
    """The process of a runtime ended; the message is the last line that it wrote."""


@dataclass(kw_only=True)
class Server:
    """One process of `edgecmp.benchmarks.peers.serve`, and its models.

    Attributes:
        runtime: name of the runtime.
        environment: the Python environment of the process.
        models: path of each model, by name.
        image: .npy, float32 (1, 3, S, S), normalised.
        threads: number of threads of the runtime.
        log: file for the messages of the process.
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
        """Waits until every model is loaded and has run once."""
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
                    with suppress(OSError):  # the process may have ended
                        stream.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


Key = tuple[str, str]
"""The name of a runtime, and that of a model or an environment."""


@contextmanager
def serving(
    models: Mapping[Key, Mapping[str, Path]],
    *,
    environments: Mapping[str, Environment],
    image: Path,
    threads: int,
    logs: Path,
) -> Iterator[tuple[list[Server], dict[Key, str]]]:
    """The servers, ready for visits, and the models that end the process that loads them.

    If a process ends, its models are loaded one by one to find the ones that cause it.

    Args:
        models: by runtime and environment: the path of each model, by name.
        environments: the environments, by name.
        image: .npy, float32 (1, 3, S, S), normalised.
        threads: number of threads of each runtime.
        logs: folder for the logs of the servers.

    Yields:
        The servers, and by runtime and model the reason why a model was left out.
    """
    refused: dict[Key, str] = {}

    def launch(runtime: str, environment: str, held: Mapping[str, Path]) -> Server:
        return Server(
            runtime=runtime,
            environment=environments[environment],
            models=held,
            image=image,
            threads=threads,
            log=logs / f"serve-{runtime}.log",
        )

    def usable(runtime: str, environment: str, held: Mapping[str, Path]) -> dict[str, Path]:
        """The models with which the process does not end."""
        found = {}
        for model, path in held.items():
            try:
                with launch(runtime, environment, {model: path}) as probe:
                    probe.ready()
                found[model] = path
            except ServerLostError as error:
                refused[runtime, model] = f"its process ended ({error})"
        return found

    with ExitStack() as stack:
        servers: list[Server] = []
        for (runtime, environment), held in models.items():
            server = stack.enter_context(launch(runtime, environment, held))
            try:
                server.ready()
            except ServerLostError:
                rest = usable(runtime, environment, held)
                if not rest:
                    continue
                server = stack.enter_context(launch(runtime, environment, rest))
                server.ready()
            servers.append(server)
        yield servers, refused
