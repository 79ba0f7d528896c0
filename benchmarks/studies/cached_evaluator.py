"""An evaluator that stores every measurement in a file, so that none is repeated."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecmp.files import write_atomic
from edgecmp.networks.architecture import Architecture
from edgecmp.search.evaluation.candidate import Evaluator, Measurement

__all__ = ["CachedEvaluator"]


class CachedEvaluator:
    """An evaluator that evaluates each architecture once, in this run or an earlier one.

    Attributes:
        seconds: duration of each evaluation, by genes.

    Args:
        evaluator: the evaluator to use.
        file: file with one line per architecture; it is started again if another evaluator wrote
            it. An incomplete last line is ignored.
    """

    def __init__(self, evaluator: Evaluator, file: Path) -> None:
        self._evaluator = evaluator
        self.tier = evaluator.tier
        self.embedding_dim = evaluator.embedding_dim
        self.input_size = evaluator.input_size
        self.metrics = evaluator.metrics
        self.seconds: dict[tuple[int, ...], float] = {}
        self._known: dict[tuple[int, ...], Measurement] = {}
        self._file = file
        about = json.loads(json.dumps(evaluator.to_dict()))
        text = file.read_text() if file.exists() else ""
        header, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
        if not header or json.loads(header) != about:
            header, lines = json.dumps(about), []
        for line in lines:
            self._keep(json.loads(line))
        write_atomic(file, "".join(f"{line}\n" for line in (header, *lines)).encode())

    def evaluate(self, architecture: Architecture) -> Measurement:
        """The measurement, read from the file or made now."""
        genes = tuple(architecture.genes)
        if genes not in self._known:
            start = time.perf_counter()
            measurement = self._evaluator.evaluate(architecture)
            seconds = time.perf_counter() - start
            document = {"genes": list(genes), "seconds": seconds, **asdict(measurement)}
            with self._file.open("a") as file:
                file.write(json.dumps(document) + "\n")
            self._keep(document)
        return self._known[genes]

    def to_dict(self) -> dict[str, Any]:
        """All settings that affect its measurements."""
        return self._evaluator.to_dict()

    def _keep(self, document: dict[str, Any]) -> None:
        genes = tuple(document["genes"])
        self._known[genes] = Measurement(mqq=document["mqq"], mqg=document["mqg"])
        self.seconds[genes] = document["seconds"]
