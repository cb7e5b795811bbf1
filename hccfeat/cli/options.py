"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

PARTIAL = 3
"""Exit status of a command that did part of what it was asked for and listed the rest."""

StudyOption = Annotated[Path, typer.Option("--study", help="Study folder.", show_default="current folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
