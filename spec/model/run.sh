#!/bin/bash
# Runs the models with ProVerif and compares the results with expected.txt. Exits 0 only if all are as expected.
#   ./run.sh            every line of expected.txt
#   ./run.sh MODEL...   the lines of these models
# PROVERIF=FILE: ProVerif, if it is not in the path. JOBS: runs at once (2). LIMIT: processor seconds for one (600).
cd "$(dirname "$0")" || exit 2
export PROVERIF=${PROVERIF:-proverif} LIMIT=${LIMIT:-600}
command -v "$PROVERIF" > /dev/null || { echo "There is no ProVerif at '$PROVERIF'. README.md says how to get it."; exit 2; }
work=$(mktemp -d) || exit 2
trap 'rm -r "$work"' EXIT
export work

# Runs one line of expected.txt.
run() {
  read -r model variants _ expected <<< "$1"
  name=$work/$model,$variants
  exchange=library/diffie_hellman.pvl
  changes=()
  for variant in ${variants//+/ }; do
    case $variant in
      -) ;;
      equation) exchange=library/diffie_hellman_equation.pvl ;;
      *) changes+=("variants/$variant.pvl") ;;
    esac
  done
  # What a variant defines is left out of parts.pvl.
  replaced=$(cat "${changes[@]}" < /dev/null | sed -nE 's/^let(fun)? ([A-Za-z0-9_]+).*/\2/p' | paste -sd '|')
  { grep -vE "^let(fun)? (${replaced:-none})\(" library/parts.pvl; cat "${changes[@]}" < /dev/null; } > "$name.pvl"
  libraries=(-lib "$exchange" -lib library/symbols.pvl)
  case $model in
    keys) ;;
    identity_*) libraries+=(-lib library/identity.pvl) ;;
    punch_*) libraries+=(-lib "$name.pvl" -lib library/punch.pvl -lib library/reset.pvl) ;;
    introduced_*) libraries+=(-lib "$name.pvl" -lib library/handshake.pvl -lib library/introduction.pvl) ;;
    *) libraries+=(-lib "$name.pvl" -lib library/handshake.pvl) ;;
  esac
  TIMEFORMAT=%U
  took=$( { time bash -c 'ulimit -t "$LIMIT"; exec "$0" "$@"' "$PROVERIF" "${libraries[@]}" "models/$model.pv" > "$name.log" 2>&1; } 2>&1 )
  results=$(sed -nE '/^RESULT [^(]/{s/.* is true\.$/T/; s/.* is false\.$/F/; s/.* cannot be proved\.$/?/; p}' "$name.log" | paste -sd ' ')
  if [ -z "$results" ]; then results="none ($(grep -m 1 Error "$name.log" || echo stopped))"; fi
  verdict=
  [ "$results" = "$expected" ] || verdict="  EXPECTED $expected"
  printf '%-38s %-40s %7s  %s%s\n' "$model" "$variants" "$took" "$results" "$verdict"
  [ -z "$verdict" ]
}
export -f run

lines=$(grep -vE '^(#|$)' expected.txt)
[ $# -eq 0 ] || lines=$(for model; do grep "^$model " <<< "$lines" || echo "$model - - (no such model)"; done)
if xargs -P "${JOBS:-2}" -d '\n' -n 1 bash -c 'run "$1"' run <<< "$lines"; then
  echo "All results are as expected."
else
  echo "Not all results are as expected."
  exit 1
fi
