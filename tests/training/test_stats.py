"""Statistics: means since the last read, one line per tick."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.errors import RecipeError
from sparring.training.device import Device
from sparring.training.stats import Stats
from sparring.training.terminal import clock


def test_means_since_the_last_read():
    stats = Stats()
    assert stats.read() == {}
    for a, b in ((1.0, 10.0), (3.0, 20.0)):
        stats.add({"a": torch.tensor(a), "b": torch.tensor(b, dtype=torch.float64)})
    assert stats.read() == {"a": 2.0, "b": 15.0}
    stats.add({"a": torch.tensor(7.0)})
    assert stats.read() == {"a": 7.0}
    assert stats.read() == {}


def test_a_name_is_averaged_over_the_steps_it_was_in():
    stats = Stats()
    stats.add({"a": torch.tensor(1.0), "now and then": torch.tensor(4.0)})
    stats.add({"a": torch.tensor(2.0)})
    stats.add({"a": torch.tensor(6.0), "now and then": torch.tensor(6.0)})
    assert stats.read() == {"a": 3.0, "now and then": 5.0}


def test_reading_does_not_change_what_was_given():
    stats, x = Stats(), torch.tensor(1.0)
    stats.add({"x": x})
    stats.add({"x": x})
    assert x == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_step_shows_in_the_mean(bad):
    stats = Stats()
    for x in (1.0, bad, 1.0):
        stats.add({"x": torch.tensor(x)})
    assert not math.isfinite(stats.read()["x"])


def test_the_clock():
    assert [clock(s) for s in (0, 65, 3700, 59.6)] == ["0:00", "1:05", "1:01:40", "1:00"]


def test_devices():
    device = Device("cpu")
    assert (device.kind, device.rank, device.world) == ("cpu", 0, 1)
    with pytest.raises(RecipeError, match="no device is called 'tpu'"):
        Device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(RecipeError, match="CUDA"):
            Device("cuda")


def test_autocast_is_bf16_and_only_where_asked():
    x = torch.ones(2, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Device("cpu", precision).autocast():
            assert (x @ x).dtype == dtype
