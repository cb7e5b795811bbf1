import base64
import hashlib
import html
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hccfeat.analysis.results import GroupComparison, Metric, Notice, StudyReport, SurvivalCurve
from hccfeat.report import write_report
from hccfeat.report.blocks import BANNER, sections
from hccfeat.report.downloads import FILES
from hccfeat.report.formatting import CONDITION_LABELS
from hccfeat.report.html import render
from hccfeat.report.twin import twin_files
from tests.report.sample import clinical_report, full_report

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; mistakes of nesting are collected."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.mistakes += [f"{tag} is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes(self, name: str) -> list[str]:
        return [found[name] for _, found in self.elements if name in found]


def page_of(report: StudyReport) -> str:
    return render(report, twin_files(report))


def test_page_is_well_formed_with_unique_ids_and_living_links(written: dict[str, Path]) -> None:
    for path in written.values():
        page = Page(path.read_text(encoding="utf-8"))
        assert page.mistakes == []
        ids = page.attributes("id")
        assert len(ids) == len(set(ids))
        local = [href[1:] for href in page.attributes("href") if href.startswith("#")]
        assert set(local) <= set(ids)
        named = " ".join(page.attributes("aria-labelledby")).split()
        assert set(named) <= set(ids)


def test_nothing_comes_from_the_network(written: dict[str, Path]) -> None:
    for path in written.values():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?:|//cdn|@import", text)
        page = Page(text)
        assert all(source.startswith("data:image/") for source in page.attributes("src"))
        assert all(re.match(r"#|data:|data/[a-z_]+\.(csv|json|bib)$", href) for href in page.attributes("href"))
        assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_policy_forbids_loading_and_names_the_script(full_text: str) -> None:
    page = Page(full_text)
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
    assert "img-src data:" in policy
    script = re.search(r"<script>(.*)</script>", full_text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_markup_in_names_stays_text(written: dict[str, Path]) -> None:
    text = written["hostile"].read_text(encoding="utf-8")
    page = Page(text)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 30
    assert "$x_1$" in text


def test_simulated_data_say_so_everywhere(full_text: str) -> None:
    assert f'<div class="banner" role="alert">{BANNER}</div>' in full_text
    figures = re.findall(r'<figure class="card.*?</figure>', full_text, re.DOTALL)
    assert len(figures) > 10
    for figure in figures:
        assert BANNER in figure[figure.index("<figcaption>") :]
        assert ">SIMULATED DATA</text>" in figure
    assert "<title>[SIMULATED]" in full_text


def test_real_data_are_not_called_simulated(written: dict[str, Path]) -> None:
    body = written["clinical"].read_text(encoding="utf-8").split("</style>", 1)[1]
    page = re.sub(r'href="data:[^"]*"', "", body)  # the files have a column of that name
    assert "simulated" not in page.lower()


def test_clinical_cohort_says_that_there_are_no_images(written: dict[str, Path]) -> None:
    text = written["clinical"].read_text(encoding="utf-8")
    assert text.count("There are no images in this cohort") >= 3
    assert "Apparent figures only" in text
    assert 'class="chip caution">Apparent only' in text
    assert "Coefficients: li2014" in text
    assert "1.061" in text  # four significant digits


def test_held_out_rows_come_first_and_apparent_rows_are_grey(full_text: str) -> None:
    start = full_text.index('id="e0-1y-summary"')
    summary = full_text[start : full_text.index("</table>", start)]
    order = [
        summary.index(place)
        for place in ("internal, held out", "external cohort", "internal, apparent: not evidence of performance")
    ]
    assert order == sorted(order)
    assert 'class="muted' not in summary[: order[2]]
    rows = re.findall(r"<tr[^>]*>", summary[order[2] :])
    assert len(rows) == 5
    assert all('class="muted' in row for row in rows)


def test_figures_print_the_numbers_of_the_tables(full_text: str) -> None:
    roc = full_report().endpoints[0].rocs[5]
    assert (roc.model, roc.split) == ("pps_mlp", "held_out")
    assert f"PPS-MLP  {roc.auroc:.2f} (" in full_text
    assert f'<span class="estimate">{roc.auroc:.3f}</span>' in full_text


def test_no_row_about_one_patient(full: Path) -> None:
    for path in [full, *(full.parent / "data").iterdir()]:
        assert "SECRET" not in path.read_text(encoding="utf-8")


def test_lists_of_patients_become_counts() -> None:
    report = clinical_report()
    report.feature_set = {"name": "x-1", "patients_trained": ["internal/SECRET1", "internal/SECRET2"]}
    report.settings = {"seen_patients": ["internal/SECRET3"]}
    files = twin_files(report)
    text = render(report, files)
    assert "SECRET" not in text + "".join(files.values())
    assert "2 patients trained the encoder" in text


def test_equal_reports_give_equal_bytes(written: dict[str, Path], tmp_path: Path) -> None:
    folder = written["clinical"].parent
    code = (
        "import sys; from pathlib import Path; from hccfeat.report import write_report;"
        "from tests.report.sample import clinical_report; write_report(Path(sys.argv[1]), clinical_report())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(tmp_path / "m")}
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "again"], env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(names) > 10
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_typical_size_is_below_three_megabytes(full: Path) -> None:
    assert full.stat().st_size < 3 * 1_048_576


def test_every_part_has_a_sentence_help_data_and_its_state(full_text: str) -> None:
    blocks = full_text.split('<div class="block" id="')[1:]
    for key, prose in sections().items():
        parts = [part for part in blocks if re.match(rf'e\d-\dy-{key}"', part)]
        if key == "modalities":
            assert not parts
            continue
        assert parts, key
        assert prose["sentence"] in html.unescape(parts[0])
        assert '<details class="help"><summary>Help</summary><p>' in parts[0]
        assert all(f'<a href="#data">{name}</a>' in parts[0] for name in prose["files"])
        assert "<table" in parts[0] or "<figure" in parts[0]
    second = full_text[full_text.index('id="e1-2y-proportionality"') :]
    assert '<span class="chip caution">Caution: non-proportional hazards</span>' in second
    assert "its hazard ratio is an average over the follow-up" in second[: second.index("</ul>")]
    first = full_text[full_text.index('id="e0-1y-proportionality"') : full_text.index('id="e0-1y-competing"')]
    assert "chip" not in first


def test_prose_names_known_conditions_and_shipped_files() -> None:
    kinds = {kind for prose in sections().values() for kind in prose["kinds"]}
    assert kinds == set(CONDITION_LABELS)
    assert {name for prose in sections().values() for name in prose["files"]} <= set(FILES)


def test_conditions_are_listed_with_level_and_reason(full_text: str) -> None:
    start = full_text.index('<section id="conditions">')
    part = full_text[start : full_text.index("</section>", start)]
    assert '<span class="chip stop">1 stop</span>' in part
    rows = re.findall(r"<tr>.*?</tr>", part, re.DOTALL)
    assert "One class only" in rows[1]
    assert 'class="chip stop">Stop</span>' in rows[1]
    assert '<a href="#endpoint-1">Recurrence within 2 years</a>' in rows[1]


def test_every_kind_of_condition_is_shown_in_colour_with_its_reason() -> None:
    """In the list of all, and in the part of the endpoint that it is about, wherever that part is there."""
    report = clinical_report()
    levels = ("caution", "stop", "info")
    made = {
        kind: Notice(levels[k % 3], f"Met {kind}", f"Why {kind}", kind) for k, kind in enumerate(CONDITION_LABELS)
    }
    assert len(made) == 10
    report.endpoints[0].notices = list(made.values())
    text = html.unescape(render(report, {}))
    table = text[text.index('id="conditions-table"') :]
    rows = re.findall(r"<tr.*?</tr>", table[: table.index("</table>")], re.DOTALL)
    blocks = {re.match(r"e0-final-(\w+)", part)[1]: part for part in text.split('<div class="block" id="')[1:]}
    for kind, notice in made.items():
        (row,) = (row for row in rows if f"Met {kind}. Why {kind}" in row)
        assert CONDITION_LABELS[kind] in row
        assert f'<span class="chip {notice.level}">' in row
        places = [name for name, prose in sections().items() if kind in prose["kinds"] and name in blocks]
        assert places
        for name in places:
            assert f"<li><b>Met {kind}.</b> Why {kind}</li>" in blocks[name]
            assert re.search(r'<summary><span class="chip (stop|caution|info)">', blocks[name])


def test_authors_statement_guidelines_and_citations_have_their_places(full_text: str) -> None:
    for name in ("statement", "guidelines", "citations"):
        assert f'<section id="{name}">' in full_text
        assert f'<a href="#{name}">' in full_text
    assert re.search(r'<span class="chip (reported|partial|missing)">', full_text)
    assert re.search(r'<pre id="bibtex-1">@', full_text)


def test_patient_rows_are_left_out_unless_asked_for(full: Path, tmp_path: Path) -> None:
    assert not (full.parent / "data" / "predictions.csv").exists()
    report = clinical_report()
    report.endpoints[0].predictions = full_report().endpoints[0].predictions[:3]
    page = write_report(tmp_path, replace(report, patient_rows=True)).read_text(encoding="utf-8")
    assert "predictions.csv holds rows about single patients" in page
    assert "SECRET" not in page
    assert "internal/SECRET0000" in (tmp_path / "data" / "predictions.csv").read_text(encoding="utf-8")


def test_numbers_corrected_for_optimism_have_rows_of_their_own(written: dict[str, Path]) -> None:
    text = written["clinical"].read_text(encoding="utf-8")
    start = text.index('id="e0-final-summary"')
    summary = text[start : text.index("</table>", start)]
    corrected, apparent = (summary.index(f"li2014, {place}") for place in ("corrected", "apparent"))
    assert corrected < apparent
    assert '<span class="estimate">0.610</span>' in summary[corrected:apparent]
    assert 'class="muted"' not in summary[corrected:apparent]


def test_empty_study_still_reads() -> None:
    report = replace(
        clinical_report(), endpoints=[], cohorts=[], attrition=[], baseline=[], settings={}, versions={}
    )
    text = page_of(report)
    assert "No endpoint was analysed" in text
    assert Page(text).mistakes == []


def test_numbers_that_cannot_be_had_are_dashes_with_a_reason() -> None:
    report = clinical_report()
    result = report.endpoints[0]
    row = Metric("final", "li2014", "held_out", "new", "auroc", None, None, None, 4, 0, "one class")
    result.metrics = [row, replace(row, metric="c_index", estimate=float("nan"), lower=float("nan"))]
    none = np.zeros(0)
    curve = SurvivalCurve("low risk", none, none, none, none, none, none.astype(int), 0, 0, None)
    result.groups = [
        GroupComparison("new", "li2014", "held_out", float("nan"), (curve, curve), None, None, "no events")
    ]
    result.rocs = []
    result.hazard_ratios = [
        replace(result.hazard_ratios[0], hr=1e9, lower=0.0, upper=float("inf"), p=None),
        replace(result.hazard_ratios[0], hr=0.0, lower=0.0, upper=0.1),
    ]
    text = page_of(report)
    assert 'title="one class">–</span>' in text
    assert "no log-rank test" in text
    assert Page(text).mistakes == []
    assert ">nan" not in text.lower()


def test_a_full_disk_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_report(tmp_path, clinical_report())
    before = page.read_bytes()

    def full_disk(path: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, replace(clinical_report(), title="another"))
    assert page.read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_cautions_are_named_on_top_and_told_in_their_section() -> None:
    report = clinical_report()
    long = "Risk per SD of some model: only 1 event; " * 12
    report.endpoints[0].notices = [Notice("caution", "Few events", long), Notice("stop", "No judges", "None.")]
    text = page_of(report)
    top, section = text.split('<section id="conditions">')
    assert '<b>Few events</b> (<a href="#endpoint-0">Recurrence at last follow-up</a>)' in top
    assert long not in top
    assert long in section
    assert "Recurrence at last follow-up: No judges." in top
    assert 'class="chip stop">Stop' in section
