"""How the time for trainings and search is divided.

The query network comes first: it has `FIRST_PASSES` passes over the images before a supernet and a
search of one's own take anything. From there on each of them has its share.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from edgecmp.road.costs import FINALISTS, Costs

__all__ = [
    "FIRST_PASSES",
    "LEAST_IMAGES",
    "LEAST_SEARCH",
    "LEAST_SUPERNET",
    "SIZES",
    "Division",
    "Planned",
    "evaluations_of",
]

SIZES = ((8, 1), (12, 2), (16, 4), (20, 7), (30, 10), (40, 15), (50, 20))
"""Population and generations of searches, the smallest first; the last is supplement A.3's."""

FIRST_PASSES = 48.0
"""Passes of the query network, whose time comes before a supernet and a search of one's own."""

SHARES = {"supernet": 0.22, "search": 0.12, "finalists": 0.10, "query": 0.56}
"""Of the time for trainings and search."""

MOST_SUPERNET, MOST_QUERY, MOST_FINALIST = 72.0, 300.0, 8.0
"""Passes over the images..."""
SMALL_SET, MOST_SMALL = 600_000, 1000.0
"""...but of few images so many that this many are seen, if the passes are fewer than this."""

SHORT = 2.0
"""Passes below which the query network's training embeds only the images that it sees, by their
first view: all images in the gallery model would take longer than the training."""

LEAST_SEARCH = SIZES[3]
"""Smaller searches are made only if the starter kit has no architecture within the bounds."""

LEAST_SUPERNET = 12.0
"""The same for supernets of fewer passes."""

LEAST_FINALIST = 2.0
"""Passes of a finalist below which its result says little."""

LEAST_IMAGES = 1024
"""Training images that the query network sees, however short the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One station.

    Attributes:
        station: its name.
        seconds: that it is expected to take; 0 if it is left out.
        what: it does, in words, or why it is left out.
        left_out: whether it is.
        passes: of a training over the images, a fraction if the time is short; of a supernet, 0:
            only its head is fitted. None: it is no training.
        views: of each image in a query network's training, as in `Work`.
    """

    station: str
    seconds: float
    what: str
    left_out: bool = False
    passes: float | None = None
    views: int | None = None


