"""A headless Chromium, driven over a pipe by the protocol of its developer tools: nothing is needed but the browser.

The messages: https://chromedevtools.github.io/devtools-protocol/. Clicks are real ones, at the place where an element
is seen: what lies under something else, or off the page, cannot be clicked.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BINARY = shutil.which("chromium")
SECONDS = 60.0
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--lang=en-US",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_FIND = """
(selector, words, exact) => {
  const clean = text => (text || '').replace(/\\s+/g, ' ').trim();
  const fits = element => {
    if (words === null) return true;
    const texts = [element.innerText, element.getAttribute('aria-label'), element.getAttribute('placeholder')];
    return texts.map(clean).some(text => exact ? text === words : text.includes(words));
  };
  const seen = element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility !== 'hidden';
  };
  const found = [...document.querySelectorAll(selector)].filter(one => seen(one) && fits(one));
  return found.length ? found.reduce((best, one) => best.contains(one) ? one : best) : null;
}
"""
CLICKABLE = "button, a, [role=button], [role=menuitem], [role=tab], [role=checkbox], label, input, summary"


class Browser:
    """One browser with a profile of its own; ``page()`` opens a tab."""

    def __init__(self, profile: Path) -> None:
        assert BINARY is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def place() -> None:  # the browser reads from 3 and writes to 4
            given = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]
            os.dup2(given[0], 3)
            os.dup2(given[1], 4)

        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._log = (profile.parent / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            [BINARY, *_FLAGS, *root, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=place,  # noqa: PLW1509 - no other thread of ours holds a lock that it needs
            pass_fds=(3, 4),
            env={**os.environ, "HOME": str(profile.parent), "TZ": "Europe/Amsterdam"},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number = 0
        self._buffer = b""
        self._pages: dict[str, Page] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._write({"id": 0, "method": "Browser.close"})
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._out)
            os.close(self._in)
            self._log.close()

    def page(self, *, width: int = 1440, height: int = 900) -> Page:
        """A new tab of this size."""
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        self._pages[session] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        page.resize(width, height)
        return page

    def ask(self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None) -> Any:
        """What the browser answers to a command."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": dict(parameters or {})}
        self._write(message | ({"sessionId": session} if session else {}))
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._read(deadline - time.monotonic())
            assert answer is not None, f"{method} was not answered; see chromium.log"
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def listen(self, seconds: float) -> None:
        """Process the messages of the pages for a while."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()) is not None:
            pass

    def _write(self, message: Mapping[str, Any]) -> None:
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._out, content) :]

    def _read(self, seconds: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                return None
            content = os.read(self._in, 1 << 20)
            assert content, "the browser has gone; see chromium.log"
            self._buffer += content
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message and message.get("sessionId") in self._pages:
            self._pages[message["sessionId"]].add_event(message["method"], message["params"])
        return message


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.problems: list[str] = []
        """Errors of the console, exceptions, and answers that failed."""

    def ask(self, method: str, **parameters: Any) -> Any:
        """What the browser answers to a command about this tab."""
        return self._browser.ask(method, parameters, self._session)

    def add_event(self, method: str, parameters: Mapping[str, Any]) -> None:
        """Note a problem that the tab reports."""
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "assert"}:
            words = [str(each.get("value", each.get("description", ""))) for each in parameters["args"]]
            self.problems.append(f"console: {' '.join(words)}")
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            entry = parameters["entry"]
            self.problems.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Another size of the window."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, **features: str) -> None:
        """Media features, such as ``forced_colors="active"``; none: as they come."""
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=given)

    def go(self, address: str, *words: str) -> None:
        """Open an address, and wait until the words are seen."""
        self.ask("Page.navigate", url=address)
        for each in words:
            self.wait_for(each)

    def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self) -> str:
        """What is to be read on the page."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def until(self, script: str, *, seconds: float = SECONDS) -> Any:
        """Wait for an expression to be true."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"waited in vain for {script}\n{self.text()[:3000]}"
            self._browser.listen(0.1)
        return found

    def wait_for(self, words: str, *, seconds: float = SECONDS) -> None:
        """Wait until words are to be read, anywhere on the page."""
        self.until(f"document.body && document.body.innerText.includes({json.dumps(words)})", seconds=seconds)

    def settle(self, seconds: float = 0.7) -> None:
        """Let the page come to rest."""
        self._browser.listen(seconds)

    def click(self, words: str | None, selector: str = CLICKABLE, *, exact: bool = True) -> None:
        """Click where an element with these words is seen; waits for it."""
        x, y = self._place(words, selector, exact=exact)
        for kind, clicks in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 1)):
            button = "left" if clicks else "none"
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=clicks)
        self.settle(0.3)

    def write(self, words: str) -> None:
        """Write where the cursor is."""
        self.ask("Input.insertText", text=words)
        self.settle(0.2)

    def press(self, key: str, code: int) -> None:
        """Press a key, such as ``Enter`` (13)."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def _place(self, words: str | None, selector: str, *, exact: bool) -> tuple[float, float]:
        arguments = ", ".join(json.dumps(each) for each in (selector, words, exact))
        found = self.until(
            f"(() => {{ const one = ({_FIND})({arguments}); if (!one) return null;"
            "one.scrollIntoView({block: 'nearest'}); const box = one.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        return float(found[0]), float(found[1])

    def picture(self, path: Path, *, clip: tuple[int, int, int, int] | None = None, full: bool = False) -> None:
        """What is seen, as PNG or WebP by the name of the file; ``clip``: left, top, width and height."""
        options: dict[str, Any] = {"format": "png"}
        if path.suffix == ".webp":
            options = {"format": "webp", "quality": 82}
        if clip:
            options["clip"] = dict(zip(("x", "y", "width", "height"), clip, strict=True)) | {"scale": 1}
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=full, **options)
        path.write_bytes(base64.b64decode(answer["data"]))

    def printed(self) -> bytes:
        """The page as PDF, as it would be printed on A4."""
        answer = self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True)
        return base64.b64decode(answer["data"])


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """A browser that keeps its profile in a folder."""
    with Browser(folder / "profile") as browser:
        yield browser
