"""Path sampling: what each phase and each way of sampling allows, and uniformity."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.training.paths import Phase, Sampling, sample_paths
from edgecmp.training.recipes.face import face_supernet

PHASES = (
    Phase(until=0.2, blocks=4, narrowest=9),
    Phase(until=0.5, blocks=2, narrowest=4),
    Phase(until=1.0, blocks=1, narrowest=0),
)


@given(progress=st.floats(0, 1), seed=st.integers(0, 1000))
def test_fair_sampling_uses_each_block_of_each_layer_once(progress: float, seed: int) -> None:
    paths = sample_paths(PHASES, progress, "fair", torch.Generator().manual_seed(seed))
    for layer in range(20):
        used = sorted(block for path in paths for block in path[layer].blocks)
        assert used == [0, 1, 2, 3]


@given(progress=st.floats(0, 1), seed=st.integers(0, 1000))
def test_widths_stay_in_the_phase(progress: float, seed: int) -> None:
    narrowest = next((p.narrowest for p in PHASES if progress < p.until), 0)
    samplings: tuple[Sampling, ...] = ("uniform", "fair")
    for sampling in samplings:
        generator = torch.Generator().manual_seed(seed)
        for path in sample_paths(PHASES, progress, sampling, generator):
            assert all(narrowest <= step.width <= 9 for step in path)


def test_the_papers_schedule_warms_up_and_then_samples_uniformly() -> None:
    """Supplement A.2: averaging at the largest width, then block 0-3 and width 0-9 uniform."""
    phases = face_supernet("330M").phases
    generator = torch.Generator().manual_seed(1)
    (warm,) = sample_paths(phases, 0.05, "uniform", generator)
    assert all(step.blocks == (0, 1, 2, 3) and step.width == 9 for step in warm)
    blocks, widths = torch.zeros(4), torch.zeros(10)
    for _ in range(400):
        (path,) = sample_paths(phases, 0.5, "uniform", generator)
        for step in path:
            (block,) = step.blocks
            blocks[block] += 1
            widths[step.width] += 1
    for counts in (blocks, widths):  # chi-square far below any rejection
        expected = counts.sum() / len(counts)
        assert ((counts - expected) ** 2 / expected).sum() < 30
