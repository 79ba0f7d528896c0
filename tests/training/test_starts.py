"""Which network a training starts from, and what it has of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import edgecmp.training.supernet as supernet_module
from edgecmp import Architecture, UserError, kit
from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.gallery.embedding_table import EmbeddingTable
from edgecmp.gallery.source import TableSource, open_source
from edgecmp.networks.baselines import Baseline
from edgecmp.networks.supernet import Supernet, path_of
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.head_sample import TrainingSample
from edgecmp.training.methods import method_named
from edgecmp.training.query import train_query
from edgecmp.training.recipes import query_recipe, supernet_recipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.start_weights import Start, SupernetStart, start_settings
from edgecmp.training.starts import query_start, supernet_start
from edgecmp.training.supernet import train_supernet
from edgecmp.training.supervision import Supervision
from tests.fixtures.small_search import small_emoji

SIZE = 32
EMOJI = small_emoji()
PREPARE = Preprocessing(input_size=SIZE)
FORM = Architecture.random("100M", seed=0, input_size=SIZE)


def _table(dim: int) -> TableSource:
    """A gallery of another width, of which only embeddings exist: random ones per identity."""
    keys: tuple[str, ...] = ()
    rows = []
    random = np.random.default_rng(dim)
    for images in (EMOJI.train, EMOJI.validation):
        centres = random.normal(size=(len(images.identity_names), dim))
        keys += images.keys
        rows.append(centres[images.identities] + random.normal(0, 0.3, (len(images), dim)))
    embeddings = np.concatenate(rows).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return TableSource(EmbeddingTable.of(keys, embeddings, name=f"a table of {dim} values"))


def _supervision(source: TableSource | None = None) -> Supervision:
    return Supervision(source or open_source(None), EMOJI.train, PREPARE)


def _bundle(folder: Path, tier: str = "100M") -> SupernetBundle:
    """An untrained supernet on disk."""
    torch.manual_seed(0)
    sizes = {"embedding_dim": 8, "input_size": SIZE}
    manifest = Manifest(
        kind="supernet", network={"tier": tier, **sizes}, preprocessing=PREPARE.to_dict()
    )
    return SupernetBundle(network=Supernet(tier, **sizes), manifest=manifest).save(folder)


def _opened(start: Start | None) -> SupernetStart:
    assert isinstance(start, SupernetStart)
    return start


def _body(network: torch.nn.Module) -> dict[str, Tensor]:
    return {k: v for k, v in network.named_parameters() if not k.startswith("embedding")}


def test_the_kit_is_the_default_start_of_every_tier_and_none_is_random_weights() -> None:
    for tier in ("100M", "230M", "330M"):
        assert _opened(supernet_start(None, tier=tier)).origin == "the starter kit's supernet"
    assert supernet_start("none", tier="100M") is None
    named = _opened(supernet_start("kit", tier="100M"))
    by_folder = _opened(supernet_start(kit.path("supernet"), tier="100M"))
    assert named.bundle.sha256 == by_folder.bundle.sha256
    assert supernet_start(named, tier="100M") is named


def test_a_start_of_a_wider_tier_is_refused(tmp_path: Path) -> None:
    _bundle(tmp_path / "wide", tier="230M")
    with pytest.raises(
        UserError,
        match=r"The supernet in .*wide has the tier 230M, which is wider than 100M, .*"
        r"Name a supernet of the tier 100M or a narrower one, or 'none'",
    ):
        supernet_start(tmp_path / "wide", tier="100M")
    with pytest.raises(UserError, match="wider than 100M"):
        query_start(FORM, supernet=tmp_path / "wide")


def test_opening_a_start_uses_no_random_numbers_of_the_training() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _opened(supernet_start("kit", tier="100M"))
    assert torch.equal(torch.rand(3), expected)


def test_a_baseline_starts_from_random_weights() -> None:
    baseline = Baseline(name="mobilenet_wd2")
    assert query_start(baseline) is None
    with pytest.raises(UserError, match="A supernet does not contain a mobilenet_wd2"):
        query_start(baseline, supernet="kit")
    with pytest.raises(UserError, match="not from both"):
        query_start(FORM, supernet="kit", start=kit.path("query"))


def _search(folder: Path, supernet: SupernetBundle | None, path: str) -> Path:
    """What a search leaves, as far as a start reads it."""
    folder.mkdir(parents=True)
    record = None if supernet is None else {"path": path, "sha256": supernet.sha256}
    (folder / "result.json").write_text(json.dumps({"supernet": record}))
    return FORM.save(folder / "architecture.json")


def test_a_query_network_starts_from_the_supernet_of_its_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if both were moved together; else, and if it was changed, from the starter kit's."""
    supernet = _bundle(tmp_path / "runs" / "supernet")
    _search(tmp_path / "runs" / "search", supernet, "../supernet")
    (tmp_path / "runs").rename(tmp_path / "moved")
    folder = tmp_path / "moved" / "search"
    for path in (folder, folder / "architecture.json"):
        found = _opened(query_start(FORM, path=path))
        assert found.bundle.sha256 == supernet.sha256
        assert found.origin == f"the supernet of the search, in {tmp_path / 'moved' / 'supernet'}"
    copied = shutil.copy(folder / "architecture.json", tmp_path / "copied.json")
    assert _opened(query_start(FORM, path=Path(copied))).origin == "the starter kit's supernet"
    assert query_start(FORM, path=folder, supernet="none") is None
    capsys.readouterr()
    torch.manual_seed(1)
    changed = replace(supernet, network=Supernet("100M", embedding_dim=8, input_size=SIZE))
    changed.save(tmp_path / "moved" / "supernet")
    assert _opened(query_start(FORM, path=folder)).origin == "the starter kit's supernet"
    assert "is not used: it was changed since the search in" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "moved" / "supernet")
    assert _opened(query_start(FORM, path=folder)).origin == "the starter kit's supernet"
    assert "The supernet of the search in" in capsys.readouterr().err


