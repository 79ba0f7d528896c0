"""Names and documents from outside cannot control the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("over\rwritten", r"over\rwritten"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("\udcff.jpg", r"\udcff.jpg"),
        ("two\nlines\tof text", "two\nlines\tof text"),
        ("Größe 日本語 😀 e\u0301", "Größe 日本語 😀 e\u0301"),
    ],
)
def test_what_controls_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_any_text_can_be_printed(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert all(
        character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
        for character in shown
    )
    assert printable(shown) == shown
