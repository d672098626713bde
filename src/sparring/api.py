"""What the command line does, as functions: train, resume, evaluate, load."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparring.data import Images, Points, Source, Whole, opened, source, whole
from sparring.data.decode import PIXEL_LIMIT
from sparring.data.files import IN_MEMORY
from sparring.errors import DataError, RecipeError
from sparring.games import Translation
from sparring.metrics import Fake, Metric, Real, default_metrics, offer
from sparring.metrics.metric import contents
from sparring.parts import fit, parse, show
from sparring.recipe import Recipe
from sparring.report import write_report
from sparring.runs import Run, open_run
from sparring.sample import Model, examples, load, translate_files
from sparring.sample.evaluate import evaluate as judge
from sparring.sample.evaluate import fakes, rows
from sparring.sample.judge import judging
from sparring.sample.sides import array, function, points, reference, samples
from sparring.sample.translate import Translated, ranges, refuse_noise
from sparring.training import resume as _resume
from sparring.training import train as _train
from sparring.training.setup import Material, open_data
from sparring.training.watch import Watcher

Tick = Callable[[dict[str, Any]], None]
Asked = str | Metric | Sequence[str | Metric] | None
Size = tuple[int, int]
_log = logging.getLogger("sparring")


def train(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    name: str = "custom",
    device: str = "auto",
    minutes: float | None = None,
    parts: Sequence[Path] = (),
    on_tick: Tick | None = None,
    watch: Sequence[Watcher] = (),
    logger: Sequence[str] = (),
    init_from: str | Path | None = None,
    devices: int = 1,
    quiet: bool = True,
) -> Run:
    """Trains a recipe into a new run folder and writes its report.

    out: the folder, by default runs/NNNN-data-name. minutes: replaces the recipe's budget by the
    number of images this machine trains in that time. parts: your own part files, of which the run
    keeps copies. on_tick: called with each row of statistics (the columns of stats.jsonl).
    watch: Watchers, which hear of samples and scores as well. logger: "tensorboard", "wandb".
    init_from: a run whose weights are taken over where name and shape agree. devices: as many
    processes share each batch, each of which runs your script from its beginning.
    Errors are SparringErrors: RecipeError, DataError, DiskError,
    DivergedError, and Stopped after a Ctrl-C, when everything is saved.
    """
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"train takes a Recipe, not {recipe!r}",
            fix="Recipe(data=Ring()), or PRESETS[name](), changed by dataclasses.replace",
        )
    return _train(
        recipe,
        out,
        name=name,
        device=device,
        minutes=minutes,
        parts=parts,
        on_tick=on_tick,
        watch=watch,
        logger=logger,
        init_from=init_from,
        devices=devices,
        on_end=_write,
        quiet=quiet,
    )


def resume(
    run: str | Path | Run,
    *,
    images: int | None = None,
    recipe: Recipe | None = None,
    override: bool = False,
    device: str = "auto",
    on_tick: Tick | None = None,
    watch: Sequence[Watcher] = (),
    logger: Sequence[str] = (),
    devices: int = 1,
    quiet: bool = True,
) -> Run:
    """Continues a run exactly where its newest intact checkpoint stands.

    images: a new total. recipe: if it differs from the run's own, it is refused with the
    differences, unless `override`.
    """
    path = run.path if isinstance(run, Run) else run
    return _resume(
        path,
        images=images,
        recipe=recipe,
        override=override,
        device=device,
        on_tick=on_tick,
        watch=watch,
        logger=logger,
        devices=devices,
        on_end=_write,
        quiet=quiet,
    )


def _write(run: Run, material: Material) -> None:
    write_report(run, train=material.train, held_out=material.real.held_out)


def evaluate(
    run: str | Path | Run,
    metrics: Asked = None,
    n: int | None = None,
    *,
    weights: str | Path | Sequence[str | Path] = (),
    best: bool = False,
    control: str | Path | Source | None = None,
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Scores a run's generator against its data: rows of scores, (metric, reason) skipped.

    metrics: parts or their texts, one or several; by default the recipe's, and where it has none
    those that fit the data. n: samples on each side, by default each metric's own. weights: files
    of the networks that metrics use, where the cache has none. best: the generator that scored best
    while training in place of the last one. control: images that were not trained on, in the place
    of those held out; what they share with the training images is left out. The rows are appended
    to the run's scores and its report is written anew.
    """
    wanted, n = _metrics(metrics), _count(n)
    found = run if isinstance(run, Run) else open_run(run)
    model = load(found, best=best)
    _offer(weights)
    # A recipe without metrics is one that was not to be scored while it trained.
    recipe, material = open_data(replace(found.recipe, metrics=found.recipe.metrics or None))
    if found.trained_on not in (None, material.digest):
        said = "the data have changed since %s was trained, and it is scored on the new ones"
        _log.warning(said, found.path)
    start = time.perf_counter()
    model.examples = examples(recipe.game, material.real)
    real = _controlled(material.real, control)
    asked = judging(lambda: found.load_discriminator(model.images))
    asked = None if recipe.game.translates else asked
    scores, skipped = judge(model, wanted or recipe.metrics or (), real, n, judge=asked)
    rows = [
        {"images": model.images, **s, "seconds": round(time.perf_counter() - start, 2)}
        for s in scores
    ]
    for row in rows:
        found.add("scores", row)
    _write(found, material)
    return rows, skipped


