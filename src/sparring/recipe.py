"""The recipe: one immutable value that decides a run, and the text that is the same value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from dataclasses import replace as replace
from typing import Any, Literal

from sparring.data import Fashion, Source
from sparring.errors import RecipeError
from sparring.games import Game, Noise
from sparring.losses import Loss, NonSaturating
from sparring.metrics import Metric
from sparring.nets import MLP, Nets
from sparring.optim import Adam, Optimiser
from sparring.parts import Part, as_word, conform, map_parts, read, show
from sparring.schedules import Schedule
from sparring.tricks import Trick


def line(default: Any, help: str) -> Any:
    """A field with the one line that documents it, here and in `--help`."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice and number that decides a run. None means: decided from the data when it starts.

    All lengths are in images, counted as real images shown to D.
    """

    data: Source = line(Fashion(), "where real images or points come from")
    size: tuple[int, int] | None = line(None, "height and width of the images: 64 or 48x36")
    patches: int = line(0, "patches cut from each image at its own scale; 0 whole images, scaled")
    flip: bool | None = line(None, "mirror real images at random; None follows the data")
    jitter: float = line(0.0, "enlarge real images by this share, crop them back at random")
    held_out: int | None = line(None, "images kept from training; 0 none, None 5 % (at least 64)")
    balance_classes: bool = line(False, "show D real images of every class equally often")
    nets: Nets = line(MLP(), "the architecture of G and D")
    game: Game = line(Noise(), "who plays against whom")
    loss: Loss = line(NonSaturating(), "the adversarial loss")
    tricks: tuple[Trick, ...] = line((), "stabilisers and regularisers, in order")
    g_optim: Optimiser = line(Adam(), "G's optimiser")
    d_optim: Optimiser = line(Adam(), "D's optimiser")
    updates: Literal["alternating", "simultaneous"] = line(
        "alternating", "whether G answers D's new weights or both step from the same point"
    )
    d_steps: int = line(1, "D's steps for each of G's")
    batch: int = line(64, "images in a batch")
    images: int = line(100_000, "the budget: real images shown to D")
    seed: int = line(0, "decides every random number of the run")
    share_fakes: bool = line(False, "G learns from the fakes D was just trained on")
    ema: int = line(10_000, "half-life of G's moving average, in images; 0 none")
    ema_ramp: float = line(0.05, "the half-life is at most this share of the images seen; 0 none")
    precision: Literal["auto", "fp32", "bf16"] = line(
        "auto", "auto times both and keeps the faster"
    )
    deterministic: bool = line(False, "only algorithms that repeat bit for bit on a GPU")
    metrics: tuple[Metric, ...] | None = line(None, "the scores; None those fit for the data")
    evaluate_every: int = line(0, "images between evaluations; 0 at the end only")
    sample_every: int | None = line(None, "images between sample grids; None a 20th of the budget")
    checkpoint_every: int | None = line(None, "images between checkpoints; None a 10th")
    keep: int = line(2, "checkpoints kept, the newest")

    def __post_init__(self) -> None:
        conform(self)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise _bad(name, f"{value} is less than {least}", f"{least} or more")
        if self.jitter > 1:
            why = f"{self.jitter} is more than 1, the whole size"
            raise _bad("jitter", why, "0.117, which makes 286 pixels of 256")
        if self.size is not None and min(self.size) < 1:
            height, width = self.size
            raise _bad("size", f"{height}x{width} has no pixels", "64, or 48x36")
        twice = [t for t in self.tricks if self.tricks.count(t) > 1]
        if twice:
            raise RecipeError(
                "bad value",
                where="--tricks",
                why=f"{twice[0]!r} is there twice",
                fix="leave one of them out",
            )

    @property
    def images_per_step(self) -> int:
        """Real images one step shows to D."""
        return self.batch * self.d_steps

    @property
    def steps(self) -> int:
        """Steps in the budget, the last one whole."""
        return -(-self.images // self.images_per_step)

    def __str__(self) -> str:
        return "".join(
            ["Recipe(\n"]
            + [f"    {f.name}={show(getattr(self, f.name), full=True)},\n" for f in fields(self)]
            + [")\n"]
        )


# The least value of every field that has one.
_LEAST = {
    **dict.fromkeys(("d_steps", "batch", "images", "keep", "sample_every", "checkpoint_every"), 1),
    **dict.fromkeys(("patches", "jitter", "held_out", "seed", "ema", "ema_ramp"), 0),
    "evaluate_every": 0,
}


def _bad(name: str, why: str, value: str) -> RecipeError:
    flag = "--" + name.replace("_", "-")
    return RecipeError("bad value", where=flag, why=why, fix=f"{flag} {value}")


def without(recipe: Recipe, *tricks: Trick) -> str:
    """The flag that leaves these tricks out of the recipe's, whoever put them there."""
    rest = [as_word(show(t)) for t in recipe.tricks if t not in tricks]
    return f"--tricks {' '.join(rest) or 'none'}"


def read_recipe(text: str) -> Recipe:
    """The recipe that `text` (the content of a run's recipe.py) is; RecipeError if it is none."""
    body = "\n".join(row for row in text.splitlines() if not row.startswith("#"))
    value = read(body, also={"Recipe": Recipe})
    if not isinstance(value, Recipe):
        raise RecipeError("this text is no recipe", why=f"it makes a {type(value).__name__}")
    return value


def fill_schedules(recipe: Recipe) -> Recipe:
    """The recipe with every schedule that spans the whole budget given that number of images."""

    def fill(part: Part) -> Part:
        if isinstance(part, Schedule) and part.images is None:
            return replace(part, images=recipe.images)
        return part

    return map_parts(recipe, fill)


def differences(old: Recipe, new: Recipe) -> list[tuple[str, str, str]]:
    """(field, old text, new text) for every field that differs."""
    pairs = ((f.name, getattr(old, f.name), getattr(new, f.name)) for f in fields(Recipe))
    return [(name, show(a), show(b)) for name, a, b in pairs if a != b]
