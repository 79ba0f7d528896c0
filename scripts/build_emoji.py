# /// script
# requires-python = "==3.11.*"
# dependencies = ["numpy==1.26.4", "pillow==13.0.0", "resvg-py==0.5.0"]
# ///
"""Rebuilds the embedded emoji set from the npm packages it comes from.

An identity is a Unicode emoji, and an image is one vendor's drawing of it: 64x64 pixels on white,
WebP quality 85. Identities that share a pixel-identical drawing are merged. Identities with fewer
than four drawings and variants with a skin tone are left out.

    python scripts/build_emoji.py --cache CACHE          # writes edgecmp/data/assets/emoji_64.npz
    python scripts/build_emoji.py --cache CACHE --check  # rebuilds, compares with the shipped file

Needs the npm client (`npm pack` fetches packages that are missing in CACHE) and exactly the
versions above: the pixels depend on the WebP encoder of Pillow and on how resvg draws edges. After
writing a changed set, update CONTENT_SHA256 in edgecmp/data/emoji.py.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import io
import json
import multiprocessing
import re
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import resvg_py
from PIL import Image

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

SIDE = 64
QUALITY, METHOD = 85, 3  # of the WebP encoder
MIN_DRAWINGS = 4
TEST_SHARE = 0.4
VALIDATION_SHARE = 0.1  # of the identities that are not test (supplement A.1)
VERSIONS = {"numpy": "1.26.4", "pillow": "13.0.0", "resvg-py": "0.5.0"}
SHIPPED = Path(__file__).resolve().parent.parent / "edgecmp" / "data" / "assets" / "emoji_64.npz"
SKIN_TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")

# npm package: SHA-256 of the archive that `npm pack` writes
_PINNED = """
emoji-datasource-google@16.0.0
  fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438
emoji-datasource-twitter@16.0.0
  f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877
@lobehub/fluent-emoji-3d@1.1.0
  c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58
@iconify-json/fluent-emoji-flat@1.2.6
  7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175
@iconify-json/openmoji@1.2.29
  03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5
@iconify-json/emojione@1.2.3
  26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e
@iconify-json/emojione-v1@1.2.3
  6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3
@iconify-json/fxemoji@1.2.2
  f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef
@iconify-json/noto-v1@1.2.5
  2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37
@iconify-json/streamline-emojis@1.2.4
  5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc
@iconify-json/noto@1.2.9
  3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad
@iconify-json/twemoji@1.2.5
  19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7
"""
PACKAGES = dict(zip(_PINNED.split()[::2], _PINNED.split()[1::2], strict=True))

# package -> (vendor, folder in the archive, suffix): drawings named by their code points
BITMAPS = {
    "emoji-datasource-google@16.0.0": ("google", "package/img/google/64/", ".png"),
    "emoji-datasource-twitter@16.0.0": ("twitter", "package/img/twitter/64/", ".png"),
    "@lobehub/fluent-emoji-3d@1.1.0": ("fluent3d", "package/assets/", ".webp"),
}
# package -> vendor: drawings as SVG bodies, named in English
ICONS = {
    "@iconify-json/fluent-emoji-flat@1.2.6": "fluentflat",
    "@iconify-json/openmoji@1.2.29": "openmoji",
    "@iconify-json/emojione@1.2.3": "emojione2",
    "@iconify-json/emojione-v1@1.2.3": "emojione1",
    "@iconify-json/fxemoji@1.2.2": "fxemoji",
    "@iconify-json/noto-v1@1.2.5": "notov1",
    "@iconify-json/streamline-emojis@1.2.4": "streamline",
}
# the sets that map English names to code points, best first
NAMED_BY = (
    "@iconify-json/noto@1.2.9",
    "@iconify-json/twemoji@1.2.5",
    "@iconify-json/openmoji@1.2.29",
)


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Drawing:
    """One drawing to render; drawings are sorted, and thereby preferred, by the fields in order."""

    points: str  # code points, lower case, without variation selectors: "1f1f3-1f1f4"
    vendor: str
    certainty: int  # 0: code points given, 1: same English name, 2: same except for hyphens
    name: str
    content: bytes  # an image file, or SVG text


def code_points(text: str) -> str:
    """Code points without the variation selector, which only some vendors write."""
    return "-".join(part for part in text.lower().split("-") if part != "fe0f")


def fetch(package: str, cache: Path) -> Path:
    """The package's archive in `cache`, fetched if it is missing; its digest must match."""
    archive = cache / (re.sub(r"[@/]", "-", package).lstrip("-") + ".tgz")
    if not archive.exists():
        packed = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=cache, check=True, capture_output=True
        )
        (cache / packed.stdout.decode().split()[-1]).rename(archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != PACKAGES[package]:
        sys.exit(f"error: {archive} is not {package} (SHA-256 {digest}). Delete it and run again.")
    return archive


def read_members(archive: Path, pattern: str) -> dict[str, bytes]:
    """The files of a .tgz archive whose paths match `pattern`."""
    with tarfile.open(archive) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member) if re.fullmatch(pattern, member.name) else None
            if file is not None:
                found[member.name] = file.read()
    return found


