"""What a report cites: works whose method, software, cohort or guideline it uses, as text and as BibTeX."""

import re
from dataclasses import dataclass

from hccfeat.analysis.results import EndpointResult, StudyReport
from hccfeat.config import Frozen, parse_toml
from hccfeat.resources import resource_folder

FILE = "citations.toml"
_BIBTEX = ("journal", "booktitle", "series", "publisher", "address", "volume", "number", "pages", "doi", "note")
_ACCENTS = {"ö": '{\\"o}', "é": "{\\'e}", "í": "{\\'i}", "ã": "{\\~a}"}


class When(Frozen):
    """When a work is cited: if any of these is met by the report; the file explains them."""

    always: bool = False
    methods: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    logistics: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


class Work(Frozen):
    """One work; the names of its fields are BibTeX's."""

    key: str
    kind: str
    author: str
    title: str
    year: int | None = None
    journal: str = ""
    booktitle: str = ""
    series: str = ""
    publisher: str = ""
    address: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""
    doi: str = ""
    note: str = ""
    use: str
    when: When


class Works(Frozen):
    """The file ``data_catalog/citations.toml``."""

    work: tuple[Work, ...]


@dataclass(frozen=True)
class Citation:
    """One reference, plain text: ``why`` says what the report takes from it."""

    key: str
    text: str
    why: str
    bibtex: str


def load_works() -> tuple[Work, ...]:
    """Read every work that a report may cite."""
    return parse_toml(resource_folder("data_catalog") / FILE, Works).work


def citations(report: StudyReport) -> list[Citation]:
    """Return the works that this very report uses, in the order of the file.

    Parameters
    ----------
    report : StudyReport
        What ``analyze`` found.
    """
    seen = _seen(report)
    cited = [work for work in load_works() if _is_used(work.when, seen)]
    return [Citation(work.key, reference_text(work), work.use, bibtex_entry(work)) for work in cited]


def bibtex_text(report: StudyReport) -> str:
    """Return the BibTeX file of a report's citations."""
    return "\n".join(citation.bibtex for citation in citations(report))


def reference_text(work: Work) -> str:
    """Return a reference as one line: authors, title, where, year, volume, pages, DOI."""
    names = work.author.split(" and ")
    authors = ", ".join("et al" if name == "others" else _short_name(name) for name in names)
    where = ", ".join(part for part in (work.journal or work.booktitle, work.series, work.publisher) if part)
    when = str(work.year) if work.year is not None else ""
    volume = f"{work.volume}({work.number})" if work.number else work.volume
    place = "; ".join(part for part in (when, f"{volume}:{work.pages}" if volume else work.pages) if part)
    parts = [authors, work.title, f"{where} {place}".strip(), work.note, f"doi:{work.doi}" if work.doi else ""]
    return " ".join(f"{part.rstrip('.')}." if not part.startswith("doi:") else part for part in parts if part)


def bibtex_entry(work: Work) -> str:
    """Return a work as a BibTeX entry, plain ASCII; the title keeps its capitals."""
    fields = {"author": work.author, "title": f"{{{work.title}}}"}
    fields |= {"year": str(work.year)} if work.year is not None else {}
    fields |= {name: value for name in _BIBTEX if (value := getattr(work, name))}
    if "pages" in fields:
        fields["pages"] = re.sub(r"(?<=\d)-(?=[\d])", "--", fields["pages"])
    body = ",\n".join(f"  {name} = {{{_latex(value, name)}}}" for name, value in fields.items())
    return f"@{work.kind}{{{work.key},\n{body}\n}}\n"


def _latex(value: str, name: str) -> str:
    if name == "doi":
        return value
    for plain, escaped in _ACCENTS.items():
        value = value.replace(plain, escaped)
    return value.replace("&", r"\&")


def _short_name(name: str) -> str:
    """Return ``Harrell FE`` for ``Harrell, F. E.``; a name in braces is kept."""
    if name.startswith("{"):
        return name.strip("{}")
    family, _, given = name.partition(", ")
    return f"{family} {''.join(re.findall(r'[A-Z]', given))}".strip()


@dataclass(frozen=True)
class _Seen:
    """What a report holds that decides about citations."""

    methods: str
    metrics: frozenset[str]
    models: frozenset[str]
    results: frozenset[str]
    hazards: str
    logistics: str
    encoder: str
    cohorts: str
    variables: str


def _seen(report: StudyReport) -> _Seen:
    endpoints = report.endpoints
    metrics = [metric for result in endpoints for metric in result.all_metrics]
    hazards = [ratio.ties for result in endpoints for ratio in result.hazard_ratios if ratio.hr is not None]
    treated = [result.treatment for result in endpoints if result.treatment is not None]
    hazards += [one.larger.ties for found in treated for one in found.interactions if one.replaced]
    logistics = [t.method for result in endpoints for terms in result.logistic.values() for t in terms]
    other = [text for result in endpoints for text in _other_methods(result)]
    return _Seen(
        methods="\n".join([*(metric.method for metric in metrics), *hazards, *logistics, *other]),
        metrics=frozenset(metric.metric for metric in metrics if metric.estimate is not None),
        models=frozenset(metric.model for metric in metrics),
        results=frozenset(name for result in endpoints for name in _filled(result)),
        hazards="\n".join(hazards),
        logistics="\n".join(logistics),
        encoder=str((report.feature_set or {}).get("encoder") or ""),
        cohorts="\n".join(str(row.get("title") or "") for row in report.cohorts),
        variables="\n".join(str(row.get("variable") or "") for row in report.baseline),
    )


def _other_methods(result: EndpointResult) -> list[str]:
    texts = [curve.method for curve in result.calibrations] + [curve.method for curve in result.decisions]
    texts += [curve.method for curve in result.incidences] + [row.method for row in result.comparisons]
    texts += [f"{test.test}: {test.method}" for test in result.tests] + [group.test for group in result.groups]
    texts += [ratio.kind for ratio in result.hazard_ratios]
    if result.treatment is not None:
        texts += [f"{one.name}: {one.note}" for one in result.treatment.interactions]
    return texts + [gap.method for found in result.modalities for gap in found.gaps]


def _filled(result: EndpointResult) -> list[str]:
    """Return the names of what an endpoint has."""
    names = [name for name, value in vars(result).items() if isinstance(value, list | dict) and value]
    curves = [curve for group in result.groups for curve in group.curves]
    curves += [one.curve for one in result.survival]
    if any(curve.restricted_mean is not None for curve in curves):
        names.append("restricted_means")
    return names + (["treatment"] if result.treatment is not None else [])


def _is_used(when: When, seen: _Seen) -> bool:
    return (
        when.always
        or any(text in seen.methods for text in when.methods)
        or any(_has_metric(text, seen.metrics) for text in when.metrics)
        or not seen.models.isdisjoint(when.models)
        or not seen.results.isdisjoint(when.results)
        or any(text in seen.hazards for text in when.hazards)
        or any(text in seen.logistics for text in when.logistics)
        or seen.encoder in when.encoders
        or any(text in seen.cohorts for text in when.cohorts)
        or any(text in seen.variables for text in when.variables)
    )


def _has_metric(pattern: str, metrics: frozenset[str]) -> bool:
    return any(re.match(pattern, name) for name in metrics)
