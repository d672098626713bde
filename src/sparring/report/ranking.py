"""Which of several runs scores better, and when nothing may be said.

Runs of one recipe that differ in the seed alone are one group. Two groups differ on a metric when
their 95 % intervals do not overlap. Scores of different protocols are never ranked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean, stdev
from typing import Any

from sparring.parts import Part, map_parts, show
from sparring.recipe import Recipe
from sparring.report.material import Material
from sparring.schedules import Schedule

Row = dict[str, Any]
# The subject of a score, not the way it was taken.
_SUBJECT = ("generator", "generator_digest", "images")
# Fields that say how a run is watched and kept; what it trains is the same.
_WATCHING = ("metrics", "evaluate_every", "sample_every", "checkpoint_every", "keep")
# The 97.5 % quantile of Student's t for 1, 2, ... degrees of freedom.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL = 1.960
_WAYS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "data": "best as the data have it",
}


@dataclass(frozen=True)
class Group:
    """Runs of one recipe, whatever their seeds. failures: (run, what became of it)."""

    name: str
    runs: tuple[str, ...]
    members: tuple[Material, ...]
    failures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Result:
    """A group's value of a metric: the mean over its seeds and, where known, its 95 % interval.

    values: one of each run that has the score; sd: their spread, None for one.
    """

    group: str
    value: float
    low: float | None
    high: float | None
    values: tuple[float, ...]
    sd: float | None


@dataclass(frozen=True)
class Comparison:
    """A metric over all groups, the best first where they can be ranked. verdict: in words; notes:
    which runs were scored before the end of their training, and so left out or unlike the rest."""

    metric: str
    better: str
    results: tuple[Result, ...]
    ranked: bool
    verdict: str
    notes: tuple[str, ...] = ()

    @property
    def way(self) -> str:
        """Which way is better, in words; "" where it is not known."""
        return _WAYS.get(self.better, "")


def names(members: Sequence[Material]) -> list[str]:
    """What each run is called: its folder, and the way there where two folders share a name."""
    short = [m.run.name for m in members]
    return [n if short.count(n) == 1 else str(m.run.path) for n, m in zip(short, members)]


def groups(members: Sequence[Material]) -> list[Group]:
    """The runs by recipe, in the order given."""
    found: dict[str, list[tuple[str, Material]]] = {}
    for name, m in zip(names(members), members, strict=True):
        same = str(replace(_trained(m), seed=0)) + m.origin
        found.setdefault(same, []).append((name, m))
    made = []
    for own in found.values():
        runs = tuple(name for name, _ in own)
        called = runs[0] if len(runs) == 1 else f"{runs[0]} ({len(runs)} seeds)"
        failed = tuple((name, m.state) for name, m in own if m.state != "finished")
        made.append(Group(called, runs, tuple(m for _, m in own), failed))
    return made


def _trained(m: Material) -> Recipe:
    """The recipe as far as it decides what is trained; schedules over the whole budget as given."""

    def unfill(part: Part) -> Part:
        if isinstance(part, Schedule) and part.images == m.recipe.images:
            return replace(part, images=None)
        return part

    plain = Recipe()
    watching = {name: getattr(plain, name) for name in _WATCHING}
    return replace(map_parts(m.recipe, unfill), **watching)


def last(m: Material) -> dict[str, Row]:
    """The last row of each metric."""
    return {r["metric"]: r for r in m.scores}


def compare(found: Sequence[Group]) -> list[Comparison]:
    """Every metric that a run has, over all groups."""
    metrics = dict.fromkeys(name for g in found for m in g.members for name in last(m))
    return [_compare(metric, found) for metric in metrics]


def _compare(metric: str, found: Sequence[Group]) -> Comparison:
    rows, results, notes = [], [], []
    for group in found:
        own, said = _scored(metric, group)
        rows += own
        notes += said
        if own:
            results.append(_result(group.name, own))
    better = rows[0].get("better", "") if rows else ""
    differing = protocol_differences(rows)
    if not results:
        reason = "no run has a finite value"
    elif differing:
        parts = "; ".join(f"{n} ({' / '.join(values)})" for n, values in differing)
        reason = f"not ranked, since the protocols differ in {parts}"
        if any(n == "features digest" for n, _ in differing):
            # Such as of classifiers of the same data that two machines have trained.
            reason += ". Fix: score them on one machine, with sparring evaluate RUN"
    elif len(results) == 1:
        reason = "one value only"
    elif better == "data":
        reason = "not ranked, since it is best as the data have it, neither lower nor higher"
    elif better not in ("lower", "higher"):
        reason = "not ranked, since the scores do not say which way is better"
    else:
        results.sort(key=lambda r: r.value if better == "lower" else -r.value)
        return Comparison(metric, better, tuple(results), True, _verdict(results), tuple(notes))
    return Comparison(metric, better, tuple(results), False, reason, tuple(notes))


def _scored(metric: str, group: Group) -> tuple[list[Row], list[str]]:
    """The finite scores of a group's runs at the greatest number of images that any has, and what
    is to be said of the others: means are of trainings of one length."""
    own = [(name, m, last(m).get(metric)) for name, m in zip(group.runs, group.members)]
    rows = [
        (name, m, r)
        for name, m, r in own
        if r and isinstance(r["value"], (int, float)) and math.isfinite(r["value"])
    ]
    most = max((r.get("images", 0) for *_, r in rows), default=0)
    notes = [
        f"{name} is left out, scored at {r.get('images', 0):,} images and not at {most:,}"
        for name, _, r in rows
        if r.get("images", 0) < most
    ]
    kept = [(name, m, r) for name, m, r in rows if r.get("images", 0) == most]
    notes += [
        f"{name} is scored at {most:,} of its {m.recipe.images:,} images"
        for name, m, _ in kept
        if most < m.recipe.images
    ]
    return [r for *_, r in kept], notes


def _result(group: str, rows: Sequence[Row]) -> Result:
    """The mean of some runs' scores and its 95 % interval.

    Over seeds it is no narrower than the scores' own errors make it; without any width there is
    none: values may agree by chance.
    """
    values = tuple(float(r["value"]) for r in rows)
    mean, n = fmean(values), len(values)
    errors = [float(r["se"]) for r in rows if isinstance(r.get("se"), (int, float))]
    half = _NORMAL * math.hypot(*errors) / n if len(errors) == n else 0.0
    sd = stdev(values) if n > 1 else None
    if sd is not None:
        half = max(half, (_T[n - 2] if n - 2 < len(_T) else _NORMAL) * sd / math.sqrt(n))
    if not half > 0:
        return Result(group, mean, None, None, values, sd)
    return Result(group, mean, mean - half, mean + half, values, sd)


def protocol_differences(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """(part, its different values) for each part of the protocol that is not the same in all."""
    protocols = [r.get("protocol") or {} for r in rows]
    found = []
    # What the data are is known by their digest; equal ones may go by several names.
    known = all(p.get("data_digest") for p in protocols)
    skipped = (*_SUBJECT, "reference") if known else _SUBJECT
    for part in dict.fromkeys(k for p in protocols for k in p if k not in skipped):
        values = list(dict.fromkeys(str(p.get(part, "not said")) for p in protocols))
        if len(values) > 1:
            found.append((part.replace("_", " "), values))
    return found


def _verdict(results: Sequence[Result]) -> str:
    """What the intervals say of the first against each other."""
    best, *others = results
    unknown = [r.group for r in results if r.low is None]
    if unknown:
        return f"no difference shown: no interval is known for {', '.join(unknown)}"
    close = [r.group for r in others if overlap(best, r)]
    worse = [r.group for r in others if not overlap(best, r)]
    said = [f"{best.group} is better than {', '.join(worse)}"] if worse else []
    said += [f"no difference shown between {best.group} and {', '.join(close)}"] if close else []
    return "; ".join(said)


def overlap(a: Result, b: Result) -> bool:
    """Whether two intervals have a point in common; unknown ones are as wide as can be."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return True
    return a.low <= b.high and b.low <= a.high


