"""The lists of an IJB-C folder are read correctly, and errors name the wrong line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecmp.data.ijbc import read_ijbc
from edgecmp.errors import UserError
from tests.fixtures.orl import Orl, write_ijbc

FACES, POINTS, PAIRS = (
    f"ijbc_{name}.txt" for name in ("face_tid_mid", "name_5pts_score", "template_pair_label")
)
G1, G2, PROBES = (f"ijbc_1N_{name}.csv" for name in ("gallery_G1", "gallery_G2", "probe_mixed"))


@pytest.fixture(scope="module")
def orl(tmp_path_factory: pytest.TempPathFactory) -> Orl:
    return write_ijbc(tmp_path_factory.mktemp("orl") / "IJBC")


@pytest.fixture
def copy(orl: Orl, tmp_path: Path) -> Path:
    """A folder with a copy of the lists and a link to the images."""
    shutil.copytree(orl.folder / "meta", tmp_path / "meta")
    (tmp_path / "loose_crop").symlink_to(orl.folder / "loose_crop")
    return tmp_path


def test_the_lists_are_read_as_written(orl: Orl) -> None:
    data = read_ijbc(orl.folder)
    for place, (name, template, medium, points, score) in enumerate(orl.faces):
        assert data.faces.names[place] == name
        assert data.template_ids[data.rows[place]] == template
        assert data.faces.media[place] == medium
        assert data.faces.points[place].tolist() == [list(point) for point in points]
        assert data.faces.scores[place] == np.float32(f"{score:.3f}")
    lists = data.protocols
    read = zip(
        data.template_ids[lists.pairs.enrolled].tolist(),
        data.template_ids[lists.pairs.probes].tolist(),
        lists.pairs.genuine.astype(int).tolist(),
        strict=True,
    )
    assert list(read) == orl.pairs
    assert [len(part.rows) for part in (lists.g1, lists.g2, lists.probes)] == [15, 15, 120]
    for part in (lists.g1, lists.g2, lists.probes):
        ids = data.template_ids[part.rows].tolist()
        assert ids == sorted(ids)
        assert [orl.subjects[template] for template in ids] == part.subjects.tolist()
    assert not set(lists.g1.subjects) & set(lists.g2.subjects)


def line(number: int, text: str) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        lines[number - 1] = text

    return change


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        (FACES, line(3, "3.jpg 1"), r"Line 3 of .*face_tid_mid.*`name template media`"),
        (FACES, line(3, "3.jpg 1 x"), r"Line 3 of .*face_tid_mid"),
        (POINTS, line(7, "7.jpg 1 2 3 4 0.9"), r"Line 7 of .*5pts_score.*`name x1 y1"),
        (POINTS, line(7, "7.jpg" + " nan" * 11), r"Line 7 of .*5pts_score.*nan is no coordinate"),
        (POINTS, line(7, "7.jpg" + " 5" * 11), r"Line 7 of .*its five points are identical"),
        (POINTS, line(7, "9.jpg" + " 5" * 11), r"Line 7 of .*'9.jpg' instead of '7.jpg'"),
        (POINTS, lambda lines: lines.pop(), r"Line 400 of .*face_tid_mid.*'400.jpg' has no line"),
        (FACES, lambda lines: lines.pop(), r"Line 400 of .*5pts_score.*instead of the end"),
        (PAIRS, line(11, "1 2"), r"Line 11 of .*pair_label.*`template template 0\|1`, got '1 2'"),
        (PAIRS, line(11, "1 2 3"), r"Line 11 of .*pair_label.*'1 2 3'"),
        (PAIRS, line(11, "1 x 0"), r"Line 11 of .*pair_label.*'1 x 0'"),
        (PAIRS, line(11, f"1 {10**30} 0"), r"Line 11 of .*pair_label"),
        (FACES, line(3, f"3.jpg 1 {10**30}"), r"Line 3 of .*face_tid_mid.*`name template media`"),
        (FACES, line(3, "3.jpg 1 " + "9" * 5000), r"Line 3 of .*got '3.jpg 1 9{72}\.\.\.'\."),
        (
            POINTS,
            line(7, "7.jpg" + " 1" * 9 + " 1e308 0.9"),
            r"Line 7 of .*1e\+308 is no coordinate",
        ),
        (POINTS, line(7, "7.jpg" + " 1 2" * 5 + " 1e39"), r"Line 7 of .*1e\+39 is no coordinate"),
        (G1, line(2, f"1,{10**30},img/1.jpg"), r"Line 2 of .*G1.csv.*TEMPLATE_ID,SUBJECT_ID"),
        (G1, line(2, "1," + "9" * 200_000), r"Line 2 of .*G1.csv.*TEMPLATE_ID,SUBJECT_ID"),
        (PAIRS, line(11, "1 9999 0"), r"Line 11 of .*pair_label.*template 9999 has no image"),
        (PAIRS, lambda lines: lines.clear(), r"pair_label.txt is empty"),
        (FACES, lambda lines: lines.__setitem__(slice(None), [" "]), r"face_tid_mid.txt is empty"),
        (
            PAIRS,
            lambda lines: lines.__delitem__(slice(1, None)),
            r"lists 1 genuine pairs among 1 pairs",
        ),
        (G1, line(1, "1,1,img/1.jpg"), r"Line 1 of .*G1.csv.*expected the header"),
        (G1, line(2, "1;1;img/1.jpg"), r"Line 2 of .*G1.csv.*TEMPLATE_ID,SUBJECT_ID"),
        (
            G1,
            line(3, "1,2,img/2.jpg"),
            r"Line 3 of .*G1.csv.*has subject 2 here and subject 1 in line 2",
        ),
        (G2, line(2, "9999,77,img/1.jpg"), r"Line 2 of .*G2.csv.*template 9999 has no image"),
        (G2, line(2, "2,1,img/1.jpg"), r"share 1 subjects, such as 1"),
        (PROBES, lambda lines: lines.__delitem__(slice(1, None)), r"mixed.csv lists no templates"),
    ],
)
def test_a_wrong_line_is_named(
    copy: Path, file: str, change: Callable[[list[str]], None], says: str
) -> None:
    path = copy / "meta" / file
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{text}\n" for text in lines))
    with pytest.raises(UserError, match=says):
        read_ijbc(copy)


@pytest.mark.parametrize("file", [FACES, POINTS, PAIRS, G1, G2, PROBES])
def test_a_missing_list_is_named(copy: Path, file: str) -> None:
    (copy / "meta" / file).unlink()
    with pytest.raises(UserError, match=rf"{file} cannot be read: No such file"):
        read_ijbc(copy)


def test_missing_images_are_named_before_work_begins(copy: Path, tmp_path: Path) -> None:
    (copy / "loose_crop").unlink()
    with pytest.raises(UserError, match="loose_crop is not a folder"):
        read_ijbc(copy)
    (copy / "loose_crop").mkdir()
    with pytest.raises(UserError, match=r"400 of 400 images .* such as 1\.jpg"):
        read_ijbc(copy)


def test_the_line_is_counted_with_blank_lines(copy: Path) -> None:
    path = copy / "meta" / PAIRS
    lines = path.read_text().splitlines()
    path.write_text("\n\n".join([*lines[:5], "1 9999 0", *lines[5:]]))
    with pytest.raises(UserError, match=r"Line 11 of .*template 9999 has no image"):
        read_ijbc(copy)


@pytest.mark.parametrize("file", [FACES, PAIRS, G1])
def test_pipes_are_refused_at_once(copy: Path, file: str) -> None:
    (copy / "meta" / file).unlink()
    os.mkfifo(copy / "meta" / file)
    with pytest.raises(UserError, match=rf"{file} is not a file\."):
        read_ijbc(copy)


def test_byte_order_marks_and_more_spaces_do_not_matter(copy: Path, orl: Orl) -> None:
    expected = read_ijbc(orl.folder)
    for path in (copy / "meta").iterdir():
        text = path.read_text()
        text = text.replace(",", " , ") if path.suffix == ".csv" else text.replace(" ", " \t ")
        path.write_text("\ufeff" + text)
    found = read_ijbc(copy)
    assert found.faces.names == expected.faces.names
    assert np.array_equal(found.faces.points, expected.faces.points)
    assert np.array_equal(found.protocols.pairs.enrolled, expected.protocols.pairs.enrolled)
    assert np.array_equal(found.protocols.g1.subjects, expected.protocols.g1.subjects)


def test_blank_lines_and_windows_line_ends_do_not_matter(copy: Path, orl: Orl) -> None:
    expected = read_ijbc(orl.folder)
    for path in (copy / "meta").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    found = read_ijbc(copy)
    assert found.faces.names == expected.faces.names
    assert np.array_equal(found.faces.points, expected.faces.points)
    assert np.array_equal(found.protocols.pairs.probes, expected.protocols.pairs.probes)
    assert np.array_equal(found.protocols.probes.subjects, expected.protocols.probes.subjects)
