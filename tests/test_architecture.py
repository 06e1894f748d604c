"""The floors of CONTRIBUTING.md: who may import whom, read from the source, imports inside functions included."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sweeper"
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"errors", "assets"}
FLOOR_1 = GROUND | {"data"}
FLOOR_2 = FLOOR_1 | {"training"}
FLOOR_3 = FLOOR_2 | {
    "curves", "export", "inputs", "intervals", "outbox", "prediction", "restore", "run_list", "scores", "tracked",
    "tracking",
}  # fmt: skip
FLOOR_4 = FLOOR_3 | {"config", "launcher", "study"}

# What a room may import of ours besides itself. Everything may know the package's `errors` and `assets`.
KNOWS = {
    "errors": set(),
    "assets": set(),
    "values": {"errors"},
    "launcher": {"values"},
    "schema": {"values", "launcher"},
    "checks": {"errors", "values", "schema", "launcher"},
    "config": {"errors", "values", "schema", "checks"},
    "data": GROUND,
    "training": FLOOR_1,
    "outbox": GROUND,
    "curves": FLOOR_2,
    "run_list": GROUND,
    "tracked": FLOOR_2 | {"run_list"},
    "tracking": FLOOR_2 | {"curves", "outbox", "run_list", "tracked"},
    "inputs": FLOOR_1,
    "intervals": GROUND,
    "scores": GROUND,
    "restore": FLOOR_2,
    "prediction": FLOOR_2 | {"restore"},
    "export": FLOOR_2 | {"restore", "scores"},
    "study": FLOOR_3 | {"config", "launcher"},
    "cli": {"errors"},
    "reporting": FLOOR_4,
    "winner": FLOOR_4 | {"values"},
    "status": FLOOR_4 | {"cli"},
    "best": FLOOR_4 | {"cli", "winner"},
    "report": FLOOR_4 | {"cli", "reporting"},
    "predict": FLOOR_4 | {"cli"},
    "api": FLOOR_4 | {"winner"},
    "__main__": FLOOR_4 | {"cli"},
}
ONLY_IN = {
    "optuna": ("study/",),
    "mlflow": ("tracking.py",),
    "hydra": ("config.py", "__main__.py"),
    "omegaconf": ("config.py", "__main__.py"),
    "ray": ("study/ray_workers.py",),
}


def imported(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports anywhere in it, `import_module("x")` included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "import a.b\nfrom c import d\ndef f():\n    import e\n    if x:\n        from g.h import i\n"
        "    importlib.import_module('j')\n"
    )
    assert {"a.b", "c", "c.d", "e", "g.h", "g.h.i", "j"} <= set(imported(file))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_room_imports_only_what_its_floor_knows(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        assert {module.split(".")[1] for module in imported(path) if module.startswith("sweeper.")} <= {"api", "errors"}
        return
    here = room(path)
    assert here in KNOWS, f"{here} stands on no floor: give it a place in CONTRIBUTING.md and here"
    ours = {module.split(".")[1] for module in imported(path) if module.startswith("sweeper.")}
    assert ours - {here, "__init__"} <= KNOWS[here]


def test_no_floor_knows_one_above_it() -> None:
    order = graphlib.TopologicalSorter({here: known - {here} for here, known in KNOWS.items()})
    assert set(order.static_order()) >= set(KNOWS)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(module.split(".")[0] == library for module in imported(path))
    }
    assert {user for user in users if not user.startswith(ONLY_IN[library])} == set()
    assert users, f"nothing imports {library} any more: take it out of this test and of pyproject.toml"


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {name(path) for path in MODULES}
    graph = {name(path): {module for module in imported(path) if module in names} - {name(path)} for path in MODULES}
    for parent in {module for module in names if any(other.startswith(f"{module}.") for other in names)}:
        graph[parent] = {module for module in graph[parent] if not module.startswith(f"{parent}.")}
    graphlib.TopologicalSorter(graph).prepare()


def test_nothing_is_called_utils() -> None:
    everywhere = [*MODULES, *(PACKAGE.parent / "tests").rglob("*.py"), *(PACKAGE.parent / "bench").rglob("*.py")]
    assert [path for path in everywhere if path.stem in ("utils", "util", "helpers", "common", "misc")] == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_why_it_exists_and_stays_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 300
