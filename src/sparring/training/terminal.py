"""What a run says: a live line on a terminal, plain lines elsewhere, all of it in a log."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sparring.storage import disk_errors


class Terminal:
    """Speaks on standard error and in the log: `quiet` only in the log, without one not at all."""

    def __init__(self, log: Path | None, total: int, quiet: bool = False) -> None:
        self.log, self.total, self.quiet = log, total, quiet
        self.console = Console(stderr=True, highlight=False)
        self.live: Progress | None = None
        self.said = 0.0
        self.begun: dict[tuple[str, int], tuple[float, int]] = {}
        self.rows: deque[dict[str, Any]] = deque(maxlen=64)

    def __enter__(self) -> Terminal:
        if self.console.is_terminal and not self.quiet:
            columns = (
                TextColumn("{task.completed:,}/{task.total:,} images"),
                BarColumn(bar_width=10),
                TextColumn("{task.fields[line]}"),
            )
            self.live = Progress(*columns, console=self.console, auto_refresh=False)
            self.live.start()
            self.task = self.live.add_task("train", total=self.total, line="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.refresh()
            self.live.stop()
            self.live = None

    def say(self, text: str) -> None:
        """One line on the terminal and in the log."""
        if not self.quiet:
            self.console.print(text, markup=False, soft_wrap=True)
        self._write(text)

    def tick(self, row: dict[str, Any]) -> None:
        """A row of statistics."""
        self.rows.append(row)
        line = describe(self.rows, self.total)
        now = time.monotonic()
        if self.live:
            wide = self.console.width >= 120 and self.console.encoding.startswith("utf")
            shown = describe(self.rows, self.total, drawn=14 if wide else 0)
            self.live.update(self.task, completed=row["images"], line=shown)
            self.live.refresh()
        text = f"{row['images']:,} images  {line}"
        if now - self.said > 10 or row["images"] >= self.total:
            self.said = now
            if not self.live and not self.quiet:
                self.console.print(text, markup=False, soft_wrap=True)
            self._write(text)

    def scoring(self, features: str, done: int, total: int) -> None:
        """How far the features of samples or of real images are, while a run is scored."""
        now = time.monotonic()
        begun, first = self.begun.get((features, total), (now, done))
        if done <= first:  # the first of these, or of another evaluation
            self.begun[features, total] = now, done
        line = f"scoring: {features} features of {done:,}"
        line += f" of {total:,} images" if total else " images"
        if first < done < total:
            line += f", {clock((total - done) * (now - begun) / (done - first))} left"
        if self.live:
            self.live.update(self.task, line=line)
            self.live.refresh()
        elif now - self.said > 10:
            self.said = now
            if not self.quiet:
                self.console.print(line, markup=False, soft_wrap=True)

    def _write(self, text: str) -> None:
        if self.log is None:
            return
        with disk_errors(self.log.name, self.log.parent), open(self.log, "a") as f:
            f.write(text + "\n")


def describe(rows: Sequence[dict[str, Any]], total: int, drawn: int = 0) -> str:
    """The last of some rows of statistics as one line; `drawn`: how many losses are drawn in it."""
    row = rows[-1]

    def loss(name: str) -> str:
        course = spark([r[name] for r in rows][-drawn:]) + " " if drawn else ""
        return f"{course}{row[name]:.3f}"

    return (
        f"{row['img_per_s']:,.0f} img/s  {clock(left(rows, total))} left  "
        f"D {loss('d_loss')}  G {loss('g_loss')}  "
        f"D right on real {row['d_acc_real']:.0%}, fake {row['d_acc_fake']:.0%}"
    )


def left(rows: Sequence[dict[str, Any]], total: int) -> float:
    """Seconds to the end at the pace of these rows, pauses for samples and scores included."""
    first, last = rows[0], rows[-1]
    images = last["images"] - first["images"]
    pace = (last["seconds"] - first["seconds"]) / images if images else 0.0
    if not pace:
        pace = 1 / last["img_per_s"] if last["img_per_s"] else 0.0
    return (total - last["images"]) * pace


def spark(values: Sequence[float]) -> str:
    """Numbers as a line of blocks from the least to the greatest; what is not finite is blank."""
    marks = "▁▂▃▄▅▆▇█"
    finite = [v for v in values if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(marks) - 1) / (high - low) if high > low else 0.0
    return "".join(
        marks[round((v - low) * scale) if scale else 3] if math.isfinite(v) else " " for v in values
    )


def clock(seconds: float) -> str:
    """65 -> 1:05, 3700 -> 1:01:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
