"""Certificates for one occasion: an authority, and what it signed for a server and for a client."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from servers._errors import ServerError, program

if TYPE_CHECKING:
    from pathlib import Path

_DAYS = "2"
_EXTENSIONS = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
"""


class Certificates:
    """Files in PEM, valid for two days, for `localhost` and 127.0.0.1.

    Attributes:
        ca: The authority's certificate: what a client trusts.
        server, server_key: The server's.
        client, client_key: A client's.
    """

    def __init__(self, folder: Path, client_name: str = "idempotency") -> None:
        """Make them in this folder.

        Raises:
            MissingServerError: openssl is not installed.
        """
        self._folder = folder
        self._openssl = program(("openssl",), "openssl")
        (folder / "extensions.cnf").write_text(_EXTENSIONS)
        self.ca, self._ca_key = self._authority()
        self.server, self.server_key = self._signed("server", "localhost")
        self.client, self.client_key = self._signed("client", client_name)

    def _authority(self) -> tuple[Path, Path]:
        certificate, key = self._files("ca")
        self._new_key(key)
        self._run("req", "-x509", *self._request(key, "ca for one occasion"), "-extensions", "ca", "-out", certificate)
        return certificate, key

    def _signed(self, kind: str, name: str) -> tuple[Path, Path]:
        certificate, key = self._files(kind)
        request = self._folder / f"{kind}.csr"
        self._new_key(key)
        self._run("req", *self._request(key, name), "-out", request)
        self._run(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._ca_key, "-CAcreateserial"),
            *("-days", _DAYS, "-extfile", self._folder / "extensions.cnf", "-extensions", kind, "-out", certificate),
        )
        return certificate, key

    def _files(self, kind: str) -> tuple[Path, Path]:
        return self._folder / f"{kind}.crt", self._folder / f"{kind}.key"

    def _request(self, key: Path, name: str) -> tuple[str | Path, ...]:
        return ("-new", "-key", key, "-subj", f"/CN={name}", "-days", _DAYS, "-config", self._folder / "extensions.cnf")

    def _new_key(self, key: Path) -> None:
        key.touch(mode=0o600)
        self._run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)

    def _run(self, *words: str | Path) -> None:
        finished = subprocess.run(  # noqa: S603 - openssl with words of this file
            [self._openssl, *words], capture_output=True, text=True, check=False
        )
        if finished.returncode:
            message = f"openssl {words[0]} failed: {finished.stderr}"
            raise ServerError(message)
