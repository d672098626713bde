"""How D is asked: real and fake in as few passes as its architecture allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sparring.nets.normalise import precise
from sparring.tricks import Trick, View, slopes

Features = dict[str, Tensor]
Side = Literal["real", "fake"]
SIDES: tuple[Side, Side] = ("real", "fake")


class Rows(NamedTuple):
    """Some rows of one side of the batch, with their conditions."""

    side: Side
    x: Tensor
    c: Tensor | None


class Answer(NamedTuple):
    """What D says of rows."""

    logits: Tensor
    features: Features
    slopes: Tensor | None = None


def mixes(D: nn.Module) -> bool:
    """Whether a logit of D depends on the other samples of the batch."""
    return bool(getattr(D, "mixes", False))


def ask(
    D: nn.Module,
    x: Tensor,
    c: Tensor | None,
    autocast: Callable[[], AbstractContextManager[Any]],
    features: bool = False,
) -> Answer:
    """D's logits, float32 at least, and its features if wanted."""
    with autocast():
        if not features:
            return Answer(precise(D(x, c)), {})
        logits, found = D(x, c, features=True)
    return Answer(precise(logits), found)


def judge(
    view: View, active: Sequence[Trick], autocast: Callable[[], AbstractContextManager[Any]]
) -> None:
    """Writes into the view D's logits of real and fake, and the features and slopes tricks ask for.

    One pass for all rows that bear slopes and one for the others; the rows with slopes are not
    asked again. A D that mixes samples is asked about each side apart, whole.
    """
    D, n = view.D, view.real_seen.shape[0]
    features = any(t.features for t in active)
    wanted = {side for t in active for side in t.slopes}
    share = max((getattr(t, "share", 1.0) for t in active if t.slopes), default=0.0)
    cut = n if mixes(D) else max(1, round(share * n))
    sloped, plain = [], []
    for side in SIDES:
        real = side == "real"
        x, c = (view.real_seen, view.c) if real else (view.fake_seen, view.fake_c)
        k = cut if side in wanted else 0
        if k:
            sloped.append(Rows(side, x[:k], None if c is None else c[:k]))
        if k < n:
            plain.append(Rows(side, x[k:], None if c is None else c[k:]))

    answers: dict[str, list[Answer]] = {"real": [], "fake": []}
    for kind in (sloped, plain):
        for group in [[rows] for rows in kind] if mixes(D) else [kind] if kind else []:
            x, c = _together(group)
            if kind is sloped:
                with autocast():
                    gradient, logits, found = slopes(D, x, c, track=True)
                answer = Answer(logits, found, gradient)
            else:
                answer = ask(D, x, c, autocast, features)
            for rows, part in zip(group, _apart(answer, group), strict=True):
                answers[rows.side].append(part)

    view.real_logits, view.real_features, view.real_slopes = _join(answers["real"], features)
    view.fake_logits, view.fake_features, view.fake_slopes = _join(answers["fake"], features)


def _together(group: list[Rows]) -> tuple[Tensor, Tensor | None]:
    if len(group) == 1:
        return group[0].x, group[0].c
    c = None if group[0].c is None else torch.cat([r.c for r in group if r.c is not None])
    return torch.cat([r.x for r in group]), c


def _apart(answer: Answer, group: list[Rows]) -> list[Answer]:
    """An answer about several groups of rows, cut into one for each."""
    if len(group) == 1:
        return [answer]
    sizes = [len(rows.x) for rows in group]
    logits = answer.logits.split(sizes)
    found = {name: f.split(sizes) for name, f in answer.features.items()}
    gradient = answer.slopes.split(sizes) if answer.slopes is not None else [None] * len(sizes)
    return [
        Answer(logits[i], {name: f[i] for name, f in found.items()}, gradient[i])
        for i in range(len(sizes))
    ]


def _join(answers: list[Answer], features: bool) -> Answer:
    """One side's answers, rows with slopes first."""
    first = answers[0]
    if len(answers) == 1:
        return first
    found = {k: torch.cat([a.features[k] for a in answers]) for k in first.features if features}
    return Answer(torch.cat([a.logits for a in answers]), found, first.slopes)
