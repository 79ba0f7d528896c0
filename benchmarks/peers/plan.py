"""The contenders of the comparison, and the keys that decide whether a result is up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgecmp.benchmarks.peers.conversion import exporter_digest
from edgecmp.benchmarks.peers.environment import Environment
from edgecmp.files import sha256_json
from edgecmp.networks.architecture import Architecture

__all__ = ["CONTENDERS", "CONVERTER_ENVIRONMENTS", "PACKAGES", "Contender", "Plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A converter (None: the network itself), and a runtime that loads its file."""

    name: str
    converter: str | None
    runtime: str
    environment: str = "own"


CONTENDERS = (
    Contender(name="ours", converter="ours", runtime="litert"),
    Contender(name="ours", converter="ours", runtime="tflite-runtime"),
    Contender(name="litert-torch", converter="litert-torch", runtime="litert"),
    Contender(name="litert-torch", converter="litert-torch", runtime="tflite-runtime"),
    Contender(name="litert-torch lowered", converter="litert-torch-lowered", runtime="litert"),
    Contender(
        name="litert-torch lowered", converter="litert-torch-lowered", runtime="tflite-runtime"
    ),
    Contender(name="onnx ours", converter="onnx-ours", runtime="onnxruntime"),
    Contender(name="onnx torch", converter="onnx-torch", runtime="onnxruntime"),
    Contender(name="torch eager", converter=None, runtime="torch"),
    Contender(
        name="executorch", converter="executorch", runtime="executorch", environment="executorch"
    ),
)
"""The rows of a network; ratios are relative to the first."""

CONVERTER_ENVIRONMENTS = {
    "litert-torch": "litert-torch",
    "litert-torch-lowered": "litert-torch",
    "executorch": "executorch",
}
"""By converter: its environment, if it is not the current one."""

OF_OUR_EXPORTER = ("ours", "onnx-ours", "litert-torch-lowered")
"""Converters whose files depend on the sources of `edgecmp.export`."""

PACKAGES = {
    "litert-torch": ("torch", "litert-torch", "ai-edge-quantizer", "faiss-cpu", "pytorchcv"),
    "executorch": ("torch", "executorch", "safetensors", "rich"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The settings of a comparison, as given on the command line."""

    out: Path
    environments: Mapping[str, Environment]
    threads: tuple[int, ...]
    rounds: int
    visit_ms: float
    exporter: str = field(default_factory=exporter_digest)

    def key(self, architecture: Architecture) -> str:
        """Digest of everything that the result of a network depends on."""
        document = {
            "architecture": architecture.to_dict(),
            "peers": sorted(self.environments),
            "threads": list(self.threads),
            "rounds": self.rounds,
            "visit_ms": self.visit_ms,
            "exporter": self.exporter,
        }
        return sha256_json(document)

    def conversion_key(self, converter: str, architecture: Architecture) -> str:
        """Digest of everything that a converter's files depend on, except the peer's version."""
        document = {"architecture": architecture.to_dict(), "converter": converter}
        if converter in OF_OUR_EXPORTER:
            document["exporter"] = self.exporter
        return sha256_json(document)

    def converters(self) -> list[str]:
        """The converters whose environment was given."""
        names = dict.fromkeys(c.converter for c in CONTENDERS if c.converter is not None)
        return [n for n in names if CONVERTER_ENVIRONMENTS.get(n, "own") in self.environments]
