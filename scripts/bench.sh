#!/usr/bin/env bash
# Measures a registry against the numbers that the design wants it to reach (DESIGN 15) and prints a table:
# one node, or three of them.
#
#   scripts/bench.sh [--cluster] [-n PASSPORTS] [-s PASSPORTS] [-d SECONDS] [-r ROUNDS] [-l KILLS] [-k DIR | -u DIR]
#
#   --cluster  three nodes on this machine, instead of one
#   -n  passports in the large registry (default 1000000; the design's numbers are for 10000000); with
#       --cluster a single node is filled with them, which two others then join; 0: without that part
#   -s  passports in the small registry: the one that the large is compared with (default 100000), or with
#       --cluster that of the three nodes (default 20000); 0: without that part
#   -d  length of each measurement (default 10)
#   -r  rounds (default 5); a figure is the median of them
#   -l  with --cluster: how often the leader is killed (default 5)
#   -k  keep everything in DIR, to be used again
#   -u  use DIR, which an earlier run kept, of either kind: the large registry is not filled again
#
# Every figure that has a reference stands beside it, measured in the same run by turns: node, reference,
# node, … Only answers with a status of 2xx are counted; of one node a single error fails the run, of a
# cluster what was refused stands beside the figure. The nodes run as shipped, on loopback, and share the machine with the load. Passports
# are made by their own signed operations, over HTTP. What this script starts, it ends; what it wrote, it
# removes, unless -k.
set -euo pipefail

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2; }

kind=one n=1000000 small='' duration=10 rounds=5 kills=5 keep='' reuse=''
[ "${1:-}" != --cluster ] || { kind=three; shift; }
while getopts 'n:s:d:r:l:k:u:h' option; do
  case $option in
    n) n=$OPTARG ;;
    s) small=$OPTARG ;;
    d) duration=${OPTARG%s} ;;
    r) rounds=$OPTARG ;;
    l) kills=$OPTARG ;;
    k) keep=$OPTARG ;;
    u) reuse=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# = 0 ] || usage

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base=${reuse:-${keep:-$(mktemp -d "${TMPDIR:-/tmp}/dcann-bench.XXXXXX")}}
mkdir -p "$base"
base=$(cd "$base" && pwd)
bin=$base/bin
http='' node_pid='' # of the single node; its host:port is found at the first start
probe=$((duration < 3 ? duration : 3)) # seconds to find the best number of connections
declare -A pids=() # what else was started, by name

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }
die() { say "$*"; exit 1; }

# end NAME [signal]: ends one of pids
end() {
  [ -n "${pids[$1]:-}" ] || return 0
  kill "-${2:-TERM}" "${pids[$1]}" 2>/dev/null || true
  wait "${pids[$1]}" 2>/dev/null || true
  pids[$1]=''
}

