"""Features of networks that were never trained on ImageNet's classes, through `transformers`.

Stein et al. 2023 (arXiv:2306.04675) found DINOv2's to agree with people where Inception's do not;
Jayasumana et al. 2024 (arXiv:2401.09603) use CLIP's for CMMD. Both are an extra, since they need
the package and a gigabyte of weights: pip install "sparring[transformers]". The weights come from
the folder `path`, from the cache of `transformers`, or are fetched into that once.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics.comparison import Comparison
from sparring.metrics.features import Extractor, Features, device
from sparring.metrics.kernel import discrepancy
from sparring.metrics.metric import Fake, Real, Score
from sparring.metrics.resize import PILBicubic
from sparring.metrics.weights import offline, tensors_digest
from sparring.parts import require

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class DINOv2(Features):
    """The class token of DINOv2, 1024 numbers at the size large.

    `FID(features=DINOv2())` is FD-DINOv2, whose score is called fd-dinov2. Images of 224 pixels by
    Pillow's bicubic. path: a folder with its config.json and model.safetensors, where they cannot
    be fetched. Not run with real weights so far.
    """

    paper = "Oquab et al. 2023, arXiv:2304.07193; Stein et al. 2023, arXiv:2306.04675"

    size: Literal["small", "base", "large", "giant"] = "large"
    path: str = ""

    def open(self, real: Real) -> Extractor:
        model, digest = pretrained("Dinov2Model", f"facebook/dinov2-{self.size}", self.path)

        def compute(images: Tensor) -> Tensor:
            return model(pixel_values=scaled(images, 224, *_IMAGENET)).pooler_output

        return Extractor(
            key="dinov2",
            name=f"DINOv2 {self.size}, class token",
            digest=digest,
            dimension=model.config.hidden_size,
            resize=repr(PILBicubic()),
            compute=compute,
            batch=32,
            channels=(1, 3),
        )


class CLIP(Features):
    """The image embedding of CLIP ViT-L/14 at 336 pixels, 768 numbers of length 1.

    Images by Pillow's bicubic. path: a folder with its config.json and model.safetensors, where
    they cannot be fetched. Not run with real weights so far.
    """

    paper = "Radford et al. 2021, arXiv:2103.00020"

    path: str = ""

    def open(self, real: Real) -> Extractor:
        name = "openai/clip-vit-large-patch14-336"
        model, digest = pretrained("CLIPVisionModelWithProjection", name, self.path)

        def compute(images: Tensor) -> Tensor:
            found = model(pixel_values=scaled(images, 336, *_CLIP)).image_embeds
            return found / found.norm(dim=1, keepdim=True)

        return Extractor(
            key="clip",
            name="CLIP ViT-L/14@336, embedding",
            digest=digest,
            dimension=model.config.projection_dim,
            resize=repr(PILBicubic()),
            compute=compute,
            batch=32,
            channels=(1, 3),
        )


class CMMD(Comparison):
    """Squared MMD of CLIP's embeddings under a Gaussian kernel, times 1000.

    The biased estimate with the pairs of an image with itself, as published: for samples of the
    data's own distribution it is about 1000 (1 - k) (1 / n + 1 / n_real), so compare at one n only.
    """

    paper = "Jayasumana et al. 2024, arXiv:2401.09603"

    features: Features = CLIP()
    sigma: float = 10.0
    scale: float = 1000.0

    def check(self) -> None:
        super().check()
        require(self.sigma > 0, "sigma must be positive")
        require(self.scale > 0, "scale must be positive")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        sides = self.sides(real, fake, n)
        found = discrepancy(sides.fake, sides.real, self.kernel)
        key = sides.extractor.key
        seen = sides.protocol | {"kernel": "Gaussian", "estimate": "biased"}
        name = "cmmd" if key == "clip" else f"mmd-{key}"
        value, error = self.scale * found.biased, self.scale * found.error
        return [Score(name, value, error, seen, {"unbiased": self.scale * found.value})]

    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """exp(-|x - y|^2 / 2 sigma^2), (m, n)."""
        away = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T
        return torch.exp(-away.clamp_min(0) / (2 * self.sigma**2))


def scaled(images: Tensor, side: int, mean: tuple[float, ...], spread: tuple[float, ...]) -> Tensor:
    """float32 (B, 3, side, side) as a network reads it, of images uint8 (B, 1 or 3, H, W)."""
    x = PILBicubic()(images.to(device()), side).expand(-1, 3, -1, -1) / 255
    centre, unit = (torch.tensor(v, device=x.device)[None, :, None, None] for v in (mean, spread))
    return (x - centre) / unit


@cache
def pretrained(kind: str, name: str, path: str = "") -> tuple[Any, str]:
    """A frozen network of `transformers` with the weights of that name, and their digest.

    path: a folder that holds them. Raises DataError of one line, which says how to give them, when
    the package or the weights are missing.
    """
    try:
        import transformers
    except ImportError:
        raise DataError(
            f"{name} needs the package transformers", fix='pip install "sparring[transformers]"'
        ) from None
    network = getattr(transformers, kind)
    try:
        model = network.from_pretrained(path or name, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError) as e:
        model = None if path else _fetched(network, name)
        if model is None or isinstance(model, str):
            part = "DINOv2" if kind == "Dinov2Model" else "CLIP"
            raise DataError(
                f"no weights of {name}",
                where=path,
                why=model or " ".join(str(e).split())[:120],
                fix=f"hf download {name} where there is a network, and then "
                f"--metrics \"FID(features={part}(path='FOLDER'))\"",
            ) from None
    model = model.eval().requires_grad_(False).to(device())
    return model, tensors_digest(model.state_dict())


def _fetched(network: Any, name: str) -> Any:
    """The network with its weights fetched, or the reason why they cannot be."""
    from huggingface_hub.constants import ENDPOINT

    if offline():
        return "SPARRING_OFFLINE is set"
    try:  # its own attempts are many, and each speaks
        urllib.request.urlopen(ENDPOINT, timeout=10).close()
    except urllib.error.HTTPError:
        pass  # an answer
    except OSError as e:
        return f"no answer from {ENDPOINT} ({getattr(e, 'reason', e)})"
    try:
        return network.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError) as e:
        return " ".join(str(e).split())[:120]
