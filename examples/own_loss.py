"""A loss of your own. Run it: `python examples/own_loss.py`.

The Pearson chi-squared divergence, from Nowozin et al. 2016, "f-GAN", arXiv:1606.00709. With
x = D(real) and y = D(fake) its conjugate is y^2 / 4 + y.
"""

import torch

import sparring


class Pearson(sparring.Loss):
    """The Pearson chi-squared divergence: d = E (y^2 / 4 + y) - E x, g = -E y."""

    paper = "Nowozin et al. 2016, f-GAN, arXiv:1606.00709"

    def d(self, real, fake, rng=None):
        return (fake.square() / 4 + fake).mean() - real.mean()

    def g(self, real, fake, rng=None):
        return -fake.mean()


if __name__ == "__main__":
    recipe = sparring.Recipe(
        data=sparring.Ring(),
        loss=Pearson(),
        tricks=(sparring.parse("R1(gamma=1)", sparring.Trick),),
        images=20_000,
        precision="fp32",
    )
    run = sparring.train(recipe, "runs/own-loss")
    points = sparring.load(run).sample(1000, seed=1)
    radius = torch.linalg.vector_norm(points, dim=1)
    print(f"{run.path}: 1,000 points at a mean radius of {radius.mean():.2f}, the data have 1.00")
