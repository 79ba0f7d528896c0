"""Long commands besides trainings, made short: the real commands on small data and devices."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.devices.open import KINDS
from edgecmp.cli import main
from edgecmp.data import shard_writer
from edgecmp.export.fingerprint import lowering_fingerprint
from edgecmp.gallery import embedding
from edgecmp.plotting import new_figure, save_figure
from edgecmp.search.results.result import SearchResult
from edgecmp.search.run import search_and_write
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies.evolution import EvolutionSettings
from edgecmp.storage import line_file
from tests.fixtures.steady_device import Steady, hollow_network, hollow_segments
from tests.fixtures.toy_evaluator import ToyEvaluator

__all__ = ["command", "toy_result"]

SPACE = FlopsBudget(FlopsTable.of("100M"), 100_000_000)
"""Counted once, before the commands are forked."""
with tempfile.TemporaryDirectory() as _folder:  # matplotlib's first picture takes a second
    save_figure(new_figure(1, 1), Path(_folder) / "picture.png")
lowering_fingerprint()


_locked = line_file._locked


class Audited(io.FileIO):
    """A file whose writes are events too, see `zygote`."""

    path = ""

    def write(self, content: Any) -> int:
        sys.audit("os.truncate", self.path, 0)
        return super().write(content)


def audited(path: Path, what: str) -> io.FileIO:
    """In place of `line_file._locked`."""
    file = _locked(path, what)
    copy = Audited(os.dup(file.fileno()), "r+")  # has the lock too
    copy.path = str(path)
    file.close()
    return copy


def small_picture(*drawn: Any, **_: Any) -> Path:
    """In place of a picture of a second: an empty one, at the path among the arguments."""
    return save_figure(new_figure(1, 1), next(one for one in drawn if isinstance(one, Path)))


def toy_result(budget: str, *, out: Path, seed: int = 0, **_: Any) -> SearchResult:
    """A search of 30 candidates whose reward is a formula."""
    evolution = EvolutionSettings(population=10, generations=4, retain=2)
    settings = SearchSettings(strategy=evolution, metric="top1", seed=seed)
    return search_and_write(ToyEvaluator(), SPACE, settings, out)


REPLACED: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("api", "search", toy_result),
    ("search.results.write", "draw_search", small_picture),
    ("benchmarks.latency.plot", "draw_table", small_picture),
    ("benchmarks.latency.build", "latency_segments", hollow_segments),
    ("benchmarks.latency.networks", "network_file", hollow_network),
)
"""By module and name: what takes its place."""


def command(*arguments: str) -> int:
    """Runs `edgecmp ARGUMENTS`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    embedding.IMAGES_AT_ONCE = 8
    shard_writer.SHARD_BYTES = 20_000
    line_file._locked = audited
    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # so that removals name paths
    KINDS["local"] = (lambda spec: Steady(), ())
    for module, name, instead in REPLACED:
        setattr(import_module(f"edgecmp.{module}"), name, instead)
    return main([*arguments])
