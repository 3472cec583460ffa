# Two commands do all the set-up: `make ward` and `make test`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

# One target folder outside the clone, so that a second clone does not rebuild the engine.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/aceso/target
# Folders of our own, made anew when what is in them changes: the tests' Python, and their Node and nextest if the
# machine has none that will do.
export ACESO_PYTHON ?= $(HOME)/.cache/aceso/python
export ACESO_TOOLS ?= $(HOME)/.cache/aceso/tools
export PATH := $(ACESO_TOOLS)/bin:$(PATH)
export ACESO_RECORDINGS ?= $(CURDIR)/testdata/recordings
WARD_DATA ?= $(CURDIR)/ward-data
# Further options of `make ward`, for example --http.
WARD_OPTIONS ?=
CARGO := cargo
BINARY := $(CARGO_TARGET_DIR)/release/aceso
WARD := $(CARGO_TARGET_DIR)/release/aceso-ward

.PHONY: help ward ward-clean consortium build test tools recordings format lint structure units supply advisories ci-files nostd unit contracts oracle e2e browser pictures bare bench bench-store fuzz crash foreign verifiers sim ops ops-faults memory

help: ## This list.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build:
	@scripts/check-build-tools.sh
	$(CARGO) build --release --locked

ward: build ## Build and run a ward: one node, one gateway, three patients; Ctrl-C stops it.
	@scripts/fetch-recordings.sh || echo "The ward needs no recording: it goes on without."
	if [ -f "$(ACESO_RECORDINGS)/data3.csv" ]; then
	  exec "$(WARD)" --data "$(WARD_DATA)" $(WARD_OPTIONS) --recording "$(ACESO_RECORDINGS)/data3.csv"
	fi
	echo "No pulse recording at hand: all three patients are simulated."
	exec "$(WARD)" --data "$(WARD_DATA)" $(WARD_OPTIONS)

ward-clean: ## Forget the ward's data.
	rm -rf -- "$(WARD_DATA)"

consortium: build ## Four hospitals, one ledger: a minute in peace, with one node killed, with all killed, and votes 1 → 4 → 3 → 4.
	for how in "" "--kill one" "--kill all" "--story authorities"; do
	  echo "== aceso-ward --nodes 4 --duration 60s $$how"
	  "$(WARD)" --nodes 4 --duration 60s $$how
	done

tools: ## Install what the tests need, by name and version.
	[ -n "$${ACESO_TOOLS_READY:-}" ] || scripts/install-test-tools.sh

recordings: ## Fetch the pulse recordings (never committed).
	scripts/fetch-recordings.sh

format:
	$(CARGO) fmt --all --check

supply: tools ## Licences, bans and sources of every crate.
	$(CARGO) deny --locked check --hide-inclusion-graph licenses bans sources

advisories: tools ## Known vulnerabilities of every crate. Needs RustSec's database: the network, or ACESO_ADVISORY_DB=clone.
	scripts/check-advisories.sh

ci-files: tools ## The files of other CI systems are taken by tools of their kind, and call .ci/run.
	scripts/check-ci.sh

lint:
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings

structure: tools ## No two files of a crate import each other; longest function, longest file, medians.
	"$(ACESO_PYTHON)/bin/python" scripts/check-structure.py

units: ## No command compiles a third-party crate that another one has compiled already.
	scripts/check-build-units.py

nostd: ## vitals and device build without std.
	scripts/check-nostd.sh

contracts: tools ## Committed contract artifacts match their sources; forge fuzzes them, with a table of gas.
	scripts/contracts-check.sh

ACESO_ORACLE_CASES ?= 400
ACESO_ORACLE_OPERATIONS ?= 10000
oracle: tools ## Model and EVM on more than 10,000 random acts, then model, EVM and anvil: ACESO_ORACLE_SEED=n repeats the latter.
	export ACESO_ORACLE_CASES=$(ACESO_ORACLE_CASES) ACESO_ORACLE_OPERATIONS=$(ACESO_ORACLE_OPERATIONS)
	export ACESO_ORACLE_SEED="$${ACESO_ORACLE_SEED:-$$(date +%s)}"
	$(CARGO) nextest run --release --workspace --locked --no-capture -E 'package(ledger) & (test(model_and_evm_agree) | test(agree_on_random_operations))'

