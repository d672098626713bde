"""What is in a source: counts, sizes, conversions and problems. Nothing is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from sparring.data.files import Files, Loaded, load
from sparring.data.opened import opened
from sparring.data.paths import printable
from sparring.data.source import Images, Points, Source
from sparring.data.split import split
from sparring.data.tally import Tally
from sparring.parts import as_word, show
from sparring.randomness import generator

_BLOCK = 1024  # images looked at together
_WIDE = 3.0  # beyond it a number is far from what networks are fed with
_FEW = 1000  # images; below, D soon knows them by heart
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
            loaded = load(source, listing, strict=False)
            names = [printable(listing.names[i]) for i in loaded.kept]
            general, files = _images(loaded.images, names), _files(source, loaded)
            problems = files["problems"] + general["problems"]
            return info | general | files | {"other_files": listing.others, "problems": problems}
    found = opened(source)
    if isinstance(found, Points):
        return info | _points(found)
    return info | _images(found, [str(i) for i in range(len(found))])


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
    if images.labels is not None and not images.vectors:
        counts = images.labels.bincount(minlength=len(images.classes)).tolist()
        classes = dict(zip(images.classes, counts))
    looks = _look(images, names)
    held_out = len(split(n)[1])
    return {
        "count": n,
        "channels": channels,
        "size": [height, width],
        "values": "0 to 255" if images.pixels.dtype == torch.uint8 else "float32, -1 to 1",
        "kept": "in memory" if isinstance(images.pixels, Tensor) else "in a file",
        "classes": classes,
        "labels": _columns(images) if images.vectors else None,
        "training": n - held_out,
        "held_out": held_out,
        "duplicates": len(looks.repeats),
        "duplicate_examples": looks.repeats[:5],
        "left_out": [{"file": file, "reason": why} for file, why in images.left_out],
        "digest": images.digest,
        "problems": [
            *_image_problems(images, looks, classes),
            *(_label_problems(images) if images.vectors else ()),
        ],
    }


def _columns(images: Images) -> dict[str, dict[str, float]]:
    """Least, mean and greatest of each column of labels."""
    assert images.labels is not None
    least, mean, most = images.labels.amin(0), images.labels.mean(0), images.labels.amax(0)
    return {
        name: {"min": least[i].item(), "mean": mean[i].item(), "max": most[i].item()}
        for i, name in enumerate(images.classes)
    }


@dataclass(frozen=True)
class _Looks:
    """What only all pixels show: [image, the earlier one it equals] for every image equal to an
    earlier one as trained on, how many are of one colour, whether all are grey."""

    repeats: list[list[str]]
    blank: int
    grey: bool


def _look(images: Images, names: Sequence[str]) -> _Looks:
    """Goes through the images block by block: they need not all fit into memory."""
    first: dict[bytes, int] = {}
    repeats, blank, grey = [], 0, True
    for start in range(0, len(images), _BLOCK):
        block = images.pixels[start : start + _BLOCK]
        for i, pixels in enumerate(block.permute(0, 2, 3, 1).contiguous().numpy(), start):
            earlier = first.setdefault(hashlib.sha256(pixels.tobytes()).digest()[:16], i)
            if earlier != i:
                repeats.append([names[i], names[earlier]])
        colours = block.flatten(2)
        blank += int((colours.amax(2) == colours.amin(2)).all(1).sum())
        grey = grey and bool((block == block[:, :1]).all())
    return _Looks(repeats, blank, grey)


def _label_problems(images: Images) -> Iterable[str]:
    labels = images.labels
    assert labels is not None
    if bool(((labels == 0) | (labels == 1)).all()) and bool((labels.sum(1) == 1).all()):
        yield "every row of labels has a single 1: as numbers, labels.argmax(1), they are classes"
    wide = [c for c, v in _columns(images).items() if max(-v["min"], v["max"]) > _WIDE]
    if wide:
        yield (
            f"the numbers {', '.join(wide[:5])} reach beyond {_WIDE:g}: they are taken as they are,"
            " and networks learn best from numbers between -1 and 1"
        )


def _image_problems(images: Images, looks: _Looks, classes: dict[str, int] | None) -> Iterable[str]:
    n = len(images)
    if n < _FEW:
        yield (
            f"{n} images are few: the discriminator may learn them by heart; sparring evaluate RUN"
            " --metrics Memorisation says whether samples repeat them"
        )
    if looks.repeats:
        yield (
            f"{len(looks.repeats)} of {n} images repeat an earlier one exactly: each is shown as"
            " often as it is there"
        )
    if looks.blank:
        yield f"{looks.blank} images are of one colour all over"
    if images.shape[0] == 3 and looks.grey:
        yield "all images are grey but stored in colour: stored as grey they would train faster"
    if classes:
        single = [c for c, count in classes.items() if count == 1]
        if single:
            yield (
                f"the class '{single[0]}' has one image"
                + (f", and {len(single) - 1} more classes have" if single[1:] else "")
                + ": nothing can be learnt of a class from one image"
            )
        small, large = (
            min(classes, key=lambda c: classes[c]),
            max(classes, key=lambda c: classes[c]),
        )
        if classes[small] * 10 < classes[large]:
            yield (
                f"classes are unequal: '{small}' has {classes[small]} images,"
                f" '{large}' {classes[large]}; --balance-classes shows all equally often"
            )
        splits = {"train", "test", "val", "valid", "validation"} & {c.lower() for c in classes}
        if len(splits) == len(classes):
            yield (
                f"the classes {', '.join(classes)} look like parts of one set: give one of these"
                " folders, or move their images into one"
            )


def _files(source: Files, loaded: Loaded) -> dict[str, Any]:
    """What is known only of images that come from files."""
    tally, small = loaded.tally, _left_out(loaded) - loaded.unreadable
    return {
        "files": _total(loaded),
        "sizes": _sizes(tally) if tally.sizes else None,
        "formats": dict(tally.formats.most_common()),
        "modes": dict(tally.modes.most_common()),
        "conversions": dict(tally.conversions.most_common()),
        "unreadable": loaded.unreadable,
        "too_small": small,
        "problems": list(_file_problems(source, loaded, small)),
    }


def _total(loaded: Loaded) -> int:
    """How many files there are; patches of one count once."""
    return len(set(loaded.kept)) + _left_out(loaded)


def _left_out(loaded: Loaded) -> int:
    """How many files are not taken; folders of runs count for none."""
    return sum(not name.endswith("/") for name, _ in loaded.images.left_out)


def _sizes(tally: Tally) -> dict[str, Any]:
    def three(side: int) -> dict[str, float]:
        values = [size[side] for size in tally.sizes.elements()]
        return {"min": min(values), "median": median(values), "max": max(values)}

    return {"height": three(0), "width": three(1), "different": len(tally.sizes)}


def _file_problems(source: Files, loaded: Loaded, small: int) -> Iterable[str]:
    total, tally, whole = _total(loaded), loaded.tally, loaded.images.groups is None
    if loaded.unreadable:
        refused = loaded.unreadable > loaded.limit
        yield f"{loaded.unreadable} of {total} images cannot be read and are left out" + (
            f"; training refuses more than {loaded.limit}" if refused else ""
        )
    if loaded.images.unlabelled:
        yield (
            f"{loaded.images.unlabelled}: all are taken, none has a class; for classes move each"
            " image into the folder of its class"
        )
    if small:
        side = loaded.images.shape[1]
        yield (
            f"{small} of {total} images are smaller than {side} x {side} and are left out"
            + ("; an explicit --size enlarges them" if whole else "")
        )
    grey, clear, opaque = (tally.conversions[k] for k in ("grey-to-rgb", "alpha", "opaque"))
    if grey:
        yield (
            f"{grey} of {total} images are grey, the others coloured: they are taken as coloured;"
            f" {_as(source, 'grey')} takes all as grey"
        )
    if clear:
        yield (
            f"{clear} of {total} images have transparency: they are laid on white;"
            f" {_as(source, 'rgba')} keeps it"
        )
    deep = tally.conversions["16-bit"]
    if deep:
        whole = as_word(show(replace(source, range=(0, 65535))))
        alike = f"; {whole} keeps all" if deep == sum(tally.modes.values()) else ""
        yield f"{deep} of {total} images have 16 bits: they are taken at 8{alike}"
    if opaque:
        yield (
            f"{opaque} of {total} images have no transparency, the others do: they are taken as"
            f" opaque; {_as(source, 'rgb')} takes none"
        )
    kept = [min(size) / max(size) for size in tally.sizes.elements()]
    if whole and kept and median(kept) < 0.6:
        yield (
            f"the square crop keeps {median(kept):.0%} of a typical image; --size HEIGHTxWIDTH"
            " can follow its shape"
        )


def _as(source: Files, channels: Literal["grey", "rgb", "rgba"]) -> str:
    """The source with other channels, as it is written in a command."""
    return as_word(show(replace(source, channels=channels)))


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
        ("modes", f"{len(centres)}: {' '.join(centres[:_LISTED])}{more}" if centres else "none"),
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
    if info.get("sizes"):
        low, middle, high = (
            f"{info['sizes']['height'][k]:g} x {info['sizes']['width'][k]:g}"
            for k in ("min", "median", "max")
        )
        sizes = f"{low} to {high}, median {middle}, {info['sizes']['different']} different"
        others = f"{info['files']} images, {info['other_files']} others"
        rows += [("files", others), ("sizes", f"{sizes} (height x width)")]
        rows += [(name, _counts(info[name])) for name in ("formats", "modes", "conversions")]
    rows.append(("pixels", f"{info['values']}, {info['kept']}"))
    if info["labels"]:
        columns = [f"{c} {v['min']:.4g}..{v['max']:.4g}" for c, v in info["labels"].items()]
        more = ", ..." if len(columns) > _LISTED else ""
        rows.append(("labels", f"{len(columns)}: {', '.join(columns[:_LISTED])}{more}"))
    else:
        rows.append(("classes", _counts(info["classes"] or {})))
    rows.append(("duplicates", str(info["duplicates"])))
    rows.append(("digest", info["digest"]))
    return rows


def _counts(counts: dict[str, int]) -> str:
    listed = ", ".join(f"{name} {n}" for name, n in list(counts.items())[:_LISTED])
    return f"{listed}, ..." if len(counts) > _LISTED else listed or "none"
