"""Where the real corpora lie, and short ways to read a source and to write a table."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.data import sources
from sweeper.data.settings import DataSettings

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real corpora; where there is none the test is skipped, in CI it fails."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail("../shared/data is absent, and CI must test the real corpora")
        pytest.skip("../shared/data is absent")
    return SHARED


@pytest.fixture
def read_rows() -> Callable[..., list[tuple[Any, Any]]]:
    """All (text, label) pairs of all parts, as they stand in the source."""

    def read(**settings: Any) -> list[tuple[Any, Any]]:
        asked = DataSettings.of(settings)
        chunks = [chunk for part in sources.plan(asked) for chunk in sources.read(part, asked)]
        return [pair for c in chunks for pair in zip(c.text.to_pylist(), c.label.to_pylist(), strict=True)]

    return read


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a file below the test's folder and give its path."""

    def write(name: str, text: str, encoding: str = "utf-8") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write
