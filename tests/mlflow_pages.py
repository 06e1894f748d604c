"""MLflow's pages as the tests and the documents' pictures open them."""

from tests.chromium import Page
from tests.faults.servers import MlflowServer

SORTED = "orderByKey=metrics.%60at_overfit.val_accuracy%60&orderByAsc=false&startTime=ALL"
SEARCH = "document.querySelector('input[placeholder=\"Search metric charts\"]')"


def open_runs(page: Page, server: MlflowServer, *, charts: bool = False) -> None:
    """The first experiment's runs, best at the overfitting point first; as a table, or with a chart a metric."""
    page.open(f"{server.uri}/#/experiments/1/runs?{SORTED}{'&compareRunsMode=CHART' if charts else ''}")


def show_metrics(page: Page, pattern: str) -> None:
    """Of the charts those alone whose metric fits a regular expression."""
    page.wait(f"!!{SEARCH}")
    page.fill(SEARCH, pattern)
