"""Roles, bearer tokens, and what tokens claim in mode `mock` and of roles in mode `strict`."""

import json
import time

import pytest

from shared.authentication.authenticators import MockAuthenticator, authenticator, default_roles
from shared.authentication.identity import InvalidToken, bearer_token, roles_claim
from shared.authentication.local_tokens import audience_of, local_token
from shared.authentication.roles import ACTIONS, actions_of
from shared.settings import BadSettings, Settings, read_role_assignments, settings
from tests.support.tokens import claims, signed, unsigned

pytestmark = pytest.mark.unit

READ = frozenset({"read"})
OWNER, READER = "DICOM Data Owner", "DICOM Data Reader"


@pytest.mark.parametrize(
    ("roles", "actions"),
    [
        ([OWNER], ACTIONS),
        ([READER], READ),
        (["dicom data READER", "nothing"], READ),
        (["globalReader"], READ),
        (["GlobalAdmin"], ACTIONS),
        ([READER, OWNER], ACTIONS),
        ([], frozenset()),
        (["Owner", ""], frozenset()),
    ],
)
def test_what_roles_allow(roles: list[str], actions: frozenset[str]) -> None:
    """PLT-41: any letter case, several add up, unknown names give nothing."""
    assert actions_of(roles) == actions


@pytest.mark.parametrize("header", ["Bearer abc", "bearer  abc ", " BEARER abc"])
def test_bearer_tokens(header: str) -> None:
    """PLT-35"""
    assert bearer_token(header) == "abc"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic abc", "abc", "Bearerabc"])
def test_no_bearer_token(header: str | None) -> None:
    """PLT-35"""
    with pytest.raises(InvalidToken, match=r"^$"):
        bearer_token(header)


@pytest.mark.parametrize(
    ("claimed", "roles"),
    [({}, None), ({"roles": None}, None), ({"roles": "a"}, ["a"]), ({"roles": ["a", 1]}, ["a"]), ({"roles": 3}, [])],
)
def test_roles_claim(claimed: dict[str, object], roles: list[str] | None) -> None:
    """PLT-31"""
    assert roles_claim(claimed) == roles


@pytest.mark.parametrize(
    ("token", "actions"),
    [
        (signed(claims("me", roles=[READER])), READ),
        (signed(claims("me", roles=READER)), READ),
        (unsigned({"roles": [READER]}), READ),
        (unsigned({"roles": [READER], "exp": 1, "nbf": int(time.time()) + 9999}), READ),
        (unsigned({"roles": []}), frozenset()),
        (unsigned({"roles": ["unknown"]}), frozenset()),
        (unsigned({"roles": "globalAdmin"}), ACTIONS),
        (unsigned({"exp": "no time", "roles": [READER]}), READ),
        (unsigned({}), ACTIONS),
        ("opaque", ACTIONS),
        ("a.b.c", ACTIONS),
        ("..", ACTIONS),
        ("é", ACTIONS),
        ("[" * 20_000, ACTIONS),
        ("eyJhbGciOiJub25lIn0.WzEsMl0.", ACTIONS),
    ],
)
async def test_mock_believes_what_it_can_read(token: str, actions: frozenset[str]) -> None:
    """PLT-31: signature, times, issuer and audience do not count."""
    identity = await MockAuthenticator((OWNER,)).identify(token)
    assert identity.actions == actions


async def test_mock_default_role() -> None:
    """PLT-31: of tokens without roles; `none` is no role."""
    for name, actions in ((READER, READ), ("none", frozenset()), ("NONE", frozenset())):
        found = authenticator(Settings(auth_mode="mock", auth_default_role=name))
        assert found is not None
        assert (await found.identify("opaque")).actions == actions
        assert (await found.identify(unsigned({"roles": [OWNER]}))).actions == ACTIONS


async def test_claims_for_the_audit_log() -> None:
    """PLT-45: issuer and object id, nothing else."""
    identity = await MockAuthenticator(()).identify(unsigned({"iss": "me", "oid": "o", "name": "n", "sub": "s"}))
    assert dict(identity.claims) == {"iss": "me", "oid": "o"}
    assert dict((await MockAuthenticator(()).identify("opaque")).claims) == {}


def test_off_looks_at_nothing() -> None:
    """PLT-30"""
    assert authenticator(Settings(auth_mode="off")) is None
    assert default_roles("none") == ()


@pytest.mark.parametrize(
    ("text", "assignments"),
    [
        ("", {}),
        ("{}", {}),
        ('{"a": ["DICOM Data Reader"], "b": "x"}', {"a": ("DICOM Data Reader",), "b": ("x",)}),
    ],
)
def test_role_assignments(text: str, assignments: dict[str, tuple[str, ...]]) -> None:
    """PLT-44"""
    assert read_role_assignments(text) == assignments


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DICOM_AUTH_ROLE_ASSIGNMENTS", "[]"),
        ("DICOM_AUTH_ROLE_ASSIGNMENTS", '{"a": 1}'),
        ("DICOM_AUTH_ROLE_ASSIGNMENTS", "s3cr3t"),
        ("DICOM_AUTH_MODE", "strict"),
        ("DICOM_AUTH_MODE", "s3cr3t"),
        ("DICOM_CORS_CREDENTIALS", "true"),
        ("DICOM_CORS_MAX_AGE", "s3cr3t"),
    ],
)
def test_settings_that_cannot_be(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-29, PLT-33: the start stops, the text names the setting, and no value is repeated."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AzureWebJobsStorage", "AccountKey=s3cr3t")
    with pytest.raises(BadSettings, match=variable) as raised:
        settings.__wrapped__()
    assert "s3cr3t" not in str(raised.value)


def test_issuers_need_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLT-33: one of the two ways has to be complete."""
    monkeypatch.setenv("DICOM_AUTH_MODE", "strict")
    monkeypatch.setenv("DICOM_AUTH_ISSUERS", "me")
    with pytest.raises(BadSettings, match="DICOM_AUTH_JWKS_URI or DICOM_AUTH_JWKS_FILE"):
        settings.__wrapped__()
    monkeypatch.setenv("DICOM_AUTH_JWKS_FILE", "keys.json")
    assert settings.__wrapped__().auth_issuers == "me"


def test_local_tokens() -> None:
    """PLT-40: readable, for an hour, with roles only if some are assigned."""
    import jwt

    def read(assignments: dict[str, tuple[str, ...]]) -> dict[str, object]:
        token = local_token(issuer="i", audience="a", tenant="t", client="c", assignments=assignments)
        assert abs(token.expires - time.time() - 3599) < 5
        told: dict[str, object] = jwt.decode(token.text, options={"verify_signature": False})
        return told

    told = read({})
    assert (told["iss"], told["aud"], told["tid"], told["appid"]) == ("i", "a", "t", "c")
    assert "roles" not in told
    assert told["oid"] == read({})["oid"]
    assert read({"c": (READER,)})["roles"] == [READER]
    assert read({str(told["oid"]): ()})["roles"] == []
    json.dumps(told)


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://dicom.healthcareapis.azure.com/.default", "https://dicom.healthcareapis.azure.com"),
        ("https://dicom.healthcareapis.azure.com//.default", "https://dicom.healthcareapis.azure.com/"),
        ("openid https://a/.default profile", "https://a"),
        ("api/.default", "api"),
        ("", ""),
    ],
)
def test_audience_of_a_scope(scope: str, audience: str) -> None:
    """PLT-34, PLT-40"""
    assert audience_of(scope) == audience
