"""From image to image on real data: facades, portraits, super-resolution, speed beside plain loops.

    python benchmarks/translate.py DATA [ARM ...]

DATA holds facades_pairs_500.zip, celeba_10k_89x109.zip, portrait_paintings_1178_96px.zip and the
weights of Inception and LPIPS. A run that is in translate.jsonl is not repeated. Seconds are those
of the processor, of one thread, since other work on the machine lengthens those of the clock:
BUDGET in the environment, 480 by default, for each arm that trains.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from record import Results
from torch import Tensor
from torch.nn.functional import softplus

import sparring
from sparring.data import Images, SideBySide, Unpaired, Zip
from sparring.games import CycleGAN, Downscale, Pix2Pix
from sparring.metrics import FID, KID, PSNR, SSIM, Fake, Metric, OfInputs, PairedLPIPS, Real, offer
from sparring.metrics import evaluate as score
from sparring.nets import Generator, ResidualTranslator, SuperResolver, UNet
from sparring.presets import cyclegan_fast, pix2pix, pix2pix_fast, super_resolution
from sparring.randomness import seeded
from sparring.recipe import Recipe
from sparring.sample import Model, load, to_uint8
from sparring.sample.evaluate import evaluate, fakes
from sparring.sample.examples import Examples, examples
from sparring.sample.translate import translations
from sparring.training.device import Device
from sparring.training.setup import Material, Setup, open_data

RESULTS = Results("translate")
SECONDS = float(os.environ.get("BUDGET", "480"))
NEAR: tuple[Metric, ...] = (PSNR(), SSIM(), PairedLPIPS(), FID(n=100))


def facades(data: Path, side: int = 64) -> Recipe:
    """400 pairs of a label map and a photo of so many pixels; 100 are held out."""
    source = SideBySide(images=Zip(path=str(data / "facades_pairs_500.zip")), input="right")
    return replace(
        pix2pix_fast(), data=source, size=(side, side), held_out=100, precision="fp32", metrics=()
    )


def faces(data: Path) -> Recipe:
    """Faces of 16 pixels made 64, 500 held out."""
    game = Pix2Pix(inputs=Downscale(), l1=100.0, perceptual=100.0, conditional=False)
    return replace(
        super_resolution(),
        data=Zip(path=str(data / "celeba_10k_89x109.zip")),
        nets=SuperResolver(width=32, blocks=6, d_width=32),
        game=game,
        size=(64, 64),
        patches=0,  # as ever: photos of 89x109 scaled to 64
        held_out=500,
        precision="fp32",
        metrics=(),
        images=10_000,
    )


def portraits(data: Path) -> Recipe:
    """1,178 paintings and 10,000 photos of faces at 64 pixels; of each 200 are held out."""
    paintings, photos = "portrait_paintings_1178_96px.zip", "celeba_10k_89x109.zip"
    source = Unpaired(input=Zip(path=str(data / paintings)), target=Zip(path=str(data / photos)))
    return replace(
        cyclegan_fast(),
        data=source,
        size=(64, 64),
        held_out=200,
        precision="bf16",
        metrics=(),
    )


def trained(recipe: Recipe, seconds: float, out: Path) -> tuple[Any, Material, float]:
    """A run that takes so long: its budget is from the speed of 20 steps."""
    assert recipe.precision != "auto"
    filled, material = open_data(recipe)
    setup = Setup(filled, material, Device("cpu", recipe.precision))
    start = time.process_time()
    for number in range(20):
        setup.advance(number)
    speed = 20 * recipe.batch / (time.process_time() - start)
    start = time.process_time()
    run = sparring.train(replace(recipe, images=round(speed * seconds)), out, device="cpu")
    return run, material, time.process_time() - start


def scores(metrics: tuple[Metric, ...], material: Material, fake: Fake) -> dict[str, Any]:
    found, skipped = score(metrics, material.real, fake)
    assert not skipped, skipped
    return {s.metric: [round(s.value, 4), s.se and round(s.se, 4)] for s in found}


def keep(name: str, model: Any) -> None:
    picture, _ = translations(model, 10)
    picture.save(Path(tempfile.gettempdir()) / f"translate-{name}.png")


def facades_sparring(data: Path) -> dict[str, Any]:
    """The preset pix2pix-fast."""
    return _run("facades", facades(data), NEAR)


def facades_sparring_128(data: Path) -> dict[str, Any]:
    """The same at 128 pixels."""
    return _run("facades-128", facades(data, 128), NEAR)


def super_resolution_x4(data: Path) -> dict[str, Any]:
    """The preset super-resolution with smaller networks, beside bicubic interpolation."""
    near = (PSNR(), SSIM(), PairedLPIPS())
    return _run("faces", faces(data), (*near, *(OfInputs(metric=m) for m in near)))


def portraits_sparring(data: Path) -> dict[str, Any]:
    """The preset cyclegan-fast, both ways; FID and KID of 200, beside those of the inputs."""
    return _both_ways("portraits", portraits(data))


def portraits_residual(data: Path) -> dict[str, Any]:
    """The same with the networks of the paper, made as small."""
    nets = ResidualTranslator(width=16, blocks=3, d_width=16, d_layers=2)
    return _both_ways("portraits-residual", replace(portraits(data), nets=nets))


def portraits_by_hand(data: Path) -> dict[str, Any]:
    """Inputs as they are, and with the colours or the spectrum of the other side: FID and KID."""
    recipe = portraits(data)
    _, material = open_data(recipe)
    shown, photos = examples(recipe.game, material.real), material.train
    assert shown is not None
    assert isinstance(photos, Images)
    assert photos.inputs is not None
    sides = photos.inputs, photos
    found: dict[str, Any] = {}
    for back, held_out, (here, there) in (
        ("", shown, sides),
        ("-back", shown.turned(), sides[::-1]),
    ):
        x = held_out.input(torch.arange(len(held_out)))
        a, b = (images.float(torch.arange(min(len(images), 2000))) for images in (here, there))
        reference = Real("the other side", train=there)
        changed = {"inputs": x, "colours": colours(x, a, b), "spectrum": spectrum(x, a, b)}
        for name, made in changed.items():
            taken = to_uint8(made.clamp(-1, 1))
            fake = Fake(name, lambda n, taken=taken: iter([taken[:n]]), count=len(taken))
            scored, skipped = score((FID(n=1000), KID(n=1000)), reference, fake)
            assert not skipped, skipped
            for s in scored:
                found[f"{name}-{s.metric}{back}"] = [round(s.value, 5), s.se and round(s.se, 5)]
    return {"scores": found}


def colours(x: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """x (n, 3, h, w) so changed that the mean and covariance of `here` become those of `there`."""
    means, roots = zip(*(moments(images) for images in (here, there)), strict=True)
    change = roots[1] @ roots[0].inverse()
    flat = change @ (x.flatten(2) - means[0]) + means[1]
    return flat.view_as(x)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and symmetric root of the covariance (3, 3) of the pixels of x (n, 3, h, w)."""
    pixels = x.transpose(0, 1).flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(pixels))
    return pixels.mean(1, keepdim=True), vectors @ values.sqrt().diag() @ vectors.T


