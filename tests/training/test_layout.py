"""Weights and gradients side by side in memory, as torch's fused optimisers take for granted."""

from __future__ import annotations

import torch
from torch import nn
from torch.testing import assert_close
from toys import set_up, toy

from sparring.nets.normalise import InstanceNorm
from sparring.training.device import Device
from sparring.training.layout import laid_out_like


def test_a_gradient_gets_the_strides_of_its_weight():
    p = torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    g = torch.randn(4, 3, 3, 3)
    laid = laid_out_like(p, g)
    assert laid.stride() == p.stride()
    assert_close(laid, g, rtol=0, atol=0)
    assert laid_out_like(g, g) is g


def test_the_optimiser_moves_the_right_values():
    """Adam's first step is lr * sign(g), weight by weight, however the gradient lies in memory."""
    step = set_up(toy()).step
    p = nn.Parameter(torch.zeros(4, 3, 3, 3).contiguous(memory_format=torch.channels_last))
    step.params["d"], step.optims["d"] = [p], torch.optim.Adam([p], lr=0.5, fused=True)
    g = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    step.update("d", [g], [])
    assert_close(p.detach(), -0.5 * g.sign(), rtol=1e-4, atol=0)


def test_convolutions_lie_channels_last_but_beside_instance_norm_on_a_cpu():
    def placed(norm: nn.Module) -> nn.Conv2d:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), norm)
        found = Device("cpu").place(net).get_submodule("0")
        assert isinstance(found, nn.Conv2d)
        return found

    plain, normed = placed(nn.GroupNorm(1, 4)), placed(InstanceNorm(4))
    assert plain.weight.is_contiguous(memory_format=torch.channels_last)
    assert normed.weight.is_contiguous()
