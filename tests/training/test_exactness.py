"""A run that was stopped and resumed is, bit for bit, the run that was not."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
from dataclasses import fields, replace

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close
from toys import Pictures

from sparring.data import Npz, Pairs, Source, Unpaired
from sparring.games import Pix2Pix, Stored, Translation
from sparring.losses import NonSaturating, RelativisticAverage, RelativisticPaired
from sparring.nets import (
    DCGAN,
    MLP,
    R3,
    Auxiliary,
    Fast,
    FewShot,
    ProGAN,
    Projection,
    ResidualTranslator,
    ResNet,
    StyleGAN,
    StyleGAN2,
    SuperResolver,
    UNet,
)
from sparring.optim import SGD, Adam, AdamW, RMSprop
from sparring.parts import catalogue
from sparring.presets import PRESETS
from sparring.recipe import Recipe
from sparring.runs import Run, read_checkpoint
from sparring.schedules import Cosine, FlatThenLinear, Linear
from sparring.training import Stopped, resume, train
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data
from sparring.tricks import (
    ADA,
    DRAGAN,
    R1,
    R2,
    AuxiliaryClassifier,
    Consistency,
    DiffAugment,
    Drift,
    FeatureMatching,
    GradientPenalty,
    HistoricalAveraging,
    InstanceNoise,
    LatentConsistency,
    LeCam,
    ModeSeeking,
    PathLength,
    Replay,
    Trick,
    Unrolled,
    WeightClipping,
)

NETS = {
    MLP: MLP(g_widths=(12, 12), d_widths=(12, 12), latent=5),
    DCGAN: DCGAN(width=4, latent=5),
    Fast: Fast(g_width=8, d_width=8, latent=5),
    FewShot: FewShot(g_width=2, d_width=2, latent=5),
    ResNet: ResNet(g_width=4, d_width=4, latent=5, g_spectral=True, attention=8),
    R3: R3(width=4, latent=5),
    ProGAN: ProGAN(width=4, latent=5),
    StyleGAN: StyleGAN(width=4, latent=5, mapping=2),
    StyleGAN2: StyleGAN2(width=4, latent=5, mapping=2),
    UNet: UNet(width=4, d_width=4, d_layers=2, up="resize"),
    ResidualTranslator: ResidualTranslator(width=4, blocks=1, d_width=4, d_layers=2),
    SuperResolver: SuperResolver(width=4, blocks=1, d_width=4, d_layers=2),
}
SIZES = {
    *("width", "g_width", "d_width", "g_widths", "d_widths", "latent", "mapping", "blocks"),
    "d_layers",
}
EVERY_TRICK = (
    R1(gamma=Linear(start=1.0, end=0.1), share=0.5, every=2),
    R2(gamma=0.5, every=3),
    GradientPenalty(weight=0.1, every=4),
    FeatureMatching(weight=0.1),
    InstanceNoise(),
    HistoricalAveraging(),
    Replay(size=24),
    WeightClipping(limit=0.5),
)
# Those that cannot go with the first ones, or would hide them.
OTHER_TRICKS = (
    DRAGAN(weight=0.1, every=2),
    R1(gamma=0.1),
    LeCam(weight=0.1),
    Drift(weight=0.1),
    Consistency(real=0.1, fake=0.1),
    LatentConsistency(d=0.1, g=0.1),
    ModeSeeking(weight=0.1),
    PathLength(weight=0.1, every=2),
    DiffAugment(),
    ADA(speed=200, p=0.5),
    Unrolled(steps=2),
)
# Those of networks that are told, or guess, the class.
CLASS_TRICKS = (AuxiliaryClassifier(), Replay(size=24), R1(gamma=0.1, share=0.5))
LABELS = NonSaturating(real=(0.8, 1.0), fake=0.1)
MORE = {
    "every trick, DCGAN": Recipe(
        nets=NETS[DCGAN],
        loss=LABELS,
        tricks=EVERY_TRICK,
        d_steps=2,
        flip=True,
        g_optim=AdamW(schedule=Cosine()),
        d_optim=RMSprop(schedule=FlatThenLinear()),
    ),
    "every trick, Fast": Recipe(
        nets=NETS[Fast],
        loss=RelativisticPaired(),
        tricks=EVERY_TRICK,
        share_fakes=True,
        d_optim=SGD(lr=0.01, momentum=0.9),
    ),
    "every trick, MLP, simultaneous": Recipe(
        nets=replace(NETS[MLP], batchnorm=True),
        loss=LABELS,
        tricks=EVERY_TRICK,
        updates="simultaneous",
    ),
    "other tricks, DCGAN": Recipe(nets=NETS[DCGAN], loss=LABELS, tricks=OTHER_TRICKS),
    "other tricks, MLP": Recipe(
        nets=replace(NETS[MLP], pack=2, kernels=3, stddev=2),
        loss=RelativisticAverage(),
        tricks=OTHER_TRICKS,
        d_steps=2,
        d_optim=RMSprop(lr=1e-4),
    ),
    "classes, Fast": Recipe(
        nets=replace(NETS[Fast], condition=Auxiliary(width=3)),
        tricks=CLASS_TRICKS,
        balance_classes=True,
    ),
    "classes, MLP": Recipe(
        nets=replace(NETS[MLP], condition=Projection(width=3), batchnorm=True),
        loss=RelativisticPaired(),
        tricks=CLASS_TRICKS[1:],
        d_steps=2,
    ),
    "bf16": Recipe(nets=NETS[Fast], tricks=(R1(),), precision="bf16", g_optim=Adam(lr=1e-3)),
}


def tiny(name: str, folder) -> Recipe:
    """A preset cut to 20 steps of 8 images of 16 x 16 pixels, with small networks."""
    recipe = MORE[name] if name in MORE else PRESETS[name]()
    if name != "mixture1d":
        pictures = Pictures.write(folder / "data.npz", (30, 16, 16, 1), classes=3)
        data: Source = Npz(path=pictures.path)
        if isinstance(recipe.game, Translation):
            colour = Npz(path=Pictures.write(folder / "colour.npz", (30, 16, 16, 3)).path)
            stored = isinstance(recipe.game.inputs, Stored)
            kind = Pairs if recipe.game.paired else Unpaired
            target = data if recipe.game.paired else Npz(path=write_other(folder))
            data = kind(input=colour, target=target) if stored else colour
        if isinstance(recipe.game, Pix2Pix):  # its weights are real data
            recipe = replace(recipe, game=replace(recipe.game, perceptual=0.0))
        recipe = replace(recipe, data=data, held_out=4)
    nets = recipe.nets
    if name not in MORE:
        small = NETS[type(nets)]  # of its sizes; all else is the preset's own
        sizes = {f.name for f in fields(small)} & SIZES  # pyright: ignore
        if getattr(nets, "attention", 0):
            sizes.add("attention")
        nets = replace(nets, **{name: getattr(small, name) for name in sizes})
    return replace(
        recipe,
        nets=nets,
        precision="fp32" if recipe.precision == "auto" else recipe.precision,
        batch=8,
        images=20 * 8 * recipe.d_steps,
        sample_every=10**6,
        checkpoint_every=10**6,
        metrics=(),
        ema=40,
    )


def write_other(folder) -> str:
    """As many channels as the inputs, another number of images."""
    return Pictures.write(folder / "other.npz", (23, 16, 16, 3)).path


def stop_at(steps: int, recipe: Recipe):
    """Sends this process a SIGINT one step before, so that the run ends after `steps`."""

    def tick(row):
        if row["images"] == (steps - 1) * recipe.images_per_step:
            os.kill(os.getpid(), signal.SIGINT)

    return tick


def contents(run: Run) -> dict[str, dict[str, torch.Tensor]]:
    """All tensors of the newest checkpoint."""
    return read_checkpoint(run.saved()[0])[0]


def numbers(run: Run) -> list[dict[str, float]]:
    """The statistics, without what a clock or the machine decides."""
    drop = ("seconds", "img_per_s", "memory")
    return [{k: v for k, v in row.items() if k not in drop} for row in run.stats()]


def assert_same(one: Run, other: Run) -> None:
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    for file, tensors in a.items():
        assert tensors.keys() == b[file].keys()
        for name, t in tensors.items():
            assert torch.equal(t, b[file][name]), f"{file}: {name}"
    assert numbers(one) == numbers(other)
    # The tensors: safetensors writes its metadata in no fixed order.
    assert_close(load_file(one.weights), load_file(other.weights), rtol=0, atol=0)
    files = [sorted(p.name for p in run.samples.iterdir()) for run in (one, other)]
    assert files[0] == files[1]
    for name in files[0]:
        assert (one.samples / name).read_bytes() == (other.samples / name).read_bytes()


@pytest.mark.parametrize("name", [*PRESETS, *MORE])
def test_stopped_and_resumed_equals_undisturbed(name, tmp_path):
    recipe = tiny(name, tmp_path)
    whole = train(recipe, tmp_path / "whole", device="cpu", quiet=True)
    assert len(whole.stats()) == 20
    with pytest.raises(Stopped) as stopped:
        train(recipe, tmp_path / "cut", device="cpu", quiet=True, on_tick=stop_at(10, recipe))
    half = 10 * recipe.images_per_step
    assert stopped.value.exit_code == 75
    assert f"stopped after {half:,} images, all saved" in str(stopped.value)
    assert f"sparring resume {tmp_path / 'cut'}" in str(stopped.value)
    cut = Run(tmp_path / "cut")
    assert cut.saved()[0].name == f"{half:09d}"
    assert len(cut.stats()) == 10
    done = contents(whole)["G"]
    # But for layers that show a size which a growing network has left behind.
    matrices = {k: t for k, t in contents(cut)["G"].items() if t.dim() > 1 and "images." not in k}
    assert not any(torch.equal(t, done[k]) for k, t in matrices.items())
    torch.manual_seed(12345)  # nothing may hang on the global generator
    resume(cut.path, device="cpu", quiet=True)
    assert_same(whole, cut)


@pytest.mark.parametrize("name", ["every trick, DCGAN", "mixture1d"])
def test_stopping_twice_changes_nothing_either(name, tmp_path):
    recipe = tiny(name, tmp_path)
    whole = train(recipe, tmp_path / "whole", device="cpu", quiet=True)
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "cut", device="cpu", quiet=True, on_tick=stop_at(3, recipe))
    for steps in (7, 19):
        with pytest.raises(Stopped):
            resume(tmp_path / "cut", device="cpu", quiet=True, on_tick=stop_at(steps, recipe))
    assert_same(whole, resume(tmp_path / "cut", device="cpu", quiet=True))


@pytest.mark.parametrize("name", ["every trick, DCGAN", "gan"])
def test_a_seed_repeats_and_another_does_not(name, tmp_path):
    recipe = tiny(name, tmp_path)
    one, same, other = (
        train(replace(recipe, seed=seed), tmp_path / out, device="cpu", quiet=True)
        for seed, out in ((3, "one"), (3, "same"), (4, "other"))
    )
    assert_same(one, same)
    a, b = contents(one)["G"], contents(other)["G"]
    assert not any(torch.equal(t, b[k]) for k, t in a.items() if k.endswith("0.weight"))


def test_the_tricks_states_are_in_the_checkpoint(tmp_path):
    recipe = tiny("every trick, MLP, simultaneous", tmp_path)
    run = train(recipe, tmp_path / "run", device="cpu", quiet=True)
    tricks = contents(run)["tricks"]
    assert int(tricks["D/Replay0/filled"]) == 24
    assert int(tricks["D/HistoricalAveraging0/d_count"]) == 21
    assert tricks["D/Replay0/pool"].abs().sum() > 0


def test_the_pool_of_translations_is_resumed(tmp_path):
    """Of both ways, filled with what was made before the stop."""
    recipe = tiny("cyclegan-fast", tmp_path)
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "cut", device="cpu", quiet=True, on_tick=stop_at(4, recipe))
    cut = contents(Run(tmp_path / "cut"))
    for pair in ("D", "D_back"):
        assert int(cut["tricks"][f"{pair}/Replay0/filled"]) == 32
        assert cut["tricks"][f"{pair}/Replay0/pool"][:32].flatten(1).abs().sum(1).min() > 0
    assert {"G_back", "D_back", "ema_G_back"} <= set(cut)


def test_every_trick_is_resumed():
    ours = {c for c in catalogue(Trick) if c.__module__.startswith("sparring.")}
    few = PRESETS["fewshot"]().tricks  # asks for the D of FewShot
    assert ours == {type(t) for t in EVERY_TRICK + OTHER_TRICKS + CLASS_TRICKS + few}


@pytest.mark.parametrize("name", [n for n in MORE if n != "bf16"])
def test_a_step_leaves_no_tensors_to_the_collector(name, tmp_path):
    """Cycles would hold the memory of steps gone by until it comes round."""

    def held() -> int:
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    recipe, material = open_data(tiny(name, tmp_path))
    setup = Setup(recipe, material, Device("cpu", "fp32"))
    for number in range(3):
        setup.advance(number)
    gc.collect()
    gc.disable()
    try:
        for number in range(3, 8):
            setup.advance(number)
        before = held()
        gc.collect()
        assert held() == before
    finally:
        gc.enable()


def test_extending_a_finished_run_goes_on(tmp_path):
    """Ten steps, then ten more: the same as twenty, since no schedule spans the budget."""
    recipe = tiny("gan", tmp_path)
    whole = train(recipe, tmp_path / "whole", device="cpu", quiet=True)
    run = train(replace(recipe, images=80), tmp_path / "run", device="cpu", quiet=True)
    resume(run.path, images=160, device="cpu", quiet=True)
    assert Run(run.path).recipe.images == 160
    assert_close(contents(run), contents(whole), rtol=0, atol=0)


def test_the_manifest_names_every_file_with_its_hash(tmp_path):
    run = train(tiny("mixture1d", tmp_path), tmp_path / "run", device="cpu", quiet=True)
    folder = run.saved()[0]
    hashes = json.loads((folder / "manifest.json").read_text())["sha256"]
    files = {p.name for p in folder.iterdir()}
    assert files == {*hashes, "manifest.json"}
    assert {"G.safetensors", "D.safetensors", "ema_G.safetensors", "state.json"} <= files
    for name, digest in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
