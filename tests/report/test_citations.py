"""Citations: only what a report uses, as text and as BibTeX that is plain ASCII."""

import re
from dataclasses import replace

from hccfeat.report.citations import bibtex_entry, bibtex_text, citations, load_works, reference_text
from tests.report.plain import plain
from tests.report.sample import clinical_report, full_report


def keys(report) -> set[str]:
    return {citation.key for citation in citations(report)}


def test_keys_and_dois_are_unique_and_every_work_can_be_found() -> None:
    works = load_works()
    assert len({work.key for work in works}) == len(works)
    dois = [work.doi for work in works if work.doi]
    assert len(set(dois)) == len(dois)
    for work in works:
        assert re.fullmatch(r"[a-z0-9_]+", work.key)
        assert work.kind in ("article", "book", "inproceedings", "misc", "unpublished")
        assert work.year is not None or work.kind in ("misc", "unpublished")
        assert {"article": work.journal, "inproceedings": work.booktitle}.get(work.kind, "x")
        assert work.when.model_dump(exclude_defaults=True), work.key


def test_only_what_was_used_is_cited() -> None:
    full = keys(plain(full_report()))
    assert {"delong1988", "harrell1982", "chen2016", "li2025", "efron1977", "collins2024"} <= full
    assert not full & {"uno2011", "heinze2001", "rubin1987", "holm1979", "aalen1978", "kent2020", "li2014"}
    clinical = keys(plain(clinical_report()))
    assert not clinical & {"li2025", "chen2016", "paszke2019"}
    assert keys(replace(plain(full_report()), endpoints=[], feature_set=None)) == {
        "collins2024",
        "mcshane2005",
        "altman2012",
    }


def test_a_method_that_is_named_is_cited() -> None:
    report = plain(clinical_report())
    result = report.endpoints[0]
    result.hazard_ratios[0] = replace(result.hazard_ratios[0], ties="breslow, Firth's penalty")
    result.metrics[0] = replace(result.metrics[0], metric="c_uno", method="Uno's C; mean of 20 imputations")
    report.cohorts[0]["title"] = "Li et al. 2014 (resected HCC)"
    report.baseline[0]["variable"] = "ALBI grade"
    assert {"heinze2001", "firth1993", "uno2011", "rubin1987", "white2009", "li2014", "johnson2015"} <= keys(report)
    assert "heinze2002" not in keys(report)


def test_a_number_that_could_not_be_had_cites_nothing() -> None:
    report = plain(clinical_report())
    result = report.endpoints[0]
    result.metrics = [replace(result.metrics[0], metric="c_uno", estimate=None, lower=None, upper=None)]
    assert "uno2011" not in keys(report)


def test_a_reference_is_one_line_with_its_doi() -> None:
    work = next(work for work in load_works() if work.key == "delong1988")
    assert reference_text(work) == (
        "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the Areas under Two or More Correlated Receiver "
        "Operating Characteristic Curves: A Nonparametric Approach. Biometrics 1988; 44(3):837-845. "
        "doi:10.2307/2531595"
    )


def test_bibtex_is_ascii_and_balanced() -> None:
    entries = {work.key: bibtex_entry(work) for work in load_works()}
    for text in entries.values():
        assert text.isascii()
        assert "http" not in text
        assert text.count("{") == text.count("}")
    assert entries["poelsterl2020"].startswith('@article{poelsterl2020,\n  author = {P{\\"o}lsterl, S.},')
    assert "  pages = {837--845}" in entries["delong1988"]
    assert "  pages = {400--416.e11}" in entries["liu2018"]


def test_the_file_holds_what_the_report_cites() -> None:
    report = plain(full_report())
    assert bibtex_text(report).count("@") == len(citations(report))
    assert "poelsterl2020" not in bibtex_text(report)  # no forest and no elastic net in this report
