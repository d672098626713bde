"""Two gloo processes that share a batch are one process with all of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close
from toys import ToyNets, set_up, toy, weights

from sparring.data import Fashion, Ring
from sparring.losses import (
    LeastSquares,
    NonSaturating,
    RelativisticAverage,
    RelativisticPaired,
    Wasserstein,
)
from sparring.nets import MLP, Auxiliary, Concat, Projection
from sparring.optim import SGD
from sparring.recipe import Recipe
from sparring.tricks import (
    DRAGAN,
    R1,
    R2,
    AuxiliaryClassifier,
    Consistency,
    GradientPenalty,
    HistoricalAveraging,
    InstanceNoise,
    LatentConsistency,
    LeCam,
    ModeSeeking,
    PathLength,
    Replay,
    Unrolled,
)

SHIFT = ToyNets(shift=True, quadratic=True)
STEPS = 5

# Objectives that are means over samples (and no term that is no mean): exactly one process's.
MEANS: dict[str, Recipe] = {
    "labels": toy(nets=SHIFT, batch=8, loss=NonSaturating(real=(0.8, 1.0))),
    "pairs": toy(nets=SHIFT, batch=8, loss=RelativisticPaired(), share_fakes=True, d_steps=2),
    "penalties": toy(
        nets=SHIFT,
        batch=8,
        loss=LeastSquares(),
        tricks=(R1(gamma=0.1), R2(gamma=0.1, every=2), GradientPenalty(weight=0.1)),
        updates="simultaneous",
    ),
    "noise, averages": toy(
        batch=8, loss=Wasserstein(), tricks=(InstanceNoise(sigma=0.1), HistoricalAveraging())
    ),
    "logits, consistency": toy(
        nets=SHIFT,
        batch=8,
        loss=LeastSquares(),
        d_optim=SGD(lr=0.01),
        tricks=(
            LeCam(),
            DRAGAN(weight=0.1),
            Consistency(real=0.1, fake=0.1, augment=InstanceNoise(sigma=0.1)),
            LatentConsistency(d=0.1),
            PathLength(share=1.0),
        ),
    ),
}
CLASSES = {"data": Fashion(), "held_out": 0, "batch": 8, "loss": LeastSquares()}
RATES = {"g_optim": SGD(lr=0.01), "d_optim": SGD(lr=0.01)}
PLAIN = MLP(g_widths=(8,), d_widths=(8,), latent=4, dropout=0.0)
MEANS |= {
    "classes": toy(
        nets=replace(PLAIN, condition=Projection(width=3)),
        balance_classes=True,
        tricks=(R1(gamma=0.1),),
        **CLASSES,
        **RATES,
    ),
    "guessed classes": toy(
        nets=replace(PLAIN, condition=Auxiliary(width=3)),
        tricks=(AuxiliaryClassifier(),),
        **CLASSES,
        **RATES,
    ),
}
# The others: the same weights on all ranks, no more.
OTHERS: dict[str, Recipe] = {
    "replay with classes": toy(
        nets=replace(PLAIN, condition=Concat(width=3)),
        tricks=(Replay(size=16), R1(gamma=0.1, share=0.5)),
        **CLASSES,
        **RATES,
    ),
    "dropout, BatchNorm": toy(
        nets=MLP(g_widths=(8,), d_widths=(8,), batchnorm=True, dropout=0.3), batch=8, data=Ring()
    ),
    "pairs of noise, unrolled, the average fake": toy(
        nets=ToyNets(scale=True, quadratic=True),
        batch=8,
        loss=RelativisticAverage(),
        tricks=(ModeSeeking(weight=0.01), PathLength(), Unrolled(steps=2)),
    ),
    "packs": toy(nets=MLP(g_widths=(8,), d_widths=(8,), pack=2, kernels=2), batch=8, data=Ring()),
    "replay, a share": toy(nets=SHIFT, batch=8, tricks=(Replay(size=16), R1(gamma=0.1, share=0.5))),
}

RANK = """
import sys, warnings
sys.path[:0] = {paths!r}
import torch, torch.distributed as dist
from safetensors.torch import save_file
import test_processes as t
from toys import weights
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data

device = Device("cpu", "fp32", processes=2)
device.fabric.launch()
assert (device.world, dist.get_backend()) == (2, "gloo")
for n, recipe in enumerate((t.MEANS | t.OTHERS).values()):
    recipe, material = open_data(recipe)
    setup = Setup(recipe, material, device)
    for number in range(t.STEPS):
        setup.advance(number)
    save_file(weights(setup), f"{out}/{{n}}.{{device.rank}}")
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> dict[str, list[dict[str, torch.Tensor]]]:
    """The weights that both ranks end with, for each recipe."""
    out, here = tmp_path_factory.mktemp("ranks"), Path(__file__).parent
    code = RANK.format(paths=[str(here), str(here.parent)], out=out)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    both = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | both | {"RANK": str(r), "LOCAL_RANK": str(r), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    errors = [p.communicate(timeout=120)[1] for p in processes]
    assert [p.returncode for p in processes] == [0, 0], errors
    names = [*MEANS, *OTHERS]
    return {name: [load_file(out / f"{n}.{r}") for r in (0, 1)] for n, name in enumerate(names)}


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_objective_is_that_of_one_process(name, ranks):
    setup = set_up(MEANS[name])
    before = weights(setup)
    for number in range(STEPS):
        setup.advance(number)
    one = weights(setup)
    for rank in ranks[name]:
        assert_close(rank, one)
    assert all(not torch.equal(one[k], before[k]) for k in one)


@pytest.mark.parametrize("name", [*MEANS, *OTHERS])
def test_all_ranks_have_the_same_weights(name, ranks):
    first, second = ranks[name]
    for key, t in first.items():
        if "running" not in key:  # each rank's BatchNorm sees its own rows
            assert torch.equal(t, second[key]), key
