"""TLS of calls that go out: whom the client trusts, and by what it is known."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from seawall.problems import ConfigurationError, DeclarationError

__all__ = ["Tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Whom a client trusts, and the certificate it shows (mTLS). At least TLS 1.2; names are always checked.

    Args:
        ca: File with the certificates of authorities that are trusted in place of the system's.
        certificate: File with the client's own certificate and its chain.
        key: File with its private key; None where it is in the same file.

    Raises:
        DeclarationError: There is a key and no certificate.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None

    def __post_init__(self) -> None:
        if self.key is not None and self.certificate is None:
            raise DeclarationError("Tls: there is a key and no certificate; name both files.")

    def context(self) -> ssl.SSLContext:
        """Return a context made from the files as they are now.

        Raises:
            ConfigurationError: A file is missing, or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                context.load_cert_chain(str(self.certificate), None if self.key is None else str(self.key))
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"{self!r} cannot be used: {error}; name PEM files that can be read.") from error
        return context
