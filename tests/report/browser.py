"""Driving a real browser from the command line, with the network unreachable."""

import json
import os
import shutil
import subprocess
from importlib.metadata import files
from pathlib import Path
from typing import Any, BinaryIO

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),
)


def axe_script() -> Path:
    """The accessibility checker; its package is installed for this one file."""
    found = next(one for one in files("axe-core-python") or () if one.name == "axe.min.js")
    return Path(str(found.locate()))


def browse(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """Return what the browser prints, and the messages on its console."""
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def framed(page: Path, folder: Path, width: int, sandbox: str = "") -> Path:
    """A page that shows another one at a given width: headless windows are never narrower than 500 px."""
    frame = folder / "frame.html"
    style = f"width:{width}px;height:1500px;border:0"
    frame.write_text(f'<body style="margin:0"><iframe {sandbox} src="{page.as_uri()}" style="{style}"></iframe>')
    return frame


def acted(page: Path, profile: Path, script: str, width: int = 1300) -> tuple[Any, list[str]]:
    """Open a page and act on it as a user would; return what the script's promise resolves to, and the console.

    The browser is told what to do by its DevTools protocol through two pipes (3 and 4 of its file descriptors).
    """
    to_browser, from_browser = os.pipe(), os.pipe()

    def connect() -> None:
        ends = os.dup(to_browser[0]), os.dup(from_browser[1])  # the pipes may have 3 and 4 themselves
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    flags = [f"--user-data-dir={profile}", f"--window-size={width},1000", "--remote-debugging-pipe"]
    with subprocess.Popen(
        [CHROMIUM, *FLAGS, *flags], preexec_fn=connect, close_fds=False, stderr=subprocess.DEVNULL
    ) as browser:
        os.close(to_browser[0])
        os.close(from_browser[1])
        with os.fdopen(to_browser[1], "wb") as writer, os.fdopen(from_browser[0], "rb") as reader:
            tab = Tab(writer, reader)
            try:
                tab.open(page)
                seen = tab.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
                return seen, tab.console
            finally:
                browser.kill()


class Tab:
    """One page of a browser that is driven through pipes."""

    def __init__(self, writer: BinaryIO, reader: BinaryIO) -> None:
        self.writer, self.reader = writer, reader
        self.console: list[str] = []
        self.events: set[str] = set()
        self.session = ""
        self.sent = 0

    def open(self, page: Path) -> None:
        """Load the page and wait until it is complete."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=page.as_uri())
        while "Page.loadEventFired" not in self.events:
            self._next()

    def call(self, method: str, **params: Any) -> Any:
        """Send one command and return its result."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.writer.write(json.dumps(message).encode() + b"\0")
        self.writer.flush()
        while (answer := self._next()).get("id") != self.sent:
            pass
        assert "error" not in answer, answer
        result = answer["result"]
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value") if method == "Runtime.evaluate" else result

    def _next(self) -> dict[str, Any]:
        """Next message; what the console got is kept."""
        text = bytearray()
        while (byte := self.reader.read(1)) != b"\0":
            assert byte, "the browser ended"
            text += byte
        message: dict[str, Any] = json.loads(text)
        self.events.add(str(message.get("method")))
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.console.append(json.dumps(message["params"]))
        return message
