"""Gallery models that prepare images in their own way: trainings, resumes, and fixed views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import edgecmp.training.supernet as supernet_module
from edgecmp import Architecture
from edgecmp.artefacts.manifest import Manifest
from edgecmp.data import ImageSet, load_dataset
from edgecmp.data.shard_writer import write_shards
from edgecmp.gallery.source import GallerySource, ModelSource, open_source
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import Drawn, InMemory, open_batches
from edgecmp.training.checkpoint import VIEWS, Checkpoint
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.embedding_log import EmbeddingLog
from edgecmp.training.methods import KD, Imitation, Method, RegressionCosine, method_named
from edgecmp.training.pictures import PictureStore, TwoFrames
from edgecmp.training.query import train_query
from edgecmp.training.recipes import query_recipe, supernet_recipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.shown import Shown, TeacherImages
from edgecmp.training.supernet import train_supernet
from edgecmp.training.supervision import Supervision
from edgecmp.training.views import FixedViews
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_encoders import WIDTH, write_cnn

SPLITS = {"train": 8, "validation": 10, "test": 6}
SIZE = 32
PHONE = Preprocessing(input_size=SIZE)
ARCHITECTURE = replace(
    Architecture.random("100M", seed=0, input_size=SIZE, embedding_dim=WIDTH), widths=(0,) * 20
)
"""The narrowest network, since what is tested is what it learns from."""
LINES = """mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""
DESCRIPTIONS = {
    "crop": f'{LINES}channels = "BGR"\nfit = "crop"\nresize = 48\nfilter = "bicubic"\n',
    "same pixels": f"{LINES}",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_identities(tmp_path_factory.mktemp("images"), SPLITS))


@pytest.fixture(scope="module")
def train(data: str) -> ImageSet:
    return load_dataset(data).train