@pytest.mark.parametrize("recorded", ["kit", None])
def test_a_search_in_the_kit_or_without_a_supernet(tmp_path: Path, recorded: str | None) -> None:
    shipped = SupernetBundle.load(kit.path("supernet")) if recorded else None
    path = _search(tmp_path / "search", shipped, "kit")
    found = _opened(query_start(FORM, path=path))
    assert found.bundle.sha256 == SupernetBundle.load(kit.path("supernet")).sha256


def test_the_head_is_kept_for_the_gallery_that_it_was_trained_for() -> None:
    start = _opened(supernet_start("kit", tier="100M"))
    source = open_source(None)
    assert start_settings(start, source, "100M") == {
        "start_sha256": start.bundle.sha256,
        "start_head": "kept",
    }
    expected = {name: value.clone() for name, value in start.bundle.network.state_dict().items()}
    network = Supernet("100M", input_size=64)
    start.fill(network, Supervision(source, EMOJI.train, Preprocessing(input_size=64)), seed=0)
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize("dim", [64, 1280])
def test_another_gallery_gets_a_new_head_on_the_same_body(
    dim: int, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _table(dim)
    start = _opened(supernet_start("kit", tier="100M"))
    assert start_settings(start, source, "100M")["start_head"] == "fitted"
    before = {name: value.clone() for name, value in _body(start.bundle.network).items()}
    supervision = _supervision(source)
    network = Supernet("100M", embedding_dim=dim, input_size=SIZE)
    start.fill(network, supervision, seed=0)
    for name, value in _body(network).items():
        assert torch.equal(value, before[name])
    said = capsys.readouterr().err
    assert said.startswith(
        "The training starts from the starter kit's supernet, with a new head that was fitted to "
        f"a table of {dim} values on 64 training images (mean reciprocal rank of held-out ones: "
    )
    assert len(said.splitlines()) == 1
    architecture = Architecture.random("100M", seed=2, embedding_dim=dim, input_size=SIZE)
    images = next(iter(TrainingSample.draw(supervision, 0).batches))
    with torch.no_grad():
        subnet = network.eval().extract(architecture)
        assert torch.equal(subnet(images), network(images, path_of(architecture)))


def test_a_start_is_filled_alike_for_a_seed() -> None:
    weights: list[Tensor] = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(weights))  # it does not depend on torch's generator
        form = replace(FORM, embedding_dim=64)
        network = form.build()
        start = _opened(query_start(form, supernet="kit"))
        start.fill(network, _supervision(_table(64)), seed=seed)
        weights.append(network.embedding.linear.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_wider_tier_computes_the_features_of_the_kit(capsys: pytest.CaptureFixture[str]) -> None:
    """Also for the kit's own gallery its head is fitted, since it reads more features."""
    start = _opened(supernet_start("kit", tier="230M"))
    assert start_settings(start, open_source(None), "230M")["start_head"] == "fitted"
    wide = replace(FORM, tier="230M").build()
    supervision = _supervision()
    start.fill(wide, supervision, seed=0)
    assert "the starter kit's supernet, widened to the 230M tier, with" in capsys.readouterr().err
    narrow = FORM.build()
    _opened(query_start(FORM, supernet="kit")).fill(narrow, supervision, seed=0)
    images = next(iter(TrainingSample.draw(supervision, 0).batches))
    with torch.no_grad():
        found, expected = (net.eval().features(images) for net in (wide, narrow))
    torch.testing.assert_close(found[:, : expected.shape[1]], expected, atol=1e-3, rtol=1e-2)


def test_a_table_without_the_training_images_is_refused() -> None:
    images = EMOJI.validation
    embeddings = np.eye(16, dtype=np.float32)[images.identities % 16]
    source = TableSource(EmbeddingTable.of(images.keys, embeddings, name="validation.toml"))
    start = _opened(query_start(FORM, supernet="kit"))
    with pytest.raises(UserError, match=r"cannot be fitted to validation.toml.*--start none"):
        start.fill(replace(FORM, embedding_dim=16).build(), _supervision(source), seed=0)


def test_a_sample_holds_out_whole_identities_and_images_without_a_label_by_themselves() -> None:
    images = EMOJI.train
    half = np.arange(len(images)) % 2 == 0
    images = replace(images, identities=np.where(half, images.identities, -1))
    source = _table(16)
    sample = TrainingSample.draw(Supervision(source, images, PREPARE), 3)
    assert sorted(sample.chosen) == list(range(len(images)))
    drawn = sample.with_targets()
    pixels = images.pixels(PREPARE, sample.chosen)
    assert torch.equal(torch.cat(list(sample.batches)), PREPARE.normalise(pixels))
    expected = source.embeddings(images)[sample.chosen]
    np.testing.assert_array_equal(drawn.targets.numpy(), expected)
    held = {int(i) for i in images.identities[sample.chosen][drawn.held_out.numpy()] if i >= 0}
    kept = {int(i) for i in images.identities[sample.chosen][~drawn.held_out.numpy()] if i >= 0}
    assert held
    assert not held & kept
    unlabelled = images.identities[sample.chosen] < 0
    assert 0 < drawn.held_out.numpy()[unlabelled].sum() < unlabelled.sum() / 2


def test_a_network_gets_as_many_embedding_values_as_its_gallery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = (method_named("regression-cosine"),)
    recipe = replace(query_recipe("tiny"), methods=methods)
    given: dict[str, Any] = {"gallery": _table(24), "data": EMOJI, "out": tmp_path}
    train_query(recipe, architecture="mobilenet_wd2", **given)
    assert QueryBundle.load(tmp_path).architecture == Baseline(
        name="mobilenet_wd2", embedding_dim=24, input_size=32
    )
    said = "The network has 24 embedding values, like a table of 24 values, instead of 128."
    assert said in capsys.readouterr().err


@contextmanager
def _interrupted(after: int) -> Iterator[None]:
    """Ctrl-C once that many epochs are in the checkpoint."""
    save = Checkpoint.save

    def interrupted(checkpoint: Checkpoint, tensors: Any, epoch: int, records: Any) -> None:
        save(checkpoint, tensors, epoch, records)
        if epoch == after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.slow(quick=["query"])
@pytest.mark.parametrize("kind", ["query", "supernet"])
def test_a_training_with_a_fitted_start_resumes_exactly(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is fitted once; without it the settings are others."""
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    schedule = Schedule(epochs=2, batch_size=32, lr=0.01)
    methods = (method_named("regression-cosine"),)
    common: dict[str, Any] = {"data": EMOJI, "gallery": _table(24)}

    def train(out: str, start: str) -> Manifest:
        if kind == "query":
            recipe = replace(query_recipe("tiny"), schedule=schedule, methods=methods)
            train_query(recipe, architecture=FORM, supernet=start, out=tmp_path / out, **common)
        else:
            other = replace(supernet_recipe("tiny"), schedule=schedule, methods=methods, watched=1)
            train_supernet(other, start=start, out=tmp_path / out, **common)
        return Manifest.load(tmp_path / out)

    whole = train("whole", "kit")
    assert whole.recipe["start_head"] == "fitted"
    assert not (tmp_path / "whole" / "seed").exists()  # it did not grow
    with _interrupted(after=1):
        train("parts", "kit")
    with pytest.raises(UserError, match=r"other settings: .*the network that it starts from"):
        train("parts", "none")

    def fitted(*_: Any, **__: Any) -> None:
        raise AssertionError("The start was fitted again.")

    monkeypatch.setattr(TrainingSample, "draw", fitted)
    assert train("parts", "kit").weights_sha256 == whole.weights_sha256
    assert train("whole", "kit").weights_sha256 == whole.weights_sha256
    if kind == "query":
        assert QueryBundle.load(tmp_path / "whole").embedding_dim == 24
