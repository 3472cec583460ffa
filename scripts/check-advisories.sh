#!/usr/bin/env bash
# Known vulnerabilities of every crate, by cargo-deny and the RustSec database. Fetches the database, or takes the clone
# of it that ACESO_ADVISORY_DB names, for a machine that cannot fetch it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
if [ -n "${ACESO_ADVISORY_DB:-}" ]; then
  git -C "$ACESO_ADVISORY_DB" rev-parse --verify -q main >/dev/null ||
    fail "$ACESO_ADVISORY_DB is no clone of the advisory database with a branch main"
  echo "advisories as of $(git -C "$ACESO_ADVISORY_DB" log -1 --format=%cs main)"
  export GIT_CONFIG_COUNT=1
  export GIT_CONFIG_KEY_0="url.file://$(realpath "$ACESO_ADVISORY_DB").insteadOf"
  export GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
fi
exec cargo deny --locked check advisories
