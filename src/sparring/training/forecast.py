"""What a run will need, said before it starts: time, memory, disk; and refused where it cannot be.

Time is measured on real steps. Memory is computed: the bytes of all tensors alive are counted
through steps of two small batches. A step of any batch makes the same tensors in the same order, so
each of its moments is drawn on in a straight line to the batch at hand; the greatest is the peak.
(What grows with the square of the batch, such as minibatch discrimination, is underestimated.)
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from shutil import disk_usage
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from sparring.errors import DiskError, RecipeError
from sparring.recipe import Recipe, fill_schedules
from sparring.training.device import Device, Precision
from sparring.training.setup import Material, Setup
from sparring.training.terminal import clock

# What the process takes beyond the tensors that torch knows of: work space of kernels, copies in
# another layout, memory that the allocator holds back. Measured: 1.2 to 1.65 (benchmarks/forecast).
_BEYOND = 1.7
_SECONDS = 1.0
_ROUNDS = 3  # timings for a budget: what else the machine does at one moment makes it no slower


class Alive(TorchDispatchMode):
    """Counts the bytes of the tensors made inside that are alive: now, and at each new one."""

    def __init__(self) -> None:
        super().__init__()
        self.known: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.now, self.course = 0, [0]

    @property
    def peak(self) -> int:
        return max(self.course)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for t in tree_leaves(made):
            if isinstance(t, Tensor) and t.untyped_storage() not in self.known:
                storage = t.untyped_storage()
                self.known[storage] = size = storage.nbytes()
                self.now += size
                self.course.append(self.now)
                weakref.finalize(storage, self._gone, size)
        return made

    def _gone(self, size: int) -> None:
        self.now -= size


@dataclass(frozen=True)
class Needs:
    """What a recipe needs, in bytes.

    course: (2, moments), what each moment of a step takes in any case, and for each image of a
    batch. checkpoint: the tensors of one checkpoint.
    """

    course: NDArray[np.float64]
    checkpoint: int

    def memory(self, batch: int) -> int:
        """At the peak of a step."""
        return round(_BEYOND * float((self.course.T @ [1, batch]).max()))

    def disk(self, recipe: Recipe) -> int:
        """Of all checkpoints that are there at one time: one more than are kept."""
        return self.checkpoint * (recipe.keep + 1)


def needs(recipe: Recipe, material: Material, device: Device) -> Needs:
    """Counts small steps of the recipe, on networks thrown away afterwards.

    RecipeError where the recipe cannot be set up.
    """
    least = min(8 * device.world, recipe.batch)
    most = min(recipe.batch, 512)
    # What looks at groups of samples wants whole ones: divisors of the batch have them.
    divisors = [n for n in range(least, most + 1) if recipe.batch % n == 0] or [least]
    for small in divisors:
        try:
            one, checkpoint = _course(recipe, material, device, small)
        except RecipeError:
            if small == divisors[-1]:
                raise
            continue
        try:
            three, _ = _course(recipe, material, device, 3 * small)
        except RecipeError:  # such as of a pool of fakes that holds one batch and not three
            if small != divisors[-1]:
                continue
            three = [3 * alive for alive in one]  # no less than it would be
        return Needs(_lines([one, three], small), checkpoint)
    raise AssertionError


def _course(
    recipe: Recipe, material: Material, device: Device, batch: int
) -> tuple[list[int], int]:
    """The bytes alive at each moment of two steps of this batch, and those of a checkpoint."""
    with torch.random.fork_rng(devices=[]), Alive() as alive:
        setup = Setup(replace(recipe, batch=batch), material, device)
        # On step 0 every trick is due; the second time the optimisers have their moments.
        for _ in range(2):
            setup.advance(0)
    files = setup.everything.tensors().values()
    return alive.course, sum(t.numel() * t.element_size() for f in files for t in f.values())


def _lines(courses: list[list[int]], small: int) -> NDArray[np.float64]:
    """What each moment takes in any case and for each image, from its bytes at 1 and 3 `small`."""
    if len({len(c) for c in courses}) > 1:  # no moments to compare, such as with too few images
        courses = [[max(c)] for c in courses]
    one, three = np.array(courses, float)
    each = (three - one) / (2 * small)
    return np.stack([one - small * each, each])


def room(device: Device) -> int:
    """Bytes of memory that are free for this process."""
    if device.kind == "cuda":
        return torch.cuda.mem_get_info()[0]
    rows = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(r.split()[1]) * 1024 for r in rows if r.startswith("MemAvailable"))
    group = Path("/sys/fs/cgroup")
    try:  # a container's own limit
        most, used = ((group / f).read_text() for f in ("memory.max", "memory.current"))
        return min(free, int(most) - int(used))
    except (OSError, ValueError):
        return free


def check_memory(recipe: Recipe, need: Needs, free: int) -> None:
    """RecipeError, with the largest batch that fits, where a step would need more than `free`."""
    if need.memory(recipe.batch) > free:
        why = f"a step needs {size(need.memory(recipe.batch))}, {size(free)} are free"
        raise _too_large(recipe, why, _largest(recipe.batch, lambda b: need.memory(b) <= free))


def check_disk(recipe: Recipe, need: Needs, where: Path, free: int | None = None) -> int:
    """The bytes free on the disk of the folder `where`, made or not.

    DiskError where it cannot hold the checkpoints.
    """
    folder = where.expanduser().resolve()
    while not folder.exists():
        folder = folder.parent
    free = disk_usage(folder).free if free is None else free
    if need.disk(recipe) > free:
        raise DiskError(
            "the checkpoints do not fit on the disk",
            where=folder,
            why=f"{recipe.keep + 1} of {size(need.checkpoint)} are there at a time, "
            f"{size(free)} are free",
            fix="free some space, keep fewer (--keep 1) or write elsewhere (--out)",
        )
    return free


def _too_large(recipe: Recipe, why: str, largest: int) -> RecipeError:
    fix = f"--batch {largest}" if largest >= 2 else "a smaller --size or smaller networks (--nets)"
    return RecipeError(f"a batch of {recipe.batch} does not fit in memory", why=why, fix=fix)


def _largest(batch: int, fits: Callable[[int], bool], steps: int = 64) -> int:
    """The largest batch below this one that fits, found in so many steps; 0 for none."""
    good, bad = 0, batch
    while bad - good > 1 and bad > 2 and steps:
        middle = max(2, (good + bad) // 2)
        good, bad = (middle, bad) if fits(middle) else (good, middle)
        steps -= 1
    return good


# ------------------------------------------------------------------------------------------- time


def measure(
    recipe: Recipe,
    material: Material,
    device: Device,
    precision: Precision,
    seconds: float = _SECONDS,
) -> float:
    """Images per second of this recipe in a precision, on networks thrown away afterwards.

    Takes no longer than a twentieth of the budget, a few steps to get warm apart.
    """
    before, device.precision = device.precision, precision
    try:
        with torch.random.fork_rng(devices=[]):
            setup = Setup(replace(recipe, precision=precision), material, device)
            number, warm, start = 0, min(3, recipe.steps), 0.0
            while True:
                if number == warm:
                    _wait(device)
                    start = time.perf_counter()
                setup.advance(number)
                number += 1
                if number > warm:
                    _wait(device)
                    spent = time.perf_counter() - start
                    if spent >= seconds or number - warm >= max(1, recipe.steps // 20):
                        return (number - warm) * recipe.images_per_step / spent
    finally:
        device.precision = before


def _wait(device: Device) -> None:
    if device.kind == "cuda":
        torch.cuda.synchronize()


def timed(
    recipe: Recipe, material: Material, device: Device, exact: bool = False
) -> tuple[Recipe, float, str]:
    """The recipe with its precision decided, images per second, and a line on what was chosen.

    exact: a budget hangs on the speed, so it is timed several times, whatever the length of the
    run, and the fastest counts: a busy moment would make the whole run short.
    RecipeError, with the largest batch that fits, where a GPU runs out of memory.
    """
    auto = recipe.precision == "auto"
    options = cast(tuple[Precision, ...], ("fp32", "bf16") if auto else (recipe.precision,))
    probe = replace(recipe, images=10**12) if exact else recipe

    def speed(batch: int, precision: Precision, seconds: float) -> float:
        return measure(replace(probe, batch=batch), material, device, precision, seconds)

    def fits(batch: int) -> bool:
        try:
            return speed(batch, options[0], 0.0) > 0
        except torch.OutOfMemoryError:
            return False
        finally:
            if device.kind == "cuda":
                torch.cuda.empty_cache()

    try:
        rounds = [
            {p: speed(recipe.batch, p, _SECONDS) for p in options}
            for _ in range(_ROUNDS if exact else 1)
        ]
    except torch.OutOfMemoryError as e:
        raise _too_large(recipe, str(e).splitlines()[0], _largest(recipe.batch, fits, 8)) from None
    speeds = {p: max(found[p] for found in rounds) for p in options}
    best = max(speeds, key=lambda p: speeds[p])
    text = ", ".join(f"{p} {s:,.0f} img/s" for p, s in speeds.items())
    line = f"precision: {best} ({text})" if auto else ""
    return replace(recipe, precision=best), speeds[best], line


def budget(given: Recipe, opened: Recipe, speed: float, minutes: float) -> Recipe:
    """The recipe with as many images as this machine trains in `minutes` at `speed`.

    given, opened: the recipe before and after what the data decide was filled in. A tenth is left
    for samples, checkpoints and a processor that slows down when it is warm.
    """
    steps = max(1, round(0.9 * speed * minutes * 60 / opened.images_per_step))
    images = steps * opened.images_per_step
    every = max(1, images // 20)
    # What was given is taken once more, since its schedules were stretched to another budget.
    again = {f.name: v for f in fields(given) if (v := getattr(given, f.name)) is not None}
    again |= {"images": images, "precision": opened.precision}
    again["sample_every"] = given.sample_every or every
    again["checkpoint_every"] = given.checkpoint_every or 2 * every
    return fill_schedules(replace(opened, **again))


def astray(recipe: Recipe, minutes: float, spent: float) -> list[str]:
    """A line where a run took far from its `minutes`, `spent` being its seconds; else none."""
    asked = 60 * minutes
    if abs(spent - asked) <= max(10.0, asked / 3):
        return []
    return [
        f"time: {clock(spent)} of the {clock(asked)} asked for, as the machine was "
        f"{'faster' if spent > asked else 'slower'} when it was timed; "
        f"--images {round(recipe.images * asked / spent)} would take about that long"
    ]


# ------------------------------------------------------------------------------------------- plan


def plan(
    given: Recipe,
    opened: Recipe,
    material: Material,
    device: Device,
    where: Path,
    *,
    minutes: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> tuple[Recipe, list[str]]:
    """The recipe with precision and budget decided, and the lines that tell what it will take.

    given, opened: the recipe before and after what the data decide was filled in. where: the run's
    folder, made or not. tell: what is said meanwhile; where nobody hears it, nothing is timed for
    the lines.
    Raises RecipeError where a step does not fit in memory, DiskError where checkpoints do not fit.
    """
    recipe, need, free = opened, needs(opened, material, device), room(device)
    check_memory(recipe, need, free)
    speed, lines = None, []
    # A GPU is tried in any case: only a real step tells whether the batch fits.
    if tell or minutes is not None or recipe.precision == "auto" or device.kind == "cuda":
        if tell:
            tell("timing a few steps")
        recipe, speed, note = timed(recipe, material, device, exact=minutes is not None)
        lines += [note] if note else []
    if minutes is not None and speed is not None:
        recipe = budget(given, recipe, speed, minutes)
    left = check_disk(recipe, need, where)
    lines.append(
        f"memory: {size(need.memory(recipe.batch))} at the peak of a step, {size(free)} free; "
        f"disk: {size(need.disk(recipe))} for checkpoints, {size(left)} free"
    )
    if speed:
        about = clock(recipe.images / speed)
        lines.append(f"time: about {about} for {recipe.images:,} images at {speed:,.0f} img/s")
    return recipe, lines


def size(number: float) -> str:
    """Bytes as one reads them: 4.9 MB, 21.3 GB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number:.0f} bytes"
