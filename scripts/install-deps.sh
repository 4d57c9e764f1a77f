#!/usr/bin/env bash
# Install what building and running clora needs, with apt, as root or through sudo.
#
#   scripts/install-deps.sh            to build and run
#   scripts/install-deps.sh --tests    and what scripts/test.sh needs besides
#
# Does nothing when all is there. On a system without apt it prints the names that Debian has for them and exits 1; with
# CLORA_DEPS=installed it believes that they are there.
set -euo pipefail

build=(gcc libc6-dev meson ninja-build pkg-config python3 ocl-icd-opencl-dev opencl-headers libclblast-dev
    libjansson-dev libpcre2-dev libutf8proc-dev libxxhash-dev zlib1g-dev)
run=(ocl-icd-libopencl1 pocl-opencl-icd)
tests=(libcmocka-dev g++ clang clang-format-14 doxygen oclgrind abigail-tools)

packages=("${build[@]}" "${run[@]}")
case "${1:-}" in
"") ;;
--tests) packages+=("${tests[@]}") ;;
*)
    echo "usage: scripts/install-deps.sh [--tests]" >&2
    exit 2
    ;;
esac

if [ "${CLORA_DEPS:-}" = installed ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "install-deps: no apt here; install what Debian calls ${packages[*]}, then set CLORA_DEPS=installed" >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "Packages: all ${#packages[@]} there"
    exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-deps: run as root, or have sudo: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi

# A mirror or a lock of another apt may need a second try.
retry() {
    local try
    for try in 1 2 3; do
        "$@" && return 0
        [ "$try" = 3 ] || sleep $((try * 5))
    done
    return 1
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1
}
echo "Packages: installing ${missing[*]}"
if ! retry apt update || ! retry apt install --no-install-recommends "${missing[@]}"; then
    tail -n 20 "$log" >&2
    echo "install-deps: apt-get could not install ${missing[*]}" >&2
    exit 1
fi
