"""Names of the literature: what is said to write instead is right, and is said."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from sparring.cli.parser import Parser
from sparring.cli.recipe import add_recipe, apply
from sparring.cli.show import list_command
from sparring.errors import RecipeError
from sparring.glossary import ELSEWHERE
from sparring.losses import Loss
from sparring.nets import Nets, Spec
from sparring.parts import Part, catalogue, key, parse
from sparring.presets import PRESETS, preset
from sparring.tricks import Trick

WAYS = sorted({way for ways in ELSEWHERE.values() for way in ways})


@pytest.mark.parametrize("way", WAYS)
def test_what_is_to_be_written_changes_a_recipe(way):
    """Its arguments are understood, and networks are built with what they name."""
    words = shlex.split(way)
    if words[0] == "--preset":
        assert words[1] in PRESETS
        return
    parser = Parser("train", "")
    add_recipe(parser)
    before = PRESETS["gan"]()
    after = apply(parser.read(words), before)
    assert after != before or way in ("--loss NonSaturating",)
    if after.nets != before.nets:
        nets = after.nets
        if hasattr(nets, "width"):
            nets = replace(nets, width=8)
        classes = ("a", "b") if nets.condition else ()
        inputs = (3, 8, 8) if "SuperResolver" in way else (3, 32, 32)
        spec = Spec(shape=(3, 32, 32), classes=classes, inputs=inputs if nets.translates else ())
        assert sum(p.numel() for p in nets.discriminator(spec).parameters())
        assert sum(p.numel() for p in nets.generator(spec).parameters())


def test_no_name_is_a_parts():
    """A part is found before another name for something else is."""
    assert not {key(n) for n in ELSEWHERE} & {key(c.__name__) for c in catalogue(Part)}
    assert len({key(n) for n in ELSEWHERE}) == len(ELSEWHERE)


SPECTRAL = "--nets \"DCGAN(d_spectral=True, d_norm='none')\", or --preset sngan"


@pytest.mark.parametrize(
    ("text", "kind", "fix"),
    [
        ("PacGAN", Trick, '--nets "DCGAN(pack=2)"'),
        ("spectral-norm", Trick, SPECTRAL),
        ("SpectralNorm(n=1)", Trick, SPECTRAL),
        ("bCR", Trick, "--tricks Consistency"),
        ("wgan", Loss, "--preset wgan"),
        ("BCE", Loss, "--loss NonSaturating, or --loss Minimax"),
        ("R3GAN", Nets, "--nets R3, or --preset r3"),
    ],
)
def test_a_name_that_is_elsewhere_says_what_to_write(text, kind, fix):
    with pytest.raises(RecipeError, match="no part is called") as caught:
        parse(text, kind)
    assert fix in str(caught.value)
    assert "did you mean" not in str(caught.value)


def test_a_preset_and_a_kind_that_are_elsewhere_say_it_too():
    with pytest.raises(RecipeError, match="Fix: write --nets FewShot, or --preset fewshot"):
        preset("FastGAN", None, "cpu")
    with pytest.raises(RecipeError, match="Fix: write --tricks Consistency"):
        list_command(["bCR"])


def test_a_part_of_another_kind_says_of_which():
    with pytest.raises(RecipeError, match="'R1' is not one of the losses: it is one of the tricks"):
        parse("R1", Loss)
