"""Parts and their text: the same value both ways; one clear line for every text that is none."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.data import Folder
from sparring.errors import RecipeError
from sparring.games import Game
from sparring.losses import Hinge, LeastSquares, Loss, NonSaturating
from sparring.metrics import Metric
from sparring.nets import DCGAN, MLP, Nets
from sparring.optim import Adam
from sparring.parts import (
    Part,
    catalogue,
    fit,
    kinds,
    map_parts,
    nearest,
    parse,
    require,
    show,
    summary,
    walk,
)
from sparring.recipe import Recipe, differences, fill_schedules, read_recipe
from sparring.schedules import Cosine, Exponential, Linear
from sparring.tricks import R1, R2, InstanceNoise, Replay, Trick, WeightClipping

for _kind in ("data", "games", "metrics", "nets", "tricks"):
    _package = importlib.import_module(f"sparring.{_kind}")
    for _module in pkgutil.walk_packages(_package.__path__, f"sparring.{_kind}."):
        importlib.import_module(_module.name)


class Toys(Part, kind="toys", abstract=True):
    """A kind of its own, so that nothing here is counted among the real parts."""


class ToyLeaf(Toys):
    """A toy with a field of every type a part may have."""

    number: float = 1.0
    whole: int = 2
    flag: bool = False
    word: str = "a"
    choice: Literal["left", "right"] = "left"
    pair: tuple[float, float] = (0.0, 1.0)
    many: tuple[int, ...] = ()
    maybe: int | None = None


class ToyTree(Toys):
    """A toy that holds others."""

    left: Toys = ToyLeaf()
    more: tuple[Toys, ...] = ()
    either: float | Toys = 0.5


floats = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.builds(
    ToyLeaf,
    number=floats,
    whole=st.integers(),
    flag=st.booleans(),
    word=st.text(),
    choice=st.sampled_from(["left", "right"]),
    pair=st.tuples(floats, floats),
    many=st.lists(st.integers(), max_size=4).map(tuple),
    maybe=st.none() | st.integers(),
)
trees = st.recursive(
    leaves,
    lambda inner: st.builds(
        ToyTree,
        left=inner,
        more=st.lists(inner, max_size=3).map(tuple),
        either=floats | inner,
    ),
    max_leaves=6,
)

real = [cls for cls in catalogue(Part) if cls.__module__.startswith("sparring.")]


# ------------------------------------------------------------------------------------- round trip


@given(trees)
def test_any_nesting_reads_back(tree):
    assert parse(show(tree), Toys) == tree
    assert parse(show(tree, full=True), Toys) == tree
    assert repr(tree) == show(tree)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text):
    message = ""
    try:
        assert isinstance(parse(text, Toys), Toys)
    except RecipeError as e:
        message = str(e)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("r1", R1()),
        ("R1", R1()),
        (" R1() ", R1()),
        ("non-saturating", NonSaturating()),
        ("non_saturating", NonSaturating()),
        ("NONSATURATING", NonSaturating()),
        ("r1(gamma=2)", R1(gamma=2.0)),
        ("R1(gamma=2e0, every=16)", R1(gamma=2.0, every=16)),
        ("R1(every=16.0)", R1(every=16)),
        ("R1(gamma=Linear)", R1(gamma=Linear())),
        ("R1(gamma=linear(start=10, end=1e-2))", R1(gamma=Linear(start=10.0, end=0.01))),
        ("least-squares(fake=-1)", LeastSquares(fake=-1.0)),
        ("MLP(g_widths=[8, 16])", MLP(g_widths=(8, 16))),
        ("MLP(g_widths=(8,))", MLP(g_widths=(8,))),
        ("NonSaturating(real=(0.9, 1))", NonSaturating(real=(0.9, 1.0))),
    ],
)
def test_text_to_value(text, value):
    assert parse(text, Part) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (R1(), "R1()"),
        (R1(gamma=2), "R1(gamma=2.0)"),
        (R1(every=16, gamma=1), "R1(every=16)"),
        (MLP(g_widths=(8,)), "MLP(g_widths=(8,))"),
        (Adam(schedule=Cosine()), "Adam(schedule=Cosine())"),
        ((R1(), R2()), "(R1(), R2())"),
        ((), "()"),
        (None, "None"),
        ((48, 36), "(48, 36)"),
    ],
)
def test_value_to_text(value, text):
    assert show(value) == text


def test_the_full_text_says_every_field():
    assert show(R1(gamma=2), full=True) == "R1(every=1, gamma=2.0, share=1.0, side=0)"
    assert show(Adam(schedule=Cosine()), full=True) == (
        "Adam(lr=0.0002, schedule=Cosine(start=1.0, end=0.1, images=None), betas=(0.5, 0.999), "
        "eps=1e-08)"
    )


# ---------------------------------------------------------------------------------------- bad text

BAD = [
    "",
    " ",
    "(",
    "R1(",
    "R1)",
    "R1(gamma)",
    "R1(1)",
    "R1(gamma=)",
    "R1(gamma=1 2)",
    "R1(**{'gamma': 1})",
    "R1(*(1,))",
    "R1(gamma=1, gamma=2)",
    "R1(gamma=True)",
    "R1(gamma='1')",
    "R1(gamma=None)",
    "R1(gamma=1j)",
    "R1(gamma=b'1')",
    "R1(gamma=...)",
    "R1(gamma=1+1)",
    "R1(gamma=-Linear)",
    "R1(gamma=not 1)",
    "R1(gamma=[1 for _ in (1,)])",
    "R1(gamma={1})",
    "R1(gamma={})",
    "R1(gamma=f'{1}')",
    "R1(gamma=(lambda: 1)())",
    "R1(gamma=R1.paper)",
    "R1(gamma=Hinge)",
    "R1(gamma=1 if 1 else 2)",
    "R1(gamma=x:=1)",
    "R1(gamma=1e999)",
    "R1(gamma=1" + "0" * 400 + ")",
    "R1(gamma=1" + "0" * 5000 + ")",
    "R1(gamma=-1)",
    "R1(every=1.5)",
    "R1(every=0)",
    "R1(share=0)",
    "R1(gammma=1)",
    "R1; R2",
    "R1()\nR2()",
    "(R1(), R2())",
    "R3(",
    "R1().gamma",
    "R1()()",
    "tricks.R1()",
    "1",
    "'R1'",
    "None",
    "Trick",
    "Part",
    "R1(gamma=\0)",
    "(" * 300 + ")" * 300,
    "R1(gamma=" + "-" * 20_000 + "1)",
    "NonSaturating(real=(0.9,))",
    "NonSaturating(real=(1.0, 0.9))",
    "MLP(g_widths=8)",
    "MLP(g_widths=(8, 'x'))",
    "MLP(g_activation='sine')",
    "MLP(batchnorm=1)",
    "Adam(betas=(0.5,))",
    "__import__('os')",
    "print",
    "open('x')",
]


@pytest.mark.parametrize("text", BAD, ids=lambda t: repr(t[:30]))
def test_bad_text_is_refused_in_one_line(text):
    with pytest.raises(RecipeError) as caught:
        parse(text, Part)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) < 1000
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        "open('{canary}', 'w')",
        "R1(gamma=open('{canary}', 'w'))",
        "R1(gamma=__import__('pathlib').Path('{canary}').touch())",
        "[open('{canary}', 'w') for _ in (1,)]",
        "(lambda: open('{canary}', 'w'))()",
        "f\"{{open('{canary}', 'w')}}\"",
        "R1(gamma=1) if open('{canary}', 'w') else R2()",
    ],
)
def test_nothing_is_evaluated(text, tmp_path):
    canary = tmp_path / "canary"
    with pytest.raises(RecipeError):
        parse(text.format(canary=canary), Part)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("text", "kind", "hint"),
    [
        ("Hing", Loss, "did you mean 'Hinge'"),
        ("nonsaturatin", Loss, "did you mean 'NonSaturating'"),
        ("instance-nois", Trick, "did you mean 'InstanceNoise'"),
        ("R1(gama=1)", Trick, "did you mean 'gamma'"),
        ("instance-nois(x=1)", Trick, "'instance-nois' is not one of the tricks"),
        ("instance-noise(sigma=0.1)", Loss, "'instance-noise(sigma=0.1)' is not one of the losses"),
        ("class-coverage", Metric, "'class-coverage' is not one of the metrics: DomainFid yields"),
        ("ClassTV(n=3)", Metric, "'ClassTV' is not one of the metrics: DomainFid yields it."),
        ("class-coverage", Metric, "Fix: write DomainFid"),
        ("recall", Metric, "PRDC and PrecisionRecall yield it. Fix: write PRDC"),
        ("kid-of-inputs", Metric, "'kid-of-inputs' is not one of the metrics: OfInputs yields it."),
        ("kid-of-inputs", Metric, 'Fix: write "OfInputs(metric=KID())"'),
        ("FID_of_inputs(n=9)", Metric, 'Fix: write "OfInputs(metric=FID())"'),
        ("lpips-of-inputs", Metric, 'Fix: write "OfInputs(metric=PairedLPIPS())"'),
        ("recall-of-inputs", Metric, 'Fix: write "OfInputs(metric=PRDC())"'),
        ("of-inputs-of-inputs", Metric, "Fix: sparring list metrics"),
        ("kid-of-inputs-of-inputs", Metric, "Fix: sparring list metrics"),
        ("hinge-of-inputs", Metric, "Fix: sparring list metrics"),
        ("OfInputs(metric=class_tv)", Metric, "'class_tv' is not one of the metrics: DomainFid"),
        ("R1(gama=1)", Trick, "Its fields are every, gamma, share"),
        ("Hinge(margin=2)", Loss, "no field 'margin': it has no fields"),
        ("Hinge", Trick, "'Hinge' is not one of the tricks"),
        ("Hinge", Trick, "use one of"),
        ("R1(2)", Trick, "write R1(field=value)"),
        ("R1(gamma='x')", Trick, "expected a number or one of the schedules, got 'x'"),
        ("R1(gamma=-1)", Trick, "gamma must not be negative"),
        ("MLP(g_widths=16)", Nets, "expected a list of whole numbers or none, got 16"),
        ("MLP(g_widths=16)", Nets, "Fix: write (16,)"),
        ("UNet(up=resize)", Nets, "text is quoted. Fix: write 'resize'"),
        ("UNet(up=banana)", Nets, "UNet(up): expected one of transposed, resize, got 'banana'"),
        ("DCGAN(width=banana)", Nets, "DCGAN(width): expected a whole number, got 'banana'"),
        ("DCGAN(width=none)", Nets, "DCGAN(width): expected a whole number, got None"),
        ("DCGAN(widht=banana)", Nets, "DCGAN has no field 'widht', did you mean 'width'?"),
        ("MLP(g_widths=(8, many))", Nets, "expected a whole number, got 'many'"),
        ("R1(gamma=banana)", Trick, "got 'banana'. Fix: sparring list schedules"),
        ("R1(gamma=Cosin)", Trick, "did you mean 'Cosine'? Fix: sparring list schedules"),
        ("CycleGAN(identity=none)", Game, "Fix: write None"),
        ("MLP(batchnorm=true)", Nets, "Fix: write True"),
        ("R1(gamma=nan)", Trick, "every number here is a finite one"),
        ("Pix2Pix(inputs=Grayscale)", Game, "did you mean 'Greyscale'"),
        ("R1(gamma=1, gamma=2)", Trick, "gamma"),
    ],
)
def test_the_message_helps(text, kind, hint):
    with pytest.raises(RecipeError) as caught:
        parse(text, kind)
    assert hint in str(caught.value)


def test_what_a_metric_is_said_to_yield_it_calls_its_scores():
    for part in catalogue(Metric):
        source = Path(inspect.getfile(part)).read_text()
        for name in part.yields:
            assert f'"{name}"' in source.replace(f'"{name}"', "", 1), (part, name)


def test_nearest_says_nothing_for_a_stranger():
    assert nearest("qqqqqq", ["Hinge", "R1"]) == ""
    assert nearest("hinge_", ["Hinge", "R1"]) == ", did you mean 'Hinge'?"


# ------------------------------------------------------------------------------------- the values


def test_a_part_is_frozen_and_equal_by_value():
    with pytest.raises(AttributeError):
        R1().gamma = 2.0  # pyright: ignore
    assert R1(gamma=1) == R1(gamma=1.0)
    assert hash(R1(gamma=1)) == hash(R1())
    assert R1() != R2()
    with pytest.raises(TypeError):
        R1(2.0)  # pyright: ignore


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 10**400, True, "1", None, (1,)])
def test_a_number_is_a_finite_number(bad):
    with pytest.raises(RecipeError, match="R1"):
        R1(gamma=bad)


@pytest.mark.parametrize(
    ("field", "value", "fix"),
    [
        ("loss", Hinge, "write Hinge()"),
        ("loss", "Hinge", "write Hinge()"),
        ("nets", "DCGAN(width=8)", "write DCGAN(width=8)"),
        ("tricks", R1(gamma=2), "write (R1(gamma=2.0),)"),
        ("tricks", R1, "write (R1(),)"),
        ("metrics", "FID", "write (FID(),)"),
        ("loss", R1(), "sparring list losses"),
        ("loss", R1, "sparring list losses"),
        ("g_optim", 3e-4, "sparring list optimisers"),
        ("size", 64, ""),
        ("batch", "x", ""),
    ],
)
def test_what_is_no_value_of_a_field_is_said_how_to_write(field, value, fix):
    with pytest.raises(RecipeError, match=rf"^bad value in Recipe\({field}\)") as caught:
        Recipe(**{field: value})
    assert caught.value.fix == fix
    if fix.startswith("write "):
        read_recipe(f"Recipe({field}={fix.removeprefix('write ')})")


def test_fit_follows_the_annotation():
    assert fit(3, float, "x") == 3.0
    assert isinstance(fit(3, float, "x"), float)
    assert fit(3.0, int, "x") == 3
    assert isinstance(fit(3.0, int, "x"), int)
    assert fit([1, 2], tuple[int, ...], "x") == (1, 2)
    assert fit([1, 2], tuple[float, float], "x") == (1.0, 2.0)
    assert fit(None, int | None, "x") is None
    for value, hint in [
        (3.5, int),
        (True, int),
        (1, bool),
        ((1, 2, 3), tuple[int, int]),
        ("up", Literal["left"]),
        (None, int),
        (R1, Trick),
        (Hinge(), Trick),
    ]:
        with pytest.raises(RecipeError, match="bad value in x"):
            fit(value, hint, "x")


def test_two_parts_of_one_name_are_an_error():
    with pytest.raises(RecipeError, match="two parts are called r_1"):
        type("r_1", (Trick,), {"__doc__": "Another.", "__module__": __name__})
    assert parse("R1", Trick) == R1()


def test_the_check_of_a_part_is_said_in_one_line():
    class ToyPicky(Toys):
        """Wants a small number."""

        number: int = 0

        def check(self) -> None:
            require(self.number < 3, "number must be below 3")

    assert ToyPicky(number=2).number == 2
    with pytest.raises(RecipeError, match=r"bad value in ToyPicky\(number=5\): number must be"):
        ToyPicky(number=5)


def test_walk_goes_outermost_first():
    tree = ToyTree(left=ToyLeaf(word="b"), more=(ToyTree(), ToyLeaf(word="c")))
    words = [p.word if isinstance(p, ToyLeaf) else "tree" for p in walk(tree)]
    assert words == ["tree", "b", "tree", "a", "c"]
    assert list(walk((1, "x", None))) == []
    recipe = Recipe(tricks=(R1(gamma=Cosine()),))
    assert [type(p) for p in walk(recipe) if isinstance(p, (Trick, Cosine))] == [R1, Cosine]


def test_map_parts_goes_innermost_first():
    seen = []

    def change(part):
        seen.append(show(part))
        return replace(part, word=part.word + "!") if isinstance(part, ToyLeaf) else part

    old = ToyTree(more=(ToyLeaf(word="c"),), either=ToyLeaf(word="d"))
    new = map_parts(old, change)
    assert new == ToyTree(
        left=ToyLeaf(word="a!"), more=(ToyLeaf(word="c!"),), either=ToyLeaf(word="d!")
    )
    assert seen[-1].startswith("ToyTree(left=ToyLeaf(word='a!')")
    assert map_parts(3, change) == 3
    assert old == ToyTree(more=(ToyLeaf(word="c"),), either=ToyLeaf(word="d"))


# -------------------------------------------------------------------------------------- the recipe


def test_a_recipe_reads_back():
    recipe = Recipe(
        size=(48, 36),
        nets=DCGAN(width=8),
        tricks=(R1(gamma=Exponential(start=1, end=0.1)), Replay(), WeightClipping(limit=0.5)),
        g_optim=Adam(lr=1e-3, schedule=Cosine()),
        metrics=(),
        updates="simultaneous",
    )
    text = str(recipe)
    assert read_recipe("# a comment\n" + text) == recipe
    assert all(f"    {name}=" in text for name in ("images", "seed", "ema", "keep", "precision"))
    assert differences(recipe, replace(recipe, batch=8, loss=Hinge())) == [
        ("loss", "NonSaturating()", "Hinge()"),
        ("batch", "64", "8"),
    ]
    assert differences(recipe, recipe) == []


@pytest.mark.parametrize("text", ["", "R1()", "Recipe(", "Recipe(batch=0)", "Recipe(bach=8)", "3"])
def test_a_text_that_is_no_recipe(text):
    with pytest.raises(RecipeError):
        read_recipe(text)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("images", 0),
        ("images", -1),
        ("images", 1.5),
        ("batch", 0),
        ("d_steps", 0),
        ("keep", 0),
        ("seed", -1),
        ("ema", -1),
        ("ema_ramp", -0.1),
        ("held_out", -1),
        ("evaluate_every", -1),
        ("jitter", -0.1),
        ("jitter", 30.0),
        ("sample_every", 0),
        ("checkpoint_every", 0),
        ("size", (0, 8)),
        ("size", (8,)),
        ("updates", "both"),
        ("precision", "fp16"),
        ("loss", R1()),
        ("tricks", (Hinge(),)),
        ("tricks", (R1(), R1())),
    ],
)
def test_a_bad_number_of_a_recipe(field, bad):
    with pytest.raises(RecipeError) as caught:
        Recipe(**{field: bad})
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_trick_may_come_twice_with_other_numbers():
    assert len(Recipe(tricks=(R1(), R1(gamma=2))).tricks) == 2


def test_the_budget_is_counted_in_images_and_the_last_step_is_whole():
    assert Recipe(batch=64, d_steps=5).images_per_step == 320
    assert Recipe(batch=64, images=128).steps == 2
    assert Recipe(batch=64, images=129).steps == 3
    assert Recipe(batch=64, images=1).steps == 1


def test_a_schedule_without_length_takes_the_budget():
    recipe = Recipe(
        images=500,
        tricks=(R1(gamma=Linear(images=7)), InstanceNoise(sigma=Linear())),
        g_optim=Adam(schedule=Cosine()),
    )
    filled = fill_schedules(recipe)
    assert filled.tricks == (
        R1(gamma=Linear(images=7)),
        InstanceNoise(sigma=Linear(images=500)),
    )
    assert filled.g_optim == Adam(schedule=Cosine(images=500))
    assert filled.d_optim == Adam()


# ------------------------------------------------------------------------------------- catalogue


@pytest.mark.parametrize("cls", real, ids=lambda c: c.__name__)
def test_every_part_is_made_shown_and_read_back(cls):
    part = cls()
    assert parse(cls.__name__, cls) == part
    assert parse(show(part), cls) == part
    assert parse(show(part, full=True), cls) == part
    assert cls in catalogue(kinds()[cls.kind])


@pytest.mark.parametrize("cls", real, ids=lambda c: c.__name__)
def test_every_part_says_in_one_sentence_what_it_is(cls):
    assert cls.__doc__
    first = summary(cls)
    assert first[0].isupper() or first.startswith("pix2pix")
    assert 15 <= len(first) <= 130
    assert not first.startswith(f"{cls.__name__}(")  # what dataclass writes where there is none


@pytest.mark.parametrize(
    "cls",
    [c for c in real if c.kind in ("losses", "tricks", "nets", "optimisers", "games")],
    ids=lambda c: c.__name__,
)
def test_every_method_names_its_paper(cls):
    assert "paper" in vars(cls)
    assert re.search(r"\b(19|20)\d\d\b", cls.paper)


def test_the_catalogue_is_by_kind_and_name():
    assert {"data", "nets", "games", "losses", "tricks", "optimisers", "schedules", "metrics"} <= (
        set(kinds())
    )
    names = [c.__name__ for c in catalogue(Loss) if c in real]
    assert names == [
        "Hinge",
        "LeastSquares",
        "Minimax",
        "NonSaturating",
        "RelativisticAverage",
        "RelativisticPaired",
        "Wasserstein",
    ]
    assert set(catalogue(Loss)) <= set(catalogue(Part))


def test_no_annotation_is_a_mere_string_of_code():
    """A choice is a part, a number or one of a few words; never free text that selects code."""
    free = [
        f"{cls.__name__}.{name}"
        for cls in real
        for name, hint in cls.__annotations__.items()
        if hint == "str"
    ]
    assert set(free) <= {
        *("Folder.path", "Npz.path", "Zip.path", "CLIP.path", "DINOv2.path"),
        "FeatureMatching.layer",
    }


def test_the_source_has_as_many_parts_as_the_catalogue():
    """A part in a module that nothing imports would be missing from every list."""
    code = "import sparring.presets; from sparring.parts import *; print(len(catalogue(Part)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(real)


def test_numpy_numbers_and_paths_are_taken():
    assert Replay(size=np.int64(7)).size == 7
    assert type(Replay(size=np.int64(7)).size) is int
    assert Folder(path=Path("photos")).path == "photos"
