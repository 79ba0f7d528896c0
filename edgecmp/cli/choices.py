"""Names for the help texts; a test compares them with the registries, which import torch."""

from __future__ import annotations

__all__ = [
    "BASELINES",
    "GALLERY_RECIPES",
    "METHODS",
    "PRUNING_METHODS",
    "QUERY_RECIPES",
    "REWARDS",
    "STRATEGIES",
    "SUPERNET_RECIPES",
    "TABLES",
    "TARGETS",
    "TASK_RECIPES",
]

GALLERY_RECIPES = (
    *("photos", "emoji", "emoji-turns", "emoji-bottleneck", "face", "fashion", "tiny"),
)
SUPERNET_RECIPES = (
    *("photos", "emoji", "emoji-adapt", "emoji-330M", "emoji-230M", "emoji-100M", "emoji-vanilla"),
    *("emoji-bct", "face-330M", "face-230M", "face-100M", "face-vanilla", "fashion-330M"),
    *("fashion-230M", "fashion-100M", "fashion-vanilla", "tiny"),
)
QUERY_RECIPES = (
    *("photos", "emoji", "emoji-imitate", "emoji-table", "emoji-pruned", "bct", "face"),
    *("fashion", "tiny"),
)
TASK_RECIPES = ("emoji", "face", "fashion", "emoji-tiny", "face-tiny", "fashion-tiny")
METHODS = (
    *("scratch", "fine-tune", "kd", "bct", "regression-mse", "regression-cosine", "similarities"),
    *("imitation", "csd", "d3still", "procrustes"),
)
BASELINES = (
    *("mobilenet_w1", "mobilenet_wd2", "mobilenetv2_w1", "mobilenetv2_wd2"),
    *("mobilenetv3_large_w1", "proxylessnas_mobile", "shufflenet_g1_w1", "shufflenetv2_w1"),
    "resnet101",
)
PRUNING_METHODS = ("channel", "magnitude")
REWARDS = ("r1", "r2", "r3", "r3sum")
STRATEGIES = ("evolution", "predictor", "pareto")
TARGETS = ("tflite", "onnx", "coreml")
TABLES = ("table1", "table2", "table3", "table4", "figure1")
