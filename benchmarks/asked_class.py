"""How often a conditional generator makes what it is asked for.

    SPARRING_TEST_DATA=... python benchmarks/asked_class.py [--seeds 3] [--presets ...] [--sets ...]

Data: the 60,000 training images of MNIST and of Fashion-MNIST (mnist.npz, fashion_mnist.npz in the
folder that SPARRING_TEST_DATA names). Every run sees the same number of real images, --images: by
default what `fast` trains in 150 s on two quiet cores, 1,500 in a second (demo_quality.jsonl).
So runs can be compared whatever else the machine does; their own seconds and threads are recorded.

Score: 1,000 samples, 100 of each class, asked for by class in turn, and the share of them that an
independent classifier puts into the class asked for. The classifier is `metrics/classifier.py`'s,
trained on the same images and never seen by the GAN; its accuracy on real images that it was not
trained on is recorded beside. `domain-fid` is of 10,000 samples as the training data are spread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from record import Results

import sparring
from sparring.metrics import DomainFid
from sparring.metrics.classifier import DomainClassifier
from sparring.sample import Model, in_rows, load, to_uint8
from sparring.sample.evaluate import evaluate
from sparring.training.setup import open_data

N = 1000


def accuracy(model: Model, classifier: DomainClassifier) -> tuple[float, list[float]]:
    """The share of N asked samples that are what was asked for, and that share of each class."""
    asked = model.conditions(N, 0, classes="all")
    assert asked is not None
    samples = to_uint8(model.sample(N, 0, classes="all"))
    right = (classifier.classes(classifier.features(samples)) == asked).double()
    each = [right[asked == k].mean().item() for k in range(len(model.spec.classes))]
    return right.mean().item(), each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=225_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--presets", nargs="+", default=["cgan"])
    parser.add_argument("--sets", nargs="+", default=["mnist", "fashion_mnist"])
    parser.add_argument("--pictures", type=Path, help="a folder for a grid of each run")
    args = parser.parse_args()
    folder = os.environ.get("SPARRING_TEST_DATA")
    if not folder:
        raise SystemExit("error: SPARRING_TEST_DATA is not set. Fix: name the test data folder")
    results = Results("asked_class")
    for seed in range(args.seeds):
        for data in args.sets:
            for name in args.presets:
                key = {"preset": name, "data": data, "seed": seed, "images": args.images}
                if not results.done(**key):
                    measure(results, key, Path(folder) / f"{data}.npz", args.pictures)
    report(results, args.images)


def measure(results: Results, key: dict, file: Path, pictures: Path | None) -> None:
    """One run and its row."""
    recipe = replace(
        sparring.PRESETS[key["preset"]](),
        data=sparring.Npz(path=str(file)),
        seed=key["seed"],
        images=key["images"],
        precision="bf16",
        metrics=(),
    )
    _, material = open_data(recipe)
    classifier = DomainClassifier.of(material.real)
    with tempfile.TemporaryDirectory() as folder:
        trained = sparring.train(recipe, Path(folder) / "run")
        model, last = load(trained), trained.stats()[-1]
    share, each = accuracy(model, classifier)
    scores, _ = evaluate(model, (DomainFid(),), material.real)
    results.add(
        **key,
        precision=recipe.precision,
        seconds=round(last["seconds"], 1),
        asked=N,
        accuracy=round(share, 4),
        se=round((share * (1 - share) / N) ** 0.5, 4),
        each=dict(zip(model.spec.classes, [round(a, 3) for a in each])),
        classifier=classifier.digest,
        classifier_accuracy=round(classifier.accuracy, 4),
        domain_fid=round(scores[0]["value"], 2),
    )
    if pictures:
        pictures.mkdir(exist_ok=True, parents=True)
        samples, labels = model.sample(100, 1, classes="all"), model.conditions(100, 1, 0, "all")
        sheet = in_rows(to_uint8(samples), labels)
        sheet.save(pictures / f"{key['preset']}-{key['data']}-{key['seed']}.png")


def report(results: Results, images: int) -> None:
    """A line for each preset and set."""
    rows = [r for r in results.rows() if r["images"] == images]
    for name, data in dict.fromkeys((r["preset"], r["data"]) for r in rows):
        found = [r for r in rows if (r["preset"], r["data"]) == (name, data)]
        shares = [r["accuracy"] for r in found]
        print(
            f"{name:<12}{data:<15}asked class {statistics.mean(shares):.1%} "
            f"({min(shares):.1%}..{max(shares):.1%}, {len(shares)} seeds), classifier "
            f"{found[0]['classifier_accuracy']:.1%} on real images, domain-fid "
            f"{statistics.mean(r['domain_fid'] for r in found):.1f}"
        )


if __name__ == "__main__":
    main()
