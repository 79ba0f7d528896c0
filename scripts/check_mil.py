"""Proves the reference runner for Core ML packages on many random networks.

    python scripts/check_mil.py --networks 100

Network number n (from --first on) has random blocks and widths, a tier, an input size, an input
kind and a minimum system in turn. It is written in fp32, where the runner must give torch's float64
embeddings of two images to 1e-4 and a cosine of 0.99999; every third network is also written in one
of the other precisions. All weights that the runner reads from either must equal what Apple's own
reader of weight.bin, which coremltools ships, reads. A failure names the number:
`--networks 1 --first n` shows it again.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from edgecmp.export.lowering import lower
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.export.runtimes.mil.values import Weight
from edgecmp.export.targets.coreml.systems import SYSTEMS
from edgecmp.export.targets.coreml.weights import COMPRESSIONS
from edgecmp.export.targets.coreml.writer import write_coreml
from edgecmp.export.targets.registry import INPUTS, Job, target
from edgecmp.files import provenance, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.random_weights import live_network, patch_images
from edgecmp.networks.tiers import TIERS
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress, say
from edgecmp.quiet import quiet_coremltools

__all__ = ["COSINE", "DIFFERENCE", "Checked", "check", "equals_apples", "main"]

SIZES = (64, 65, 96)
"""Pixels: strides meet even sizes alone (64), odd ones alone (65), and both (96)."""

OTHERS = ("fp16", *COMPRESSIONS)

EVERY = 3
"""Of so many networks one is also written in another precision."""

DIFFERENCE, COSINE = 1e-4, 0.99999
"""Bounds of fp32: a value of an embedding against torch's in float64, and the whole embedding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was found about one network.

    Attributes:
        number: names the network, together with --seed.
        precisions: of its packages.
        system: their minimum system.
        difference: largest difference of a value of fp32's embeddings from torch's.
        cosine: least cosine of fp32's embeddings with torch's.
        weights: number of values that both readers read alike.
        wrong: names of weights that they read differently.
    """

    number: int
    tier: str
    input_size: int
    input: str
    precisions: tuple[str, ...]
    system: str
    difference: float
    cosine: float
    weights: int
    wrong: tuple[str, ...]

    @property
    def failures(self) -> list[str]:
        """One line for each bound that is missed."""
        name = f"network {self.number} ({self.tier}, {self.input_size} px, {self.input})"
        lines = []
        if not (self.difference <= DIFFERENCE and self.cosine >= COSINE):
            lines.append(f"{name}: fp32 differs by {self.difference:.1e}, cosine {self.cosine:.7f}")
        if self.wrong:
            lines.append(f"{name}: read differently: {', '.join(self.wrong)}")
        return lines


def equals_apples(weight: Weight) -> bool:
    """Whether Apple's reader reads the same values at the place of `weight`."""
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


def check(number: int, seed: int = 0) -> Checked:
    """Builds network `number`, writes it in two precisions and compares."""
    tiers, own_seed = list(TIERS), seed * 1_000_003 + number
    architecture = Architecture.random(
        tiers[number % len(tiers)],
        seed=own_seed,
        input_size=SIZES[number // len(tiers) % len(SIZES)],
    )
    input, system = INPUTS[number % len(INPUTS)], SYSTEMS[(number + number // 6) % len(SYSTEMS)]
    precisions: tuple[str, ...] = ("fp32",)
    if number % EVERY == 0:
        precisions += (OTHERS[number // EVERY % len(OTHERS)],)
    if precisions[-1] in COMPRESSIONS:
        system = max(system, "iOS16")
    network = live_network(architecture, own_seed)
    preprocessing = Preprocessing(input_size=architecture.input_size)
    patches = patch_images(2, architecture.input_size, own_seed + 2)
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
    return Checked(
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


def _check(task: tuple[int, int]) -> Checked:
    """`check` for a pool."""
    return check(*task)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the worst differences; exit code 1 when a bound is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="another set of networks (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=Path, help="also write what was found about each network")
    given = parser.parse_args(arguments)
    if given.networks < 1 or given.workers < 1 or given.first < 0:
        parser.error("--networks and --workers start at 1, --first at 0")
    tasks = [(given.first + number, given.seed) for number in range(given.networks)]
    results: list[Checked] = []
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(given.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        progress("Checking", total=len(tasks), unit="network") as bar,
    ):
        for result in pool.imap_unordered(_check, tasks):
            results.append(result)
            for line in result.failures:
                say(line)
            bar.advance(1)
    failed = [result for result in results if result.failures]
    print(
        f"{'FAILED' if failed else 'passed'}: {len(results)} networks, "
        f"{sum(result.weights for result in results):,} weights equal in "
        f"{len({name for result in results for name in result.precisions})} precisions and "
        f"{len({result.system for result in results})} systems, "
        f"worst difference of fp32 {max(result.difference for result in results):.1e}, "
        f"worst cosine {min(result.cosine for result in results):.8f}, {len(failed)} failures"
    )
    if given.json is not None:
        document = {
            "rows": [asdict(result) for result in sorted(results, key=lambda r: r.number)],
            "bounds": {"difference": DIFFERENCE, "cosine": COSINE},
            "failures": [line for result in failed for line in result.failures],
            "settings": {key: value for key, value in vars(given).items() if key != "json"},
            "provenance": provenance(),
        }
        say(f"Wrote {write_json(given.json, document)}.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
