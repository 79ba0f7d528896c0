"""LatencyTable: the latency of each choice of each layer on one device, and of any network.

`edgecmp latency build` measures a table, and `edgecmp search` uses it. The schema of its JSON
document is docs/reference/latency-table.schema.json.
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
from edgecmp.files import read_json, seal, sha256_json, write_json
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
"""The 320 distinct (stage 0-3, stride 2 or 1, block 0-3, width 0-9): layers of one stage and stride
have the same channels and therefore the same latency."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyTable:
    """Latencies of one tier on one device, for one runtime, precision and thread count.

    The latency of a network is `scale` * (stem + head - overhead + sum of (entry - overhead)) +
    `bias_ms`. Effects that separate layers do not show (copies between layers, colder caches) are
    in scale and bias, which are fitted to complete networks.

    Attributes:
        tier: "330M", "230M" or "100M".
        input_size: side of the image, in pixels.
        embedding_dim: D of the embedding.
        precision: "fp32" or "int8".
        device: the value of --device, such as "local" or "ssh://pi@board".
        facts: what the device reports: machine, processor, cores, governor, ...
        target: format of the files, "tflite".
        runtime: "litert", "tflite-runtime" or "benchmark_model".
        version: of the runtime.
        delegate: the implementation of the operators, "XNNPACK".
        threads: of the runtime.
        lowering: fingerprint of the code that wrote the measured files; the table does not predict
            the latency of networks that are lowered differently.
        statistic: how many runs were reduced to one number, in words.
        date: of the measurement, ISO 8601.
        entries_ms: (320,) latency of each of `ENTRIES`, measured in a separate file.
        stem_ms: the same for the layers before the 20 layers.
        head_ms: the same for the layers after them.
        overhead_ms: latency of a file that computes almost nothing; included in each one above.
        scale: see above.
        bias_ms: see above.
        calibration: the complete networks that scale and bias were fitted to: "architecture",
            "measured_ms", "predicted_ms".
        check: the figures of the last `edgecmp latency check`, or None.
        provenance: the versions and the command that made the table.
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
        """(20, 40): latency that each choice (block * 10 + width) of each layer adds."""
        places = {key[:2]: index for index, key in enumerate(ENTRIES) if key[2:] == (0, 0)}
        choices = len(BLOCKS) * len(WIDTHS)
        starts = [places[layer.stage, layer.stride] for layer in tier(self.tier).layers]
        rows = [self.entries_ms[start : start + choices] for start in starts]
        layers: NDArray[np.float64] = self.scale * (np.stack(rows) - self.overhead_ms)
        return layers

    @property
    def fixed_ms(self) -> float:
        """Latency of every network besides that of its 20 layers."""
        return self.scale * (self.stem_ms + self.head_ms - self.overhead_ms) + self.bias_ms

    def predicts(self, blocks: NDArray[np.uint8], widths: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Latencies (N,) in ms of N architectures.

        Args:
            blocks: block indices, (N, 20).
            widths: width indices, (N, 20).
        """
        choices = blocks.astype(np.intp) * len(WIDTHS) + widths  # (N, 20)
        sums: NDArray[np.float64] = self.layer_ms[np.arange(DEPTH), choices].sum(1)
        return sums + self.fixed_ms

    def predict(self, architecture: Architecture) -> float:
        """Latency of one architecture, in ms.

        Raises:
            UserError: it has another tier, input size or embedding dimension than the table.
        """
        shape = (architecture.tier, architecture.input_size, architecture.embedding_dim)
        if shape != (self.tier, self.input_size, self.embedding_dim):
            raise UserError(
                f"The latency table is for the {self.tier} tier at {self.input_size} pixels with "
                f"{self.embedding_dim}-d embeddings, not {shape[0]} at {shape[1]} with {shape[2]}.",
                f"Build a table with `edgecmp latency build --tier {shape[0]} --input-size "
                f"{shape[1]} --embedding-dim {shape[2]}`.",
            )
        genes = (np.array([part], np.uint8) for part in (architecture.blocks, architecture.widths))
        return float(self.predicts(*genes)[0])

    def require_lowering(self, lowering: str) -> None:
        """Refuses a table whose files were lowered differently than by this edgecmp.

        Args:
            lowering: fingerprint of how this edgecmp lowers networks.

        Raises:
            UserError: the fingerprints differ.
        """
        if lowering != self.lowering:
            raise self.out_of_date(
                f"another edgecmp wrote the measured files (lowering {self.lowering[:12]}, now "
                f"{lowering[:12]})"
            )

    def out_of_date(self, reason: str) -> UserError:
        """The error for a table that no longer predicts the latency of networks on its device.

        Args:
            reason: a clause that says what has changed.
        """
        return UserError(
            f"The latency table of {self.device} is out of date: {reason}.",
            f"Build it again with `edgecmp latency build --device {self.device}`.",
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that affects predictions, by which other artefacts refer to this table."""
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
        return write_json(path, seal(self.to_dict()))

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged or of another format, or lacks an entry.
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
                "Build it again with `edgecmp latency build --device local --out table.json`.",
            )
        fields["entries_ms"] = np.array([found[key] for key in wanted], np.float64)
        return cls(**fields)
