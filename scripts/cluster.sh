#!/usr/bin/env bash
# Runs a registry of three nodes and a read replica on this machine, each a process of its own, until Ctrl-C.
#
#   scripts/cluster.sh [-d DIR] [--base-port PORT]
#
#   -d DIR            keep everything in DIR, and go on with what an earlier run left there
#                     (default: a temporary directory, removed at the end)
#   --base-port PORT  of a new DIR: public addresses are PORT+1 to PORT+4, those between nodes PORT+101 to
#                     PORT+104, all on 127.0.0.1 (default 7400)
#
# It needs Go and nothing else. What it starts, it ends.
set -euo pipefail

explain() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; }
keep='' port=7400
while [ $# -gt 0 ]; do
  case $1 in
    -d) [ $# -gt 1 ] || { explain >&2; exit 2; }; keep=$2; shift 2 ;;
    --base-port) [ $# -gt 1 ] || { explain >&2; exit 2; }; port=$2; shift 2 ;;
    -h | --help) explain; exit 0 ;;
    *) printf 'there is no option %s\n\n' "$1" >&2; explain >&2; exit 2 ;;
  esac
done
case $port in
  '' | *[!0-9]*) printf -- '--base-port %s: expected a number\n' "$port" >&2; exit 2 ;;
esac
if [ "$port" -lt 1 ] || [ "$port" -gt 65431 ]; then
  printf -- '--base-port %s: expected 1 to 65431, for PORT+104 is used too\n' "$port" >&2
  exit 2
fi

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base=${keep:-$(mktemp -d "${TMPDIR:-/tmp}/dcann.XXXXXX")} # short: the path of a socket is in it
mkdir -p "$base"
base=$(cd "$base" && pwd)
dir=$base/cluster
dcann=$base/bin/dcann
names='n1 n2 n3 r1'
# What is set for other nodes is not for these.
for variable in $(compgen -e DCANN_ || true); do unset "$variable"; done

say() { printf '%s\n' "$*"; }
pid_n1='' pid_n2='' pid_n3='' pid_r1='' # of what this script started
pid() { eval "printf '%s' \"\$pid_$1\""; }
alive() { [ -n "$(pid "$1")" ] && kill -0 "$(pid "$1")" 2>/dev/null; }

finish() {
  trap - EXIT
  local started='' name
  for name in $names; do
    if alive "$name"; then
      kill "$(pid "$name")" 2>/dev/null || true
      started="$started $(pid "$name")"
    fi
  done
  [ -z "$started" ] || say 'stopping all nodes'
  local p
  for p in $started; do wait "$p" 2>/dev/null || true; done
  [ -n "$keep" ] || rm -rf "$base"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME
start() {
  rm -f "$dir/$1/ready"
  "$dcann" serve --config "$dir/$1/node.yaml" --ready-file "$dir/$1/ready" 2>>"$dir/$1/log" &
  eval "pid_$1=$!"
}

# ready NAME: waits until it answers
ready() {
  local i=0
  until [ -s "$dir/$1/ready" ]; do
    if ! alive "$1"; then
      say "node $1 has ended:" >&2
      tail -n 3 "$dir/$1/log" >&2
      exit 1
    fi
    i=$((i + 1))
    if [ "$i" -gt 600 ]; then
      say "node $1 does not get ready; its log is $dir/$1/log" >&2
      exit 1
    fi
    sleep 0.1
  done
}

url() { sed -n 's/.*"http":"\([^"]*\)".*/\1/p' "$dir/$1/ready"; }
address() { sed -n 's/^node-listen: "\(.*\)"$/\1/p' "$dir/$1/node.yaml"; }

say "building dcann"
mkdir -p "$base/bin"
(cd "$repository" && go build -o "$dcann" ./cmd/dcann)
if [ -e "$dir" ]; then
  say "going on with $dir"
else
  at() { printf '%s=127.0.0.1:%s,127.0.0.1:%s' "$1" $((port + 100 + $2)) $((port + $2)); }
  "$dcann" cluster init --dir "$dir" --country xa --recovery-window 1h \
    --node "$(at n1 1)" --node "$(at n2 2)" --node "$(at n3 3)" --replica "$(at r1 4)" >/dev/null
fi
for name in $names; do start "$name"; done
for name in n1 n2 n3; do ready "$name"; done
if ! "$dcann" cluster status --config "$dir/n1/node.yaml" -o json | grep -q '"name": "r1"'; then
  "$dcann" cluster join --config "$dir/n1/node.yaml" --replica "r1=$(address r1)" 2>/dev/null
fi
ready r1

say "
A registry of country xa is ready. Any node can be asked:
"
for name in n1 n2 n3; do say "  $name  $(url $name)  (process $(pid $name))"; done
say "  r1  $(url r1)  (process $(pid r1)), a read replica

Try, in another terminal:

  export PATH=$base/bin:\$PATH DCANN_REGISTRY=$(url n2)
  dcann cluster status --config $dir/n1/node.yaml
  dcann key new --out alice.pem
  dcann passport create --rotation alice.pem
  kill -KILL $(pid n1)                      # the others go on
  dcann serve --config $dir/n1/node.yaml    # and it comes back
  dcann cluster transfer --config $dir/n2/node.yaml
  dcann cluster check --config $dir/n2/node.yaml
  dcann backup --config $dir/r1/node.yaml --to xa.backup

Logs are $dir/NAME/log, the accreditation key is $dir/accreditation.pem.
Interrupt with Ctrl-C to end it."

said=''
while :; do
  sleep 1 &
  wait $!
  for name in $names; do
    case "$said" in *" $name "*) continue ;; esac
    if ! alive "$name"; then
      say "node $name has ended; its log is $dir/$name/log"
      said="$said $name "
    fi
  done
done
