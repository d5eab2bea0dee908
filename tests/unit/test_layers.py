"""Imports inside `shared/` point downward only (docs/architecture.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.azurite import ROOT

pytestmark = pytest.mark.unit

SHARED = ROOT / "shared"

LAYERS = (
    ("cli", "devhost", "stop_with_parent"),
    ("app", "storage_option"),
    ("routes",),
    ("composition",),
    ("services",),
    ("dicomweb",),
    ("authentication", "dicom", "storage", "web_extension", "command_line", "data_directory", "azurite", "certificate"),
    ("settings",),
    ("errors", "clock", "freed_memory", "under_way", "bounded_dict", "http_protocol"),
)
"""From top to bottom. A module imports from its own package and from lower layers, not from its neighbours."""

NEIGHBOURS = {
    ("storage", "dicom.normal_form"): "projections hold what search compares",
    ("storage", "dicom.attributes"): "projections hold the searchable attributes",
    ("data_directory", "azurite"): "a directory knows the Azurite on it",
}
"""Imports between neighbours that are wanted, with the reason."""

SELF_CONTAINED = {
    "devhost": "knows nothing about DICOM, and the app knows nothing about it",
}


def layer_of(name: str) -> int:
    return next((number for number, layer in enumerate(LAYERS) if name in layer), -1)


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted names below `shared`, and their files."""
    for path in sorted(SHARED.rglob("*.py")):
        parts = path.relative_to(SHARED).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            yield name, path


def imported(name: str, path: Path) -> Iterator[tuple[str, bool]]:
    """Dotted names below `shared` that the module imports, and whether only for the type checker."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "shared":
                    yield alias.name.partition(".")[2] or "shared", node in typing_only
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            target = [*base, *(node.module or "").split(".")] if node.module else base
            if not node.level:
                if target[:1] != ["shared"]:
                    continue
                target = target[1:]
            for alias in node.names:
                full = [*target, alias.name]
                if is_module(full):
                    yield ".".join(full), node in typing_only
                elif target:
                    yield ".".join(target), node in typing_only


def is_module(parts: list[str]) -> bool:
    path = SHARED.joinpath(*parts)
    return path.with_suffix(".py").exists() or path.is_dir()


def fault(name: str, target: str) -> str | None:
    """Why `name` must not import `target`, if it must not."""
    above, below = name.split(".")[0], target.split(".")[0]
    if above == below:
        return None
    if above in SELF_CONTAINED:
        return f"{above} {SELF_CONTAINED[above]}"
    if layer_of(below) < 0:
        return f"{below} is in no layer of {Path(__file__).name}"
    if layer_of(above) < layer_of(below):
        return None
    if layer_of(above) == layer_of(below) and (above, target) in NEIGHBOURS:
        return None
    return "not downward"


def test_every_module_is_in_a_layer() -> None:
    assert [name for name, _ in modules() if layer_of(name.split(".")[0]) < 0] == []


def test_imports_point_downward() -> None:
    faults = [
        f"{name} imports {target}: {why}"
        for name, path in modules()
        for target, typing_only in imported(name, path)
        if not typing_only and (why := fault(name, target))
    ]
    assert faults == []


def test_the_rules_find_what_they_are_for(tmp_path: Path) -> None:
    """A check that finds nothing has to be able to find something."""
    assert fault("services.store", "routes.call") == "not downward"
    assert fault("dicom.instance", "storage.records") == "not downward"
    assert fault("storage.files", "dicom.instance") == "not downward"
    assert fault("devhost.worker", "errors") is not None
    assert fault("services.store", "storage.records") is None
    assert fault("storage.projections", "dicom.normal_form") is None
    module = tmp_path / "store.py"
    module.write_text("from ..storage import records\nfrom ..errors import NotFound\nimport shared.routes\n", "utf-8")
    assert [target for target, _ in imported("services.store", module)] == ["storage.records", "errors", "routes"]


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [name for name, _ in modules() if name.split(".")[-1] in empty] == []
