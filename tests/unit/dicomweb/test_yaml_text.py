"""YAML of ours, read by PyYAML."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicomweb.yaml_text import yaml_text

pytestmark = pytest.mark.unit

# Characters that YAML 1.1, which PyYAML reads, takes for ends of lines or does not take at all stand in no document.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn", "Zl", "Zp")), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS | st.sampled_from(["yes", "No", "null", "1", "1e5", "~"])
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@given(document=DOCUMENTS)
@settings(max_examples=500, deadline=None)
def test_what_is_written_is_read(document: Any) -> None:
    """PLT-24: 500 documents."""
    assert yaml.safe_load(yaml_text(document)) == document


def test_how_it_looks() -> None:
    """PLT-24: block style, with quotation marks only where they are needed."""
    document = {"a": [{"b": "c d", "e": []}, "f"], "/v2/{x}": {"200": {}}, "yes": "y"}
    lines = ["a:", '  - b: "c d"', "    e: []", "  - f", "/v2/{x}:", '  "200": {}', '"yes": "y"', ""]
    assert yaml_text(document).split("\n") == lines
