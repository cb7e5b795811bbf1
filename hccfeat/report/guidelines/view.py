"""The guidelines of a report, item by item, and the authors' statement."""

from dataclasses import dataclass

from hccfeat.analysis.results import StudyReport
from hccfeat.config import StatementConfig
from hccfeat.report.guidelines.items import GUIDELINES, Item, load_guideline
from hccfeat.report.guidelines.parts import STATUSES, Part, Status, together
from hccfeat.report.guidelines.rules import RULES
from hccfeat.report.guidelines.treatment_rules import NOT_ANALYSED, treated

NOT_REPORTED = "not reported"
ANSWERED = "in the report"


@dataclass(frozen=True)
class GuidelineItem:
    """One row: ``answer`` says what is lacking, ``links`` where the rest is.

    ``links`` are places of the page as (id, words); ``anchor`` is the id of the first, empty where there is none.
    """

    number: str
    section: str
    topic: str
    asks: str
    status: Status
    answer: str
    anchor: str = ""
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Guideline:
    """A guideline with the status of each item; ``applies`` is false where its subject was not analysed."""

    name: str
    title: str
    reference: str
    note: str
    items: tuple[GuidelineItem, ...]
    applies: bool = True

    @property
    def counts(self) -> dict[Status, int]:
        """Items by status."""
        return {status: sum(item.status == status for item in self.items) for status in STATUSES}


@dataclass(frozen=True)
class StatementRow:
    """One text of the section ``[statement]``: what belongs there (``asked``), and what the authors wrote."""

    key: str
    label: str
    asked: str
    text: str
    anchor: str


def guideline_views(report: StudyReport) -> list[Guideline]:
    """Judge a report by every shipped guideline.

    Parameters
    ----------
    report : StudyReport
        What ``analyze`` found.

    Returns
    -------
    list of Guideline
        Plain text; the page escapes it.
    """
    views = []
    for name in GUIDELINES:
        guideline = load_guideline(name)
        applies = guideline.needs != "treatment" or treated(report)
        note = guideline.note if applies else f"Does not apply: {NOT_ANALYSED}. {guideline.note}"
        items = tuple(_judge(report, item) if applies else _unasked(item) for item in guideline.items)
        views.append(Guideline(guideline.name, guideline.title, guideline.source, note, items, applies))
    return views


def statement_view(report: StudyReport) -> list[StatementRow]:
    """Return every text that the guidelines ask the authors for, in the order of the study file."""
    return [
        StatementRow(
            key,
            _label(key),
            field.description or "",
            _text(report, key) or NOT_REPORTED,
            _statement_anchor(key),
        )
        for key, field in StatementConfig.model_fields.items()
    ]


def _judge(report: StudyReport, item: Item) -> GuidelineItem:
    parts = [RULES[name](report) for name in item.rules] + [_stated(report, key) for key in item.fields]
    links = tuple(dict.fromkeys((one.anchor, place_words(one.anchor)) for one in parts if one.anchor))
    remarks = dict.fromkeys(one.remark for one in parts if one.remark)
    answer = "; ".join(remarks) or ANSWERED
    return GuidelineItem(
        *(item.number, item.section, item.topic, item.asks, together(parts), _sentence(answer)),
        links[0][0] if links else "",
        links,
    )


def _unasked(item: Item) -> GuidelineItem:
    return GuidelineItem(item.number, item.section, item.topic, item.asks, "missing", _sentence(NOT_ANALYSED))


def place_words(anchor: str) -> str:
    """Return what a place of the page is called in a list of places."""
    if anchor.startswith("statement-"):
        return f"authors' statement on {anchor.removeprefix('statement-').replace('-', ' ')}"
    if anchor.startswith("endpoint-"):
        return "endpoint"
    return {"main": "title"}.get(anchor, anchor.rsplit("-", 1)[-1].replace("_", " "))


def _stated(report: StudyReport, key: str) -> Part:
    if _text(report, key):
        return Part("reported", _statement_anchor(key))
    return Part("missing", "", f"{_label(key).lower()}: {NOT_REPORTED}")


def _text(report: StudyReport, key: str) -> str:
    return report.statement.get(key, "").strip()


def _label(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _statement_anchor(key: str) -> str:
    return f"statement-{key.replace('_', '-')}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
