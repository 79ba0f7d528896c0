"""What benchmark_model prints, in every form since 2018; and how a copy of it is downloaded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgecmp.benchmarks.devices.android import parse_facts
from edgecmp.benchmarks.devices.benchmark_binary import find_binary, require_abi
from edgecmp.benchmarks.devices.benchmark_model import parse
from edgecmp.benchmarks.devices.errors import DeviceRunError
from edgecmp.benchmarks.devices.summary import Summary
from edgecmp.errors import UserError
from tests.testbeds.benchmark_model import elf

NEWEST = """\
INFO: Initialized session in 5.579ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=1 curr=1357602 p5=1357602 median=1357602 p95=1357602

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=50 first=1249964 curr=1240143 min=1238588 max=1252566 avg=1.24027e+06 std=2565 \
p5=1238753 median=1239807 p95=1247415

INFO: Inference timings in us: Init: 5579, First inference: 1357602, Warmup (avg): 1.3576e+06, \
Inference (avg): 1.24027e+06
INFO: Memory footprint delta from the start of the tool (MB): init=6.36328 overall=109.832
INFO: Overall peak memory footprint (MB) via periodic monitoring: 116.5
"""
MIDDLE = """\
count=1 curr=3512391
count=50 first=249042 curr=250889 min=247067 max=254474 avg=249684 std=1442
Inference timings in us: Init: 16242, First inference: 360262, Warmup (avg): 304586, Inference \
(avg): 249684
Peak memory footprint (MB): init=4.92969 overall=138.809
"""
OLDEST = """\
Initialized session in 4.452ms
Running benchmark for 1 iterations
count=1 curr=146161

Running benchmark for 50 iterations
count=50 first=137789 curr=137254 min=137079 max=143416 avg=137722 std=896

