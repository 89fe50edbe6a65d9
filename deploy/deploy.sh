#!/usr/bin/env bash
# Brings images to the cluster that kubectl points to, waits until they are ready, and goes back to those before if they
# are not. From a laptop as from .github/workflows/deploy.yml:
#
#   deploy/deploy.sh OVERLAY IMAGES
#
# OVERLAY is a folder in deploy/spinkube/overlays. IMAGES is a file, one image a line, each by its digest:
# ghcr.io/you/mealkit@sha256:… The last part of its name says whose image it is.
set -euo pipefail

overlay=$1
images=$2
spinkube=$(cd "$(dirname "$0")/spinkube" && pwd)
kubectl=(kubectl --namespace mealkit)

# How long the operator may take to see a change, and a Deployment to be ready.
seen=${SEEN:-120s}
ready=${READY:-300s}

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*"; }

# A pod that is to go gets no new requests from that moment on, but Spin drops those in flight at SIGTERM. So the kubelet
# waits before it sends one. A SpinApp has no field for that; the operator leaves alone what is not its own.
drain() {
    "${kubectl[@]}" apply --server-side --field-manager mealkit-drain -f - <<YAML
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $1
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 45
      containers:
        - name: $1
          lifecycle: {preStop: {sleep: {seconds: 15}}}
YAML
}

# Waits until each app runs the image that stands beside it, with all its replicas ready.
wait_for() {
    local app image
    while read -r app image; do
        "${kubectl[@]}" wait "deployment/$app" --timeout="$seen" \
            --for=jsonpath='{.spec.template.spec.containers[0].image}'="$image" || return 1
        drain "$app" || return 1
        "${kubectl[@]}" rollout status "deployment/$app" --timeout="$ready" || return 1
    done
}

release=$spinkube/overlays/release
mkdir -p "$release"
cp "$spinkube/overlays/$overlay/images.yaml" "$release/images.yaml"
{
    printf 'resources: [../%s]\nconfigurations: [images.yaml]\nimages:\n' "$overlay"
    while read -r image; do
        if [[ ! "$image" =~ ^([^@]+)/([a-z-]+)@(sha256:[0-9a-f]{64})$ ]]; then
            say "not an image with its digest: $image" >&2
            exit 1
        fi
        name=${BASH_REMATCH[2]}
        printf '  - {name: ghcr.io/example/%s, newName: %s/%s, digest: "%s"}\n' \
            "$name" "${BASH_REMATCH[1]}" "$name" "${BASH_REMATCH[3]}"
    done < "$images"
} > "$release/kustomization.yaml"
rendered=$(kubectl kustomize "$release")
if grep -q '0\{64\}' <<<"$rendered"; then
    say "$images does not have all images of the overlay $overlay" >&2
    exit 1
fi

# What runs now, to go back to: app and image.
before=$("${kubectl[@]}" get spinapps --output \
    jsonpath='{range .items[*]}{.metadata.name}{" "}{.spec.image}{"\n"}{end}' 2>/dev/null || true)

say "applying the overlay $overlay"
"${kubectl[@]}" apply --server-side --force-conflicts --field-manager deploy -f - <<<"$rendered"

after=$("${kubectl[@]}" get spinapps --output jsonpath='{range .items[*]}{.metadata.name}{" "}{.spec.image}{"\n"}{end}')
if wait_for <<<"$after"; then
    say "ready"
    exit 0
fi

say "not ready in time; the events of the last minutes:" >&2
"${kubectl[@]}" get events --sort-by=.lastTimestamp >&2 || true
if [[ -z "$before" ]]; then
    say "there was nothing before, so there is nothing to go back to" >&2
    exit 1
fi
say "going back" >&2
while read -r app image; do
    "${kubectl[@]}" patch spinapp "$app" --type merge --patch "{\"spec\":{\"image\":\"$image\"}}" >&2
done <<<"$before"
if wait_for <<<"$before"; then
    say "back to what was there before; nothing was lost, the new version is not running" >&2
else
    say "not even the old images become ready: see docs/deploy-aks.md, Not ready" >&2
fi
exit 1
