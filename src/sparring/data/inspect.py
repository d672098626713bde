"""What is in a source: counts, sizes, conversions and problems. Nothing is changed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import torch

from sparring.data.decode import Facts
from sparring.data.files import Files, Loaded, load
from sparring.data.source import Images, Points, Source
from sparring.data.split import split
from sparring.parts import show
from sparring.randomness import generator

_FEW = 1000  # images; below, D learns them by heart unless it is regularised
_DRAWN = 100_000  # points for the entropy and the quantiles
_LISTED = 20  # lines or words of a kind in the table
_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


def inspect(source: Source) -> dict[str, Any]:
    """All that can be said about a source, ready for JSON; see `table` for a terminal.

    Images that cannot be read are listed however many they are, unlike in training. Raises
    DataError when nothing is usable.
    """
    info: dict[str, Any] = {"source": show(source), "kind": type(source).__name__.lower()}
    if isinstance(source, Files):
        with source.listing() as listing:
            loaded = load(listing, strict=False)
            others = listing.others
        general, files = _images(loaded.images, loaded.names), _files(loaded)
        problems = files["problems"] + general["problems"]
        return info | general | files | {"other_files": others, "problems": problems}
    opened = source.open()
    if isinstance(opened, Points):
        return info | _points(opened)
    return info | _images(opened, [str(i) for i in range(len(opened))])


def _points(points: Points) -> dict[str, Any]:
    x = points.sample(_DRAWN, generator("inspect"))
    surprise = -points.log_density(x.double())
    quantiles = x.double().quantile(torch.tensor(_QUANTILES, dtype=torch.float64), dim=0)
    return {
        "dimension": points.shape[0],
        "modes": points.modes.tolist(),
        "sigma": points.sigma,
        "entropy": {
            "nats": surprise.mean().item(),
            "se": surprise.std().item() / _DRAWN**0.5,
        },
        "quantiles": {str(q): row.tolist() for q, row in zip(_QUANTILES, quantiles)},
        "digest": points.digest,
        "problems": [],
    }


def _images(images: Images, names: Sequence[str]) -> dict[str, Any]:
    """What holds of any images: `names` are what to call each of them."""
    n, (channels, height, width) = len(images), images.shape
    classes = None
    if images.labels is not None:
        counts = images.labels.bincount(minlength=len(images.classes)).tolist()
        classes = dict(zip(images.classes, counts))
    repeats = _repeats(images, names)
    held_out = len(split(n)[1])
    return {
        "count": n,
        "channels": channels,
        "size": [height, width],
        "classes": classes,
        "training": n - held_out,
        "held_out": held_out,
        "duplicates": len(repeats),
        "duplicate_examples": repeats[:5],
        "left_out": [{"file": file, "reason": why} for file, why in images.left_out],
        "digest": images.digest,
        "problems": list(_image_problems(images, len(repeats), classes)),
    }


def _repeats(images: Images, names: Sequence[str]) -> list[list[str]]:
    """[image, the earlier one it equals] for every image equal to an earlier one, as trained on."""
    first: dict[bytes, str] = {}
    repeats = []
    for pixels, name in zip(images.pixels.permute(0, 2, 3, 1).contiguous().numpy(), names):
        key = hashlib.sha256(pixels.tobytes()).digest()
        if key in first:
            repeats.append([name, first[key]])
        else:
            first[key] = name
    return repeats


def _image_problems(images: Images, repeats: int, classes: dict[str, int] | None) -> Iterable[str]:
    n, pixels = len(images), images.pixels
    if n < _FEW:
        yield (f"{n} images are few: without augmentation the discriminator learns them by heart")
    if repeats:
        yield f"{repeats} of {n} images repeat an earlier one exactly"
    blank = int((pixels.flatten(1).amax(1) == pixels.flatten(1).amin(1)).sum())
    if blank:
        yield f"{blank} images are of one colour all over"
    if images.shape[0] == 3 and bool((pixels == pixels[:, :1]).all()):
        yield "all images are grey but stored in colour: stored as grey they would train faster"
    if classes:
        small, large = (
            min(classes, key=lambda c: classes[c]),
            max(classes, key=lambda c: classes[c]),
        )
        if classes[small] * 10 < classes[large]:
            yield (
                f"classes are unequal: '{small}' has {classes[small]} images,"
                f" '{large}' {classes[large]}"
            )
        splits = {"train", "test", "val", "valid", "validation"} & {c.lower() for c in classes}
        if len(splits) == len(classes):
            yield (
                f"the classes {', '.join(classes)} look like parts of one set: give one of these"
                " folders, or move their images into one"
            )


def _files(loaded: Loaded) -> dict[str, Any]:
    """What is known only of images that come from files."""
    facts, left_out = loaded.facts, loaded.images.left_out
    conversions = Counter(c for f in facts for c in f.conversions)
    small = len(left_out) - loaded.unreadable
    return {
        "files": len(facts) + len(left_out),
        "sizes": _sizes(facts),
        "formats": dict(Counter(f.format for f in facts).most_common()),
        "modes": dict(Counter(f.mode for f in facts).most_common()),
        "conversions": dict(conversions.most_common()),
        "unreadable": loaded.unreadable,
        "too_small": small,
        "problems": list(_file_problems(loaded, small)),
    }


def _sizes(facts: Sequence[Facts]) -> dict[str, Any]:
    def three(values: list[int]) -> dict[str, float]:
        return {"min": min(values), "median": median(values), "max": max(values)}

    return {
        "height": three([f.height for f in facts]),
        "width": three([f.width for f in facts]),
        "different": len({(f.height, f.width) for f in facts}),
    }


def _file_problems(loaded: Loaded, small: int) -> Iterable[str]:
    total = len(loaded.facts) + len(loaded.images.left_out)
    if loaded.unreadable:
        refused = loaded.unreadable > loaded.limit
        yield f"{loaded.unreadable} of {total} images cannot be read and are left out" + (
            f"; training refuses more than {loaded.limit}" if refused else ""
        )
    if small:
        side = loaded.images.shape[1]
        yield (
            f"{small} of {total} images are smaller than {side} x {side} and are left out;"
            " an explicit --size enlarges them"
        )
    kept = [min(f.height, f.width) / max(f.height, f.width) for f in loaded.facts]
    if median(kept) < 0.6:
        yield (
            f"the square crop keeps {median(kept):.0%} of a typical image; --size HEIGHTxWIDTH"
            " can follow its shape"
        )


def table(info: dict[str, Any]) -> str:
    """What `inspect` found, as lines of plain text, without a newline at the end."""
    rows = _point_rows(info) if "dimension" in info else _image_rows(info)
    wide = max(len(name) for name, _ in rows)
    lines = [info["source"], *(f"  {name:<{wide}}  {text}" for name, text in rows)]
    left_out = info.get("left_out", [])
    lines += [f"  left out: {item['file']}: {item['reason']}" for item in left_out[:_LISTED]]
    if len(left_out) > _LISTED:
        lines.append(f"  left out: {len(left_out) - _LISTED} more, listed by --json")
    lines += [f"  problem: {text}" for text in info["problems"]] or ["  no problem found"]
    return "\n".join(lines)


def _point_rows(info: dict[str, Any]) -> list[tuple[str, str]]:
    entropy, quantiles = info["entropy"], info["quantiles"]
    centres = [f"({', '.join(f'{x:.4g}' for x in mode)})" for mode in info["modes"]]
    more = f" and {len(centres) - _LISTED} more" if len(centres) > _LISTED else ""
    return [
        ("dimension", str(info["dimension"])),
        ("modes", f"{len(centres)}: {' '.join(centres[:_LISTED])}{more}"),
        ("sigma", f"{info['sigma']:.4g}"),
        ("entropy", f"{entropy['nats']:.4f} nats, standard error {entropy['se']:.4f}"),
        *(
            (f"quantile {q}", "  ".join(f"{x:.4g}" for x in values))
            for q, values in quantiles.items()
        ),
    ]


def _image_rows(info: dict[str, Any]) -> list[tuple[str, str]]:
    height, width = info["size"]
    held_out = f"{info['training']} to train on, {info['held_out']} held out"
    rows = [
        ("images", f"{info['count']}: {held_out}"),
        ("trained as", f"{height} x {width} pixels, {info['channels']} channel(s)"),
    ]
    if "files" in info:
        low, middle, high = (
            f"{info['sizes']['height'][k]:g} x {info['sizes']['width'][k]:g}"
            for k in ("min", "median", "max")
        )
        sizes = f"{low} to {high}, median {middle}, {info['sizes']['different']} different"
        others = f"{info['files']} images, {info['other_files']} others"
        rows += [("files", others), ("sizes", f"{sizes} (height x width)")]
        rows += [(name, _counts(info[name])) for name in ("formats", "modes", "conversions")]
    rows.append(("classes", _counts(info["classes"] or {})))
    rows.append(("duplicates", str(info["duplicates"])))
    rows.append(("digest", info["digest"]))
    return rows


def _counts(counts: dict[str, int]) -> str:
    listed = ", ".join(f"{name} {n}" for name, n in list(counts.items())[:_LISTED])
    return f"{listed}, ..." if len(counts) > _LISTED else listed or "none"
