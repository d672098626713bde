"""What sparring's loop costs: `dcgan` at 28 px against a bare loop that does the same arithmetic.

    python benchmarks/overhead.py [--pairs 9] [--steps 100]

Both train the same networks with the same batch, precision, loss, optimisers and moving average, D
frozen in G's step. Runs are interleaved; a pair's figure is the ratio of their images per second.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from record import Results
from torch.nn.functional import softplus

import sparring
from sparring.recipe import Recipe

SKIPPED = 10  # steps before the clock starts


def ours(recipe: Recipe) -> float:
    """Images per second of a run of sparring, from its own statistics after the first ones."""
    with tempfile.TemporaryDirectory() as folder:
        from sparring.training import train

        run = train(recipe, Path(folder) / "run", quiet=True)
        rows = run.stats()
    first = rows[SKIPPED - 1]
    last = rows[-1]
    return (last["images"] - first["images"]) / (last["seconds"] - first["seconds"])


def bare(recipe: Recipe, pixels: torch.Tensor) -> float:
    """The same training as a plain loop; its images per second."""
    spec = sparring.Spec(tuple(pixels.shape[1:]))
    layout = torch.channels_last
    # What torch declares of `to` lacks a layout alone.
    G = recipe.nets.generator(spec).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    D = recipe.nets.discriminator(spec).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    average = copy.deepcopy(G).requires_grad_(False)
    mine, theirs = [*average.parameters()], [*G.parameters()]
    g_optim = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    d_optim = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    n, order, start = recipe.batch, torch.randperm(len(pixels)), 0.0
    bf16 = recipe.precision == "bf16"
    for step in range(recipe.steps):
        if step == SKIPPED:
            start = time.perf_counter()
        place = step * n % (len(pixels) - n)
        real = pixels[order[place : place + n]].float().div_(127.5).sub_(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                fake = G(torch.randn(n, G.latent)).float()
            d_loss = softplus(-D(real).float()).mean() + softplus(D(fake).float()).mean()
        d_optim.zero_grad()
        d_loss.backward()
        d_optim.step()
        D.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            g_loss = softplus(-D(G(torch.randn(n, G.latent)).float()).float()).mean()
        g_optim.zero_grad()
        g_loss.backward()
        g_optim.step()
        D.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
                mine, theirs, 0.01
            )
            for a, b in zip(average.buffers(), G.buffers(), strict=True):
                a.copy_(b)
    return (recipe.steps - SKIPPED) * n / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    images = args.steps * 128
    recipe = replace(
        sparring.PRESETS["dcgan"](),
        images=images,
        sample_every=images,
        checkpoint_every=images,
        metrics=(),
        precision="fp32",
    )
    data = recipe.data.open()
    assert isinstance(data, sparring.Images)
    assert isinstance(data.pixels, torch.Tensor)
    results = Results("overhead")
    for pair in range(args.pairs):
        if not results.done(pair=pair, steps=args.steps):
            # Which goes first alternates, so that a drift of the machine favours neither.
            order = ("ours", "bare") if pair % 2 else ("bare", "ours")
            speed = {k: ours(recipe) if k == "ours" else bare(recipe, data.pixels) for k in order}
            ratio = speed["ours"] / speed["bare"]
            results.add(pair=pair, steps=args.steps, **speed, ratio=round(ratio, 4))
    ratios = sorted(r["ratio"] for r in results.rows() if r["steps"] == args.steps)
    print(f"ours / bare: median {statistics.median(ratios):.3f}, {ratios[0]:.3f}..{ratios[-1]:.3f}")


if __name__ == "__main__":
    main()
