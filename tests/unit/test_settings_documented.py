"""Every setting is in the README and in local.settings.json.example with its default, and nothing else is."""

import json
import re

import pytest

from shared.azurite import ROOT
from shared.cli import HOST_DEFAULTS
from shared.settings import Settings

pytestmark = pytest.mark.unit

OF_THE_HOST = {
    **HOST_DEFAULTS,
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "FUNCTIONS_WORKER_PROCESS_COUNT": "1",
    "AzureWebJobsSecretStorageType": "files",
}
"""What the Functions host reads, not the app."""

LOCAL_STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
"""The one value in the example that is no default: without a storage account nothing runs."""


def defaults(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Name and default of every setting, as text, as on a laptop."""
    monkeypatch.delenv("WEBSITE_SITE_NAME", raising=False)
    texts = {}
    for field in Settings.model_fields.values():
        value = field.get_default(call_default_factory=True, validated_data={})
        assert field.alias
        texts[field.alias] = str(value).lower() if isinstance(value, bool) else f"{value}"
    return texts


def test_the_readme_lists_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]*)` )?\| ", section, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    assert dict(rows) == {**defaults(monkeypatch), **OF_THE_HOST}


def test_the_example_holds_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    example = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))
    assert example["IsEncrypted"] is False
    assert example["Values"] == {**defaults(monkeypatch), **OF_THE_HOST, **LOCAL_STORAGE}
    assert Settings.model_validate(example["Values"])


def test_the_limit_of_a_request_leaves_room_for_the_largest_file() -> None:
    """PLT-18: the host must not refuse what the app takes."""
    limit = int(HOST_DEFAULTS["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"])
    assert limit == 4_294_967_296
    assert Settings.model_fields["max_file_bytes"].default < limit
    assert f'"{limit}"' in (ROOT / "docker-compose.yml").read_text("utf-8")
