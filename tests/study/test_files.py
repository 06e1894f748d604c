"""What lies in a trial's folder is on the disk before its record says so."""

import pytest

from sweeper.study import files


def test_without_hard_links_the_copies_are_flushed(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError("no hard links here")

    flushed = []
    monkeypatch.setattr(files.os, "link", refuse)
    monkeypatch.setattr(files, "flush", lambda path: flushed.append((path.name, path.read_bytes())))
    (tmp_path / files.weights_name(2)).write_bytes(b"weights")
    (tmp_path / files.predictions_name(2)).write_bytes(b"predictions")
    files.name_final(tmp_path, 2)
    assert flushed == [(files.WEIGHTS, b"weights"), (files.PREDICTIONS, b"predictions")]


@pytest.mark.parametrize("name", [files.WEIGHTS, files.PREDICTIONS])
def test_a_lasting_name_replaces_an_older_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"old")
    (tmp_path / files.weights_name(2)).write_bytes(b"new")
    (tmp_path / files.predictions_name(2)).write_bytes(b"new")
    files.name_final(tmp_path, 2)
    assert (tmp_path / name).read_bytes() == b"new"
