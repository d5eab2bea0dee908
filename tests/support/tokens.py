"""Tokens, the keys that they are signed with, and an authority that publishes these."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "https://dicom.healthcareapis.azure.com"


@cache
def rsa_key(name: str = "first") -> rsa.RSAPrivateKey:
    """A key, always the same for a name."""
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, identifier: str, **members: str) -> dict[str, Any]:
    """The public half as a member of a key set."""
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    entry: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**entry, "kid": identifier, "use": "sig", **members}


def claims(issuer: str, **changes: Any) -> dict[str, Any]:
    """Those of a token that holds; a change to None leaves a claim out."""
    now = int(time.time())
    told = {"iss": issuer, "aud": AUDIENCE, "exp": now + 3600, "nbf": now, "iat": now, "oid": "an-object-id", **changes}
    return {name: value for name, value in told.items() if value is not None}


def signed(
    claims: dict[str, Any], *, key: Any = None, identifier: str | None = "first", algorithm: str = "RS256"
) -> str:
    """A token, signed with `rsa_key()` unless told otherwise."""
    headers = {} if identifier is None else {"kid": identifier}
    return jwt.encode(claims, rsa_key() if key is None else key, algorithm=algorithm, headers=headers)


def unsigned(claims: dict[str, Any]) -> str:
    """A token of the algorithm `none`."""
    return jwt.encode(claims, "", algorithm="none")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Authority:
    """Publishes keys on a port of this machine; `requests` lists the paths that were asked for."""

    def __init__(self) -> None:
        self.keys = [public_jwk(rsa_key(), "first"), public_jwk(ec_key(), "curve")]
        self.requests: list[str] = []
        self.status = 200
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                authority.requests.append(self.path)
                body = json.dumps(authority.document(self.path)).encode()
                self.send_response(authority.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.issuer = f"{self.url}/issuer"

    def document(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.url}/keys"}
        return {"keys": self.keys}

    def token(self, **changes: Any) -> str:
        """One that holds."""
        return signed(claims(self.issuer, **changes))


@contextmanager
def authority() -> Iterator[Authority]:
    """A running authority."""
    running = Authority()
    thread = threading.Thread(target=running.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()
        thread.join()
