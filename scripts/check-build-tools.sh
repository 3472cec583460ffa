#!/usr/bin/env bash
# What a build needs beside Rust: a C compiler that links, with libc's headers. Says what to install if not.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.95 or later, and have its folder on PATH."
compiles 2>/dev/null || fail "a C compiler that links is missing. As root (or with sudo in front of each command) run

  apt-get update && apt-get install -y --no-install-recommends git make gcc libc6-dev

and then the same again."
