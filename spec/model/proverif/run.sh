#!/bin/sh
# ./run.sh            runs the models that results.txt has results of, and compares
# ./run.sh MODEL...   runs these and prints their results
# Needs `proverif` in the path, or PROVERIF=/where/it/is. Minutes each.
cd "$(dirname "$0")" || exit 2
proverif=${PROVERIF:-proverif}
work=$(mktemp -d) || exit 2
trap 'rm -r "$work"' EXIT
# The handshake without host_salt in the keys, which shows what the salt is for. Not the protocol.
sed 's/extract((salt, h3), ck3)/extract(h3, ck3)/' handshake.pvl > "$work/no_salt.pvl"
run() {
    for model; do
        lib=handshake.pvl
        [ "$model" = no_salt ] && lib=$work/no_salt.pvl
        "$proverif" -lib "$lib" "$model.pv" > "$work/out"
        grep -q '^RESULT' "$work/out" || echo "$model: no result"
        sed -n "s/^RESULT/$model:/p" "$work/out"
    done
}
if [ $# -gt 0 ]; then
    run "$@"
else
    run $(cut -d: -f1 results.txt | uniq) > "$work/results"
    diff results.txt "$work/results" && echo "as recorded"
fi
