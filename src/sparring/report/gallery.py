"""The sections of a run that makes images: samples over time, real beside fake, a morph."""

from __future__ import annotations

import torch

from sparring.data import Images
from sparring.errors import DataError, RecipeError, RunError
from sparring.report import markup
from sparring.report.markup import figure, image, paragraph, slider, text
from sparring.report.material import Material, evenly
from sparring.report.pictures import embed, embed_file, how_many, morph, reals
from sparring.sample import grid, to_uint8

# Bytes before base64 adds a third: 2.8 MB in all, so that the page stays below 5.
FRAMES, GRID, MORPH, CLASSES = 1_400_000, 200_000, 500_000, 300_000
MOST_FRAMES = 24
MOST_CLASSES = 20


def samples(m: Material) -> str:
    """The same latents at growing numbers of images, with a slider."""
    files = [f for f in m.sample_files if f[1].suffix == ".png"]
    chosen = evenly(files, MOST_FRAMES)
    frames = []
    for images, file in chosen:
        more = f'class="frame" data-images="{images}"'
        try:
            frames.append(
                embed_file(file, FRAMES // len(chosen), f"Samples at {images:,} images", more)
            )
        except OSError:
            continue
    if not frames:
        raise RunError("no grids of samples", where=m.run.samples)
    stage = "".join(f.replace(">", ' style="display:none">') for f in frames[:-1]) + frames[-1]
    caption = "The same latents all along, through the moving average of G."
    if len(files) > len(frames):
        caption += f" {len(frames)} of {len(files)} grids are shown."
    last = f"{chosen[-1][0]:,} images"
    return slider(stage, len(frames), "Number of images seen in training", last, caption)


def beside(m: Material) -> str:
    """Real training images beside samples, as many of each."""
    n = how_many(m.model.spec.shape)
    made = to_uint8(m.model.sample(n, m.recipe.seed))
    fake = embed(grid(made), GRID, f"{n} samples")
    caption = f"Generated: {n} samples at {m.model.images:,} images, none picked."
    right = figure(fake, caption)
    try:
        train = m.train
    except (DataError, RecipeError, OSError) as e:
        left = paragraph(f"The real images cannot be shown: {e}", "missing")
        return f'<div class="grid">{left}{right}</div>'
    if not isinstance(train, Images):
        raise RunError("the run makes images, its data are points", where=m.run.path)
    real = embed(grid(reals(train, n, m.recipe.seed)), GRID, f"{min(n, len(train))} real images")
    caption = f"Real: {min(n, len(train))} of {len(train):,} training images, drawn at random."
    return f'<div class="grid">{figure(real, caption)}{right}</div>'


def classes(m: Material) -> str:
    """A row of samples for each class, the same latents in all of them; nothing without classes."""
    model = m.model
    known = model.every_class(len(model.spec.classes)) or []
    shown = known[:MOST_CLASSES]
    side = max(model.spec.shape[1:])
    n = 12 if side <= 64 else 6
    z = model.noise(n, m.recipe.seed)
    rows = []
    for k in shown:
        made = to_uint8(model.make(z, torch.full((n,), k)))
        name = model.spec.classes[k]
        row = embed(grid(made, columns=n), CLASSES // len(shown), f"{n} samples of {name}")
        rows.append(f'<tr><th scope="row">{text(name)}</th><td>{row}</td></tr>')
    if not rows:
        return ""
    caption = "Asked for by class. Each column is one latent."
    if len(known) > len(shown):
        caption += f" {len(shown)} of {len(known)} classes are shown."
    return figure(f'<table class="classes">{"".join(rows)}</table>', caption)


def walk(m: Material) -> str:
    """An animation through latent space, which stands still for those who ask for less motion."""
    data, first = morph(m.model, MORPH, m.recipe.seed)
    size = (first.width, first.height)
    moving = image(data, "webp", "Samples changing into one another", *size, 'class="morph"')
    button = '<button type="button" class="still" hidden>Stop</button>'
    caption = (
        "Closed walks between four latents, along the sphere. Smooth change speaks for a G that "
        "has not learned single images by heart."
    )
    return markup.beside(moving, caption, button, "walk")
