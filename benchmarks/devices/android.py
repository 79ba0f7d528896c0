"""Facts and conditions of an Android device without Python, from getprop, /proc and /sys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["CONDITIONS", "FACTS", "parse_conditions", "parse_facts"]

CONDITIONS = """
echo "governor=$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null)"
echo "load=$(cat /proc/loadavg 2>/dev/null)"
for zone in /sys/class/thermal/thermal_zone*; do
  echo "zone=$(cat $zone/temp 2>/dev/null) ${zone##*/} $(cat $zone/type 2>/dev/null)"
done
for core in /sys/devices/system/cpu/cpu[0-9]*; do
  echo "clock=$(cat $core/cpufreq/scaling_cur_freq 2>/dev/null) ${core##*/}"
done
"""
"""A script that prints the conditions that can change between runs and affect the figures."""

FACTS = f"""
for key in ro.product.manufacturer ro.product.model ro.soc.manufacturer ro.soc.model \
  ro.board.platform ro.hardware ro.product.cpu.abi ro.product.cpu.abilist ro.build.version.release
do echo "$key=$(getprop $key 2>/dev/null)"; done
echo "machine=$(uname -m)"
echo "kernel=$(uname -s) $(uname -r)"
echo "cores=$(grep -c ^processor /proc/cpuinfo)"
grep -m 1 -e '^Hardware' -e '^model name' /proc/cpuinfo | sed 's/^[^:]*: */cpu=/'
{CONDITIONS}
"""
"""A script that prints facts and conditions of the device, one `key=value` per line."""


def _pairs(text: str) -> list[tuple[str, str]]:
    lines = (line.partition("=") for line in text.splitlines() if "=" in line)
    return [(key.strip(), value.strip()) for key, _, value in lines]


def parse_conditions(text: str) -> dict[str, Any]:
    """Governor, degrees Celsius by zone, MHz by core and load, with the keys of the runner."""
    pairs = _pairs(text)
    values = dict(pairs)

    def named(wanted: str) -> dict[str, int]:
        found = [value.split(" ", 1) for key, value in pairs if key == wanted and " " in value]
        return {name: int(value) for value, name in found if value.lstrip("-").isdigit()}

    load = re.match(r"[0-9]+(?:\.[0-9]+)?", values.get("load", ""))
    return {
        "governor": values.get("governor") or None,
        "temperatures_c": {name: value / 1000 for name, value in named("zone").items()},
        "frequencies_mhz": {name: value // 1000 for name, value in named("clock").items()},
        "load": float(load[0]) if load else None,
    }


def parse_facts(text: str) -> dict[str, Any]:
    """The output of `FACTS`: the runner's keys as far as known, "model", "soc", "abi" and "abis".

    On a system without getprop the last four come from `uname`, or are None.
    """
    values = {key: value for key, value in _pairs(text) if value}
    machine, kernel = values.get("machine"), values.get("kernel", "")
    release = values.get("ro.build.version.release")
    abi = values.get("ro.product.cpu.abi", machine)
    abis = [name for name in values.get("ro.product.cpu.abilist", abi or "").split(",") if name]
    cores = values.get("cores", "")
    return {
        "machine": machine,
        "system": f"Android {release}, {kernel}" if release else kernel,
        "model": _words(values, "ro.product.manufacturer", "ro.product.model"),
        "soc": _words(values, "ro.soc.manufacturer", "ro.soc.model")
        or values.get("ro.board.platform")
        or values.get("ro.hardware"),
        "abi": abi,
        "abis": abis,
        "cpu": values.get("cpu", machine),
        "cores": int(cores) or None if cores.isdigit() else None,
        "python": None,
        **parse_conditions(text),
    }


def _words(values: Mapping[str, str], *keys: str) -> str | None:
    """The distinct values of the keys, joined by spaces; None if there are none."""
    return " ".join(dict.fromkeys(values[key] for key in keys if key in values)) or None
