"""Requests made from the OpenAPI document by schemathesis, well-formed and not: every answer is one of those that the
document tells of, and none is a failure of the server."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.routes import documents
from tests.support.processes import LocalHost, local_host
from tests.support.stow import Triple, new_triple, store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

ACCEPTS = (
    "*/*",
    "*/*",
    "*/*",
    None,
    "application/dicom+json",
    "application/dicom; transfer-syntax=*",
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    'multipart/related; type="application/octet-stream"',
    "image/png",
    "text/html, ;q=x",
)


@schemathesis.serializer("application/dicom", "multipart/related")
def as_it_is(ctx: Any, value: Any) -> bytes:
    """Bodies that are bytes already."""
    return value if isinstance(value, bytes) else str(value).encode()


DOCUMENT = schemathesis.openapi.from_dict(documents._document_of("v2"))
FITTING, UNFITTING = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


def cases() -> Iterator[Any]:
    """Every operation in both ways, less those of data partitions, which are off; without parameters and body nothing
    can be wrong."""
    for found in DOCUMENT.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        if "{partition}" in operation.path:
            continue
        yield pytest.param(operation, FITTING, id=f"{operation.label} fitting")
        if any(operation.iter_parameters()) or operation.body:
            yield pytest.param(operation, UNFITTING, id=f"{operation.label} unfitting")


@pytest.fixture(scope="module")
def host(new_store: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    """A store of its own, since whatever can be asked is asked."""
    log = tmp_path_factory.mktemp("schemathesis") / "host.log"
    with local_host(new_store(), log=log) as running:
        yield running
        assert "Traceback" not in running.output()


@pytest.fixture
def known(host: LocalHost) -> Triple:
    """Something that is there to be found, at least at the beginning."""
    triple = new_triple()
    assert store(host.url, triple.file()).status == 200
    return triple


@pytest.mark.parametrize(("operation", "mode"), list(cases()))
def test_answers_are_as_documented(
    host: LocalHost, known: Triple, size: Callable[[str], int], operation: Any, mode: GenerationMode
) -> None:
    """PLT-15, PLT-16, PLT-25: 8 requests of each operation that fit and 8 that do not, with `--full` 80."""
    there = {"study": known.study, "series": known.series, "instance": known.instance}
    # what subscriptions to workitems answer, 501, is a failure for the check
    checks = [check for check in CHECKS if "subscri" not in operation.path or check is not not_a_server_error]

    @given(
        case=operation.as_strategy(generation_mode=mode),
        accept=st.sampled_from(ACCEPTS),
        real=st.booleans(),
    )
    @settings(
        max_examples=size("requests of each operation made from the API document"),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, accept: str | None, real: bool) -> None:
        if real and case.path_parameters:
            case.path_parameters.update({name: there[name] for name in there if name in case.path_parameters})
        response = case.call(base_url=host.url, headers={"Accept": accept}, timeout=60)
        case.validate_response(response, checks=checks)

    ask()
    assert httpx.get(f"{host.url}/health").status_code == 200
