"""Take the documents' pictures from real runs: `python experiments/pictures.py`, after `make record` and `make sweep`.

From the recorded sample's page, its first screen; from the page of another recorded experiment, three trials that
show under-fitting, overfitting and no learning; from MLflow on `make sweep`'s runs, the table of the sample's
trials. Needs Chromium and a Korean font. Each picture is looked at by eye before it is committed.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.chromium import Page  # noqa: E402
from tests.faults.servers import MlflowServer  # noqa: E402
from tests.mlflow_pages import open_runs, show_metrics  # noqa: E402

RECORDED = Path("runs/recorded")
CURVES = "kor_hate"
SHOWN = {"underfitting": "lr=5e-06 bs=64", "overfitting": "lr=0.001 bs=64", "not_learning": "lr=0.005 bs=64"}
SAMPLE = "emotion58_sample"
OPENED = "document.documentElement.dataset.opened"


def main() -> None:
    """Take them all."""
    with Page(1280, 1000) as page:
        page.open((RECORDED / SAMPLE / "report.html").resolve().as_uri())
        page.wait(OPENED)
        page.screenshot(HERE / SAMPLE / "report.png", "document.getElementById('answer')")
        page.resize(1280, 1000, scale=1.5)
        page.open((RECORDED / CURVES / "report.html").resolve().as_uri())
        page.wait(OPENED)
        for name, trial in SHOWN.items():
            curves(page, trial, HERE / CURVES / f"{name}.png")
        mlflow(page, HERE / SAMPLE / "mlflow.png")


def curves(page: Page, trial: str, file: Path) -> None:
    """One trial's own picture."""
    figure = f"[...document.querySelectorAll('.small')].find(one => one.innerText.startsWith('{trial}'))"
    page.evaluate(f"{figure}.scrollIntoView()")
    page.wait(f"{figure}.querySelector('.main-svg')")
    page.screenshot(file, f"{figure}.querySelector('.plot')")


def mlflow(page: Page, file: Path) -> None:
    """MLflow's table of the sample's trials, best first, with the curves of validation loss beside it."""
    server = MlflowServer(Path("runs/mlflow-pictures"), f"sqlite:///{Path('runs/mlflow.db').resolve()}")
    server.start()
    try:
        page.resize(1600, 760)
        open_runs(page, server, charts=True)
        show_metrics(page, "^(train_loss|val_loss|train_accuracy|val_accuracy)$")
        page.evaluate("document.querySelector('[aria-label=\"Close\"]')?.click()")  # the assistant's panel
        page.wait("document.querySelectorAll('.js-plotly-plot .lines path').length > 20")
        page.screenshot(file)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
