"""The notebook of `experiments/` runs from top to bottom, and is committed as it ran."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).parent.parent / "experiments/quickstart.ipynb"


def shown(cell) -> list[set[str]]:
    """The kinds of output that a cell leaves, without what libraries print."""
    return [set(output["data"]) for output in cell.outputs if output.output_type in ("display_data", "execute_result")]


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_committed_as_it_ran_without_a_path_or_a_warning(stored):
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert {output.output_type for cell in cells for output in cell.outputs} <= {
        "display_data",
        "execute_result",
        "stream",
    }
    assert not any(sign in text for sign in ("Traceback", "Warning", "/root", "/home", "/tmp"))


def test_it_runs_and_shows_what_it_shows(stored, tmp_path):
    fresh = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(fresh, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell, before in zip(fresh.cells, stored.cells, strict=True):
        if cell.cell_type == "code":
            assert shown(cell) == shown(before), cell.source
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "exports"}
