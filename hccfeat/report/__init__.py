"""Figures, tables and the HTML report."""

from hccfeat.report.html import write_report

__all__ = ["write_report"]
