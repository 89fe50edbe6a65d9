#!/usr/bin/env bash
# Brings images to the cluster that kubectl (1.31 or later) points to, waits until they are ready, and goes back to those
# before if they are not. From a laptop as from .github/workflows/deploy.yml:
#
#   deploy/deploy.sh OVERLAY IMAGES
#
# OVERLAY is a folder in deploy/spinkube/overlays. IMAGES is a file, one image a line, each by its digest:
# ghcr.io/you/mealkit@sha256:… The last part of its name says whose image it is. The namespace is there already: who
# deploys may write in it, and need not be allowed to make it.
set -euo pipefail

overlay=$1
images=$2
spinkube=$(cd "$(dirname "$0")/spinkube" && pwd)
kubectl=(kubectl --namespace mealkit)

# How long the operator may take to see a change, and a Deployment or the vault's driver to be ready.
seen=${SEEN:-120s}
ready=${READY:-300s}

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*"; }

# Of what is rendered, the objects of these kinds: `pick only KIND…`, or all others: `pick without KIND…`.
pick() {
    awk -v only="$([[ $1 == only ]] && echo 1 || echo 0)" -v kinds=" ${*:2} " '
        function end() {
            if (text != "" && (index(kinds, " " kind " ") > 0) == only) printf "---\n%s", text
            text = ""
        }
        /^---$/ { end(); next }
        /^kind: / { kind = $2 }
        { text = text $0 "\n" }
        END { end() }
    ' <<<"$rendered"
}

names() { sed -n 's/^  name: //p'; }

apply() { "${kubectl[@]}" apply --server-side --force-conflicts --field-manager deploy -f -; }

# What is not there yet ends any other wait at once.
wait_for() { # OBJECT TIMEOUT [CONDITION]
    "${kubectl[@]}" wait "$1" --for=create --timeout="$2" &&
        { [[ -z "${3:-}" ]] || "${kubectl[@]}" wait "$1" --for="$3" --timeout="$2"; }
}

# The operator reads the secrets that an app names when it sees the app; if one is missing, it looks again later and
# later. On Azure the vault's driver makes them, once the pod of the database has mounted the vault.
wait_for_secrets() {
    local key
    for key in $(pick only SpinApp | grep -A 1 'secretKeyRef:$' | sed -n 's/.* key: //p' | sort -u); do
        wait_for secret/mealkit "$ready" "jsonpath={.data.$key}" || return 1
    done
}

# KEDA refuses an object whose Deployment is missing, or has another autoscaler. And what an overlay does not have any
# more, applying it does not take away: two autoscalers would pull at one Deployment.
scale() {
    local name
    for name in $(pick only ScaledObject | names); do
        "${kubectl[@]}" delete hpa "$name" --ignore-not-found || return 1
    done
    if kubectl get --raw /apis/keda.sh/v1alpha1 > /dev/null 2>&1; then
        for name in $(pick only HorizontalPodAutoscaler | names); do
            "${kubectl[@]}" delete scaledobject "$name" --ignore-not-found || return 1
        done
    fi
    pick only HorizontalPodAutoscaler ScaledObject | apply
}

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

# Waits until the operator has brought this release to the Deployment of each app, and all its replicas are ready. (The
# image would not tell: a release may change something else.)
roll_out() { # RELEASE APPS
    local app
    for app in "${@:2}"; do
        wait_for "deployment/$app" "$seen" "jsonpath={.metadata.annotations.release}=$1" || return 1
        drain "$app" || return 1
        "${kubectl[@]}" rollout status "deployment/$app" --timeout="$ready" || return 1
    done
}

release=$(date -u +%Y%m%dT%H%M%SZ)
folder=$spinkube/overlays/release
mkdir -p "$folder"
cp "$spinkube/overlays/$overlay/images.yaml" "$folder/images.yaml"
{
    printf 'sortOptions: {order: fifo}\nresources: [../%s]\nconfigurations: [images.yaml]\n' "$overlay"
    printf 'patches:\n  - target: {kind: SpinApp}\n    patch: |-\n      - op: add\n        path: /spec/deploymentAnnotations\n'
    printf '        value: {release: "%s"}\nimages:\n' "$release"
    while read -r image; do
        if [[ ! "$image" =~ ^([^@]+)/([a-z-]+)@(sha256:[0-9a-f]{64})$ ]]; then
            say "not an image with its digest: $image" >&2
            exit 1
        fi
        name=${BASH_REMATCH[2]}
        printf '  - {name: ghcr.io/example/%s, newName: %s/%s, digest: "%s"}\n' \
            "$name" "${BASH_REMATCH[1]}" "$name" "${BASH_REMATCH[3]}"
    done < "$images"
} > "$folder/kustomization.yaml"
rendered=$(kubectl kustomize "$folder")
if grep -q '0\{64\}' <<<"$rendered"; then
    say "$images does not have all images of the overlay $overlay" >&2
    exit 1
fi
mapfile -t apps < <(pick only SpinApp | names)

# What of it runs now, to go back to: app and image.
before=$("${kubectl[@]}" get spinapps --output jsonpath='{range .items[*]}{.metadata.name}{" "}{.spec.image}{"\n"}{end}')
before=$(grep -E "^($(IFS='|' && echo "${apps[*]}")) " <<<"$before" || true)

say "applying the overlay $overlay"
pick without Namespace SpinApp HorizontalPodAutoscaler ScaledObject | apply
if ! wait_for_secrets; then
    say "the secrets are not there: see docs/deploy-aks.md, Not ready" >&2
    exit 1
fi
pick only SpinApp | apply

all_ready() {
    local app
    for app in "${apps[@]}"; do
        wait_for "deployment/$app" "$seen" || return 1
    done
    scale && roll_out "$release" "${apps[@]}"
}
if all_ready; then
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
    "${kubectl[@]}" patch spinapp "$app" --type merge \
        --patch "{\"spec\":{\"image\":\"$image\",\"deploymentAnnotations\":{\"release\":\"$release-back\"}}}" >&2
done <<<"$before"
mapfile -t apps < <(cut -d ' ' -f 1 <<<"$before")
if roll_out "$release-back" "${apps[@]}"; then
    say "back to what was there before; nothing was lost, the new version is not running" >&2
else
    say "not even the old images become ready: see docs/deploy-aks.md, Not ready" >&2
fi
exit 1
