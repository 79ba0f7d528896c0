"""The published tables, and the paper's MFLOPs counted again."""

from __future__ import annotations

import math

import pytest
from pytorchcv.model_provider import get_model
from torch import nn

from edgecmp import UserError
from edgecmp.benchmarks.paper.published import PUBLISHED, Row, published
from edgecmp.networks.baselines import BASELINES
from edgecmp.networks.pytorchcv_flops import count_pytorchcv

MFLOPS = published("mflops").rows


@pytest.mark.parametrize("row", MFLOPS, ids=lambda row: str(row["baseline"]))
def test_reproduces_the_published_mflops(row: Row) -> None:
    counted = count_pytorchcv(get_model(str(row["baseline"])))
    assert math.trunc(counted.published_mflops) == row["mflops"]
    assert counted.published_mflops == pytest.approx(row["pytorchcv_mflops"], abs=0.0051)


def test_the_two_figures_of_mobilenetv3_differ_by_the_squeezes() -> None:
    """pytorchcv's own tables say 226.80 for Gluon and TensorFlow 2, and 227.09 for PyTorch."""
    counted = count_pytorchcv(get_model("mobilenetv3_large_w1"))
    assert counted.published_mflops == pytest.approx(226.80, abs=0.0051)
    assert counted.pytorch_mflops == pytest.approx(227.09, abs=0.0051)
    maps = [72, 120, 120], [480, 672], [672, 960, 960]  # the squeezed ones of 28, 14 and 7 pixels
    read = sum(sum(widths) * side**2 for widths, side in zip(maps, (28, 14, 7), strict=True))
    assert counted.squeeze_flops == read


def test_counting_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4).eval(), nn.ReLU())
    counted = count_pytorchcv(network, 8)
    assert (counted.flops, counted.macs) == ((2 * 27 + 4 + 1) * 4 * 64, 27 * 4 * 64)
    assert [layer.training for layer in network] == [True, False, True]
    assert not any(layer._forward_hooks for layer in network)


def test_a_layer_without_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match="PReLU"):
        count_pytorchcv(nn.Sequential(nn.PReLU()), 8)


def test_every_baseline_has_its_row() -> None:
    assert {row["baseline"] for row in MFLOPS} == set(BASELINES)
    printed = {row["query_model"]: row["mflops"] for row in MFLOPS}
    for name in ("table1", "table2", "table3"):
        for row in published(name).rows:
            model = str(row["query_model"]).removesuffix("(gallery)")
            assert model.startswith("CMP-NAS") or row["mflops"] == printed[model]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_row_of_a_table_has_its_columns(name: str) -> None:
    table = published(name)
    assert len({tuple(row) for row in table.rows}) == 1
    for doubt in table.doubts:
        assert doubt.column in table.row(doubt.query_model)


def test_the_compatibility_rule_holds_in_every_published_row() -> None:
    for name in ("table1", "table2", "table3"):
        for row in published(name).rows:
            for column, value in row.items():
                heterogeneous = row.get(column.replace("hom_", "het_"))
                if column.startswith("hom_") and heterogeneous is not None:
                    assert float(heterogeneous) > float(value or 0), (name, row, column)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="Did you mean table3"):
        published("tabel3")
    with pytest.raises(UserError, match="Did you mean MobileNetV3"):
        published("table3").row("MobilenetV3")
