"""The wheel works outside the checkout: it carries sql/, data_catalog/ and reports/."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    site = next((bare / "lib").glob("python*")) / "site-packages"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
    ]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True, capture_output=True)
    # The dependencies are lent by the environment of the tests, without its editable hccfeat.
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_paths()["purelib"]}
    run = [str(bare / "bin" / "python"), "-P", "-c"]
    where = "import hccfeat, hccfeat.resources as r; print(hccfeat.__file__, r.resource_folder('sql'))"
    # site-packages of the bare environment must win over the lent ones.
    code = f"import sys; sys.path.insert(0, {str(site)!r}); "
    found = subprocess.run(
        [*run, code + where], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout.split()
    assert all(path.startswith(str(bare)) for path in found), found
    for arguments in (
        ["init", "--study", "s"],
        ["sql", "SELECT count(*) AS n FROM patient", "--study", "s", "--format", "csv"],
    ):
        done = subprocess.run(
            [*run, code + f"from hccfeat.cli import main; sys.exit(main({arguments!r}))"],
            cwd=tmp_path, env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert done.stdout == "n\n0\n"
