"""A discriminator as a metric asks it."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import DataError
from sparring.nets import MLP, Discriminator, Projection, Spec
from sparring.sample.judge import judging


def built(**fields: object) -> Discriminator:
    spec = Spec((1, 4, 4), ("a", "b"))
    return MLP(**fields).discriminator(spec).eval()  # pyright: ignore[reportArgumentType]


def test_it_is_loaded_once_and_asked_in_its_own_range() -> None:
    net, loads = built(), []

    def load() -> Discriminator:
        loads.append(1)
        return net

    ask = judging(load)
    x = torch.tensor([0, 255, 100], dtype=torch.uint8).view(3, 1, 1, 1).expand(-1, -1, 4, 4)
    assert not loads
    with torch.no_grad():
        wanted = net(x.float() / 127.5 - 1)
    for _ in range(2):
        found = ask(x, None)
        torch.testing.assert_close(found, wanted)
    assert not found.requires_grad
    assert len(loads) == 1
    assert x.float().max() == 255  # what it is given is left as it is


def test_a_conditional_one_needs_classes() -> None:
    net = built(condition=Projection())
    x = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    ask = judging(lambda: net)
    with pytest.raises(DataError, match="this D reads classes: not all of these images have them"):
        ask(x, None)
    assert ask(x, torch.tensor([0, 1])).shape == (2,)
