"""Normalising layers against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import instance_norm
from torch.testing import assert_close

from sparring.nets.normalise import InstanceNorm


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_instance_norm_is_torchs_in_any_layout(layout):
    norm = InstanceNorm(5)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in norm.parameters():
            p.copy_(torch.randn(5, generator=rng))
    x = torch.randn(3, 5, 7, 6, generator=rng).contiguous(memory_format=layout).requires_grad_()
    found, wanted = norm(x), instance_norm(x, weight=norm.weight, bias=norm.bias)
    assert_close(found, wanted)
    assert found.is_contiguous()
    ours, theirs = (torch.autograd.grad(y.square().sum(), x)[0] for y in (found, wanted))
    assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_maps_of_one_pixel_become_the_bias():
    # x less its mean is a rounding error here, and eps makes it up to 316 times as large.
    found = InstanceNorm(4)(torch.randn(2, 4, 1, 1))
    assert_close(found, torch.zeros(2, 4, 1, 1), atol=1e-3, rtol=0)
