"""sparring trains generative adversarial networks.

    import sparring

    run = sparring.train(sparring.Recipe(data=sparring.Ring(), images=256), out="my-run")
    points = sparring.load(run).sample(100, seed=1)

Names are imported when they are first used, so that `import sparring` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparring.api import evaluate, load, resume, score, train, translate
    from sparring.data import Fashion, Folder, Grid, Images, Mixture1D, Npz, Points, Ring, Source
    from sparring.data import Zip as Zip
    from sparring.errors import SparringError
    from sparring.losses import Loss
    from sparring.metrics import Metric, Score
    from sparring.nets import Discriminator, Generator, Nets, Spec
    from sparring.parts import Part, catalogue, parse, show
    from sparring.presets import PRESETS
    from sparring.recipe import Recipe
    from sparring.training.watch import Watcher
    from sparring.tricks import State, Trick, View

__version__ = "0.1.0"

_HOMES = {
    "sparring.api": ("evaluate", "load", "resume", "score", "train", "translate"),
    "sparring.data": (
        *("Fashion", "Folder", "Grid", "Images", "Mixture1D", "Npz", "Points", "Ring", "Source"),
        "Zip",
    ),
    "sparring.errors": ("SparringError",),
    "sparring.losses": ("Loss",),
    "sparring.metrics": ("Metric", "Score"),
    "sparring.nets": ("Discriminator", "Generator", "Nets", "Spec"),
    "sparring.parts": ("Part", "catalogue", "parse", "show"),
    "sparring.presets": ("PRESETS",),
    "sparring.recipe": ("Recipe",),
    "sparring.training.watch": ("Watcher",),
    "sparring.tricks": ("State", "Trick", "View"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sparring' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
