"""Weight-level methods, one per file; `METHODS` has them by name, in order of publication."""

from edgecmp.training.methods.method import METHODS, Batch, Method, method_named, register_method
from edgecmp.training.methods.scratch import Scratch  # isort: split

from edgecmp.training.methods.fine_tune import FineTune  # isort: split

from edgecmp.training.methods.kd import KD  # isort: split

from edgecmp.training.methods.bct import BackwardCompatible  # isort: split

from edgecmp.training.methods.regression_mse import RegressionMSE  # isort: split

from edgecmp.training.methods.regression_cosine import RegressionCosine  # isort: split

from edgecmp.training.methods.similarities import Similarities  # isort: split

from edgecmp.training.methods.imitation import Imitation  # isort: split

from edgecmp.training.methods.csd import CSD  # isort: split

from edgecmp.training.methods.d3still import D3still  # isort: split

from edgecmp.training.methods.procrustes import Procrustes

__all__ = [
    "CSD",
    "KD",
    "METHODS",
    "BackwardCompatible",
    "Batch",
    "D3still",
    "FineTune",
    "Imitation",
    "Method",
    "Procrustes",
    "RegressionCosine",
    "RegressionMSE",
    "Scratch",
    "Similarities",
    "method_named",
    "register_method",
]
