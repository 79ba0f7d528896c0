"""Training the three networks, pruning, and preparing data for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecmp.api.paths import PathLike, paths_of

if TYPE_CHECKING:
    from edgecmp.data.shard_writer import ShardReport
    from edgecmp.gallery.source import Gallery
    from edgecmp.networks.form import Form
    from edgecmp.pruning.prune import PruneReport
    from edgecmp.training.augment import Augmentation
    from edgecmp.training.gallery import GalleryRecipe
    from edgecmp.training.query import QueryRecipe
    from edgecmp.training.report import TrainingReport
    from edgecmp.training.supernet import SupernetRecipe

__all__ = ["prune", "train_gallery", "train_query", "train_supernet", "write_shards"]


def train_gallery(
    *,
    out: PathLike,
    recipe: PathLike | GalleryRecipe | None = None,
    epochs: int | None = None,
    input_size: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    augment: PathLike | Augmentation | None = None,
    start: PathLike | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains a gallery model, the strong network of the server, with a margin softmax.

    An interrupted training resumes when it is called again with the same arguments, and a finished
    one is not repeated.

    Args:
        out: folder for the model.
        recipe: a name of `list_recipes`, a .toml file or a recipe; "photos" by default, which is
            fitted to the images.
        epochs: instead of the recipe's; the rest of the recipe keeps its proportions.
        input_size: height and width of the images in pixels, instead of the recipe's.
        lr: peak learning rate, instead of the recipe's.
        batch_size: images per step, instead of the recipe's.
        augment: "none", "light", "strong", a .toml file or an `Augmentation`, instead of the
            recipe's.
        start: folder of a gallery model whose weights it starts from.
        data: as `load_data` takes it.
        seed: the same seed gives the same result.

    Raises:
        UserError: an argument is unknown, `start` holds another network than the recipe's, the
            training diverges, or `out` holds another training.
    """
    from edgecmp.training.decide import decide_gallery
    from edgecmp.training.gallery import train_gallery as train

    changes = {
        "epochs": epochs,
        "input_size": input_size,
        "lr": lr,
        "batch_size": batch_size,
        "augment": augment,
    }
    decided = decide_gallery(recipe, changes, data=data, start=start)
    return train(decided.recipe, out=out, start=start, data=decided.dataset, seed=seed)


def train_supernet(
    *,
    out: PathLike,
    recipe: PathLike | SupernetRecipe | None = None,
    tier: str | None = None,
    epochs: int | None = None,
    input_size: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    augment: PathLike | Augmentation | None = None,
    gallery: Gallery = None,
    start: PathLike | None = None,
    data: str = "emoji",
    unlabelled: Sequence[PathLike] | PathLike = (),
    gallery_images: bool = False,
    seed: int = 0,
) -> TrainingReport:
    """Trains a supernet, whose weights score architectures in a search, compatible with a gallery.

    An interrupted training resumes when it is called again with the same arguments, and a finished
    one is not repeated.

    Args:
        out: folder for the supernet.
        recipe: a name of `list_recipes`, a .toml file or a recipe. By default that of the data
            set's name for a name of `list_datasets`, and "photos" for all other data, which is
            fitted to images and gallery.
        tier: "330M", "230M" or "100M", instead of the recipe's.
        epochs: instead of the recipe's; the rest of the recipe keeps its proportions.
        input_size: height and width of the images in pixels, instead of the recipe's.
        lr: peak learning rate, instead of the recipe's.
        batch_size: images per step, instead of the recipe's.
        augment: "none", "light", "strong", a .toml file or an `Augmentation`, instead of the
            recipe's.
        gallery: a gallery model's folder, .onnx or .toml, a table of its embeddings, or an opened
            one; the starter kit's by default.
        start: folder of a supernet of the same tier or a narrower one whose weights it starts from,
            "kit", or "none" for random weights; the starter kit's by default. For another gallery
            it gets a new head, which is fitted in closed form.
        data: as `load_data` takes it.
        unlabelled: folders, shards, manifests, descriptions or indexes of images without labels,
            which methods that need no labels learn from too. Copies of test and hold-out images are
            left out.
        gallery_images: learn from the gallery images of the test split and the hold-out too,
            without their identities; figures are then of the protocol "gallery known".
        seed: the same seed gives the same result.

    Raises:
        UserError: an argument is unknown, the gallery lacks what the recipe's method needs, `start`
            holds a supernet of a wider tier, the training diverges, the supernet has not learned,
            or `out` holds another training.
    """
    from edgecmp.training.decide import decide_supernet
    from edgecmp.training.starts import NONE
    from edgecmp.training.supernet import train_supernet as train

    changes = {
        "epochs": epochs,
        "input_size": input_size,
        "lr": lr,
        "batch_size": batch_size,
        "augment": augment,
        "tier": tier,
    }
    decided = decide_supernet(
        recipe,
        changes,
        data=data,
        gallery=gallery,
        start=start,
        unlabelled=paths_of(unlabelled),
        gallery_images=gallery_images,
    )
    return train(
        decided.recipe,
        out=out,
        gallery=decided.source,
        start=decided.start or NONE,
        data=decided.dataset,
        more=decided.more,
        seed=seed,
    )


