"""Android devices over adb: the user's own adb client, with the folder that adb's shell may use."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.devices.android import CONDITIONS, FACTS, parse_conditions, parse_facts
from edgecmp.benchmarks.devices.benchmark_model import (
    NAME,
    BenchmarkModel,
    find_binary,
    require_abi,
)
from edgecmp.benchmarks.devices.device import DeviceRunError, Visit
from edgecmp.benchmarks.devices.shell import Answer, ShellDevice, call
from edgecmp.benchmarks.devices.spec import DeviceSpec
from edgecmp.benchmarks.runner import RUNTIMES
from edgecmp.errors import UserError, unknown_choice

__all__ = ["AdbDevice", "Attached", "attached_devices", "require_ready"]

CONNECT_S = 30.0
"""Seconds for adb to connect and for a first answer; adb itself gives up after 10."""

FOLDER_MARK = "edgecmp-folder:"

FAULTS = {
    "unauthorized": (
        "does not trust this machine yet",
        "Unlock its screen, accept the question 'Allow USB debugging?' and run the same command "
        "again.",
    ),
    "offline": (
        "is offline",
        "Plug it in again (over Wi-Fi: wake it up), until `adb devices` calls it 'device', then "
        "run the same command again.",
    ),
    "no permissions": (
        "may not be used by this user",
        "Install the udev rules (on Debian: sudo apt install android-sdk-platform-tools-common) "
        "and plug it in again.",
    ),
    "": (
        "does not run Android now (adb calls it {state!r})",
        "Start Android on it, until `adb devices` calls it 'device'.",
    ),
}
"""By the state that adb tells: what is wrong, and the way out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """A device that adb knows of.

    Attributes:
        serial: its name in adb: a serial number, or host:port over a network.
        state: "device" if all is well.
        model: as it calls itself, or empty.
    """

    serial: str
    state: str
    model: str = ""


def _adb(*arguments: str, timeout_s: float = CONNECT_S) -> Answer:
    return call(["adb", *arguments], timeout_s=timeout_s)


def attached_devices() -> list[Attached]:
    """The devices that `adb devices` lists.

    Raises:
        UserError: there is no adb here, or it does not work.
    """
    if shutil.which("adb") is None:
        raise UserError(
            "There is no adb on this machine.",
            "Install Android's platform tools; on Debian: sudo apt install adb.",
        )
    answer = _adb("devices", "-l")
    if answer.code != 0:
        lines = answer.stderr.strip().splitlines()
        detail = f" ({lines[-1]})" if lines else ""
        raise UserError(
            f"adb does not answer on this machine{detail}.",
            "Try `adb kill-server` and `adb devices`, then run the same command again.",
        )
    found = []
    for line in answer.stdout.splitlines():
        serial, _, rest = line.partition(" ") if "\t" not in line else line.partition("\t")
        rest = rest.strip()
        if not rest or line.startswith(("*", "List of devices")):
            continue
        model = re.search(r"\bmodel:(\S+)", rest)
        state = "no permissions" if rest.startswith("no permissions") else rest.split()[0]
        found.append(
            Attached(serial=serial, state=state, model=model[1].replace("_", " ") if model else "")
        )
    return found


def require_ready(device: Attached) -> None:
    """Refuses a device that cannot be used as it is.

    Raises:
        UserError: with the reason.
    """
    if device.state != "device":
        state = "unauthorized" if device.state == "authorizing" else device.state
        fault, way_out = FAULTS.get(state, FAULTS[""])
        raise UserError(f"adb:{device.serial} {fault.format(state=state)}.", way_out)


def _choose(serial: str) -> str:
    """The serial of the device that is meant; one with a port is connected to if need be.

    Raises:
        UserError: there is none, it is in no state to be used, or the name is not clear.
    """
    found = {device.serial: device for device in attached_devices()}
    if not serial and len(found) > 1:
        names = ", ".join(f"adb:{name}" for name in found)
        raise UserError(
            f"{len(found)} Android devices are attached.", f"Name one of them: {names}."
        )
    if ":" in serial and (serial not in found or found[serial].state != "device"):
        if serial in found:  # or adb says "already connected", and it stays offline
            _adb("disconnect", serial)
        answer = _adb("connect", serial)  # which ends with code 0 whatever happened
        found = {device.serial: device for device in attached_devices()}
        if serial not in found:
            lines = answer.stdout.strip().splitlines()
            reason = lines[-1].rpartition(": ")[2] if lines else "no answer"
            raise UserError(
                f"adb:{serial} cannot be reached ({reason}).",
                "Switch on wireless debugging there, or plug it in and run `adb tcpip 5555`, until "
                f"`adb connect {serial}` connects.",
            )
    if not found:
        raise UserError(
            "No Android device is attached.",
            "Plug one in with USB debugging switched on (Settings, Developer options), until "
            "`adb devices` lists it.",
        )
    name = serial or next(iter(found))
    if name not in found:
        raise unknown_choice("Android device", name, found)
    require_ready(found[name])
    return name


