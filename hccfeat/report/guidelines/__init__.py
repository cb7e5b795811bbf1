"""Reporting guidelines: which of their items a report answers, where, and what is lacking."""

from hccfeat.report.guidelines.items import GUIDELINES, GuidelineFile, load_guideline
from hccfeat.report.guidelines.view import (
    Guideline,
    GuidelineItem,
    StatementRow,
    guideline_views,
    statement_view,
)

__all__ = [
    "GUIDELINES",
    "Guideline",
    "GuidelineFile",
    "GuidelineItem",
    "StatementRow",
    "guideline_views",
    "load_guideline",
    "statement_view",
]
