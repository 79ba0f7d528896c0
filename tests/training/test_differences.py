"""differences: every change of the settings is found, and named as a reader would name it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.training.differences import differences, sentence_of
from edgecmp.training.fields import document_of
from edgecmp.training.methods import BackwardCompatible, method_named
from edgecmp.training.recipes import query_recipe, supernet_recipe

QUERY = query_recipe("emoji")
SUPERNET = supernet_recipe("emoji")


def _settings(recipe: Any, **more: Any) -> dict[str, Any]:
    return {
        "kind": "query",
        "recipe": {**document_of(recipe), "start_sha256": None},
        "seed": 0,
        "images": {"number": 12, "fingerprint": "aa"},
        "preprocessing": {"input_size": 64},
        "gallery": {"sha256": "bb", "preprocessing": "cc"},
    } | more


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (_settings(QUERY, images={"number": 12, "fingerprint": "dd"}), "the training data"),
        (_settings(QUERY, gallery={"sha256": "ee", "preprocessing": "cc"}), "the gallery model"),
        (_settings(QUERY, gallery=None), "the gallery model"),
        (_settings(QUERY, preprocessing={"input_size": 48}), "the preprocessing"),
        (_settings(QUERY, seed=3), "seed 0, now 3"),
        (
            _settings(replace(QUERY, schedule=replace(QUERY.schedule, epochs=7))),
            f"epochs {QUERY.schedule.epochs}, now 7",
        ),
        (
            _settings(replace(QUERY, methods=(method_named("kd"),))),
            f"the method {' + '.join(method.name for method in QUERY.methods)}, now kd",
        ),
        (
            _settings(
                replace(
                    QUERY, augmentation=replace(QUERY.augmentation, rotation=1.5), watch_every=99
                )
            ),
            f"augmentation rotation {QUERY.augmentation.rotation}, now 1.5; "
            f"watch every {QUERY.watch_every}, now 99",
        ),
    ],
)
def test_a_difference_is_named(now: dict[str, Any], said: str) -> None:
    assert sentence_of(differences(_settings(QUERY), now)) == said


def test_a_setting_of_a_method_and_of_a_nested_schedule_are_named() -> None:
    bct = BackwardCompatible()
    before = replace(SUPERNET, methods=(bct,), seed_schedule=None)
    after = replace(SUPERNET, methods=(replace(bct, scale=9.0),), seed_schedule=SUPERNET.schedule)
    found = differences(document_of(before), document_of(after))
    assert "bct scale 24.0, now 9.0" in found
    (other,) = (text for text in found if "scale" not in text)
    assert other.startswith("seed schedule none, now {")


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, part in items for leaf in _leaves(part, (*path, key))]
    return [path]


@given(data=st.data())
def test_any_changed_value_is_found_and_no_other(data: st.DataObject) -> None:
    before = _settings(data.draw(st.sampled_from([QUERY, SUPERNET])))
    now: Any = copy.deepcopy(before)
    assert differences(before, now) == []
    *parents, last = data.draw(st.sampled_from(_leaves(before)))
    inside = now
    for key in parents:
        inside = inside[key]
    inside[last] = "another"
    assert len(differences(before, now)) == 1


def test_a_long_list_is_cut() -> None:
    before, now = ({f"setting_{i}": i + shift for i in range(9)} for shift in (0, 1))
    text = sentence_of(differences(before, now))
    assert text.startswith("setting 0 0, now 1; setting 1 1, now 2;")
    assert text.endswith("; and 3 more")
