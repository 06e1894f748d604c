"""What travels with the package: the bundled encoder and the sample corpus.

Beneath every other room: it only knows where its own files lie.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
ENCODERS = ("ko-mini",)
BUNDLED = "bundled:"


def encoder(model: str) -> str:
    """The folder of a bundled encoder, or `model` itself (a hub id or a folder) for any other name."""
    return str(FOLDER / model) if model in ENCODERS else model


def data_path(path: str) -> str:
    """The file behind `bundled:NAME`, or `path` itself for any other path."""
    return str(FOLDER / path.removeprefix(BUNDLED)) if path.startswith(BUNDLED) else path
