#!/usr/bin/env bash
# Runs a registry of three nodes and a read replica as real processes, breaks them in every way that machines
# break while clients write and read, and judges what the clients saw. See scripts/chaos.sh -h.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repository"
bin=$(mktemp -d "${TMPDIR:-/tmp}/dcann-chaos-bin.XXXXXX")
child=''
# A signal goes to the harness, which takes down what it built; only then is its binary removed.
trap 'rm -rf "$bin"' EXIT
trap '[ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' INT TERM
go build -o "$bin/chaos" ./scripts/chaos
"$bin/chaos" "$@" &
child=$!
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # a signal ends the wait, not the harness
  code=0
  wait "$child" || code=$?
done
exit "$code"
