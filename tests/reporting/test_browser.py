"""The page in a real browser, where one is installed."""

import re
import shutil
import subprocess

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=20000",
)  # fmt: skip

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def test_every_figure_is_drawn_and_the_console_stays_silent(page_file, tmp_path):
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", page_file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    places = page_file.read_text(encoding="utf-8").count("data-figure=")
    drawn = re.search(r'data-drawn="(\d+)"', done.stdout)
    assert drawn
    assert int(drawn[1]) == places
    assert len(re.findall(r'class="plot[^"]*js-plotly-plot', done.stdout)) == places
    assert "CONSOLE" not in done.stderr
