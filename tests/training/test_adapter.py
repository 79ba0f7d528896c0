"""The adapter of the targets: its map, its choice on the hold-out, and the losses with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

import edgecmp.training.adapter_choice as choice_module
import edgecmp.training.supernet as supernet_module
from edgecmp import Architecture, UserError
from edgecmp.artefacts.manifest import Manifest
from edgecmp.data import Dataset, ImageSet, load_dataset
from edgecmp.gallery.embedding_table import EmbeddingTable
from edgecmp.gallery.source import TableSource
from edgecmp.losses import BCT
from edgecmp.networks.supernet import Supernet
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.adapter import SHARPEST, Adapter, adapter_sentence, covariance, made_adapter
from edgecmp.training.adapter_choice import Learner, chosen_adapter
from edgecmp.training.methods import (
    CSD,
    BackwardCompatible,
    Imitation,
    Method,
    RegressionCosine,
    Similarities,
)
from edgecmp.training.methods.method import Batch
from edgecmp.training.query import train_query
from edgecmp.training.recipes import query_recipe, supernet_recipe
from edgecmp.training.shown import Shown
from edgecmp.training.starts import supernet_start
from edgecmp.training.supernet import train_supernet
from edgecmp.training.supervision import Supervision
from tests.fixtures.identity_folders import write_identities

DIM = 24
RANDOM = np.random.default_rng(0)
LOUD = np.where(np.arange(DIM) < 8, 4.0, 0.4)
"""How much images of one identity vary in each direction."""


@dataclass(frozen=True, slots=True)
class Named:
    """A source of images of which only the names matter."""

    keys: tuple[str, ...]
    fingerprint: str = "named"
    shards: None = None


def images(split: str, identities: int, each: int) -> ImageSet:
    """A split of so many images per identity."""
    count = identities * each
    return ImageSet(
        name=split,
        identities=np.repeat(np.arange(identities), each),
        identity_names=tuple(f"{split}{one}" for one in range(identities)),
        domains=np.zeros(count, np.int16),
        domain_names=("",),
        source=Named(tuple(f"{split}{index:05d}" for index in range(count))),  # type: ignore[arg-type]
        rows=np.arange(count),
    )


def embedded(among: ImageSet, noise: NDArray[Any]) -> NDArray[np.float32]:
    """Unit vectors: a centre per identity and noise, around a large mean."""
    centres = RANDOM.normal(size=(len(among.identity_names), DIM))
    spread = RANDOM.normal(size=(len(among), DIM)) * noise
    vectors = 5.0 + centres[among.identities] + spread
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found.astype(np.float32)


def world(noise: NDArray[Any], *, held_out: int = 40) -> tuple[Dataset, TableSource]:
    """Training images and a hold-out, and a gallery that varies by `noise` within identities."""
    train, validation = images("train", 150, 4), images("validation", held_out, 3)
    empty = images("test", 2, 2)
    dataset = Dataset(
        name="world", train=train, validation=validation, test=empty, gallery_domain=None
    )
    keys = (*train.keys, *validation.keys)
    table = np.concatenate([embedded(train, noise), embedded(validation, noise)])
    return dataset, TableSource(EmbeddingTable.of(keys, table, name="table"))


def learner(dataset: Dataset, source: TableSource) -> Learner:
    """A network whose features are half of the values of the gallery's embeddings."""

    def embed(images: ImageSet) -> torch.Tensor:
        return torch.from_numpy(source.embeddings(images)[:, ::2])

    chosen = np.random.default_rng(3).permutation(len(dataset.train))[:400]
    return Learner(chosen=chosen, features=embed(dataset.train.subset(chosen)), embed=embed)


def adapter_of(
    dataset: Dataset,
    source: TableSource,
    labels: NDArray[Any] | None = None,
) -> Any:
    """The adapter of the training images."""
    train = dataset.train
    return chosen_adapter(
        (
            torch.from_numpy(source.embeddings(train)),
            train.identities if labels is None else labels,
        ),
        dataset=dataset,
        source=source,
        learner=learner(dataset, source),
    )


