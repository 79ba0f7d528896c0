"""Checks the reference runner for Core ML packages on many random networks.

    python -m scripts.check_mil --networks 100

Every network of `scripts.random_networks` also has an input kind and a minimum system. It is
written in fp32, and the runner's embeddings of two images must equal torch's in float64 to 1e-4 and
to a cosine of 0.99999. Every third network is also written in one of the other precisions. All
weights that the runner reads must equal those read by Apple's reader of weight.bin, which
coremltools includes. A failure names the number of the network: `--networks 1 --first n` repeats
it.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from edgecmp.export.formats.coreml.systems import SYSTEMS
from edgecmp.export.formats.coreml.weights import COMPRESSIONS
from edgecmp.export.formats.coreml.writer import write_coreml
from edgecmp.export.formats.registry import INPUTS, Job, target
from edgecmp.export.lowering import lower
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.export.runtimes.mil.values import Weight
from edgecmp.files import provenance
from edgecmp.networks.architecture import Architecture
from edgecmp.preprocessing import Preprocessing
from edgecmp.quiet import quiet_coremltools
from scripts.random_networks import (
    Result,
    check_networks,
    conclude,
    numbered_network,
    parse_arguments,
)

__all__ = ["COSINE", "DIFFERENCE", "PackageResult", "check", "equals_apples", "main"]

OTHERS = ("fp16", *COMPRESSIONS)

EVERY = 3
"""One of this many networks is also written in another precision."""

DIFFERENCE, COSINE = 1e-4, 0.99999
"""Limits for fp32, against torch in float64: difference of a value, and cosine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageResult(Result):
    """The result of one network.

    Attributes:
        input: "tensor" or "image".
        precisions: precisions of its packages.
        system: minimum system of its packages.
        difference: largest difference of a value between the embeddings of fp32 and of torch.
        cosine: smallest cosine between the embeddings of fp32 and of torch.
        weights: number of values for which both readers agree.
        wrong: names of the weights for which they do not agree.
    """

    input: str
    precisions: tuple[str, ...]
    system: str
    difference: float
    cosine: float
    weights: int
    wrong: tuple[str, ...]

    @property
    def failures(self) -> list[str]:
        """One line per limit that is not met."""
        name = f"network {self.number} ({self.tier}, {self.input_size} px, {self.input})"
        lines = []
        if not (self.difference <= DIFFERENCE and self.cosine >= COSINE):
            lines.append(f"{name}: fp32 differs by {self.difference:.1e}, cosine {self.cosine:.7f}")
        if self.wrong:
            lines.append(f"{name}: the readers disagree about {', '.join(self.wrong)}")
        return lines


def equals_apples(weight: Weight) -> bool:
    """Whether Apple's reader returns the same values for `weight`."""
    with quiet_coremltools():
        from coremltools.libmilstoragepython import _BlobStorageReader
    reader = _BlobStorageReader(str(weight.file))
    method = "float" if weight.type == "fp32" else weight.type
    theirs = np.asarray(getattr(reader, f"read_{method}_data")(weight.offset)).reshape(-1)
    if weight.type == "fp16":
        theirs = theirs.view(np.float16)
    return np.array_equal(theirs.astype(weight.values.dtype), weight.values.reshape(-1))


def _metadata(architecture: Architecture, precision: str, system: str, input: str) -> Metadata:
    preprocessing = Preprocessing(input_size=architecture.input_size)
    return Metadata(
        target="coreml",
        precision=precision,
        input=input,  # type: ignore[arg-type]  # one of INPUTS
        options={"system": system},
        architecture=architecture.to_dict(),
        preprocessing=preprocessing.to_dict(),
        preprocessing_fingerprint=preprocessing.fingerprint,
        gallery_sha256=None,
        weights_sha256="0" * 64,
        provenance=provenance(),
    )


def _variant(number: int) -> tuple[str, tuple[str, ...], str]:
    """Input kind, precisions and minimum system of network `number`."""
    system = SYSTEMS[(number + number // 6) % len(SYSTEMS)]
    precisions: tuple[str, ...] = ("fp32",)
    if number % EVERY == 0:
        precisions += (OTHERS[number // EVERY % len(OTHERS)],)
    if precisions[-1] in COMPRESSIONS:
        system = max(system, "iOS16")
    return INPUTS[number % len(INPUTS)], precisions, system


def check(number: int, seed: int = 0) -> PackageResult:
    """Builds network `number`, writes it in its precisions and compares the embeddings."""
    input, precisions, system = _variant(number)
    architecture, network, patches = numbered_network(number, seed)
    preprocessing = Preprocessing(input_size=architecture.input_size)
    pixels = ((patches + 1) * 127.5).byte().permute(0, 2, 3, 1).contiguous().numpy()
    lowered = lower(
        network,
        pixels=preprocessing if input == "image" else None,
        without=target("coreml").without,
    )
    normalised = preprocessing.normalise(pixels)
    given = normalised
    if input == "image":
        given = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        exact = network.double()(normalised.double())
    programs = {}
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        for name in precisions:
            package = Path(folder) / f"{name}.mlpackage"
            metadata = _metadata(architecture, name, system, input)
            write_coreml(Job(network=lowered, metadata=metadata, images=pixels), package)
            programs[name] = MilProgram(package)
        found = programs["fp32"].run(image=given[:, None])["embedding"][:, 0].double()
        weights = [(f"{p}:{n}", w) for p in programs for n, w in programs[p].weights.items()]
        wrong = tuple(name for name, weight in weights if not equals_apples(weight))
    return PackageResult(
        number=number,
        tier=architecture.tier,
        input_size=architecture.input_size,
        input=input,
        precisions=precisions,
        system=system,
        difference=float((found - exact).abs().max()),
        cosine=float(F.cosine_similarity(found, exact).min()),
        weights=sum(weight.values.size for name, weight in weights if name not in wrong),
        wrong=wrong,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the largest differences; exit code 1 if a limit is not met."""
    given = parse_arguments(
        __doc__,
        networks=100,
        json_help="also write the result of every network to this file",
        arguments=arguments,
    )
    results = check_networks(check, given)
    summary = (
        f"{sum(result.weights for result in results):,} weights equal in "
        f"{len({name for result in results for name in result.precisions})} precisions and "
        f"{len({result.system for result in results})} systems, "
        f"worst difference of fp32 {max(result.difference for result in results):.1e}, "
        f"worst cosine {min(result.cosine for result in results):.8f}"
    )
    bounds = {"difference": DIFFERENCE, "cosine": COSINE}
    conclude(results, given, summary=summary, limits={"bounds": bounds})


if __name__ == "__main__":
    main()
