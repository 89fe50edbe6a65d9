#!/usr/bin/env bash
# Makes a key pair and a token for the libSQL server, in the folder that is named: `libsql-public-key`, which the server
# verifies tokens with (several may stand in one file), and `libsql-token`, which the shop shows. The private key signs
# this one token and is gone with the script: whoever needs another token makes another pair.
#
#   deploy/libsql-token.sh FOLDER
set -euo pipefail
umask 077

mkdir -p "$1"
private=$(mktemp)
signed=$(mktemp)
trap 'rm -f "$private" "$signed"' EXIT

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

openssl genpkey -algorithm ed25519 -out "$private"
openssl pkey -in "$private" -pubout -out "$1/libsql-public-key"

# May read and write (libSQL's claim `a`). It does not expire: rotation is docs/deploy-aks.md, "Rotate the secrets".
header=$(printf '{"alg":"EdDSA","typ":"JWT"}' | base64url)
claims=$(printf '{"a":"rw","iat":%s}' "$(date +%s)" | base64url)
printf '%s.%s' "$header" "$claims" > "$signed"
signature=$(openssl pkeyutl -sign -rawin -inkey "$private" -in "$signed" | base64url)
printf '%s.%s.%s' "$header" "$claims" "$signature" > "$1/libsql-token"