def test_covariances_are_those_of_numpy() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 2, -1, -1])
    rows = torch.randn(8, 5)
    within = sum(np.cov(rows[labels == one].T, bias=True) * n for one, n in ((0, 2), (1, 3)))
    for kind, expected in (
        ("identities", within),
        ("images", np.cov(rows.T, bias=True)),
    ):
        found = covariance(rows, labels, kind)  # type: ignore[arg-type]
        assert found is not None
        np.testing.assert_allclose(found, expected / np.trace(expected) * 5, rtol=1e-4, atol=1e-5)
    assert covariance(rows, torch.full((8,), -1), "identities") is None
    assert covariance(rows, torch.arange(8), "identities") is None
    assert covariance(rows[:1].expand(8, -1), labels, "images") is None


def test_the_hold_out_finds_more_by_its_queries() -> None:
    dataset, source = world(LOUD)
    adapter = adapter_of(dataset, source)
    assert adapter.kind == "identities"
    assert adapter.after > adapter.before + 0.05
    said = adapter_sentence(adapter.to_dict())
    assert f"from {adapter.before:.3f} to {adapter.after:.3f}" in said
    train = torch.from_numpy(source.embeddings(dataset.train)).double()
    spread = covariance(train, torch.from_numpy(dataset.train.identities), "identities")
    assert spread is not None
    shrunk = spread.numpy() + adapter.shrinkage * np.eye(DIM)
    solved = np.linalg.solve(shrunk, (train - train.mean(0)).numpy().T).T
    expected = solved / np.linalg.norm(solved, axis=1, keepdims=True)
    np.testing.assert_allclose(adapter(train.float()), expected, atol=1e-4)
    task = dataset.retrieval("validation")
    queries, gallery = (
        torch.from_numpy(source.embeddings(part)) for part in (task.queries, task.gallery)
    )
    right = task.queries.identities[:, None] == task.gallery.identities
    top1 = [
        right[range(len(right)), (one @ gallery.T).argmax(1)].mean()
        for one in (queries, adapter(queries))
    ]
    assert top1[1] > top1[0] + 0.05


def test_without_labels_it_is_that_of_all_images() -> None:
    dataset, source = world(LOUD)
    adapter = adapter_of(dataset, source, labels=np.full(len(dataset.train), -1))
    assert adapter is None or adapter.kind == "images"


def test_a_gallery_that_needs_none_gets_none() -> None:
    assert adapter_of(*world(np.full(DIM, 0.05))) is None


def test_halves_of_the_training_images_help_a_small_hold_out() -> None:
    dataset, source = world(LOUD, held_out=4)
    adapter = adapter_of(dataset, source)
    assert adapter.kind == "identities"
    assert adapter.after > adapter.before + 0.05
    unlabelled = np.full(len(dataset.train), -1)
    assert adapter_of(dataset, source, labels=unlabelled) is None
    few = replace(dataset, train=dataset.train.subset(np.arange(28)).relabelled())
    assert adapter_of(few, source) is None


def test_halves_are_of_identities_that_their_adapters_do_not_know() -> None:
    labels = np.array([0, 0, 1, 1, 1, 2, 3, 3, -1, -1])
    rows = torch.arange(10.0)[:, None].expand(-1, DIM)
    chosen = np.array([9, 7, 6, 5, 4, 3, 1, 0])
    features = rows[chosen, :2].clone()
    student = Learner(chosen=chosen, features=features, embed=lambda images: features)
    trials = choice_module._on_halves((rows, labels), student)
    asked = []
    for trial in trials:
        inside = np.isin(labels, trial.gallery_ids)
        assert set(trial.query_ids) <= set(trial.gallery_ids)
        assert sorted(trial.gallery[:, 0]) == [
            min(np.flatnonzero(labels == one)) for one in sorted(trial.gallery_ids)
        ]
        mean = float(np.flatnonzero(~inside).mean())
        assert float(trial.moments.mean[0]) == pytest.approx(mean)
        asked += [int(row[0]) for row in trial.queries]
    assert sorted(asked) == [1, 3, 4, 7]


