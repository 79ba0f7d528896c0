"""The app that holds the commands, and `main`: exit codes and one-sentence errors."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgecmp.cli import (
    bench,
    data,
    devices,
    doctor,
    evaluate,
    export,
    find,
    flops,
    gallery,
    init,
    inspect,
    latency,
    parity,
    prune,
    rank,
    recipes,
    reproduce,
    run,
    search,
    study,
    train,
)
from edgecmp.cli.endings import fail, failed
from edgecmp.cli.options import help_text
from edgecmp.cli.signals import interruptible
from edgecmp.version import __version__

__all__ = ["app", "main"]

INTERRUPTED = 130
"""What typer returns for Ctrl-C outside of any `on_interrupt`."""

HELP = help_text(
    "Find, train, export, prove and time query networks for phones that are compatible with the "
    "gallery you have already indexed.",
    (
        "edgecmp run --gallery gallery.onnx --data photos/ --budget 100M --time 30m "
        "--out runs/mine",
        "edgecmp search --budget 100M --quick --out runs/search",
        "edgecmp train query --architecture runs/search/architecture.json --out runs/query",
        "edgecmp eval --model runs/query",
        "edgecmp export --target tflite --model runs/query --out runs/query.tflite",
        "edgecmp parity runs/query.tflite --model runs/query",
        "edgecmp find photo.jpg --model runs/query.tflite",
        "edgecmp bench --device local runs/query.tflite",
        "edgecmp devices",
        "edgecmp latency build --device local --out runs/latency.json",
        "edgecmp reproduce --list",
        "edgecmp inspect runs/query.tflite",
        "edgecmp doctor",
    ),
    "Exit codes: 0 done and passed, 1 a check failed, 2 a mistake in the command or its input, "
    "70 a bug in edgecmp.",
)

COMMANDS: dict[str, tuple[typer.Typer | Callable[..., None], str]] = {
    "run": (run.run, run.HELP),
    "init": (init.init, init.HELP),
    "data": (data.app, data.HELP),
    "train": (train.app, train.HELP),
    "gallery": (gallery.app, gallery.HELP),
    "latency": (latency.app, latency.HELP),
    "search": (search.search, search.HELP),
    "rank": (rank.rank, rank.HELP),
    "prune": (prune.prune, prune.HELP),
    "eval": (evaluate.evaluate, evaluate.HELP),
    "export": (export.export, export.HELP),
    "parity": (parity.parity, parity.HELP),
    "find": (find.find, find.HELP),
    "bench": (bench.bench, bench.HELP),
    "devices": (devices.devices, devices.HELP),
    "flops": (flops.flops, flops.HELP),
    "recipes": (recipes.app, recipes.HELP),
    "inspect": (inspect.inspect, inspect.HELP),
    "doctor": (doctor.doctor, doctor.HELP),
    "reproduce": (reproduce.reproduce, reproduce.HELP),
    "study": (study.app, study.HELP),
}
"""Each command or group with its help, in the order of the list of commands: what does everything,
then as data flows through them, then what describes and checks, then the studies."""


class _Ordered(TyperGroup):
    """Lists the commands in the order of `COMMANDS`; typer itself lists all groups last."""

    def __init__(self, *, commands: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(commands={name: commands[name] for name in COMMANDS}, **settings)


app = typer.Typer(
    cls=_Ordered,
    add_completion=False,
    rich_markup_mode=None,  # a panel's frame would be copied along with the examples
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"edgecmp {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True, help=HELP)
def edgecmp(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Prints the help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


for _name, (_command, _help) in COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name, help=_help)
    else:
        app.command(_name, help=_help)(_command)


def _usage(error: typer.TyperException) -> str:
    """A usage error with its nearest valid name and the help that lists them all."""
    possibilities = getattr(error, "possibilities", None)
    message = (error.message if possibilities else error.format_message()).rstrip(".?")
    if possibilities:
        message += f". Did you mean {possibilities[0]}"
    end = "?" if "Did you mean" in message else "."
    context: typer.Context | None = getattr(error, "ctx", None)
    path = context.command_path if context else "edgecmp"
    return f"{message}{end} `{path} --help` lists what there is."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: what follows `edgecmp`; those of the process if not given.

    Returns:
        0: done and passed. 1: a check failed. 2: a user error or an interrupt, told on stderr.
        70: a bug, with its traceback. 141: what read the output, such as `head`, has ended.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may not fit the terminal
    try:
        with interruptible():
            code = app(args=arguments, prog_name="edgecmp", standalone_mode=False)
            sys.stdout.flush()
    except typer.TyperException as error:
        return fail(_usage(error))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as error:  # typer's answer to a closed pipe
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return failed(error.__context__)
    except Exception as error:
        return failed(error)
    if code == INTERRUPTED:
        return fail("Interrupted. No incomplete file was left: rerun the command.")
    return code if isinstance(code, int) else 0
