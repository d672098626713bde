"""The sections on how training went: curves, and scores with their protocols."""

from __future__ import annotations

import math
from typing import Any

from sparring.errors import RunError
from sparring.report import figures
from sparring.report.figures import Series, series
from sparring.report.markup import figure, grid, paragraph, table, text
from sparring.report.material import Material

Row = dict[str, Any]
_KNOWN = {
    *("images", "seconds", "d_loss", "g_loss", "d_acc_real", "d_acc_fake"),
    *("d_grad_norm", "g_grad_norm", "img_per_s", "memory"),
}
_MOST_NOTES = 8


def curves(m: Material) -> str:
    """Losses, D's accuracy, gradient norms, speed, and what the tricks note."""
    rows = m.stats
    if not rows:
        raise RunError("no statistics yet", where=m.run.path)
    drawn = [
        (figures.curves(lines, label, **options), caption)
        for lines, label, caption, options in _panels(rows)
    ]
    pieces = [figure(svg, caption) for svg, caption in drawn if svg]
    if not pieces:
        raise RunError("no number in the statistics is finite", where=m.run.path)
    return grid(pieces)


def _panels(rows: list[Row]) -> list[tuple[list[Series], str, str, dict[str, Any]]]:
    """Lines, what they are, caption and options of each panel."""
    d, g = "D", "G"
    panels: list[tuple[list[Series], str, str, dict[str, Any]]] = [
        (
            [series(rows, "d_loss", d), series(rows, "g_loss", g)],
            "Losses of D and G",
            "Losses. They say who is ahead, not how good the samples are.",
            {},
        ),
        (
            [series(rows, "d_acc_real", "real"), series(rows, "d_acc_fake", "generated")],
            "Accuracy of D on real and on generated",
            "Accuracy of D on real and on generated. At 100 % on both, G has little to learn from.",
            {"limits": (-0.03, 1.03), "percent": True},
        ),
        (
            [series(rows, "d_grad_norm", d), series(rows, "g_grad_norm", g)],
            "Norms of the gradients of D and G",
            "Norm of the gradient of each player's loss.",
            {"log": True},
        ),
        (
            [series(rows, "img_per_s", "images per second")],
            "Speed",
            "Images per second, with pauses for samples, scores and checkpoints.",
            {},
        ),
    ]
    others = dict.fromkeys(k for r in rows for k in r if k not in _KNOWN)
    for name in list(others)[:_MOST_NOTES]:
        whose = "A term of G's loss" if name.startswith("g_") else "Noted by a trick"
        said = f"{whose}: {name}"
        panels.append(([series(rows, name, name)], said, f"{said}.", {}))
    return panels


# ------------------------------------------------------------------------------------------ scores


def latest(rows: list[Row]) -> list[Row]:
    """The last row of each metric, in the order in which metrics first appear."""
    return list({r["metric"]: r for r in rows}.values())


def scores(m: Material) -> str:
    """The last scores with their protocol, their course, and the balance of the classes."""
    if not m.scores:
        return paragraph("No scores: this run has not been evaluated.", "missing") + _hint(m)
    last = latest(m.scores)
    rows = [
        (r["metric"], with_error(r), reference(r.get("detail") or {}), f"{r['images']:,}")
        for r in last
    ]
    head = ("metric", "value ± standard error", "to compare with", "at images")
    return "".join(
        [
            table(head, rows, "numbers"),
            grid(_courses(m.scores), "small-ones"),
            _histogram(last),
            *(_protocol(r, same) for r, same in _protocols(last)),
        ]
    )


def _hint(m: Material) -> str:
    return paragraph(f"sparring evaluate {m.run.path} computes those that fit the data.", "note")


def value(row: Row) -> str:
    """A score as one reads it."""
    v = row.get("value")
    return f"{v:.4g}" if isinstance(v, (int, float)) and math.isfinite(v) else "not finite"


def with_error(row: Row) -> str:
    """A score with its standard error where one is known."""
    se = error(row)
    return value(row) if se == "–" else f"{value(row)} ± {se}"


def error(row: Row) -> str:
    """Its standard error, a dash where none is known."""
    se = row.get("se")
    return f"{se:.2g}" if isinstance(se, (int, float)) else "–"