def test_what_a_network_cannot_learn_is_not_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own queries find less by every adapter but one, whatever the gallery model's find."""
    world_ = world(LOUD)
    assert adapter_of(*world_).shrinkage == 0.3
    ranks = choice_module._Trial.ranks

    def worse(trial: Any, by: str, key: Any) -> Any:
        found = ranks(trial, by, key)
        return 0 * found if by == "learned" and key not in (None, left) else found

    monkeypatch.setattr(choice_module._Trial, "ranks", worse)
    left: Any = ("identities", 1.0)
    assert adapter_of(*world_).shrinkage == 1.0
    left = None
    assert adapter_of(*world_) is None


def test_a_gallery_without_embeddings_of_the_hold_out_gets_none() -> None:
    dataset, source = world(LOUD)
    keys = dataset.train.keys
    part = TableSource(EmbeddingTable.of(keys, source.embeddings(dataset.train), name="part"))
    assert adapter_of(dataset, part) is None


def test_losses_are_least_for_its_queries() -> None:
    dataset, source = world(LOUD)
    adapter = adapter_of(dataset, source)
    plain = Supervision(source, dataset.train, Preprocessing(input_size=32))
    raw = plain.embeddings
    supervision = plain.with_adapter(adapter)
    assert plain.adapter is None
    assert plain.targets is plain.anchors is raw
    torch.testing.assert_close(supervision.targets, adapter(raw))
    chosen = np.array([5, 2])
    torch.testing.assert_close(supervision.targets_of(chosen), adapter(raw[[5, 2]]))
    torch.testing.assert_close(F.normalize(supervision.anchors, dim=1), raw)
    rows = torch.arange(64)
    shown = Shown(torch.zeros(64, 1), rows, targets=supervision.targets[rows])
    for method in (RegressionCosine(), Similarities(), CSD(neighbours=8)):
        loss = method.loss(supervision)
        values = [
            loss(Batch(queries[rows], supervision.labels[rows], shown))
            for queries in (raw, supervision.targets)
        ]
        assert values[1] < 1e-4 < values[0], method.name


def test_similarities_vary_as_without_it() -> None:
    dataset, source = world(LOUD)
    plain = Supervision(source, dataset.train, Preprocessing(input_size=32))
    supervision = plain.with_adapter(adapter_of(dataset, source))
    assert isinstance(supervision.adapter, Adapter)
    spreads = [(one.targets @ one.anchors.T).std(1).mean() for one in (plain, supervision)]
    assert spreads[1] == pytest.approx(float(spreads[0]), rel=0.1)
    loss = BackwardCompatible(own=0.0).loss(supervision)
    assert isinstance(loss.bct, BCT)
    assert loss.bct.scale == pytest.approx(24.0 * supervision.sharpness)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, TableSource]:
    """Noise on a pattern per identity, and a table of embeddings of the images."""
    splits = {"train": 40, "validation": 20, "test": 4}
    data = str(write_identities(tmp_path_factory.mktemp("data"), splits))
    dataset = load_dataset(data)
    keys = (*dataset.train.keys, *dataset.validation.keys)
    parts = [embedded(images, LOUD) for images in (dataset.train, dataset.validation)]
    return data, TableSource(EmbeddingTable.of(keys, np.concatenate(parts), name="table"))


def train(folders: tuple[str, TableSource], out: Path, method: Method, start: str) -> None:
    """One epoch with an adapter."""
    tiny = query_recipe("tiny")
    schedule = replace(tiny.schedule, epochs=1)
    train_query(
        replace(tiny, adapter=True, methods=(method,), schedule=schedule),
        architecture=Architecture.random("100M", seed=0, input_size=32),
        supernet=start,
        gallery=folders[1],
        data=folders[0],
        out=out,
    )


