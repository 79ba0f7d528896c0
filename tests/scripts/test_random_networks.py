"""Checks of random networks: a number names a network, a verdict decides the exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from scripts.random_networks import (
    Result,
    check_networks,
    conclude,
    numbered_network,
    parse_arguments,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvenFails(Result):
    """Networks of even numbers fail."""

    @property
    def failures(self) -> list[str]:
        return [] if self.number % 2 else [f"network {self.number} fails"]


def check(number: int, seed: int = 0) -> EvenFails:
    return EvenFails(number=number, tier="100M", input_size=64 + seed)


def test_a_number_and_a_seed_name_a_network() -> None:
    one, network, images = numbered_network(4, 0)
    same, again, others = numbered_network(4, 0)
    assert one == same
    assert torch.equal(network(images), again(others))
    assert images.shape == (2, 3, one.input_size, one.input_size)
    assert numbered_network(4, 1)[0].fingerprint != one.fingerprint
    assert len({numbered_network(number, 0)[0].tier for number in range(3)}) == 3


@pytest.mark.parametrize(("networks", "code"), [("2", 1), ("1", 0)])
def test_one_failure_fails_the_check(
    networks: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "check.json"
    words = ["--networks", networks, "--first", "3", "--seed", "1", "--workers", "2"]
    given = parse_arguments(
        "text", networks=9, json_help="all", arguments=[*words, "--json", str(path)]
    )
    results = check_networks(check, given)
    assert [result.number for result in results] == [3, 4][: int(networks)]
    with pytest.raises(SystemExit) as stopped:
        conclude(results, given, summary="nothing else", limits={"bounds": {"cosine": 1}})
    assert stopped.value.code == code
    verdict = "FAILED" if code else "passed"
    assert capsys.readouterr().out == (
        f"{verdict}: {networks} networks, nothing else, {code} failures\n"
    )
    document = json.loads(path.read_text())
    assert document["rows"][0] == {"number": 3, "tier": "100M", "input_size": 65}
    assert document["failures"] == ["network 4 fails"][:code]
    assert document["bounds"] == {"cosine": 1}
    settings = {"networks": int(networks), "first": 3, "seed": 1, "workers": 2}
    assert document["settings"] == settings


@pytest.mark.parametrize("words", [["--networks", "0"], ["--workers", "0"], ["--first", "-1"]])
def test_counts_start_at_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments("text", networks=9, json_help="all", arguments=words)
    assert "--networks and --workers must be at least 1" in capsys.readouterr().err
