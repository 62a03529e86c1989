#!/bin/sh
# Runs every ProVerif model here and compares each result with results.txt. Needs `proverif` in PATH (or PROVERIF=...).
cd "$(dirname "$0")" || exit 1
proverif=${PROVERIF:-proverif}
work=$(mktemp -d) || exit 1
trap 'rm -r "$work"' EXIT
# The handshake without host_salt in the keys: shows what the salt is for. Not the protocol.
sed 's/extract((salt, h3), ck3)/extract(h3, ck3)/' handshake.pvl > "$work/no_salt.pvl"
for model in secrecy agreement kci_initiator kci_host both_roles epoch_leak no_salt; do
    lib=handshake.pvl
    [ "$model" = no_salt ] && lib=$work/no_salt.pvl
    echo "== $model"
    "$proverif" -lib "$lib" "$model.pv" > "$work/out"
    grep '^RESULT' "$work/out" || { echo "proverif failed on $model" >&2; exit 1; }
done > "$work/results"
diff results.txt "$work/results" && echo "as recorded"
