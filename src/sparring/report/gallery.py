"""The sections of a run that makes images: samples over time, real beside fake, a morph."""

from __future__ import annotations

import torch

from sparring.data import Images
from sparring.errors import DataError, RecipeError, RunError
from sparring.report import markup
from sparring.report.markup import figure, image, paragraph, slider, text
from sparring.report.material import Material, evenly
from sparring.report.pictures import embed, embed_file, how_many, morph, neighbours, reals
from sparring.sample import Model, grid, to_uint8
from sparring.sample import translations as make_translations
from sparring.sample.morph import plane
from sparring.sample.morph import walk as morph_between
from sparring.sample.translate import how_many as examples_in_a_row

# Bytes before base64 adds a third: 3 MB in all, so that the page stays below 5.
FRAMES, GRID, MORPH, CLASSES = 1_200_000, 200_000, 400_000, 250_000
NEAREST, PLANE, PATH = 200_000, 200_000, 150_000
TRANSLATIONS = 500_000
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
    caption = _all_along(m)
    if len(files) > len(frames):
        caption += f" {len(frames)} of {len(files)} grids are shown."
    last = f"{chosen[-1][0]:,} images"
    return slider(stage, len(frames), "Number of images seen in training", last, caption)


def _all_along(m: Material) -> str:
    """What the samples over time show."""
    if not m.recipe.game.translates:
        return "The same latents all along, through the moving average of G."
    goes_back = len(m.recipe.game.generators) > 1
    return (
        "Above, the same inputs all along; below each what G made of it"
        + (", then what it should be" if m.paired else "")
        + (", then what came back of the translation" if goes_back else "")
        + (". Below these, the other way round." if goes_back else ".")
    )


def translations(m: Material) -> str:
    """Inputs, what G makes of them, and what they should become; the same the other way round, of a
    game that goes both ways."""
    model = m.translating
    if model.back is None:
        return _translated(model)
    there, back = (_translated(way) for way in (model, model.turned()))
    return there + paragraph("The other way round:") + back


def _translated(model: Model) -> str:
    """Examples of a model, each above its translation and what lies below that."""
    assert model.examples is not None
    picture, made = make_translations(model, 2 * examples_in_a_row(model.spec.shape))
    known = "held out of training" if model.examples.held_out else "of the training images"
    below = ["its translation"]
    below += ["its target"] if model.examples.paired else []
    below += ["what came back"] if model.back is not None else []
    under = ", ".join([*below[:-2], " and ".join(below[-2:])])
    caption = (
        f"{len(made)} inputs {known}, none picked, each above {under}, at {model.images:,} images."
    )
    return figure(embed(picture, TRANSLATIONS, f"{len(made)} translations"), caption)


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


def nearest(m: Material) -> str:
    """Samples, each with the training images nearest to it in pixels; nothing without the data."""
    try:
        train = m.train
    except (DataError, RecipeError, OSError):
        return ""  # the section on real images says why
    if not isinstance(train, Images):
        return ""
    n, k = 8, min(4, len(train))
    model = m.translating if m.recipe.game.translates else m.model
    made = to_uint8(model.sample(n, m.recipe.seed))
    n = len(made)
    found, looked = neighbours(train, made, k, m.recipe.seed)
    columns = torch.cat([made[:, None], found], 1).transpose(0, 1).flatten(0, 1)
    picture = embed(
        grid(columns, columns=n), NEAREST, "Samples above their nearest training images"
    )
    among = f"{looked:,} of them, drawn at random" if looked < len(train) else "all of them"
    caption = (
        f"First row: {n} samples. Below each: the {k} training images nearest to it in pixels, the "
        f"nearest first, among {among}. Samples that are copies look like the row below; that "
        "none is here does not prove that none is made."
    )
    return markup.beside(picture, caption)


def latents(m: Material) -> str:
    """A square of latents between four corners, and two ways from one latent to another."""
    side = 8 if max(m.model.spec.shape[1:]) <= 64 else 6
    square = embed(grid(plane(m.model, side, m.recipe.seed), columns=side), PLANE, "Latent plane")
    ends = {"stops": 2, "frames": 8, "tracks": 4, "seed": m.recipe.seed}
    ways = [morph_between(m.model, path=path, **ends)[:9] for path in ("spherical", "linear")]
    pairs = torch.stack(ways, 1).permute(2, 1, 0, *range(3, ways[0].dim() + 1))
    strips = embed(grid(pairs.flatten(0, 2), columns=9), PATH, "Spherical and linear walks")
    return markup.grid(
        [
            figure(square, "Four latents in the corners, and what lies between, along the sphere."),
            figure(
                strips,
                "From the left to the right, two rows for each pair of latents: first along the "
                "sphere, then along the line, whose middle latents are shorter than any that G "
                "was trained on.",
            ),
        ]
    )


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
