# Two images: `runtime`, the default, for the daemon; `tools` (--target tools) with all extras, for load tests,
# `simulate` and `generate`.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# The dev lock pins the build tools (uv, hatchling); the runtime lock is installed.
RUN awk '/^[^ #]/ { selected = /^uv==/ } selected' requirements-dev.lock > uv.lock \
    && pip install --no-cache-dir --require-hashes --only-binary :all: -r uv.lock \
    && python -m venv --without-pip /opt/relay-monitor \
    && uv pip install --no-cache --python /opt/relay-monitor/bin/python --compile-bytecode \
        --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY monitor monitor
RUN uv build --no-cache --wheel --out-dir dist --build-constraints requirements-dev.lock --require-hashes \
    && uv pip install --no-cache --python /opt/relay-monitor/bin/python --compile-bytecode --no-deps dist/*.whl

# The full image has a C compiler: hdrhistogram has no wheel for Linux on arm64.
FROM python:3.13-bookworm AS build-tools
WORKDIR /src
COPY --from=build /usr/local/bin/uv /usr/local/bin/uv
COPY --from=build /opt/relay-monitor /opt/relay-monitor
COPY requirements-tools.lock requirements-dev.lock ./
RUN uv pip install --no-cache --python /opt/relay-monitor/bin/python --compile-bytecode \
        --require-hashes --only-binary :all: --no-binary hdrhistogram \
        --build-constraints requirements-dev.lock -r requirements-tools.lock

FROM python:3.13-slim-bookworm AS base
LABEL org.opencontainers.image.title="relay-monitor" \
    org.opencontainers.image.description="An always-on synthetic monitor for production WebSocket relays" \
    org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/relay-monitor/bin:$PATH \
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