Average inference timings in us: Warmup: 146161, Init: 4452, no stats: 137722
"""


def test_the_newest_form() -> None:
    timings = parse(NEWEST)
    assert timings.summary == Summary(
        runs=50, mean_us=1240270.0, min_us=1238588.0, p50_us=1239807.0, p95_us=1247415.0
    )
    assert (timings.init_us, timings.first_us) == (5579.0, 1357602.0)
    assert timings.peak_memory_kb == 116.5 * 1024
    assert timings.memory_growth_kb == 109.832 * 1024


def test_the_middle_form_knows_no_median_and_no_peak() -> None:
    timings = parse(MIDDLE)
    assert timings.summary == Summary(runs=50, mean_us=249684.0, min_us=247067.0)
    assert (timings.init_us, timings.first_us) == (16242.0, 3512391.0)
    assert timings.peak_memory_kb is None
    assert timings.memory_growth_kb == 138.809 * 1024


def test_the_oldest_form_knows_no_memory() -> None:
    timings = parse(OLDEST)
    assert timings.summary == Summary(runs=50, mean_us=137722.0, min_us=137079.0)
    assert (timings.init_us, timings.first_us) == (4452.0, 146161.0)
    assert timings.peak_memory_kb is timings.memory_growth_kb is None


def test_carriage_returns_of_an_old_terminal_do_not_matter() -> None:
    assert parse(OLDEST.replace("\n", "\r\n")) == parse(OLDEST)


def test_runs_that_all_took_the_same() -> None:
    text = OLDEST.replace(
        "first=137789 curr=137254 min=137079 max=143416 avg=137722 std=896", "curr=42 (all same)"
    )
    assert parse(text).summary == Summary(runs=50, mean_us=42.0, min_us=42.0)


@pytest.mark.parametrize("text", [NEWEST, MIDDLE, OLDEST])
def test_cut_output_is_not_taken_for_a_result(text: str) -> None:
    end = text.index("nference timings")
    for cut in (0, text.rindex("count="), end):
        with pytest.raises(DeviceRunError, match="is incomplete or of an unknown form") as caught:
            parse(text[:cut])
        assert caught.value.output == text[:cut]


def test_a_delegate_that_leaves_the_model_to_the_processor() -> None:
    silent = (
        "INFO: Though NNAPI delegate is explicitly applied, the model graph will not be executed "
        "by the delegate.\n"
    )
    with pytest.raises(UserError, match="The delegate of this benchmark_model cannot execute"):
        parse(silent + NEWEST)


@pytest.mark.parametrize(
    ("machine", "abis"),
    [
        (183, ["arm64-v8a"]),
        (183, ["aarch64"]),
        (40, ["arm64-v8a", "armeabi-v7a", "armeabi"]),
        (62, ["x86_64"]),
    ],
)
def test_a_program_for_the_device(machine: int, abis: list[str], tmp_path: Path) -> None:
    path = tmp_path / "benchmark_model"
    path.write_bytes(elf(machine, b""))
    require_abi(path, abis, "adb:X")


def test_a_program_for_another_device(tmp_path: Path) -> None:
    path = tmp_path / "benchmark_model"
    path.write_bytes(elf(183, b""))
    with pytest.raises(
        UserError,
        match=r"benchmark_model was built for arm64-v8a, but adb:X runs armeabi-v7a, armeabi\. "
        r"Name a benchmark_model built for armeabi-v7a\.",
    ):
        require_abi(path, ["armeabi-v7a", "armeabi"], "adb:X")


class Site(BaseHTTPRequestHandler):
    """Serves the program at /benchmark_model, a page at /page, and nothing else."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        pages = {"/benchmark_model": elf(183, b"code"), "/page": b"<html>moved</html>"}
        body = pages.get(self.path)
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(elf(183, b""))
            return
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Site, "asked", [], raising=False)
    with HTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_copy_is_downloaded_once(site: str, tmp_path: Path) -> None:
    path = find_binary(f"{site}/benchmark_model")
    assert path.read_bytes() == elf(183, b"code")
    assert path.is_relative_to(tmp_path / "cache" / "edgecmp")
    assert find_binary(f"{site}/benchmark_model") == path
    assert Site.asked == ["/benchmark_model"]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("/gone", r"/gone cannot be downloaded \(Not Found\)\. Download it yourself and write"),
        ("/page", r"/page is not an Android program: it has no ELF header"),
        ("/cut", r"/cut cannot be downloaded \(it was cut off\)"),
    ],
)
def test_what_cannot_be_downloaded_leaves_nothing(
    page: str, says: str, site: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        find_binary(site + page)
    assert not list(tmp_path.rglob("*benchmark_model"))


def test_nobody_answers_at_the_address() -> None:
    with pytest.raises(UserError, match=r"cannot be downloaded \(\[Errno 111\] Connection refused"):
        find_binary("http://127.0.0.1:1/benchmark_model")


def test_a_path_that_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\?benchmark_model does not name a file \(got .*gone\)"):
        find_binary(str(tmp_path / "gone"))


def test_facts_of_a_phone_without_python() -> None:
    text = (
        "ro.product.manufacturer=Google\r\nro.product.model=Pixel 8\r\nro.soc.manufacturer=Google\n"
        "ro.soc.model=Tensor G3\nro.board.platform=zuma\nro.product.cpu.abi=arm64-v8a\n"
        "ro.product.cpu.abilist=arm64-v8a,armeabi-v7a\nro.build.version.release=14\n"
        "machine=aarch64\nkernel=Linux 5.15.110\ncores=9\ngovernor=sched_pixel\nload=0.5 0.4 0.3\n"
        "zone=31500 thermal_zone0 BIG\nzone=-1000 thermal_zone1 skin\nzone= thermal_zone2 \n"
        "clock=1803000 cpu0\nclock= cpu1\n"
    )
    facts = parse_facts(text)
    assert (facts["model"], facts["soc"]) == ("Google Pixel 8", "Google Tensor G3")
    assert (facts["abi"], facts["abis"]) == ("arm64-v8a", ["arm64-v8a", "armeabi-v7a"])
    assert facts["system"] == "Android 14, Linux 5.15.110"
    assert (facts["cores"], facts["governor"], facts["load"]) == (9, "sched_pixel", 0.5)
    assert facts["temperatures_c"] == {"thermal_zone0 BIG": 31.5, "thermal_zone1 skin": -1.0}
    assert facts["frequencies_mhz"] == {"cpu0": 1803}
    old = parse_facts("ro.board.platform=msm8996\nro.product.cpu.abi=arm64-v8a\ncores=0\n")
    assert (old["soc"], old["abis"], old["cores"]) == ("msm8996", ["arm64-v8a"], None)
