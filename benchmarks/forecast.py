"""How close the forecast of `sparring train` is: memory and time, said and measured.

    python benchmarks/forecast.py memory
    python benchmarks/forecast.py time

Each run is a process of its own, on one thread. memory: the rise of the process's peak over three
steps, against what was forecast. time: of a whole run with samples and checkpoints but no scores.
Results go to forecast.jsonl, and what is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from record import Results

from sparring.presets import PRESETS
from sparring.training import train
from sparring.training.device import Device
from sparring.training.forecast import needs, timed
from sparring.training.setup import Setup, open_data

MEMORY = [
    ("gan", 512, 28, "fp32"),
    ("dcgan", 256, 28, "fp32"),
    ("dcgan", 1024, 28, "fp32"),
    ("fast", 256, 28, "bf16"),
    ("fast", 512, 28, "fp32"),
    ("fast", 512, 64, "fp32"),
    ("fast", 2048, 28, "fp32"),
]
TIME = [("gan", 16_000), ("dcgan", 8_000), ("fast", 16_000)]


def status(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(r.split()[1]) * 1024 for r in rows if r.startswith(name))


def memory(preset: str, batch: int, side: int, precision: str) -> dict[str, float]:
    """Forecast and rise of the peak, in MB."""
    recipe = PRESETS[preset]()
    recipe = replace(recipe, batch=batch, size=(side, side), precision=precision)  # pyright: ignore
    recipe, material = open_data(recipe)
    device = Device("cpu", recipe.precision)  # pyright: ignore[reportArgumentType]
    said = needs(recipe, material, device).memory(batch)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    setup = Setup(recipe, material, device)
    for number in range(3):
        setup.advance(number)
    return {"forecast": said / 1e6, "measured": (status("VmHWM") - before) / 1e6}


def duration(preset: str, images: int) -> dict[str, float]:
    """Forecast and measured seconds of a run."""
    recipe = replace(PRESETS[preset](), images=images, precision="fp32", metrics=())
    opened, material = open_data(recipe)
    _, speed, _ = timed(opened, material, Device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run = train(recipe, Path(folder) / "run", device="cpu", quiet=True)
        whole = time.perf_counter() - start
        steps = run.stats()[-1]["seconds"]
    return {"forecast": images / speed, "measured": steps, "with_start_and_report": whole}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["memory", "time"])
    parser.add_argument("case", nargs="*")
    args = parser.parse_args()
    if args.case:  # one case, in this process
        torch.set_num_threads(1)
        name, *numbers = args.case
        if args.what == "memory":
            found = memory(name, int(numbers[0]), int(numbers[1]), numbers[2])
        else:
            found = duration(name, int(numbers[0]))
        print(json.dumps(found))
        return
    results = Results("forecast")
    for case in MEMORY if args.what == "memory" else TIME:
        if not results.done(what=args.what, case=list(case)):
            command = [sys.executable, __file__, args.what, *map(str, case)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout.splitlines()[-1])
            results.add(what=args.what, case=list(case), **row)
            print(case, row)


if __name__ == "__main__":
    main()
