"""Conditions: what the data have of them, and whether networks and tricks go with it."""

from __future__ import annotations

import torch

from sparring.data import Images, Points
from sparring.errors import RecipeError
from sparring.nets import Spec
from sparring.parts import show
from sparring.randomness import generator
from sparring.recipe import Recipe, without

_ROWS = 1024  # of the training data's conditions, kept with the generator


def describe(train: Images | Points) -> Spec:
    """What the networks are for: the shape of the data, their classes, and how these are spread."""
    if not isinstance(train, Images) or train.labels is None:
        return Spec(train.shape)
    labels, names = train.labels.cpu(), train.classes
    if labels.dim() == 2:
        some = torch.randperm(len(labels), generator=generator("conditions"))[:_ROWS]
        rows = tuple(map(tuple, labels[some].tolist()))
        return Spec(train.shape, names, vectors=True, rows=rows)
    counts = labels.bincount(minlength=len(names)).double()
    return Spec(train.shape, names, shares=tuple((counts / counts.sum()).tolist()))


def check(recipe: Recipe, spec: Spec, data: str, unlabelled: str = "") -> None:
    """RecipeError, with the field to change, where the recipe's conditioning cannot work.

    unlabelled: why the folders of these images are no classes, where they would be.
    """
    condition, name = recipe.nets.condition, type(recipe.nets).__name__
    guessing = next((t for t in recipe.tricks if t.guesses), None)
    if recipe.balance_classes and not spec.shares:
        raise RecipeError(
            "balance_classes needs classes", where=data, why=unlabelled, fix="--no-balance-classes"
        )
    if condition is None:
        if guessing:
            raise RecipeError(
                f"{guessing!r} needs networks that guess the class",
                why=f"{name} ignores it",
                fix=without(recipe, guessing)
                if recipe.game.translates
                else f"--condition Auxiliary, or {without(recipe, guessing)}",
            )
        return
    if not spec.classes:
        none = "--condition none" + (f" {without(recipe, guessing)}" if guessing else "")
        raise RecipeError(
            f"{name}(condition={show(condition)}) needs labelled data",
            where=data,
            why="points have no classes"
            if spec.points
            else unlabelled or "these images have no classes",
            fix=f"{none}, or put the images of each class into a folder of its own",
        )
    if condition.guesses and not guessing:
        raise RecipeError(
            f"{show(condition)} alone teaches nobody the class",
            why="D guesses it, and only the trick AuxiliaryClassifier makes both answer for that",
            fix="add --tricks AuxiliaryClassifier, or --condition Projection",
        )
    if guessing and not condition.guesses:
        raise RecipeError(
            f"{guessing!r} needs a D that guesses the class",
            why=f"with {show(condition)} it is told",
            fix=f"--condition Auxiliary, or {without(recipe, guessing)}",
        )
    swaps, mixes = ([t for t in recipe.tricks if getattr(t, k)] for k in ("swaps", "mixes_pairs"))
    if swaps and mixes:
        raise RecipeError(
            f"{swaps[0]!r} and {mixes[0]!r} do not go together with classes",
            why="a real image and the old fake beside it may be of two classes",
            fix=f"{without(recipe, swaps[0])}, or replace {type(mixes[0]).__name__} by R1 and R2",
        )
