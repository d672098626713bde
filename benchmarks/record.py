"""Results files: one JSON line a run, with machine and versions, so that scripts can be resumed."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

import sparring

HERE = Path(__file__).parent


def machine() -> dict[str, Any]:
    """What ran it."""
    names = [r.split(":")[1].strip() for r in _cpuinfo() if r.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sparring": sparring.__version__,
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


class Results:
    """The file NAME.jsonl beside the scripts; a run is known by its key."""

    def __init__(self, name: str) -> None:
        self.path = HERE / f"{name}.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        return [json.loads(row) for row in self.path.read_text().splitlines()]

    def done(self, **key: Any) -> bool:
        """Whether a row with these values is there."""
        return any(all(row.get(k) == v for k, v in key.items()) for row in self.rows())

    def add(self, **row: Any) -> None:
        with open(self.path, "a") as f:
            f.write(json.dumps({**row, "machine": machine()}, separators=(",", ":")) + "\n")
