"""How fast the arithmetic of FID and the extraction of features are, against others in one run.

    python benchmarks/metric_speed.py distance [--rounds 3]
    python benchmarks/metric_speed.py features --environment FOLDER [--rounds 5]

distance: from two covariances of 2048 features, 5,000 images a side, to the distance: sparring's,
scipy.linalg.sqrtm and the eigenvalues of the product (torch-fidelity, torchmetrics), interleaved,
with each one's error against the singular values of the features themselves. Needs scipy < 1.18.
features: sparring's Inception against torch-fidelity's, 64 images of 32 pixels in batches of 32,
interleaved, in the environment of `make reference` (`--folder FOLDER` keeps it). Ratios are of
processor time on one thread, so that other work on the machine counts little; the wall time is
kept too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from record import Results

from sparring.metrics import Gaussian, Inception, Real, frechet_distance, offer
from sparring.randomness import generator

D, N = 2048, 5000


def features(n: int, seed: int) -> torch.Tensor:
    """float32 (n, D) >= 0 with a spectrum that falls as pool3's does."""
    rng = generator("speed", seed)
    turn = torch.linalg.qr(torch.randn(D, D, generator=generator("turn"))).Q
    scale = torch.arange(1, D + 1).pow(-0.6)
    x = torch.randn(n, D, generator=rng) * scale * (1 + 0.1 * seed)
    return torch.relu(x @ turn + 0.05)


def timed(
    ways: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Processor and wall seconds of each way, one after the other in every round."""
    spent: dict[str, dict[str, list[float]]] = {n: {"cpu": [], "wall": []} for n in ways}
    for round_number in range(rounds):
        for name, way in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            way()
            spent[name]["cpu"].append(time.process_time() - cpu)
            spent[name]["wall"].append(time.perf_counter() - wall)
            print(f"{round_number} {name}: {spent[name]['cpu'][-1]:.2f} s", flush=True)
    return spent


def distance(rounds: int) -> None:
    from scipy.linalg import sqrtm

    x, y = features(N, 0), features(N, 1)
    a, b = Gaussian.of(x), Gaussian.of(y)
    one, two = (np.cov(z.double().numpy(), rowvar=False) for z in (x, y))
    rest = float((a.mean - b.mean).square().sum()) + a.trace + b.trace
    found: dict[str, float] = {}

    def by_roots() -> None:
        found["sparring"] = frechet_distance(a, b)

    def by_sqrtm() -> None:
        found["scipy sqrtm"] = rest - 2 * float(np.trace(sqrtm(one @ two)).real)

    def by_eigenvalues() -> None:
        values = np.linalg.eigvals(one @ two).astype("complex128")
        found["eigenvalues"] = rest - 2 * float(np.sqrt(values).sum().real)

    ways = {"sparring": by_roots, "scipy sqrtm": by_sqrtm, "eigenvalues": by_eigenvalues}
    exact = rest - 2 * float(torch.linalg.svdvals(a.root @ b.root.T).sum()) / (N - 1)
    spent = timed(ways, rounds)
    finish("distance", spent, errors={n: abs(v - exact) for n, v in found.items()}, value=exact)


def extraction(rounds: int, environment: Path) -> None:
    sys.path += [str(p) for p in (environment / "env" / "lib").glob("python*/site-packages")]
    # What torch-fidelity imports of torchvision is two classes that are not used here.
    import types

    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms"):
        sys.modules.setdefault(name, types.ModuleType(name))
    for name in ("CIFAR10", "STL10", "CIFAR100"):
        setattr(sys.modules["torchvision.datasets"], name, type(name, (), {}))
    functional = types.ModuleType("torchvision.transforms.functional")
    sys.modules["torchvision.transforms.functional"] = functional
    from torch_fidelity.feature_extractor_inceptionv3 import (  # pyright: ignore[reportMissingImports]
        FeatureExtractorInceptionV3,
    )

    weights = str(environment / "trunk.pth")
    other = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], weights).eval()
    ours = Inception().open(Real("none"))
    images = torch.randint(256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator("images"))

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        return torch.cat([other(part)[0] for part in images.split(32)])

    torch.testing.assert_close(ours(images), theirs(), atol=1e-4, rtol=0)
    spent = timed({"sparring": lambda: ours(images), "torch-fidelity": theirs}, rounds)
    finish("features", spent, images=64)


def finish(kind: str, spent: dict[str, dict[str, list[float]]], **more: object) -> None:
    """Prints the ratios of each way to sparring's, and keeps them."""
    row: dict[str, object] = {"kind": kind, **more, "seconds": spent}
    ratios = {}
    for name in spent:
        if name != "sparring":
            pairs = [a / b for a, b in zip(spent[name]["cpu"], spent["sparring"]["cpu"])]
            ratios[name] = {
                "median": statistics.median(pairs),
                "low": min(pairs),
                "high": max(pairs),
            }
    Results("metric_speed").add(**row, ratios=ratios)
    print(more, ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["distance", "features"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environment", type=Path, default=Path("reference"))
    parser.add_argument("--weights", type=Path, help="the Inception weights, if not in the cache")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.weights:
        offer(args.weights)
    if args.kind == "distance":
        distance(args.rounds)
    else:
        extraction(args.rounds, args.environment)


if __name__ == "__main__":
    main()
