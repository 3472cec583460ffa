#!/usr/bin/env bash
# run-steps.sh MAKE STEP...: runs each step, and prints at the end, or when one fails, what each took.
set -euo pipefail
make=$1
shift
names=() times=()
table() {
  printf '\n%-12s %s\n' step time
  for at in "${!names[@]}"; do
    printf '%-12s %2d min %02d s\n' "${names[at]}" $((times[at] / 60)) $((times[at] % 60))
  done
  printf '%-12s %2d min %02d s\n' all $((SECONDS / 60)) $((SECONDS % 60))
}
trap table EXIT
for step; do
  began=$SECONDS
  status=0
  "$make" --no-print-directory "$step" || status=$?
  names+=("$step")
  times+=($((SECONDS - began)))
  [ "$status" = 0 ] || { echo "$step failed" >&2; exit "$status"; }
  # Its tools are there now: the other steps need not look for them again.
  [ "$step" != tools ] || export ACESO_TOOLS_READY=1
done
