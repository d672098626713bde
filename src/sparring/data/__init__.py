"""Where real data come from: images decoded to uint8, or points with a known density."""

from sparring.data.archive import Zip
from sparring.data.arrays import Npz
from sparring.data.fashion import Fashion
from sparring.data.files import Files
from sparring.data.find import anchored, source
from sparring.data.folder import Folder
from sparring.data.inspect import inspect, table
from sparring.data.opened import opened
from sparring.data.pairs import Pairs, SideBySide, Unpaired, together
from sparring.data.points import Grid, Mixture1D, Moons, Ring, SwissRoll
from sparring.data.rows import Rows
from sparring.data.sets import CIFAR10, MNIST, CelebA, Digits, FashionMNIST
from sparring.data.shards import Shards
from sparring.data.source import Images, Points, Source
from sparring.data.split import divide, split, take, with_inputs
from sparring.data.stacked import StackedMnist
from sparring.data.whole import Whole, whole

__all__ = [
    "CIFAR10",
    "MNIST",
    "CelebA",
    "Digits",
    "Fashion",
    "FashionMNIST",
    "Files",
    "Folder",
    "Grid",
    "Images",
    "Mixture1D",
    "Moons",
    "Npz",
    "Pairs",
    "Points",
    "Ring",
    "Rows",
    "Shards",
    "SideBySide",
    "Source",
    "StackedMnist",
    "SwissRoll",
    "Unpaired",
    "Whole",
    "Zip",
    "anchored",
    "divide",
    "inspect",
    "opened",
    "source",
    "split",
    "table",
    "take",
    "together",
    "whole",
    "with_inputs",
]
