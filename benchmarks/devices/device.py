"""The interface of every device: facts, push, run, pull, close, and timing of models."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecmp.benchmarks.devices.errors import DeviceLostError, DeviceRunError
from edgecmp.benchmarks.devices.on_device.runner import RUNTIMES
from edgecmp.benchmarks.devices.reasons import crash, explain
from edgecmp.benchmarks.devices.summary import Summary
from edgecmp.storage.temporary import temporary_files

__all__ = ["END_MARK", "Device", "Visit"]

RUNNER = Path(__file__).resolve().parent / "on_device" / "runner.py"
END_MARK = "edgecmp-runner: end"


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """A short series of runs of one model, between visits of other models.

    Attributes:
        model: its place in the list of models to time.
        wall_us: wall time of each run.
        cpu_us: processor time of the calling thread in each run.
        switches: involuntary context switches of the process during each run.
        init_us: time to load the model.
        first_us: time of its first run.
        summary: summary of the runs, if the device does not report single runs (the three tuples
            are then empty); else None.
    """

    model: int
    wall_us: tuple[float, ...]
    cpu_us: tuple[float, ...]
    switches: tuple[int, ...]
    init_us: float
    first_us: float
    summary: Summary | None = None


class Device(ABC):
    """A machine that can run models: it receives files, runs commands and returns files.

    Attributes:
        name: as the user gave it, such as "local".
        python: the command that starts Python on the device.
    """

    name: str
    python: str

    @abstractmethod
    def push(self, path: Path) -> str:
        """Copies a file to the device and returns its path there.

        Raises:
            UserError: the device has no room for it.
        """

    @abstractmethod
    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> str:
        """Runs a command on the device and returns its standard output.

        Raises:
            DeviceRunError: the command failed or took longer than `timeout_s`.
            DeviceLostError: the connection broke.
        """

    @abstractmethod
    def pull(self, remote: str, path: Path) -> None:
        """Copies a file from the device to `path`."""

    @abstractmethod
    def close(self) -> None:
        """Removes the pushed files and ends the connection."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Processor, cores, system, runtimes with versions, governor and temperatures."""
        return self.run_runner()

    def runtimes_for(self, suffix: str) -> dict[str, str]:
        """The runtimes for files of this suffix, each with the reason why it is missing, or ""."""
        found = self.facts["runtimes"]
        return {
            name: found[name].get("reason", "")
            for name, (loads, _, _) in RUNTIMES.items()
            if loads == suffix
        }

    def run_runner(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
        program: Path = RUNNER,
    ) -> dict[str, Any]:
        """Runs a program on the device (see `on_device.runner`) and returns its document.

        Args:
            arguments: arguments of the program.
            environment: environment variables to set there.
            timeout_s: longest time in seconds.
            program: a Python file that prints a JSON document and the end mark.

        Raises:
            DeviceRunError: as `run`, or the output is incomplete.
        """
        return self._documents(arguments, environment, timeout_s, program)[-1]

    def time_model(
        self,
        model: Path,
        *,
        runtime: str,
        threads: int = 1,
        runs: int = 50,
        seed: int = 0,
        seconds: float = 60.0,
        least_seconds: float = 0.0,
        input_size: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """Times one model in a separate process and returns the runner's document.

        Args:
            model: the file, on this machine.
            runtime: one of the runner's `RUNTIMES` that the device has.
            threads: number of threads of the runtime.
            runs: number of timed runs, after a warm-up.
            seed: of the random input.
            seconds: time after which no further run begins.
            least_seconds: shortest time for which runs continue, even beyond `runs`.
            input_size: height and width of the images of a file that does not fix them.

        Raises:
            DeviceRunError: the runtime refuses the model.
        """
        return self.run_runner(
            self.push(model),
            f"--runtime={runtime}",
            f"--threads={threads}",
            f"--runs={runs}",
            f"--seed={seed}",
            f"--seconds={seconds}",
            f"--least-seconds={least_seconds}",
            *([] if input_size is None else [f"--input-size={input_size[0]}x{input_size[1]}"]),
            environment={"OMP_NUM_THREADS": str(threads)},
            timeout_s=600.0 + seconds,
        )

    def compute(
        self,
        model: Path,
        inputs: NDArray[Any],
        *,
        runtime: str,
        threads: int = 1,
    ) -> NDArray[np.float32]:
        """The first output of a model for a batch, computed on the device.

        Args:
            model: the file, on this machine.
            inputs: (N, S, S, 3) of the type that the file reads.
            runtime: one of the runner's `RUNTIMES` that the device has.
            threads: number of threads of the runtime.

        Returns:
            (N, D).

        Raises:
            DeviceRunError: the runtime refuses the model, or the model refuses the inputs.
            DeviceLostError: the connection broke.
        """
        with temporary_files() as folder:
            here = folder / "inputs.npy"
            np.save(here, inputs)
            there = self.push(here)
            results = f"{there}.outputs.npy"
            self.run_runner(
                self.push(model),
                *(f"--runtime={runtime}", f"--threads={threads}"),
                *(f"--inputs={there}", f"--outputs={results}"),
                environment={"OMP_NUM_THREADS": str(threads)},
                timeout_s=600.0 + 2.0 * len(inputs),
            )
            outputs = folder / "outputs.npy"
            self.pull(results, outputs)
            self.run(["rm", "-f", there, results])
            computed: NDArray[np.float32] = np.load(outputs, allow_pickle=False)
            return computed

    def time_models(
        self,
        models: Sequence[Path],
        *,
        runtime: str,
        threads: int = 1,
        visit_ms: Sequence[float],
        seed: int = 0,
    ) -> Iterator[Visit]:
        """Visits many models once each, in the given order, in one process.

        After a failure the visits before it are yielded, then the failure is raised.

        Args:
            models: the files, on this machine.
            runtime: one of the runner's `RUNTIMES` that the device has.
            threads: number of threads of the runtime.
            visit_ms: length of each visit in ms, after the warm-up.
            seed: of the random inputs.

        Raises:
            DeviceRunError: the runtime refuses a model.
            DeviceLostError: the connection broke.
        """
        plan = {
            "models": [self.push(model) for model in models],
            "runtime": runtime,
            "threads": threads,
            "visit_ms": list(visit_ms),
            "seed": seed,
        }
        with temporary_files() as folder:
            path = folder / "plan.json"
            path.write_text(json.dumps(plan))
            failure: DeviceRunError | DeviceLostError | None = None
            try:
                documents = self._documents(
                    [f"--plan={self.push(path)}"],
                    {"OMP_NUM_THREADS": str(threads)},
                    120.0 + 2.0 * len(models) + sum(visit_ms) / 100,
                )
            except (DeviceRunError, DeviceLostError) as error:
                failure, documents = error, _whole_lines(error.output)
        for document in documents:
            if "visit" in document:
                fields = document["visit"]
                yield Visit(
                    model=fields["model"],
                    wall_us=tuple(fields["wall_us"]),
                    cpu_us=tuple(fields["cpu_us"]),
                    switches=tuple(fields["switches"]),
                    init_us=fields["init_us"],
                    first_us=fields["first_us"],
                )
        if failure is not None:
            raise failure

    def _documents(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None,
        timeout_s: float,
        program: Path = RUNNER,
    ) -> list[dict[str, Any]]:
        """The output of the program, one JSON document per line.

        Raises:
            DeviceRunError: the program failed, or refused a model.
        """
        command = [self.python, self.push(program), *arguments]
        try:
            output = self.run(command, environment=environment, timeout_s=timeout_s)
        except DeviceRunError as error:
            raise (crash(error) if arguments else error) from error
        body, mark, _ = output.partition(END_MARK)
        documents = _whole_lines(body)
        if not mark or not documents:
            raise DeviceRunError("the output of the runner was cut off", output)
        if "refused" in documents[-1]:
            reason, runtime, shape = (documents[-1][key] for key in ("refused", "by", "shape"))
            raise DeviceRunError(explain(reason, runtime, shape) if runtime else reason, output)
        return documents

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _whole_lines(text: str) -> list[dict[str, Any]]:
    """The documents of the complete lines."""
    documents = []
    for line in text.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            documents.append(document)
    return documents
