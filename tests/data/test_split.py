"""Sizes of the splits: by share, and with enough queries where there are few identities."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgecmp.data.image_files import ImageRecord
from edgecmp.data.posed_queries import posed_queries
from edgecmp.data.split import LEAST_QUERIES, dominant, split_identities


def sizes(found: dict[str, str]) -> tuple[int, int, int]:
    counts = Counter(found.values())
    return counts["train"], counts["validation"], counts["test"]


def names(count: int) -> list[str]:
    return [f"id{number}" for number in range(count)]


@given(
    counts=st.lists(st.integers(0, 6), max_size=80),
    test_share=st.sampled_from([0.0, 0.1, 0.4, 0.9]),
    validation_share=st.sampled_from([0.05, 0.1, 0.5]),
)
def test_each_identity_is_in_one_split_that_its_name_decides(
    counts: list[int], test_share: float, validation_share: float
) -> None:
    queries = dict(zip(names(len(counts)), counts, strict=True))
    found = split_identities(
        queries,
        queries=queries,
        test_share=test_share,
        validation_share=validation_share,
        least_queries=LEAST_QUERIES,
    )
    assert found == split_identities(
        reversed([*queries]),
        queries=queries,
        test_share=test_share,
        validation_share=validation_share,
        least_queries=LEAST_QUERIES,
    )
    assert set(found) == set(queries)
    asking = [name for name, count in queries.items() if count]
    train, validation, test = sizes({name: found[name] for name in asking})
    assert test_share or not test
    if len(asking) >= 6 and not dominant(queries):
        assert validation >= min(2, (len(asking) - test) // 2)
        assert test >= 2 or not test_share or round(len(asking) * test_share) == 0
        assert train >= validation or validation_share == 0.5
    assert all(found[name] == "train" for name in dominant(queries))


def test_small_holdouts_grow_to_twenty_queries_or_a_third() -> None:
    def small(count: int, each: int) -> tuple[int, int, int]:
        queries = dict.fromkeys(names(count), each)
        return sizes(split_identities(queries, queries=queries, least_queries=LEAST_QUERIES))

    assert small(6, 1) == (2, 2, 2)
    assert small(50, 1) == (20, 10, 20)
    assert small(100, 1) == (40, 20, 40)
    assert small(100, 4) == (54, 6, 40)  # a tenth poses 24
    assert small(1000, 1) == (540, 60, 400)
    assert small(100, 1) != sizes(split_identities(names(100)))


def test_identities_that_ask_nothing_are_divided_alike() -> None:
    queries = dict.fromkeys(names(100), 0) | {f"asks{number}": 3 for number in range(50)}
    found = split_identities(queries, queries=queries)
    assert sizes({name: found[name] for name in names(100)}) == (54, 6, 40)
    assert sizes({f"asks{n}": found[f"asks{n}"] for n in range(50)}) == (27, 3, 20)


def test_an_identity_of_half_the_images_is_trained_on() -> None:
    queries = dict.fromkeys(names(40), 2) | {"all": 80}
    assert dominant(queries) == ["all"]
    assert split_identities(queries, queries=queries)["all"] == "train"
    assert dominant(dict.fromkeys(names(3), 50)) == []
    assert dominant(dict.fromkeys(names(300), 1) | {"more": 11}) == []
    assert dominant({}) == dominant({"a": 0}) == []


def test_posed_queries_are_those_of_the_task() -> None:
    def record(key: str, identity: str, domain: str = "", camera: str = "") -> ImageRecord:
        return ImageRecord(
            path=Path(key),
            key=key,
            identity=identity,
            domain=domain,
            camera=camera,
        )

    plain = [record("a1", "a"), record("a2", "a"), record("a3", "a"), record("b1", "b")]
    assert posed_queries(plain, None) == {"a": 2, "b": 0}
    assert posed_queries([plain[0], plain[3]], None) == {"a": 1, "b": 1}
    shop = [
        record("a1", "a", "shop", "1"),
        record("a2", "a", "user", "1"),
        record("a3", "a", "user", "2"),
        record("b1", "b", "user", "1"),
        record("c1", "c", "shop", "1"),
    ]
    assert posed_queries(shop, "shop") == {"a": 1, "b": 0, "c": 0}
