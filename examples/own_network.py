"""Networks of your own. Run it: `python examples/own_network.py`."""

import math

from torch import nn

import sparring


class Tiny(sparring.Nets):
    """One hidden layer in G and in D, for images and points of any shape."""

    latent: int = 16
    width: int = 128

    def generator(self, spec):
        return TinyG(spec, self.latent, self.width)

    def discriminator(self, spec):
        return TinyD(spec, self.width)


class TinyG(sparring.Generator):
    def __init__(self, spec, latent, width):
        super().__init__()
        self.latent, self.shape = latent, spec.shape
        end = nn.Identity() if spec.points else nn.Tanh()
        out = nn.Linear(width, math.prod(spec.shape))
        self.layers = nn.Sequential(nn.Linear(latent, width), nn.ReLU(), out, end)

    def forward(self, z, c=None):
        return self.layers(z).unflatten(1, self.shape)


class TinyD(sparring.Discriminator):
    def __init__(self, spec, width):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(math.prod(spec.shape), width), nn.LeakyReLU(0.2))
        self.head = nn.Linear(width, 1)

    def forward(self, x, c=None, features=False):
        hidden = self.hidden(x.flatten(1))
        logits = self.head(hidden).squeeze(1)
        return (logits, {"hidden": hidden}) if features else logits


if __name__ == "__main__":
    recipe = sparring.Recipe(nets=Tiny(width=64), images=6_400, precision="fp32", metrics=())
    run = sparring.train(recipe, "runs/own-network")
    images = sparring.load(run).sample(16, seed=1)
    print(f"{run.path}: images {tuple(images.shape)} from {images.min():.2f} to {images.max():.2f}")
