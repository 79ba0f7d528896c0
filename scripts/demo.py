"""From search to device with the starter kit, through the same commands that a user types.

Run by `make demo`: a quick search; then, for the query network of the starter kit (the trained
winner of a full search), its accuracy, the exported files, and their parity and latency on this
machine; and a summary.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edgecmp.progress import duration
from edgecmp.report import table_text

__all__ = ["main"]

FILES = (
    ("tflite", "fp32", "tensor", "query-fp32.tflite"),
    ("tflite", "fp16", "tensor", "query-fp16.tflite"),
    ("tflite", "int8-weights", "tensor", "query-int8-weights.tflite"),
    ("tflite", "int8", "image", "query-int8.tflite"),
    ("coreml", "fp32", "tensor", "query-fp32.mlpackage"),
    ("coreml", "fp16", "image", "query-fp16.mlpackage"),
    ("onnx", "fp32", "tensor", "query-fp32.onnx"),
    ("onnx", "fp16", "tensor", "query-fp16.onnx"),
)
"""Target, precision, input kind and name of each file."""


class Demo:
    """Runs commands one after the other and collects their reports."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.exit_code = 0

    def edgecmp(self, *arguments: str | Path, report: str) -> dict[str, Any]:
        """Runs one command and returns its JSON report. A user error ends the demo."""
        json_file = self.out / "reports" / f"{report}.json"
        words = [*map(str, arguments), "--json", str(json_file)]
        print(f"\n$ edgecmp {shlex.join(words)}", flush=True)
        done = subprocess.run([sys.executable, "-m", "edgecmp", *words], check=False)
        self.exit_code = max(self.exit_code, done.returncode)
        if done.returncode not in (0, 1):
            sys.exit(done.returncode)
        document: dict[str, Any] = json.loads(json_file.read_text())
        return document

    def export(self) -> dict[str, float]:
        """Writes all `FILES` of the query network; returns their sizes in MB, by file."""
        sizes = {}
        for target, precision, reads, name in FILES:
            (row,) = self.edgecmp(
                *("export", "--target", target, "--precision", precision, "--input", reads),
                *("--out", self.out / name),
                report=f"export-{target}-{precision}",
            )["rows"]
            sizes[row["path"]] = row["size_mb"]
        return sizes


def file_rows(
    sizes: dict[str, float], parity: dict[str, Any], bench: dict[str, Any]
) -> list[dict[str, Any]]:
    """One row per file and runtime: size, parity and latency."""
    latency = {(row["file"], row["runtime"]): row["p50_ms"] for row in bench["rows"]}
    return [
        {
            "file": row["file"],
            "size_mb": sizes[row["file"]],
            "runtime": row["runtime"],
            "min_cosine": row["min_cosine"],
            "top1_agreement": row["top1_agreement"],
            "delta_top10": row["delta_top10"],
            "verdict": row["verdict"],
            "p50_ms": latency.get((row["file"], row["runtime"])),
        }
        for row in parity["rows"]
    ]


def run(out: Path) -> int:
    """Runs the demo and returns its exit code."""
    start = time.monotonic()
    demo = Demo(out)
    search = demo.edgecmp(
        *("search", "--budget", "100M", "--quick", "--out", out / "search"),
        report="search",
    )
    evaluation = demo.edgecmp("eval", report="eval")
    sizes = demo.export()
    parity = demo.edgecmp("parity", *sizes, "--picture", out / "parity.png", report="parity")
    bench = demo.edgecmp("bench", "--device", "local", *sizes, report="bench")

    best = search["rows"][search["winner"] - 1]
    top10 = {row["protocol"]: row["top10"] for row in evaluation["rows"]}
    print(
        f"\n{'=' * 78}\n"
        f"Quick search: the best of {search['evaluations']} architectures under "
        f"{search['budget'] / 1e6:g}M FLOPs has {best['flops_224'] / 1e6:.1f}M FLOPs.\n"
        f"  {search['metric']} on the hold-out, with the supernet's weights: "
        f"M(q,q) {best['mqq']:.1f} %, M(q,g) {best['mqg']:.1f} %\n"
        "Query network of the starter kit, from a full search and trained.\n"
        "  top-10 on the test split (unseen identities): "
        f"M(q,q) {top10['qq']:.1f} %, M(q,g) {top10['qg']:.1f} %, M(g,g) {top10['gg']:.1f} %\n"
    )
    print("Exported files: parity with PyTorch, and median latency on this machine\n")
    print(table_text(file_rows(sizes, parity, bench), width=120))
    print(
        f"\nPicture of the search:     {Path(search['files']['picture']).resolve()}\n"
        f"Picture of the parity:     {Path(parity['picture']).resolve()}\n"
        f"Reports (JSON):            {(out / 'reports').resolve()}\n"
        f"Duration of the demo:      {duration(time.monotonic() - start)}"
    )
    if demo.exit_code:
        print("error: A check failed; see its output above.", file=sys.stderr)
    return demo.exit_code


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR")
    try:
        sys.exit(run(parser.parse_args().out))
    except KeyboardInterrupt:
        print("error: Interrupted. Run `make demo` again; the search resumes.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
