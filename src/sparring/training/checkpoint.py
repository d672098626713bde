"""Checkpoints: a folder that appears whole, with a manifest of hashes written last."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring import __version__
from sparring.errors import DivergedError, RecipeError, RunError
from sparring.recipe import Recipe, read_recipe
from sparring.runs import SCHEMA, Run, read_checkpoint
from sparring.storage import disk_errors, replace_folder, tensors_to_bytes, to_json, write_new
from sparring.training.ema import Ema
from sparring.training.layout import laid_out_like
from sparring.tricks import State


@dataclass
class Everything:
    """All that a run is at one moment: what a checkpoint holds and a resumed run starts from.

    `others`: the tricks' states of the processes but the first, each its own, as `kept` has them.
    """

    players: dict[str, nn.Module]
    averages: dict[str, Ema]
    optims: dict[str, torch.optim.Optimizer]
    tricks: dict[str, dict[str, State]]
    state: dict[str, Any] = field(default_factory=dict)
    others: list[dict[str, Tensor]] = field(default_factory=list)

    def kept(self) -> dict[str, Tensor]:
        """This process's states of the tricks, by pair, trick and name."""
        return {
            f"{pair}/{key}/{name}": t
            for pair, states in self.tricks.items()
            for key, state in states.items()
            for name, t in state.items()
        }

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """File name without ending -> its tensors."""
        files = {name: net.state_dict() for name, net in self.players.items()}
        files |= {f"ema_{name}": ema.net.state_dict() for name, ema in self.averages.items()}
        for side, optim in self.optims.items():
            slots = optim.state_dict()["state"]
            files[f"{side}_optim"] = {
                f"{i}.{k}": v for i, s in slots.items() for k, v in s.items() if v is not None
            }
        files["tricks"] = self.kept()
        return files | {f"tricks_{rank}": kept for rank, kept in enumerate(self.others, 1)}

    def restore(self, files: dict[str, dict[str, Tensor]], rank: int = 0) -> None:
        """Takes over what `tensors` gave once, in the process `rank`.

        A process that was not there then begins with the first one's states of the tricks.
        RecipeError where something does not fit.
        """
        try:
            self._restore(files, files.get(f"tricks_{rank}", files["tricks"]))
        except (KeyError, ValueError, RuntimeError) as e:
            first, *more = str(e).splitlines()  # torch says in the second line what differs
            raise RecipeError(
                "the checkpoint does not fit the recipe and its data",
                why=(more or [first])[0].strip(" \t."),
                fix="train anew from its weights: sparring train --init-from RUN",
            ) from e

    def _restore(self, files: dict[str, dict[str, Tensor]], kept: dict[str, Tensor]) -> None:
        for name, net in self.players.items():
            net.load_state_dict(files[name])
        for name, ema in self.averages.items():
            ema.net.load_state_dict(files[f"ema_{name}"])
        for side, optim in self.optims.items():
            slots: dict[int, dict[str, Tensor]] = {}
            for key, t in files[f"{side}_optim"].items():
                i, name = key.split(".", 1)
                slots.setdefault(int(i), {})[name] = t
            groups = optim.state_dict()["param_groups"]
            optim.load_state_dict({"state": slots, "param_groups": groups})
            for p, slot in optim.state.items():
                slot |= {k: laid_out_like(p, t) for k, t in slot.items() if t.shape == p.shape}
        for key, t in kept.items():
            pair, trick, name = key.split("/", 2)
            # One that is left out now takes its state with it; before they begin there are none.
            if trick in self.tricks.get(pair, {}):
                self.tricks[pair][trick][name].copy_(t)


def save_checkpoint(run: Run, everything: Everything, images: int, keep: int) -> Path:
    """Writes checkpoints/000123456, then removes all but the newest `keep`.

    DivergedError, and nothing written, if a tensor is not finite; DiskError where the disk refuses.
    """
    files = everything.tensors()
    for name, tensors in files.items():
        for key, t in tensors.items():
            if t.is_floating_point() and not bool(torch.isfinite(t).all()):
                raise DivergedError(
                    f"{key} of {name} is not finite after {images:,} images",
                    fix="lower the rates (--g-lr, --d-lr) or add a penalty (--tricks R1 R2)",
                )
    folder = run.checkpoints / f"{images:09d}"
    newest = [c.name for c in run.saved()][:1]
    intact = f"; {newest[0]} is intact" if newest else ""
    with disk_errors(f"checkpoint {folder.name}", run.checkpoints, f"free some space{intact}"):
        replace_folder(folder, lambda into: _fill(into, files, everything.state))
    for old in run.saved()[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _fill(into: Path, files: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
    hashes = {}
    for name, tensors in files.items():
        hashes[f"{name}.safetensors"] = write_new(
            into / f"{name}.safetensors", tensors_to_bytes(tensors)
        )
    about = {"schema": SCHEMA, "sparring": __version__, "torch": torch.__version__, **state}
    hashes["state.json"] = write_new(into / "state.json", to_json(about, indent=1).encode())
    write_new(into / "manifest.json", to_json({"sha256": hashes}, indent=1).encode())


@dataclass(frozen=True)
class Saved:
    """A checkpoint that verifies: its folder, its tensors by file, its state; why newer did not."""

    folder: Path
    files: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    skipped: tuple[str, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe that made it."""
        return read_recipe(self.state["recipe"])


def newest_checkpoint(run: Run) -> Saved:
    """The newest checkpoint that verifies; RunError, naming each with its reason, if none does."""
    skipped = []
    for folder in run.saved():
        try:
            files, state = read_checkpoint(folder)
        except (OSError, ValueError) as e:
            skipped.append(f"{folder.name}: {e}")
            continue
        if state.get("schema") != SCHEMA:
            version = state.get("sparring")
            raise RunError(
                f"checkpoint {folder.name} has schema {state.get('schema')}",
                where=run.path,
                why=f"sparring {version} wrote it, this is {__version__} (schema {SCHEMA})",
                fix=f"pip install sparring=={version}",
            )
        return Saved(folder, files, state, tuple(skipped))
    why = "; ".join(skipped) or "there is none"
    fix = "start a new run with sparring train"
    raise RunError("no checkpoint verifies", where=run.checkpoints, why=why, fix=fix)
