"""How commands end: what the user can mend is a sentence, a closed pipe is quiet, a bug is told."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgecmp import api
from edgecmp.cli.app import app
from edgecmp.errors import UserError
from edgecmp.gallery.index import GalleryIndex
from edgecmp.networks.architecture import Architecture
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_search import save_small_models

ROOT = Path(__file__).parents[2]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Lets `edgecmp flops` fail."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(api, "count_flops", fail)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENAMETOOLONG, "File name too long. Use a shorter name."),
        (errno.ELOOP, "Remove the link"),
        (errno.ENOTDIR, "Not a directory. Check that the path is right."),
        (errno.EISDIR, "Is a directory. Check that the path is right."),
        (errno.ENOENT, "No such file or directory. Check that the path is right."),
        (errno.EIO, "Check the disk or the network drive"),
        (errno.ESTALE, "Connect the network drive again"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EFBIG, "File too large. Free some disk space or name another path"),
        (errno.EDQUOT, "Disk quota exceeded. Free some disk space or name another path"),
    ],
)
def test_errors_of_the_users_machine_are_no_bugs(
    number: int, says: str, monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    failing(monkeypatch, OSError(number, os.strerror(number), "a\x1b[31mb"))
    result = edgecmp("flops", "a.json")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith("error: a\\x1b[31mb: ")
    assert says in result.err


def test_a_full_folder_for_temporary_files_is_named(
    monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    """Not the file in it, whose name the user has never seen."""
    for name in (f"{tempfile.gettempdir()}/tmp_x7/network0.tflite", None):
        failing(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name))
        result = edgecmp("flops", "a.json")
        assert result.code == 2
        assert f"in {tempfile.gettempdir()}, the folder for temporary files" in result.err
        assert "network0" not in result.err


def test_a_machine_without_a_folder_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    failing(monkeypatch, OSError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"))

    def no_folder() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", no_folder)
    result = edgecmp("flops", "a.json")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "environment variable TMPDIR" in result.err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "The memory of this machine is not enough. Close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "terminated"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"), "not UTF-8"),
    ],
)
def test_what_a_machine_lacks_is_told(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    failing(monkeypatch, error)
    result = edgecmp("flops", "a.json")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert says in result.err


@pytest.mark.parametrize(
    ("name", "extra"), [("ai_edge_litert.schema", "export"), ("pi_heif", "heic")]
)
def test_a_package_of_an_extra_is_named_with_it(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    failing(monkeypatch, ModuleNotFoundError(f"No module named {name!r}", name=name))
    result = edgecmp("flops", "a.json")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"{name}, which is not installed. Install it with `pip install 'edgecmp[{extra}]'`" in (
        result.err
    )


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes"),
        OSError(errno.EBADF, "bad"),
        OSError(),
        ModuleNotFoundError("No module named 'edgecmp.nowhere'", name="edgecmp.nowhere"),
    ],
)
def test_bugs_keep_their_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    failing(monkeypatch, error)
    result = edgecmp("flops", "a.json")
    assert result.code == 70
    assert "Traceback" in result.err


def program(*arguments: str) -> list[str]:
    """A command in a process of its own."""
    return [sys.executable, "-m", "edgecmp", *arguments]


def test_a_closed_pipe_ends_it_quietly() -> None:
    """As `edgecmp recipes | head -0`, whose reader has ended before anything is written."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        program("recipes"), stdout=write, stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="This system has no /dev/full.")
def test_output_to_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            program("recipes"), stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: No space left on device, where the output goes")
    assert done.stderr.count(b"\n") == 1


def options() -> list[Any]:
    """Each option of each command that names something to write."""
    import typer

    found = []

    def walk(command: Any, name: str) -> None:
        for child, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{name} {child}".strip())
        for option in command.params:
            has_default = "--out" in option.opts and option.default is not None
            if has_default:  # it is not written to by every call; the command checks it
                continue
            if {"--json", "--picture", "--results", "--out"} & {*option.opts}:
                found.append(pytest.param(option, id=f"{name} {option.opts[0]}"))

    walk(typer.main.get_command(app), "")
    return found


@pytest.mark.parametrize("option", options())
def test_what_cannot_be_written_is_refused_at_the_start(option: Any, tmp_path: Path) -> None:
    """A callback of the option sees the path before the command begins."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/x cannot be written: Not a directory"):
        option.callback(None, option, tmp_path / "file" / "x")


def test_a_finished_run_is_not_needed_to_see_a_wrong_path(
    tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    (tmp_path / "file").touch()
    for line in ("parity x.tflite --picture", "bench x.tflite --json", "gallery build --out"):
        result = edgecmp(*line.split(), tmp_path / "file" / "x")
        assert result.code == 2
        assert "file/x cannot be written: Not a directory" in result.err


EVIL = "a\x1b[31mb\r"


def test_names_cannot_control_the_terminal(tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    """A folder's name, a manifest's text and an error's text, with an escape and a return."""
    folder = tmp_path / EVIL
    folder.mkdir()
    Architecture.random("100M", seed=0, input_size=64).save(folder / "a.json")
    save_small_models(folder)
    data = write_identities(folder / "images", {"train": 2, "validation": 3, "test": 3})
    results = [
        edgecmp("flops", folder / "a.json", "--json", folder / "flops.json"),
        edgecmp("flops", folder / "no.json"),
        edgecmp(
            *("gallery", "build", "--data", data, "--model", folder / "gallery"),
            *("--out", folder / "index"),
        ),
        edgecmp("inspect", folder / "index", folder / "a.json"),
        edgecmp("inspect", folder / "nothing"),
        edgecmp("data", "shard", "--data", data, "--out", folder / "shards"),
        edgecmp("data", "shard", "--data", data, "--out", folder / "shards"),
        edgecmp(EVIL),
        edgecmp("flops", f"--{EVIL}"),
    ]
    for result in results:
        text = result.out + result.err
        assert "\x1b" not in text
        assert "\r" not in text
        assert "a\\x1b[31mb\\" in text
    assert [result.code for result in results] == [0, 2, 0, 0, 2, 0, 2, 2, 2]
    index = GalleryIndex.load(folder / "index")
    assert index.manifest.data["name"] == str(data)
    assert torch.isfinite(torch.from_numpy(index.embeddings)).all()


def test_names_that_are_not_utf8_are_shown(tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("This file system takes UTF-8 names only.")
    Architecture.random("100M", seed=0, input_size=64).save(folder / "a.json")
    result = edgecmp("flops", folder / "a.json", "--json", folder / "flops.json")
    assert result.code == 0, result.err
    assert "caf\\udce9/flops.json" in result.out
