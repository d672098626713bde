"""Who looks on while a run trains: a Python user's own watchers, TensorBoard, Weights & Biases."""

from __future__ import annotations

import importlib.util
import netrc
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from sparring.errors import RecipeError
from sparring.parts import nearest, show
from sparring.runs import Run
from sparring.storage import replace_file

Row = dict[str, Any]


class Watcher:
    """Looks on while a run trains: subclass it and fill in what you want to hear of.

    What a method raises ends the training, as any error does. Watchers are no part of the recipe.
    """

    def begin(self, run: Run, images: int) -> None:
        """Training begins, or goes on at this number of images."""

    def tick(self, row: Row) -> None:
        """A row of statistics, as in stats.jsonl."""

    def sample(self, images: int, x: Tensor, file: Path) -> None:
        """The samples taken at this number of images, and the file they are in.

        x: float (n, C, H, W) in [-1, 1], or points (n, d).
        """

    def score(self, row: Row) -> None:
        """A row of scores, as in scores.jsonl."""

    def end(self, run: Run) -> None:
        """Training is done, was stopped or has diverged."""


class Ticks(Watcher):
    """A function of each row of statistics."""

    def __init__(self, function: Callable[[Row], None]) -> None:
        self.function = function

    def tick(self, row: Row) -> None:
        self.function(row)


class TensorBoard(Watcher):
    """Writes to RUN/tensorboard; `tensorboard --logdir runs` shows it."""

    package = "tensorboard"

    def begin(self, run: Run, images: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a crash left after the checkpoint that training goes on from is not shown.
        purge = images + 1 if images else None
        self.writer = SummaryWriter(str(run.path / "tensorboard"), purge_step=purge)
        self.writer.add_text("recipe", f"```\n{run.recipe}```", images)

    def tick(self, row: Row) -> None:
        for name, value in _numbers(row).items():
            self.writer.add_scalar(f"train/{name}", value, row["images"])

    def sample(self, images: int, x: Tensor, file: Path) -> None:
        if x.dim() == 2:
            for i, column in enumerate(x.T):
                self.writer.add_histogram(f"samples/x{i + 1}", column.numpy(), images)
        else:
            self.writer.add_image("samples", _picture(file), images, dataformats="HWC")
        self.writer.flush()

    def score(self, row: Row) -> None:
        if row["value"] is not None:
            self.writer.add_scalar(f"score/{row['metric']}", row["value"], row["images"])

    def end(self, run: Run) -> None:
        self.writer.close()


class WandB(Watcher):
    """Writes to RUN/wandb, and to the server where an account is known; never asks for one.

    Without an account, or with WANDB_MODE=offline, nothing leaves the machine: `wandb sync` sends
    it later.
    """

    package = "wandb"

    def begin(self, run: Run, images: int) -> None:
        import wandb

        file = run.path / "wandb" / "id"
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            replace_file(file, secrets.token_hex(6))
        online = os.environ.get("WANDB_MODE", "online" if _account() else "offline")
        self.log = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "sparring"),
            name=run.name,
            id=file.read_text(),
            resume="allow" if online == "online" else None,
            dir=run.path,
            mode=online,  # pyright: ignore[reportArgumentType]  (wandb says what is wrong with it)
            config={f.name: show(getattr(run.recipe, f.name)) for f in fields(run.recipe)},
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, init_timeout=30
            ),
        )
        self.log.define_metric("*", step_metric="images")
        self.log.config.update({"recipe": str(run.recipe)}, allow_val_change=True)

    def tick(self, row: Row) -> None:
        train = {f"train/{name}": value for name, value in _numbers(row).items()}
        self.log.log({"images": row["images"], **train})

    def sample(self, images: int, x: Tensor, file: Path) -> None:
        import wandb

        if x.dim() == 2:
            made = {f"samples/x{i + 1}": wandb.Histogram(c.tolist()) for i, c in enumerate(x.T)}
        else:
            made = {"samples": wandb.Image(_picture(file))}
        self.log.log({"images": images, **made})

    def score(self, row: Row) -> None:
        if row["value"] is not None:
            self.log.log({"images": row["images"], f"score/{row['metric']}": row["value"]})

    def end(self, run: Run) -> None:
        self.log.finish()


class Careful(Watcher):
    """A logger that never stops training: its first failure is said, and it is asked no more."""

    def __init__(self, logger: Watcher, say: Callable[[str], None]) -> None:
        self.logger, self.say, self.failed = logger, say, False

    def _try(self, method: str, *args: Any) -> None:
        if self.failed:
            return
        try:
            getattr(self.logger, method)(*args)
        except Exception as e:  # noqa: BLE001  (whatever a foreign package raises)
            self.failed = True
            name, why = type(self.logger).__name__, " ".join(f"{type(e).__name__}: {e}".split())
            self.say(f"warning: {name} has failed and gets no more; training goes on: {why}")

    def begin(self, run: Run, images: int) -> None:
        self._try("begin", run, images)

    def tick(self, row: Row) -> None:
        self._try("tick", row)

    def sample(self, images: int, x: Tensor, file: Path) -> None:
        self._try("sample", images, x, file)

    def score(self, row: Row) -> None:
        self._try("score", row)

    def end(self, run: Run) -> None:
        self._try("end", run)


LOGGERS: dict[str, type[TensorBoard] | type[WandB]] = {"tensorboard": TensorBoard, "wandb": WandB}


def loggers(names: Sequence[str]) -> list[Watcher]:
    """The loggers of these names; RecipeError for an unknown one and for a missing package."""
    for name in names:
        if name not in LOGGERS:
            raise RecipeError(
                f"no logger is called '{name}'{nearest(name, LOGGERS)}",
                fix=f"--logger {' or '.join(LOGGERS)}",
            )
        if importlib.util.find_spec(LOGGERS[name].package) is None:
            fix = f"pip install {LOGGERS[name].package}, or leave --logger {name} out"
            raise RecipeError(f"the logger {name} is not installed", fix=fix)
    return [LOGGERS[name]() for name in dict.fromkeys(names)]


def _numbers(row: Row) -> dict[str, float]:
    """The numbers of a row but its place."""
    return {k: v for k, v in row.items() if k != "images" and isinstance(v, (int, float))}


def _picture(file: Path) -> np.ndarray[Any, Any]:
    """A grid of samples as uint8 (H, W, channels)."""
    with Image.open(file) as picture:
        array = np.asarray(picture)
    return array if array.ndim == 3 else array[:, :, None]


def _account() -> bool:
    """Whether an account at the server of Weights & Biases is known on this machine."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc().hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)
