"""IMDb-Face.csv with local images: boxes on stored sizes, missing images, the hold-out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing

HEADER = "name,index,image,rect,height width,url\n"
ONE = Preprocessing(input_size=1)


def photo(path: Path, size: tuple[int, int] = (80, 40)) -> Path:
    """A red face at 20..40 x 10..30 of an 80x40 photograph of blue, stored at `size`."""
    image = Image.new("RGB", (80, 40), (0, 0, 255))
    image.paste((255, 0, 0), (20, 10, 40, 30))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize(size, Image.Resampling.NEAREST).save(path, quality=100, subsampling=0)
    return path


def row(index: str, image: str, rect: str = "20 10 40 30", size: str = "40 80") -> str:
    return f'"A Name, Jr.",{index},{image},{rect},{size},http://dead.example/{image}.jpg\n'


def fill(root: Path, people: int = 40, images: int = 2) -> Path:
    rows = []
    for person in range(people):
        for image in range(images):
            suffix = ("jpg", "png")[image % 2]
            size = (80, 40) if person % 2 else (160, 80)
            photo(root / f"nm{person:07d}" / f"rm{image}.{suffix}", size)
            rows.append(row(f"nm{person:07d}", f"rm{image}"))
    (root / "IMDb-Face.csv").write_text(HEADER + "".join(rows))
    return root / "IMDb-Face.csv"


def test_faces_are_cut_from_images_of_any_stored_size(tmp_path: Path) -> None:
    data = load_dataset(fill(tmp_path))
    assert (len(data.train) + len(data.validation), len(data.test)) == (80, 0)
    pixels = data.train.pixels(ONE)
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 2  # JPEG
    assert data.train.keys[0].endswith("/rm0#20,10,40,30")
    assert set(data.train.identity_names) < {f"nm{person:07d}" for person in range(40)}
    with pytest.raises(
        UserError, match=r"has no test split\. Assign images to the split 'test', set test_share in"
    ):
        data.retrieval("test")


def test_five_percent_of_the_people_are_held_out_by_default(tmp_path: Path) -> None:
    file = fill(tmp_path / "data", people=60, images=1)
    data = load_dataset(file)
    assert (len(data.train.identity_names), len(data.validation.identity_names)) == (57, 3)
    description = tmp_path / "faces.toml"
    description.write_text(
        'path = "data/IMDb-Face.csv"\nvalidation_share = 0.1\ntest_share = 0.5\nmargin = 0.25\n'
    )
    shared = load_dataset(description)
    sizes = [len(getattr(shared, s).identity_names) for s in ("train", "validation", "test")]
    assert sizes == [27, 3, 30]


def test_a_margin_is_added_on_each_side_and_ends_at_the_edge(tmp_path: Path) -> None:
    photo(tmp_path / "faces" / "nm1" / "rm1.png")
    photo(tmp_path / "faces" / "nm2" / "rm1.png", (40, 20))
    (tmp_path / "list.csv").write_text(HEADER + row("nm1", "rm1") + row("nm2", "rm1"))
    description = tmp_path / "faces.toml"
    text = 'path = "list.csv"\nformat = "imdb-face"\nimages = "faces"\nmargin = '
    description.write_text(text + "0.5")
    data = load_dataset(description)
    for images in (data.train, data.validation):
        image = images.source.image(0)
        assert image.size in ((40, 40), (20, 20))  # 10 of 20 more on each side, up to the edge
    source = data.train.source
    big = np.asarray(source.image([key[:3] for key in source.keys].index("nm1")))
    with Image.open(tmp_path / "faces" / "nm1" / "rm1.png") as stored:
        assert np.array_equal(big, np.asarray(stored.crop((10, 0, 50, 40))))
    description.write_text(text + "-1")
    with pytest.raises(UserError, match="margin: input should be greater"):
        load_dataset(description)


def test_missing_images_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = fill(tmp_path / "data", people=8)
    (tmp_path / "data" / "nm0000001" / "rm0.jpg").unlink()
    (tmp_path / "data" / "nm0000003" / "rm1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"2 of 16 images .* nm0000001/rm0#.*no such file"):
        load_dataset(file)
    description = tmp_path / "d.toml"
    description.write_text('path = "data/IMDb-Face.csv"\non_bad_image = "skip"\n')
    data = load_dataset(description)
    assert len(data.train) + len(data.validation) == 14
    assert "2 of 16 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("", "lists no face"),
        (row("nm1", "rm1", rect="1 2 3"), "line 2: rect: '1 2 3' is not 4 whole numbers"),
        (row("nm1", "rm1", rect="1 2 x 4"), "line 2: rect"),
        (row("nm1", "rm1", rect="9 2 9 4"), r"is 1 row .* without an area .* nm1/rm1#9,2,9,4 .li"),
        (row("nm1", "rm1", rect="1 2 3 " + "9" * 30), "line 2: rect.3: input should be less"),
        (row("nm1", "rm1", rect="1 2 3 " + "9" * 5000), "line 2: rect: '1 2 3 9{34}' is not 4 wh"),
        (row("nm1", "rm1", size=f"{10**400} 80"), "line 2: height width.0: input should be less"),
        (row("..", "rm1"), "line 2: index: '..' is not a name"),
        (row("nm1", "."), "line 2: image: '.' is not a name"),
        (row("nm1\0", "rm1"), "1 of 1 image.* cannot be read"),
        (row("nm1", "rm1", size="40"), "line 2: height width: '40' is not 2 whole numbers"),
        (row("nm1", "rm1", size="0 80"), "line 2: height width"),
        (row("", "rm1"), "line 2: the index is empty"),
        (row("../nm1", "rm1"), "line 2: index"),
        (
            row("nm1", "rm1") + row("nm1", "rm1", size="80 160"),
            "line 3: nm1/rm1#20,10,40,30 is listed twice, .* 80 160 here and 40 80 in an earlier",
        ),
        (row("nm1", "rm1", rect="100 100 120 120"), "lies outside the 80x40 image"),
        ('"nm1,rm', "is not valid CSV after line 1"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, rows: str, says: str) -> None:
    photo(tmp_path / "nm1" / "rm1.png")
    (tmp_path / "faces.csv").write_text(HEADER + rows)
    with pytest.raises(UserError, match=says):
        load_dataset(tmp_path / "faces.csv")


def test_identical_rows_of_the_release_are_merged_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = fill(tmp_path / "once", people=8)
    expected = load_dataset(file).train
    assert "Merged" not in capsys.readouterr().err
    rows = file.read_text().splitlines(keepends=True)
    other_url = rows[3].replace("http://dead.example", "http://mirror.example")
    file.write_text("\ufeff" + "".join([*rows, rows[1], "\n", *rows[1:4], other_url]))
    train = load_dataset(file).train
    assert (train.keys, train.fingerprint) == (expected.keys, expected.fingerprint)
    assert "Merged 5 rows of" in capsys.readouterr().err


def test_rects_without_area_are_named_or_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = fill(tmp_path / "data", people=8)
    flat = [row("nm0000001", "rm0", rect=rect) for rect in ("9 2 9 4", "5 4 3 9", "0 0 0 0")]
    file.write_text(file.read_text() + "".join(flat) + flat[0])
    with pytest.raises(
        UserError, match=r"There are 4 rows of .* without an area .*line 18.*on_bad"
    ):
        load_dataset(file)
    (tmp_path / "d.toml").write_text('path = "data/IMDb-Face.csv"\non_bad_image = "skip"\n')
    data = load_dataset(tmp_path / "d.toml")
    assert len(data.train) + len(data.validation) == 16
    told = capsys.readouterr().err
    assert "Left out 4 rows of" in told
    assert "nm0000001/rm0#5,4,3,9 (line 19)" in told


def test_a_folder_that_is_missing_and_a_format_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text(HEADER + row("nm1", "rm1"))
    description = tmp_path / "d.toml"
    description.write_text('path = "faces.csv"\nimages = "nowhere"\n')
    with pytest.raises(
        UserError, match=r"The image folder .*nowhere of .* does not exist.*images = "
    ):
        load_dataset(description)
    description.write_text('path = "faces.csv"\nformat = "imdb"\n')
    with pytest.raises(UserError, match=r"Unknown format 'imdb'\. Did you mean imdb-face\?"):
        load_dataset(description)
    description.write_text('path = "faces.csv"\nmargn = 1\n')
    with pytest.raises(UserError, match=r"Unknown key 'margn' in .*\. Did you mean margin\?"):
        load_dataset(description)
    (tmp_path / "other.csv").write_text("path,identity\nx,y\n")
    description.write_text('path = "other.csv"\nformat = "imdb-face"\n')
    with pytest.raises(UserError, match="no column 'index'"):
        load_dataset(description)
