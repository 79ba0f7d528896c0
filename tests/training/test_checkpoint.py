"""Checkpoint: whole or refused, only for the training that wrote it, and never lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.files import seal
from edgecmp.training.checkpoint import Checkpoint

SETTINGS = {"recipe": {"schedule": {"epochs": 3}, "half": False}, "seed": 0}
RECORDS = [{"epoch": 1, "loss": 0.5, "lr": 0.1, "seconds": 2.0}]


def _tensors(value: float) -> dict[str, torch.Tensor]:
    return {"model.weight": torch.full((2, 3), value), "optimizer.0.step": torch.tensor(value)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint after epoch 1."""
    place = tmp_path / "checkpoint"
    Checkpoint.opened(place, SETTINGS).save(_tensors(1.0), 1, RECORDS)
    return place


def test_what_was_saved_comes_back(folder: Path) -> None:
    found = Checkpoint.opened(folder, SETTINGS)
    assert (found.epoch, found.records) == (1, RECORDS)
    tensors = found.tensors()
    assert tensors.keys() == _tensors(1.0).keys()
    assert all(torch.equal(tensors[name], value) for name, value in _tensors(1.0).items())


def test_only_the_newest_state_is_kept(folder: Path) -> None:
    checkpoint = Checkpoint.opened(folder, SETTINGS)
    for epoch in (2, 3):
        checkpoint.save(_tensors(epoch), epoch, RECORDS)
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint-3.safetensors",
        "checkpoint.json",
    ]
    checkpoint.clear()
    assert not folder.exists()


def test_other_settings_are_refused_by_name(folder: Path) -> None:
    other = {"recipe": {"schedule": {"epochs": 5}, "half": False}, "seed": 1}
    with pytest.raises(
        UserError, match=r"other settings: epochs 3, now 5; seed 0, now 1\. .*remove .*checkpoint"
    ):
        Checkpoint.opened(folder, other)


@pytest.mark.parametrize("step", ["tensors", "document", "removal"])
def test_a_kill_between_two_writes_leaves_one_whole_state(
    step: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is that of epoch 1 until the document is renamed, then that of epoch 2."""

    class KilledError(BaseException):
        pass

    renamed: list[str] = []
    rename, remove = os.replace, os.unlink

    def killed_at_rename(source: Any, target: Any, **more: Any) -> None:
        if len(renamed) == ("tensors", "document").index(step):
            raise KilledError
        renamed.append(str(target))
        rename(source, target, **more)

    def killed_at_removal(path: Any, **more: Any) -> None:
        if str(path).endswith("checkpoint-1.safetensors"):
            raise KilledError
        remove(path, **more)

    with monkeypatch.context() as patch:
        if step == "removal":
            patch.setattr(os, "unlink", killed_at_removal)
        else:
            patch.setattr(os, "replace", killed_at_rename)
            patch.setattr(os, "unlink", lambda path, **more: None)  # nothing is tidied up
        with pytest.raises(KilledError):
            Checkpoint.opened(folder, SETTINGS).save(_tensors(2.0), 2, RECORDS)
    found = Checkpoint.opened(folder, SETTINGS)
    assert found.epoch == (2 if step == "removal" else 1)
    assert torch.equal(found.tensors()["model.weight"], _tensors(found.epoch)["model.weight"])
    found.save(_tensors(2.0), 2, RECORDS)
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint-2.safetensors",
        "checkpoint.json",
    ]


def test_a_disk_that_fills_up_leaves_the_earlier_state(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    checkpoint = Checkpoint.opened(folder, SETTINGS)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            UserError, match=r"disk is full: .*Free some space.*: it resumes after epoch 1\."
        ):
            checkpoint.save(_tensors(2.0), 2, RECORDS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert Checkpoint.opened(folder, SETTINGS).epoch == 1


def _without(key: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "checkpoint.json"
        document = json.loads(path.read_text())
        del document[key]
        path.write_text(json.dumps(document))

    return edit


def _truncated(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-30])

    return edit


def _another_epoch(folder: Path) -> None:
    path = folder / "checkpoint.json"
    path.write_text(path.read_text().replace('"epoch": 1', '"epoch": 2', 1))


def _no_tensors(folder: Path) -> None:
    (folder / "checkpoint-1.safetensors").unlink()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a key missing": (_without("tensors"), "not a checkpoint of this version.*: tensors: "),
    "no settings": (_without("settings"), "not a checkpoint of this version.*: settings: "),
    "no hash": (_without("content_sha256"), "was changed after it was written"),
    "another version": (_without("tensors_sha256"), "not a checkpoint of this version"),
    "a changed epoch": (_another_epoch, "was changed after it was written"),
    "document truncated": (_truncated("checkpoint.json"), "truncated or not JSON"),
    "tensors truncated": (_truncated("checkpoint-1.safetensors"), "truncated or was changed"),
    "tensors missing": (_no_tensors, "No such file or directory"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_sentence_with_a_way_out(name: str, folder: Path) -> None:
    edit, said = DAMAGE[name]
    edit(folder)
    with pytest.raises(UserError, match=said) as error:
        Checkpoint.opened(folder, SETTINGS).tensors()
    assert error.value.way_out == (
        f"Remove {folder} and run the same command again, which starts the training again."
    )


@given(data=st.data())
def test_one_flipped_bit_is_noticed_or_changes_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    Checkpoint.opened(folder, SETTINGS).save(_tensors(1.0), 1, RECORDS)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found = Checkpoint.opened(folder, SETTINGS)
        tensors = found.tensors()
    except UserError:
        return
    assert (found.epoch, found.records) == (1, RECORDS)
    assert all(torch.equal(tensors[name], value) for name, value in _tensors(1.0).items())


def test_a_checkpoint_of_an_earlier_version_is_refused(folder: Path) -> None:
    """It names its settings by a hash alone, so that nobody can tell what it was trained on."""
    old = {"epoch": 1, "tensors": "checkpoint-1.safetensors", "settings": "ab12", "records": []}
    (folder / "checkpoint.json").write_text(json.dumps(seal(old)))
    with pytest.raises(UserError, match="not a checkpoint of this version of edgecmp"):
        Checkpoint.opened(folder, SETTINGS)
