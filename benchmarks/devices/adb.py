"""Android devices over adb: the user's own adb client, and the folder that its shell may use."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.devices.adb_client import call_adb, choose_device
from edgecmp.benchmarks.devices.android import CONDITIONS, FACTS, parse_conditions, parse_facts
from edgecmp.benchmarks.devices.benchmark_binary import NAME, find_binary, require_abi
from edgecmp.benchmarks.devices.benchmark_model import BenchmarkModel
from edgecmp.benchmarks.devices.device import Visit
from edgecmp.benchmarks.devices.errors import DeviceLostError, DeviceRunError
from edgecmp.benchmarks.devices.on_device.runner import RUNTIMES
from edgecmp.benchmarks.devices.shell import PATH_MARK, Answer, ShellDevice, remote_path
from edgecmp.benchmarks.devices.spec import DeviceSpec
from edgecmp.errors import UserError

__all__ = ["AdbDevice"]

ANSWER_S = 30.0
"""Timeout in seconds for the first answer of the shell."""

NOT_FOUND = "(exit code 127)"
"""The end of the message of a shell for a missing command."""


def _mask(cpus: str) -> str:
    """The bit mask, in hexadecimal digits, of a list of processors such as "4-7" or "0,2-3"."""
    mask = 0
    for text in cpus.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UserError(
                f"?cpus must list processor numbers (got {cpus!r}).",
                "Write ?cpus=4-7 or ?cpus=0,2.",
            )
        mask |= sum(1 << number for number in range(first, last + 1))
    return f"{mask:x}"


class AdbDevice(ShellDevice):
    """An Android device: over USB (`adb:SERIAL`), Wi-Fi (`adb:HOST:PORT`), or the only one (`adb`).

    Options: `?python=PATH` names a Python on the device, `?folder=PATH` a place there for the files
    that are sent, `?benchmark_model=PATH|URL` a copy of TFLite's benchmark_model for devices
    without Python, `?cpus=4-7` the processors for commands.

    Attributes:
        serial: its name in adb.

    Raises:
        UserError: adb, the device or an option of its name cannot be used.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        cpus = spec.options.get("cpus")
        self._pin = f"taskset -p {_mask(cpus)} $$ >/dev/null || exit 1; " if cpus else ""
        self._cpus = cpus
        self._place = spec.options.get("folder", "")
        binary = find_binary(spec.options[NAME]) if NAME in spec.options else None
        self.serial = choose_device(spec.address)
        self._client = shlex.join(["adb", "-s", self.serial])
        super().__init__(f"adb:{self.serial}", spec.options.get("python", "python3"))
        try:
            self._android = parse_facts(self.run(["sh", "-c", FACTS]))
            self._tool: BenchmarkModel | None = None
            if binary is not None:
                require_abi(binary, self._android["abis"], self.name)
                self._tool = BenchmarkModel(self, binary)
        except DeviceRunError as error:
            self.close()
            raise UserError(
                f"{self.name} cannot run commands ({error}).",
                f"Check it with `{self._client} shell`, then run the same command again.",
            ) from error
        except BaseException:
            self.close()
            raise

    @cached_property
    def facts(self) -> dict[str, Any]:
        """See `Device.facts`; also "model", "soc", "abi", "abis" and "cpus" (None: all)."""
        try:
            facts = self.run_runner()
        except DeviceRunError as error:
            missing = {
                "reason": "no Python" if NOT_FOUND in str(error) else f"its Python fails ({error})"
            }
            facts = {**self._android, "runtimes": dict.fromkeys(RUNTIMES, missing)}
        for key in ("model", "soc", "abi", "abis", "system"):
            facts[key] = self._android[key]
        if self._tool is not None:
            facts["runtimes"] = {**facts["runtimes"], NAME: {"version": self._tool.version}}
        return {**facts, "cpus": self._cpus}

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
        """See `Device.time_model`; for benchmark_model, see `BenchmarkModel.time`."""
        if runtime == NAME and self._tool is not None:
            before = parse_conditions(self.run(["sh", "-c", CONDITIONS]))
            timed = self._tool.time(
                model,
                threads=threads,
                runs=runs,
                seconds=seconds,
                least_seconds=least_seconds,
                input_size=input_size,
            )
            after = parse_conditions(self.run(["sh", "-c", CONDITIONS]))
            return {**timed, "before": before, "after": after}
        return super().time_model(
            model,
            runtime=runtime,
            threads=threads,
            runs=runs,
            seed=seed,
            seconds=seconds,
            least_seconds=least_seconds,
            input_size=input_size,
        )

    def time_models(
        self,
        models: Sequence[Path],
        *,
        runtime: str,
        threads: int = 1,
        visit_ms: Sequence[float],
        seed: int = 0,
    ) -> Iterator[Visit]:
        """See `Device.time_models`; benchmark_model runs in a separate process per model."""
        if runtime != NAME or self._tool is None:
            yield from super().time_models(
                models, runtime=runtime, threads=threads, visit_ms=visit_ms, seed=seed
            )
            return
        for number, (model, length) in enumerate(zip(models, visit_ms, strict=True)):
            timed = self._tool.visit(model, threads=threads, visit_ms=length)
            yield Visit(
                model=number,
                wall_us=(),
                cpu_us=(),
                switches=(),
                init_us=timed.init_us,
                first_us=timed.first_us,
                summary=timed.summary,
            )

    def _make_folder(self) -> str:
        # Newer devices set TMPDIR themselves; mktemp is missing on old ones.
        name = f"edgecmp.{secrets.token_hex(4)}"
        place = remote_path(self._place) if self._place else "${TMPDIR:-/data/local/tmp}"
        script = f'd={place}/{name}; mkdir "$d" && cd "$d" && echo "{PATH_MARK}$PWD"'
        answer = self._shell(script, timeout_s=ANSWER_S)
        _, mark, folder = answer.stdout.partition(PATH_MARK)
        if mark:
            return folder.splitlines()[0].strip()
        lines = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        detail = f" ({lines[-1].rstrip('.')})" if lines else ""
        if self._pin and "taskset" in detail:
            raise UserError(
                f"{self.name} cannot run commands on processors {self._cpus}{detail}.",
                f"Use processors that `{self._client} shell cat "
                "/sys/devices/system/cpu/online` prints.",
            )
        if "mkdir" in detail:
            raise UserError(
                f"{self.name} cannot create a folder for the files{detail}.",
                "Name a place that its shell may write to, such as ?folder=/data/local/tmp.",
            )
        raise UserError(
            f"The shell of {self.name} does not answer{detail}.",
            f"Check it with `{self._client} shell`, then run the same command again.",
        )

    def _shell(self, script: str, *, timeout_s: float) -> Answer:
        return call_adb("-s", self.serial, "shell", self._pin + script, timeout_s=timeout_s)

    def _send(self, path: Path, remote: str) -> Answer:
        return call_adb("-s", self.serial, "push", str(path), remote, timeout_s=600.0)

    def _fetch(self, remote: str, path: Path) -> Answer:
        return call_adb("-s", self.serial, "pull", remote, str(path), timeout_s=600.0)

    def _lost(self, when: str, answer: Answer) -> DeviceLostError:
        if answer.code == 0 and call_adb("-s", self.serial, "get-state").code == 0:
            return DeviceLostError(
                f"The answer of {self.name} was cut off {when}.",
                "Run the same command again to resume.",
                answer.stdout,
            )
        lines = answer.stderr.splitlines()  # those of the client, and those of the command
        own = [line for line in lines if line.startswith(("adb:", "error:"))]
        return super()._lost(when, replace(answer, stderr="\n".join(own)))
