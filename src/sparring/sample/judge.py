"""A run's discriminator as a metric asks it: uint8 images in, logits out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.errors import DataError, RunError
from sparring.metrics import Judge
from sparring.nets import Discriminator, conditional


def judging(load: Callable[[], Discriminator]) -> Judge:
    """Asks a discriminator in eval mode on the CPU, which is loaded when it is first asked.

    Where it cannot be loaded, asking it raises DataError.
    """
    held: list[Discriminator] = []

    @torch.no_grad()
    def ask(images: Tensor, labels: Tensor | None) -> Tensor:
        if not held:
            try:
                held.append(load())
            except RunError as e:
                raise DataError(str(e)) from e
        if labels is None and conditional(held[0]):
            raise DataError("this D reads classes", why="not all of these images have them")
        logits = held[0](images.float().div_(127.5).sub_(1), labels)
        assert isinstance(logits, Tensor)
        return logits.float()

    return ask
