"""CMMD and FD-DINOv2: their arithmetic, and small random networks in the place of the real ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparring.data.digest import digest
from sparring.data.source import Images
from sparring.errors import DataError
from sparring.metrics import CLIP, CMMD, FID, DINOv2, Fake, Pixels, Real, evaluate, foundation
from sparring.randomness import generator, seeded

pytestmark = pytest.mark.usefixtures("cache")


def images(n: int, seed: int, side: int = 4, channels: int = 3) -> torch.Tensor:
    x = 128 + 40 * torch.randn(n, channels, side, side, generator=generator("foundation", seed))
    return x.clamp(0, 255).to(torch.uint8)


def pair(n: int, m: int) -> tuple[Real, Fake, torch.Tensor, torch.Tensor]:
    x, y = images(n, 0), images(m, 1)
    real = Real("test", Images(x, digest=digest(x, None)))
    return real, Fake("made", lambda k: iter([y[:k]]), count=m), x, y


def test_cmmd_by_its_definition() -> None:
    real, fake, x, y = pair(30, 30)
    score = CMMD(features=Pixels(), sigma=2).score(real, fake)[0]
    a, b = (z.flatten(1).double().numpy() / 255 for z in (x, y))
    k = lambda u, v: np.exp(-((u[:, None] - v[None]) ** 2).sum(2) / 8).mean()  # noqa: E731
    assert score.value == pytest.approx(1000 * (k(a, a) + k(b, b) - 2 * k(a, b)), rel=1e-6)
    assert score.metric == "mmd-pixels"
    assert score.detail["unbiased"] < score.value


def test_what_cmmd_is_for_perfect_samples() -> None:
    """The diagonal adds 1000 (1 - k) (1 / n + 1 / n_real), k the mean of the kernel."""
    real, fake, x, _ = pair(300, 300)
    score = CMMD(features=Pixels(), sigma=10).score(real, fake)[0]
    a = x.flatten(1).double() / 255
    mean = CMMD(sigma=10).kernel(a, a).mean().item()
    assert score.value == pytest.approx(1000 * (1 - mean) * 2 / 300, rel=0.2)
    assert abs(score.detail["unbiased"]) < 4 * score.se


@pytest.fixture
def random_networks(monkeypatch) -> None:
    """Networks of the right kind with random weights: the real ones are a gigabyte."""
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}

    def pretrained(kind: str, name: str, path: str) -> tuple[torch.nn.Module, str]:
        with seeded("foundation"):
            if kind == "Dinov2Model":
                config = transformers.Dinov2Config(**small, image_size=224, patch_size=56)
                return transformers.Dinov2Model(config).eval(), "d" * 16
            config = transformers.CLIPVisionConfig(
                **small, intermediate_size=16, image_size=336, patch_size=84, projection_dim=8
            )
            return transformers.CLIPVisionModelWithProjection(config).eval(), "c" * 16

    monkeypatch.setattr(foundation, "pretrained", pretrained)


def test_features_of_both_networks(random_networks) -> None:
    real, fake, x, _ = pair(12, 12)
    dino, clip = DINOv2().open(real), CLIP().open(real)
    assert dino(x).shape == (12, 16)
    torch.testing.assert_close(clip(x).norm(dim=1), torch.ones(12))
    assert FID(features=DINOv2()).score(real, fake)[0].metric == "fd-dinov2"
    score = CMMD().score(real, fake)[0]
    assert score.metric == "cmmd"
    assert score.protocol["features_digest"] == "c" * 16
    # Grey images are read as three equal channels.
    grey = images(3, 5, channels=1)
    torch.testing.assert_close(dino(grey), dino(grey.expand(-1, 3, -1, -1)))


def test_without_the_package_or_the_weights_the_reason_is_said(monkeypatch) -> None:
    import sys

    real, fake, *_ = pair(6, 6)
    foundation.pretrained.cache_clear()
    monkeypatch.setitem(sys.modules, "transformers", None)
    _, skipped = evaluate([CMMD()], real, fake)
    assert 'pip install "sparring[transformers]"' in skipped[0][1]

    class Absent:
        @staticmethod
        def from_pretrained(name: str, use_safetensors: bool, local_files_only: bool) -> None:
            assert local_files_only  # which tests are: SPARRING_OFFLINE
            raise OSError("We couldn't connect to the hub\nto load this file")

    package = type(sys)("transformers")
    package.Dinov2Model = Absent
    monkeypatch.setitem(sys.modules, "transformers", package)
    with pytest.raises(DataError) as e:
        DINOv2(size="base").open(real)
    line = str(e.value)
    assert line.startswith("no weights of facebook/dinov2-base: SPARRING_OFFLINE is set. Fix: ")
    assert "hf download facebook/dinov2-base" in line
    assert "DINOv2(path='FOLDER')" in line
    with pytest.raises(DataError, match="no weights of facebook/dinov2-base in nowhere"):
        DINOv2(size="base", path="nowhere").open(real)


def test_without_a_network_nothing_is_tried_again_and_again(monkeypatch, caplog) -> None:
    pytest.importorskip("transformers")
    from huggingface_hub import constants

    foundation.pretrained.cache_clear()
    monkeypatch.delenv("SPARRING_OFFLINE")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"no answer from http://127.0.0.1:9 .*refused"):
        CLIP().open(Real("none"))
    assert caplog.text == ""


def test_weights_of_a_folder(tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with seeded("foundation folder"):
        config = transformers.Dinov2Config(**small, image_size=224, patch_size=56)
        transformers.Dinov2Model(config).save_pretrained(tmp_path)
    extractor = DINOv2(path=str(tmp_path)).open(Real("none"))
    assert extractor(images(2, 0)).shape == (2, 16)
    assert len(extractor.digest) == 16
