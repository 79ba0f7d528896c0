"""The comparison with other converters: its figures on known samples, and its processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp.benchmarks.peers import run as peers
from edgecmp.benchmarks.peers.compare import is_whole
from edgecmp.benchmarks.peers.conversion import convert
from edgecmp.benchmarks.peers.environment import (
    ENVIRONMENTS,
    Environment,
    last_line,
    missing_from,
    own_environment,
)
from edgecmp.benchmarks.peers.figures import (
    counted,
    cpu_p50_ms,
    cpu_ratio,
    gflops_per_s,
    p50_ms,
    preempted,
    ratio,
)
from edgecmp.benchmarks.peers.networks import networks, prepare, rate_graph_macs
from edgecmp.benchmarks.peers.plan import CONVERTER_ENVIRONMENTS, Plan
from edgecmp.benchmarks.peers.report import (
    conversion_table,
    draw,
    latency_table,
    summary,
    summary_table,
)
from edgecmp.benchmarks.peers.serve import visit
from edgecmp.benchmarks.peers.session import Server, ServerLostError
from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, TIERS


def sample(*wall_us: float, switches: tuple[int, ...] = ()) -> dict[str, Any]:
    """One visit."""
    return {"wall_us": wall_us, "involuntary_switches": switches or (0,) * len(wall_us)}


def row(contender: str, network: str, value: float, **other: Any) -> dict[str, Any]:
    """One measured row."""
    return {
        "contender": contender,
        "runtime": "litert",
        "threads": 1,
        "network": network,
        "has_7x7": "7" in network,
        "p50_ms": value,
        "ratio": value,
        "share_of_rate": 1 / value,
        "verdict": "measured",
        "reason": "",
        **other,
    }


def test_preempted_runs_do_not_count_while_enough_others_are_left() -> None:
    assert counted(sample(10, 900, 12, switches=(0, 2, 0))) == [10, 12]
    assert counted(sample(10, 900, 950, 920, 930, 940, switches=(0, 1, 1, 1, 1, 1))) == [
        *(10, 900, 950, 920, 930, 940)
    ]
    assert counted(sample(900, 950, switches=(1, 1))) == [900, 950]
    assert preempted([sample(1, 2, switches=(0, 3)), sample(1, 2)]) == 0.25


def test_a_ratio_is_that_within_a_round() -> None:
    """The machine slows down tenfold in the third round: the ratio does not move, the p50 does."""
    ours = [sample(1000, 1000), sample(1000, 1100), sample(10_000, 10_000)]
    theirs = [sample(2000, 2000), sample(2000, 2200), sample(20_000, 20_000)]
    assert ratio(theirs, ours) == pytest.approx(2)
    assert ratio(ours, ours) == 1
    assert p50_ms(ours[:2]) == pytest.approx(1)
    assert p50_ms(ours[:1] + theirs[:1]) == pytest.approx(1.5)


def test_processor_time_does_not_see_preemption() -> None:
    ours = [{**sample(9000, 1000, switches=(1, 1)), "cpu_us": (1000, 1000)}] * 3
    theirs = [{**sample(3000, 9000, switches=(1, 1)), "cpu_us": (3000, 3200)}] * 3
    assert cpu_ratio(theirs, ours) == pytest.approx(3.1)
    assert cpu_p50_ms(ours) == pytest.approx(1)
    assert ratio(theirs, ours) == pytest.approx(1.2)


def test_a_rate_counts_two_operations_a_multiply_add() -> None:
    assert gflops_per_s(100_000_000, 2.0) == pytest.approx(100)
    assert rate_graph_macs(160, 28) == 8 * 160 * 160 * 28 * 28


def test_the_summary_keeps_networks_with_7x7_apart() -> None:
    rows = [
        row("ours", "7a", 1),
        *(row("theirs", name, value) for name, value in (("7a", 4), ("7b", 6), ("3", 2))),
        row("gone", "7a", 1, verdict="not run", reason="no Python"),
    ]
    ours, theirs = summary(rows)
    assert (theirs["all"], theirs["with 7x7"], theirs["without 7x7"]) == (4, 5, 2)
    assert theirs["share, without 7x7"] == 0.5
    assert theirs["networks"] == 3
    assert ours["without 7x7"] is None
    text = summary_table(rows)
    assert "gone in litert: not run: no Python" in text
    assert "5.00x" in text
    assert "6.00" in latency_table(rows)
    assert "busy" not in text
    assert "busy" in summary_table([row("ours", "7a", 1, preempted=0.5)])


def test_the_conversion_table_says_what_cannot_be_done() -> None:
    def entry(name: str, precision: str, seconds: float | None, reason: str = "") -> dict[str, Any]:
        return {"converter": name, "precision": precision, "seconds": seconds, "reason": reason}

    text = conversion_table(
        [
            entry("ours", "fp32", 0.5),
            entry("ours", "fp32", 0.7),
            entry("theirs", "fp32", 9),
            entry("theirs", "fp16", None, "no such flag"),
        ]
    )
    ours, theirs = (line.split() for line in text.splitlines()[2:4])
    assert ours == ["ours", "0.60", "-"]
    assert theirs == ["theirs", "9.00", "-"]
    assert "theirs fp16: no such flag" in text


def test_the_picture_is_drawn_with_a_contender_missing(tmp_path: Path) -> None:
    rows = [row("ours", "a", 1), row("theirs", "a", 4), row("theirs", "b", 2), row("ours", "b", 1)]
    rows += [row("late", "a", 3, threads=2)]
    assert draw(rows, tmp_path / "peers.png").read_bytes()[:4] == b"\x89PNG"


def test_networks_cover_the_tiers_and_the_blocks() -> None:
    named = networks(16)
    assert len(named) == 16
    assert {a.tier for a in named.values()} == set(TIERS)
    first = list(named.items())[:3]
    assert {*TIERS} == {a.tier for _, a in first}
    assert [name.split()[1] for name, _ in first] == ["shuffle7", "shuffle3", "xception"]
    assert len({a.fingerprint for a in named.values()}) == 16
    without = [n for n, a in named.items() if BLOCKS.index("shuffle7") not in a.blocks]
    assert sorted({name.split()[1] for name in without}) == ["shuffle3", "xception"]
    assert list(networks(5)) == list(named)[:5]


def test_a_plan_measures_again_what_changed(tmp_path: Path) -> None:
    def plan(exporter: str, **environments: Environment) -> Plan:
        return Plan(
            out=tmp_path,
            environments={"own": own_environment(tmp_path), **environments},
            threads=(1,),
            rounds=1,
            visit_ms=1.0,
            exporter=exporter,
        )

    architecture = Architecture.random("100M", seed=0)
    before, after = plan("a"), plan("b")
    assert before.key(architecture) != after.key(architecture)
    assert before.key(architecture) == plan("a").key(architecture)
    assert before.key(architecture) != plan("a", executorch=own_environment(tmp_path)).key(
        architecture
    )
    for name in ("ours", "litert-torch-lowered"):
        assert before.conversion_key(name, architecture) != after.conversion_key(name, architecture)
    assert before.conversion_key("executorch", architecture) == after.conversion_key(
        "executorch", architecture
    )
    assert before.converters() == ["ours", "onnx-ours", "onnx-torch"]


def test_a_failure_is_not_kept() -> None:
    rows = [{"verdict": verdict} for verdict in ("measured", "not run")]
    assert is_whole({"rows": rows})
    assert not is_whole({"rows": [*rows, {"verdict": "failed"}]})


def test_a_visit_runs_at_least_three_times() -> None:
    calls: list[int] = []
    answer = visit(lambda: calls.append(1), 0.0)
    assert len(answer["wall_us"]) == len(answer["involuntary_switches"]) == 3
    assert len(calls) == 5


def test_an_environment_without_the_packages_is_refused(tmp_path: Path) -> None:
    own = own_environment(tmp_path)
    assert missing_from(own.python, ["torch"]) == ""
    assert "no-such-package" in missing_from(own.python, ["torch", "no-such-package"])
    words = ["--out", str(tmp_path), "--litert-torch-python", str(tmp_path / "none")]
    with pytest.raises(UserError, match=r"install torch==2\.13\.0 litert-torch"):
        peers.main(words)


def test_last_line_is_the_message() -> None:
    assert last_line("Traceback\n  here\nValueError: no\n\n") == "ValueError: no"
    assert last_line("") == "no message"


@pytest.mark.peers
def test_converts_once_and_says_why_it_cannot(tmp_path: Path) -> None:
    """Small network, real processes: ours converts and is kept, a damaged network is a reason."""
    architecture = Architecture.random("100M", seed=0, embedding_dim=16, input_size=32)
    network = prepare(architecture, tmp_path)
    own = own_environment(tmp_path / "path")
    first = convert("ours", own, network, tmp_path, key="a")
    assert first["files"]["fp32"]["seconds"] > 0
    path = tmp_path / first["files"]["fp32"]["file"]
    stamp = path.stat().st_mtime_ns
    assert convert("ours", own, network, tmp_path, key="a") == first
    assert path.stat().st_mtime_ns == stamp

    models = {"ours": path, "broken": tmp_path / "image.npy"}
    server = Server(
        runtime="litert",
        environment=own,
        models=models,
        image=tmp_path / "image.npy",
        threads=1,
        log=tmp_path / "serve.log",
    )
    with server:
        server.ready()
        expected = np.load(tmp_path / "embedding.npy").reshape(-1)
        found = np.array(server.facts["ours"]["embedding"])
        assert np.abs(found - expected).max() < 1e-4
        assert "reason" in server.facts["broken"]
        assert len(server.visit("ours", 1.0)["wall_us"]) >= 3
        assert server._process is not None
        server._process.kill()
        server._process.wait()
        with pytest.raises(ServerLostError, match="litert"):
            server.visit("ours", 1.0)

    (network / "weights.safetensors").write_bytes(b"")
    assert "reason" in convert("ours", own, network, tmp_path, key="b")["files"]["fp32"]
    assert "exit code" in convert("onnx-torch", own, network, tmp_path, key="b")["reason"]


def test_every_peer_has_the_command_that_makes_it() -> None:
    assert set(ENVIRONMENTS) == {*CONVERTER_ENVIRONMENTS.values()}
    assert all("torch==" in command for command in ENVIRONMENTS.values())
