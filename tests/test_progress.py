"""A bar inside another is a second line of the same display: a terminal has one."""

from collections.abc import Iterator

import pytest

from hccfeat import progress


@pytest.fixture(autouse=True)
def _loud(_quiet_progress: None) -> Iterator[None]:
    progress.set_quiet(False)
    yield
    progress.set_quiet(True)


def test_bars_inside_bars_share_the_display(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("Outside", 2) as outside:
        display = progress._shown
        assert display is not None
        with progress.progress_bar("Inside", 3) as inside:
            assert progress._shown is display
            inside(2, note="half")
        outside()
        assert [(task.description, task.completed, task.total) for task in display.tasks] == [
            ("Outside", 1, 2),
            ("Inside", 2, 3),
        ]
    assert progress._shown is None
    shown = capsys.readouterr()
    assert "Inside" in shown.err
    assert shown.out == ""


def test_an_error_closes_the_display() -> None:
    with pytest.raises(ValueError, match="stop"), progress.progress_bar("Work", 1):
        raise ValueError("stop")
    assert progress._shown is None
    with progress.progress_bar("Again", 1) as advance:
        advance()


def test_quiet_bars_and_bars_of_nothing_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("Nothing", 0) as advance:
        advance()
    progress.set_quiet(True)
    with progress.progress_bar("Quiet", 3) as advance:
        advance()
    assert capsys.readouterr().err == ""
