"""Tokens in mode `strict`: which hold, what is said of the others, and when keys are fetched."""

import asyncio
import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.authentication.authenticators import StrictAuthenticator
from shared.authentication.identity import InvalidToken
from shared.authentication.roles import ACTIONS
from shared.authentication.signing_keys import Published, SigningKeys, key_sources, read_keys
from shared.authentication.validation import TokenValidation
from shared.errors import Unavailable
from shared.settings import Settings
from tests.support.tokens import AUDIENCE, authority, claims, ec_key, public_jwk, rsa_key, signed, unsigned

pytestmark = pytest.mark.unit

ISSUER = "https://issuer.example/v2.0"
HOLDS = claims(ISSUER)
KEYS = [
    public_jwk(rsa_key(), "first"),
    public_jwk(ec_key(), "curve"),
    public_jwk(rsa_key("second"), "for-512", alg="RS512"),
]


class Source:
    """A source of keys that counts how often it is asked, and may fail."""

    def __init__(self, keys: list[dict[str, Any]] = KEYS) -> None:
        self.keys = keys
        self.asked = 0
        self.failing = False

    async def __call__(self) -> Published:
        self.asked += 1
        await asyncio.sleep(0)
        if self.failing:
            raise OSError("no route")
        return Published(read_keys({"keys": self.keys}), frozenset({ISSUER}))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def validation(source: Source | None = None, **settings: str) -> TokenValidation:
    told = {"auth_mode": "strict", "auth_authority": "http://unused.example", **settings}
    return TokenValidation(Settings.model_validate(told), SigningKeys(source or Source()))


@pytest.mark.parametrize(
    "token",
    [
        signed(HOLDS),
        signed(HOLDS, algorithm="RS384"),
        signed(HOLDS, algorithm="RS512"),
        signed(HOLDS, algorithm="PS256"),
        signed(HOLDS, key=ec_key(), identifier="curve", algorithm="ES256"),
        signed(HOLDS, key=rsa_key("second"), identifier="for-512", algorithm="RS512"),
        signed(claims(ISSUER, aud=f"{AUDIENCE}/")),
        signed(claims(ISSUER, aud=["other", AUDIENCE])),
        signed(claims(ISSUER, nbf=None, iat=None)),
        signed(claims(ISSUER, sub=7, jti=8)),
    ],
)
async def test_tokens_that_hold(token: str) -> None:
    """PLT-32, PLT-34"""
    assert (await validation().claims(token))["iss"] == ISSUER


async def test_clocks_may_differ() -> None:
    """PLT-32: with 300 s of skew on both sides; fractions of seconds count, `iat` does not."""
    now = int(time.time())
    for changes in ({"exp": now - 200}, {"nbf": now + 200, "iat": now + 9999}, {"exp": now + 60.5}):
        assert (await validation().claims(signed(claims(ISSUER, **changes))))["iss"] == ISSUER


