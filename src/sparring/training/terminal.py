"""What a run says: a live line on a terminal, plain lines elsewhere, all of it in a log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sparring.storage import disk_errors


class Terminal:
    """Speaks on standard error. `quiet` leaves only the log."""

    def __init__(self, log: Path, total: int, quiet: bool = False) -> None:
        self.log, self.total, self.quiet = log, total, quiet
        self.console = Console(stderr=True, highlight=False)
        self.live: Progress | None = None
        self.said = 0.0

    def __enter__(self) -> Terminal:
        if self.console.is_terminal and not self.quiet:
            columns = (
                TextColumn("{task.completed:,}/{task.total:,} images"),
                BarColumn(bar_width=20),
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
        line = describe(row, self.total)
        now = time.monotonic()
        if self.live:
            self.live.update(self.task, completed=row["images"], line=line)
            self.live.refresh()
        text = f"{row['images']:,} images  {line}"
        if now - self.said > 10 or row["images"] >= self.total:
            self.said = now
            if not self.live and not self.quiet:
                self.console.print(text, markup=False, soft_wrap=True)
            self._write(text)

    def _write(self, text: str) -> None:
        with disk_errors(self.log.name, self.log.parent), open(self.log, "a") as f:
            f.write(text + "\n")


def describe(row: dict[str, Any], total: int) -> str:
    """A row of statistics as one line."""
    speed = row["img_per_s"]
    left = (total - row["images"]) / speed if speed else 0
    return (
        f"{speed:,.0f} img/s  {clock(left)} left  "
        f"D {row['d_loss']:.3f}  G {row['g_loss']:.3f}  "
        f"D right on real {row['d_acc_real']:.0%}, fake {row['d_acc_fake']:.0%}"
    )


def clock(seconds: float) -> str:
    """65 -> 1:05, 3700 -> 1:01:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
