#!/bin/sh
# The last step of an environment in the image: remove what differs between two builds, compile, list the components.
# Needs /src/dpkg-status, the list of Debian's packages in the image.
set -eu

environment=/opt/relay-monitor
find "$environment" -name __pycache__ -prune -exec rm -rf {} +
# uv_cache.json has the time of the build, and RECORD its digest.
find "$environment" -name uv_cache.json -delete
find "$environment" -path '*.dist-info/RECORD' -exec sed -i '/\.dist-info\/uv_cache\.json,/d' {} +
rm -f "$environment/.lock"
"$environment/bin/python" -B -m compileall -q --invalidation-mode unchecked-hash "$environment/lib"

if [ ! -e /opt/sbom ]; then
    python3 -m venv --without-pip /opt/sbom
    uv pip install --python /opt/sbom/bin/python --require-hashes --only-binary :all: \
        --constraints requirements-dev.lock "$(grep -o '^cyclonedx-bom==[^ ]*' requirements-dev.lock)"
fi
/opt/sbom/bin/cyclonedx-py environment --output-reproducible --output-format JSON --output-file python.json \
    "$environment/bin/python"
python3 sbom.py python.json dpkg-status > "$environment/sbom.cdx.json"
