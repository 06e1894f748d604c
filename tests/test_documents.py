"""Documents are finished and point to what is there."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

REPO = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for path in REPO.rglob("*.md")
    if not {".venv", "runs", "exports", ".pytest_cache"} & set(path.relative_to(REPO).parts)
)
LINK = re.compile(r"""(?:\]\(|(?:src|href)=")([^)"\s]+)""")


def headings(text: str) -> set[str]:
    """Anchors of a document's headings as they are made where Markdown is shown."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", title.lower().replace("`", ""))
        found.add(plain.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_a_document_has_no_placeholder_and_no_dead_link(path):
    text = path.read_text(encoding="utf-8")
    assert "@@" not in text
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / unquote(place)) if place else path
        assert target.exists(), f"{path.name} points to {link}"
        if anchor and target.suffix == ".md":
            assert unquote(anchor) in headings(target.read_text(encoding="utf-8")), f"{path.name} points to {link}"


def test_no_document_names_a_machine_or_a_tool_of_its_makers():
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.ipynb"], cwd=REPO, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        text = (REPO / name).read_text(encoding="utf-8")
        assert not re.search(r"/root/|/home/\w|/tmp/\w", text), name


def test_the_measured_safety_is_that_of_the_recorded_faults():
    results = (REPO / "tests/faults/RESULTS.md").read_text(encoding="utf-8")
    english, korean = ((REPO / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    [total] = re.findall(r"^\d+ tries at .*$", results, re.MULTILINE)
    rows = [line for line in results.splitlines() if line.startswith("| ")]
    assert len(rows) > 70
    assert total in english
    assert [row for row in rows if row not in english] == []
    tried, _, _, minutes, survived, lost = re.findall(r"\d+", total)
    assert f"{minutes}분 동안 **{tried}번 시도해 {survived}번 살아남았고 {lost}번" in korean