def test_a_training_learns_its_queries(
    folders: tuple[str, TableSource],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(folders, tmp_path / "out", RegressionCosine(), "kit")
    said = capsys.readouterr().err
    assert "The network learns to query the index better than the gallery model does" in said
    assert "with a new head that was fitted" in said
    adapter = Manifest.load(tmp_path / "out").metrics["adapter"]
    assert adapter["after"] > adapter["before"]
    assert adapter["kind"] == "identities"


def test_a_supernet_learns_them_too_and_passes_on_its_head(
    folders: tuple[str, TableSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    tiny = supernet_recipe("tiny")
    recipe = replace(
        tiny,
        adapter=True,
        methods=(RegressionCosine(),),
        schedule=replace(tiny.schedule, epochs=1),
        watched=1,
    )
    out = tmp_path / "supernet"
    train_supernet(recipe, start="kit", gallery=folders[1], data=folders[0], out=out)
    assert Manifest.load(out).metrics["adapter"]["kind"] == "identities"
    capsys.readouterr()
    train(folders, tmp_path / "query", RegressionCosine(), str(out))
    assert "with a new head" not in capsys.readouterr().err
    start = supernet_start(str(out), tier=recipe.tier)
    assert start is not None
    plain = Supervision(folders[1], load_dataset(folders[0]).train, Preprocessing(input_size=32))
    network = Supernet(recipe.tier, embedding_dim=DIM, input_size=32)
    start.fill(network, plain, 0)  # a training without an adapter
    assert "with a new head" in capsys.readouterr().err


def test_a_network_goes_on_with_the_targets_that_it_learned(
    folders: tuple[str, TableSource], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = query_recipe("tiny")
    recipe = replace(tiny, methods=(RegressionCosine(),), schedule=replace(tiny.schedule, epochs=1))
    found = {}
    for name, adapter, start in (
        ("plain", False, None),
        ("still plain", True, "plain"),
        ("adapted", True, None),
        ("longer", True, "adapted"),
    ):
        train_query(
            replace(recipe, adapter=adapter),
            architecture=Architecture.random("100M", seed=0, input_size=32),
            supernet="none" if start else "kit",
            start=None if start is None else tmp_path / start,
            gallery=folders[1],
            data=folders[0],
            out=tmp_path / name,
        )
        found[name] = Manifest.load(tmp_path / name).metrics.get("adapter")
    assert found["plain"] is found["still plain"] is None
    assert found["adapted"] == found["longer"] is not None
    assert capsys.readouterr().err.count("with a new head") == 2


def test_without_a_start_there_is_none(folders: tuple[str, TableSource], tmp_path: Path) -> None:
    train(folders, tmp_path / "out", RegressionCosine(), "none")
    assert "adapter" not in Manifest.load(tmp_path / "out").metrics


def test_a_method_that_cannot_be_used_is_refused_before_anything_is_embedded(
    folders: tuple[str, TableSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TableSource, "embeddings", None)
    with pytest.raises(UserError, match="imitation needs the network itself"):
        train(folders, tmp_path / "out", Imitation(), "kit")


def test_the_sharpness_of_a_few_images_is_bounded() -> None:
    """Beyond it the losses are so steep that a training diverges; here it would be about 44."""
    generator = torch.Generator().manual_seed(0)
    embeddings = 0.1 * torch.randn(40, 256, generator=generator)
    embeddings[:, 0] += torch.randn(40, generator=generator)  # nearly all that varies
    embeddings[:, 1] += 3  # what all have in common
    facts = {"kind": "images", "shrinkage": 0.3, "before": 0.5, "after": 0.6}
    adapter = made_adapter((F.normalize(embeddings, dim=1), np.arange(40) // 4), facts)
    assert adapter.sharpness == SHARPEST
