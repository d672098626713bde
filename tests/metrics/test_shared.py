"""Several processes share the images of a set, and come to the scores of one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from sparring.data.digest import digest
from sparring.data.source import Images
from sparring.metrics import FID, KID, Fake, Pixels, Real, evaluate
from sparring.metrics.features import Extractor, shared
from sparring.randomness import generator


def images(n: int, seed: int) -> torch.Tensor:
    rng = generator("shared", seed)
    return torch.randint(256, (n, 1, 4, 4), dtype=torch.uint8, generator=rng)


def scores() -> list[float]:
    x, y = images(1500, 0), images(1301, 1)  # neither is a multiple of the blocks of 256
    fake = Fake("made", lambda n: iter(y[:n].split(100)), count=len(y))
    metrics = (FID(features=Pixels()), KID(features=Pixels()))
    found, skipped = evaluate(metrics, Real("test", Images(x, digest=digest(x, None))), fake)
    assert skipped == []
    return [s.value for s in found]


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    rendezvous = f"file://{folder}/rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    seen = [0]
    look = Extractor.__call__

    def counted(self: Extractor, batch: torch.Tensor) -> torch.Tensor:
        seen[0] += len(batch)
        return look(self, batch)

    Extractor.__call__ = counted
    with shared():
        found = scores()
    Path(folder, f"{rank}.json").write_text(json.dumps({"scores": found, "seen": seen[0]}))
    dist.destroy_process_group()


def test_two_processes_share_the_images_and_agree_with_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "shared"))
    processes.spawn(work, (str(tmp_path),), nprocs=2)
    first, second = (json.loads((tmp_path / f"{r}.json").read_text()) for r in (0, 1))
    assert first["scores"] == second["scores"]
    assert first["seen"] + second["seen"] == 1301 + 1301  # each image once
    assert min(first["seen"], second["seen"]) > 1000
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "alone"))
    monkeypatch.setattr("sparring.metrics.features._seen", {})
    assert first["scores"] == scores()
