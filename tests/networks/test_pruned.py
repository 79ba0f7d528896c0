"""The form of a pruned network: counts, the JSON document, and the modules it builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from edgecmp.errors import UserError
from edgecmp.networks.form import form_from_dict, load_form
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.networks.gallery import GALLERIES, build_gallery
from edgecmp.networks.pruned import Pruned

AMOUNTS = (0.3, 0.5, 0.7, 0.9)

RESNET101 = [64] * 3 + [128] * 4 + [256] * 23 + [512] * 3
"""Filters of both inner convolutions of each unit (He et al. 2016, table 1)."""


@pytest.mark.parametrize("amount", AMOUNTS)
def test_two_of_three_convolutions_lose_a_rounded_share(amount: float) -> None:
    form = Pruned.of("resnet101", amount)
    assert form.kept == tuple((c - round(amount * c),) * 2 for c in RESNET101)


def test_one_of_two_convolutions_can_be_pruned() -> None:
    assert (
        Pruned.of("resnet18s", 0.5).kept
        == ((24,),) * 2 + ((48,),) * 2 + ((96,),) * 2 + ((192,),) * 2
    )


@given(
    gallery=st.sampled_from(sorted(GALLERIES)),
    amount=st.floats(0, 0.999999),
    embedding_dim=st.integers(1, 512),
    input_size=st.integers(32, 224),
)
def test_the_form_is_read_back_from_its_document(
    gallery: str, amount: float, embedding_dim: int, input_size: int
) -> None:
    form = Pruned.of(gallery, amount, embedding_dim=embedding_dim, input_size=input_size)
    again = form_from_dict(form.to_dict())
    assert again == form
    assert again.fingerprint == form.fingerprint
    assert min(min(unit) for unit in form.kept) >= 1
    assert form.resized(48).input_size == 48


def test_the_form_is_read_back_from_a_file(tmp_path: Path) -> None:
    form = Pruned.of("resnet26s", 0.7)
    form.save(tmp_path / "architecture.json")
    assert load_form(tmp_path) == form
    assert form.label == "resnet26s -70%"


@pytest.mark.parametrize("name", ["resnet18s", "resnet26s"])
@pytest.mark.parametrize("amount", [0.0, 0.9])
def test_what_it_builds_differs_from_the_gallery_network_in_filters_alone(
    name: str, amount: float
) -> None:
    form = Pruned.of(name, amount, embedding_dim=8, input_size=32)
    network = form.build()
    assert network.architecture is form
    gallery = build_gallery(name, embedding_dim=8, input_size=32)
    ours, theirs = network.state_dict(), gallery.state_dict()
    assert ours.keys() == theirs.keys()
    different = {name for name in ours if ours[name].shape != theirs[name].shape}
    assert bool(different) == bool(amount)
    inner = len(form.kept[0])
    assert all(f"body.conv{inner + 1}.bn" not in name for name in different)
    assert all("identity" not in name and ".body." in name for name in different)
    network.train()(torch.rand(4, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_initial_filters_have_the_deviation_for_the_remaining_filters() -> None:
    for name, weight in Pruned.of("resnet26s", 0.5).build().named_parameters():
        if name.endswith("conv.weight"):
            fan_out = weight.shape[0] * weight[0, 0].numel()
            assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.15), name


@pytest.mark.parametrize("amount", [0.0, 0.5])
def test_macs_are_those_that_torch_counts(amount: float) -> None:
    network = Pruned.of("resnet26s", amount).build().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    cost = count_fvcore(network, 224)
    assert 2 * cost.macs == counter.get_total_flops()
    assert cost.macs < cost.flops


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery": "resnet102"}, "Did you mean resnet101"),
        ({"kept": [[8]] * 8}, "cannot keep these filters"),
        ({"kept": [[8, 8]] * 7 + [[8, 193]]}, "cannot keep these filters"),
        ({"kept": [[8, 0]] * 8}, "cannot keep these filters"),
        ({"kept": [[8, 8.0]] * 8}, "is not a pruned network: it needs exactly the fields"),
        ({"kept": [8] * 8}, "is not a pruned network: it needs exactly the fields"),
        ({"more": 1}, "is not a pruned network: it needs exactly the fields"),
        ({"input_size": "64"}, "is not a pruned network: it needs exactly the fields"),
        ({"embedding_dim": 0}, "cannot be built"),
    ],
)
def test_a_wrong_document_is_refused(change: dict[str, object], message: str) -> None:
    document = Pruned.of("resnet26s", 0.5).to_dict() | change
    with pytest.raises(UserError, match=message):
        form_from_dict(document)


@pytest.mark.parametrize("amount", [-0.1, 1.0, float("nan")])
def test_a_wrong_amount_is_refused(amount: float) -> None:
    with pytest.raises(UserError, match="cannot be pruned"):
        Pruned.of("resnet26s", amount)
