"""What each station costs: the work as counts times this machine's pace, in seconds.

Pure functions, so that plans can be tested for any data and any machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = [
    "FINALISTS",
    "PASSES_OF_VIEW",
    "QUERY_LOOKS",
    "SUPERNET_LOOKS",
    "SUPERNET_WATCHED",
    "Costs",
    "Pace",
    "Work",
]

CALIBRATION = 1024
"""Training images that a subnet's batch norms are recalibrated on before it is scored."""

HEAD_SAMPLE = 2048
"""Training images that a start's new head is fitted to."""

FINALISTS = 3
"""The best of a search that are trained shortly."""

SUPERNET_LOOKS, SUPERNET_WATCHED, FINAL_SUBNETS = 3, 3, 10
"""Looks at the hold-out in a supernet's training, subnets in each, and subnets after it."""

QUERY_LOOKS = 6
"""Looks at the hold-out in a query network's training."""

PARITY_PASSES = 20
"""Times that a query is embedded in `parity`: by the network, its stages, and files in runtimes."""

EXPORT_S, PARITY_S, BENCH_S = 17.0, 8.0, 9.0
"""Of all files of a road on an idle machine, whatever the images: Core ML's compiler, runtimes that
are opened, and the processes of `bench`."""

KEEP_S = 0.2
"""Of a checkpoint."""

PASSES_OF_VIEW = 2.5
"""Passes of a query network's training over each fixed view: with more it learns the views by
heart, with fewer the gallery model takes its time."""

