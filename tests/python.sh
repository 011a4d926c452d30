#!/usr/bin/env bash
# Run tests on the Python of another Debian release: tests/python.sh SUITE [arguments for pytest].
# Needs root and debootstrap, which unpacks the release into build/SUITE once. The tests run there, on a copy of the
# working tree with a .venv/ of its own. trixie has Python 3.13, forky 3.14.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

suite=${1:?tests/python.sh SUITE [arguments for pytest]}
shift
(($#)) || set -- -m unit --numprocesses 2 --dist worksteal

root=build/$suite
if [[ ! -e $root/unpacked ]]; then
    # A release that is newer than this debootstrap is unpacked like sid.
    [[ -e /usr/share/debootstrap/scripts/$suite ]] && script=$suite || script=sid
    mkdir -p "$root"
    debootstrap --variant=minbase --include=ca-certificates,git,iproute2,make,python3-venv \
        "$suite" "$root" "${MIRROR:-}" "$script"
    touch "$root/unpacked"
fi

mkdir -p "$root/src"
find "$root/src" -mindepth 1 -maxdepth 1 ! -name .venv ! -name .git -exec rm -rf {} +
git init --quiet "$root/src" # some tests ask git for the project's files
git ls-files -z --cached --others --exclude-standard --deduplicate \
    | tar -c --ignore-failed-read --null --files-from - | tar -x -C "$root/src"
[[ ! -f /etc/ssl/certs/ca-certificates.crt ]] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
cp /etc/resolv.conf "$root/etc/"

# shellcheck disable=SC2016 # expanded by the inner shells
exec unshare --mount bash -euc '
    mount -t proc proc "$0/proc"
    mount --rbind /dev "$0/dev"
    exec env HOME=/root LC_ALL=C.UTF-8 chroot "$0" sh -euc "cd /src; make setup; exec .venv/bin/python -m pytest \"\$@\"" sh "$@"
' "$root" "$@"
