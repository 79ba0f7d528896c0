"""The reference of the command line as Markdown, read from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from typer.main import get_command

__all__ = ["cli_page"]


def cli_page(app: Any, name: str) -> str:
    """A table of all commands, then a section per command, with an anchor such as `#name-train`.

    Args:
        app: the `typer.Typer` that holds the commands.
        name: of the program.
    """
    commands = list(_walk(get_command(app), (name,)))
    rows = [
        [f"[`{' '.join(path)}`](#{'-'.join(path)})", _prose(_summary(command))]
        for path, command in commands
    ]
    contents = _table(["Command", "What it does"], rows)
    return "\n\n".join([contents, *(_section(path, command) for path, command in commands)])


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and all commands below it, with the words that call each."""
    yield path, command
    for word, child in getattr(command, "commands", {}).items():
        yield from _walk(child, (*path, word))


def _section(path: tuple[str, ...], command: Any) -> str:
    """Heading, usage, help and options of one command."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    words = [*path, "[OPTIONS]"]
    words += ["COMMAND"] if getattr(command, "commands", None) else map(_placeholder, arguments)
    parts = [
        f"{'#' * min(len(path) + 1, 3)} {' '.join(path)} {{ #{'-'.join(path)} }}",
        *_help(command.help),
        f'```text title="Usage"\n{" ".join(words)}\n```',
    ]
    if arguments:
        rows = [[f"`{_metavar(p)}`", _default(p), _prose(p.help or "")] for p in arguments]
        parts.append(_table(["Argument", "Default", "Meaning"], rows))
    if options:
        rows = [
            [" ".join(f"`{o}`" for o in p.opts), _value(p), _default(p), _prose(p.help or "")]
            for p in options
        ]
        parts.append(_table(["Option", "Value", "Default", "Meaning"], rows))
    return "\n\n".join(parts)


def _summary(command: Any) -> str:
    """The first sentence of a command's help."""
    text: str = command.help
    return text.split("\n\n")[0].replace("\n", " ")


def _help(text: str) -> Iterator[str]:
    """The paragraphs of a help text; those that begin with \\b are examples to copy."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            _, *lines = paragraph.strip("\b\n").splitlines()
            examples = "\n".join(line.strip() for line in lines)
            yield f'```bash title="Examples"\n{examples}\n```'
        else:
            yield _prose(paragraph)


def _metavar(parameter: Any) -> str:
    name: str = parameter.metavar or parameter.name.upper()
    return name.strip("[]")


def _placeholder(argument: Any) -> str:
    """An argument in the usage line."""
    name = _metavar(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _value(option: Any) -> str:
    """What follows an option; nothing for a switch."""
    if option.is_flag:
        return ""
    choices = (option.metavar or option.name.upper()).split("|")
    return " or ".join(f"`{choice}`" for choice in choices)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    return "" if default in (None, "", False) else f"`{default}`"


def _prose(text: str) -> str:
    """Text of a help as Markdown: names of options as code, nothing taken for markup."""
    parts = re.split(r"(`[^`]*`|(?<![\w-])--[a-z][\w-]*)", " ".join(text.split()))
    marks = {"&": "&amp;", "<": "&lt;", "*": "\\*", "|": "&#124;"}
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = part if part.startswith("`") else f"`{part}`"
        else:
            parts[place] = "".join(marks.get(character, character) for character in part)
    return "".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
