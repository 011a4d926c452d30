FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# The dev lock is here for the build's own tools (uv, hatchling) only; what is installed is the runtime lock.
RUN awk '/^[^ #]/ { ours = /^uv==/ } ours' requirements-dev.lock > uv.lock \
    && pip install --no-cache-dir --require-hashes --only-binary :all: -r uv.lock \
    && python -m venv --without-pip /opt/relay-monitor \
    && uv pip install --no-cache --python /opt/relay-monitor/bin/python --compile-bytecode \
        --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY monitor monitor
RUN uv build --no-cache --wheel --out-dir dist --build-constraints requirements-dev.lock --require-hashes \
    && uv pip install --no-cache --python /opt/relay-monitor/bin/python --compile-bytecode --no-deps dist/*.whl

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="relay-monitor" \
    org.opencontainers.image.description="An always-on synthetic monitor for production WebSocket relays" \
    org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/relay-monitor/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RELAY_MONITOR_LISTEN=0.0.0.0:9464
COPY --from=build /opt/relay-monitor /opt/relay-monitor
COPY config.yaml /etc/relay-monitor/config.yaml
# Numeric, so that Kubernetes' runAsNonRoot can see that it is not root.
USER 65532:65532
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=10s --start-period=20s \
    CMD ["python", "-m", "monitor.healthcheck", "127.0.0.1:9464"]
ENTRYPOINT ["relay-monitor"]
CMD ["run", "--config", "/etc/relay-monitor/config.yaml", "--log-format", "json"]
