#!/usr/bin/env bash
# Coverage-guided fuzzing of every decoder, on the stable toolchain.
#   scripts/fuzz.sh [TARGET|all] [SECONDS a target]     (default: all, 60)
# FEATURES=ledger takes in the ledger's decoders (builds the engine instrumented, some minutes).
# The corpus grows in CORPUS (default: in the target folder); what brings a decoder down is written
# to fuzz/found/: turn it into a file of fuzz/regressions/ and mend the decoder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
cd fuzz
command -v c++ >/dev/null || fail "libFuzzer is C++, and there is no compiler for it: apt-get install g++"
target=${1:-all}
seconds=${2:-60}
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/aceso/target}/fuzz"
corpus=${CORPUS:-$CARGO_TARGET_DIR/corpus}
host=$(rustc -vV | sed -n 's/^host: //p')
# What `cargo fuzz` passes when no sanitizer is asked for: the code says which edges a run took.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
cargo build --release --locked --target "$host" ${FEATURES:+--features "$FEATURES"}
fuzzer=$CARGO_TARGET_DIR/$host/release/aceso-fuzz
seeds=$CARGO_TARGET_DIR/seeds
rm -rf "$seeds"
ACESO_FUZZ_SEEDS=$seeds "$fuzzer"
targets=$target
[ "$target" != all ] || targets=$(ls "$seeds")
[ "$targets" ] || fail "the fuzzer named no decoder: nothing was fuzzed"
mkdir -p found
failed=0
for name in $targets; do
  mkdir -p "$corpus/$name"
  log=$CARGO_TARGET_DIR/$name.log
  if ACESO_FUZZ_TARGET=$name "$fuzzer" -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=4096 -timeout=20 \
    -print_final_stats=1 -artifact_prefix="found/$name-" "$corpus/$name" "$seeds/$name" >"$log" 2>&1; then
    verdict=stands
  else
    verdict="FELL, see fuzz/found/ and $log"
    failed=1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  if [ "$verdict" = stands ] && [ "${runs:-0}" -eq 0 ]; then
    verdict="RAN NOTHING, see $log"
    failed=1
  fi
  edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)
  printf '%-16s %12s inputs %6s edges  %s\n' "$name" "${runs:-?}" "${edges:-?}" "$verdict"
done
exit "$failed"
