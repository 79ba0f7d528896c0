"""Ten small roads from end to end, for galleries that read 112 to 224 pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result
from tests.fixtures.walked_roads import LARGE, check_road


@pytest.mark.roads
@pytest.mark.parametrize("name", LARGE)
def test_a_road_ends_with_proven_files(
    name: str, edgecmp: Callable[..., Result], tmp_path: Path
) -> None:
    check_road(name, edgecmp, tmp_path)
