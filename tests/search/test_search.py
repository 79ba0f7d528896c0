"""The search loop with a cheap evaluator: files, resuming after SIGKILL, refusals, pictures."""

from __future__ import annotations

import json
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
from matplotlib.image import imread

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search.results.history import recorded_threads
from edgecmp.search.results.verify import previous_verification
from edgecmp.search.run import search_and_write
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.latency_budget import LatencyBudget
from edgecmp.search.strategies.evolution import EvolutionSettings
from edgecmp.search.strategies.random import evaluate_random
from tests.fixtures.search_tables import flops_like
from tests.fixtures.toy_evaluator import ToyEvaluator, toy_search


@pytest.mark.slow(quick=["5-flops", "5-latency too"])
@pytest.mark.parametrize("table", [None, flops_like()], ids=["flops", "latency too"])
@pytest.mark.parametrize("kills", [5, 20])
def test_a_search_killed_at_random_moments_ends_with_the_same_history(
    tmp_path: Path, table: LatencyTable | None, kills: int
) -> None:
    """SIGKILLs at random moments, after each of which the search is resumed."""
    uninterrupted = toy_search(tmp_path / "uninterrupted.jsonl", generations=12, table=table)
    path = tmp_path / "killed.jsonl"
    generator = random.Random(0)
    sizes = [0]
    for kill in range(kills):
        with toy_process(path, seconds_each=0.03, table=table) as run:
            if kill % 2:  # every second kill after new evaluations, the others even at the start
                until(lambda: size(path) > sizes[-1])
            time.sleep(generator.uniform(0.0, 0.1))
            run.kill()
            run.join()
            assert run.exitcode == -9, "the search ended before it was killed: make it slower"
        sizes.append(size(path))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > kills // 2
    resumed = toy_search(path, generations=12, table=table)
    assert 0 < resumed.new < len(resumed.ranked)
    assert resumed.winner == uninterrupted.winner
    assert path.read_bytes() == (tmp_path / "uninterrupted.jsonl").read_bytes()


@pytest.mark.parametrize("keep", [0.1, 0.37, 0.62, 0.999])
def test_a_history_truncated_at_any_byte_is_completed_to_the_same_bytes(
    tmp_path: Path, keep: float
) -> None:
    path = tmp_path / "history.jsonl"
    uninterrupted = toy_search(path)
    content = path.read_bytes()
    header = content.index(b"\n") + 1
    path.write_bytes(content[: header + int(keep * (len(content) - header))])
    resumed = toy_search(path)
    assert path.read_bytes() == content
    assert resumed.winner == uninterrupted.winner
    assert 0 < resumed.new < uninterrupted.new


def test_a_finished_search_runs_again_without_evaluating(tmp_path: Path) -> None:
    first = toy_search(tmp_path / "history.jsonl")
    evaluator = ToyEvaluator()
    second = toy_search(tmp_path / "history.jsonl", evaluator=evaluator)
    assert evaluator.calls == second.new == 0
    assert second.ranked == first.ranked


def test_nothing_is_evaluated_twice_and_all_satisfy_the_budget(tmp_path: Path) -> None:
    evaluator = ToyEvaluator()
    outcome = toy_search(tmp_path / "history.jsonl", evaluator=evaluator)
    assert evaluator.calls == len({one.genes for one in outcome.ranked}) == len(outcome.ranked)
    assert max(one.flops for one in outcome.ranked) <= 100_000_000


def test_the_history_logs_every_reward_and_metric(tmp_path: Path) -> None:
    toy_search(tmp_path / "history.jsonl", reward="r2")
    header, *candidates = map(json.loads, lines(tmp_path / "history.jsonl"))
    assert header["search"]["reward"] == "r2"
    for line in candidates:
        assert set(line["mqq"]) == set(line["mqg"]) == {"top1", "top10"}
        mqq, mqg = line["mqq"]["top10"], line["mqg"]["top10"]
        assert line["rewards"] == {"r1": mqq, "r2": mqg, "r3": mqq * mqg, "r3sum": mqq + mqg}