def reference(detail: Row) -> str:
    """What a detail tells to compare a score with."""
    said = []
    for key, words in (("of", "of {}"), ("classes", "of {}")):
        if isinstance(detail.get(key), int):
            said.append(words.format(detail[key]))
    if isinstance(detail.get("perfect"), float):
        said.append(f"{detail['perfect']:.3g} for a perfect sampler")
    if isinstance(detail.get("held_out"), float):
        said.append(f"{detail['held_out']:.3g} for the images held out")
    real = detail.get("real")
    if isinstance(real, dict) and isinstance(real.get("value"), float):
        said.append(f"{real['value']:.5g} for real images")
    floors = detail.get("floors")
    for name, floor in floors.items() if isinstance(floors, dict) else ():
        which = name.replace("_", " ").replace("training", "other training")
        said.append(f"{floor['value']:.3g} for {floor['n']:,} {which} images")
    return "; ".join(said) or "–"


def _courses(rows: list[Row]) -> list[str]:
    """A small figure for every metric computed more than once."""
    pieces = []
    for name in dict.fromkeys(r["metric"] for r in rows):
        own = [r for r in rows if r["metric"] == name]
        if len(own) < 2:
            continue
        line = series(own, "value", name)._replace(se=figures.numbers(r.get("se") for r in own))
        svg = figures.curves([line], f"{name} over time", size=(300, 190))
        band = ", ± 2 standard errors" if own[-1].get("se") else ""
        pieces += [figure(svg, f"{name}{band}")] if svg else []
    return pieces


def _histogram(last: list[Row]) -> str:
    """Classes or modes of the samples against the data's, from the first score that has them."""
    for detail in (r.get("detail") or {} for r in last):
        counts = detail.get("counts") or []
        n = sum(counts)
        if not n:
            continue
        if detail.get("names"):
            names, due = detail["names"], detail.get("data_shares")
            title = "Classes of the samples, by the classifier"
        elif detail.get("modes"):
            modes = detail["modes"]
            names = [f"({', '.join(map(_short, mode))})" for mode in modes]
            due, title = [1 / len(counts)] * len(counts), "Samples nearest to each mode"
        else:
            continue
        if len(names) == len(counts) <= 60:
            return bars(title, names, [c / n for c in counts], due, counts)
    return ""


def _short(coordinate: float) -> str:
    return f"{round(coordinate, 2) + 0:g}".replace("-", "−")


def bars(
    title: str, names: list[str], shares: list[float], due: list[float] | None, counts: list[int]
) -> str:
    """A table with a bar in each row: the share of the samples, marked at that of the data."""
    top = max(*shares, *(due or [0.0]), 1e-9)
    rows = []
    for i, name in enumerate(names):
        mark = f'<i style="left:{100 * due[i] / top:.1f}%"></i>' if due else ""
        in_data = f"<td>{due[i]:.1%}</td>" if due else ""
        rows.append(
            f'<tr><th scope="row">{text(name)}</th><td class="bar" aria-hidden="true"><div>'
            f'<b style="width:{100 * shares[i] / top:.1f}%"></b>{mark}</div></td>'
            f"<td>{shares[i]:.1%}</td>{in_data}<td>{counts[i]:,}</td></tr>"
        )
    data = '<th scope="col">data</th>' if due else ""
    head = (
        f'<tr><th scope="col"><span class="unseen">name</span></th><td></td>'
        f'<th scope="col">samples</th>{data}<th scope="col">count</th></tr>'
    )
    caption = f"<figcaption>{text(title)}; the mark is the share in the data.</figcaption>"
    body = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<figure class="bars"><div class="scroll" tabindex="0">{body}</div>{caption}</figure>'


def _protocols(last: list[Row]) -> list[tuple[Row, list[str]]]:
    """Each protocol once, with the metrics it belongs to."""
    found: list[tuple[Row, list[str]]] = []
    for row in last:
        protocol = row.get("protocol") or {}
        names = next((names for known, names in found if known == protocol), None)
        if names is None:
            found.append((protocol, [row["metric"]]))
        else:
            names.append(row["metric"])
    return [(p, names) for p, names in found if p]


def _protocol(protocol: Row, names: list[str]) -> str:
    rows = [
        (
            k.replace("_", " "),
            f"{v:,}" if isinstance(v, int) else f"{v:.4g}" if isinstance(v, float) else v,
        )
        for k, v in protocol.items()
    ]
    inside = table(("", "protocol"), rows, "plain")
    return f"<details><summary>Protocol of {text(', '.join(names))}</summary>{inside}</details>"
