"""The cluster's own certificate authority and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=365)
"""The Trainer's certificate rotation replaces what lives less than 90 days."""

TRAINER_CA_NAME = "kubeflow-trainer-ca"
"""The Trainer's certificate rotation leaves a prepared pair alone only if its authority has this DNS name."""

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Authority:
    """
    Signs for one cluster; every file lies in one folder.

    :param folder: gets ``ca.crt`` and ``ca.key`` and a pair for each name that is signed for; what is there is used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self.key = folder / "ca.key"
        if not self.key.exists():
            folder.mkdir(parents=True, exist_ok=True)
            self._found()
        self._signing_key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        self._issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())

    def sign(
        self, name: str, common_name: str, *, usage: x509.ObjectIdentifier, organisation: str = "",
        dns_names: Sequence[str] = (), addresses: Sequence[str] = (),
    ) -> tuple[Path, Path]:  # fmt: skip
        """
        Make a pair, and return the paths of certificate and key.

        :param organisation: what Kubernetes takes as the group of a client.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organisation:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        builder = self._builder(x509.Name(attributes), key.public_key()).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        others: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
        others += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        certificate = builder.sign(self._signing_key, hashes.SHA256())  # type: ignore[arg-type]  # it is the RSA key of _found
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private(paths[1], key)
        return paths

    def _found(self) -> None:
        """Make the authority: its key in PKCS#1, which is all that the Trainer's certificate rotation reads."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests-cluster-ca")])
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(identity, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(TRAINER_CA_NAME)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private(self.key, key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        issuer_key = x509.SubjectKeyIdentifier.from_public_key(self._issuer.public_key())
        return (
            x509.CertificateBuilder(self._issuer.subject, subject, key, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # clients on Python 3.13 refuse a certificate that does not name its issuer's key
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        )


def make_token_key(folder: Path) -> tuple[Path, Path]:
    """The pair that signs service account tokens: paths of the private and the public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = folder / "sa.key", folder / "sa.pub"
    write_private(private, key)
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def write_private(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    """Write a key in its traditional form, readable by its owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
