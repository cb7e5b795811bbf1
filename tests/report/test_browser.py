"""The page in a real browser, with the network unreachable."""

import io
import re
import zipfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.report.browser import CHROMIUM, acted, axe_script, browse, framed
from tests.report.pdf_file import pdf_objects
from tests.report.sample import full_report

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (apt-get install chromium)"),
]

USER = """
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const seen = {};
const saved = [];
const urls = new Map();
const made = URL.createObjectURL;
URL.createObjectURL = (blob) => { const url = made(blob); urls.set(url, blob); return url; };
HTMLAnchorElement.prototype.click = function () { saved.push([this.download, urls.get(this.href)]); };
const encoded = (blob) => new Promise((resolve) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.split(",")[1]);
  reader.readAsDataURL(blob);
});
const until = async (ready) => {
  for (let i = 0; i < 1200 && !ready(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
};
const press = (text, root) => all("button", root).find((button) => button.textContent === text).click();
"""


@pytest.mark.parametrize("name", ["clinical", "hostile"])
def test_opens_without_console_messages(written: dict[str, Path], name: str, tmp_path: Path) -> None:
    dom, console = browse(written[name], tmp_path, "--dump-dom")
    assert console == []
    assert dom.count("<script") == 1
    assert dom.count("Save this figure as SVG") == dom.count('<figure class="card') > 0