def translate(
    run: str | Path | Run,
    given: str | Path,
    out: str | Path,
    *,
    best: bool = False,
    back: bool = False,
    tile: int | None = None,
    override: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Translated:
    """Translates a file, or the images of a folder or zip, by a run that has learned to.

    The translations are PNGs of the same names in the folder `out`; what could not be read is told
    with the reason. back: the other way round, by a run that goes both. tile: pixels of the squares
    in which an image is taken, 0 for none; by default large ones are where the network does not
    look further. override: whether files that are there already may be overwritten. progress:
    called with how many are done, of how many. Raises RecipeError for a run that makes images from
    noise, DataError where nothing could be translated.
    """
    found = run if isinstance(run, Run) else open_run(run)
    model = load(found, best=best, back=back)
    refuse_noise(model, found.path)
    game = found.recipe.game
    assert isinstance(game, Translation)
    known = ranges(found.recipe.data, back)
    return translate_files(model, game.inputs, given, out, progress, tile, known, override)


def score(
    real: Any,
    fake: Any,
    metrics: Asked = None,
    n: int | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    weights: str | Path | Sequence[str | Path] = (),
    seed: int = 0,
    control: str | Path | Source | None = None,
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Scores of samples against real images, without training: rows, (metric, reason) skipped.

    Each side is a folder, zip or npz of images, a run, a named set or a source; an array uint8
    (N, H, W[, C]) or a tensor (N, C, H, W), uint8 or in [-1, 1]; `fake` also a function that gives
    n samples of such kind. size: (height, width), or the side of a square, to which images are
    scaled and cropped; without it they are taken as they are and must all be of one. metrics: parts
    or their texts, one or several; by default those fit for the data. n: samples on each side, by
    default each metric's own. seed: of a run's or function's samples. control: real images that the
    samples were not trained on, for the metrics that ask for such. Raises DataError, RunError,
    RecipeError.
    """
    wanted, n, seed = _metrics(metrics), _count(n), fit(seed, int, "seed")
    size = None if size is None else _pair(size)
    _offer(weights)
    own = _own_size(real, fake)
    if own and size not in (None, own):
        raise RecipeError(
            "bad value",
            where="size",
            why="images of a run are not scaled",
            fix=f"--size {_by(own)}",
        )
    against = _controlled(_real(real, size, own), control)
    found = _fake(fake, against, size, seed, own)
    return rows(wanted or default_metrics(against), against, found, n)


# ------------------------------------------------------------------------- what a score is asked


def _metrics(asked: Asked) -> list[Metric]:
    """The metrics, each once; RecipeError for what is none."""
    several = (asked,) if isinstance(asked, (str, Metric)) else asked or ()
    if not isinstance(several, Iterable):
        raise _no_metric(asked)
    found: list[Metric] = []
    for given in several:
        metric = parse(given, Metric) if isinstance(given, str) else given
        if not isinstance(metric, Metric):
            raise _no_metric(given)
        if metric in found:
            _log.warning("%s is asked for twice and scored once", show(metric))
        else:
            found.append(metric)
    return found


def _no_metric(given: object) -> RecipeError:
    why = f"{given!r} is none, a metric is its name or a part such as KID()"
    return RecipeError("bad value", where="metrics", why=why, fix="sparring list metrics")


def _count(n: Any) -> int | None:
    """n, if it is a number of samples that can be compared."""
    n = fit(n, int | None, "n")
    if n is not None and n < 2:
        raise RecipeError(
            "bad value", where="n", why="at least two samples are needed", fix="1000 or more"
        )
    return n


def _pair(size: Any) -> tuple[int, int]:
    """Height and width, if images can have them."""
    height, width = fit(size if isinstance(size, (tuple, list)) else (size, size), Size, "size")
    if min(height, width) < 1 or height * width > PIXEL_LIMIT:
        why = (
            f"{height}x{width} has no pixels"
            if min(height, width) < 1
            else (f"{height}x{width} are more than {PIXEL_LIMIT // 10**6} million pixels")
        )
        raise RecipeError("bad value", where="size", why=why, fix="--size 64, or 48x36")
    return height, width


def _offer(weights: str | Path | Sequence[str | Path]) -> None:
    for path in [weights] if isinstance(weights, (str, Path)) else weights:
        offer(path)


def _own_size(*sides: Any) -> Size | None:
    """Height and width of the images of the first run or generator among the sides, if any is."""
    for given in sides:
        run = _run(given)
        if run is not None and run.recipe.size is not None:
            return run.recipe.size
        if isinstance(given, Model) and not given.spec.points:
            return given.spec.shape[1], given.spec.shape[2]
    return None


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}, as the run has its images"


def _real(given: Any, size: Size | None, own: Size | None) -> Real:
    """own: the size of the run on the other side."""
    run = _run(given)
    if run is not None:
        return open_data(run.recipe)[1].real
    found = _set(given, size, own)
    return (
        Real(_name(given), points=found)
        if isinstance(found, Points)
        else reference(found, _name(given))
    )


def _controlled(real: Real, control: str | Path | Source | None) -> Real:
    if control is None:
        return real
    control = control if isinstance(control, Source) else source(str(control))
    size = real.train.shape[1:] if real.train else None
    images, name = opened(control, (size[0], size[1]) if size else None), show(control)
    if not isinstance(images, Images):
        raise DataError("points are no control", where=name, why="only images have one")
    return real.against(images, name)


def _fake(given: Any, real: Real, size: Size | None, seed: int, own: Size | None) -> Fake:
    run = _run(given)
    if run is not None or isinstance(given, Model):
        model = _shown(run) if run is not None else given
        _refuse_other(real, model.spec.shape, given, None, own)
        return fakes(model, seed)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return function(given, name, seed, points=real.points is not None)
    if real.points is not None:
        _refuse_images(given, real)
        return points(given, _name(given))
    found = _set(given, size, own)
    if isinstance(found, Points):
        raise DataError("points do not compare with images", where=_name(given))
    _refuse_other(real, found.images.shape, given, size, own)
    _tell_copies(real, found.images, _name(given))
    return samples(found, _name(given))


def _shown(run: Run) -> Model:
    """A run's generator, with the examples that one which translates is shown."""
    model = load(run)
    if model.spec.inputs:
        recipe, material = open_data(run.recipe)
        model.examples = examples(recipe.game, material.real)
    return model


def _refuse_other(
    real: Real, made: tuple[int, ...], fake: Any, size: Size | None, own: Size | None
) -> None:
    """DataError where samples of the shape `made` do not compare with the real ones."""
    wanted = real.shape
    if made == wanted:
        return
    fix = ""
    if len(made) == len(wanted) == 3:
        if made[1:] != wanted[1:] and size is None:
            fix = "--size {}x{} scales and crops both".format(*min(made[1:], wanted[1:]))
            fix = f"--size {_by(own)}" if own else fix
        if made[0] != wanted[0]:
            grey = "FAKE" if made[0] < wanted[0] else "REAL"
            fix += f"{fix and ', and '}write {grey} as \"Folder(path='...', channels='rgb')\""
    sides = (_words(wanted), _words(made))
    raise DataError(
        "the samples do not compare with the data",
        where=f"{_name(fake)} and {real.name}",
        why=f"those are {sides[1]}, these {sides[0]}",
        fix=fix,
    )


def _words(shape: tuple[int, ...]) -> str:
    """The shape of a sample: 64x48 of 3 channels, 2 numbers."""
    if len(shape) == 1:
        return f"{shape[0]} numbers"
    return f"{shape[1]}x{shape[2]} of {shape[0]} channel{'s' * (shape[0] > 1)}"


def _refuse_images(fake: Any, real: Real) -> None:
    """DataError where points are to be compared with what holds none."""
    assert real.points is not None
    word, (d,) = real.name.split("(")[0].lower(), real.shape
    file = isinstance(fake, (str, Path)) and Path(fake).suffix not in (".npz", ".npy")
    if isinstance(fake, Source) or file:
        folder = Path(word).exists()
        raise DataError(
            "images do not compare with points",
            where=f"{_name(fake)} and {real.name}",
            why=f"REAL is the named set of points {word}, and FAKE is no file of points (N, {d})",
            fix=f"./{word} if you mean that folder" if folder else "save points as a .npy",
        )


def _tell_copies(real: Real, images: Images, name: str) -> None:
    """Says how many images are the same, pixel for pixel, on both sides."""
    train = real.train
    if train is None or max(len(train), len(images)) * math.prod(train.shape) > IN_MEMORY:
        return
    known = set(contents(train))
    count = sum(content in known for content in contents(images))
    if count:
        share = "all" if count == len(images) else f"{count} of the"
        _log.warning(
            "%s %d images of %s are in %s too, pixel for pixel",
            share, len(images), name, real.name,
        )  # fmt: skip


def _run(given: Any) -> Run | None:
    if isinstance(given, Run):
        return given
    if isinstance(given, (str, Path)) and (Path(given).expanduser() / "recipe.py").exists():
        return open_run(given)
    return None


def _set(given: Any, size: Size | None, own: Size | None) -> Whole | Points:
    if not isinstance(given, (str, Path, Source)):
        return array(given, _name(given), size)
    fix = f"--size {_by(own)}" if own else ""
    found = whole(given if isinstance(given, Source) else source(str(given)), size, fix)
    for remark in [] if isinstance(found, Points) else found.remarks:
        _log.warning("%s: %s", _name(given), remark)
    return found


def _name(given: Any) -> str:
    """What a protocol calls an input: not where it lies on this machine."""
    if isinstance(given, Source):
        return show(given)
    return Path(given).name or str(given) if isinstance(given, (str, Path)) else "an array"


__all__ = ["Model", "Watcher", "evaluate", "load", "resume", "score", "train", "translate"]
