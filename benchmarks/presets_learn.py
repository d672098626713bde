"""Every preset learns: scaled down to minutes of a CPU, against an untrained G and two baselines.

    SPARRING_TEST_DATA=... python benchmarks/presets_learn.py [--cpu 180] [--presets ...]
                                                              [--precision fp32] [--table]

Data: the 60,000 training images of Fashion-MNIST (fashion_mnist.npz in the folder that
SPARRING_TEST_DATA names) less the held-out split; `fewshot` gets the first 500 of them. One thread,
bf16, or fp32 for a CPU that is slower in bf16; the budget of --cpu seconds becomes a number of
images by the processor time of a short run of each preset, whatever else the machine does. A preset
is made for hours of a GPU. Here it has the widths in REDUCED, batches of at most 32 images, and
rates that go as 1 / width, at most eight times the preset's; equalised networks keep theirs. All
else, the method, is the preset's. Each run leaves 24 samples, not chosen, as
docs/pictures/preset-NAME.png.

Score: `domain-fid` of 5,000 samples of the moving average. Beside it that of the generator before
training and of two baselines: the mean image plus the pixels' own noise, and training images under
a Gaussian blur, once with a standard deviation of 5 pixels and once with a kernel of 5x5 pixels
(standard deviation 1.1). A preset has learned if its score is at most half the untrained
generator's and below the mean image and the blur of 5 pixels; the finer blur is a harder mark. The
classifier behind the score is trained on the spot and comes out otherwise on another CPU, so what
ran in one precision, on one CPU, has its own untrained generator and its own baselines.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import torch
from record import Results
from torch import Tensor
from torch.nn.functional import conv2d, pad

import sparring
from sparring.data import Images, take
from sparring.games import Noise
from sparring.metrics import DomainFid, Fake
from sparring.metrics import evaluate as evaluate_samples
from sparring.recipe import Recipe, fill_schedules
from sparring.sample import Model, grid, to_uint8
from sparring.training.device import Device
from sparring.training.setup import Material, Setup, open_data

N = 5_000  # samples
PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
BATCH = 32
SMALL_STYLE = {"width": 16, "latent": 64, "mapping": 4}
SMALL_DCGAN, SMALL_RESNET = {"width": 16}, {"g_width": 16, "d_width": 16}
WIDER_RESNET = {"g_width": 32, "d_width": 32}
REDUCED: dict[str, dict[str, Any]] = {
    "dcgan": SMALL_DCGAN,
    "acgan": SMALL_DCGAN,
    "lsgan": SMALL_DCGAN,
    "wgan": SMALL_DCGAN,
    "wgan-gp": SMALL_DCGAN,
    "sngan": WIDER_RESNET,
    "projection": WIDER_RESNET,
    "sagan": SMALL_RESNET,
    "r3": {"width": 16},
    "progan": {"width": 32, "latent": 64},
    "stylegan": {"width": 32, "latent": 64, "mapping": 4},
    "stylegan2": SMALL_STYLE,
    "stylegan2-ada": SMALL_STYLE,
}
EQUALISED = ("progan", "stylegan", "stylegan2", "stylegan2-ada")


def recipe_of(name: str, source: sparring.Source, precision: Any = "bf16") -> Recipe:
    """The preset scaled down."""
    recipe = sparring.PRESETS[name]()
    reduced = REDUCED.get(name, {})
    nets = replace(recipe.nets, **reduced)
    full, small = ([getattr(n, k) for k in reduced if "width" in k] for n in (recipe.nets, nets))
    ratios = [1.0] if name in EQUALISED else [f / s for f, s in zip(full, small, strict=True)]
    times = min([8.0, *ratios]) if ratios else 1.0
    g, d = (replace(o, lr=o.lr * times) for o in (recipe.g_optim, recipe.d_optim))
    recipe = replace(recipe, nets=nets, g_optim=g, d_optim=d, batch=min(recipe.batch, BATCH))
    return replace(recipe, data=source, precision=precision, metrics=(), held_out=None)


def from_noise() -> list[str]:
    """The presets that make images out of nothing else."""
    made = {name: make() for name, make in sparring.PRESETS.items()}
    return [n for n, r in made.items() if isinstance(r.game, Noise) and not type(r.data).points]


def few(material: Material, name: str) -> Material:
    """What the preset trains on: 500 images for the one that is made for few."""
    if name != "fewshot":
        return material
    assert isinstance(material.train, Images)
    return replace(material, train=take(material.train, torch.arange(500)))


def speed(recipe: Recipe, material: Material) -> float:
    """Images per second of processor time, over whole short runs: networks grow in the course."""
    steps, done = 64, 0
    recipe = fill_schedules(replace(recipe, images=steps * recipe.images_per_step))
    setup = Setup(recipe, material, Device("cpu", cast(Any, recipe.precision)))
    setup.advance(0)
    start = time.process_time()
    while not done or time.process_time() - start < 4:
        for number in range(steps):
            setup.advance(number)
        done += recipe.images
    return done / (time.process_time() - start)


def score(material: Material, make: Callable[[int], Iterator[Tensor]]) -> float:
    fake = Fake("samples", lambda n: (to_uint8(x) for x in make(n)))
    scores, skipped = evaluate_samples((DomainFid(n=N),), material.real, fake)
    assert not skipped, skipped
    return round(next(s.value for s in scores if s.metric == "domain-fid"), 1)


def blurred(x: Tensor, sigma: float, reach: int) -> Tensor:
    """x (n, C, H, W) under a Gaussian, mirrored at the border."""
    at = torch.arange(-reach, reach + 1.0)
    line = torch.exp(-at.square() / (2 * sigma**2))
    line = line / line.sum()
    x = pad(x.flatten(0, 1)[:, None], (reach, reach, reach, reach), mode="reflect")
    return conv2d(conv2d(x, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))


def baselines(material: Material) -> dict[str, Callable[[int], Iterator[Tensor]]]:
    """Samples of each baseline by its name."""
    images = material.train
    assert isinstance(images, Images)
    all_of_them = images.float(torch.arange(len(images)))
    mean, deviation = all_of_them.mean(0), all_of_them.std()
    rng = torch.Generator().manual_seed(0)

    def noisy(n: int) -> Iterator[Tensor]:
        yield (mean + deviation * torch.randn((n, *images.shape), generator=rng)).clamp(-1, 1)

    def blur(sigma: float, reach: int) -> Callable[[int], Iterator[Tensor]]:
        def make(n: int) -> Iterator[Tensor]:
            some = all_of_them[torch.randperm(len(all_of_them), generator=rng)[:n]]
            yield blurred(some, sigma, reach).view(n, *images.shape)

        return make

    return {"mean plus noise": noisy, "blur 5": blur(5.0, 15), "blur 5x5": blur(1.1, 2)}


def samples(setup: Setup, material: Material) -> tuple[Model, Callable[[int], Iterator[Tensor]]]:
    model = Model(setup.averages["G"].net, material.spec)  # pyright: ignore
    return model, lambda n: model.batches(n)


def measure(results: Results, key: dict[str, Any], folder: Path) -> None:
    """One preset and its row."""
    source = sparring.Npz(path=str(folder / "fashion_mnist.npz"))
    plain = replace(recipe_of(key["preset"], source, key["precision"]), seed=key["seed"])
    _, material = open_data(plain)
    few_material = few(material, key["preset"])
    images = int(speed(plain, few_material) * key["cpu"])
    recipe = open_data(replace(plain, images=images))[0]
    setup = Setup(recipe, few_material, Device("cpu", cast(Any, recipe.precision)))
    before = score(material, samples(setup, material)[1])
    start = time.process_time()
    for number in range(recipe.steps):
        setup.advance(number)
    spent = time.process_time() - start
    model, make = samples(setup, material)
    value = score(material, make)
    results.add(
        **key,
        images=images,
        nets=repr(recipe.nets),
        batch=recipe.batch,
        g_lr=recipe.g_optim.lr,
        d_lr=recipe.d_optim.lr,
        cpu_seconds=round(spent),
        weights=sum(p.numel() for net in setup.players.values() for p in net.parameters()),
        domain_fid=value,
        untrained=before,
    )
    picture = grid(to_uint8(model.sample(24, 0)), columns=12)
    picture.save(PICTURES / f"preset-{key['preset']}.png", optimize=True)
    print(key, images, value, before, flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, in the order of the catalogue: the last setting of each preset, all its seeds."""
    marks: dict[str, dict[str, float]] = {}
    for r in rows:
        if "baseline" in r:
            marks.setdefault(r["precision"], {})[r["baseline"]] = r["domain_fid"]
    heads = ("preset", "networks", "batch, rates of G and D", "images", "time", "domain-fid")
    lines = [f"| {' | '.join((*heads, 'untrained', 'samples'))} |", "| --- " * 8 + "|"]
    setting = itemgetter("cpu", "precision", "batch", "g_lr", "d_lr", "weights")
    for name in sparring.PRESETS:
        mine = [r for r in rows if r.get("preset") == name]
        mine = [r for r in mine if setting(r) == setting(mine[-1])]
        if not mine:
            continue
        last, values = mine[-1], [r["domain_fid"] for r in mine]
        learned = all(
            r["domain_fid"] <= min(r["untrained"] / 2, *_coarse(marks[r["precision"]]))
            for r in mine
        )
        drawn = (PICTURES / f"preset-{name}.png").exists()
        picture = f"![24 samples of {name}](pictures/preset-{name}.png)" if drawn else ""
        nets = re.sub(r", growth=Linear\(.*?\)", "", last["nets"])
        lines.append(
            f"| `{name}` | `{nets}` | {last['batch']}, {last['g_lr']:g}, {last['d_lr']:g} "
            f"| {last['images']:,} | {last['cpu_seconds']} s, {last['precision']} "
            f"| {', '.join(f'{v:.0f}' for v in values)}{'' if learned else ' (not enough)'} "
            f"| {last['untrained']:.0f} | {picture} |"
        )
    for precision, known in marks.items():
        found = ", ".join(f"{name}: {value:.0f}" for name, value in known.items())
        lines += ["", f"Baselines beside {precision}: {found}"]
    return "\n".join(lines)


def _coarse(marks: dict[str, float]) -> list[float]:
    """The two baselines that count."""
    return [marks["mean plus noise"], marks["blur 5"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", type=float, default=180)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--presets", nargs="+", default=from_noise())
    parser.add_argument("--precision", default="bf16", choices=("bf16", "fp32"))
    parser.add_argument("--table", action="store_true", help="print what is there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = Results("presets_learn")
    if args.table:
        print(table(results.rows()))
        return
    folder = Path(os.environ["SPARRING_TEST_DATA"])
    source = sparring.Npz(path=str(folder / "fashion_mnist.npz"))
    own = {"precision": args.precision}
    if not all(results.done(baseline=n, **own) for n in ("mean plus noise", "blur 5", "blur 5x5")):
        _, material = open_data(recipe_of("gan", source))
        for name, make in baselines(material).items():
            results.add(baseline=name, **own, domain_fid=score(material, make))
    for name in args.presets:
        key = {"preset": name, "cpu": args.cpu, "seed": args.seed, "precision": args.precision}
        if not results.done(**key):
            measure(results, key, folder)


if __name__ == "__main__":
    main()
