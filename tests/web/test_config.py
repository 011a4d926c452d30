"""The web configuration in Prometheus' format: all its keys, and all errors at once."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.loading import parse_as
from monitor.errors import ConfigError, StartupError
from monitor.web.config import _WEB_CONFIG, WebConfig, load_web
from monitor.web.tls import server_context

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE = "cert_file: server.pem, key_file: server.key"
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    for name in ("server", "other"):
        made = authority.issue_cert("localhost")
        (tmp_path / f"{name}.pem").write_bytes(made.cert_chain_pems[0].bytes())
        (tmp_path / f"{name}.key").write_bytes(made.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


def read(folder: Path, text: str) -> WebConfig:
    (folder / "web.yml").write_text(text)
    return load_web(folder / "web.yml")


def problems(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    return [(problem.line, problem.key, problem.message) for problem in raised.value.problems]


def test_an_empty_file_disables_tls_and_auth(folder: Path) -> None:
    for text in ("", "# nothing yet\n", "---\n", "{}\n"):
        assert not read(folder, text).tls_server_config.is_enabled


def test_all_keys_are_supported(folder: Path) -> None:
    config = read(
        folder,
        f"""\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.example.com]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: true
  headers: {{X-Frame-Options: deny, X-XSS-Protection: ""}}
basic_auth_users:
  prometheus: {HASH}
  on-call: "{HASH}"
rate_limit: {{interval: 100ms, burst: 5}}
""",
    )
    tls = config.tls_server_config
    assert tls.cert_file == folder / "server.pem"
    assert list(config.basic_auth_users) == ["prometheus", "on-call"]
    assert config.basic_auth_users["prometheus"].get_secret_value() == HASH
    assert (config.rate_limit.interval, config.rate_limit.burst) == (0.1, 5)
    context = server_context(tls)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    offered = {cipher["name"] for cipher in context.get_ciphers()}
    assert "ECDHE-RSA-AES128-GCM-SHA256" in offered
    assert "ECDHE-RSA-AES256-GCM-SHA384" not in offered


def test_all_errors_are_reported_with_their_lines(folder: Path) -> None:
    found = problems(
        folder,
        """\
tls_server_config:
  cert_file: server.pem
  key_file: gone.key
  client_auth_type: RequireAnyClientCert
  min_version: TLS10
  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]
  ciphersuites: []
http_server_config:
  headers: {X-Powered-By: us}
  http2: [yes]
basic_auth_users:
  prometheus: hunter2
  slow: $2y$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG
  "a:b": hunter2
