"""Files and folders are written whole or not at all, and what a killed process left is removed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.storage import (
    check_writable,
    check_writable_folder,
    disk_errors,
    folder_lock,
    replacing_folder,
    temporary_folder,
    write_atomic,
    write_folder,
)
from edgecmp.storage import writing as storage
from tests.fixtures.small_disk import small_disk

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))


def hidden(folder: Path) -> list[str]:
    """The names of temporaries in a folder."""
    return [path.name for path in folder.rglob("*") if path.name.endswith(".part")]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@given(name=NAMES, old=st.binary(), new=st.binary())
def test_a_file_is_replaced_whatever_its_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, old: bytes, new: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    for content in (old, new):
        assert write_atomic(path, content).read_bytes() == content
    assert names(path.parent) == [name]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        assert write_atomic(tmp_path / name, b"1").read_bytes() == b"1"
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        write_atomic(tmp_path / ("x" * 256), b"1")
    with pytest.raises(UserError, match="contains a NUL character"):
        write_atomic(tmp_path / "a\0b", b"1")


def test_links_are_followed_and_devices_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    write_atomic(tmp_path / "real" / "file", b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"new"
    assert write_atomic(os.devnull, b"nothing") == Path(os.devnull)
    assert not Path(os.devnull).is_file()
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write_atomic(tmp_path / "pipe", b"through")
        assert reader.communicate()[0] == b"through"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_atomic(tmp_path / "file", b"old")
    monkeypatch.setattr(os if step == "fsync" else Path, step, full)
    with pytest.raises(UserError, match=r"The disk is full: .*/file was not written") as refusal:
        write_atomic(path, b"new")
    assert "Free some space" in refusal.value.way_out
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


FILES = {"a.bin": b"new a", "b.json": b"new b", "c.json": b"new c"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with earlier versions of two of the three files, and a file of the user."""
    for name in ("a.bin", "b.json", "mine"):
        write_atomic(tmp_path / "out" / name, b"old " + name.encode())
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_is_written_together(folder: Path) -> None:
    write_folder(folder, {**FILES, "c.json": lambda path: path.write_bytes(b"new c")})
    assert contents(folder) == {**FILES, "mine": b"old mine"}
    assert names(folder.parent) == ["out"]


@pytest.mark.parametrize("number", range(11))
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_folder_whose_writing_fails_is_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException
) -> None:
    """At any of its steps, even between the renames."""
    before, real_link, steps = contents(folder), os.link, []

    def guarded(real: Callable[..., object]) -> Callable[..., object]:
        def step(*given: object, **named: object) -> object:
            steps.append(real)
            if len(steps) == number + 1:
                raise error
            return real(*given, **named)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", guarded(Path.write_bytes))
        patch.setattr(storage, "_sync", guarded(storage._sync))
        patch.setattr(Path, "replace", guarded(Path.replace))
        patch.setattr(os, "link", guarded(os.link))
        try:
            write_folder(folder, FILES)
        except (UserError, KeyboardInterrupt):
            expected = before
        else:  # without hard links, files are copied
            assert steps[number] == real_link
            expected = {**before, **FILES}
    assert contents(folder) == expected
    assert hidden(folder) == []


def test_errors_name_the_path_of_the_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(path: Path) -> None:
        write_atomic(path, b"picture")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(UserError) as refusal:
            write_folder(folder, {"picture.png": draw})
    assert refusal.value.what.startswith(f"The disk is full: {folder}/picture.png was not written")
    with pytest.raises(UserError) as refusal, replacing_folder(folder / "package") as new:
        raise UserError(f"{new}/model is wrong.", f"Look at {new}/model.")
    assert str(refusal.value) == (
        f"{folder}/package/model is wrong. Look at {folder}/package/model."
    )


