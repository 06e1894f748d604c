"""A real browser for the tests and the documents' pictures: headless Chromium, told what to do over two pipes.

Chromium's own protocol (https://chromedevtools.github.io/devtools-protocol/) without a driver or a web socket:
`--remote-debugging-pipe` reads JSON messages from file descriptor 3 and writes them to 4, each ended by a zero byte.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-component-update", "--disable-background-networking", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 120  # seconds for anything at all, on a machine that does other things too


class Page:
    """One tab, as a context manager.

    Attributes:
        console: what the page's scripts and the browser complained about (warnings and errors), as "level: text".
    """

    def __init__(self, width: int = 1280, height: int = 1000) -> None:
        self.console: list[str] = []
        self._size, self._number, self._rest = (width, height), 0, b""

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        theirs_in, self._told = os.pipe()
        self._heard, theirs_out = os.pipe()
        command = [str(BROWSER), *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = ""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")
        self.resize(*self._size)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._told)
        os.close(self._heard)
        self._profile.cleanup()

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """Give the page another size in CSS pixels; `scale` device pixels each."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)

    def open(self, address: str) -> None:
        """Go to an address; returns when the navigation has begun: `wait` for what is to be seen."""
        self._ask("Page.navigate", url=address)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, as JSON has it."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> Any:
        """The expression's value once it is true, null and errors of a page that is not there yet aside."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if value := self.evaluate(f"(() => {{ try {{ return {condition} }} catch {{ return null }} }})()"):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {condition}; the page shows: {self.evaluate('document.body.innerText')!r}")

    def fill(self, field: str, text: str) -> None:
        """Type a text into an input, named by a JavaScript expression, as a person would."""
        self.evaluate(f"{field}.focus()")
        self._ask("Input.insertText", text=text)

    def screenshot(self, file: Path, of: str = "document.documentElement") -> None:
        """Save a picture (PNG) of one element, named by a JavaScript expression."""
        box = self.evaluate(f"(({{x, y, width, height}}) => ({{x, y, width, height}}))(({of}).getBoundingClientRect())")
        clip = {**box, "y": box["y"] + self.evaluate("scrollY"), "scale": 1}
        taken = self._ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(taken["data"]))

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": parameters, **session}
        os.write(self._told, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self) -> Mapping[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._heard, 1 << 20)
            assert piece, "Chromium ended"
            self._rest += piece
        first, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(first))

    def _note(self, event: Mapping[str, Any]) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.console.append(f"{told['type']}: {' '.join(str(a.get('value', a)) for a in told['args'])}")
            case "Runtime.exceptionThrown":
                self.console.append(f"exception: {told['exceptionDetails']}")
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.console.append(f"{told['entry']['level']}: {told['entry']['text']}")
