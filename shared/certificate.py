"""A certificate of our own for HTTPS on this machine (PLT-39): Azure SDK clients send tokens over HTTPS only.

It stands for localhost and the addresses of the loopback, is its own issuer, and is trusted by whoever is told to.
"""

import os
import socket
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=825)
"""No longer: Apple's systems trust none that is."""

REMAINING = timedelta(days=30)
"""One that ends sooner is replaced."""

NAMES = ("localhost", "127.0.0.1", "::1")


def certificate_files(directory: Path, host: str) -> tuple[Path, Path]:
    """Certificate and key as PEM files in `directory`, made if they are missing, too old, or not for `host`.

    `host` is the address that is listened on. Raises `OSError` when the directory cannot be used.
    """
    certificate, key = directory / "localhost.pem", directory / "localhost-key.pem"
    names = wanted_names(host)
    if not (key.exists() and _serves(certificate, names)):
        directory.mkdir(parents=True, exist_ok=True)
        made, private = _make(names)
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(private)
        certificate.write_bytes(made)
    return certificate, key


def wanted_names(host: str) -> tuple[str, ...]:
    """Those of this machine; for all addresses, also its name in the network."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104
        host = socket.gethostname()
    return tuple(dict.fromkeys((*NAMES, *([host.lower()] if host.isascii() else []))))


def _make(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DICOM service emulator")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME - timedelta(minutes=10))
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _serves(file: Path, names: tuple[str, ...]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        there = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    lasts = certificate.not_valid_after_utc - datetime.now(UTC) > REMAINING
    return lasts and all(_name(name) in there for name in names)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