@pytest.fixture(scope="module")
def galleries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Descriptions of encoders: one of crops of 40 pixels in BGR, one that reads as the phone."""
    found = {}
    for (name, lines), size in zip(DESCRIPTIONS.items(), (40, SIZE), strict=True):
        folder = tmp_path_factory.mktemp("gallery")
        write_cnn(folder / "net.onnx", size)
        (folder / "net.toml").write_text(f'onnx = "net.onnx"\n{lines}')
        found[name] = folder / "net.toml"
    return found


def _train(
    data: str, gallery: Path, out: Path, *, method: str = "imitation", views: int = 0
) -> list[float]:
    """The losses of the epochs of a training."""
    recipe = replace(
        query_recipe("tiny"),
        schedule=Schedule(epochs=3, batch_size=16, lr=0.01),
        methods=tuple(map(method_named, method.split("+"))),
        augmentation=Augmentation(),
        views=views,
        watch_every=9,
    )
    report = train_query(recipe, architecture=ARCHITECTURE, gallery=gallery, data=data, out=out)
    return [record["loss"] for record in report.records]


def _sha256(folder: Path) -> str:
    return Manifest.load(folder).weights_sha256


class KilledError(Exception):
    pass


@contextmanager
def killed_at(kind: type, name: str, calls: int) -> Iterator[None]:
    """The process ends once this method has returned so many times."""
    original, left = getattr(kind, name), [calls]

    def ending(*given: Any, **named: Any) -> Any:
        returned = original(*given, **named)
        left[0] -= 1
        if not left[0]:
            raise KilledError
        return returned

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, name, ending)
        with pytest.raises(KilledError):
            yield


@pytest.mark.parametrize("gallery", ["crop", "same pixels"])
@pytest.mark.parametrize("views", [0, 2])
@pytest.mark.parametrize("method", ["imitation", "kd"])
@pytest.mark.slow(quick=["imitation-2-crop", "imitation-0-crop", "kd-2-same pixels"])
def test_a_training_resumes_with_the_same_weights(
    method: str, views: int, gallery: str, data: str, galleries: dict[str, Path], tmp_path: Path
) -> None:
    whole = _train(data, galleries[gallery], tmp_path / "whole", method=method, views=views)
    assert whole[-1] < whole[0]
    given = (data, galleries[gallery], tmp_path / "out")
    with killed_at(Checkpoint, "save", 1):
        _train(*given, method=method, views=views)
    assert (tmp_path / "out" / "checkpoint" / VIEWS).exists() == bool(views)
    assert _train(*given, method=method, views=views) == whole
    assert _sha256(tmp_path / "out") == _sha256(tmp_path / "whole")
    for name in ("out", "whole"):
        assert not (tmp_path / name / "checkpoint").exists()


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As on a user's machine, also where each test has one: the weights depend on them."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("batches", [1, 3, 4])
@pytest.mark.parametrize("cut", [0, 5, 100])
@pytest.mark.slow(quick=["5-3", "0-4"])
def test_embeddings_that_a_kill_left_do_not_change_the_weights(
    cut: int,
    batches: int,
    data: str,
    galleries: dict[str, Path],
    tmp_path: Path,
    two_threads: None,
) -> None:
    """It dies within an epoch, also before the first checkpoint, and within a write."""
    whole = _train(data, galleries["crop"], tmp_path / "whole", views=2)
    given = (data, galleries["crop"], tmp_path / "out")
    with killed_at(EmbeddingLog, "append", batches):
        _train(*given, views=2)
    file = tmp_path / "out" / "checkpoint" / VIEWS
    with file.open("r+b") as written:
        written.truncate(file.stat().st_size - cut)
    assert _train(*given, views=2) == whole
    assert _sha256(tmp_path / "out") == _sha256(tmp_path / "whole")


def test_each_view_is_embedded_once_and_other_settings_start_anew(
    data: str, galleries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[int] = []
    original = ModelSource.embed_planes

    def counted(source: ModelSource, planes: Tensor) -> Tensor:
        embedded.append(len(planes))
        return original(source, planes)

    monkeypatch.setattr(ModelSource, "embed_planes", counted)
    _train(data, galleries["crop"], tmp_path / "two", views=2)
    assert sum(embedded) == 2 * 32
    embedded.clear()
    _train(data, galleries["crop"], tmp_path / "fresh")
    assert sum(embedded) >= 3 * 32
    embedded.clear()
    with killed_at(EmbeddingLog, "append", 3):
        _train(data, galleries["crop"], tmp_path / "out", views=2)
    (tmp_path / "out" / "checkpoint" / "checkpoint.json").unlink()
    embedded.clear()
    _train(data, galleries["crop"], tmp_path / "out", views=4)
    assert sum(embedded) == 3 * 32
    embedded.clear()  # the regression has the embeddings of the images as they are
    _train(
        data, galleries["crop"], tmp_path / "both", views=2, method="imitation+regression-cosine"
    )
    assert sum(embedded) == 32


def test_the_views_that_are_left_are_counted(
    train: ImageSet, galleries: dict[str, Path], tmp_path: Path
) -> None:
    ground, augmentation = supervision(train, galleries["crop"]), Augmentation()
    with FixedViews.opened(ground, augmentation, 3, seed=7, path=tmp_path / "v") as views:
        counts = [views.unknown(range(*epochs)) for epochs in ((0, 9), (0, 2), (7, 9), (8, 8))]
        assert counts == [3, 2, 2, 0]
        views.log.append(1, np.arange(32), np.zeros((32, WIDTH), dtype=np.float32))
        assert [views.asks(epoch) for epoch in range(4)] == [True, True, True, False]
        assert views.unknown(range(9)) == 2
        assert len(ground.embeddings) == 32
        assert [views.asks(epoch) for epoch in range(4)] == [False, True, True, False]
        assert views.unknown(range(9)) == 1
        indices = torch.tensor([5, 3])
        torch.testing.assert_close(
            views.embed(indices, torch.zeros(2, 3, SIZE, SIZE), None), ground.embeddings[indices]
        )


def supervision(train: ImageSet, gallery: Path | GallerySource) -> Supervision:
    return Supervision(open_source(gallery), train, PHONE)


@pytest.mark.parametrize("gallery", ["crop", "same pixels"])
def test_the_targets_of_fixed_views_are_the_embeddings_of_these_views(
    gallery: str, train: ImageSet, galleries: dict[str, Path], tmp_path: Path
) -> None:
    ground = supervision(train, galleries[gallery])
    augmentation = Augmentation()
    pixels = torch.from_numpy(train.pixels(PHONE))
    generator = torch.Generator().manual_seed(0)
    originals = [train.source.image(int(row)) for row in train.rows]
    for _ in range(2):  # the second time, everything is in the file
        with FixedViews.opened(ground, augmentation, 3, seed=7, path=tmp_path / "v") as views:
            for epoch in (0, 1, 2, 3, 5):
                for indices in torch.split(torch.randperm(32, generator=generator), 12):
                    view = views.of_epoch(epoch)
                    shown = view.shown(Drawn(indices, pixels[indices]), PHONE, generator)
                    all_draws = views.draws(epoch % 3)
                    draws = None if all_draws is None else all_draws.of(indices)
                    planes = pixels[indices].permute(0, 3, 1, 2).float()
                    if draws is not None:
                        planes = draws.apply(pixels[indices])
                    frames = ground.frames(augmentation)
                    if frames is not None:
                        pictures = [frames.picture(originals[index]) for index in indices]
                        seen = TeacherImages(pictures, frames, draws).planes()
                    else:
                        seen = planes.clone()
                    expected = ground.source.embed_planes(seen)
                    assert shown.targets is not None
                    torch.testing.assert_close(shown.targets, expected, atol=5e-4, rtol=0)
                    assert torch.equal(shown.images, PHONE.normalise_planes(planes))
                    if epoch % 3 == 0:
                        clean = ground.embeddings[indices]
                        torch.testing.assert_close(shown.targets, clean, atol=5e-4, rtol=0)


def test_a_view_depends_on_seed_image_and_number_alone(
    train: ImageSet, galleries: dict[str, Path], tmp_path: Path
) -> None:
    ground = supervision(train, galleries["crop"])
    affine = {}
    for count, seed in ((2, 0), (4, 0), (4, 1)):
        path = tmp_path / f"{count}-{seed}"
        with FixedViews.opened(ground, Augmentation(), count, seed=seed, path=path) as views:
            affine[count, seed] = [views.draws(number) for number in range(1, count)]
    one, other, seeded = (found[0] for found in affine.values())
    assert one is not None
    assert other is not None
    assert seeded is not None
    assert torch.equal(one.affine, other.affine)
    assert not torch.equal(one.affine, seeded.affine)
    assert len(torch.unique(one.affine, dim=0)) == 32


@pytest.mark.parametrize("method", [Imitation(mixed=0.0), KD(own=0.0)])
def test_the_loss_is_that_of_the_gallery_models_own_pixels(
    method: Method, train: ImageSet, galleries: dict[str, Path]
) -> None:
    ground = supervision(train, galleries["crop"])
    frames = ground.frames(Augmentation())
    assert frames is not None
    torch.manual_seed(1)
    criterion = CompatibleLoss([method], ground)
    pictures = PictureStore(train, frames).of(range(32))
    images = PHONE.normalise(train.pixels(PHONE))
    shown = Shown(images, torch.arange(32), TeacherImages(pictures, frames, None))
    ours = F.normalize(torch.randn(32, WIDTH), dim=1)
    shown = criterion.prepared(shown, torch.Generator())
    found = float(criterion(ours, shown).detach())
    theirs = torch.from_numpy(ground.source.embeddings(train))
    if isinstance(method, Imitation):
        expected = 10 * float((1 - (ours * theirs).sum(1)).mean())
    else:
        loss: Any = criterion.losses[0]
        mine = 24 * ours @ F.normalize(loss.own.weight.detach(), dim=1).T / 4
        soft = F.log_softmax(24 * theirs @ ground.classifier.T / 4, 1)
        expected = 16 * float(
            F.kl_div(F.log_softmax(mine, 1), soft, reduction="batchmean", log_target=True)
        )
    assert found == pytest.approx(expected, rel=1e-3)


def test_images_are_blended_only_where_every_step_draws_new_views(
    train: ImageSet, galleries: dict[str, Path]
) -> None:
    ground = supervision(train, galleries["crop"])
    assert CompatibleLoss([Imitation()], ground).mixed == 0.75
    assert CompatibleLoss([Imitation()], ground, views=4).mixed == 0.0
    without = CompatibleLoss([RegressionCosine()], ground, views=4)
    assert (without.views, without.runs_network) == (0, False)


def test_a_supernet_imitates_a_gallery_model_of_another_size(
    data: str, galleries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    recipe = replace(
        supernet_recipe("tiny"),
        seed_schedule=None,
        methods=(Imitation(mixed=0.5),),
        schedule=Schedule(epochs=1, batch_size=16, lr=0.001),
        watched=1,
    )
    report = train_supernet(recipe, gallery=galleries["crop"], data=data, out=tmp_path)
    assert np.isfinite(report.records[0]["loss"])


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_from_shards_are_those_from_memory(
    workers: int, data: str, train: ImageSet, galleries: dict[str, Path], tmp_path: Path
) -> None:
    write_shards(load_dataset(data), tmp_path / "shards", images_per_shard=8, lossless=True)
    streamed = load_dataset(tmp_path / "shards").train
    assert streamed.keys == train.keys
    frames = supervision(train, galleries["crop"]).frames(Augmentation())
    assert frames is not None
    memory = open_batches(train, PHONE, frames=frames)
    assert isinstance(memory, InMemory)
    assert memory.store is not None
    assert np.array_equal(memory.pixels, train.pixels(PHONE))
    stream = open_batches(streamed, PHONE, workers=workers, frames=frames)
    seen = 0
    for batches in (stream, memory):
        for drawn in batches.epoch(8, torch.Generator().manual_seed(1)):
            assert np.array_equal(drawn.images.numpy(), memory.pixels[drawn.indices])
            assert drawn.pictures is not None
            expected = memory.store.of(drawn.indices.tolist())
            for one, other in zip(drawn.pictures, expected, strict=True):
                assert np.array_equal(one.pixels, other.pixels)
                assert (one.left, one.top, one.across, one.down) == (
                    *(other.left, other.top),
                    *(other.across, other.down),
                )
                seen += 1
    assert seen == 64


def test_pictures_that_do_not_fit_are_decoded_for_each_batch(
    train: ImageSet, galleries: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = open_source(galleries["crop"]).reads
    frames = TwoFrames(PHONE, teacher, Augmentation())
    made = []
    original = TwoFrames.picture

    def counted(self: TwoFrames, image: Any) -> Any:
        made.append(image)
        return original(self, image)

    size = frames.picture(train.source.image(int(train.rows[0]))).pixels.nbytes
    monkeypatch.setattr(TwoFrames, "picture", counted)
    store = PictureStore(train, frames, limit=10 * size)
    store.prepared()
    assert len(made) == 32
    again = store.of(range(32))
    assert len(made) == 32 + 22
    for picture, row in zip(again, train.rows, strict=True):
        expected = original(frames, train.source.image(int(row)))
        assert np.array_equal(picture.pixels, expected.pixels)
