# Two images: `runtime`, the default, for the daemon; `tools` (--target tools) with all extras, for load tests,
# `simulate` and `generate`. `make image` builds them without Docker and checks them.
#
# BASE is a Debian whose python3 is 3.11 or newer. For reproducible builds, no file has the time of its build in it, and
# compiled Python is not compared with the times of its sources, which builders change.
ARG BASE=debian:trixie-slim

# Debian's Python, without pip.
FROM ${BASE} AS python
# hadolint ignore=DL3008,DL3009 # security updates are wanted, and the release fixes the version of Python; find deletes the lists
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tzdata \
    && find /usr/lib/python3* /usr/share/python3 -name __pycache__ -prune -exec rm -rf {} + \
    && PYTHONHASHSEED=0 python3 -B -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.* \
    && find /var/log /var/cache /var/lib/apt/lists /tmp -type f -delete \
    && rm -f /var/lib/dpkg/*-old

FROM python AS build
WORKDIR /src
# hadolint ignore=DL3008 # likewise
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY requirements.lock requirements-dev.lock ./
# The certificates are those of BASE, which may have a company's own.
ENV PYTHONHASHSEED=0 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_NO_CACHE=1 \
    UV_PYTHON=/opt/relay-monitor/bin/python \
    UV_PYTHON_DOWNLOADS=never
# The dev lock pins the build tools (uv, hatchling, cyclonedx-bom); the runtime lock is installed.
RUN awk '/^[^ #]/ { selected = /^uv==/ } selected' requirements-dev.lock > uv.lock \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r uv.lock \
    && ln -s /opt/uv/bin/uv /usr/local/bin/uv \
    && python3 -m venv --without-pip /opt/relay-monitor \
    && uv pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY monitor monitor
COPY deploy/image/finish.sh deploy/image/sbom.py ./
COPY --from=python /var/lib/dpkg/status dpkg-status
ARG SOURCE_DATE_EPOCH=0
RUN uv build --wheel --out-dir dist --build-constraints requirements-dev.lock --require-hashes \
    && uv pip install --no-deps dist/*.whl \
    && ./finish.sh

FROM build AS build-tools
# A C compiler: hdrhistogram has no wheel for Linux on arm64. It is compiled without debug information, in which the folder
# of the build has a random name.
# hadolint ignore=DL3008 # likewise
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev python3-dev && rm -rf /var/lib/apt/lists/*
COPY requirements-tools.lock ./
RUN CFLAGS=-g0 uv pip install --require-hashes --only-binary :all: --no-binary hdrhistogram \
        --build-constraints requirements-dev.lock -r requirements-tools.lock \
    && ./finish.sh

FROM python AS base
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="relay-monitor" \
    org.opencontainers.image.description="An always-on synthetic monitor for production WebSocket relays" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/relay-monitor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELAY_MONITOR_LISTEN=0.0.0.0:9464
COPY config.yaml /etc/relay-monitor/config.yaml
# Numeric, for Kubernetes' runAsNonRoot.
USER 65532:65532
ENTRYPOINT ["relay-monitor"]

FROM base AS tools
COPY --from=build-tools /opt/relay-monitor /opt/relay-monitor
CMD ["--help"]

FROM base AS runtime
COPY --from=build /opt/relay-monitor /opt/relay-monitor
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=10s --start-period=20s \
    CMD ["python", "-m", "monitor.healthcheck", "--config", "/etc/relay-monitor/config.yaml"]
CMD ["run", "--config", "/etc/relay-monitor/config.yaml", "--log-format", "json"]
