"""The page in a real browser, where one is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sweeper.report import make_report
from sweeper.study.record import rank
from tests.reporting import fabricated

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("/usr/bin/chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--enable-logging=stderr", "--window-size=1280,1000",
)  # fmt: skip
UNHURRIED = "--virtual-time-budget=20000"  # the page is looked at when nothing is left to do
PRINT = "dispatchEvent(new Event('beforeprint'))"
MANY_CLASSES = 58
BEARABLE = 15_000  # milliseconds: five times what is promised, for a machine that does other things too

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def dump(page: Path, folder: Path, *flags: str) -> str:
    """The page's elements as the browser has them in the end; its console must have stayed silent."""
    command = [BROWSER, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert "CONSOLE" not in done.stderr
    return done.stdout


def counted(dom: str) -> tuple[int, int]:
    """Pictures that the page says it has drawn, and those that plotly has."""
    told = re.search(r'data-drawn="(\d+)"', dom)
    assert told
    return int(told[1]), len(re.findall(r'class="plot[^"]*js-plotly-plot', dom))


def printed(page: Path, folder: Path) -> Path:
    """A copy that is about to be printed once its wide pictures stand."""
    script = f"<script>addEventListener('load', () => setTimeout(() => {PRINT}, 9000))</script></body>"
    copy = folder / "printed.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> Path:
    """The page of 200 trials on 58 classes, a grid, with a test report."""
    folder = tmp_path_factory.mktemp("crowd")
    table = fabricated.write_table(folder, rows=40 * MANY_CLASSES, classes=MANY_CLASSES)
    config, runs = fabricated.data_config(table), folder / "runs"
    settings = [(float(rate), size) for rate in np.logspace(-6, -2.3, 20) for size in range(16, 176, 16)]
    records = rank(fabricated.write_study(runs, "crowd", settings, config))
    fabricated.write_test_report(runs, "crowd", records[0].key, fabricated.load(config, runs))
    return make_report(runs, baseline=False)


@pytest.fixture(scope="module")
def pruned(study, tmp_path_factory) -> Path:
    """A page with pruned trials, one of which has no final score."""
    runs = tmp_path_factory.mktemp("pruned")
    pair = [(2e-5, 64), (1e-5, 64)]
    fabricated.write_study(runs, "pruned", pair, study.config, state="pruned", stopped_by="overfit")
    more = {"state": "pruned", "stopped_by": "median in pruned/lr@1", "overfit_reached": False}
    fabricated.write_study(runs, "pruned", [(1e-6, 64)], study.config, **more)
    return make_report(runs, baseline=False)


@pytest.mark.parametrize("which", ["classes", "regression", "pruned"])
def test_every_figure_is_drawn_for_print_and_the_console_stays_silent(which, request, tmp_path):
    if which == "regression":
        page = make_report(request.getfixturevalue("regression_study").runs, output=tmp_path / "r.html", baseline=False)
    else:
        page = request.getfixturevalue({"classes": "page_file"}.get(which, which))
    places = page.read_text(encoding="utf-8").count("data-figure=")
    assert counted(dump(printed(page, tmp_path), tmp_path, UNHURRIED)) == (places, places)


def test_a_trials_own_picture_waits_until_it_is_looked_at(page_file, tmp_path):
    wide = page_file.read_text(encoding="utf-8").count('<figure class="wide">')
    dom = dump(page_file, tmp_path, UNHURRIED)
    assert counted(dom) == (wide, wide)
    assert dom.count('class="modebar ') == wide  # with plotly's own buttons
    drawn, found = counted(dump(page_file, tmp_path, UNHURRIED, "--window-size=1280,12000"))
    assert drawn == found > wide


def test_two_hundred_trials_of_58_classes_open_quickly_and_stay_small(crowd, tmp_path):
    text = crowd.read_text(encoding="utf-8")
    assert len(text.encode()) < 6e6
    assert "heatmap" in text
    assert text.count("setTimeout(next)") == 1
    # With virtual time no time passes, and without it the page is looked at once it is loaded: so draw all before.
    at_once = tmp_path / "at_once.html"
    at_once.write_text(text.replace("setTimeout(next)", "queueMicrotask(next)"), encoding="utf-8")
    opened = re.search(r'data-opened="(\d+)"', dump(at_once, tmp_path))
    assert opened
    assert 0 < int(opened[1]) < BEARABLE