def train_query(
    architecture: PathLike | Form,
    *,
    out: PathLike,
    recipe: PathLike | QueryRecipe | None = None,
    epochs: int | None = None,
    input_size: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    augment: PathLike | Augmentation | None = None,
    method: str | None = None,
    gallery: Gallery = None,
    supernet: PathLike | None = None,
    start: PathLike | None = None,
    data: str = "emoji",
    unlabelled: Sequence[PathLike] | PathLike = (),
    gallery_images: bool = False,
    seed: int = 0,
) -> TrainingReport:
    """Trains the network of an architecture, compatible with a gallery model.

    An interrupted training resumes when it is called again with the same arguments, and a finished
    one is not repeated.

    Args:
        architecture: the .json or folder that a search wrote, a name of `list_baselines`, or an
            `Architecture`.
        out: folder for the query network.
        recipe: as in `train_supernet`.
        epochs: instead of the recipe's; the rest of the recipe keeps its proportions.
        input_size: height and width of the images in pixels, instead of the recipe's and the
            architecture file's.
        lr: peak learning rate, instead of the recipe's.
        batch_size: images per step, instead of the recipe's.
        augment: "none", "light", "strong", a .toml file or an `Augmentation`, instead of the
            recipe's.
        method: a name of `list_methods`, instead of the recipe's method.
        gallery: as in `train_supernet`.
        supernet: folder of a supernet whose weights it starts from, "kit", or "none" for random
            weights. By default that of the search that found the architecture, else the starter
            kit's, and none for a baseline. For another gallery it gets a new head.
        start: folder of a query network to continue from.
        data: as `load_data` takes it.
        unlabelled: as in `train_supernet`.
        gallery_images: as in `train_supernet`.
        seed: the same seed gives the same result.

    Raises:
        UserError: an argument is unknown, the supernet has a wider tier, the gallery lacks what the
            method needs, the training diverges, or `out` holds another training.
    """
    from dataclasses import replace

    from edgecmp.training.decide import decide_query
    from edgecmp.training.methods import method_named
    from edgecmp.training.query import train_query as train

    changes = {
        "epochs": epochs,
        "input_size": input_size,
        "lr": lr,
        "batch_size": batch_size,
        "augment": augment,
    }
    methods = None if method is None else (method_named(method),)
    decided = decide_query(
        recipe,
        changes,
        architecture=architecture,
        data=data,
        gallery=gallery,
        supernet=supernet,
        start=start,
        unlabelled=paths_of(unlabelled),
        gallery_images=gallery_images,
    )
    return train(
        replace(decided.recipe, methods=methods) if methods else decided.recipe,
        architecture=decided.architecture,
        out=out,
        gallery=decided.source,
        start=decided.start,
        data=decided.dataset,
        more=decided.more,
        seed=seed,
    )


def prune(
    method: str = "magnitude",
    amount: float = 0.5,
    *,
    out: PathLike,
    gallery: PathLike | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> PruneReport:
    """Cuts a query network out of a gallery model (supplement C); train it next.

    Args:
        method: "magnitude" or "channel".
        amount: share of the filters inside the residual units that is removed, 0..1.
        out: folder for the network.
        gallery: folder of the gallery model; the starter kit's by default.
        data: as `load_data` takes it; channel pruning fits the weights to its training images.
        seed: of the sample of training images.

    Raises:
        UserError: an argument is unknown or out of range.
    """
    from edgecmp.pruning import prune_gallery

    return prune_gallery(method, amount, out=out, gallery=gallery, data=data, seed=seed)


def write_shards(
    data: str, *, out: PathLike, longest_side: int | None = None, lossless: bool = False
) -> ShardReport:
    """Writes a data set as webdataset shards, which open at once and stream in training.

    Args:
        data: as `load_data` takes it.
        out: new folder for the shards.
        longest_side: images whose longer side has more pixels are shrunk; all sizes are kept if
            None.
        lossless: PNG instead of JPEG.

    Raises:
        UserError: the data cannot be read, or `out` exists or cannot be written.
    """
    from edgecmp.data import load_dataset
    from edgecmp.data.shard_writer import write_shards as write

    return write(load_dataset(data), out, longest_side=longest_side, lossless=lossless)
