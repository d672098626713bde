"""Which images are trained on and which are kept from training."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sparring.data.digest import digest, digest_both, digest_part
from sparring.data.rows import Rows
from sparring.data.source import Images
from sparring.errors import RecipeError
from sparring.randomness import generator


def split(n: int, held_out: int | None = None) -> tuple[Tensor, Tensor]:
    """Indices of n images, int64, ascending: those to train on and those held out.

    `held_out` None keeps back 5 %, but at least 64 and never over a fifth; 0 keeps back none. The
    same n gives the same split always, and a smaller `held_out` a part of the larger one's.

    Raises RecipeError for a number below 0 or one that leaves fewer than 2 images to train on.
    """
    kept_back = min(max(n // 20, 64), n // 5) if held_out is None else held_out
    if kept_back < 0 or n - kept_back < 2:
        raise RecipeError(
            f"cannot hold out {kept_back} of {n} images",
            why="at least 2 must be left to train on" if kept_back >= 0 else "it is negative",
            fix=f"--held-out between 0 and {max(n - 2, 0)}",
        )
    order = torch.randperm(n, generator=generator("held-out", n))
    return order[kept_back:].sort().values, order[:kept_back].sort().values


def take(images: Images, index: Tensor) -> Images:
    """The images at `index`, int64 (n,), in that order, with their own digest.

    Of rows in a file nothing is read: the digest is then that of the whole set and of `index`.
    Inputs that belong to them are taken with them, those of their own number are all kept.
    """
    labels = None if images.labels is None else images.labels[index]
    if isinstance(images.pixels, Rows):
        pixels, known = images.pixels.take(index), digest_part(images.digest, index)
    else:
        # Indexed with the channels last, so that the result is so in memory too.
        pixels = images.pixels.permute(0, 2, 3, 1)[index].permute(0, 3, 1, 2)
        known = digest(pixels, labels)
    inputs = images.inputs
    if inputs is not None:
        inputs = take(inputs, index) if images.paired else inputs
        known = digest_both(inputs.digest, known)
    groups = None if images.groups is None else images.groups[index]
    return replace(images, pixels=pixels, labels=labels, digest=known, inputs=inputs, groups=groups)


def divide(images: Images, held_out: int | None = None) -> tuple[Images, Images | None]:
    """The images to train on and those held out, None for none, as `split` says.

    Patches of one photo stay together. Inputs that are a set of their own are divided by
    themselves: as many are held out of each set, None counting by the smaller one, but no more than
    a fifth of the inputs. Raises RecipeError.
    """
    asked, inputs = held_out is not None, images.inputs
    if inputs is None or images.paired:
        return _divide(images, held_out, asked)
    number = held_out if asked else len(split(min(len(images), len(inputs)))[1])
    train, held = _divide(images, number, asked)
    # By what came out, which is what the recipe keeps: opened again it gives the same.
    many = min(len(held) if held else 0, len(inputs) // 5)
    train_inputs, held_inputs = _divide(inputs, many, asked)
    if held and held_inputs:
        return (
            with_inputs(train, train_inputs, paired=False),
            with_inputs(held, held_inputs, paired=False),
        )
    if held and asked:
        raise RecipeError(
            f"cannot hold out {held_out} of each set",
            why=f"there are {len(inputs)} inputs, of which no more than a fifth is held out",
            fix="--held-out 0",
        )
    return images, None


def _divide(images: Images, held_out: int | None, asked: bool) -> tuple[Images, Images | None]:
    """One set, with the inputs that belong to it. asked: whether the user gave the number."""
    inside, outside = split(len(images), held_out)
    if images.groups is not None:
        inside, outside = _by_group(images.groups, len(outside), asked)
    return take(images, inside), take(images, outside) if len(outside) else None


def _by_group(groups: Tensor, least: int, asked: bool) -> tuple[Tensor, Tensor]:
    """Indices to train on and held out: whole groups, until at least so many are held out.

    One group is always left; RecipeError where that is the only one and others were asked for.
    """
    order = groups.unique()
    order = order[torch.randperm(len(order), generator=generator("held-out", len(order)))]
    if least and asked and len(order) == 1:
        raise RecipeError(
            "patches of one photo alone cannot be held out",
            why="those trained on would show it",
            fix="give more photos, or --held-out 0",
        )
    held = torch.zeros(len(groups), dtype=torch.bool)
    for group in order[:-1].tolist():
        if int(held.sum()) >= least:
            break
        held |= groups == group
    everything = torch.arange(len(groups))
    return everything[~held], everything[held]


def with_inputs(images: Images, inputs: Images, *, paired: bool) -> Images:
    """The images to be made of `inputs`, without their labels, with the digest of both."""
    known = digest_both(inputs.digest, images.digest)
    bare = replace(inputs, labels=None, classes=())
    return replace(images, labels=None, classes=(), inputs=bare, paired=paired, digest=known)
