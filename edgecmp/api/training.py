"""Training the three networks, pruning, and preparing data for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.data.shard_writer import ShardReport
    from edgecmp.gallery.source import Gallery
    from edgecmp.networks.form import Form
    from edgecmp.pruning.prune import PruneReport
    from edgecmp.training.gallery import GalleryRecipe
    from edgecmp.training.query import QueryRecipe
    from edgecmp.training.report import TrainingReport
    from edgecmp.training.supernet import SupernetRecipe

__all__ = ["prune", "train_gallery", "train_query", "train_supernet", "write_shards"]


def train_gallery(
    *,
    out: PathLike,
    recipe: str | GalleryRecipe = "emoji",
    start: PathLike | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains a gallery model, the strong network of the server, with a margin softmax.

    An interrupted training resumes when it is called again with the same arguments, and a finished
    one is not repeated.

    Args:
        out: folder for the model.
        recipe: a name of `list_recipes`, or a recipe.
        start: folder of a gallery model whose weights it starts from.
        data: as `load_data` takes it.
        seed: the same seed gives the same result.

    Raises:
        UserError: an argument is unknown, `start` holds another network than the recipe's, the
            training diverges, or `out` holds another training.
    """
    from edgecmp.training.gallery import train_gallery as train
    from edgecmp.training.recipes import gallery_recipe

    chosen = gallery_recipe(recipe) if isinstance(recipe, str) else recipe
    return train(chosen, out=out, start=start, data=data, seed=seed)


def train_supernet(
    *,
    out: PathLike,
    recipe: str | SupernetRecipe = "emoji",
    gallery: Gallery = None,
    start: PathLike | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains a supernet, whose weights score architectures in a search, compatible with a gallery.

    An interrupted training resumes when it is called again with the same arguments, and a finished
    one is not repeated.

    Args:
        out: folder for the supernet.
        recipe: a name of `list_recipes`, or a recipe.
        gallery: a gallery model's folder, .onnx or .toml, a table of its embeddings, or an opened
            one; the starter kit's by default.
        start: folder of a supernet to continue from.
        data: as `load_data` takes it.
        seed: the same seed gives the same result.

    Raises:
        UserError: an argument is unknown, the gallery lacks what the recipe's method needs, `start`
            holds another kind of supernet, the training diverges, the supernet has not learned, or
            `out` holds another training.
    """
    from edgecmp.training.recipes import supernet_recipe
    from edgecmp.training.supernet import train_supernet as train

    chosen = supernet_recipe(recipe) if isinstance(recipe, str) else recipe
    return train(chosen, out=out, gallery=gallery, start=start, data=data, seed=seed)


def train_query(
    architecture: PathLike | Form,
    *,
    out: PathLike,
    recipe: str | QueryRecipe = "emoji",
    method: str | None = None,
    gallery: Gallery = None,
    supernet: PathLike | None = None,
    start: PathLike | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains the network of an architecture, compatible with a gallery model.

    An interrupted training resumes when it is called again with the same arguments, and a finished
    one is not repeated.

    Args:
        architecture: the .json or folder that a search wrote, a name of `list_baselines`, or an
            `Architecture`.
        out: folder for the query network.
        recipe: a name of `list_recipes`, or a recipe.
        method: a name of `list_methods`, instead of the recipe's method.
        gallery: as in `train_supernet`.
        supernet: folder of a supernet whose weights it starts from.
        start: folder of a query network to continue from.
        data: as `load_data` takes it.
        seed: the same seed gives the same result.

    Raises:
        UserError: an argument is unknown, the embeddings have another size than the gallery's, the
            gallery lacks what the method needs, the training diverges, or `out` holds another
            training.
    """
    from dataclasses import replace

    from edgecmp.training.methods import method_named
    from edgecmp.training.query import train_query as train
    from edgecmp.training.recipes import query_recipe

    chosen = query_recipe(recipe) if isinstance(recipe, str) else recipe
    if method is not None:
        chosen = replace(chosen, methods=(method_named(method),))
    return train(
        chosen,
        architecture=architecture,
        out=out,
        gallery=gallery,
        supernet=supernet,
        start=start,
        data=data,
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
