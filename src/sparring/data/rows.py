"""Images that stay where they are, in a file, until they are asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Rows:
    """Pixels (N, C, H, W) of which only what is indexed is read: uint8, or float32 in [-1, 1].

    `read` gives the images at an index, int64 (n,), as a tensor (n, C, H, W) on the CPU, channels
    last in memory. A subset is an index, never a copy.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        read: Callable[[Tensor], Tensor],
        index: Tensor | None = None,
    ) -> None:
        self.shape = torch.Size(shape if index is None else (len(index), *shape[1:]))
        self.dtype, self.read, self._index = dtype, read, index

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """The images at an index int64 (n,), a mask bool (N,) or a slice, read now."""
        return self.read(self._places(index))

    def take(self, index: Tensor | slice) -> Rows:
        """The same pixels, of the images at `index` only."""
        whole = (len(self) if self._index is None else -1, *self.shape[1:])
        return Rows(whole, self.dtype, self.read, self._places(index))

    def _places(self, index: Tensor | slice) -> Tensor:
        if isinstance(index, Tensor):
            index = index.cpu()
            if self._index is None and index.dtype != torch.bool:
                return index
        places = torch.arange(len(self)) if self._index is None else self._index
        return places[index]
