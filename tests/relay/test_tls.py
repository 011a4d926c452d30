"""TLS: each failure of a handshake has its own reason, and the certificate's expiry is reported."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from monitor.errors import LocalError, ProbeError
from monitor.relay import tls
from monitor.relay.target import Target
from monitor.relay.tls import TlsOptions
from monitor.vocabulary import Phase, Reason, Step
from tests.relay.harness import (
    TEXT,
    close_at_once,
    frame,
    idle,
    read_frame,
    refusing_handshake,
    reset,
    serving,
    upgrading,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.harness import Reader, RecordingObserver, Script, Writer

NOW = datetime.now(UTC)


def server_context(
    authority: trustme.CA, *names: str, ends: datetime | None = None, maximum: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if maximum is not None:
        context.maximum_version = maximum
    authority.issue_cert(*names, not_before=NOW - timedelta(days=30), not_after=ends).configure_cert(context)
    return context


def url(port: int) -> str:
    return f"wss://127.0.0.1:{port}"


async def tls_error(
    observer: RecordingObserver, script: Script, context: ssl.SSLContext | None, options: TlsOptions
) -> ProbeError:
    async with serving(script, tls=context) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url=url(port), tls=options))
    assert caught.value.step is Step.TLS
    return caught.value


async def test_a_trusted_relay_is_connected_and_each_phase_is_timed(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path
) -> None:
    first_frame: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    async def record_frame(reader: Reader, _writer: Writer) -> None:
        first_frame.set_result(await read_frame(reader))
        await idle(reader, _writer)

    async with serving(
        upgrading(frame(TEXT, b"hello"), then=record_frame), tls=server_context(authority, "127.0.0.1")
    ) as port:
        transport = await observer.dial(Target(url=url(port), tls=TlsOptions(ca_file=ca_file)))
        transport.send("hi")
        await observer.until(lambda: observer.texts)
        async with asyncio.timeout(5):
            assert await first_frame == (TEXT, b"hi")
        transport.abort()
    assert observer.texts == ["hello"]
    assert observer.steps == [Step.RESOLVE, Step.TCP, Step.TLS, Step.UPGRADE]
    assert list(observer.phases) == [Phase.RESOLVE, Phase.TCP, Phase.TLS, Phase.UPGRADE]
    bounds = [bound for phase in observer.phases.values() for bound in phase]
    assert bounds == sorted(bounds), "phases follow one another"


async def test_an_expired_certificate_has_its_own_reason(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path
) -> None:
    context = server_context(authority, "127.0.0.1", ends=NOW - timedelta(days=1))
    error = await tls_error(observer, idle, context, TlsOptions(ca_file=ca_file))
    assert error.reason is Reason.TLS_EXPIRED


@pytest.mark.parametrize("name", ["relay.example", "127.0.0.2"])
async def test_a_certificate_for_another_name_has_its_own_reason(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path, name: str
) -> None:
    error = await tls_error(observer, idle, server_context(authority, name), TlsOptions(ca_file=ca_file))
    assert error.reason is Reason.TLS_NAME


async def test_server_name_is_expected_in_the_certificate(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path
) -> None:
    async with serving(upgrading(), tls=server_context(authority, "relay.example")) as port:
        options = TlsOptions(ca_file=ca_file, server_name="relay.example")
        (await observer.dial(Target(url=url(port), tls=options))).abort()


async def test_a_certificate_of_an_unknown_authority_is_untrusted(observer: RecordingObserver, ca_file: Path) -> None:
    context = server_context(trustme.CA(), "127.0.0.1")
    assert (await tls_error(observer, idle, context, TlsOptions(ca_file=ca_file))).reason is Reason.TLS_UNTRUSTED
    assert (await tls_error(observer, idle, context, TlsOptions())).reason is Reason.TLS_UNTRUSTED


def certificate_requiring_context(authority: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context(authority, "127.0.0.1", maximum=version)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("trusted", ["none", "unknown"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_missing_or_untrusted_client_certificate_has_its_own_reason(
    observer: RecordingObserver,
    authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    version: ssl.TLSVersion,
    trusted: str,
) -> None:
    options = TlsOptions(ca_file=ca_file) if trusted == "none" else client_files(trustme.CA(), tmp_path, ca_file)
    async with refusing_handshake(certificate_requiring_context(authority, version)) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url=url(port), tls=options))
    assert (caught.value.step, caught.value.reason) == (Step.TLS, Reason.TLS_CLIENT_CERTIFICATE)


@pytest.fixture(scope="module")
def rsa(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)


# What Chromium 156 and Node.js 20 offer beside Python's own list.
@pytest.mark.parametrize(
    "suite",
    [
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
    ],
)
async def test_a_cipher_suite_that_browsers_and_node_offer_is_accepted(
    observer: RecordingObserver, rsa: trustme.LeafCert, ca_file: Path, suite: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    rsa.configure_cert(context)
    context.set_ciphers(suite)
    async with serving(upgrading(), tls=context) as port:
        (await observer.dial(Target(url=url(port), tls=TlsOptions(ca_file=ca_file)))).abort()


@pytest.mark.parametrize("suites", ["ECDHE-ECDSA-CAMELLIA128-SHA256", "NULL:@SECLEVEL=0", "ECDHE-ECDSA-AES128-CCM"])
@pytest.mark.parametrize("configured", [False, True])
async def test_no_common_cipher_suite_is_not_about_client_certificates(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path, tmp_path: Path, suites: str, *, configured: bool
) -> None:
    context = server_context(authority, "127.0.0.1", maximum=ssl.TLSVersion.TLSv1_2)
    context.verify_mode = ssl.CERT_REQUIRED  # but no request is sent before a cipher is chosen
    authority.configure_trust(context)
    context.set_ciphers(suites)
    options = client_files(authority, tmp_path, ca_file) if configured else TlsOptions(ca_file=ca_file)
    async with refusing_handshake(context) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url=url(port), tls=options))
    assert (caught.value.step, caught.value.reason) == (Step.TLS, Reason.PROTOCOL)
    assert "no common TLS version, cipher suite" in caught.value.detail


HANDSHAKE_FAILURE, ACCESS_DENIED, BAD_CERTIFICATE, UNRECOGNIZED_NAME = 40, 49, 42, 112


@pytest.mark.parametrize("alert", [HANDSHAKE_FAILURE, ACCESS_DENIED, BAD_CERTIFICATE, UNRECOGNIZED_NAME])
async def test_an_alert_to_the_client_hello_is_not_about_client_certificates(
    observer: RecordingObserver, ca_file: Path, alert: int
) -> None:
    async def refuse(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(bytes([21, 3, 3, 0, 2, 2, alert]))
        await idle(reader, writer)

    error = await tls_error(observer, refuse, None, TlsOptions(ca_file=ca_file))
    assert error.reason is Reason.PROTOCOL
    assert "ALERT" in error.detail.upper() or "UNRECOGNIZED_NAME" in error.detail.upper()


async def test_a_common_name_is_no_name_to_verify(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate_without_alternative_name(authority, "relay.example").configure_cert(context)
    options = TlsOptions(ca_file=ca_file, server_name="relay.example")
    assert (await tls_error(observer, idle, context, options)).reason is Reason.TLS_NAME


def certificate_without_alternative_name(authority: trustme.CA, common_name: str) -> trustme.LeafCert:
    """Return a certificate with a Common Name only, which trustme does not issue."""
    signer = load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]))
        .issuer_name(x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=30))
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return trustme.LeafCert(private, certificate.public_bytes(Encoding.PEM), [])


async def test_an_intermediate_authority_is_trusted_without_its_root(
    observer: RecordingObserver, tmp_path: Path
) -> None:
    intermediate = trustme.CA().create_child_ca()
    path = tmp_path / "ca.pem"
    intermediate.cert_pem.write_to_path(str(path))
    async with serving(upgrading(), tls=server_context(intermediate, "127.0.0.1")) as port:
        (await observer.dial(Target(url=url(port), tls=TlsOptions(ca_file=path)))).abort()


async def test_a_trusted_client_certificate_is_accepted(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    context = server_context(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    async with serving(upgrading(), tls=context) as port:
        options = client_files(authority, tmp_path, ca_file)
        (await observer.dial(Target(url=url(port), tls=options))).abort()


def client_files(authority: trustme.CA, folder: Path, ca_file: Path) -> TlsOptions:
    client = authority.issue_cert("monitor.example")
    cert_file, key_file = folder / "client.pem", folder / "client.key"
    client.cert_chain_pems[0].write_to_path(str(cert_file))
    client.private_key_pem.write_to_path(str(key_file))
    return TlsOptions(ca_file=ca_file, cert_file=cert_file, key_file=key_file)


@pytest.mark.parametrize("script", [close_at_once, reset])
async def test_a_connection_closed_in_the_handshake_is_reset(
    observer: RecordingObserver, ca_file: Path, script: Script
) -> None:
    assert (await tls_error(observer, script, None, TlsOptions(ca_file=ca_file))).reason is Reason.RESET
    assert observer.steps[-1] is Step.TLS
    assert Phase.TLS not in observer.phases


async def test_a_silent_handshake_ends_when_the_caller_cancels(observer: RecordingObserver, ca_file: Path) -> None:
    async with serving(idle) as port:
        await observer.cancel_dial(Target(url=url(port), tls=TlsOptions(ca_file=ca_file)), at=Step.TLS)
    assert observer.steps[-1] is Step.TLS
    assert Phase.TLS not in observer.phases


async def plain_http(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await idle(reader, writer)


async def speak_first(reader: Reader, writer: Writer) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await idle(reader, writer)


@pytest.mark.parametrize("script", [plain_http, speak_first])
async def test_a_server_without_tls_is_a_protocol_fault(
    observer: RecordingObserver, ca_file: Path, script: Script
) -> None:
    assert (await tls_error(observer, script, None, TlsOptions(ca_file=ca_file))).reason is Reason.PROTOCOL


async def test_the_expiry_of_the_certificate_is_reported(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path
) -> None:
    ends = (NOW + timedelta(days=12)).replace(microsecond=0)
    async with serving(upgrading(), tls=server_context(authority, "127.0.0.1", ends=ends)) as port:
        (await observer.dial(Target(url=url(port), tls=TlsOptions(ca_file=ca_file)))).abort()
    assert observer.expiries == [ends.timestamp()]


async def test_the_earliest_expiry_of_the_chain_is_reported(observer: RecordingObserver, tmp_path: Path) -> None:
    ends = (NOW + timedelta(days=3)).replace(microsecond=0)
    authority = authority_expiring_at(ends)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    async with serving(upgrading(), tls=server_context(authority, "127.0.0.1", ends=NOW + timedelta(days=90))) as port:
        (await observer.dial(Target(url=url(port), tls=TlsOptions(ca_file=path)))).abort()
    assert observer.expiries == [ends.timestamp()], "the authority's certificate expires before the relay's"


def authority_expiring_at(ends: datetime) -> trustme.CA:
    """Return an authority whose own certificate expires at `ends`; those of trustme do not expire."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "short-lived")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return trustme.CA.from_pem(certificate.public_bytes(Encoding.PEM), pem)


