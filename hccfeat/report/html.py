"""The study report: one self-contained HTML file and its machine-readable twin."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hccfeat.analysis.results import StudyReport
from hccfeat.files import write_text_atomically
from hccfeat.report.compact import share_looks
from hccfeat.report.twin import twin_files, write_twin
from hccfeat.report.view import page_view
from hccfeat.resources import resource_folder


def write_report(folder: Path, report: StudyReport) -> Path:
    """Write ``index.html`` and ``data/`` of one analysis.

    The page needs no network, no JavaScript and no other file; it shows no row about one patient. Equal
    reports give equal bytes.

    Parameters
    ----------
    folder : Path
        Made if missing; files of an earlier report are replaced one by one.
    report : StudyReport
        What ``analyze`` found.

    Returns
    -------
    Path
        The page, ``folder/index.html``.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    """
    files = twin_files(report)
    text = render(report, files)
    write_twin(folder / "data", files)
    page = folder / "index.html"
    write_text_atomically(page, text)
    return page


def render(report: StudyReport, files: dict[str, str]) -> str:
    """Return the page as text; ``files`` is the twin of :func:`hccfeat.report.twin.twin_files`."""
    return fill_template("report.html.j2", page_view(report, files))


def fill_template(name: str, context: Mapping[str, Any]) -> str:
    """Fill a page of ``reports/`` with its context, the style sheet, the script and the policy; text is escaped."""
    reports = resource_folder("reports")
    environment = Environment(
        loader=FileSystemLoader(reports),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    script = "".join((reports / name).read_text(encoding="utf-8") for name in ("pdf.js", "report.js"))
    page = environment.get_template(name).render(
        context,
        styles=Markup((reports / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=content_security_policy(script),
    )
    return share_looks(page)


def content_security_policy(script: str) -> str:
    """Return the page's policy: nothing may be loaded, and only the page's own script runs.

    Browsers that know script hashes ignore ``'unsafe-inline'`` and so refuse every other script.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'unsafe-inline' 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
