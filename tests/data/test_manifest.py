"""Manifests as users have them: names of columns, boxes, separators, paths, repeated rows."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgecmp.data import load_dataset
from edgecmp.data.boxes import BoxColumns, blank, is_relative
from edgecmp.data.image_files import ImageRecord, check_files
from edgecmp.data.manifest import read_manifest
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing

SMALL = Preprocessing(input_size=8)
BOX = (10.0, 4.0, 30.0, 12.0)
"""In an image of 40 x 16 pixels: its red part."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """a.png, blue with a red rectangle at BOX."""
    picture = Image.new("RGB", (40, 16), (0, 0, 200))
    picture.paste((200, 0, 0), (10, 4, 30, 12))
    picture.save(tmp_path / "a.png")
    return tmp_path


def manifest(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def only(path: Path, **options: object) -> ImageRecord:
    (record,) = read_manifest(path, **options)  # type: ignore[arg-type]
    return record


CORNERS, SIZES = "10,4,30,12", "10,4,20,8"


@pytest.mark.parametrize(
    ("columns", "numbers"),
    [
        ("x1,y1,x2,y2", CORNERS),
        ("X1,Y1,X2,Y2", CORNERS),
        ("x_1,y_1,x_2,y_2", CORNERS),
        ("xmin,ymin,xmax,ymax", CORNERS),
        ("x_min,y_min,x_max,y_max", CORNERS),
        ("left,top,right,bottom", CORNERS),
        ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", CORNERS),
        ("x,y,w,h", SIZES),
        ("X,Y,Width,Height", SIZES),
        ("left,top,width,height", SIZES),
        ("bbox_x,bbox_y,bbox_w,bbox_h", SIZES),
        ("x1,y1,x2,y2,width,height", CORNERS + ",40,16"),
        ("box", '"10,4,30,12"'),
        ("Box", '"[10, 4, 30.0, 12]"'),
    ],
)
def test_boxes_by_their_usual_names_show_the_same_pixels(
    photo: Path, columns: str, numbers: str
) -> None:
    record = only(manifest(photo, f"path,identity,split,{columns}\na.png,a,train,{numbers}\n"))
    assert record.box == BOX
    assert record.key == "a.png#10,4,30,12"
    pixels = load_dataset(photo / "m.csv").train.pixels(SMALL)
    assert (pixels[0, 3:5] == (200, 0, 0)).all()
    assert not (pixels == (0, 0, 200)).all(-1).any()


@pytest.mark.parametrize(
    ("box_format", "cell"),
    [("xyxy", "10 4 30 12"), ("xywh", "10 4 20 8"), ("xywh", "(10; 4; 20; 8)")],
)
def test_a_box_in_one_column_is_read_as_the_description_says(
    photo: Path, box_format: str, cell: str
) -> None:
    path = manifest(photo, f'path,identity,split,bbox\na.png,a,train,"{cell}"\n')
    with pytest.raises(UserError, match=r"'bbox', which may be .* box_format"):
        read_manifest(path)
    assert only(path, box_format=box_format).box == BOX
    manifest(photo, f'path = "m.csv"\nbox_format = "{box_format}"\n', "d.toml")
    assert load_dataset(photo / "d.toml").train.keys == ("a.png#10,4,30,12",)


@pytest.mark.parametrize("bbox", [[10, 4, 20, 8], "10 4 20 8", None])
def test_jsonl_has_boxes_in_one_field(photo: Path, bbox: object) -> None:
    row = {"path": "a.png", "identity": 1, "BBox": bbox}
    path = manifest(photo, json.dumps(row), "m.jsonl")
    assert only(path, box_format="xywh").box == (None if bbox is None else BOX)


@pytest.mark.parametrize(
    ("columns", "cells", "message"),
    [
        ("x1,y1", "1,2", r"not understood, in x1, y1.*needs all of"),
        ("x,y", "1,2", r"not understood, in x, y"),
        ("x1,y1,x2", "1,2,9", r"in x1, y1, x2"),
        ("x0,y0,x1,y1", "1,2,9,9", r"in x1, y1, x0, y0"),
        ("cx,cy,w,h", "10,10,9,9", r"in cx, cy"),
        ("x_center,y_center,width,height", "10,10,9,9", r"in x_center, y_center"),
        ("my_bbox", "1 2 3 4", r"in my_bbox"),
        ("x1,y1,x2,y2,xmin", "1,2,9,9,1", r"in x1, xmin, y1, x2, y2"),
        ("box,x1,y1,x2,y2", "1 2 9 9,1,2,9,9", r"several boxes, in x1, y1, x2, y2, box"),
        ("box,bbox", "1 2 9 9,1 2 9 9", r"several boxes"),
        ("x1,y1,x2,y2", "1,2,,9", r"line 2: the box in x1, y1, x2, y2 needs four numbers"),
        ("x1,y1,x2,y2", "1,2,nan,9", r"line 2: the box in x1, y1, x2, y2 needs four numbers"),
        ("box", "1 2 9", r"line 2: the box in box needs four numbers"),
        ("box", "10 4 5 9", r'has no area.*box_format = "xywh"'),
        ("x,y,w,h", "1,2,0,9", r"has no area: it needs width and height above 0"),
        ("x1,y1,x2,y2", "1,2,1e999,9", r"finite"),
        ("x1,y1,x2,y2", f"1,2,{10**400},9", r"line 2"),
    ],
)
def test_boxes_that_are_not_understood_are_refused_by_name(
    photo: Path, columns: str, cells: str, message: str
) -> None:
    path = manifest(photo, f"path,identity,{columns}\na.png,a,{cells}\n")
    with pytest.raises(UserError, match=message):
        read_manifest(path)


@pytest.mark.parametrize("column", ["top", "left", "width", "height,width", "area", "x"])
def test_columns_that_also_mean_other_things_are_no_box(photo: Path, column: str) -> None:
    path = manifest(photo, f"path,identity,{column}\na.png,a,7\n")
    assert only(path).box is None


def test_a_box_format_without_effect_is_refused(photo: Path) -> None:
    with pytest.raises(UserError, match="whose names say what they are"):
        read_manifest(
            manifest(photo, f"path,identity,x1,y1,x2,y2\na.png,a,{CORNERS}\n"), box_format="xywh"
        )
    with pytest.raises(UserError, match="has no boxes, so box_format has no effect"):
        read_manifest(manifest(photo, "path,identity\na.png,a\n"), box_format="xywh")


@pytest.mark.parametrize(
    ("columns", "numbers"),
    [("x1,y1,x2,y2", "0.25,0.25,0.75,0.75"), ("x,y,w,h", "0.25,0.25,0.5,0.5")],
)
def test_boxes_in_shares_are_scaled_to_the_image(
    photo: Path, capsys: pytest.CaptureFixture[str], columns: str, numbers: str
) -> None:
    manifest(photo, f"path,identity,split,{columns}\na.png,a,train,{numbers}\nb.png,b,train,,,,\n")
    Image.new("RGB", (8, 8)).save(photo / "b.png")
    train = load_dataset(photo / "m.csv").train
    assert train.source.image(0).size == (20, 8)
    assert (np.asarray(train.source.image(0)) == (200, 0, 0)).all()
    assert train.source.image(1).size == (8, 8)
    assert "read as shares" in capsys.readouterr().err


def test_one_row_in_pixels_makes_all_boxes_pixels_and_the_others_bad_images(photo: Path) -> None:
    path = manifest(
        photo, f"path,identity,x1,y1,x2,y2\na.png,a,{CORNERS}\na.png,b,0.2,0.2,0.9,0.9\n"
    )
    with pytest.raises(UserError, match=r"1 of 2 images .* covers only 1x1 pixels"):
        load_dataset(path)


@pytest.mark.parametrize("box", [(5, 5, 6, 9), (5.2, 5, 5.9, 9), (39, 0, 80, 16), (0, 15, 9, 99)])
def test_a_box_of_one_pixel_is_a_bad_image(photo: Path, box: tuple[float, ...]) -> None:
    record = ImageRecord(path=photo / "a.png", key="a", identity="a", box=box)  # type: ignore[arg-type]
    assert "covers only" in check_files([record])[1][0]


@pytest.mark.parametrize(
    "header",
    [
        "Path,Identity,Domain",
        "image_path,label,domain",
        "file-name,Product ID,domain",
        "filename,class,DOMAIN",
        " image , person_id , domain ",
    ],
)
def test_columns_have_other_usual_names(photo: Path, header: str) -> None:
    record = only(manifest(photo, f"{header}\na.png,12,shop\n"))
    assert (record.key, record.identity, record.domain) == ("a.png", "12", "shop")


def test_the_exact_name_wins_over_another_one(photo: Path) -> None:
    record = only(manifest(photo, "label,identity,image,path\nshoe,7,ignored,a.png\n"))
    assert (record.identity, record.key) == ("7", "a.png")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("path,label,class", "several columns that may be the identity: label, class"),
        ("path,idenity", "'idenity', which edgecmp does not know.*'identity'"),
        ("path,identity,spilt", "'spilt', which edgecmp does not know.*'split'"),
        ("path,identity,domian", "'domian'.*'domain'"),
        ("path,identity,domain,is_query", "both a column domain and columns is_query"),
        ("path,identity,path", "two columns 'path'"),
        ("path,who", "no column 'identity'.*path, who.*label or class"),
        ("a.png,anna", "does not name the columns; it is 'a.png,anna'.*path,identity"),
    ],
)
def test_wrong_headers_are_named(photo: Path, header: str, message: str) -> None:
    row = ",".join(["a.png"] * (header.count(",") + 1))
    with pytest.raises(UserError, match=message):
        read_manifest(manifest(photo, f"{header}\n{row}\n"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("path;identity\na.png;a\n", "m.csv"),
        ("path\tidentity\na.png\ta\n", "m.csv"),
        ("path\tidentity\na.png\ta\n", "m.tsv"),
        ("\ufeffpath,identity\r\na.png,a\r\n", "m.csv"),
        ("\n\n  \npath,identity\n\n,,\na.png,a,,\n\n", "m.csv"),
        ('\ufeff{"path": "a.png", "identity": "a"}\r\n\r\n', "m.jsonl"),
    ],
)
def test_separators_blank_lines_and_byte_order_marks(photo: Path, text: str, name: str) -> None:
    record = only(manifest(photo, text, name))
    assert (record.path, record.key, record.identity) == (photo / "a.png", "a.png", "a")


def test_a_comma_in_a_cell_without_quotes_is_noticed(photo: Path) -> None:
    path = manifest(photo, "path,identity\na,b.png,anna\n")
    with pytest.raises(UserError, match="line 2, has 3 cells, but the first line names 2 columns"):
        read_manifest(path)


def test_the_table_of_open_metric_learning_is_read_as_it_is(tmp_path: Path) -> None:
    rows = ["label,path,split,is_query,is_gallery,x_1,x_2,y_1,y_2,category"]
    for identity in range(4):
        for number in range(3):
            Image.new("RGB", (20, 10), (identity, number, 0)).save(
                tmp_path / f"{identity}{number}.png"
            )
            flags = ("", "") if identity < 2 else (str(number == 0), str(number > 0))
            split = "train" if identity < 2 else "validation"
            rows.append(
                f"{identity},{identity}{number}.png,{split},{','.join(flags)},2,12,1,9,shoe"
            )
    data = load_dataset(manifest(tmp_path, "\n".join(rows)))
    task = data.retrieval("validation")
    assert task.queries.keys == ("20.png#2,1,12,9", "30.png#2,1,12,9")
    assert len(task.gallery) == 4
    assert data.train.source.image(0).size == (10, 8)
    assert data.describe().endswith(
        "6 training images of 2 identities; hold-out: 2 queries of 2 identities, 4 gallery images "
        "of 2; with so few queries, 50 % means 9 to 91 % (95 % interval)."
    )


@pytest.mark.parametrize(
    ("header", "cells", "domains"),
    [
        ("is_query", ["1", "0"], ["query", "gallery"]),
        ("is_gallery", ["True", "False"], ["gallery", "query"]),
        ("is_query,is_gallery", ["1.0,0.0", "0.0,1.0"], ["query", "gallery"]),
        ("is_query,is_gallery", ["nan,nan", "yes,no"], ["", "query"]),
        ("split", ["Query", "gallery"], ["query", "gallery"]),
    ],
)
def test_flags_of_queries_and_gallery_become_domains(
    photo: Path, header: str, cells: list[str], domains: list[str]
) -> None:
    rows = [f"{number}.png,a,{cell}" for number, cell in enumerate(cells)]
    path = manifest(photo, "\n".join([f"path,identity,{header}", *rows]))
    assert [record.domain for record in read_manifest(path)] == domains


def test_images_that_are_query_and_gallery_at_once(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "path,identity,is_query,is_gallery\na.png,a,1,1\nb.png,a,1,1\n"
    assert {record.domain for record in read_manifest(manifest(photo, text))} == {""}
    assert "the first image of each identity forms the gallery" in capsys.readouterr().err
    with pytest.raises(UserError, match="line 2: the image is query and gallery at the same time"):
        read_manifest(manifest(photo, text + "c.png,a,1,0\n"))


@pytest.mark.parametrize("split", ["Train", "training", "VALID", "dev", "testing"])
def test_splits_have_other_usual_names(photo: Path, split: str) -> None:
    record = only(manifest(photo, f"path,identity,split\na.png,a,{split}\n"))
    assert record.split in ("train", "validation", "test")


def test_identical_rows_are_merged_and_counted(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "path,identity,split\na.png,a,test\n./a.png,a,test\nb.png,a,test\nc/../a.png,a,test\n"
    assert [record.key for record in read_manifest(manifest(photo, text))] == ["a.png", "b.png"]
    assert f"Merged 2 rows of {photo / 'm.csv'} with identical" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            "a.png,b,test,",
            "line 3: a.png is listed twice, with the identity 'b' and, in line 2, 'a'",
        ),
        ("a.png,a,train,", "with the split 'train'"),
        ("a.png,a,test,shop", "with the domain 'shop' and, in line 2, 'none'"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(
    photo: Path, second: str, message: str
) -> None:
    text = f"path,identity,split,domain\na.png,a,test,\n{second}\n"
    with pytest.raises(UserError, match=message):
        read_manifest(manifest(photo, text))


@pytest.mark.parametrize("folder", ["deep", "Ren\u00e9e"])
def test_backslashes_and_accents_find_the_file(tmp_path: Path, folder: str) -> None:
    stored = tmp_path / unicodedata.normalize("NFD", folder)
    stored.mkdir()
    Image.new("RGB", (8, 8)).save(stored / "1.png")
    record = only(manifest(tmp_path, f"path,identity\n{folder}\\1.png,a\n"))
    assert record.path.samefile(stored / "1.png")
    assert record.key == f"{folder}/1.png"
    record = only(manifest(tmp_path, f"path,identity\n{folder}/1.png,a\n"))
    assert record.path.samefile(stored / "1.png")
    assert record.key == f"{folder}/1.png"


def test_identities_are_one_in_either_form_of_an_accent(photo: Path) -> None:
    other = unicodedata.normalize("NFD", "Ren\u00e9e")
    path = manifest(photo, f"path,identity\na.png,Ren\u00e9e\nb.png,{other}\n")
    assert {record.identity for record in read_manifest(path)} == {"Ren\u00e9e"}


def test_a_name_with_a_backslash_is_kept_if_there_is_such_a_file(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a\\b.png")
    assert only(manifest(tmp_path, "path,identity\na\\b.png,a\n")).key == "a\\b.png"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("path,identity\na.png,nan\n", "m.csv", "line 2: identity: it is NaN"),
        ("path,identity\nNaN,a\n", "m.csv", "line 2: path: it is NaN"),
        ('{"path": "a.png", "identity": NaN}', "m.jsonl", "line 1: identity: it is NaN"),
        ('{"path": "a\\u0000.png", "identity": 1}', "m.jsonl", "path: it contains a NUL character"),
        ('{"path": "a.png", "identity": "\\ud800"}', "m.jsonl", "line 1: identity"),
        ('{"path": "a.png", "identity": true}', "m.jsonl", "line 1: identity"),
        ("[" * 100_000, "m.jsonl", "line 1, is not JSON"),
        ('{"path": "a.png", "identity": ' + "[" * 100_000, "m.jsonl", "is not JSON"),
        ('{"path": "a.png", "identity": 1' + "0" * 5000 + "}", "m.jsonl", "line 1, is not JSON"),
        ('{"path": "a.png", "identity": 1, "x1": 1' + "0" * 400 + "}", "m.jsonl", "in x1"),
        ("path,identity,is_query\na.png,a,maybe\n", "m.csv", "line 2: is_query"),
    ],
)
def test_wrong_rows_are_named(photo: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_manifest(manifest(photo, text, name))


@pytest.mark.parametrize("path", ["x" * 300 + ".png", "folder", "", "pipe.png", "zero.png"])
def test_paths_that_are_no_image_files_are_bad_images(photo: Path, path: str) -> None:
    (photo / "folder").mkdir()
    os.mkfifo(photo / "pipe.png")
    (photo / "zero.png").symlink_to("/dev/zero")
    text = f"path,identity\na.png,a\n{path or 'folder/'},b\n"
    with pytest.raises(UserError, match="1 of 2 images"):
        load_dataset(manifest(photo, text))


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.jsonl", "m.toml"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_manifest_is_a_regular_file(tmp_path: Path, name: str, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(UserError):
        load_dataset(tmp_path / name)


def test_a_list_in_json_is_answered_with_jsonl(photo: Path) -> None:
    path = manifest(photo, '[{"path": "a.png", "identity": 1}]', "m.json")
    with pytest.raises(
        UserError, match=r"neither a folder nor .* \.jsonl file with one JSON object"
    ):
        load_dataset(path)


def test_cameras_are_of_all_images_or_of_none(photo: Path) -> None:
    text = "path,identity,camera,split\na.png,a,1,train\na.png#,a,,train\n"
    with pytest.raises(UserError, match="has no camera, although other images have one"):
        load_dataset(manifest(photo, text))


@settings(max_examples=60)
@given(
    box=st.tuples(*[st.floats(-50, 50, allow_nan=False, width=32)] * 2),
    size=st.tuples(*[st.floats(0.5, 50, width=32)] * 2),
)
def test_both_formats_of_a_box_have_the_same_corners(
    box: tuple[float, float], size: tuple[float, float]
) -> None:
    corners = (*box, box[0] + size[0], box[1] + size[1])
    xyxy = BoxColumns(names=("a",), format="xyxy").corners(corners)
    xywh = BoxColumns(names=("a",), format="xywh").corners((*box, *size))
    assert xyxy == xywh == corners
    assert is_relative([corners]) == (min(corners) >= 0 and max(corners) <= 1)


@pytest.mark.parametrize("cell", ["", "  ", None, float("nan"), "NaN", "None", "<NA>"])
def test_blank_cells(cell: object) -> None:
    assert blank(cell)
    assert not blank(0)
    assert not blank("0")