def spectrum(x: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """x with every frequency made as strong as `there`, the mean of each image kept."""
    strength = []
    for images in (here, there):
        deviation = images - images.mean((2, 3), keepdim=True)
        strength.append(torch.fft.rfft2(deviation).abs().square().mean((0, 1)).sqrt())
    gain = torch.where(strength[0] > 0, strength[1] / strength[0], 1.0)
    mean = x.mean((2, 3), keepdim=True)
    return torch.fft.irfft2(torch.fft.rfft2(x - mean) * gain, s=x.shape[2:]) + mean


def _both_ways(name: str, recipe: Recipe) -> dict[str, Any]:
    near = (FID(n=1000), KID(n=1000))
    metrics = (*near, *(OfInputs(metric=m) for m in near))
    with tempfile.TemporaryDirectory() as folder:
        run, material, seconds = trained(recipe, SECONDS, Path(folder) / "run")
        model = load(run, shown=examples(recipe.game, material.real))
        keep(name, model)
        keep(f"{name}-back", model.turned())
        rows, skipped = evaluate(model, metrics, material.real)
        assert not skipped, skipped
        found = {r["metric"]: [round(r["value"], 5), r["se"] and round(r["se"], 5)] for r in rows}
        found |= {"cycle": cycle(model), "cycle-back": cycle(model.turned())}
    return {"seconds": round(seconds), "images": run.recipe.images, "scores": found}


@torch.no_grad()
def cycle(model: Model) -> list[float]:
    """The mean absolute error of going there and back, of images in [-1, 1], and its error."""
    assert model.examples is not None
    a = model.examples.input(torch.arange(len(model.examples)))
    errors = (model.turned().make(model.make(a)) - a).abs().mean((1, 2, 3)).double()
    return [round(float(errors.mean()), 5), round(float(errors.std() / len(errors) ** 0.5), 5)]


def _run(name: str, recipe: Recipe, metrics: tuple[Metric, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run, material, seconds = trained(recipe, SECONDS, Path(folder) / "run")
        model = load(run, shown=examples(recipe.game, material.real))
        keep(name, model)
        found = scores(metrics, material, fakes(model))
    return {"seconds": round(seconds), "images": run.recipe.images, "scores": found}


# ----------------------------------------------------------------------------------- the plain loop


class Loop:
    """pix2pix as most write it, with D frozen while G answers."""

    def __init__(self, recipe: Recipe, material: Material) -> None:
        self.game, self.batch = recipe.game, recipe.batch
        assert isinstance(self.game, Pix2Pix)
        with seeded(0, "loop"):
            players = self.game.build(recipe.nets, material.spec)
        self.G, self.D = players["G"].train(), players["D"].train()
        self.g, self.d = (
            torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for net in (self.G, self.D)
        )
        self.images = material.train
        assert isinstance(self.images, Images)
        self.order = torch.Generator().manual_seed(0)

    def step(self) -> None:
        assert isinstance(self.images, Images)
        assert self.images.inputs is not None
        index = torch.randint(len(self.images), (self.batch,), generator=self.order)
        a, x = self.images.inputs.float(index), self.images.float(index)
        if torch.rand((), generator=self.order) < 0.5:
            a, x = a.flip(3), x.flip(3)
        y = self.G(a)
        for p in self.D.parameters():
            p.requires_grad_(True)
        self.d.zero_grad()
        fake, real = self.D(torch.cat([a, y.detach()], 1)), self.D(torch.cat([a, x], 1))
        (softplus(fake).mean() + softplus(-real).mean()).backward()
        self.d.step()
        for p in self.D.parameters():
            p.requires_grad_(False)
        self.g.zero_grad()
        fake = self.D(torch.cat([a, y], 1))
        (softplus(-fake).mean() + 100 * (y - x).abs().mean()).backward()
        self.g.step()


class CycleLoop:
    """CycleGAN as its paper has it: G's step with both D frozen, then D's on a pool of 50."""

    def __init__(self, recipe: Recipe, material: Material) -> None:
        assert isinstance(recipe.game, CycleGAN)
        assert isinstance(material.train, Images)
        assert material.train.inputs is not None
        self.batch, self.sets = recipe.batch, (material.train.inputs, material.train)
        with seeded(0, "loop"):
            nets = recipe.game.build(recipe.nets, material.spec)
        self.there, self.back = nets["G"].train(), nets["G_back"].train()
        self.judges = (nets["D_back"].train(), nets["D"].train())  # of a, of b
        both = [*self.there.parameters(), *self.back.parameters()]
        self.judging = [p for D in self.judges for p in D.parameters()]
        self.g = torch.optim.Adam(both, lr=2e-4, betas=(0.5, 0.999))
        self.d = torch.optim.Adam(self.judging, lr=2e-4, betas=(0.5, 0.999))
        self.pools: tuple[list[Tensor], list[Tensor]] = ([], [])
        self.order = torch.Generator().manual_seed(0)

    def drawn(self, images: Images) -> Tensor:
        x = images.float(torch.randint(len(images), (self.batch,), generator=self.order))
        return x.flip(3) if torch.rand((), generator=self.order) < 0.5 else x

    def step(self) -> None:
        a, b = (self.drawn(images) for images in self.sets)
        for p in self.judging:
            p.requires_grad_(False)
        self.g.zero_grad()
        made_b, made_a = self.there(a), self.back(b)
        loss = 10 * ((self.back(made_b) - a).abs().mean() + (self.there(made_a) - b).abs().mean())
        loss += 5 * ((self.back(a) - a).abs().mean() + (self.there(b) - b).abs().mean())
        for D, made in zip(self.judges, (made_a, made_b), strict=True):
            loss += (D(made) - 1).square().mean()
        loss.backward()
        self.g.step()
        for p in self.judging:
            p.requires_grad_(True)
        self.d.zero_grad()
        for D, real, made, pool in zip(
            self.judges, (a, b), (made_a, made_b), self.pools, strict=True
        ):
            fake = self.remembered(made.detach(), pool)
            loss = (D(real) - 1).square().mean() + D(fake).square().mean()
            (0.5 * loss).backward()
        self.d.step()

    def remembered(self, made: Tensor, pool: list[Tensor]) -> Tensor:
        """Each of them, or by a half an older one in whose place it stays."""
        shown = []
        for x in made:
            if len(pool) < 50:
                pool.append(x)
            elif torch.rand((), generator=self.order) < 0.5:
                place = int(torch.randint(50, (), generator=self.order))
                x, pool[place] = pool[place], x
            shown.append(x)
        return torch.stack(shown)


def facades_loop(data: Path) -> dict[str, Any]:
    """The paper's recipe and networks in a plain loop, for as long."""
    recipe = replace(facades(data), nets=pix2pix().nets, batch=1)
    _, material = open_data(recipe)
    return _looped("facades-loop", recipe, material)


def facades_loop_small(data: Path) -> dict[str, Any]:
    """The same loop with the networks of pix2pix-fast."""
    recipe = facades(data)
    return _looped("facades-loop-small", recipe, open_data(recipe)[1])


def _looped(name: str, recipe: Recipe, material: Material) -> dict[str, Any]:
    loop, steps, start = Loop(recipe, material), 0, time.process_time()
    while time.process_time() - start < SECONDS:
        loop.step()
        steps += 1
    seconds = time.process_time() - start
    shown = examples(recipe.game, material.real)
    assert shown is not None
    assert isinstance(loop.G, Generator)
    model = Model(loop.G, material.spec, steps * recipe.batch, examples=shown)
    keep(name, model)
    found = scores(NEAR, material, fakes(model))
    return {"seconds": round(seconds), "images": steps * recipe.batch, "scores": found}


def facades_loop_small_128(data: Path) -> dict[str, Any]:
    """The same at 128 pixels."""
    recipe = facades(data, 128)
    return _looped("facades-loop-small-128", recipe, open_data(recipe)[1])


def facades_baselines_128(data: Path) -> dict[str, Any]:
    """The same at 128 pixels."""
    return facades_baselines(data, 128)


def facades_baselines(data: Path, side: int = 64) -> dict[str, Any]:
    """The mean training photo for every input, and the photo of the nearest label map."""
    recipe = facades(data, side)
    _, material = open_data(recipe)
    shown, train = examples(recipe.game, material.real), material.train
    assert shown is not None
    assert isinstance(train, Images)
    assert train.inputs is not None
    everything, index = torch.arange(len(train)), torch.arange(len(shown))
    x, known = train.float(everything), train.inputs.float(everything)
    nearest = torch.cdist(shown.input(index).flatten(1), known.flatten(1)).argmin(1)
    made = {"mean photo": x.mean(0, keepdim=True).expand(len(index), -1, -1, -1)}
    made["nearest label map"] = x[nearest]
    found = {k: scores(NEAR, material, _set(k, v, shown)) for k, v in made.items()}
    return {"scores": found}


def _set(name: str, x: Tensor, shown: Examples) -> Fake:
    def targets(n: int) -> Tensor:
        found = shown.target(torch.arange(n))
        assert found is not None
        return to_uint8(found)

    return Fake(name, lambda n: iter([to_uint8(x[:n])]), count=len(x), targets=targets)


# -------------------------------------------------------------------------------------------- speed


def speed_pix2pix(data: Path) -> dict[str, Any]:
    """img/s of sparring's step beside the plain loop with the same networks, in turns."""
    found = {}
    for batch, width in ((1, 16), (4, 16), (1, 64)):
        nets = UNet(width=width, d_width=width)
        recipe = replace(facades(data), batch=batch, jitter=0.0, nets=nets, ema=0)
        found[f"batch {batch}, width {width}"] = _beside(recipe, Loop)
    return {"img_per_s": found}


def speed_cyclegan(data: Path) -> dict[str, Any]:
    """The same of CycleGAN."""
    found = {}
    for batch, width, blocks in ((1, 16, 3), (4, 16, 3), (1, 32, 6)):
        nets = ResidualTranslator(width=width, blocks=blocks, d_width=width, d_layers=2)
        recipe = replace(portraits(data), batch=batch, jitter=0.0, nets=nets, ema=0)
        found[f"batch {batch}, width {width}, {blocks} blocks"] = _beside(recipe, CycleLoop)
    return {"img_per_s": found}


def _beside(recipe: Recipe, plain: type[Loop | CycleLoop]) -> dict[str, float]:
    """sparring's step in both precisions that `auto` chooses from, the loop in fp32."""
    filled, material = open_data(recipe)
    loop = plain(recipe, material)
    ours = [Setup(filled, material, Device("cpu", p)).advance for p in ("fp32", "bf16")]
    fp32, bf16, theirs = _in_turns(*ours, lambda _: loop.step())
    speeds = {"fp32": fp32, "bf16": bf16, "loop": theirs}
    found = {name: round(recipe.batch / seconds, 1) for name, seconds in speeds.items()}
    ratios = {"ratio": round(theirs / fp32, 3), "ratio bf16": round(theirs / bf16, 3)}
    return {**found, **ratios}


def _in_turns(*ways: Callable[[int], Any], rounds: int = 7, steps: int = 6) -> list[float]:
    """Seconds of the processor a step of each way, the median of rounds that take turns."""
    spent: list[list[float]] = [[] for _ in ways]
    for turn in range(rounds):
        for step, times in zip(ways, spent, strict=True):
            start = time.process_time()
            for number in range(steps):
                step(turn * steps + number)
            times.append((time.process_time() - start) / steps)
    return [median(times[1:]) for times in spent]


ARMS = {
    f.__name__: f
    for f in (
        facades_baselines,
        facades_sparring,
        facades_loop,
        facades_loop_small,
        facades_baselines_128,
        facades_sparring_128,
        facades_loop_small_128,
        portraits_sparring,
        portraits_residual,
        portraits_by_hand,
        super_resolution_x4,
        speed_pix2pix,
        speed_cyclegan,
    )
}


def main() -> None:
    data, names = Path(sys.argv[1]), sys.argv[2:] or list(ARMS)
    torch.set_num_threads(1)
    for file in ("fid_inception_2015_12_05_pool3_fp32.safetensors", "lpips_alex_fp32.safetensors"):
        offer(data / file)
    for name in names:
        if not RESULTS.done(arm=name):
            what = (ARMS[name].__doc__ or "").strip()
            RESULTS.add(arm=name, what=what, **ARMS[name](data))


if __name__ == "__main__":
    main()