unit: tools recordings ## Unit, property and end-to-end tests.
	$(CARGO) nextest run --release --workspace --locked

verifiers: tools ## The second verifier, in Python, checks every golden file.
	"$(ACESO_PYTHON)/bin/python" tools/verify.py --vectors testdata/golden

browser: build tools ## Set up a new node with a real browser; sign in to a ward, see values change, see an alarm.
	scripts/browser-check.sh "$(WARD)"

ops: build tools ## Alert rules and their faults on a simulated clock; dashboards by Grafana's types; Debian's Prometheus scrapes a ward for them.
	node ops/dashboards.mjs
	"$(ACESO_PYTHON)/bin/python" ops/check.py rules
	"$(ACESO_PYTHON)/bin/python" ops/check.py ward "$(WARD)"

ops-faults: build tools ## The same ward with real faults: an alarm nobody answers, a gateway that stops. Some minutes.
	"$(ACESO_PYTHON)/bin/python" ops/check.py ward "$(WARD)" --faults

memory: build ## Memory of node and gateway over two hours of 20 beds, 20 live pages and 50 sign-ins an hour: MINUTES=120.
	python3 ops/memory.py "$(WARD)" --minutes "$${MINUTES:-120}"

pictures: tools ## A picture of every state of every page, at three widths, light and dark: PICTURES=folder. Some minutes.
	$(CARGO) build --release --locked --workspace --example page_states
	node tests-browser/pictures.mjs --server "$(CARGO_TARGET_DIR)/release/examples/page_states" --out "$${PICTURES:-$$(mktemp -d)}"

foreign: build tools ## viem, ethers, cast, alloy, web3.py, mosquitto, paho-mqtt and MQTT.js use a real node, and are refused as documented.
	scripts/foreign-check.sh "$(BINARY)"

# Cheap checks first.
TEST_STEPS := tools recordings format supply structure units ci-files nostd lint contracts verifiers build unit browser foreign ops
test: ## All checks, and what each step took.
	@scripts/run-steps.sh "$(MAKE)" $(TEST_STEPS)
	echo "all checks passed"

bench: build ## One table: admission beside primitives and peers. BENCH=--quick measures less of everything.
	scripts/install-bench-tools.sh
	$(CARGO) build --release --locked -p aceso -p aceso-ward -p bench
	"$(CARGO_TARGET_DIR)/release/bench" $(BENCH)

bench-store: ## The record store beside redb and a bare append loop.
	$(CARGO) bench --profile release --locked --workspace --bench store

fuzz: ## Fuzz every decoder, guided by coverage: SECONDS_EACH=60.
	scripts/fuzz.sh all "$${SECONDS_EACH:-60}"

bare: ## Both commands on bare Debian machines, as root and with sudo: BARE=bookworm for one release. As root, hours.
	scripts/bare.sh $(BARE)

ACESO_CRASH_KILLS ?= 200
crash: ## Kill node and gateway 200 times each under load, then damage every kind of file; prints both tables.
	ACESO_CRASH_KILLS=$(ACESO_CRASH_KILLS) $(CARGO) nextest run --release --workspace --locked --no-capture -E 'package(aceso) & (test(a_whole_campaign) | test(every_damage))'

ACESO_SIM_SEEDS ?= 1000
ACESO_CLOCK_SEEDS ?= 200
sim: ## Tell 1,000 stories of four validators, each drawn from a seed, 200 of wrong clocks, and 400 days of a ward; SEED=n tells one of the first.
	ACESO_SIM_SEED="$(SEED)" ACESO_SIM_SEEDS=$(ACESO_SIM_SEEDS) $(CARGO) nextest run --release --workspace --locked --no-capture -E 'package(ledger) & test(no_scenario_of_the_campaign)'
	$(if $(SEED),,ACESO_CLOCK_SEEDS=$(ACESO_CLOCK_SEEDS) $(CARGO) nextest run --release --workspace --locked --no-capture -E 'package(ledger) & test(wrong_clocks_split_nothing)')
	ACESO_STORY_DAYS=400 $(CARGO) nextest run --release --workspace --locked --no-capture -E 'package(clinic) & test(a_year_of_a_ward)'
