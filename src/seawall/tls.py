"""TLS for the server: certificates that are checked before they are used, and read anew when they change.

What is wrong with a file is found by *cryptography*, which tells a key that is encrypted from one that is damaged; the
handshakes are the standard library's. Protocols and ciphers are those of Mozilla's "intermediate" configuration 5.7:
TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.clock import Clock
from seawall.problems import ConfigurationError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from seawall.settings import ServerSettings

__all__ = ["SOON", "Certificates", "TlsFiles", "tls_files"]

SOON = timedelta(days=14)
"""A certificate that ends within this time is worth a warning."""
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of TLS 1.3 are all good
_PROTOCOLS = ["http/1.1"]

logger = logging.getLogger("seawall")
Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate and key are, and what is asked of clients.

    Args:
        certificate: PEM file with the certificate, and those between it and the authority's.
        key: PEM file with its key; may be the same one.
        password: What the key is encrypted with.
        client_ca: PEM file with the authorities whose certificates clients may show.
        client_required: Whether a client without one is refused.
        oldest: The oldest version of TLS, ``"1.2"`` or ``"1.3"``.
    """

    certificate: Path
    key: Path
    password: str | None = None
    client_ca: Path | None = None
    client_required: bool = True
    oldest: str = "1.2"

    def stamp(self) -> Stamp:
        """Return what changes when one of the files does; a link that is put elsewhere counts."""
        return tuple(_stamp(path) for path in (self.certificate, self.key, self.client_ca) if path is not None)

    def load(self, now: datetime) -> tuple[ssl.SSLContext, Certificate]:
        """Return a context for handshakes, and the server's certificate.

        Raises:
            ConfigurationError: A file is missing, unreadable or not what it should be, key and certificate do not
                belong together, the key needs another password, or the certificate is not valid now. The message
                names the setting, its value and the fix.
        """
        certificate, key = _certificates("tls_certificate", self.certificate)[0], _key(self.key, self.password)
        if certificate.public_key() != key.public_key():
            raise _wrong(
                "tls_key", self.key, f"it is not the key of {self.certificate}", "name the key it was made for"
            )
        _check_dates(certificate, self.certificate, now)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if self.oldest == "1.3" else ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(_PROTOCOLS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        try:
            # A function, so that no key whatever makes OpenSSL ask for a password on the terminal.
            context.load_cert_chain(self.certificate, self.key, lambda: self.password or "")
        except (ssl.SSLError, OSError) as error:
            raise _wrong(
                "tls_certificate", self.certificate, f"OpenSSL does not take it: {error}", "renew it"
            ) from None
        if self.client_ca is not None:
            _certificates("tls_client_ca", self.client_ca)
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED if self.client_required else ssl.CERT_OPTIONAL
        return context, certificate


def tls_files(settings: ServerSettings) -> TlsFiles | None:
    """Return what the settings say about TLS; None where they say nothing."""
    if settings.tls_certificate is None:
        return None
    password = settings.tls_key_password
    return TlsFiles(
        Path(settings.tls_certificate),
        Path(settings.tls_key or settings.tls_certificate),
        password.get_secret_value() if password else None,
        Path(settings.tls_client_ca) if settings.tls_client_ca else None,
        settings.tls_client == "required",
        settings.tls_minimum,
    )


class _Current(ssl.SSLContext):
    """Stands where event loops want a context, and hands every handshake to the one that is current."""

    current: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begin a handshake; connections that have had theirs stay with the context they had."""
        return self.current.wrap_bio(*arguments, **options)


class Certificates:
    """The certificates in use.

    Args:
        files: Where they are.
        clock: What time it is.

    Raises:
        ConfigurationError: See `TlsFiles.load`.
    """

    def __init__(self, files: TlsFiles, clock: Clock) -> None:
        self.files = files
        self._clock = clock
        self._used = self._seen = files.stamp()
        self.context = _Current(ssl.PROTOCOL_TLS_SERVER)
        self.context.current, certificate = files.load(self._now())
        self._warn(certificate)

    def look(self) -> None:
        """Read the files anew if they have changed, and are as they were when this was called last.

        Certificate and key are two files, and are seldom replaced in the same instant.
        """
        seen, self._seen = self._seen, self.files.stamp()
        if self._seen == seen != self._used:
            self.reload()

    def reload(self) -> None:
        """Use the files as they are now from the next handshake on; if something is wrong with them, what is in use."""
        self._used = self._seen = self.files.stamp()
        try:
            self.context.current, certificate = self.files.load(self._now())
        except ConfigurationError as error:
            logger.error("certificate not reloaded, the one in use stays: %s", error)
            return
        logger.info("certificate reloaded", extra={"valid_until": certificate.not_valid_after_utc.isoformat()})
        self._warn(certificate)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), UTC)

    def _warn(self, certificate: Certificate) -> None:
        left = certificate.not_valid_after_utc - self._now()
        if left < SOON:
            logger.warning(
                "the certificate in %s ends in %.1f days, on %s; renew it",
                self.files.certificate,
                left / timedelta(days=1),
                certificate.not_valid_after_utc.isoformat(),
            )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _wrong(setting: str, path: Path, problem: str, fix: str) -> ConfigurationError:
    return ConfigurationError(f'server.{setting} = "{path}": {problem}; {fix}.')


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror or error}"
        raise _wrong(setting, path, problem, "name a PEM file that this process may read") from None


def _certificates(setting: str, path: Path) -> list[Certificate]:
    try:
        from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"server.{setting} is set, and TLS needs the package cryptography. "
            "Install it with: pip install 'seawall[tls]'"
        ) from None
    try:
        return load_pem_x509_certificates(_read(setting, path))
    except ValueError:
        problem = "there is no certificate in it that can be read"
        raise _wrong(setting, path, problem, "name a PEM file that begins with -----BEGIN CERTIFICATE-----") from None


def _key(path: Path, password: str | None) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see _certificates
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    data = _read("tls_key", path)
    is_encrypted = b"ENCRYPTED" in data
    try:
        return load_pem_private_key(data, password.encode() if password and is_encrypted else None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        if is_encrypted and not password:
            fix = "set server.tls_key_password (SEAWALL_SERVER_TLS_KEY_PASSWORD)"
            raise _wrong("tls_key", path, "the key is encrypted, and no password is set", fix) from None
        if is_encrypted:
            problem, fix = "server.tls_key_password does not open it", "correct the password"
            raise _wrong("tls_key", path, problem, fix) from None
    fix = "name a PEM file with -----BEGIN PRIVATE KEY-----"
    raise _wrong("tls_key", path, "there is no key in it that can be read", fix)


def _check_dates(certificate: Certificate, path: Path, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > ends:
        raise _wrong("tls_certificate", path, f"the certificate has expired on {ends.isoformat()}", "renew it")
    if now < begins:
        problem = f"the certificate is not valid before {begins.isoformat()}, and now it is {now.isoformat()}"
        raise _wrong("tls_certificate", path, problem, "correct the clock, or name the certificate in use until then")
