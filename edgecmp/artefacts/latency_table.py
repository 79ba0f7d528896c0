"""LatencyTable: what each choice of each layer costs on one device, and the sum for any network.

A table is measured by `edgecmp latency build` and obeyed by `edgecmp search`. Its JSON document is
described by docs/latency-table.schema.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.latency_table_schema import FIELDS, FORMAT, parse_table
from edgecmp.errors import UserError
from edgecmp.files import read_json, sha256_json, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS, tier

__all__ = ["ENTRIES", "LatencyTable"]

ENTRIES = tuple(
    (stage, stride, block, width)
    for stage in range(4)
    for stride in (2, 1)
    for block in range(len(BLOCKS))
    for width in range(len(WIDTHS))
)
"""The 320 distinct (stage 0-3, stride 2 or 1, block 0-3, width 0-9): layers of a stage that have
the same stride have the same channels, hence the same costs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyTable:
    """Latencies of one tier on one device, for one runtime, precision and thread count.

    A network takes `scale` * (stem + head - overhead + sum of (entry - overhead)) + `bias_ms`; what
    the parts do not show (copies between layers, colder caches) is in scale and bias, which are
    fitted to whole networks.

    Attributes:
        tier: "330M", "230M" or "100M".
        input_size: side of the image, in pixels.
        embedding_dim: D of the embedding.
        precision: "fp32" or "int8".
        device: the name it was measured by, such as "local" or "ssh://pi@board".
        facts: what the device said of itself: machine, processor, cores, governor, ...
        target: format of the files, "tflite".
        runtime: "litert", "tflite-runtime" or "benchmark_model".
        version: of the runtime.
        delegate: what runs the operators, "XNNPACK".
        threads: of the runtime.
        lowering: hash of the code that wrote the measured files; whole networks that are written
            otherwise do not take what the table says.
        statistic: how one number was made of many runs, in words.
        date: of the measurement, ISO 8601.
        entries_ms: (320,) time of each of `ENTRIES` alone, each a file of its own.
        stem_ms, head_ms: the same for what is before and behind the 20 layers.
        overhead_ms: of a file that computes nothing worth mentioning; part of each time above.
        scale, bias_ms: see above.
        calibration: the whole networks that both were fitted to: "architecture", "measured_ms",
            "predicted_ms".
        check: the figures of the last `edgecmp latency check`, or None.
        provenance: version of edgecmp, command, time.
    """

    tier: str
    input_size: int
    embedding_dim: int
    precision: str
    device: str
    facts: Mapping[str, Any]
    target: str
    runtime: str
    version: str
    delegate: str
    threads: int
    lowering: str
    statistic: str
    date: str
    entries_ms: NDArray[np.float64]
    stem_ms: float
    head_ms: float
    overhead_ms: float
    scale: float
    bias_ms: float
    calibration: list[dict[str, Any]]
    check: Mapping[str, Any] | None
    provenance: Mapping[str, str]

    @property
    def layer_ms(self) -> NDArray[np.float64]:
        """(20, 40): what each choice (block * 10 + width) of each layer adds to a network."""
        places = {key[:2]: index for index, key in enumerate(ENTRIES) if key[2:] == (0, 0)}
        choices = len(BLOCKS) * len(WIDTHS)
        starts = [places[layer.stage, layer.stride] for layer in tier(self.tier).layers]
        rows = [self.entries_ms[start : start + choices] for start in starts]
        layers: NDArray[np.float64] = self.scale * (np.stack(rows) - self.overhead_ms)
        return layers

    @property
    def fixed_ms(self) -> float:
        """What every network takes besides its layers."""
        return self.scale * (self.stem_ms + self.head_ms - self.overhead_ms) + self.bias_ms

    def predicts(self, blocks: NDArray[np.uint8], widths: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Latencies (N,) in ms of N architectures: blocks and widths, (N, 20) each."""
        choices = blocks.astype(np.intp) * len(WIDTHS) + widths  # (N, 20)
        sums: NDArray[np.float64] = self.layer_ms[np.arange(DEPTH), choices].sum(1)
        return sums + self.fixed_ms

    def predict(self, architecture: Architecture) -> float:
        """Latency of one architecture, in ms.

        Raises:
            UserError: it is of another tier, input size or embedding than the table.
        """
        shape = (architecture.tier, architecture.input_size, architecture.embedding_dim)
        if shape != (self.tier, self.input_size, self.embedding_dim):
            raise UserError(
                f"The table holds the {self.tier} tier at {self.input_size} pixels with "
                f"{self.embedding_dim}-d embeddings, not {shape[0]} at {shape[1]} with {shape[2]}.",
                "Build one for it: edgecmp latency build.",
            )
        genes = (np.array([part], np.uint8) for part in (architecture.blocks, architecture.widths))
        return float(self.predicts(*genes)[0])

    def require_lowering(self, lowering: str) -> None:
        """Refuses a table whose files were written by other code than today's.

        Raises:
            UserError: they were.
        """
        if lowering != self.lowering:
            raise UserError(
                f"The table of {self.device} was measured on files that another edgecmp wrote "
                f"(lowering {self.lowering[:12]}, now {lowering[:12]}), so its times do not hold.",
                f"Build it again: edgecmp latency build --device {self.device}.",
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what predictions follow from: the name of this table in other artefacts."""
        return sha256_json({**self.to_dict(), "check": None, "provenance": {}})

    def to_dict(self) -> dict[str, Any]:
        """The JSON document: the fields, with the entries as a list of objects."""
        document = {name: getattr(self, name) for name in FIELDS}
        document["facts"], document["provenance"] = dict(self.facts), dict(self.provenance)
        document["check"] = None if self.check is None else dict(self.check)
        document["entries_ms"] = [
            {
                "stage": stage,
                "stride": stride,
                "block": BLOCKS[block],
                "width": width,
                "ms": float(value),
            }
            for (stage, stride, block, width), value in zip(ENTRIES, self.entries_ms, strict=True)
        ]
        return {"format": FORMAT, **document}

    def save(self, path: str | Path) -> Path:
        """Writes the JSON file, atomically."""
        return write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, of another format, or an entry is missing.
        """
        document = parse_table(read_json(Path(path), what="a latency table"), source=str(path))
        fields = {name: document[name] for name in FIELDS}
        found = {
            (entry["stage"], entry["stride"], entry["block"], entry["width"]): entry["ms"]
            for entry in document["entries_ms"]
        }
        wanted = [(stage, stride, BLOCKS[block], width) for stage, stride, block, width in ENTRIES]
        missing = [key for key in wanted if key not in found]
        if missing:
            raise UserError(
                f"{path} is damaged: {len(missing)} of its {len(ENTRIES)} entries are missing.",
                "Build it again: edgecmp latency build --device local --out table.json.",
            )
        fields["entries_ms"] = np.array([found[key] for key in wanted], np.float64)
        return cls(**fields)
