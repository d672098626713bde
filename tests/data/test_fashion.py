"""The bundled images."""

from importlib import resources

import pytest
import torch

from sparring.data import Fashion, source


def test_ten_thousand_images_in_ten_classes():
    images = Fashion().open()
    assert images.pixels.shape == (10_000, 1, 28, 28)
    assert images.pixels.dtype == torch.uint8
    assert images.pixels.is_contiguous(memory_format=torch.channels_last)
    assert images.labels is not None
    assert images.labels.bincount().tolist() == [1000] * 10
    assert images.classes[0] == "t-shirt"
    assert images.classes[9] == "ankle-boot"
    assert images.left_out == ()
    assert images.digest == Fashion().open().digest


def test_labels_belong_to_the_images():
    images = Fashion().open()
    assert images.labels is not None
    # The first images of the test set, as its authors list them.
    first = [images.classes[i] for i in images.labels[:5]]
    assert first == ["ankle-boot", "pullover", "trouser", "trouser", "shirt"]
    # Trousers are two legs: dark between them at the hem, bright beside.
    trousers = images.pixels[images.labels == 1, 0].float().mean(0)
    assert trousers[26, 13:15].mean() < 0.5 * trousers[26, 10].item()


def test_explicit_size():
    images = Fashion().open((14, 14))
    whole = Fashion().open().pixels.float()
    assert images.shape == (1, 14, 14)
    torch.testing.assert_close(
        images.pixels.float(), (torch.nn.functional.avg_pool2d(whole, 2) + 0.5).floor()
    )


def test_bundle_is_small_and_licensed():
    bundle = resources.files("sparring.data")
    assert len((bundle / "fashion-mnist-test.npz").read_bytes()) < 4_500_000
    licence = (bundle / "fashion-LICENSE.txt").read_text()
    assert "Copyright (c) 2017 Zalando SE" in licence
    assert "Permission is hereby granted, free of charge" in licence


def test_it_is_found_by_name_and_not_mirrored():
    assert source("fashion") == Fashion()
    assert not Fashion.flips


@pytest.mark.realdata
def test_bundle_equals_the_published_test_set(test_data):
    import numpy as np

    with np.load(test_data / "fashion_mnist.npz") as published:
        images = Fashion().open()
        assert images.labels is not None
        np.testing.assert_array_equal(images.pixels[:, 0].numpy(), published["x_test"])
        np.testing.assert_array_equal(images.labels.numpy(), published["y_test"])
