"""differences: what two documents of settings do not have in common, in words for an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["differences", "sentence_of"]

WHOLE = {
    "images": "the training data",
    "test_images": "the test data",
    "holdout": "the hold-out images",
    "gallery": "the gallery model",
    "unlabelled": "the images without labels",
    "gallery_images": "the gallery's images",
    "preprocessing": "the preprocessing",
    "architecture": "the architecture",
    "start_sha256": "the network that it starts from",
    "start_head": "whether the head of that network is fitted anew",
}
"""Fields that are named without their values, which are hashes or long."""

INNER = frozenset({"recipe", "training", "schedule"})
"""Fields that a reader need not know in order to find the setting."""

MOST = 6
"""Differences that a sentence lists."""

_ABSENT = object()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each difference in words: "the training data", "epochs 3, now 5".

    Args:
        before: settings of earlier work.
        now: those of the present command, as JSON values or as what JSON makes of them.
    """
    return list(_between(json.loads(json.dumps(before)), json.loads(json.dumps(now)), ()))


def sentence_of(found: list[str]) -> str:
    """The differences as a part of a sentence."""
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return "; ".join(found[:MOST] + more)


def _between(before: Any, now: Any, path: tuple[str, ...]) -> Iterator[str]:
    if before == now and type(before) is type(now):
        return
    if path and path[-1] in WHOLE:
        yield WHOLE[path[-1]]
    elif path and path[-1] == "methods" and _names(before) != _names(now):
        yield f"the method {_names(before)}, now {_names(now)}"
    elif isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            inner = path if key in INNER else (*path, key)
            yield from _between(before.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            named = isinstance(one, dict) and "name" in one
            inner = (*path[:-1], str(one["name"])) if named else (*path, str(index + 1))
            yield from _between(one, other, inner)
    else:
        yield f"{' '.join(path).replace('_', ' ')} {_shown(before)}, now {_shown(now)}"


def _names(methods: Any) -> str:
    if not isinstance(methods, list):
        return _shown(methods)
    return " + ".join(str(one.get("name")) for one in methods if isinstance(one, dict))


def _shown(value: Any) -> str:
    if value is _ABSENT or value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
