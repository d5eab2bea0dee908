"""Settings that are given, but empty."""

import pytest

from shared.settings import BadSettings, Settings, settings

pytestmark = pytest.mark.unit

MEANT = {"DICOM_CORS_ORIGINS": "cors_origins", "DICOM_CORS_HEADERS": "cors_headers", "DICOM_STORE_PATH": "store_path"}
"""Texts with a default: empty, they are."""


def test_empty_ones_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass on `${VARIABLE:-}`."""
    monkeypatch.delenv("WEBSITE_SITE_NAME", raising=False)
    for name, field in Settings.model_fields.items():
        monkeypatch.delenv(str(field.alias), raising=False)
        if field.annotation is not str:
            monkeypatch.setenv(str(field.alias), "")
            assert getattr(Settings(), name) == field.get_default(call_default_factory=True, validated_data={})
    for variable, name in MEANT.items():
        monkeypatch.setenv(variable, "")
        assert getattr(settings.__wrapped__(), name) == ""


def test_blank_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPIRY_INTERVAL_SECONDS", " ")
    with pytest.raises(BadSettings, match="EXPIRY_INTERVAL_SECONDS"):
        settings.__wrapped__()
