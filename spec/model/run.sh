#!/bin/sh
# Runs the Verifpal models and compares their result codes with expected.txt.  ./run.sh [1|2]  one session, or both (the default)
cd "$(dirname "$0")" || exit 2
most=${1:-2}
verifpal=${VERIFPAL:-verifpal}
status=0
grep -v '^#' expected.txt | {
    while read -r model one two; do
        sessions=1
        for want in "$one" "$two"; do
            [ "$sessions" -le "$most" ] || break
            got=$("$verifpal" verify "$model.vp" --sessions "$sessions" --quiet --result-code --color never < /dev/null)
            if [ "$got" = "$want" ]; then
                echo "$model, sessions $sessions: $got as expected"
            else
                echo "$model, sessions $sessions: $got, expected $want"
                status=1
            fi
            sessions=2
        done
    done
    exit $status
}
