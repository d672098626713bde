"""The report of a run and the comparison of several: figures and self-contained HTML."""

from sparring.report.compare import write_comparison
from sparring.report.page import write_report

__all__ = ["write_comparison", "write_report"]