def _tampered() -> str:
    head, body, signature = signed(HOLDS).split(".")
    told = json.loads(base64.urlsafe_b64decode(body + "=="))
    body = base64.urlsafe_b64encode(json.dumps({**told, "roles": ["x"]}).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


def _with_public_key_as_secret() -> str:
    """What a service falls for that takes the algorithm from the token."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = rsa_key().public_key().public_bytes(serialization.Encoding.PEM, form)
    parts = [{"alg": "HS256", "kid": "first"}, HOLDS]
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    signature = hmac.digest(secret, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("opaque", "The token is malformed"),
        ("a.b.c", "The token is malformed"),
        ("é.é.é", "The token is malformed"),
        (unsigned(HOLDS), "The signature is invalid"),
        (_with_public_key_as_secret(), "The signature is invalid"),
        (_tampered(), "The signature is invalid"),
        (signed(HOLDS, key=rsa_key("second")), "The signature is invalid"),
        (signed(HOLDS, key=rsa_key("second"), identifier="for-512"), "The signature is invalid"),
        (signed(HOLDS, identifier="curve"), "The signature is invalid"),
        (signed(HOLDS, identifier=None), "The signature key was not found"),
        (signed(HOLDS, identifier="unknown"), "The signature key was not found"),
        (signed(claims(ISSUER, aud="x")), "The audience 'x' is invalid"),
        (signed(claims(ISSUER, aud=["x", "y"])), "The audience 'x, y' is invalid"),
        (signed(claims(ISSUER, aud=None)), "The audience '(null)' is invalid"),
        (signed(claims(ISSUER, aud=7)), "The audience '(null)' is invalid"),
        (signed(claims("https://other.example")), "The issuer 'https://other.example' is invalid"),
        (signed(claims('a"b\r\nSet-Cookie: x\\ü')), "The issuer 'a?b??Set-Cookie: x??' is invalid"),
        (signed(claims(ISSUER, iss=None)), "The issuer '(null)' is invalid"),
        (signed(claims(ISSUER, exp=1683522090)), "The token expired at '05/08/2023 05:01:30'"),
        (signed(claims(ISSUER, exp=None)), "The token has no expiration"),
        (signed(claims(ISSUER, exp=True)), "The token has no expiration"),
        (signed(claims(ISSUER, exp=float("inf"))), "The token has no expiration"),
        (signed(claims(ISSUER, nbf=4102444800)), "The token is not valid before '01/01/2100 00:00:00'"),
        (signed(claims(ISSUER, nbf=10**40)), "The token is not valid before '?'"),
        (signed(claims(ISSUER, nbf="soon")), "The token is not valid before '?'"),
    ],
)
async def test_tokens_that_do_not(token: str, fault: str) -> None:
    """PLT-32, PLT-36: what is said can stand in a header."""
    with pytest.raises(InvalidToken) as raised:
        await validation().claims(token)
    assert str(raised.value) == fault


async def test_other_audiences() -> None:
    """PLT-34: the setting replaces the list."""
    strict = validation(auth_audiences="api://one, two")
    assert await strict.claims(signed(claims(ISSUER, aud="two")))
    with pytest.raises(InvalidToken, match="audience"):
        await strict.claims(signed(HOLDS))


@pytest.mark.parametrize(
    ("claimed", "reads", "writes"),
    [
        ({"roles": ["DICOM Data Reader"], "oid": "owner"}, True, False),
        ({"roles": [], "oid": "owner"}, False, False),
        ({"oid": "owner"}, True, True),
        ({"oid": "unknown", "appid": "reader"}, True, False),
        ({"oid": None, "azp": "reader"}, True, False),
        ({"oid": None, "sub": "reader"}, True, False),
        ({"oid": "nobody"}, False, False),
        ({"oid": "unknown"}, False, False),
    ],
)
async def test_roles_of_genuine_tokens(claimed: dict[str, Any], reads: bool, writes: bool) -> None:
    """PLT-44: the claim, else what is assigned, else the default."""
    assignments = {"owner": ("DICOM Data Owner",), "reader": ("DICOM Data Reader",), "nobody": ()}
    strict = StrictAuthenticator(validation(), assignments, ())
    identity = await strict.identify(signed(claims(ISSUER, **claimed)))
    assert ("read" in identity.actions, "write" in identity.actions) == (reads, writes)
    default = StrictAuthenticator(validation(), {}, ("DICOM Data Owner",))
    assert (await default.identify(signed(HOLDS))).actions == ACTIONS


async def test_keys_are_fetched_once() -> None:
    """PLT-33: when first needed, by one of many requests."""
    source = Source()
    strict = validation(source)
    assert source.asked == 0
    await asyncio.gather(*(strict.claims(signed(HOLDS)) for _ in range(20)))
    assert source.asked == 1


async def test_unknown_keys_are_looked_for() -> None:
    """PLT-33: at most every 30 s; withdrawn keys go after a day."""
    source, clock = Source(KEYS[:1]), Clock()
    keys = SigningKeys(source, clock)
    assert await keys.find("first")
    for _ in range(5):
        assert await keys.find("curve") is None
    assert source.asked == 1
    source.keys = KEYS[1:]
    clock.now += 29
    assert await keys.find("curve") is None
    clock.now += 1
    assert await asyncio.gather(*(keys.find("curve") for _ in range(5)))
    assert source.asked == 2
    assert await keys.find("first") is None
    clock.now += 86_400
    assert await keys.find("curve")
    assert source.asked == 3


async def test_authority_that_is_away() -> None:
    """PLT-33: cannot tell is not the same as invalid; and it comes back."""
    source, clock = Source(), Clock()
    source.failing = True
    keys = SigningKeys(source, clock)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await keys.find("first")
    assert source.asked == 1
    clock.now += 1
    source.failing = False
    assert await keys.find("first")
    assert await keys.issuers() == {ISSUER}
    source.failing = True
    clock.now += 100_000
    assert await keys.find("first"), "known keys still serve"
    clock.now += 30
    with pytest.raises(Unavailable):
        await keys.find("unknown")


def test_which_keys_count() -> None:
    """PLT-32: RSA and P-256 for signatures; anything else in the set does no harm."""
    other_curve = public_jwk(ec.generate_private_key(ec.SECP384R1()), "p384")
    strange = [
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {"kty": "RSA", "kid": "empty"},
        public_jwk(rsa_key(), "encryption", use="enc"),
        {key: value for key, value in KEYS[0].items() if key != "kid"},
        other_curve,
        "text",
    ]
    assert set(read_keys({"keys": [*KEYS, *strange]})) == {"first", "curve", "for-512"}


async def test_where_keys_come_from(tmp_path: Path) -> None:
    """PLT-33: an authority by its configuration, an address, a file."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": KEYS[:1]}), "utf-8")
    with authority() as running:
        by_authority = await key_sources(Settings(auth_authority=f"{running.url}/"))()
        assert by_authority.issuers == {running.issuer}
        assert set(by_authority.keys) == {"first", "curve"}
        assert running.requests == ["/.well-known/openid-configuration", "/keys"]
        by_address = await key_sources(Settings(auth_issuers="a, b", auth_jwks_uri=f"{running.url}/keys"))()
        assert by_address.issuers == {"a", "b"}
        assert set(by_address.keys) == {"first", "curve"}
        by_file = await key_sources(Settings(auth_authority=running.url, auth_jwks_file=str(file)))()
        assert by_file.issuers == {running.issuer}
        assert set(by_file.keys) == {"first"}