finish() {
  local name
  # A node that is stopped hands over to the others first: all are told before any is waited for.
  for name in "${!pids[@]}"; do [ -z "${pids[$name]}" ] || kill "${pids[$name]}" 2>/dev/null || true; done
  for name in "${!pids[@]}"; do end "$name"; done
  [ -z "$node_pid" ] || { kill "$node_pid" 2>/dev/null && wait "$node_pid" 2>/dev/null; } || true
  [ -n "$keep$reuse" ] || rm -rf "$base"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- small things ---

median() { sort -g | awk '{v[NR]=$1} END {print NR%2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
most() { sort -g | tail -n 1; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f", b ? a/b : 0}'; }
whole() { awk -v a="$1" 'BEGIN {printf "%.0f", a}'; }
# field NAME: a number of a report of dcann bench -o json
field() { sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }

bench() { bench_at "$http" "$@"; }
bench_at() { "$bin/dcann" --registry "http://$1" -o json bench "${@:2}"; }

# errorless REPORT: fails the run if one request was not answered with 2xx
errorless() {
  tr -d ' \n' <"$1" | grep -q '"errors":{}' || die "not every answer was a success: $(cat "$1")"
}

# settle PID …: waits until these have nothing left to do from before, such as compaction; at most 10 minutes.
settle() {
  local before after quiet=0
  for _ in $(seq 300); do
    before=$(ticks "$@"); sleep 2; after=$(ticks "$@")
    if [ $((after - before)) -lt $((10 * $#)) ]; then quiet=$((quiet + 1)); else quiet=0; fi
    [ $quiet -lt 3 ] || return 0
  done
}

ticks() { awk '{sum += $14 + $15} END {print sum}' $(printf '/proc/%s/stat ' "$@"); }

# wrk_report ADDRESS IDS DIST CONNECTIONS SECONDS [QUERY]: requests a second, p50 and p99 in µs, and how many
# were not answered with a success
wrk_report() {
  local answered seconds bad p50 p99
  read -r _ answered seconds bad p50 p99 < <(wrk -t1 -c"$4" -d"$5s" -s "$repository/scripts/bench/resolve.lua" "http://$1" -- "$2" "$3" ${6:+"$6"} | grep ^RESULT)
  awk -v a="$answered" -v s="$seconds" -v x="$p50" -v y="$p99" -v b="$bad" 'BEGIN {print a/s, x, y, b}'
}

# wrk_run ADDRESS IDS DIST CONNECTIONS SECONDS: requests a second, all answered with a success
wrk_run() {
  local rate bad
  read -r rate _ _ bad < <(wrk_report "$@")
  [ "$bad" = 0 ] || die "$bad requests to $1 were not answered with a success"
  echo "$rate"
}

rows=()
row() { # what, reach, measured, detail
  rows+=("| $1 | $2 | $3 | $4 |")
  say "$1: $3 ($4)"
}

# table TITLE: all rows, also to a file
table() {
  {
    printf '\n%s, %s rounds of %s s, %s, %s processors\n\n' "$1" "$rounds" "$duration" "$(go version | cut -d' ' -f3)" "$(nproc)"
    printf '| what | reach | measured | medians |\n| --- | --- | --- | --- |\n'
    printf '%s\n' "${rows[@]}"
    [ -z "${fill_rate:-}" ] || printf '\nfilled at %s passports a second\n' "$(whole "$fill_rate")"
  } | tee "$base/table.md"
}

# --- a single node ---

start_node() {
  rm -f "$base/ready.json"
  "$bin/dcann" serve --dev --country xz --data "$1" --http "${http:-127.0.0.1:0}" --ready-file "$base/ready.json" >"$base/node.log" 2>&1 &
  node_pid=$!
}

await_node() {
  for _ in $(seq 600); do
    if [ -s "$base/ready.json" ]; then
      http=$(sed -n 's/.*"http":"http:\/\/\([^"]*\)".*/\1/p' "$base/ready.json")
      return
    fi
    kill -0 "$node_pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$base/node.log" >&2
  die 'the node does not start'
}

stop_node() { # [signal]
  kill "-${1:-TERM}" "$node_pid"
  wait "$node_pid" 2>/dev/null || true
  node_pid=''
}

# fill DATA IDS REPORT COUNT: starts the node and brings it to COUNT passports, unless an earlier run did;
# sets provider, accepted and fill_rate
fill() {
  start_node "$1"
  await_node
  if [ ! -s "$3" ] || [ "$(field passports <"$3")" != "$4" ]; then
    bench fill -n "$4" --ids "$2" --accreditation-key "$1/accreditation.pem" --accept "$((10000 < $4 ? 10000 : $4))" >"$3.new"
    mv "$3.new" "$3"
  fi
  provider=$(field provider <"$3")
  accepted=$(field accepted <"$3")
  fill_rate=$(field perSecond <"$3")
  say "filled to $4 passports at $(whole "$fill_rate") a second"
}

# --- the run ---

command -v wrk >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends wrk >/dev/null; }
mkdir -p "$bin"
say "building"
(cd "$repository" && go build -o "$bin" ./cmd/dcann ./scripts/bench/echo ./scripts/bench/raft)
say "$(nproc) processors, $(awk '/MemTotal/ {printf "%.0f GB", $2/1e6}' /proc/meminfo), $(go version | cut -d' ' -f3), $("$bin/dcann" version)"

. "$repository/scripts/bench/$kind.sh"
