"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

PARTIAL = 3
"""Exit status of a command that did part of what it was asked for and listed the rest."""

MOST_SECONDS = 1_000_000
"""Largest limit of time that a command takes: more than eleven days."""

StudyOption = Annotated[Path, typer.Option("--study", help="Study folder.", show_default="current folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
