"""The report of a run, one self-contained HTML page, and the figures it is made of."""

from sparring.report.page import write_report

__all__ = ["write_report"]