def differences(members: Sequence[Material]) -> list[tuple[str, list[str]]]:
    """(field, its value in each run) for each field of the recipe that is not the same in all; and
    what they started from, where that differs.

    Fields that only say how a run is watched and kept are left out.
    """
    rows, trained = [], [_trained(m) for m in members]
    for field in fields(Recipe):
        values = [show(getattr(recipe, field.name)) for recipe in trained]
        if len(set(values)) > 1:
            rows.append((field.name, values))
    origins = [m.origin for m in members]
    return rows + ([("started from", origins)] if len(set(origins)) > 1 else [])


def as_json(members: Sequence[Material]) -> Row:
    """All of it as fields of the JSON that `sparring compare` prints."""
    found = groups(members)
    called = names(members)
    return {
        "runs": [
            {"run": str(m.run.path), "name": n, "state": m.state, "images": m.images}
            for n, m in zip(called, members, strict=True)
        ],
        "scores": [
            {"run": n, **{k: r.get(k) for k in ("metric", "value", "se", "images", "protocol")}}
            for n, m in zip(called, members, strict=True)
            for r in last(m).values()
        ],
        "groups": [
            {"name": g.name, "runs": g.runs, "failures": [list(f) for f in g.failures]}
            for g in found
        ],
        "differences": [{"field": f, "values": values} for f, values in differences(members)],
        "comparisons": [
            {
                "metric": c.metric,
                "better": c.better or None,
                "ranked": c.ranked,
                "verdict": c.verdict,
                "notes": list(c.notes),
                "results": [vars(r) for r in c.results],
            }
            for c in compare(found)
        ],
    }


def as_text(members: Sequence[Material]) -> str:
    """All of it in lines for a terminal."""
    called, lines = names(members), []
    for name, m in zip(called, members, strict=True):
        lines.append(f"{name}: {m.state}, {m.images:,} images")
    lines.append("")
    for field, values in differences(members):
        lines.append(f"{field}: " + " | ".join(values))
    found = groups(members)
    for c in compare(found):
        lines += ["", f"{c.metric}" + (f" ({c.way})" if c.way else "")]
        for r in c.results:
            within = "" if r.low is None else f"  {r.low:.4g} to {r.high:.4g}"
            spread = "" if r.sd is None else f"  {len(r.values)} seeds, spread {r.sd:.2g}"
            lines.append(f"  {r.group:<32} {r.value:<10.4g}{within}{spread}")
        lines += [f"  {line}" for line in (c.verdict, *c.notes)]
    failed = [f"{name}: {state}" for g in found for name, state in g.failures]
    return "\n".join([*lines, *(["", "not finished: " + "; ".join(failed)] if failed else [])])
