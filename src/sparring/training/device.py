"""The machine: device, precision, processes. The only file that imports Fabric."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparring.errors import RecipeError

Precision = Literal["fp32", "bf16"]


class Device:
    """Where a run computes, in which precision, as which of how many processes."""

    def __init__(
        self, name: str = "auto", precision: Precision = "fp32", processes: int = 1
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from lightning_fabric import Fabric

        if name not in ("auto", "cpu", "cuda"):
            raise RecipeError(f"no device is called '{name}'", fix="--device auto, cpu or cuda")
        cuda = torch.cuda.is_available()
        if name == "cuda" and not cuda:
            raise RecipeError(
                "this machine has no CUDA device that torch can use",
                fix="--device cpu, or install a CUDA build of torch",
            )
        kind = "cuda" if cuda and name != "cpu" else "cpu"
        self.fabric = Fabric(accelerator=kind, devices=processes)
        self.precision: Precision = precision

    @property
    def kind(self) -> str:
        return self.torch.type

    @property
    def torch(self) -> torch.device:
        return self.fabric.device

    @property
    def rank(self) -> int:
        return self.fabric.global_rank

    @property
    def world(self) -> int:
        return self.fabric.world_size

    def place(self, net: nn.Module) -> nn.Module:
        """The network on this device; convolutions in the channels-last layout."""
        return net.to(self.torch).to(memory_format=torch.channels_last)  # pyright: ignore

    def autocast(self) -> AbstractContextManager[Any]:
        """Computes networks in bfloat16 where that is the precision."""
        return torch.autocast(self.kind, torch.bfloat16, enabled=self.precision == "bf16")

    def mean(self, x: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.world == 1:
            return x
        total = self.fabric.all_reduce(x, reduce_op="mean")
        assert isinstance(total, Tensor)
        return total

    def mean_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Averages gradients over all processes, in place, by one all-reduce."""
        if self.world == 1:
            return
        present = [g for g in gradients if g is not None]
        flat = self.mean(torch.cat([g.flatten() for g in present]))
        for g, part in zip(present, flat.split([g.numel() for g in present]), strict=True):
            g.copy_(part.view_as(g))
