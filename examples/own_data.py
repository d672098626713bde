"""Data of your own, made by a program. Run it: `python examples/own_data.py`.

Images in files need no code: `sparring train FOLDER`.
"""

import torch

import sparring


class Discs(sparring.Source):
    """Grey images of one bright disc each, somewhere on a dark ground."""

    count: int = 1000
    radius: float = 4.0

    def open(self, size=None):
        """uint8 images (count, 1, height, width), 16 x 16 pixels unless `size` says."""
        height, width = size or (16, 16)
        generator = torch.Generator().manual_seed(0)
        place = torch.rand(self.count, 2, 1, 1, generator=generator)
        y = torch.arange(height)[:, None] - place[:, 0] * height
        x = torch.arange(width)[None, :] - place[:, 1] * width
        inside = (x.square() + y.square()).sqrt() < self.radius
        return sparring.Images(pixels=(inside[:, None] * 255).to(torch.uint8))


if __name__ == "__main__":
    recipe = sparring.Recipe(data=Discs(), images=6_400, precision="fp32")
    run = sparring.train(recipe, "runs/own-data")
    images = sparring.load(run).sample(100, seed=1)
    bright = (images > 0).float().mean()
    print(f"{run.path}: {bright:.0%} of the generated pixels are bright")
