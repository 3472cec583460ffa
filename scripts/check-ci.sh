#!/usr/bin/env bash
# The files of other CI systems call .ci/run and nothing else, and a tool of their own kind takes them: the Jenkinsfile
# is parsed as Groovy; gitlab-ci-local checks .gitlab-ci.yml against GitLab's schema and runs its job, with a make that
# only prints what it would do.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
gitlab=$PWD/tests-ci/node_modules/.bin/gitlab-ci-local
[ -x "$gitlab" ] || fail "gitlab-ci-local is missing: make tools"
"$ACESO_PYTHON/bin/python" - <<'PYTHON'
import pathlib
import re

from groovy_parser.parser import parse_groovy_content

text = pathlib.Path("Jenkinsfile").read_text()
parse_groovy_content(text)
assert re.findall(r"\bsh\s+'(.*?)'", text) == [".ci/run"], "the Jenkinsfile runs something else than .ci/run"
# A parser that takes everything proves nothing.
try:
    parse_groovy_content(text.rstrip().removesuffix("}"))
except Exception:
    print("Jenkinsfile: parsed, and calls .ci/run; without its last brace it is refused")
else:
    raise SystemExit("the parser takes a Jenkinsfile without its last brace")
PYTHON
state=$(mktemp -d)
trap 'rm -rf -- "$state"' EXIT
# In a copy: gitlab-ci-local copies once more what it runs, and a make that only prints needs no more than this.
cp -r --parents -t "$state" .gitlab-ci.yml .ci Makefile scripts
(cd "$state" && git init -q && git add -A && git -c user.name=ci -c user.email=ci@localhost commit -qm ci)
if ! (cd "$state" && MAKEFLAGS=n "$gitlab" --force-shell-executor --file .gitlab-ci.yml test) >"$state/said" 2>&1; then
  cat "$state/said"
  fail ".gitlab-ci.yml does not run"
fi
grep -q 'PASS.*test' "$state/said" && grep -q 'scripts/run-steps.sh' "$state/said" ||
  { cat "$state/said"; fail ".gitlab-ci.yml did not call make test"; }
echo ".gitlab-ci.yml: fits GitLab's schema, and its job calls .ci/run"
