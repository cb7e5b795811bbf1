"""Sharing cores: every item once, in order, never more threads at work than cores, errors of the first."""

import threading
import time
from collections.abc import Callable

import pytest

from hccfeat.cores import Shares, one_core, shared_cores, spread


class Crowd:
    """Counts how many threads are inside at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = 0
        self.threads: set[int] = set()

    def visit(self, item: int) -> int:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.threads.add(threading.get_ident())
        time.sleep(0.005)
        with self.lock:
            self.inside -= 1
        return item * item


def test_without_shared_cores_nobody_helps() -> None:
    crowd = Crowd()
    assert spread(crowd.visit, range(6)) == [0, 1, 4, 9, 16, 25]
    assert crowd.threads == {threading.get_ident()}
    assert spread(crowd.visit, []) == []


def test_idle_cores_help_and_are_never_exceeded() -> None:
    crowd = Crowd()
    with shared_cores(3), one_core():
        assert spread(crowd.visit, range(30)) == [item * item for item in range(30)]
    assert crowd.most == 3
    crowd = Crowd()
    with shared_cores(1), one_core():
        assert len(spread(crowd.visit, range(8))) == 8
    assert crowd.most == 1


def test_several_images_share_what_there_is() -> None:
    crowd, done = Crowd(), []

    def image(take_part: Callable[[], object]) -> None:
        take_part()
        with one_core():
            done.append(spread(crowd.visit, range(20)))

    with shared_cores(2) as take_part:
        images = [threading.Thread(target=image, args=(take_part,)) for _ in range(4)]
        for thread in images:
            thread.start()
        for thread in images:
            thread.join()
    assert done == [[item * item for item in range(20)]] * 4
    assert crowd.most == 2


def test_extractions_in_two_threads_share_no_cores() -> None:
    """One begins before the other and ends before it; neither leaves anything behind."""
    begun, ended, crowd = threading.Event(), threading.Event(), Crowd()

    def first() -> None:
        with shared_cores(3):
            begun.set()
            ended.wait(20)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(20)
    with shared_cores(2), one_core():
        ended.set()
        thread.join()
        spread(crowd.visit, range(20))
    assert crowd.most == 2
    test_without_shared_cores_nobody_helps()


def test_the_first_error_is_raised_and_the_rest_left_out() -> None:
    started = []

    def fail(item: int) -> None:
        started.append(item)
        if item in (2, 3):
            raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 2"):
        spread(fail, range(100))
    assert started == [0, 1, 2]
    with shared_cores(4), one_core():
        with pytest.raises(ValueError, match="item"):
            spread(fail, range(100))
        assert spread(str, range(3)) == ["0", "1", "2"]  # every core was given back


def test_time_is_counted_by_name() -> None:
    shares = Shares({"decode": 1.0})
    with shares.of("stain"):
        time.sleep(0.01)
    with shares.of_reading():
        time.sleep(0.02)
    with shares.of_reading():
        sum(range(20_000))
    seconds = shares.seconds()
    assert seconds["stain"] >= 0.01
    assert seconds["read"] >= 0.015  # sleeping waits
    assert seconds["decode"] > 1.0
