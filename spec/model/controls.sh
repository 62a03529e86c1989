#!/bin/sh
# Breaks the protocol on purpose, one part at a time, and looks whether Verifpal finds the attack: a model that cannot
# fail shows nothing. One session each. Prints what was removed, the result code, and what it should be.
cd "$(dirname "$0")" || exit 2
verifpal=${VERIFPAL:-verifpal}
work=$(mktemp -d) || exit 2
trap 'rm -r "$work"' EXIT
status=0
without() { # what is removed, model, expected code, sed script
    sed "$4" "$2.vp" > "$work/broken.vp"
    if cmp -s "$2.vp" "$work/broken.vp"; then echo "$1: nothing was removed"; status=1; return; fi
    got=$("$verifpal" verify "$work/broken.vp" --sessions 1 --quiet --result-code --color never)
    echo "without $1, $2: $got, expected $3"
    [ "$got" = "$3" ] || status=1
}
without "the check of the epoch's signature (5.5)" handshake_secrecy c1c0c0c0 '/SIGNVERIF/d'
without "ee (3.2)" handshake_secrecy c1c1c1c1 's/DH_KEX(epoch_key, ephemeral)/zero/; s/DH_KEX(e, epoch)/zero/'
without "se (3.2), epoch key stolen" epoch_key_stolen a1c1a1c1c1 's/DH_KEX(host_pk, ephemeral)/zero/; s/DH_KEX(e, host_identity)/zero/'
without "es (3.2)" handshake_authentication a0a0a1f0e0 's/DH_KEX(epoch_key, initiator_identity)/zero/; s/DH_KEX(initiator_pk, epoch)/zero/'
exit $status
