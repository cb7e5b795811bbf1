"""The page in a real browser, with the network unreachable."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (apt-get install chromium)")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),
)


def browse(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """Return what the browser prints, and the messages on its console."""
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("name", ["full", "clinical", "hostile"])
def test_opens_without_console_messages(written: dict[str, Path], name: str, tmp_path: Path) -> None:
    dom, console = browse(written[name], tmp_path, "--dump-dom")
    assert console == []
    assert dom.count("<script") == 1
    assert dom.count("Save this figure as SVG") == dom.count('<figure class="card') > 0


def framed(page: Path, folder: Path, width: int, sandbox: str = "") -> Path:
    """A page that shows another one at a given width: headless windows are never narrower than 500 px."""
    frame = folder / "frame.html"
    style = f"width:{width}px;height:1500px;border:0"
    frame.write_text(f'<body style="margin:0"><iframe {sandbox} src="{page.as_uri()}" style="{style}"></iframe>')
    return frame


def test_reads_without_javascript(full: Path, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    frame = framed(full, tmp_path, 1280, 'sandbox=""')
    _, console = browse(frame, tmp_path / "profile", f"--screenshot={shot}", "--window-size=1280,1500")
    assert console
    assert all("Blocked script execution" in line for line in console)
    pixels = np.asarray(Image.open(shot).convert("L")).astype(float)
    assert pixels[100:, :230].std() > 5  # the contents are open
    assert pixels[100:, 300:].std() > 10


def driven(page: Path, folder: Path, script: str) -> Path:
    """Copy a page, policy taken out, with a script that acts as a user would."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<meta http-equiv=.*?>", "", text, count=1)
    text = text.replace("</body>", f"<script>{script}</script></body>")
    copy = folder / "driven.html"
    copy.write_text(text, encoding="utf-8")
    return copy


def test_sorting_theme_and_saving_work(full: Path, tmp_path: Path) -> None:
    script = """
      const table = document.querySelector("#e0-1y-summary table");
      const heads = table.tHead.rows[0].cells;
      heads[1].querySelector("button").click();
      const values = () => [...table.tBodies[0].rows].slice(1, 6)
        .map((row) => row.cells[1].firstChild.textContent);
      const up = values().join(" ");
      heads[1].querySelector("button").click();
      document.getElementById("theme").click();
      let saved = "";
      HTMLAnchorElement.prototype.click = function () {
        saved = this.download + "|" + decodeURIComponent(this.href);
      };
      document.querySelector(".save button").click();
      document.body.dataset.seen = JSON.stringify({ up, down: values().join(" "), sort: heads[1].ariaSort,
        theme: document.documentElement.dataset.theme, name: saved.split("|")[0],
        alone: !saved.includes("var(") && saved.includes("xmlns=") });
    """
    dom, console = browse(driven(full, tmp_path, script), tmp_path / "profile", "--dump-dom")
    assert console == []
    seen = re.search(r'data-seen="([^"]*)"', dom)
    assert seen is not None
    text = seen[1].replace("&quot;", '"')
    values = {key: re.search(rf'"{key}":"([^"]*)"', text)[1].split() for key in ("up", "down")}  # type: ignore[index]
    assert len(values["up"]) == 5
    assert values["up"] == sorted(values["up"], key=float)
    assert values["down"] == values["up"][::-1]
    assert '"sort":"descending","theme":"dark","name":"e0-1y-roc-' in text
    assert '"alone":true' in text


def test_policy_refuses_foreign_scripts(full: Path, tmp_path: Path) -> None:
    text = full.read_text(encoding="utf-8").replace("</body>", '<script>document.title = "taken"</script></body>')
    copy = tmp_path / "injected.html"
    copy.write_text(text, encoding="utf-8")
    dom, console = browse(copy, tmp_path / "profile", "--dump-dom")
    assert "<title>taken" not in dom
    assert any("Content Security Policy" in line for line in console)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
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
