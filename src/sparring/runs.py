"""The run folder: the only interface between training and everything that follows."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import html
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from sparring import __version__
from sparring.errors import RecipeError, RunError
from sparring.games import Players, turned
from sparring.nets import Discriminator, Generator, Spec
from sparring.randomness import seeded
from sparring.recipe import Recipe, read_recipe
from sparring.storage import (
    append_line,
    disk_errors,
    read_lines,
    replace_file,
    tensors_to_bytes,
    to_json,
)

SCHEMA = 1
_WHERE = "ls runs, or the folder that --out named"


class Run:
    """A run folder that exists. Paths are attributes; tables are lists of rows."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.samples = self.path / "samples"
        self.checkpoints = self.path / "checkpoints"
        self.report = self.path / "report.html"
        self.log = self.path / "train.log"
        self.weights = self.path / "generator.safetensors"
        self.best = self.path / "best.safetensors"
        self.weights_back = self.path / "generator-back.safetensors"

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: how far it is, the newest samples, the last scores."""
        rows, told = self.stats(), [html.escape(self.name)]
        seen = rows[-1]["images"] if rows else 0
        with suppress(RunError):
            told.append(f"{seen:,} of {self.recipe.images:,} images")
        pictures = sorted(self.samples.glob("*.png"), key=lambda p: p.stem.zfill(12))
        shown = ""
        if pictures:
            data = base64.b64encode(pictures[-1].read_bytes()).decode()
            look = "max-width:384px;image-rendering:pixelated"
            shown = f'<img alt="samples" style="{look}" src="data:image/png;base64,{data}"/>'
        last = {row["metric"]: row for row in self.scores() if "metric" in row}
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{_with_error(row)}</td>"
            f"<td>at {row.get('images', 0):,} images</td></tr>"
            for name, row in last.items()
        )
        table = f"<table>{cells}</table>" if cells else ""
        report = f"<p><code>{html.escape(str(self.report))}</code></p>"
        return f"<div><p><b>{' · '.join(told)}</b></p>{shown}{table}{report}</div>"

    @cached_property
    def recipe(self) -> Recipe:
        """The full recipe; RunError where it cannot be read."""
        try:
            return read_recipe((self.path / "recipe.py").read_text())
        except (OSError, UnicodeDecodeError) as e:
            raise RunError("cannot read recipe.py", where=self.path, why=str(e)) from None
        except RecipeError as e:
            own = sorted((self.path / "parts").glob("*.py"))
            fix = " ".join(f"--parts {p}" for p in own) or e.fix
            why = f"{e.what}: {e.why}" if e.why else e.what
            raise RunError("cannot read recipe.py", where=self.path, why=why, fix=fix) from None

    def write_recipe(self, recipe: Recipe) -> None:
        replace_file(self.path / "recipe.py", f"# sparring {__version__}\n{recipe}")
        self.__dict__.pop("recipe", None)

    @property
    def origin(self) -> dict[str, Any] | None:
        """The run whose weights this one started from: run (its path), images, weights (16 digits
        of their SHA-256), taken ({network: [tensors taken, of]}); None where it began anew."""
        try:
            return json.loads((self.path / "origin.json").read_text())
        except (OSError, ValueError):
            return None

    def write_origin(self, origin: dict[str, Any]) -> None:
        replace_file(self.path / "origin.json", to_json(origin) + "\n")

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the generator that samples are drawn from."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest()[:16]

    def about(self) -> dict[str, Any]:
        """What is written beside the weights of the generator: shape, classes, images, ..."""
        try:
            with safe_open(self.weights, "pt") as f:
                return json.loads((f.metadata() or {})["sparring"])
        except (SafetensorError, KeyError, ValueError, OSError) as e:
            why = str(e).splitlines()[0] if str(e) else type(e).__name__
            fix = f"sparring resume {self.path} writes it anew from a checkpoint"
            raise RunError("cannot load the generator", where=self.weights, why=why, fix=fix) from e

    @property
    def trained_on(self) -> str | None:
        """The digest of the data of the newest checkpoint; None where none can be read."""
        for folder in self.saved():
            with suppress(OSError, ValueError):
                return str(json.loads((folder / "state.json").read_text())["data"])
        return None

    def keep_parts(self, files: Sequence[Path]) -> None:
        """Copies the user's own part files into parts/, with their SHA-256; they are never run."""
        if not files:
            return
        with disk_errors("parts", self.path):
            (self.path / "parts").mkdir(exist_ok=True)
            sums = []
            for file in files:
                data = file.read_bytes()
                (self.path / "parts" / file.name).write_bytes(data)
                sums.append(f"{hashlib.sha256(data).hexdigest()}  {file.name}\n")
            (self.path / "parts" / "sha256sums").write_text("".join(sums))

    def stats(self) -> list[dict[str, Any]]:
        """One row per tick."""
        return read_lines(self.path / "stats.jsonl")

    def scores(self) -> list[dict[str, Any]]:
        """One row per score."""
        return read_lines(self.path / "scores.jsonl")

    def findings(self) -> list[dict[str, Any]]:
        """One row per diagnosis."""
        return read_lines(self.path / "findings.jsonl")

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Appends a row to stats, scores or findings."""
        append_line(self.path / f"{table}.jsonl", row)

    def sweep(self) -> None:
        """Removes what a process that was killed while it wrote has left behind."""
        for left in (*self.path.glob(".*.tmp"), *self.path.glob("*/.*.tmp")):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def cut(self, images: int) -> None:
        """Drops what was written after `images`, beyond the checkpoint resumed from: rows, and the
        best generator where it was made there."""
        best = self.best_score()
        if best is not None and best["images"] > images:
            self.best.unlink()
        for path in sorted(self.path.glob("*.jsonl")):
            rows = [r for r in read_lines(path) if r.get("images", 0) <= images]
            # Written anew in one move, without a last line that a crash cut off.
            replace_file(path, "".join(to_json(row) + "\n" for row in rows))

    def save_generator(
        self,
        generator: Generator,
        spec: Spec,
        images: int,
        best: dict[str, Any] | None = None,
        back: bool = False,
    ) -> None:
        """Writes the generator that samples are drawn from, with what is needed to rebuild it.

        best: the score that makes it the best so far, which is a file of its own. back: it is that
        of the way back, of a game that has one; spec is that of the way there.
        """
        about = {
            "shape": spec.shape,
            "classes": spec.classes,
            "vectors": spec.vectors,
            "shares": spec.shares,
            "rows": spec.rows,
            "inputs": spec.inputs,
            "images": images,
            "sparring": __version__,
        }
        # One entry: the format keeps several in no fixed order, and equal runs give equal files.
        metadata = {"sparring": to_json(about if best is None else {**about, "score": best})}
        path = self.weights_back if back else self.weights if best is None else self.best
        replace_file(path, tensors_to_bytes(generator.state_dict(), metadata))

    def best_score(self) -> dict[str, Any] | None:
        """The score (images, metric, value) of the best generator; None where none is kept that can
        be read."""
        try:
            with safe_open(self.best, "pt") as f:
                about = json.loads((f.metadata() or {})["sparring"])
            return {"images": about["images"], **about["score"]}
        except (SafetensorError, KeyError, ValueError, OSError):
            return None

    def saved(self) -> list[Path]:
        """The checkpoint folders, newest first."""
        found = (p for p in self.checkpoints.glob("*") if p.name.isdigit() and p.is_dir())
        return sorted(found, key=lambda p: int(p.name), reverse=True)

    def _build(self, spec: Spec) -> Players:
        """The networks, with weights that are there only to be replaced."""
        with seeded("load"):  # the caller's random numbers stay as they are
            return self.recipe.game.build(self.recipe.nets, spec)

    def load_discriminator(self, images: int | None = None) -> Discriminator:
        """The discriminator of the newest checkpoint that verifies, in eval mode on the CPU.

        images: of the checkpoint made at this number instead. RunError where there is none.
        """
        _, spec, _ = self.load_generator()
        players = self._build(spec)
        name = self.recipe.game.discriminators[0]
        for folder in self.saved():
            if images not in (None, int(folder.name)):
                continue
            try:
                files, _ = read_checkpoint(folder)
            except (OSError, ValueError):
                continue
            discriminator = cast(Discriminator, players[name])
            try:
                discriminator.load_state_dict(files[name])
            except (KeyError, RuntimeError) as e:
                why = str(e).splitlines()[0]
                raise RunError(
                    "the discriminator does not fit the recipe", where=folder, why=why
                ) from e
            return discriminator.eval().requires_grad_(False)
        if images is None:
            raise RunError(
                "no checkpoint verifies",
                where=self.checkpoints,
                why="none is kept, or all are damaged",
                fix="sparring train with --keep 1 or more",
            )
        kept = ", ".join(str(int(folder.name)) for folder in self.saved()) or "none"
        raise RunError(
            f"no checkpoint of {images} images",
            where=self.checkpoints,
            why=f"those kept are of {kept}",
            fix="one of these, or none for the newest",
        )

    def load_generator(self, best: bool = False, back: bool = False) -> tuple[Generator, Spec, int]:
        """The generator in eval mode on the CPU, its spec, and the images it was trained on.

        back: that of the way back; RecipeError where the game has none.
        """
        recipe, path = self.recipe, self.best if best else self.weights
        if back:
            path = self.weights_back
            self._refuse_back(best)
        if best and not path.exists():
            raise RunError(
                "no best generator",
                where=self.path,
                why="nothing was scored while it trained",
                fix="train with --evaluate-every",
            )
        if not path.exists():
            raise RunError(
                "no generator.safetensors",
                where=self.path,
                why="the run has made no checkpoint yet",
                fix=f"sparring resume {self.path}",
            )
        try:
            with safe_open(path, "pt") as f:
                about = json.loads((f.metadata() or {})["sparring"])
                tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
            spec = Spec(
                shape=tuple(about["shape"]),
                classes=tuple(about["classes"]),
                vectors=about.get("vectors", False),
                shares=tuple(about.get("shares", ())),
                rows=tuple(map(tuple, about.get("rows", ()))),
                inputs=tuple(about.get("inputs", ())),
            )
            players = self._build(spec)
            generator = cast(Generator, players[recipe.game.generators[int(back)]])
            generator.load_state_dict(tensors)
            images = about["images"]
        except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as e:
            why = str(e).splitlines()[0] if str(e) else type(e).__name__
            fix = f"sparring resume {self.path} writes it anew from a checkpoint"
            raise RunError("cannot load the generator", where=path, why=why, fix=fix) from e
        return generator.eval().requires_grad_(False), turned(spec) if back else spec, images

    def _refuse_back(self, best: bool) -> None:
        if len(self.recipe.game.generators) < 2:
            raise RecipeError(
                "this run goes one way only",
                where=self.path,
                why=f"{type(self.recipe.game).__name__} has no generator for the way back",
                fix="leave --direction b2a out",
            )
        if best:
            raise RecipeError("of the way back only the last generator is kept", fix="no --best")


def _with_error(row: dict[str, Any]) -> str:
    """A score as one reads it."""
    value, se = row.get("value"), row.get("se")
    text = "not finite" if value is None else f"{value:.4g}"
    return text if se is None else f"{text} ± {se:.2g}"


def read_checkpoint(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The tensors by file and name, and the state, of a checkpoint folder that verifies.

    OSError or ValueError where a file is missing or its hash differs from the manifest.
    """
    try:
        hashes = dict(json.loads((folder / "manifest.json").read_text())["sha256"])
        _ = hashes["state.json"]
    except (KeyError, TypeError, ValueError) as e:
        raise ValueError("manifest.json is damaged or empty") from e
    contents = {}
    for name, sha256 in hashes.items():
        data = (folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError(f"{name} is damaged (its SHA-256 differs from the manifest)")
        contents[name] = data
    state = json.loads(contents.pop("state.json"))
    return {name.removesuffix(".safetensors"): load(d) for name, d in contents.items()}, state


def open_run(path: str | Path) -> Run:
    """The run at `path`; RunError if there is none."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise RunError(f"no run at {folder}", why="the folder does not exist", fix=_WHERE)
    if not (folder / "recipe.py").exists():
        raise RunError(f"{folder} is no run", why="it holds no recipe.py", fix=_WHERE)
    return Run(folder)


def refuse_existing(out: str | Path | None) -> None:
    """RecipeError where the folder of a new run is there already."""
    if out is not None and Path(out).expanduser().exists():
        raise RecipeError(
            f"--out {out} exists",
            why="a run never overwrites another",
            fix=f"choose another name, or sparring resume {out}",
        )


def create_run(out: str | Path | None, name: str) -> Run:
    """A new run folder: `out`, or runs/NNNN-name. RecipeError if `out` exists."""
    if out is None:
        parent = Path("runs")
        numbers = [int(m[1]) for p in parent.glob("*") if (m := re.match(r"(\d{4,})-", p.name))]
        folder = parent / f"{max(numbers, default=0) + 1:04d}-{name}"
    else:
        folder = Path(out).expanduser()
    refuse_existing(folder)
    with disk_errors("the run folder", folder, fix="choose a writable place with --out"):
        (folder / "samples").mkdir(parents=True)
        (folder / "checkpoints").mkdir()
        for table in ("stats", "scores", "findings"):
            (folder / f"{table}.jsonl").touch()
    return Run(folder)


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Holds the run for this process; RecipeError if another one trains it.

    The lock goes with its process, however that ends, so none is ever left behind.
    """
    with disk_errors("the lock", run.path):
        file = open(run.path / "lock", "a+")  # noqa: SIM115
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise RecipeError(
                f"the run {run.path} is in use",
                why=f"{holder} trains it",
                fix="wait for it, or stop it with Ctrl-C there",
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield
        file.truncate(0)
