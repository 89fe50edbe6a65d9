#!/usr/bin/env bash
# Prints the Shim object of a release of containerd-shim-spin, with the sums of its files, for the runtime-class-manager:
#
#   deploy/shim.sh VERSION | kubectl apply -f -
#
# It installs the shim on every node with the label spin=true, and makes the RuntimeClass that the executor names. The shop
# needs a shim of Spin 4.1 or later (WASI 0.3). Whether there is one, only its releases say: where there is none, this fails,
# and components/container does without.
set -euo pipefail

version=${1#v}
releases=https://github.com/spinframework/containerd-shim-spin/releases
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT

platforms=
for arch in x86_64 aarch64; do
    location=$releases/download/v$version/containerd-shim-spin-v2-linux-$arch.tar.gz
    if ! curl --fail --silent --show-error --location --output "$archive" "$location"; then
        echo "there is no shim $version at $location; see $releases, or do without (components/container)" >&2
        exit 1
    fi
    sum=$(sha256sum < "$archive")
    platforms+="
      - {os: linux, arch: $arch, location: \"$location\", sha256: ${sum%% *}}"
done

cat <<YAML
apiVersion: runtime.spinkube.dev/v1alpha1
kind: Shim
metadata:
  name: spin-v2
spec:
  nodeSelector:
    spin: "true"
  fetchStrategy:
    platforms:$platforms
  # Without it the nodes count no CPU for the pods, and the autoscaler has nothing to go by.
  containerdRuntimeOptions:
    SystemdCgroup: "true"
  runtimeClass:
    name: wasmtime-spin-v2
    handler: spin-v2
  # The only one that the manager knows.
  rolloutStrategy:
    type: recreate
YAML
