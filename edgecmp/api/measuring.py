"""Measuring on devices: latency of files, latency tables, and FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.benchmarks.bench.report import BenchReport
    from edgecmp.benchmarks.devices.listing import DeviceList
    from edgecmp.benchmarks.latency.build import BuiltTable
    from edgecmp.benchmarks.latency.check import LatencyCheck
    from edgecmp.search.space.flops_report import FlopsReport

__all__ = ["bench", "build_latency_table", "check_latency_table", "count_flops", "list_devices"]


def bench(
    files: Sequence[PathLike] | PathLike,
    *,
    device: str = "local",
    threads: Sequence[int] = (1,),
    runtime: str | None = None,
    sustained: float | None = None,
    single_stream: bool = False,
    profile: bool = False,
    compare: PathLike | None = None,
    keep: PathLike | None = None,
    picture: PathLike | None = None,
    input_size: int | tuple[int, int] | None = None,
) -> BenchReport:
    """Measures the latency of model files on a device, one call at a time.

    Args:
        files: .tflite, .onnx or .mlpackage files.
        device: a name of `list_devices`: "local", "adb:SERIAL", "ssh://user@host", "coreml:NAME".
        threads: thread counts to measure.
        runtime: the only runtime to use; all that load a file if None.
        sustained: minutes that each row runs without a pause, for its curve.
        single_stream: as MLPerf: p90 over at least 1,024 queries and 60 s.
        profile: also profile the operators of .tflite files with LiteRT.
        compare: the JSON of an earlier bench, to which each row gets its ratio.
        keep: a JSON file for rows as they are finished; an interrupted sustained bench resumes from
            it.
        picture: a .png of the spread or the curves; if it cannot be drawn, `not_drawn` of the
            report says why.
        input_size: side of the images in pixels, or height and width, for files that do not fix
            them; by default what their metadata or description states.

    Raises:
        UserError: not one of the files runs, the device cannot be reached, or the earlier bench was
            made under other conditions.
    """
    from edgecmp.benchmarks.bench.plan import BenchPlan
    from edgecmp.benchmarks.bench.run import bench as run

    return run(
        [files] if isinstance(files, str | Path) else files,
        device=device,
        threads=threads,
        runtime=runtime,
        plan=BenchPlan.of(
            sustained=sustained,
            single_stream=single_stream,
            input_size=(input_size, input_size) if isinstance(input_size, int) else input_size,
        ),
        profiles=profile,
        compare=None if compare is None else Path(compare),
        keep=None if keep is None else Path(keep),
        picture=None if picture is None else Path(picture),
    )


def build_latency_table(
    out: PathLike,
    *,
    device: str = "local",
    supernet: PathLike | None = None,
    tier: str | None = None,
    input_size: int | None = None,
    embedding_dim: int | None = None,
    precision: str = "fp32",
    runtime: str | None = None,
    threads: int = 1,
) -> BuiltTable:
    """Measures what each choice of the search costs on a device, and writes table and picture.

    An interrupted measurement resumes when it is called again with the same arguments.

    Args:
        out: the table, a .json file; the picture is written beside it.
        device: a name of `list_devices`.
        supernet: tier, input size and embedding are this supernet's; the starter kit's by default.
        tier: another tier: "330M", "230M" or "100M".
        input_size: another side of the image, in pixels.
        embedding_dim: another number of embedding values: that of the gallery model.
        precision: "fp32" or "int8".
        runtime: "litert", "tflite-runtime" or "benchmark_model"; the first that the device has if
            None.
        threads: of the runtime.

    Raises:
        UserError: an argument is unknown, or the device cannot be reached or lacks the runtime.
    """
    from edgecmp import kit
    from edgecmp.artefacts.bundle import SupernetBundle
    from edgecmp.benchmarks.latency.build import BuiltTable, build
    from edgecmp.benchmarks.latency.plot import draw_table
    from edgecmp.errors import UserError
    from edgecmp.networks.tiers import tier as tier_named
    from edgecmp.plotting import try_draw

    path = Path(out)
    if path.suffix == ".png":
        raise UserError(
            f"--out names the table, a .json file (got {path}).",
            f"Use {path.with_suffix('.json')}; the picture is written beside it.",
        )
    network = SupernetBundle.load(supernet or kit.path("supernet")).network
    table = build(
        out,
        device=device,
        tier=tier_named(tier or network.tier).name,
        input_size=network.input_size if input_size is None else input_size,
        embedding_dim=network.embedding_dim if embedding_dim is None else embedding_dim,
        precision=precision,
        runtime=runtime,
        threads=threads,
    )
    picture = try_draw(lambda: draw_table(table, path.with_suffix(".png")))
    return BuiltTable(table=table, path=path, picture=picture)


def check_latency_table(
    table: PathLike, *, nets: int = 50, architectures: Sequence[PathLike] = ()
) -> LatencyCheck:
    """Compares a latency table with whole networks, measured on the same device.

    The figures of random networks are written into the table, and their picture beside it.

    Args:
        table: from `build_latency_table`.
        nets: how many random networks.
        architectures: .json files or folders of searched networks, instead of random ones.

    Raises:
        UserError: the device cannot be reached, or the table is of another runtime or lowering than
            what is there now.
    """
    from dataclasses import replace

    from edgecmp.benchmarks.latency.check import check
    from edgecmp.benchmarks.latency.plot import draw_check
    from edgecmp.networks.form import load_searched
    from edgecmp.plotting import try_draw

    named = {str(path): load_searched(path) for path in architectures}
    report = check(table, nets=nets, architectures=named)
    if named:
        return report
    picture = try_draw(lambda: draw_check(report, Path(table).with_suffix(".check.png")))
    return replace(report, picture=picture)


def count_flops(networks: Sequence[PathLike] | PathLike) -> FlopsReport:
    """Counts what networks cost: fvcore's FLOPs, and multiply-adds after batch norm is folded.

    Args:
        networks: .json files or folders of architectures, and names of `list_baselines`.

    Raises:
        UserError: one of them holds no architecture.
    """
    from edgecmp.search.space.flops_report import count_flops as run

    return run([networks] if isinstance(networks, str | Path) else networks)


def list_devices(names: Sequence[str] = ()) -> DeviceList:
    """The devices that models can be timed on: this machine, what adb has attached, and `names`."""
    from edgecmp.benchmarks.devices.listing import list_devices as run

    return run(names)