rate_limit: {interval: 5}
tls: {}
""",
    )
    assert [(line, key) for line, key, _ in found] == [
        (3, "tls_server_config.key_file"),
        (4, "tls_server_config.client_auth_type"),
        (5, "tls_server_config.min_version"),
        (6, "tls_server_config.cipher_suites[0]"),
        (7, "tls_server_config.ciphersuites"),
        (9, "http_server_config.headers"),
        (10, "http_server_config.http2"),
        (12, "basic_auth_users.prometheus"),
        (13, "basic_auth_users.slow"),
        (14, "basic_auth_users.a:b"),
        (14, "basic_auth_users.a:b"),
        (15, "rate_limit.interval"),
        (16, "tls"),
    ]
    messages = {key: message for _, key, message in found}
    assert messages["tls_server_config.ciphersuites"] == "is not a key here; did you mean cipher_suites?"
    assert messages["basic_auth_users.prometheus"].startswith("is not a bcrypt hash ($2y$10$…)")
    assert messages["basic_auth_users.slow"] == "has a cost of 31; expected 4 to 18: it delays each login"
    assert messages["tls_server_config.min_version"].startswith("'TLS10' is deprecated (RFC 8996)")
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("tls", "key", "message"),
    [
        ("cert_file: server.pem", "", "has no key; expected key_file (or key)"),
        ("key_file: server.key", "", "has no certificate; expected cert_file (or cert)"),
        ("min_version: TLS13", "", "has min_version and no certificate; expected cert_file and key_file"),
        (
            "cert_file: server.pem, key_file: other.key",
            "",
            "has a certificate and a key that cannot be used together: ",
        ),
        (
            "cert_file: server.key, key_file: server.key",
            "",
            "has a certificate and a key that cannot be used together: ",
        ),
        (
            CERTIFICATE + ", client_ca_file: ca.pem",
            ".client_ca_file",
            "has no effect: client_auth_type is NoClientCert",
        ),
        (
            CERTIFICATE + ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: server.key",
            "",
            "has a client_ca that cannot be used: ",
        ),
        (
            CERTIFICATE + ", client_allowed_sans: [a]",
            ".client_allowed_sans",
            "needs client_auth_type: RequireAndVerifyClientCert",
        ),
        (
            CERTIFICATE + ", min_version: TLS13, max_version: TLS12",
            ".min_version",
            "is above max_version, TLS12",
        ),
        (
            CERTIFICATE + ", curve_preferences: [X25519, CurveP256]",
            ".curve_preferences",
            "has several; expected one, or none for all",
        ),
    ],
)
def test_inconsistent_tls_settings_are_refused(folder: Path, tls: str, key: str, message: str) -> None:
    ((line, found, text),) = problems(folder, f"tls_server_config: {{{tls}}}\n")
    assert (line, found) == (1, f"tls_server_config{key}")
    assert text.startswith(message)


def test_two_certificates_are_refused(folder: Path) -> None:
    text = (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  cert: '-----BEGIN CERTIFICATE-----'\n"
    )
    message = "is set together with cert_file; expected one of the two"
    assert problems(folder, text) == [(4, "tls_server_config.cert", message)]


def test_a_rate_limit_without_burst_is_refused(folder: Path) -> None:
    ((_, key, message),) = problems(folder, "rate_limit: {interval: 1s}\n")
    assert (key, message.partition(";")[0]) == ("rate_limit", "has no burst and would reject all requests")


def test_an_encrypted_key_is_refused_without_a_prompt(folder: Path) -> None:
    key = re.sub(
        r"-----BEGIN [A-Z ]+-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----", (folder / "server.key").read_text()
    )
    key = re.sub(r"-----END [A-Z ]+-----", "-----END ENCRYPTED PRIVATE KEY-----", key)
    (folder / "server.key").write_text(key)
    assert len(problems(folder, "tls_server_config: {cert_file: server.pem, key_file: server.key}\n")) == 1


def test_variables_are_not_expanded(folder: Path) -> None:
    text = 'http_server_config: {headers: {Content-Security-Policy: "${HOME} $$"}}\n'
    assert read(folder, text).http_server_config.headers["Content-Security-Policy"] == "${HOME} $$"


def test_secrets_are_masked(folder: Path) -> None:
    key = (folder / "server.key").read_text()
    block = "|\n" + "".join(f"    {line}\n" for line in key.splitlines())
    config = read(
        folder, f"tls_server_config:\n  cert_file: server.pem\n  key: {block}basic_auth_users: {{a: {HASH}}}\n"
    )
    for shown in (repr(config), str(config), config.model_dump_json()):
        assert HASH not in shown
        assert key.splitlines()[1] not in shown


def test_a_missing_file_is_a_startup_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"web\.yml: the configuration cannot be read: No such file or directory$"):
        load_web(tmp_path / "web.yml")


KEYS = st.sampled_from(
    ["tls_server_config", "cert_file", "cert", "key", "http_server_config", "headers", "basic_auth_users",
     "rate_limit", "burst", "interval", "cipher_suites", "client_auth_type", "odd"]
)  # fmt: skip
SCALARS = st.sampled_from([None, "", "true", "TLS12", "server.pem", "5s", "1", HASH, "NoClientCert", "deny"])
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@given(DOCUMENTS)
def test_any_document_is_read_or_has_errors(data: object) -> None:
    text = yaml.safe_dump(data)
    try:
        read: WebConfig | ConfigError = parse_as(_WEB_CONFIG, text, "web.yml", None)
    except ConfigError as error:
        read = error
    if isinstance(read, ConfigError):
        assert read.problems
        assert all(0 < problem.line <= len(text.splitlines()) for problem in read.problems)
