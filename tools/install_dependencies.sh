#!/usr/bin/env bash
# Installs the distribution packages that flux2cpp builds and tests with. Does nothing where all of
# them are there already. Debian 12 and later, Ubuntu 24.04 and later.
set -euo pipefail

packages=(
  g++ make cmake ninja-build pkg-config
  libdnnl-dev ocl-icd-opencl-dev  # matmul and convolution; its CMake package asks for OpenCL
  libgomp1
  nlohmann-json3-dev libcli11-dev libfmt-dev libspdlog-dev
  libpng-dev libjpeg-dev libwebp-dev zlib1g-dev
  libpcre2-dev libicu-dev
  libcurl4-openssl-dev libssl-dev  # downloads and their digests
  libgtest-dev libbenchmark-dev
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  # A package that another one provides (libjpeg-dev) counts as there.
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies: these packages are missing and there is no sudo: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
