"""The page in a real browser, where one is installed."""

from pathlib import Path

import numpy as np
import pytest

from sweeper.report import make_report
from sweeper.study.record import rank
from tests.chromium import BROWSER, Page
from tests.reporting import fabricated

OPENED = "Number(document.documentElement.dataset.opened)"  # milliseconds until every wide picture stood
TOLD = "Number(document.documentElement.dataset.drawn)"
FOUND = "document.querySelectorAll('.plot.js-plotly-plot:has(.main-svg)').length"
MANY_CLASSES = 58
BEARABLE = 15_000  # milliseconds: five times what is promised, for a machine that does other things too

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser():
    with Page() as opened:
        yield opened


@pytest.fixture
def tab(browser):
    """A tab, whose console must have stayed silent in the end."""
    browser.console.clear()
    browser.resize(1280, 1000)
    yield browser
    assert not browser.console


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
def test_every_figure_is_drawn_for_print_and_the_console_stays_silent(which, request, tab, tmp_path):
    if which == "regression":
        page = make_report(request.getfixturevalue("regression_study").runs, output=tmp_path / "r.html", baseline=False)
    else:
        page = request.getfixturevalue({"classes": "page_file"}.get(which, which))
    places = page.read_text(encoding="utf-8").count("data-figure=")
    tab.open(page.as_uri())
    tab.wait(OPENED)
    tab.evaluate("void dispatchEvent(new Event('beforeprint'))")
    tab.wait(f"{FOUND} === {places} && {TOLD} === {places}")


def test_a_trials_own_picture_waits_until_it_is_looked_at(page_file, tab):
    wide = page_file.read_text(encoding="utf-8").count('<figure class="wide">')
    tab.open(page_file.as_uri())
    tab.wait(OPENED)
    assert (tab.evaluate(TOLD), tab.evaluate(FOUND)) == (wide, wide)
    assert tab.evaluate("document.querySelectorAll('.modebar').length") == wide  # with plotly's own buttons
    tab.evaluate("document.querySelector('.small').scrollIntoView()")
    tab.wait(f"{TOLD} > {wide} && {FOUND} === {TOLD}")


def test_two_hundred_trials_of_58_classes_open_quickly_and_stay_small(crowd, tab):
    text = crowd.read_text(encoding="utf-8")
    assert len(text.encode()) < 6e6
    assert "heatmap" in text
    tab.open(crowd.as_uri())
    assert 0 < tab.wait(OPENED) < BEARABLE