def _mask(cpus: str) -> str:
    """The bit mask, in hexadecimal digits, of a list of processors such as "4-7" or "0,2-3"."""
    mask = 0
    for part in cpus.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UserError(f"{cpus!r} is no list of processors.", "Write ?cpus=4-7 or ?cpus=0,2.")
        mask |= sum(1 << number for number in range(first, last + 1))
    return f"{mask:x}"


class AdbDevice(ShellDevice):
    """An Android device, over USB (`adb:SERIAL`), Wi-Fi (`adb:HOST:PORT`), or the only one (`adb`).

    Options: `?python=PATH` names a Python there, `?benchmark_model=PATH|URL` a copy of TFLite's
    benchmark_model for devices without one, `?cpus=4-7` the processors that commands run on.

    Attributes:
        serial: its name in adb.

    Raises:
        UserError: adb, the device or an option of its name cannot be used.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        cpus = spec.options.get("cpus")
        self._pin = f"taskset -p {_mask(cpus)} $$ >/dev/null || exit 1; " if cpus else ""
        self._cpus = cpus
        binary = find_binary(spec.options[NAME]) if NAME in spec.options else None
        self.serial = _choose(spec.address)
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
                f"{self.name} does not run commands ({error}).",
                f"Look at it with `adb -s {self.serial} shell`, then run the same command again.",
            ) from error
        except BaseException:
            self.close()
            raise

    @cached_property
    def facts(self) -> dict[str, Any]:
        """See `Device.facts`; with "model", "soc", "abi", "abis" and "cpus" (None: all)."""
        try:
            facts = self.run_runner()
        except DeviceRunError as error:
            missing = {"reason": f"no Python there ({error})"}
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
    ) -> dict[str, Any]:
        """See `Device.time_model`; by benchmark_model the document of `BenchmarkModel.time`."""
        if runtime == NAME and self._tool is not None:
            conditions = parse_conditions(self.run(["sh", "-c", CONDITIONS]))
            timed = self._tool.time(model, threads=threads, runs=runs, seconds=seconds)
            return {**timed, **conditions}
        return super().time_model(
            model, runtime=runtime, threads=threads, runs=runs, seed=seed, seconds=seconds
        )

    def time_models(
        self,
        models: Sequence[Path],
        *,
        runtime: str,
        threads: int = 1,
        visit_ms: float = 15.0,
        seed: int = 0,
    ) -> Iterator[Visit]:
        """See `Device.time_models`; by benchmark_model each in a process of its own."""
        if runtime != NAME or self._tool is None:
            yield from super().time_models(
                models, runtime=runtime, threads=threads, visit_ms=visit_ms, seed=seed
            )
            return
        for number, model in enumerate(models):
            timed = self._tool.visit(model, threads=threads, visit_ms=visit_ms)
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
        script = f'd="${{TMPDIR:-/data/local/tmp}}/{name}"; mkdir "$d" && echo "{FOLDER_MARK}$d"'
        answer = self._shell(script, timeout_s=CONNECT_S)
        _, mark, folder = answer.stdout.partition(FOLDER_MARK)
        if mark:
            return folder.splitlines()[0].strip()
        lines = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        detail = f" ({lines[-1].rstrip('.')})" if lines else ""
        if self._pin and "taskset" in detail:
            raise UserError(
                f"{self.name} cannot keep to processors {self._cpus}{detail}.",
                f"Choose among those that `adb -s {self.serial} shell cat "
                "/sys/devices/system/cpu/online` prints.",
            )
        raise UserError(
            f"{self.name} does not answer as a shell{detail}.",
            f"Look at it with `adb -s {self.serial} shell`, then run the same command again.",
        )

    def _shell(self, script: str, *, timeout_s: float) -> Answer:
        return _adb("-s", self.serial, "shell", self._pin + script, timeout_s=timeout_s)

    def _send(self, path: Path, remote: str) -> Answer:
        return _adb("-s", self.serial, "push", str(path), remote, timeout_s=600.0)

    def _fetch(self, remote: str, path: Path) -> Answer:
        return _adb("-s", self.serial, "pull", remote, str(path), timeout_s=600.0)