def read_icons(package: str, cache: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """An Iconify set: its icons.json, and its map from code points to names."""
    files = read_members(fetch(package, cache), r"package/(icons|chars)\.json")
    return json.loads(files["package/icons.json"]), json.loads(files["package/chars.json"])


def names_to_points(cache: Path) -> dict[str, str]:
    """English icon name -> code points, from the sets in `NAMED_BY`."""
    points: dict[str, str] = {}
    for package in NAMED_BY:
        icons, chars = read_icons(package, cache)
        for text, name in chars.items():
            if "openmoji" in package and re.match(r"[ef][0-9a-f]{3}", text):
                continue  # OpenMoji's own additions in the private use area
            points.setdefault(name, code_points(text))
        for alias, entry in icons.get("aliases", {}).items():
            if entry.get("parent") in points and set(entry) == {"parent"}:
                points.setdefault(alias, points[entry["parent"]])
    return points


def svg_text(icons: dict[str, Any], name: str) -> bytes:
    """One icon of an Iconify set as an SVG file."""
    icon = icons["icons"][name]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{SIDE}" height="{SIDE}">{icon["body"]}</svg>'
    ).encode()


def collect(cache: Path) -> list[Drawing]:
    """Every drawing without a skin tone, sorted, so that the result is deterministic."""
    drawings = []
    for package, (vendor, folder, suffix) in BITMAPS.items():
        pattern = re.escape(folder) + r"[^/]+" + re.escape(suffix)
        for path, content in read_members(fetch(package, cache), pattern).items():
            name = Path(path).stem
            drawings.append(
                Drawing(
                    points=code_points(name), vendor=vendor, certainty=0, name=name, content=content
                )
            )
    by_name = names_to_points(cache)
    by_letters = {name.replace("-", ""): points for name, points in by_name.items()}
    for package, vendor in ICONS.items():
        icons, chars = read_icons(package, cache)
        given = {name: code_points(text) for text, name in chars.items()}
        for name in icons["icons"]:
            found = (given.get(name), by_name.get(name), by_letters.get(name.replace("-", "")))
            certainty = next((level for level, points in enumerate(found) if points), None)
            if certainty is not None:
                drawings.append(
                    Drawing(
                        points=found[certainty] or "",
                        vendor=vendor,
                        certainty=certainty,
                        name=name,
                        content=svg_text(icons, name),
                    )
                )
    plain = (
        d for d in drawings if not ("-" in d.points and any(t in d.points for t in SKIN_TONES))
    )
    return sorted(plain)


