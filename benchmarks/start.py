"""How long `sparring --help` takes beside `python -c pass`.

python benchmarks/start.py [--pairs 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from record import Results


def seconds(*words: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    args = parser.parse_args()
    results = Results("start")
    seconds("-m", "sparring", "--help")
    for pair in range(args.pairs):
        if not results.done(pair=pair):
            bare, ours = seconds("-c", "pass"), seconds("-m", "sparring", "--help")
            results.add(pair=pair, bare=round(bare, 4), ours=round(ours, 4))
    more = [r["ours"] - r["bare"] for r in results.rows()]
    print(
        f"more than `python -c pass`: median {statistics.median(more):.3f} s, "
        f"{min(more):.3f}..{max(more):.3f} s"
    )


if __name__ == "__main__":
    main()