@pytest.mark.parametrize(
    ("option", "content"),
    [("ca", ""), ("ca", "no certificate"), ("cert", "no certificate"), ("cert", None)],
)
async def test_unusable_tls_files_are_a_local_error(
    observer: RecordingObserver, tmp_path: Path, option: str, content: str | None
) -> None:
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_text(content)
    options = TlsOptions(ca_file=path) if option == "ca" else TlsOptions(cert_file=path)
    with pytest.raises(LocalError) as caught:
        await observer.dial(Target(url="wss://127.0.0.1:1", tls=options))
    assert (caught.value.step, caught.value.reason) == (Step.TLS, Reason.INTERNAL)


async def test_an_encrypted_key_is_rejected_without_a_password_prompt(
    observer: RecordingObserver, authority: trustme.CA, tmp_path: Path
) -> None:
    client = authority.issue_cert("monitor.example")
    cert_file, key_file = tmp_path / "client.pem", tmp_path / "client.key"
    client.cert_chain_pems[0].write_to_path(str(cert_file))
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    key_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password of its own"))
    )
    with pytest.raises(LocalError):
        await observer.dial(Target(url="wss://127.0.0.1:1", tls=TlsOptions(cert_file=cert_file, key_file=key_file)))


async def test_a_context_is_cached_until_one_of_its_files_changes(authority: trustme.CA, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    options = TlsOptions(ca_file=path)
    first = await tls.context(options)
    assert await tls.context(TlsOptions(ca_file=path)) is first
    trustme.CA().cert_pem.write_to_path(str(path))
    assert await tls.context(options) is not first