LEAST_QUERIES, MOST_QUERIES = 200, 2000
"""Of an evaluation and a proof the fewest, and of a proof the most: with more its intervals hardly
narrow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What there is to do, in images.

    Attributes:
        train: images with labels to train on.
        holdout: queries and gallery images of the hold-out.
        queries: of the test split.
        gallery: gallery images of the test split, which the index holds.
        unlabelled: images to train on that have no label.
        views: of each image that the gallery model embeds in a query network's training, besides
            the image as it is; None: a new one in each step.
    """

    train: int
    holdout: int
    queries: int
    gallery: int
    unlabelled: int = 0
    views: int | None = 0

    @property
    def images(self) -> int:
        """Images of one pass of a training."""
        return self.train + self.unlabelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds of one unit of each kind of work on this machine.

    Attributes:
        start: of a command, until its own work begins.
        read: of one image, decoded and prepared for the query network.
        gallery: of one image in the gallery model, decoding included.
        step: of one image in a training step of the query network: forward and backward.
        taught: of one image in such a step in which the gallery model embeds it too, side by side.
        supernet: of one image in a training step of the supernet.
        embed: of one image in the query network, forward only.
        load: 1 on an idle machine; 2 if other programs take half of the processor.
        query: what steps of finished trainings took, over what the measured ones promised.
    """

    start: float
    read: float
    gallery: float
    step: float
    taught: float
    supernet: float
    embed: float
    load: float = 1.0
    query: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Seconds of each station.

    Attributes:
        work: what there is to do.
        pace: of this machine.
    """

    work: Work
    pace: Pace

    @property
    def index(self) -> float:
        """The gallery's index."""
        return self.pace.start + self.work.gallery * self.pace.gallery

    @property
    def teacher(self) -> float:
        """The gallery model's embeddings of the images as they are, once for all trainings."""
        return self.work.images * self.pace.gallery

    @property
    def opening(self) -> float:
        """A training before its first pass, without the teacher's embeddings of all images."""
        head = min(HEAD_SAMPLE, self.work.train) * (self.pace.embed + self.pace.gallery)
        return self.pace.start + self.work.images * self.pace.read + head + self._holdout

    @property
    def _holdout(self) -> float:
        """Reading the hold-out, and its gallery model's embeddings."""
        return self.work.holdout * (self.pace.read + self.pace.gallery)

    @property
    def supernet_pass(self) -> float:
        """One pass of the supernet's training."""
        return self.work.images * self.pace.supernet + self._keep

    @property
    def query_pass(self) -> float:
        """One pass of the query network's training; with fixed views, one of a known view."""
        return self._known_pass + (self._asking if self.work.views is None else 0.0)

    @property
    def _known_pass(self) -> float:
        """One pass for which the gallery model's embeddings are known."""
        return self.pace.query * self.work.images * self.pace.step + self._keep

    @property
    def _asking(self) -> float:
        """What the gallery model adds to a pass in which it embeds every image."""
        added = max(0.0, self.pace.taught - self.pace.step)
        return self.pace.query * self.work.images * added

    @property
    def _keep(self) -> float:
        """The checkpoint after an epoch."""
        return KEEP_S * self.pace.load

    @property
    def evaluation(self) -> float:
        """One subnet: recalibrated, then scored on the hold-out."""
        return (self.work.holdout + min(CALIBRATION, self.work.train)) * self.pace.embed

    def supernet(self, passes: float) -> float:
        """A supernet's training; without a pass only its head is fitted."""
        looks = FINAL_SUBNETS + (SUPERNET_LOOKS * SUPERNET_WATCHED if passes else 0)
        return self.opening + passes * self.supernet_pass + looks * self.evaluation

    def search(self, evaluations: float) -> float:
        """A search."""
        return self.pace.start + self._holdout + evaluations * self.evaluation

    def query(self, passes: float) -> float:
        """A query network's training."""
        looks = (QUERY_LOOKS + 1) * self.work.holdout * self.pace.embed
        views = min(passes, self.work.views or 0) * self._asking
        return self.opening + passes * self.query_pass + views + looks

    def short_query(self, passes: float) -> float:
        """A query network's training that embeds only the images that it sees, each once."""
        return self.query(0) + passes * self._known_pass + min(1.0, passes) * self._asking

    def short_passes(self, seconds: float) -> float:
        """The passes of such a training of so many seconds; below 0 if too few."""
        rest = seconds - self.query(0)
        passes = rest / (self._known_pass + self._asking)
        return passes if passes <= 1 else (rest - self._asking) / self._known_pass

    def fitted(self, seconds: float) -> Costs:
        """With as many fixed views as a query network's training of so many seconds should have."""
        if not self.work.views:
            return self
        of_view = self._asking + PASSES_OF_VIEW * self._known_pass
        return self.with_views(max(1, round((seconds - self.query(0)) / of_view) - 1))

    def with_views(self, views: int | None) -> Costs:
        """With so many views, see `Work.views`."""
        return replace(self, work=replace(self.work, views=views))

    def query_passes(self, seconds: float) -> float:
        """The passes of a query network's training of so many seconds; below 0 if too few."""
        rest = seconds - self.query(0)
        views = self.work.views or 0
        passes = rest / (self.query_pass + (self._asking if views else 0.0))
        return passes if passes <= views else (rest - views * self._asking) / self.query_pass

    @property
    def _measure(self) -> float:
        """One image in an evaluation, by both networks."""
        return self.pace.read + self.pace.embed + self.pace.gallery

    def eval(self, queries: int) -> float:
        """The evaluation of so many test queries."""
        return self.pace.start + (queries + self.work.gallery) * self._measure

    def eval_queries(self, seconds: float) -> int:
        """How many queries an evaluation can have in so many seconds; a few in any case."""
        return self._fitting(seconds - self.eval(0), self._measure, self.work.queries)

    @property
    def export(self) -> float:
        """All files."""
        return EXPORT_S * self.pace.load

    @property
    def _prove(self) -> float:
        """One image in a proof of all files."""
        return self.pace.read + PARITY_PASSES * self.pace.embed

    def parity(self, queries: int) -> float:
        """The proof of all files on so many queries."""
        return PARITY_S * self.pace.load + (queries + self.work.gallery) * self._prove

    def parity_queries(self, seconds: float) -> int:
        """How many queries a proof can have in so many seconds; a few in any case."""
        most = min(self.work.queries, MOST_QUERIES)
        return self._fitting(seconds - self.parity(0), self._prove, most)

    @staticmethod
    def _fitting(seconds: float, each: float, most: int) -> int:
        return max(min(LEAST_QUERIES, most), min(most, int(max(0.0, seconds) / each)))

    @property
    def bench(self) -> float:
        """The latencies of all files."""
        return self.pace.start + BENCH_S * self.pace.load

    @property
    def report(self) -> float:
        """The report with its sample pictures."""
        return 2 * self.pace.start