def render(drawing: Drawing) -> bytes | None:
    """The drawing on white as a WebP file; None if it cannot be rendered or is empty."""
    content = drawing.content
    if content.startswith(b"<svg"):
        try:
            content = bytes(
                resvg_py.svg_to_bytes(svg_string=content.decode(), width=SIDE, height=SIDE)
            )
        except (ValueError, RuntimeError):
            return None  # an SVG that resvg does not understand
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    if image.size != (SIDE, SIDE):
        scale = SIDE / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        square = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
        square.paste(image, ((SIDE - width) // 2, (SIDE - height) // 2))
        image = square
    pixels = np.asarray(image)
    if pixels[..., 3].max() == 0:
        return None
    alpha = pixels[..., 3:].astype(np.float32) / 255
    on_white = (pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(on_white).save(out, "WEBP", quality=QUALITY, method=METHOD)
    return out.getvalue()


def decode(webp: bytes) -> bytes:
    """The pixels of a WebP file, (64, 64, 3) uint8, as bytes."""
    return Image.open(io.BytesIO(webp)).convert("RGB").tobytes()


def merge(images: dict[tuple[str, str], bytes]) -> dict[tuple[str, str], bytes]:
    """Merges identities that share a pixel-identical drawing.

    One drawing per identity and vendor is kept: that of the member with the most drawings.

    Args:
        images: (code points, vendor) -> WebP file, sorted.

    Returns:
        (identity name, vendor) -> WebP file, sorted; a merged identity is named after its
        members, "1f1e8-1f1f5+1f1eb-1f1f7".
    """
    parent = {points: points for points, _ in images}

    def root(points: str) -> str:
        while parent[points] != points:
            points = parent[points]
        return points

    first_with: dict[bytes, str] = {}
    for (points, _), webp in images.items():
        first, second = sorted((root(first_with.setdefault(decode(webp), points)), root(points)))
        parent[second] = first
    members = defaultdict(list)
    for points in sorted(parent):
        members[root(points)].append(points)
    names = {p: "+".join(group) for group in members.values() for p in group}
    known = Counter(points for points, _ in images)
    merged: dict[tuple[str, str], bytes] = {}
    for points, vendor in sorted(images, key=lambda key: (-known[key[0]], key)):
        merged.setdefault((names[points], vendor), images[points, vendor])
    drawings = Counter(identity for identity, _ in merged)
    return {key: merged[key] for key in sorted(merged) if drawings[key[0]] >= MIN_DRAWINGS}


def split_of(identities: list[str]) -> dict[str, int]:
    """Identity -> 0 (train), 1 (validation) or 2 (test), by the SHA-256 of its name."""
    shuffled = sorted(identities, key=lambda name: hashlib.sha256(name.encode()).digest())
    test = round(len(shuffled) * TEST_SHARE)
    validation = round((len(shuffled) - test) * VALIDATION_SHARE)
    return {
        name: 2 if rank < test else 1 if rank < test + validation else 0
        for rank, name in enumerate(shuffled)
    }


def build(cache: Path) -> dict[str, Array]:
    """The arrays of the set, in the file format that edgecmp/data/emoji.py describes."""
    drawings = collect(cache)
    with multiprocessing.Pool() as pool:
        rendered = pool.map(render, drawings, chunksize=64)
    images: dict[tuple[str, str], bytes] = {}
    for drawing, webp in zip(drawings, rendered, strict=True):
        if webp is not None:
            images.setdefault((drawing.points, drawing.vendor), webp)
    images = merge(images)
    identities = sorted({identity for identity, _ in images})
    vendors = sorted({vendor for _, vendor in images})
    splits = split_of(identities)
    return {
        "blob": np.frombuffer(b"".join(images.values()), np.uint8),
        "offsets": np.cumsum([0, *map(len, images.values())], dtype=np.int64),
        "identity": np.array([identities.index(identity) for identity, _ in images], np.int32),
        "domain": np.array([vendors.index(vendor) for _, vendor in images], np.int8),
        "identity_names": np.array(identities),
        "domain_names": np.array(vendors),
        "split": np.array([splits[identity] for identity in identities], np.int8),
    }


def digest(arrays: dict[str, Array]) -> str:
    """SHA-256 over identity, split, vendor and decoded pixels of every image, in order."""
    total = hashlib.sha256()
    blob, offsets = arrays["blob"].tobytes(), arrays["offsets"]
    for row, (identity, domain) in enumerate(
        zip(arrays["identity"], arrays["domain"], strict=True)
    ):
        name, vendor = arrays["identity_names"][identity], arrays["domain_names"][domain]
        total.update(f"{name} {arrays['split'][identity]} {vendor}\n".encode())
        total.update(decode(blob[offsets[row] : offsets[row + 1]]))
    return total.hexdigest()


def main() -> int:
    """Builds and writes the set, or compares it with the shipped one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder for the npm archives")
    parser.add_argument("--check", action="store_true", help="compare with the shipped file")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where to write the set")
    options = parser.parse_args()
    for package, version in VERSIONS.items():
        installed = importlib.metadata.version(package)
        if installed != version:
            sys.exit(
                f"error: the set must be built with {package} {version} (installed: {installed}). "
                "Run this script in an environment with that version."
            )
    options.cache.mkdir(parents=True, exist_ok=True)
    arrays = build(options.cache)
    built = digest(arrays)
    print(f"{len(arrays['identity'])} images, {len(arrays['identity_names'])} identities: {built}")
    if options.check:
        with np.load(SHIPPED, allow_pickle=False) as file:
            shipped = digest(dict(file))
        print(f"shipped file: {shipped}: {'equal' if shipped == built else 'DIFFERENT'}")
        return 0 if shipped == built else 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out, **arrays)
    print(f"Wrote {options.out} ({options.out.stat().st_size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
