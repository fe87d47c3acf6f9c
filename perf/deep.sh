#!/usr/bin/env bash
# How long a page in the middle of the board takes beside a first page that nobody has asked for:
# median milliseconds of both, of pages met for the first time and of the same pages once more.
#   perf/deep.sh URL      of a Souk without rate limits: souk up --no-limits --users 10000000
set -euo pipefail
base=${1:?usage: perf/deep.sh URL}/api/v1

# One request; prints its milliseconds.
ms() {
  local out
  out=$(curl -fsS -o /dev/null -w '%{time_starttransfer} %{time_pretransfer}' "$1")
  awk '{ print 1000 * ($1 - $2) }' <<<"$out"
}
field() { grep -o "\"$1\":\"*[^,\"}]*" | head -1 | sed 's/.*[":]//'; }
median() { sort -g | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

total=$(curl -fsS "$base/leaderboard?limit=1" | field total)
cursors=()
for user in $(seq 4000); do
  rank=$(curl -fsS "$base/users/$user/rank" 2>/dev/null | field rank || true)
  if [[ $rank ]] && ((rank > total * 48 / 100 && rank < total * 52 / 100)); then
    cursors+=("$(curl -fsS "$base/leaderboard/around/$user?radius=1" | field next_cursor)")
  fi
  ((${#cursors[@]} < 40)) || break
done
first='' deep='' again=''
for index in "${!cursors[@]}"; do
  # Each first page has a length of its own, so none is kept already.
  page="$base/leaderboard?limit=$((101 + index))"
  first+="$(ms "$page")"$'\n'
  deep+="$(ms "$page&cursor=${cursors[index]}")"$'\n'
done
for index in "${!cursors[@]}"; do
  again+="$(ms "$base/leaderboard?limit=$((101 + index))&cursor=${cursors[index]}")"$'\n'
done
echo "pages: ${#cursors[@]} near rank $((total / 2)) of $total"
echo "first page, not kept: $(printf %s "$first" | median) ms"
echo "deep page, first met: $(printf %s "$deep" | median) ms"
echo "deep page, once more: $(printf %s "$again" | median) ms"
