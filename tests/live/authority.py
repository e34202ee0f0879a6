"""A certificate authority for one test session: it signs brokers and clients, and knows nobody else's authority."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEY_PASSWORD = "opens the key"


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, in PEM files; the key of a client is locked with `KEY_PASSWORD`."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates for 127.0.0.1, valid for a day."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._write(f"{name}.pem", _pem(self._sign(name, self._key, authority=True)))

    def sign(self, name: str) -> Signed:
        """What a client shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        locked = serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
        return Signed(
            self._write(f"{self._name}-{name}.pem", _pem(self._sign(name, key))),
            self._write(f"{self._name}-{name}.key", _key_pem(key, locked)),
        )

    def keystore(self, name: str) -> Path:
        """What a broker shows: key and chain in one file, as Kafka reads it with `ssl.keystore.type=PEM`."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain = _pem(self._sign(name, key)) + self.certificate.read_bytes()
        return self._write(f"{name}-keystore.pem", _key_pem(key, serialization.NoEncryption()) + chain)

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(_common(name))
            .issuer_name(_common(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(here, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path


def _common(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey, lock: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
