"""The machine: device, precision, processes. The only file that imports Fabric."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from sparring.errors import RecipeError
from sparring.nets.normalise import InstanceNorm

Precision = Literal["fp32", "bf16"]
T = TypeVar("T")


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
        if processes < 1:
            raise RecipeError(f"--devices must be at least 1, not {processes}", fix="--devices 1")
        if kind == "cuda" and processes > torch.cuda.device_count():
            raise RecipeError(
                f"this machine has {torch.cuda.device_count()} CUDA devices, not {processes}",
                fix=f"--devices {torch.cuda.device_count()}, or --device cpu",
            )
        self.fabric = Fabric(accelerator=kind, devices=processes)
        self.precision: Precision = precision

    def launch(self) -> None:
        """Starts the other processes: each runs the same command or script from its beginning.

        Does nothing for one process, or where a launcher such as torchrun has started them.
        """
        if self.world > 1 and not torch.distributed.is_initialized():
            logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
            logging.getLogger("lightning").setLevel(logging.WARNING)
            self.fabric.launch()

    def land(self) -> None:
        """Parts from the other processes, when all is done."""
        if self.world > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

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

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def place(self, net: nn.Module) -> nn.Module:
        """The network on this device; convolutions in the channels-last layout.

        Not so on a CPU where maps are normalised one by one: there torch is slow at that in this
        layout, and turning them back and forth costs more than it saves.
        """
        net = net.to(self.torch)
        if self.kind == "cpu" and any(isinstance(m, InstanceNorm) for m in net.modules()):
            return net
        return net.to(memory_format=torch.channels_last)  # pyright: ignore

    def autocast(self) -> AbstractContextManager[Any]:
        """Computes networks in bfloat16 where that is the precision."""
        return torch.autocast(self.kind, torch.bfloat16, enabled=self.precision == "bf16")

    def agree(self, value: T) -> T:
        """The first process's value, on all of them."""
        return value if self.world == 1 else self.fabric.broadcast(value)

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.world == 1:
            return flag
        return bool(self.mean(torch.tensor(float(flag), device=self.torch)) > 0)

    def mean(self, x: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.world == 1:
            return x
        total = self.fabric.all_reduce(x, reduce_op="mean")
        assert isinstance(total, Tensor)
        return total

    def gather(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """What every process but the first has under the same names, in the order of ranks."""
        if self.world == 1:
            return []
        found = {
            name: [torch.empty_like(t) for _ in range(self.world)] for name, t in tensors.items()
        }
        for name, t in tensors.items():
            torch.distributed.all_gather(found[name], t.contiguous())
        return [{name: each[rank] for name, each in found.items()} for rank in range(1, self.world)]

    def mean_numbers(self, values: dict[str, float]) -> dict[str, float]:
        """The means over all processes of numbers that each has under the same names."""
        if self.world == 1:
            return values
        means = self.mean(torch.tensor(list(values.values()), device=self.torch))
        return dict(zip(values, means.tolist(), strict=True))

    def mean_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Averages gradients over all processes, in place, by one all-reduce."""
        if self.world == 1:
            return
        present = [g for g in gradients if g is not None]
        flat = self.mean(torch.cat([g.flatten() for g in present]))
        for g, part in zip(present, flat.split([g.numel() for g in present]), strict=True):
            g.copy_(part.view_as(g))