def test_it_beats_random_search(tmp_path: Path) -> None:
    """With as many evaluations, for every seed."""
    for seed in range(3):
        found = toy_search(tmp_path / f"{seed}.jsonl", generations=12, seed=seed)
        budget = FlopsBudget(FlopsTable.of("100M"), 100_000_000)
        baseline = evaluate_random(
            ToyEvaluator(), budget, count=len(found.ranked), metric="top10", seed=seed
        )
        best = max(one.reward("r3") for one in baseline)
        assert found.winner.reward("r3") > 1.2 * best


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"flops": 90_000_000}, "budget was"),
        ({"reward": "r1"}, 'reward was "r3", now "r1"'),
        ({"population": 13}, "evolution was"),
        ({"table": flops_like()}, r'budget was .*100000000, .*now .*"latency_ms": 0.8'),
        ({"evaluator": ToyEvaluator(input_size=96)}, "evaluator was"),
    ],
)
def test_the_history_of_another_search_is_refused(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    path = tmp_path / "history.jsonl"
    toy_search(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=named) as refusal:
        toy_search(path, **change)  # type: ignore[arg-type]
    assert "another --out" in refusal.value.way_out
    assert path.read_bytes() == before


def swapped_lines(rows: list[bytes]) -> None:
    rows[3], rows[4] = rows[4], rows[3]


def missing_line(rows: list[bytes]) -> None:
    del rows[5]


def higher_accuracy(rows: list[bytes]) -> None:
    rows[2] = rows[2].replace(b'"top10":0.', b'"top10":0.9', 1)


def fewer_flops(rows: list[bytes]) -> None:
    line = json.loads(rows[2])
    line["flops"] -= 1
    rows[2] = json.dumps(line).encode()


def invalid_json(rows: list[bytes]) -> None:
    rows[2] = rows[2][:-5]


def missing_field(rows: list[bytes]) -> None:
    line = json.loads(rows[2])
    del line["mqg"]
    rows[2] = json.dumps(line).encode()


def repeated_line(rows: list[bytes]) -> None:
    rows.append(rows[-1])


def missing_header(rows: list[bytes]) -> None:
    del rows[0]


@pytest.mark.parametrize(
    "tamper",
    [
        swapped_lines,
        missing_line,
        higher_accuracy,
        fewer_flops,
        invalid_json,
        missing_field,
        repeated_line,
        missing_header,
    ],
)
def test_a_changed_history_is_refused(
    tmp_path: Path, tamper: Callable[[list[bytes]], None]
) -> None:
    path = tmp_path / "history.jsonl"
    toy_search(path, generations=2)
    rows = lines(path)
    tamper(rows)
    path.write_bytes(b"\n".join(rows) + b"\n")
    with pytest.raises(UserError, match=r"Line \d+ of .* was changed or damaged"):
        toy_search(path, generations=2)


def test_two_searches_do_not_write_one_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with toy_process(path, seconds_each=0.5):
        until(lambda: path.exists() and len(lines(path)) > 1)
        with pytest.raises(UserError, match="Another search is writing"):
            toy_search(path, generations=12)
    assert toy_search(path, generations=12).new > 0


def search_on_a_full_disk(path: Path, room: int, told: Connection) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        toy_search(path)
    except UserError as error:
        told.send(str(error))


def test_a_full_disk_stops_it_and_it_resumes_later(tmp_path: Path) -> None:
    """A file size limit in the middle of a line stands in for a full disk."""
    toy_search(tmp_path / "uninterrupted.jsonl")
    path = tmp_path / "history.jsonl"
    content = (tmp_path / "uninterrupted.jsonl").read_bytes()
    context = get_context("fork")
    here, there = context.Pipe()
    full = context.Process(target=search_on_a_full_disk, args=(path, len(content) // 2, there))
    full.start()
    full.join(60)
    assert here.poll()
    assert "rerun the command to resume the search" in here.recv()
    assert content.startswith(path.read_bytes())
    assert path.read_bytes().endswith(b"\n"), "a line that did not fit was not taken back"
    toy_search(path)
    assert path.read_bytes() == content


def test_a_budget_that_few_satisfy_ends_early(tmp_path: Path) -> None:
    table = FlopsTable.of("100M")
    flops = round(table.count(table.smallest()) * 1.003)
    outcome = toy_search(tmp_path / "history.jsonl", flops=flops, population=50)
    assert outcome.exhausted
    assert len(outcome.ranked) == FlopsBudget(table, flops).count


def test_the_four_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = FlopsBudget(FlopsTable.of("100M"), 100_000_000)
    settings = SearchSettings(
        strategy=EvolutionSettings(population=10, generations=4, retain=2), metric="top1"
    )
    result = search_and_write(ToyEvaluator(), budget, settings, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "architecture.json",
        "history.jsonl",
        "result.json",
        "search.png",
    ]
    assert Architecture.load(tmp_path) == result.architecture
    assert json.loads((tmp_path / "result.json").read_text()) == result.to_dict()
    picture = imread(tmp_path / "search.png")
    assert picture.shape[0] > 300
    assert picture.std() > 0.05
    best = result.rows[0]
    assert best["flops_224"] == budget.table.count(result.architecture)
    assert best["macs_deployed"] < best["macs_224"] < best["flops_224"] <= 100_000_000
    assert [row["rank"] for row in result.rows] == [1, 2, 3, 4, 5]
    told = capsys.readouterr().err
    assert "satisfied by 35.1% of the 100M tier" in told
    assert told.count("Generation ") == 4
    assert "evaluations remain" in told


SMALL = SearchSettings(
    strategy=EvolutionSettings(population=10, generations=2, retain=2), metric="top1"
)


def test_pictures_that_cannot_be_written_do_not_lose_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The place of one is taken by a folder; the other, of an earlier result, is removed."""
    bound = LatencyBudget(FlopsBudget(FlopsTable.of("100M"), 100_000_000), flops_like(), 0.8)
    result = search_and_write(ToyEvaluator(), bound, SMALL, tmp_path)
    assert set(result.files) == {"winner", "history", "picture", "result", "front"}
    (tmp_path / "search.png").unlink()
    (tmp_path / "search.png").mkdir()
    capsys.readouterr()
    again = search_and_write(ToyEvaluator(), bound, SMALL, tmp_path)
    told = capsys.readouterr().err
    assert "The pictures were not written, but the result is complete." in told
    assert f"{tmp_path} cannot be written: Is a directory" in told
    assert set(again.files) == {"winner", "history", "result"}
    assert json.loads((tmp_path / "result.json").read_text()) == again.to_dict()
    assert Architecture.load(tmp_path) == result.architecture
    assert not (tmp_path / "pareto.png").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"winner": 99},
        {"winner": "1"},
        {"verified": "yes"},
        {"rows": []},
        {"rows": [1]},
        {"rows": [{"measured_ms": -1}]},
        {"rows": [{"measured_ms": "fast"}]},
    ],
)
def test_damaged_measurements_of_an_earlier_run_are_refused(
    change: dict[str, object], tmp_path: Path
) -> None:
    bound = {"flops": 100, "latency_ms": 4.0, "table": "0" * 64}
    document = {
        **{"budget": 100, "latency_ms": 4.0, "table": "0" * 64, "evaluations": 3},
        **{"verified": True, "winner": 1, "rows": [{"measured_ms": 3.0}, {"measured_ms": None}]},
    }
    file = tmp_path / "result.json"
    file.write_text(json.dumps(document))
    assert previous_verification(file, bound, evaluations=3).measured_ms == (3.0,)
    file.write_text(json.dumps({**document, **change}))
    with pytest.raises(UserError, match="does not contain the measurements of the winner"):
        previous_verification(file, bound, evaluations=3)


@pytest.mark.parametrize("rest", [b"", b'{"format":"edge', b'{"format":"edgecmp-history/1","sea'])
def test_a_history_whose_first_line_was_cut_off_starts_anew(rest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(rest)
    assert recorded_threads(path) is None
    assert toy_search(path).new > 0


@contextmanager
def toy_process(
    path: Path, *, seconds_each: float, table: LatencyTable | None = None
) -> Iterator[ForkProcess]:
    """A search in another process, forked so that it starts at once, and always ended."""
    run = get_context("fork").Process(
        target=toy_search,
        args=(path,),
        kwargs={
            "evaluator": ToyEvaluator(seconds=seconds_each),
            "generations": 12,
            "table": table,
        },
    )
    run.start()
    try:
        yield run
    finally:
        run.kill()
        run.join()


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "the search made no progress in a minute"
        time.sleep(0.005)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()