@pytest.mark.parametrize("exchange", [True, False])
def test_a_whole_folder_is_replaced(
    exchange: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:  # a file system that cannot
        monkeypatch.setattr(storage, "_exchange", lambda *_: False)
    before = contents(folder)
    with pytest.raises(ZeroDivisionError), replacing_folder(folder) as new:
        (new / "half").write_bytes(bytes(1 // 0))
    assert contents(folder) == before
    with replacing_folder(folder) as new:
        (new / "sub").mkdir()
        (new / "sub" / "file").write_bytes(b"new")
    assert contents(folder) == {"sub/file": b"new"}
    link = folder.with_name("link")
    link.symlink_to(folder)
    with replacing_folder(link) as new:
        (new / "file").write_bytes(b"through the link")
    assert link.is_symlink()
    assert contents(folder) == {"file": b"through the link"}
    assert names(folder.parent) == ["link", "out"]


def test_a_list_of_failed_copies_is_one_sentence(tmp_path: Path) -> None:
    for number in (errno.ENOSPC, errno.EACCES):
        failed = [("from", f"{tmp_path}/to", str(OSError(number, os.strerror(number))))]
        with pytest.raises(UserError) as refusal, disk_errors(tmp_path):
            raise shutil.Error(failed)
        assert "[" not in str(refusal.value)
        assert ("The disk is full" in str(refusal.value)) == (number == errno.ENOSPC)
    with pytest.raises(ValueError, match="of the work"), disk_errors(tmp_path):
        raise ValueError("a null of the work itself, not of a name")


KILLED = """
import os, signal
from pathlib import Path
from edgecmp.storage import writing as storage
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
storage.{call}
"""


@pytest.mark.parametrize(
    "call", ["write_atomic('out/file', b'1')", "write_folder('out', {'file': b'1'})"]
)
def test_what_a_killed_process_left_is_removed_by_the_next_write(call: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    program = [sys.executable, "-c", KILLED.format(call=call)]
    env = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run(program, cwd=tmp_path, env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(hidden(tmp_path / "out")) == 1
    write_atomic(tmp_path / "out" / "other", b"2")
    assert len(hidden(tmp_path / "out")) == 1, "a temporary of another file was removed"
    if call.startswith("write_atomic"):
        write_atomic(tmp_path / "out" / "file", b"3")
    else:
        write_folder(tmp_path / "out", {"file": b"3"})
    assert hidden(tmp_path / "out") == []
    assert (tmp_path / "out" / "file").read_bytes() == b"3"


def test_a_temporary_that_is_in_use_is_not_removed(tmp_path: Path) -> None:
    with temporary_folder(tmp_path, "x") as first, temporary_folder(tmp_path, "x") as second:
        assert first.is_dir()
        assert second.is_dir()
        write_atomic(tmp_path / "x", b"1")
        assert first.is_dir()
    assert names(tmp_path) == ["x"]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds a folder until it is ended."""
    program = (
        "import sys, time\nfrom edgecmp.storage import folder_lock\n"
        f"with folder_lock({str(tmp_path / 'out')!r}, 'test'):\n"
        "    print('held', flush=True)\n    time.sleep(60)"
    )
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_one_process_holds_a_folder(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=rf"Another training is writing to {out}\."):
        folder_lock(out, "training").__enter__()
    with pytest.raises(UserError, match=r"Another training is writing to what was named\."):
        folder_lock(out, "training", named=Path("what was named")).__enter__()
    with folder_lock(tmp_path / "another", "training"):
        pass
    holder.kill()  # as `kill -9` does: no lock stays behind
    holder.wait()
    for _ in range(2):
        with folder_lock(out, "training"):
            pass


def test_a_folder_to_which_nothing_was_written_is_gone_again(tmp_path: Path) -> None:
    with pytest.raises(UserError), folder_lock(tmp_path / "new" / "out", "test"):
        raise UserError("Refused.", "Ask again.")
    assert not (tmp_path / "new").exists()
    kept = tmp_path / "kept"
    kept.mkdir()
    with folder_lock(kept, "test"):
        pass
    with folder_lock(tmp_path / "written", "test"):
        write_atomic(tmp_path / "written" / "file", b"1")
    assert kept.is_dir()
    assert (tmp_path / "written" / "file").is_file()


def test_a_lock_of_a_removed_folder_is_none(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "out", "test"):
        shutil.rmtree(tmp_path / "out")
        with folder_lock(tmp_path / "out", "test"):
            assert (tmp_path / "out").is_dir()


@pytest.mark.parametrize("check", [check_writable, check_writable_folder])
def test_unwritable_places_are_refused_before_the_work(
    check: Callable[[Path], Path], tmp_path: Path
) -> None:
    write_atomic(tmp_path / "file", b"1")
    (tmp_path / "loop").symlink_to("loop")
    for path, reason in (
        (tmp_path / "file" / "x", "Not a directory"),
        (tmp_path / "file" / "x" / "y", "Not a directory"),
        (tmp_path / ("x" * 256), "File name too long"),
        (tmp_path / "loop", "Too many"),
        (tmp_path / "a\0b", "NUL character"),
    ):
        with pytest.raises(UserError, match=reason):
            check(path)
    assert check(tmp_path / "new" / "deep" / "x") == tmp_path / "new" / "deep" / "x"
    assert names(tmp_path) == ["file", "loop"]
    with pytest.raises(UserError, match="is a f"):
        check(tmp_path if check is check_writable else tmp_path / "file")
    assert check_writable(os.devnull) == Path(os.devnull)


def test_a_folder_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's answer is made up, because root may write anywhere."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    for check in (check_writable, check_writable_folder):
        with pytest.raises(UserError, match=r"/x cannot be written: Permission denied"):
            check(tmp_path / "new" / "x")


def test_a_real_disk_that_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=256) as disk:
        fill_and_fail(disk)


def fill_and_fail(disk: Path) -> None:
    """Writes more than the disk holds in every way; it has 256 kB."""
    out = disk / "out"
    write_folder(out, {"a": b"a" * 60_000, "b": b"b" * 20_000})
    before = contents(out)
    with pytest.raises(UserError, match="The disk is full"):
        write_atomic(out / "a", bytes(200_000))
    for sizes in ((1000, 200_000), (150_000, 60_000)):
        with pytest.raises(UserError, match="The disk is full"):
            write_folder(out, {name: bytes(size) for name, size in zip("ab", sizes, strict=True)})
        assert contents(out) == before
    with pytest.raises(UserError, match="The disk is full"), replacing_folder(out) as new:
        (new / "a").write_bytes(bytes(200_000))
    assert contents(out) == before
    assert names(disk) == ["out"]
    assert hidden(disk) == []
    write_folder(out, {"a": b"1", "b": b"2"})
    assert contents(out) == {"a": b"1", "b": b"2"}


def test_writing_many_files_stays_fast(tmp_path: Path) -> None:
    """Looking for stale temporaries costs little in a folder with many files."""
    for number in range(2000):
        (tmp_path / f"{number}").touch()
    start = time.perf_counter()
    for _ in range(20):
        write_atomic(tmp_path / "x", b"1")
    assert time.perf_counter() - start < 5
