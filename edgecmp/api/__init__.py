"""The public API: one function per verb of the command line, with the same defaults.

`import edgecmp` hands all of them out (`edgecmp.train_query(...)`); a verb imports its libraries
when it is called. What trains, searches, exports or measures returns a report, which prints as a
table in a terminal and in a notebook and has `to_dict()`, the document that `--json` writes.
"""

from edgecmp.api.exporting import doctor, export, parity
from edgecmp.api.initialising import init
from edgecmp.api.listing import (
    list_baselines,
    list_datasets,
    list_methods,
    list_recipes,
    list_rewards,
    list_strategies,
    list_targets,
    show_recipe,
)
from edgecmp.api.measuring import (
    bench,
    build_latency_table,
    check_latency_table,
    count_flops,
    list_devices,
)
from edgecmp.api.opening import inspect, load, load_data
from edgecmp.api.reproducing import list_reproductions, reproduce, study_ranking
from edgecmp.api.retrieving import build_index, evaluate, find
from edgecmp.api.searching import rank, search
from edgecmp.api.training import prune, train_gallery, train_query, train_supernet, write_shards

__all__ = [
    "bench",
    "build_index",
    "build_latency_table",
    "check_latency_table",
    "count_flops",
    "doctor",
    "evaluate",
    "export",
    "find",
    "init",
    "inspect",
    "list_baselines",
    "list_datasets",
    "list_devices",
    "list_methods",
    "list_recipes",
    "list_reproductions",
    "list_rewards",
    "list_strategies",
    "list_targets",
    "load",
    "load_data",
    "parity",
    "prune",
    "rank",
    "reproduce",
    "search",
    "show_recipe",
    "study_ranking",
    "train_gallery",
    "train_query",
    "train_supernet",
    "write_shards",
]
