#!/usr/bin/env bash
# Sets up a new node on its pages; starts a ward, signs in with a real browser, sees values change and an alarm arrive;
# leaves screenshots.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
ward_binary=$1
shots=${SHOTS_DIR:-$(mktemp -d)}
# What the scripts of the pages decide, without a browser.
node --test tests-browser/rules.test.mjs
node tests-browser/accounts.mjs --node "$(dirname "$ward_binary")/aceso" --out "$shots"
data=$(mktemp -d)
log=$data/ward.out
"$ward_binary" --data "$data/ward" --patients 3 --seed 7 >"$log" 2>&1 &
ward=$!
finish() {
  kill -TERM "$ward" 2>/dev/null || true
  wait "$ward" 2>/dev/null || true
  rm -rf -- "$data"
}
trap finish EXIT
for _ in $(seq 1 600); do
  grep -q '^Open http' "$log" && break
  kill -0 "$ward" 2>/dev/null || { cat "$log"; echo "the ward did not start"; exit 1; }
  sleep 0.1
done
url=$(sed -n 's/^Open \(http[^ ]*\).*/\1/p' "$log")
[ -n "$url" ] || { cat "$log"; echo "the ward printed no address within 60 s"; exit 1; }
# The ward is believed by whoever trusts its authority, and by nobody else.
authority=$data/ward/https/authority.pem
for protocol in http2 http1.1; do
  curl --silent --show-error --fail --"$protocol" --cacert "$authority" "${url}healthz" >/dev/null
done
if curl --silent "${url}healthz" >/dev/null; then echo "curl believes a ward that it was not told to trust"; exit 1; fi
node -e '
  const ward = JSON.parse(require("fs").readFileSync(process.argv[1]));
  const of = (role) => ward.logins.find((entry) => entry.role === role);
  console.log(JSON.stringify({ doctor: of("doctor"), patient: of("patient"), administrator: of("administrator") }));
' "$data/ward/ward.json" >"$data/logins.json"
tell="$ward_binary simulate --tell $data/ward/boards/control.sock"
node tests-browser/run.mjs --url "$url" --logins "$data/logins.json" --out "$shots" \
  --alarm-command "$tell '0 tachycardia'" --alarm-clear "$tell '0 healthy'"
# The process that serves the pages, to be held up while its connections stay open.
server=
for child in $(cat /proc/"$ward"/task/*/children); do
  case " $(tr '\0' ' ' </proc/"$child"/cmdline) " in *" node "*) server=$child ;; esac
done
[ -n "$server" ] || { echo "the ward has no process that serves pages"; exit 1; }
node tests-browser/tabs.mjs --url "$url" --logins "$data/logins.json" --out "$shots" \
  --alarm-command "$tell '1 tachycardia'" --alarm-clear "$tell '1 healthy' && $tell '2 healthy'" \
  --warning-command "$tell '2 sensor_off'" \
  --stop-command "kill -STOP $server" --go-command "kill -CONT $server"
echo "screenshots in $shots"
