"""TLS kept apart: each way a handshake fails, with its own reason, and the certificate's end."""

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
from tests.relay.harness import TEXT, demanding, frame, hang_up, idle, read_frame, reset, saying, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.harness import Reader, Script, Witness, Writer

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


async def refused(witness: Witness, play: Script, context: ssl.SSLContext | None, options: TlsOptions) -> ProbeError:
    async with serving(play, tls=context) as port:
        with pytest.raises(ProbeError) as caught:
            await witness.dial(Target(url=url(port), tls=options))
    assert caught.value.step is Step.TLS
    return caught.value


async def test_a_trusted_relay_is_reached_and_each_phase_is_timed(
    witness: Witness, authority: trustme.CA, ca_file: Path
) -> None:
    said: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    async def hear(reader: Reader, _writer: Writer) -> None:
        said.set_result(await read_frame(reader))
        await idle(reader, _writer)

    async with serving(saying(frame(TEXT, b"hello"), then=hear), tls=server_context(authority, "127.0.0.1")) as port:
        transport = await witness.dial(Target(url=url(port), tls=TlsOptions(ca_file=ca_file)))
        transport.send("hi")
        await witness.until(lambda: witness.texts)
        async with asyncio.timeout(5):
            assert await said == (TEXT, b"hi")
        transport.abort()
    assert witness.texts == ["hello"]
    assert witness.steps == [Step.RESOLVE, Step.TCP, Step.TLS, Step.UPGRADE]
    assert list(witness.phases) == [Phase.RESOLVE, Phase.TCP, Phase.TLS, Phase.UPGRADE]
    bounds = [bound for phase in witness.phases.values() for bound in phase]
    assert bounds == sorted(bounds), "phases follow one another"


async def test_an_expired_certificate(witness: Witness, authority: trustme.CA, ca_file: Path) -> None:
    context = server_context(authority, "127.0.0.1", ends=NOW - timedelta(days=1))
    error = await refused(witness, idle, context, TlsOptions(ca_file=ca_file))
    assert error.reason is Reason.TLS_EXPIRED


@pytest.mark.parametrize("name", ["relay.example", "127.0.0.2"])
async def test_a_certificate_for_another_name(
    witness: Witness, authority: trustme.CA, ca_file: Path, name: str
) -> None:
    error = await refused(witness, idle, server_context(authority, name), TlsOptions(ca_file=ca_file))
    assert error.reason is Reason.TLS_NAME


async def test_a_name_of_ones_own_choice_is_expected_in_the_certificate(
    witness: Witness, authority: trustme.CA, ca_file: Path
) -> None:
    async with serving(saying(), tls=server_context(authority, "relay.example")) as port:
        options = TlsOptions(ca_file=ca_file, server_name="relay.example")
        (await witness.dial(Target(url=url(port), tls=options))).abort()


async def test_an_unknown_authority(witness: Witness, ca_file: Path) -> None:
    context = server_context(trustme.CA(), "127.0.0.1")
    assert (await refused(witness, idle, context, TlsOptions(ca_file=ca_file))).reason is Reason.TLS_UNTRUSTED
    assert (await refused(witness, idle, context, TlsOptions())).reason is Reason.TLS_UNTRUSTED


