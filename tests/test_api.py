"""The public API: light to import, typed and documented, and the same verbs as the command line."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgecmp
from edgecmp import api, kit
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.data.shard_writer import write_shards
from edgecmp.gallery.index import GalleryIndex
from edgecmp.networks.architecture import Architecture
from edgecmp.report import Report
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.latency_tables import make_table


def fresh(program: str) -> str:
    """What a program prints in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'faiss', 'matplotlib', 'coremltools', 'onnx', 'rich'}"
    assert fresh(f"import edgecmp, sys; print({heavy} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize("name", api.__all__)
def test_every_verb_is_typed_and_documented(name: str) -> None:
    verb = getattr(api, name)
    signature = inspect.signature(verb)
    assert signature.return_annotation is not inspect.Signature.empty
    text = inspect.getdoc(verb) or ""
    assert text
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.name in text, f"{name} does not document {parameter.name}"
    assert name in edgecmp.__all__
    assert callable(getattr(edgecmp, name))


@pytest.mark.slow(
    quick=[
        "search-run-program2",
        "export-export-from edgecmp import {verb}; print(callable({verb}))",
    ]
)
@pytest.mark.parametrize(
    "program",
    [
        "import edgecmp; print(edgecmp.{verb}.__doc__[:5], callable(edgecmp.{verb}))",
        "import edgecmp.{verb} as p; print(p.{function}.__name__, callable(p))",
        "import edgecmp; edgecmp.list_targets(), edgecmp.list_strategies(); import inspect; "
        "print(*inspect.signature(edgecmp.{verb}).parameters, callable(edgecmp.{verb}))",
        "from edgecmp import {verb}; print(callable({verb}))",
        "import edgecmp.{verb}.run; from edgecmp.{verb} import {function}; import edgecmp; "
        "print({function}.__name__, callable(edgecmp.{verb}))",
    ],
)
@pytest.mark.parametrize(("verb", "function"), [("search", "run"), ("export", "export")])
def test_verbs_that_are_packages_too(program: str, verb: str, function: str) -> None:
    assert fresh(program.format(verb=verb, function=function)).split()[-1] == "True"


def test_a_verb_that_is_a_package_is_called_like_a_function(tmp_path: Path) -> None:
    program = (
        "import edgecmp, edgecmp.export; "
        f"print(edgecmp.export('onnx', out={str(tmp_path)!r}).path.name)"
    )
    assert fresh(program) == "query-fp32.onnx\n"


def test_load_opens_every_artefact(tmp_path: Path) -> None:
    table = make_table()
    table.save(tmp_path / "table.json")
    file = api.export("onnx", out=tmp_path).path
    expected: dict[Path, type] = {
        kit.path("gallery"): GalleryBundle,
        kit.path("supernet"): SupernetBundle,
        kit.path("query"): QueryBundle,
        kit.path("index"): GalleryIndex,
        kit.architecture("100M"): Architecture,
        tmp_path / "table.json": LatencyTable,
    }
    for path, kind in expected.items():
        assert type(edgecmp.load(path)) is kind
    opened: Any = edgecmp.load(file)
    network = QueryBundle.load(kit.path("query"))
    assert (opened.sha256, opened.gallery_sha256) == (network.sha256, network.gallery_sha256)
    assert opened.preprocessing == network.preprocessing
    assert opened.embedding_dim == network.embedding_dim


def test_load_says_what_it_does_not_open(tmp_path: Path) -> None:
    data = write_identities(tmp_path / "photos", {"train": 2, "validation": 2, "test": 2})
    write_shards(api.load_data(data), tmp_path / "shards")
    (tmp_path / "notes.txt").write_text("")
    for name, says in {
        "shards": r"images in shards.*edgecmp\.load_data",
        "notes.txt": "not an artefact of edgecmp",
        "nowhere": "nowhere does not exist",
    }.items():
        with pytest.raises(edgecmp.UserError, match=says):
            edgecmp.load(tmp_path / name)


def test_lists_name_what_the_verbs_take() -> None:
    assert "kd" in edgecmp.list_methods()
    assert "mobilenet_w1" in edgecmp.list_baselines()
    assert "emoji" in edgecmp.list_datasets()
    names = {row["recipe"] for row in edgecmp.list_recipes().rows}
    for name in names:
        assert edgecmp.show_recipe(name).settings


def test_a_report_prints_in_a_terminal_and_in_a_notebook(
    tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    report = api.count_flops(["mobilenet_w1", kit.architecture("100M")])
    assert isinstance(report, Report)
    assert repr(report) == str(report)
    assert str(report).splitlines()[0].split()[:3] == ["file", "network", "flops_224"]
    page = report._repr_html_()
    assert page.count("<tr>") == 3
    assert f"<td>{report.rows[0]['flops_224']:,}</td>" in page
    written = tmp_path / "flops.json"
    result = edgecmp("flops", "mobilenet_w1", kit.architecture("100M"), "--json", written)
    assert result.out.startswith(str(report))
    assert json.loads(written.read_text()) == report.to_dict()


def test_html_is_escaped() -> None:
    report = api.inspect(["<b>nowhere</b>"])
    assert "<b>" not in report._repr_html_()