def test_reads_without_javascript(full: Path, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    frame = framed(full, tmp_path, 1280, 'sandbox=""')
    _, console = browse(frame, tmp_path / "profile", f"--screenshot={shot}", "--window-size=1280,1500")
    assert console
    assert all("Blocked script execution" in line for line in console)
    pixels = np.asarray(Image.open(shot).convert("L")).astype(float)
    assert pixels[100:, :230].std() > 5  # the contents are open
    assert pixels[100:, 300:].std() > 10


@pytest.fixture(scope="module")
def used(full: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a user saw who sorted, searched, chose columns, read curves, switched them, saved and set things."""
    folder = tmp_path_factory.mktemp("used")
    script = (
        USER
        + """(async () => {
      const box = one("#e0-1y-summary"), kit = box.previousElementSibling, table = one("table", box);
      const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
      const column = () => [...body.rows].slice(1, 6).map((row) => row.cells[3].firstChild.textContent);
      one("button", heads[3]).click(); seen.up = column();
      one("button", heads[3]).click(); seen.down = column(); seen.sort = heads[3].ariaSort;
      const search = one("input[type=search]", kit);
      const shown = () => [...body.rows].filter((row) => !row.hidden).map((row) => row.cells[0].textContent);
      search.value = "external xgboost"; search.dispatchEvent(new Event("input"));
      seen.found = shown(); seen.said = one("[role=status]", kit).textContent;
      search.value = ""; search.dispatchEvent(new Event("input"));
      const recall = heads.findIndex((head) => head.textContent === "Recall");
      const choice = all(".choice input", kit)[recall - 1];
      seen.recall = [heads[recall].hidden, body.rows[1].cells[recall].hidden, choice.checked];
      choice.click(); seen.recall.push(heads[recall].hidden, body.rows[1].cells[recall].hidden);
      press("CSV", kit);

      const card = one("#e0-1y-km-0"), svg = one("svg.plot", card), slider = one("input[type=range]", card);
      seen.tabs = all(".tabs button", card.closest(".block")).map((button) => button.ariaPressed);
      slider.value = 50; slider.dispatchEvent(new Event("input"));
      seen.read = all(".read tr", card).map((row) => [...row.cells].map((cell) => cell.textContent));
      seen.caption = one(".read caption", card).textContent;
      seen.spoken = slider.getAttribute("aria-valuetext");
      seen.crosses = all(".cross", svg).length;
      slider.dispatchEvent(new Event("blur")); seen.gone = [one(".read", card).hidden, all(".cross", svg).length];
      const frame = svg.getBoundingClientRect();
      const point = { clientX: frame.left + frame.width * 0.6, clientY: frame.top + 90, bubbles: true };
      svg.dispatchEvent(new PointerEvent("pointermove", point)); seen.hover = !one(".read", card).hidden;
      const off = () => all('[data-s="1"]', svg).map((part) => getComputedStyle(part).display === "none");
      seen.before = off();
      press("high risk", card); seen.switched = off();
      press("95 % intervals", card);
      seen.bands = all("[data-band]", svg).every((part) => getComputedStyle(part).display === "none");
      press("SVG", card); press("CSV", card); press("PDF", card); press("PNG", card);
      const odd = one("#e0-1y-calibration-0");
      all("text", odd).find((text) => text.textContent === "Predicted risk").textContent = "风险 ≥ 0.5";
      press("PDF", odd);

      one("#toolbox-open").click();
      seen.focus = document.activeElement.id;
      one('[data-show="1"]').click(); one('[data-mark="0"]').click();
      seen.rows = shown();
      seen.marked = all("tr.marked", table).map((row) => row.cells[0].textContent);
      const roc = one("#e0-1y-roc-0 svg.plot");
      seen.lines = [0, 1, 2].map((i) => one('[data-s="' + i + '"]', roc).classList.value);
      seen.hidden = all("figure.card[data-m]").filter((figure) => figure.hidden).map((figure) => figure.dataset.m);
      one("#toolbox-save").click(); seen.stored = one("#toolbox-said").textContent;
      one("#theme").click(); seen.theme = document.documentElement.dataset.theme;
      one("#toolbox-export").click();
      one("#toolbox-format").value = "pdf"; one("#toolbox-export").click();
      await until(() => ["svg.zip", "pdf.zip", "png"].every((kind) => saved.some(([name]) => name.endsWith(kind))));
      one("#toolbox-reset").click();
      seen.reset = [shown().length, all(".marked").length, document.documentElement.dataset.theme || ""];
      one("#toolbox").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
      seen.closed = [one("#toolbox").hidden, document.activeElement.id];
      const label = one("[data-copy=methods-text]").textContent;
      one("[data-copy=methods-text]").click();
      await until(() => one("[data-copy=methods-text]").textContent !== label);
      seen.copied = one("[data-copy=methods-text]").textContent;
      seen.files = {};
      for (const [name, blob] of saved) seen.files[name] = await encoded(blob);
      return seen;
    })()"""
    )
    found, console = acted(full, folder / "profile", script)
    assert console == []
    return dict(found)


def test_a_click_sorts_within_groups(used: dict[str, Any]) -> None:
    assert len(used["up"]) == 5
    assert used["up"] == sorted(used["up"], key=float)
    assert used["down"] == used["up"][::-1]
    assert used["sort"] == "descending"


def test_search_keeps_matching_rows_and_their_group(used: dict[str, Any]) -> None:
    assert used["found"] == ["external cohort", "XGBoost"]
    assert used["said"] == "1 of 15 rows"


def test_columns_are_chosen_and_saved_as_shown(used: dict[str, Any]) -> None:
    assert used["recall"] == [True, True, False, False, False]
    lines = b64decode(used["files"]["e0-1y-summary.csv"]).decode().splitlines()
    assert lines[0].startswith("group,Model,n,Events,AUROC,")
    assert lines[0].endswith(",Recall")
    assert "Accuracy" not in lines[0]
    assert len(lines) == 16
    assert re.match(r'"internal, held out",[^,]+,73,\d+,0\.\d{3} \(0\.\d\d–0\.\d\d\),', lines[1])


def test_curves_are_read_out_as_they_are(used: dict[str, Any]) -> None:
    group = next(g for g in full_report().endpoints[0].groups if (g.model, g.split) == ("pps_mlp", "held_out"))
    end = max(float(curve.times[-1]) for curve in group.curves)
    assert used["caption"] == f"Months {end / 2:.1f}"
    for row, curve in zip(used["read"][1:], group.curves, strict=True):
        at = int(np.searchsorted(curve.times, end / 2, side="right")) - 1
        assert curve.step_at_risk is not None
        assert curve.step_events is not None
        assert row[0] == curve.label
        assert row[1].startswith(f"{100 * curve.survival[at]:.1f} % (")
        assert row[2] == str((curve.step_at_risk[curve.times >= end / 2])[0])
        assert row[3] == str(curve.step_events[: at + 1].sum())
        assert f"{row[0]} {row[1]} at risk {row[2]} events {row[3]}" in used["spoken"]
    assert used["crosses"] == 3
    assert used["gone"] == [True, 0]
    assert used["hover"] is True


def test_switches_hide_curves_bands_and_their_legend(used: dict[str, Any]) -> None:
    assert used["tabs"] == ["true", *["false"] * 5]
    assert not any(used["before"])
    assert len(used["switched"]) > 5
    assert all(used["switched"])
    assert used["bands"] is True


def test_figures_are_saved_alone_as_svg_png_and_numbers(used: dict[str, Any]) -> None:
    files = {name: b64decode(data) for name, data in used["files"].items()}
    svg = files["e0-1y-km-0.svg"].decode()
    assert "xmlns=" in svg
    assert "var(" not in svg
    assert "data-plot" not in svg
    assert 'data-s="1"' not in svg  # switched off before
    assert "class=" not in svg
    assert svg.count("stroke: #0072b2") > 1
    assert Image.open(io.BytesIO(files["e0-1y-km-0.png"])).size[0] > 1000
    lines = files["e0-1y-km-0.csv"].decode().splitlines()
    assert lines[0] == "panel,series,Months,Event-free,lower,upper,at risk,events"
    group = next(g for g in full_report().endpoints[0].groups if (g.model, g.split) == ("pps_mlp", "held_out"))
    assert len(lines) == 1 + sum(len(curve.times) for curve in group.curves)


def test_a_figure_is_saved_as_a_pdf_of_lines_and_words(used: dict[str, Any]) -> None:
    files = {name: b64decode(data) for name, data in used["files"].items()}
    objects = pdf_objects(files["e0-1y-km-0.pdf"])
    svg = files["e0-1y-km-0.svg"].decode()
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    assert size is not None
    assert sum(b"/Type /Page " in one for one in objects) == 1
    assert f"/MediaBox [0 0 {size[1]} {size[2]}]".encode() in objects[2]
    drawn = objects[3].decode("ascii")
    runs = re.findall(r"/F(\d) [\d.]+ Tf <([0-9a-f]+)> Tj", drawn)
    words = [(font, bytes.fromhex(word).decode("cp1252")) for font, word in runs]
    shown = {word for _, word in words}
    assert {"Months", "Event-free", "100%", "low risk"} <= shown
    assert "high risk" not in shown  # switched off before
    assert [word for font, word in words if font == "3"] == ["c"]  # chi in the font of symbols
    assert "0 0.45 0.7 RG 1.8 w" in drawn  # the curve, in the colour of the light page
    assert drawn.count("q\n") == drawn.count("\nQ") == svg.count("<path") + svg.count("<text") + svg.count("<g ")
    assert not any(b"/ImageMask" in one for one in objects)


def test_words_that_no_font_of_a_pdf_has_are_drawn_as_a_stencil(used: dict[str, Any]) -> None:
    objects = pdf_objects(b64decode(used["files"]["e0-1y-calibration-0.pdf"]))
    (stencil,) = (one for one in objects if b"/ImageMask true" in one)
    wide, high = (int(re.search(rf"/{name} (\d+)".encode(), stencil)[1]) for name in ("Width", "Height"))
    bits = bytes.fromhex(stencil.split(b"stream\n")[1].split(b">")[0].decode())
    assert len(bits) == wide * high / 8
    assert 0.02 < sum(byte.bit_count() for byte in bits) / (8 * len(bits)) < 0.6
    assert b"/I1 Do" in objects[3]


def test_toolbox_hides_marks_exports_and_resets(used: dict[str, Any]) -> None:
    assert used["focus"] == "toolbox-close"
    assert "Clinical logistic" not in used["rows"]
    assert used["marked"] == ["PPS-MLP"] * 3
    assert [re.sub(r"^k\d+ ?", "", line) for line in used["lines"]] == ["", "off dim", "dim"]
    assert set(used["hidden"]) == {"1"}
    assert used["stored"]
    archive = zipfile.ZipFile(io.BytesIO(b64decode(used["files"]["figures-svg.zip"])))
    assert archive.testzip() is None
    assert len(archive.namelist()) > 30
    assert archive.read("e0-1y-roc-0.svg").startswith(b"<svg")
    papers = zipfile.ZipFile(io.BytesIO(b64decode(used["files"]["figures-pdf.zip"])))
    assert len(papers.namelist()) == len(archive.namelist())
    assert all(pdf_objects(papers.read(name)) for name in papers.namelist())
    assert used["reset"] == [18, 0, ""]
    assert used["closed"] == [True, "toolbox-open"]
    assert used["copied"] in ("Copied", "Selected: press Ctrl+C")


def test_policy_refuses_foreign_scripts(written: dict[str, Path], tmp_path: Path) -> None:
    text = written["clinical"].read_text(encoding="utf-8")
    text = text.replace("</body>", '<script>document.title = "taken"</script></body>')
    copy = tmp_path / "injected.html"
    copy.write_text(text, encoding="utf-8")
    dom, console = browse(copy, tmp_path / "profile", "--dump-dom")
    assert "<title>taken" not in dom
    assert any("Content Security Policy" in line for line in console)


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_fits_its_window(full: Path, tmp_path: Path, width: int, dark: bool) -> None:
    frame = framed(full, tmp_path, width)
    shot = tmp_path / "shot.png"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    flags = [f"--screenshot={shot}", f"--window-size={max(width, 600)},1500", *scheme]
    browse(frame, tmp_path / "profile", *flags)
    pixels = np.asarray(Image.open(shot).convert("RGB"))[:, :width].astype(float)
    assert pixels[8, width // 3, 0] > 120 > pixels[8, width // 3, 2]  # the banner
    background = np.median(pixels[200:].mean(axis=2))
    assert background < 60 if dark else background > 220
    assert pixels[200:].std() > 10


def test_prints_on_a4(written: dict[str, Path], tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    browse(written["clinical"], tmp_path / "profile", f"--print-to-pdf={paper}")
    content = paper.read_bytes()
    boxes = {tuple(round(float(x)) for x in box.split()) for box in re.findall(rb"/MediaBox ?\[([^]]*)\]", content)}
    assert boxes == {(0, 0, 595, 842)}
    assert 5 < content.count(b"/Type /Page\n") < 40


def test_has_no_serious_accessibility_finding(full: Path, tmp_path: Path) -> None:
    script = (
        USER
        + axe_script().read_text(encoding="utf-8")
        + """(async () => {
      all(".endpoint ~ .endpoint").forEach((section) => section.remove());
      // Rows and figures of one kind are alike: the first ones, and a grey row, stand for all of them.
      all("tbody").forEach((body) => {
        const grey = one(".muted", body);
        [...body.rows].slice(6).forEach((row) => { if (row !== grey) row.remove(); });
      });
      all(".grid").forEach((grid) => [...grid.children].slice(2).forEach((card) => card.remove()));
      all("details").forEach((fold) => { fold.open = true; });
      one("#toolbox-open").click();
      const found = [];
      for (const theme of ["light", "dark"]) {
        document.documentElement.dataset.theme = theme;
        const rules = theme === "dark" ? { runOnly: ["color-contrast"] } : {};
        const run = await axe.run({ exclude: ["svg.plot > *"] }, { resultTypes: ["violations"], ...rules });
        run.violations.forEach(({ impact, id, nodes }) => found.push(
          [theme, impact, id, nodes.length, nodes[0].html.slice(0, 300), nodes[0].failureSummary]));
      }
      return found;
    })()"""
    )
    found, _ = acted(full, tmp_path / "profile", script)
    assert [one for one in found if one[1] in ("serious", "critical")] == []
