"""The decoder's rules: orientation, depth, profiles, frames, ends of files, limits, one error."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from edgecmp.decoding import MAX_MEGAPIXELS, ImageError, decode, flat, pillow_limits
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.libvips import profile
from tests.fixtures.odd_image import encoded, layered, picture, turned
from tests.fixtures.odd_photos import HEIC

PHOTO = Image.fromarray(picture())


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(content))


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0no TIFF structure",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01",
        # Orientation as text, as a fraction by zero, as 200 numbers, as 0 and as 9
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02ab\0\0\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\0\x08\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\xc8\0\0\0\x08\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0",
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_with_damaged_exif_data_is_upright(exif: bytes, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    expected = pixels(encoded(PHOTO, kind, **options))
    assert np.array_equal(pixels(encoded(PHOTO, kind, exif=exif, **options)), expected)


@pytest.mark.parametrize("damage", [b"????", b"MM\0*\xff\xff", b"II*\0\0\0"])
def test_an_avif_image_with_damaged_exif_data_is_read(damage: bytes) -> None:
    exif = turned(6)
    exif[0x010F] = "maker"
    content = encoded(PHOTO, "AVIF", quality=90, exif=exif)
    at = content.index(b"MM\0*")
    damaged = content[:at] + damage + content[at + len(damage) :]
    # the rotation is also in a part of its own, which counts
    plain = encoded(PHOTO, "AVIF", quality=90)
    assert np.array_equal(pixels(damaged), np.rot90(pixels(plain), -1))


@pytest.mark.parametrize("kind", ["TIFF", "JPEG", "PNG"])
def test_an_image_is_turned_once_wherever_it_passes(kind: str) -> None:
    content = encoded(PHOTO, kind, exif=turned(6))
    expected = np.rot90(pixels(encoded(PHOTO, kind)), -1)
    once = decode(content)
    assert once.getexif() == {}
    assert np.array_equal(np.asarray(flat(once)), expected)
    assert np.array_equal(np.asarray(flat(flat(once))), expected)
    prepare = Preprocessing(input_size=32)
    from_api = Image.open(io.BytesIO(content))  # what a user of the API passes
    assert np.array_equal(prepare.fit(from_api), prepare.fit(once))
    assert np.array_equal(prepare.fit(from_api), prepare.fit(once)), "the image itself was changed"


def test_a_tiff_image_with_damaged_tags_keeps_its_pixels() -> None:
    content = encoded(PHOTO, "TIFF", tiffinfo={0x0112: 6, 270: "a note", 34665: 12345678})
    assert np.array_equal(pixels(content), np.rot90(picture(), -1))


def test_a_tiff_image_without_all_its_strips_is_refused() -> None:
    content = encoded(PHOTO, "TIFF")
    height = struct.pack("<HHII", 257, 4, 1, 32)
    found = content.find(height) if height in content else content.find(struct.pack("<HH", 257, 3))
    assert found > 0
    taller = content[: found + 8] + struct.pack("<I", 64) + content[found + 12 :]
    with pytest.raises(ImageError, match="cut off"):
        decode(taller)


@settings(max_examples=30, deadline=None)
@given(
    brightest=st.integers(min_value=1, max_value=65535),
    kind=st.sampled_from(["PNG", "TIFF", "PPM", "JPEG2000"]),
)
def test_the_scale_of_sixteen_bits_does_not_depend_on_the_content(
    brightest: int, kind: str
) -> None:
    values = np.linspace(0, brightest, 96).astype(np.uint16).reshape(8, 12)
    options = {"irreversible": False} if kind == "JPEG2000" else {}
    found = pixels(encoded(Image.fromarray(values), kind, **options))
    assert np.array_equal(found, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_floating_point_and_32_bit_images_are_refused_with_the_reason() -> None:
    for image, reason in (
        (Image.fromarray(np.ones((4, 4), np.float32)), "floating-point"),
        (Image.fromarray(np.ones((4, 4), np.int32)), "32-bit"),
    ):
        with pytest.raises(ImageError, match=reason):
            decode(encoded(image, "TIFF"))
    with pytest.raises(ImageError, match="floating-point"):
        Preprocessing(input_size=4).fit(Image.new("F", (4, 4)))


def test_a_profile_is_converted_once() -> None:
    content = encoded(PHOTO, "PNG", icc_profile=profile("p3"))
    once = decode(content)
    assert np.abs(np.asarray(once).astype(int) - picture()).max() > 20
    assert np.array_equal(np.asarray(flat(once)), np.asarray(once))
    assert np.array_equal(np.asarray(flat(Image.open(io.BytesIO(content)))), np.asarray(once))
    stored = encoded(once, "PNG")  # as a shard stores it
    assert np.array_equal(pixels(stored), np.asarray(once))


def test_srgb_profiles_change_nothing() -> None:
    content = encoded(PHOTO, "PNG", icc_profile=profile("srgb"))
    assert np.array_equal(pixels(content), picture())


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=479), st.binary(min_size=1, max_size=8))
def test_a_damaged_profile_leaves_a_whole_image(place: int, noise: bytes) -> None:
    damaged = bytearray(profile("p3"))
    damaged[place : place + len(noise)] = noise
    assert decode(encoded(PHOTO, "PNG", icc_profile=bytes(damaged))).size == PHOTO.size


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_of_several_frames_the_first_is_read(kind: str) -> None:
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    found = pixels(encoded(red, kind, save_all=True, append_images=[blue]))
    assert found[..., 0].min() > 240
    assert found[..., 2].max() < 15


def jpegs() -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    smooth = Image.fromarray(noise).resize((160, 128), Image.Resampling.BICUBIC)
    return {
        "baseline": encoded(smooth, "JPEG", quality=90),
        "smooth": encoded(Image.new("RGB", (160, 128), (90, 80, 200)), "JPEG"),
        "progressive": encoded(smooth, "JPEG", progressive=True, quality=90),
        "restarts": encoded(smooth, "JPEG", restart_marker_blocks=2),
        "grey": encoded(smooth.convert("L"), "JPEG"),
    }


@pytest.mark.parametrize("kind", ["baseline", "smooth", "progressive", "restarts", "grey"])
def test_a_jpeg_without_its_end_is_read_and_without_pixels_refused(kind: str) -> None:
    whole = jpegs()[kind]
    expected = pixels(whole)
    for ending in (whole[:-2], whole[:-1], whole[:-2] + bytes(5000)):
        assert np.array_equal(pixels(ending), expected)
    generator = np.random.default_rng(1)
    first = whole.index(b"\xff\xda")
    for kept in [first + 20, len(whole) - 12, *generator.integers(first, len(whole) - 12, 25)]:
        for padding in (b"", bytes(5000), b"\xff"):
            with pytest.raises(ImageError, match="cut off"):
                decode(whole[:kept] + padding)
    assert np.array_equal(pixels(whole + bytes(5000)), expected)


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    whole = jpegs()["progressive"]
    starts = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 5
    for start in starts[1:]:
        end = whole.rindex(b"\xff\xc4", 0, start)  # the scan's Huffman table precedes it
        for cut in (start, end):
            with pytest.raises(ImageError, match="cut off"):
                decode(whole[:cut])


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM"])
def test_every_format_without_its_second_half_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    content = encoded(noise, kind)
    with pytest.raises(ImageError):
        decode(content[: len(content) // 2])


def test_an_image_is_refused_by_its_size_and_read_if_the_limit_is_raised() -> None:
    content = encoded(Image.new("1", (2000, 1500)), "PNG")
    with pytest.raises(ImageError) as refusal:
        decode(content, max_megapixels=2)
    assert refusal.value.reason == (
        "its 2000 x 1500 pixels are 3 megapixels, more than max_megapixels = 2"
    )
    assert "max_megapixels" in refusal.value.way_out
    assert decode(content, max_megapixels=3).size == (2000, 1500)


def test_a_file_that_claims_billions_of_pixels_is_refused_in_our_words() -> None:
    head = b"P5 60000 60000 255\n"
    for content in (head, head + bytes(100)):
        with pytest.raises(ImageError, match="3,600 megapixels, more than max_megapixels = 300"):
            decode(content)
    assert MAX_MEGAPIXELS == 300


def test_pillow_writes_nothing_about_sizes_and_damaged_metadata() -> None:
    """In a process of its own, since pytest replaces the filters of warnings."""
    damaged = encoded(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    program = (
        "from edgecmp.decoding import ImageError, decode\n"
        f"decode({damaged!r})\n"
        "try:\n    decode(b'P5 20000 20000 255\\n' + bytes(100))\n"
        "except ImageError as error:\n    print(error.reason)"
    )
    command = [sys.executable, "-W", "default", "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert found.stdout.startswith("its 20000 x 20000 pixels are 400 megapixels")


def test_pillows_limits_are_replaced_while_images_are_decoded_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A small limit of Pillow's stands for its real one, which photos of 200 megapixels exceed."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 100)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("history", "edited " * 400_000, zip=True)
    content = encoded(PHOTO, "PNG", pnginfo=text, icc_profile=profile("p3"))
    expected = pixels(encoded(PHOTO, "PNG", icc_profile=profile("p3")))
    for stop in (False, True):
        found: list[bool] = []

        def read(found: list[bool] = found) -> None:
            found += [np.array_equal(pixels(content), expected) for _ in range(20)]

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * 80
        with pytest.raises(ImageError), pillow_limits(1):
            decode(b"not an image" if stop else b"")
        assert Image.MAX_IMAGE_PIXELS == 100
        assert PngImagePlugin.MAX_TEXT_MEMORY == 100


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"text", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "a damaged or unusual PNG file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "EPS is a format"),
        (encoded(PHOTO, "PNG")[:100], "it is cut off"),
    ],
)
def test_the_reason_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as refusal:
        decode(content)
    assert refusal.value.reason.startswith(reason)


@pytest.mark.parametrize(
    "error",
    [
        *(KeyError(277), TypeError("tag"), struct.error("unpack"), OverflowError("big")),
        *(MemoryError(), RecursionError("deep"), SystemError("codec"), AssertionError("fp")),
    ],
)
def test_whatever_a_codec_raises_becomes_the_one_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(PHOTO, "PNG")

    def fail(_image: Image.Image) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(ImageError, match=r"it is damaged|not enough memory"):
        decode(content)


def test_heic_files_name_the_package_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    content = (HEIC / "plain.heic").read_bytes()
    assert decode(content).size == (40, 24)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImageError, match=r"pip install 'edgecmp\[heic\]'") as refusal:
        decode(content)
    assert refusal.value.reason == "HEIC files need the package pi-heif"


def test_transparency_is_kept_for_the_background() -> None:
    image = decode(encoded(layered(PHOTO), "PNG"))
    assert image.mode == "RGBA"
    shown = np.asarray(flat(image, (1, 2, 3)))
    assert shown[0, 0].tolist() == [1, 2, 3]
    assert decode(encoded(PHOTO, "PNG")).mode == "RGB"


def test_no_module_opens_images_beside_this_decoder() -> None:
    root = Path(__file__).parents[2]
    for folder in ("edgecmp", "export", "search", "benchmarks"):
        for path in (root / folder).rglob("*.py"):
            name = path.relative_to(root).as_posix()
            if name != "edgecmp/decoding/opening.py":
                text = path.read_text("utf-8")
                assert "Image.open(" not in text, name
                assert "exif_transpose(" not in text, name