def evaluations_of(size: tuple[int, int]) -> float:
    """About how many candidates an evolution of that population and generations evaluates."""
    population, generations = size
    retained = max(2, population // 5)
    survivors = retained + 0.1 * (population - retained)
    return population + (generations - 1) * (population - survivors)


def _most_passes(images: int) -> float:
    """Passes of the query network over so many images beyond which nothing is planned."""
    return max(MOST_QUERY, min(MOST_SMALL, SMALL_SET / images))


class Division:
    """The stations from the supernet to the query network, with their seconds.

    Args:
        costs: of the stations.
        done: stations that are finished.
        left_out: stations that must not be planned.

    Attributes:
        stations: those that are planned, by name.
        why: reasons why others are not, by name.
        size, short: as in `Plan`.
    """

    def __init__(self, costs: Costs, done: Set[str], left_out: Set[str]) -> None:
        self.costs = costs
        together = {"supernet", "search"}
        closed = together if left_out & together else set()  # neither is of use alone
        self._open = set(SHARES) - done - left_out - closed
        self._searched = "search" in done
        self.teacher = 0.0 if "supernet" in done else costs.teacher
        self.stations: dict[str, Planned] = {}
        self.why: dict[str, str] = {}
        self.size = SIZES[0]
        self.short = False

    def divide(self, seconds: float, *, search_needed: bool) -> None:
        """Plans the stations.

        Args:
            seconds: for all of them.
            search_needed: whether a search is made however short the time.
        """
        after_teacher = seconds - self.teacher
        share = 1 - self._share("query")
        room = min(after_teacher - self.costs.query(FIRST_PASSES), share * after_teacher)
        room = max(0.0, room)
        if "search" in self._open and (search_needed or room >= self._least()):
            if "supernet" in self._open:
                room -= self._plan_supernet(room)
            room -= self._plan_search(room)
            self._searched = True
        else:
            text = f"left out: {FIRST_PASSES:.0f} passes of the query network come first"
            self.why = {name: text for name in ("supernet", "search") if name in self._open}
        if "finalists" in self._open and self._searched:
            self._plan_finalists(room)
        self._plan_query(seconds - sum(each.seconds for each in self.stations.values()))

    def _share(self, name: str, among: Set[str] | None = None) -> float:
        """The share of an open station, of the shares of all that are open or of some of them."""
        names = self._open if among is None else self._open & among
        return SHARES[name] / sum(SHARES[one] for one in names)

    def _least(self) -> float:
        """The shortest supernet worth its time, and the shortest search."""
        supernet = self.costs.supernet(LEAST_SUPERNET) if "supernet" in self._open else 0.0
        return supernet + self.costs.search(evaluations_of(LEAST_SEARCH))

    def _add(self, planned: Planned) -> None:
        self.stations[planned.station] = planned

    def _plan_supernet(self, room: float) -> float:
        """Plans the supernet and returns its seconds without those of the teacher."""
        costs = self.costs
        share = self._share("supernet", {"supernet", "search", "finalists"})
        after = LEAST_SEARCH if room >= self._least() else SIZES[0]
        most = room - costs.search(evaluations_of(after))
        seconds = min(max(share * room, costs.supernet(LEAST_SUPERNET)), most)
        passes = 1.0 + (seconds - costs.supernet(1.0)) / costs.supernet_pass
        passes = min(MOST_SUPERNET, passes) if passes > 0.999 else 0.0
        seconds = costs.supernet(passes)
        what = f"{_passes_text(passes)} over {costs.work.images:,} images" if passes else "its head"
        whole = seconds + self.teacher
        self._add(Planned(station="supernet", seconds=whole, what=what, passes=passes))
        self.teacher = 0.0
        return seconds

    def _plan_search(self, room: float) -> float:
        share = self._share("search", {"search", "finalists"})
        least = self.costs.search(evaluations_of(LEAST_SEARCH))
        most = max(share * room, min(least, room))
        fitting = [
            size for size in SIZES if self.costs.search(evaluations_of(size)) <= max(0.0, most)
        ]
        self.size = fitting[-1] if fitting else SIZES[0]
        count = evaluations_of(self.size)
        seconds = self.costs.search(count)
        self._add(Planned(station="search", seconds=seconds, what=f"about {count:.0f} candidates"))
        return seconds

    def _plan_finalists(self, room: float) -> None:
        costs = self.costs.fitted(0.0)
        passes = costs.query_passes(room / FINALISTS)
        if passes >= LEAST_FINALIST:
            passes = min(MOST_FINALIST, passes)
            seconds = FINALISTS * costs.query(passes)
            what = f"{FINALISTS} x {_passes_text(passes)}"
            self._add(_trained("finalists", seconds, what, passes, costs.work.views))

    def _plan_query(self, seconds: float) -> None:
        costs, images = self.costs.fitted(seconds - self.teacher), self.costs.work.images
        least = min(1.0, LEAST_IMAGES / images)
        passes = costs.query_passes(seconds - self.teacher)
        self.short = passes < SHORT and "supernet" not in self.stations
        if self.short:
            passes = costs.short_passes(seconds)
        passes = max(least, min(_most_passes(images), passes))
        took = costs.short_query(passes) if self.short else costs.query(passes) + self.teacher
        what = f"{_passes_text(passes)} over {images:,} images"
        views = 0 if self.short and costs.work.views else costs.work.views
        self._add(_trained("query", took, what, passes, views))


def _trained(station: str, seconds: float, what: str, passes: float, views: int | None) -> Planned:
    """A training of the query network, whose fixed views are named if it has any.

    Args:
        station: its name.
        seconds: that it is expected to take.
        what: it does, without its views.
        passes: over the images.
        views: see `Planned`.
    """
    if views:
        what += f", {views + 1} views of each"
    return Planned(station=station, seconds=seconds, what=what, passes=passes, views=views)


def _passes_text(passes: float) -> str:
    """ "1 pass", "3.4 passes"; below one with two digits."""
    number = f"{passes:.2f}" if passes < 1 else f"{passes:.1f}".removesuffix(".0")
    return f"{number} {'pass' if number == '1' else 'passes'}"
