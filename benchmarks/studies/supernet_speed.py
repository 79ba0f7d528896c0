"""The speed of supernet training and of candidate evaluation, relative to simple references.

    OMP_NUM_THREADS=1 python -m edgecmp.benchmarks.studies.supernet_speed --candidates 0
    python -m edgecmp.benchmarks.studies.supernet_speed --batches --candidates 20 --json speed.json

Training and embedding are compared with (i) the masked formulation, which computes every layer at
full width and then masks it, and (ii) one static network with the FLOPs of the mean subnet, trained
on whole batches; both use torch's own convolutions. (iii) is (ii) with edgecmp's gradient of
depthwise convolutions, which shows the cost of sampling alone. Augmentation is left out, since it
is the same for all. Candidate evaluation is compared with the simple method: copy the supernet,
reset its batch norms, recalibrate, embed. All are timed in rounds; the ratios are those of the
medians, of processor time (which other programs affect least) and of wall time. The last row is a
search with all its processes; with OMP_NUM_THREADS=1 there would be only one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.benchmarks.studies.evaluation_speed import DEFAULT, evaluation_rows, search_row
from edgecmp.benchmarks.studies.interleaved import comparison, interleaved
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.benchmarks.studies.supernet_references import (
    masked_forward,
    mean_architecture,
    with_torch_gradients,
)
from edgecmp.networks.random_weights import patch_images
from edgecmp.networks.supernet import LayerPath, Supernet
from edgecmp.training.paths import Phase, sample_paths
from edgecmp.training.schedule import Schedule
from edgecmp.training.state import TrainingState

__all__ = ["main", "training_rows"]

PHASES = (Phase(until=1.0, blocks=1, narrowest=0),)
SAME = "static, our gradient"


def training_rows(network: Supernet, batch: int, rounds: int) -> list[dict[str, Any]]:
    """Supernet training with both samplings, and embedding, against masked and static."""
    same = mean_architecture(network).build().train()
    static = with_torch_gradients(same)
    supernet = copy.deepcopy(network).train()
    masked = with_torch_gradients(supernet)
    schedule = Schedule(epochs=1, batch_size=batch, ema=0.99)
    modules = (supernet, masked, static, same)
    states = {id(module): TrainingState(module, schedule, 1) for module in modules}
    images = patch_images(batch, network.input_size, 0)
    images = images.contiguous(memory_format=torch.channels_last)

    def step(module: nn.Module, outputs: Callable[[], list[Tensor]]) -> None:
        loss = torch.stack([output[:, 0].mean() for output in outputs()]).mean()
        state = states[id(module)]
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.average()

    rows = []
    for sampling in ("fair", "uniform"):
        generators = [torch.Generator().manual_seed(0) for _ in range(2)]

        def shares(which: int, sampling: Any = sampling, g: Any = generators) -> Any:
            paths = sample_paths(PHASES, 0.5, sampling, g[which])
            return zip(images.chunk(len(paths)), paths, strict=True)

        times = interleaved(
            {
                "ours": lambda: step(supernet, lambda: [supernet(x, p) for x, p in shares(0)]),
                "masked": lambda: step(
                    masked, lambda: [masked_forward(masked, x, p) for x, p in shares(1)]
                ),
                "static": lambda: step(static, lambda: [static(images)]),
                SAME: lambda: step(same, lambda: [same(images)]),
            },
            rounds,
        )
        what = f"training, {sampling}, batch {batch}"
        for name, goal in (("masked", 1.5), ("static", 0.8), (SAME, 0.8)):
            rows.append(comparison(what, name, times["ours"], times[name], batch, goal))
    for module in modules:
        module.eval()
    return rows + _embedding_rows(supernet, masked, static, images, 2 * rounds)


def _embedding_rows(
    supernet: Supernet, masked: Supernet, static: nn.Module, images: Tensor, rounds: int
) -> list[dict[str, Any]]:
    """Embedding with random paths, against masked and static."""
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]

    def path(which: int) -> tuple[LayerPath, ...]:
        return sample_paths(PHASES, 0.5, "uniform", generators[which])[0]

    with torch.inference_mode():
        times = interleaved(
            {
                "ours": lambda: supernet(images, path(0)),
                "masked": lambda: masked_forward(masked, images, path(1)),
                "static": lambda: static(images),
            },
            rounds,
        )
    batch = len(images)
    what = f"embedding, batch {batch}"
    return [
        comparison(what, name, times["ours"], times[name], batch, goal)
        for name, goal in (("masked", 1.5), ("static", 0.8))
    ]


def main() -> None:
    """Runs the study, prints the rows and, with --json, writes them."""
    parser = study_parser(__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--supernet", type=Path, default=kit.path("supernet"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="*", default=[128, 256])
    parser.add_argument("--candidates", type=int, default=12, help="population; 0 skips them")
    parser.add_argument("--generations", type=int, default=2, help="of children")
    given = parser.parse_args()
    bundle = SupernetBundle.load(given.supernet)
    rows: list[dict[str, Any]] = []
    for batch in given.batches:
        rows += training_rows(bundle.network, batch, given.turns)
    differences: dict[str, float] = {}
    if given.candidates:
        evaluations, differences = evaluation_rows(bundle, given.candidates, given.generations)
        row, differences["search"] = search_row(bundle, given.candidates, given.generations)
        rows += [*evaluations, row]
    print_rows(rows)
    print(f"Largest difference of R3 from the reference in {DEFAULT}: {differences}")
    print(f"{torch.get_num_threads()} threads")
    if given.json:
        threads = torch.get_num_threads()
        write_study(given.json, {"rows": rows, "differences": differences, "threads": threads})


if __name__ == "__main__":
    main()