def demanding_context(authority: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context(authority, "127.0.0.1", maximum=version)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("trusted", ["none", "unknown"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_missing_or_not_trusted(
    witness: Witness, authority: trustme.CA, ca_file: Path, tmp_path: Path, version: ssl.TLSVersion, trusted: str
) -> None:
    options = TlsOptions(ca_file=ca_file) if trusted == "none" else client_files(trustme.CA(), tmp_path, ca_file)
    with demanding(demanding_context(authority, version)) as port, pytest.raises(ProbeError) as caught:
        await witness.dial(Target(url=url(port), tls=options))
    assert (caught.value.step, caught.value.reason) == (Step.TLS, Reason.TLS_CLIENT_CERTIFICATE)


async def test_a_client_certificate_opens_the_door(
    witness: Witness, authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    context = server_context(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    async with serving(saying(), tls=context) as port:
        options = client_files(authority, tmp_path, ca_file)
        (await witness.dial(Target(url=url(port), tls=options))).abort()


def client_files(authority: trustme.CA, folder: Path, ca_file: Path) -> TlsOptions:
    client = authority.issue_cert("monitor.example")
    cert_file, key_file = folder / "client.pem", folder / "client.key"
    client.cert_chain_pems[0].write_to_path(str(cert_file))
    client.private_key_pem.write_to_path(str(key_file))
    return TlsOptions(ca_file=ca_file, cert_file=cert_file, key_file=key_file)


@pytest.mark.parametrize("play", [hang_up, reset])
async def test_a_server_that_gives_up_in_the_handshake(witness: Witness, ca_file: Path, play: Script) -> None:
    assert (await refused(witness, play, None, TlsOptions(ca_file=ca_file))).reason is Reason.RESET
    assert witness.steps[-1] is Step.TLS
    assert Phase.TLS not in witness.phases


async def test_silence_in_the_handshake_ends_when_the_caller_gives_up(witness: Witness, ca_file: Path) -> None:
    async with serving(idle) as port:
        await witness.give_up(Target(url=url(port), tls=TlsOptions(ca_file=ca_file)), at=Step.TLS)
    assert witness.steps[-1] is Step.TLS
    assert Phase.TLS not in witness.phases


async def plain_http(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await idle(reader, writer)


async def speaks_first(reader: Reader, writer: Writer) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await idle(reader, writer)


@pytest.mark.parametrize("play", [plain_http, speaks_first])
async def test_a_server_that_does_not_speak_tls(witness: Witness, ca_file: Path, play: Script) -> None:
    assert (await refused(witness, play, None, TlsOptions(ca_file=ca_file))).reason is Reason.PROTOCOL


async def test_the_end_of_the_certificate_is_told(witness: Witness, authority: trustme.CA, ca_file: Path) -> None:
    ends = (NOW + timedelta(days=12)).replace(microsecond=0)
    async with serving(saying(), tls=server_context(authority, "127.0.0.1", ends=ends)) as port:
        (await witness.dial(Target(url=url(port), tls=TlsOptions(ca_file=ca_file)))).abort()
    assert witness.expiries == [ends.timestamp()]


async def test_a_chain_ends_with_the_first_of_its_certificates(witness: Witness, tmp_path: Path) -> None:
    ends = (NOW + timedelta(days=3)).replace(microsecond=0)
    authority = authority_until(ends)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    async with serving(saying(), tls=server_context(authority, "127.0.0.1", ends=NOW + timedelta(days=90))) as port:
        (await witness.dial(Target(url=url(port), tls=TlsOptions(ca_file=path)))).abort()
    assert witness.expiries == [ends.timestamp()], "the authority's own certificate ends before the relay's"


def authority_until(ends: datetime) -> trustme.CA:
    """An authority whose own certificate ends then, which trustme's never do."""
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
async def test_tls_files_that_cannot_be_used_are_our_own_fault(
    witness: Witness, tmp_path: Path, option: str, content: str | None
) -> None:
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_text(content)
    options = TlsOptions(ca_file=path) if option == "ca" else TlsOptions(cert_file=path)
    with pytest.raises(LocalError) as caught:
        await witness.dial(Target(url="wss://127.0.0.1:1", tls=options))
    assert (caught.value.step, caught.value.reason) == (Step.TLS, Reason.INTERNAL)


async def test_an_encrypted_key_is_refused_rather_than_asked_for_on_a_terminal(
    witness: Witness, authority: trustme.CA, tmp_path: Path
) -> None:
    client = authority.issue_cert("monitor.example")
    cert_file, key_file = tmp_path / "client.pem", tmp_path / "client.key"
    client.cert_chain_pems[0].write_to_path(str(cert_file))
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    key_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password of its own"))
    )
    with pytest.raises(LocalError):
        await witness.dial(Target(url="wss://127.0.0.1:1", tls=TlsOptions(cert_file=cert_file, key_file=key_file)))


def test_a_context_is_kept_until_a_file_of_it_changes(authority: trustme.CA, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    options = TlsOptions(ca_file=path)
    first = tls.context(options)
    assert tls.context(TlsOptions(ca_file=path)) is first
    trustme.CA().cert_pem.write_to_path(str(path))
    assert tls.context(options) is not first
