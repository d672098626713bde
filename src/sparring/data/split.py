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
    return replace(images, pixels=pixels, labels=labels, digest=known, inputs=inputs)


def divide(images: Images, held_out: int | None = None) -> tuple[Images, Images | None]:
    """The images to train on and those held out, None for none, as `split` says.

    Inputs that are a set of their own are divided by themselves, in the same way; of them no more
    than a fifth is held out. Raises RecipeError.
    """
    inside, outside = split(len(images), held_out)
    train, held = take(images, inside), take(images, outside) if len(outside) else None
    if images.inputs is None or images.paired:
        return train, held
    many = None if held_out is None else min(held_out, len(images.inputs) // 5)
    inputs, others = divide(images.inputs, many)
    return with_inputs(train, inputs, paired=False), (
        None if held is None or others is None else with_inputs(held, others, paired=False)
    )


def with_inputs(images: Images, inputs: Images, *, paired: bool) -> Images:
    """The images to be made of `inputs`, without their labels, with the digest of both."""
    known = digest_both(inputs.digest, images.digest)
    bare = replace(inputs, labels=None, classes=())
    return replace(images, labels=None, classes=(), inputs=bare, paired=paired, digest=known)
