"""The rows of `host_facts.py` and the tests of this directory belong together."""

import ast
from pathlib import Path

import pytest

from tests.devhost.host_facts import FACTS

pytestmark = pytest.mark.unit


def test_every_fact_has_a_test() -> None:
    tests = {
        node.name
        for file in Path(__file__).parent.glob("test_*_facts.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert tests == {f"test_{name}" for name in FACTS}


def test_every_fact_names_its_source() -> None:
    for name, fact in FACTS.items():
        assert "/" in fact.repository, name
        assert fact.source, name
        assert fact.rule.endswith("."), name
