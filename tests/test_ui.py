"""MLflow's pages in a real browser: what a person who compares the runs of a sweep there sees."""

import json
import urllib.parse

import pytest

from tests.chromium import BROWSER, Page
from tests.command_line import records
from tests.faults.servers import MlflowServer
from tests.mlflow_pages import open_runs, show_metrics

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

MLFLOWS_OWN = ("AG Grid: ", "ResizeObserver loop", "WebGL", "GL Driver", "404 (Not Found)")  # on an empty server too


@pytest.fixture(scope="module")
def server(swept, tmp_path_factory):
    """MLflow on the sweep's own database, as `make ui` serves it."""
    started = MlflowServer(tmp_path_factory.mktemp("mlflow"), f"sqlite:///{swept[0]}/runs/mlflow.db")
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def browser():
    with Page(2200, 1200) as opened:
        yield opened


@pytest.fixture
def page(browser):
    browser.console.clear()
    yield browser
    assert not [text for text in browser.console if not any(known in text for known in MLFLOWS_OWN)]


def shows(*texts: str) -> str:
    """The JavaScript condition that all of these stand on the page."""
    return f"{json.dumps(texts)}.every(text => document.body.innerText.includes(text))"


def test_the_runs_are_listed_sorted_by_accuracy_at_the_overfitting_point(page, server, swept):
    open_runs(page, server)
    best_first = sorted(records(swept[0]), key=lambda record: -record.score)
    names = [f"lr={record.varied['lr']} bs=8" for record in best_first]
    page.wait(shows(*names, "Sort: at_overfit.val_accuracy"))
    text = page.evaluate("document.body.innerText")
    assert best_first[0].score > best_first[1].score
    assert text.index(names[0]) < text.index(names[1])


def test_the_curves_of_all_runs_are_drawn_in_one_picture_for_each_metric(page, server):
    open_runs(page, server, charts=True)
    page.wait(shows("lr=0.03 bs=8", "lr=0.01 bs=8"))
    show_metrics(page, "^val_loss$")
    lines = "[...document.querySelectorAll('.js-plotly-plot .scatterlayer .trace .lines path')].length"
    assert page.wait(f"document.querySelectorAll('.js-plotly-plot').length === 1 && {lines} >= 2")


def test_chosen_runs_stand_beside_each_other(page, server, swept):
    runs = urllib.parse.quote(json.dumps([run_id(server, name) for name in ("lr=0.03 bs=8", "lr=0.01 bs=8")]))
    page.open(f"{server.uri}/#/compare-runs?runs={runs}&experiments=%5B%221%22%5D")
    page.wait(shows("Comparing 2 Runs", "at_overfit.val_accuracy", "optimizer.lr", "0.03", "0.01"))
    page.wait("document.querySelectorAll('.js-plotly-plot').length >= 1")


def test_a_runs_curve_is_shown_as_a_picture(page, server):
    page.open(f"{server.uri}/#/experiments/1/runs/{run_id(server, 'lr=0.03 bs=8')}/artifacts/curve.html")
    page.wait("document.querySelector('iframe.mlflow-html-iframe')?.src.startsWith('blob:')")
    drawn = page.evaluate("fetch(document.querySelector('iframe').src).then(got => got.text())")
    assert "<svg" in drawn
    assert "validation loss, epoch 1" in drawn


def run_id(server: MlflowServer, name: str) -> str:
    """The run of this name in the first study."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(server.uri)
    [run, *_] = client.search_runs(["1"], f"attributes.run_name = '{name}'", order_by=["attributes.start_time ASC"])
    return str(run.info.run_id)
