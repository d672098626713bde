"""What a trained run can make: samples, morphs."""

from sparring.sample.draw import Model, load, to_uint8
from sparring.sample.examples import Examples, examples
from sparring.sample.morph import save_morph
from sparring.sample.picture import grid, in_rows, picture, png, save_samples
from sparring.sample.translate import translate_files, translations

__all__ = [
    "Examples",
    "Model",
    "examples",
    "grid",
    "in_rows",
    "load",
    "picture",
    "png",
    "save_morph",
    "save_samples",
    "to_uint8",
    "translate_files",
    "translations",
]
