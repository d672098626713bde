"""Morphs: walks through latent space, as an animation or a contact sheet; a plane of it."""

from __future__ import annotations

import io
import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import one_hot

from sparring.errors import RecipeError
from sparring.parts import nearest
from sparring.sample.draw import Classes, Model, to_uint8
from sparring.sample.picture import grid, png
from sparring.storage import disk_errors, replace_file


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at the share t of the way from a to b, (n, latent), along the sphere.

    White 2016, Sampling generative networks, arXiv:1609.04468. Norms are interpolated linearly, so
    that latents of the right length lie between.
    """
    na, nb = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    cosine = ((a / na) * (b / nb)).sum(1, keepdim=True).clamp(-1, 1)
    angle = torch.arccos(cosine)
    sine = torch.sin(angle)
    chord = (1 - t) * a / na + t * b / nb
    curved = (torch.sin((1 - t) * angle) * a / na + torch.sin(t * angle) * b / nb) / sine
    direction = torch.where(sine < 1e-4, chord, curved)
    return direction * ((1 - t) * na + t * nb)


def straight(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at the share t of the way from a to b, (n, latent), along the line.

    Half way between two latents it is shorter than either by about the square root of 2.
    """
    return torch.lerp(a, b, t)


PATHS = {"spherical": slerp, "linear": straight}


def walk(
    model: Model,
    *,
    stops: int = 6,
    frames: int = 12,
    tracks: int = 16,
    seed: int = 0,
    classes: Classes | None = None,
    path: str = "spherical",
) -> Tensor:
    """Samples along closed walks: uint8 (stops * frames, tracks, C, H, W).

    path: one of PATHS, from each latent to the next.
    Each track keeps its class. Where several classes are asked for, it keeps its latent instead and
    walks from one of them to the next: they are the stops.
    """
    asked = None if classes is None else model.asked(classes)
    if asked is not None and len(asked) > 1:
        ends = asked if model.spec.vectors else one_hot(asked, len(model.spec.classes)).float()
        ends = ends.to(model.device)
        stops = len(ends)
        z = model.noise(tracks, seed).repeat(stops * frames, 1)
        shares = [
            torch.lerp(ends[i], ends[(i + 1) % stops], f / frames)
            for i in range(stops)
            for f in range(frames)
        ]
        c = torch.stack(shares).repeat_interleave(tracks, 0)
    else:
        z = model.noise(stops * tracks, seed).unflatten(0, (stops, tracks))
        between = PATHS[path]
        way = [
            between(z[i], z[(i + 1) % stops], f / frames)
            for i in range(stops)
            for f in range(frames)
        ]
        z = torch.cat(way)
        kept = model.every_class(tracks) if classes is None else classes
        c = model.conditions(tracks, seed, classes=kept)
        c = None if c is None else c.repeat(len(way), *[1] * (c.dim() - 1))
    return to_uint8(model.make(z, c)).unflatten(0, (stops * frames, tracks))


def plane(model: Model, side: int = 8, seed: int = 0) -> Tensor:
    """Samples of a square of latents between four corners: uint8 (side * side, C, H, W), by rows.

    Along the sphere both ways; all of one class where the model is told classes.
    """
    corners = model.noise(4, seed)
    shares = [i / (side - 1) for i in range(side)]
    left, right = (
        torch.cat([slerp(corners[i : i + 1], corners[i + 2 : i + 3], t) for t in shares])
        for i in (0, 1)
    )
    z = torch.stack([slerp(left, right, t) for t in shares], 1).flatten(0, 1)
    c = model.conditions(1, seed)
    return to_uint8(model.make(z, None if c is None else c.repeat_interleave(len(z), 0)))


def save_morph(
    model: Model,
    out: Path,
    *,
    seed: int = 0,
    classes: Classes | None = None,
    path: str = "spherical",
    stops: int = 6,
    frames: int = 12,
) -> None:
    """Writes a morph: .gif or .webp an animation of 16 walks, .png a contact sheet of 8.

    path: one of PATHS. stops, frames: latents an animation comes by, and pictures from one to the
    next; a sheet goes from one to the next in ten. One class is kept; several are walked through,
    on a sheet from the first to the last. Raises RecipeError, DiskError.
    """
    if model.spec.points:
        raise RecipeError(
            "points do not morph",
            why="this run generates points, not images",
            fix="sparring sample, or the report, which shows them over time",
        )
    if path not in PATHS:
        raise RecipeError(
            f"no path is called '{path}'{nearest(path, PATHS)}", fix=f"--path {' or '.join(PATHS)}"
        )
    if stops < 2 or frames < 1:
        raise RecipeError(
            "a morph needs at least two stops and a frame between them",
            why=f"these are {stops} stops and {frames} frames",
            fix="--stops 6 --frames 12",
        )
    along = {"seed": seed, "classes": classes, "path": path}
    buffer = io.BytesIO()
    if out.suffix.lower() == ".png":
        steps = walk(model, stops=2, frames=10, tracks=8, **along)[:-9]
        buffer.write(png(grid(steps.transpose(0, 1).flatten(0, 1), columns=len(steps))))
    elif out.suffix.lower() in (".gif", ".webp"):
        shown = walk(model, stops=stops, frames=frames, **along)
        pictures = [_enlarged(grid(f)) for f in shown]
        if out.suffix.lower() == ".gif":  # which knows no half transparency
            pictures = [_on_white(p) for p in pictures]
        pictures[0].save(
            buffer,
            out.suffix[1:].upper(),
            save_all=True,
            append_images=pictures[1:],
            duration=80,
            loop=0,
        )
    else:
        raise RecipeError(f"cannot write a morph to {out}", fix="--out morph.gif, .webp or .png")
    with disk_errors("the morph", out):
        out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, buffer.getvalue())


def _enlarged(image: Image.Image) -> Image.Image:
    """Small pictures at a size one can see."""
    scale = max(1, math.floor(400 / max(image.size)))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _on_white(image: Image.Image) -> Image.Image:
    """A picture without transparency."""
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
