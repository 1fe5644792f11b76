# Everything a person types. `make help` tells them apart.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Of what is missing several parts may be installed by apt, which lets one at a time do so.
.NOTPARALLEL:

PYTHON := .venv/bin/python
export PYTHONPATH := $(CURDIR)/pylib:$(CURDIR)/kamailio:$(CURDIR)/asterisk:$(CURDIR)/docker:$(CURDIR)
export PYTHONDONTWRITEBYTECODE := 1
LEDGER := $(PYTHON) -m tests.conformance.ledger

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile
	@echo "Variables: LAB_SIP_PORT=5070 (edge's port on 127.0.0.1), LAB_NET=198.18.7, EDGE_SUITE=bookworm|trixie|testing"

.PHONY: demo
demo: .venv/installed images ## four calls on real Kamailio and Asterisk, shown as they happen (sets up what is missing)
	@$(PYTHON) -m demo.demo

# Every suite but tests/e2e.
UNIT := tests/library tests/kamailio tests/companion tests/docs tests/lab tests/demo tests/stacks/judged tests/chaos/checks tests/bench/judged
# A part of one run: its outcomes go to out/results-PART.json, its coverage to .coverage.PART.
PART = env COVERAGE_FILE=.coverage.$(1) $(PYTHON) -m pytest --cov --cov-report= --results=out/results-$(1).json
RELEASES := env TESTED=$${EDGE_SUITE:-trixie}/$${EDGE_CONFIG:-kemi} docker/test-releases

# The unit tests give way to what runs beside them and waits in real time. All of tests/e2e, where many calls at short
# intervals stand, has the machine for itself.
.PHONY: test
test: lint edges agents ## every test: lint, unit, KEMI, AMI, end to end, other Pythons and Kamailios (sets up what is missing)
	@rm -f .coverage .coverage.*
	@tests/side-by-side unit nice $(call PART,unit) $(UNIT) then pythons docker/test-pythons \
		+ kemi $(RELEASES) kemi then native $(RELEASES) native
	@$(call PART,e2e) tests/e2e
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report
	@$(LEDGER) --results out/results-unit.json out/results-e2e.json

.PHONY: lint
lint: .venv/installed ## ruff and mypy --strict
	@.venv/bin/ruff check .
	@.venv/bin/mypy pylib/session_timer kamailio/session_timer_kemi asterisk/session_timer_companion docker/demo docker/packaging tests
	@for program in docker/packaging/container/health docker/packaging/session-timer docker/edge/native/make; do .venv/bin/mypy --no-error-summary $$program; done

.PHONY: test-unit
test-unit: .venv/installed ## the tests that need no containers, with coverage
	@$(PYTHON) -m pytest $(UNIT) --cov --cov-report=term

.PHONY: test-e2e
test-e2e: .venv/installed images agents ## the tests on the real stack
	@$(PYTHON) -m pytest tests/e2e

.PHONY: test-releases
test-releases: edges .venv/installed agents ## the edge on Kamailio 5.6, 6.0 and 6.1, KEMI script and native kamailio.cfg (FULL=1: every test)
	@docker/test-releases

.PHONY: test-asterisks
test-asterisks: engine .venv/installed ## end to end on Asterisk 16.28, 22.10 and 22.11 of three Debians (FULL=1: every test)
	@docker/test-asterisks

.PHONY: test-stacks
test-stacks: .venv/installed images ## calls with user agents that nobody here wrote, all at once (docs/interop.md)
	@docker/build-stacks
	@docker/test-stacks

.PHONY: test-pythons
test-pythons: edges .venv/installed ## the library on Python 3.11, 3.13 and 3.14, those of Debian 12, 13 and testing
	@docker/test-pythons

.PHONY: deb
deb: .venv/installed engine ## Debian packages of library, edge and companion for Debian 12 and 13: out/deb/ (docs/how-to/install-packages.md)
	@docker/build-debs

.PHONY: test-deb
test-deb: .venv/installed engine ## install, upgrade, call and purge the packages on clean hosts under systemd
	@docker/test-debs

.PHONY: companion-image
companion-image: deb ## the companion as a container, from its packages: session-timer/companion-service
	@docker/companion-image

.PHONY: conformance
conformance: .venv/installed $(if $(E2E),images) ## which test shows which requirement: docs/rfc4028.md (E2E=1: on the stack too)
	@$(LEDGER) $(if $(E2E),--e2e)

.PHONY: pages
pages: .venv/installed ## write docs/rfc4028.md and docs/session-states.md without running a test
	@$(LEDGER) --pages

.PHONY: where
where: .venv/installed ## the code and the tests of a requirement (ID=UAS-9-14), or the requirements of code (ID=uas.answer)
	@$(PYTHON) -m tests.conformance.where $(ID)

.PHONY: kemi-api
kemi-api: edges .venv/installed ## ask real Kamailios of three releases what KSR has and does (test data of tests/kamailio)
	@$(PYTHON) -m tests.kamailio.fakes.record

.PHONY: fuzz
fuzz: .venv/proof ## random input to every parser and decision of the library (SECONDS=30 for each target)
	@nice $(PYTHON) -m tests.fuzz.run --seconds $(or $(SECONDS),30)

.PHONY: mutation
mutation: .venv/proof ## faults planted in decisions and session, and how many the unit tests notice (CHILDREN=2)
	@nice tests/mutation/run

.PHONY: bench-library
bench-library: .venv/installed ## decisions a second and bytes a session, in pairs against the last release
	@$(PYTHON) tests/bench/library.py

.PHONY: images
images: engine ## build the images of the stack, or see that they are current
	@docker/build-images

.PHONY: edges
edges: engine ## the images of the stack with the edge of each Debian
	@for suite in bookworm trixie testing; do EDGE_SUITE=$$suite docker/build-images; done

# Before any call is up: what builds images leaves calls at short intervals too little of the machine.
.PHONY: agents
agents: engine .venv/installed
	@docker/build-stacks chromium pjsua2 sofia netsip

.PHONY: up
up: images ## start the stack and wait until it is healthy; then call sip:1000@127.0.0.1
	@docker/up

.PHONY: down
down: ## stop the stack and remove its containers
	@docker/down

.PHONY: logs
logs: ## follow the logs of all parts; each line of a call has its Call-ID or Asterisk's number for it
	@docker/compose logs --tail=100 -f

.PHONY: ps
ps: ## what runs, and whether it is healthy
	@docker/compose ps

.PHONY: clean
clean: ## remove the stack, .venv, out/ and every cache (the images stay: docker image ls 'session-timer/*')
	@docker/down || echo "clean: no stack was removed"
	@rm -rf .venv out .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: engine
engine:
	@docker/install-engine

.venv/installed: requirements-dev.txt
	@docker/make-venv

.venv/proof: .venv/installed requirements-fuzz.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-fuzz.txt
	@touch $@

.PHONY: bench-edge
bench-edge: .venv/installed images ## what session timers cost at the edge, against sst, in interleaved pairs
	@$(PYTHON) -m tests.bench.edge_cost

.PHONY: bench-companion
bench-companion: .venv/installed images ## what the companion costs, and 2,000 real calls of which some die (SHORT=1: fewer)
	@$(PYTHON) -m tests.bench.companion_cost $(if $(SHORT),--short)

.PHONY: chaos
chaos: .venv/installed images ## as root: faults while calls stand, alone and in pairs (CALLS=300 MINUTES=30 SEED=4028 ONLY="AMI cut,edge killed")
	@$(PYTHON) -m tests.chaos.run $(if $(CALLS),--calls $(CALLS)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)") $(if $(TOGETHER),--together)

.PHONY: chaos-page
chaos-page: .venv/installed ## write docs/reference/faults.md from what the last `make chaos` has shown
	@$(PYTHON) -m tests.chaos.page out/chaos.json

.PHONY: pictures
pictures: demo ## play the demo and keep its ladders as the docs' pictures
	@cp out/demo/act-*.svg docs/images/

.PHONY: page-picture
page-picture: .venv/installed images ## the companion's page in a real Chromium, as the docs' pictures
	@$(PYTHON) -m tests.docs.page_picture

.PHONY: explained
explained: .venv/installed ## the example of docs/how-to/explain.md: its capture, its text and its picture
	@$(PYTHON) -m tests.docs.explained

.PHONY: soak
soak: .venv/installed images ## 1,000 real calls and churn for HOURS=1, memory and tables each minute; runs add up (docs/reference/scale.md)
	@$(PYTHON) -m tests.bench.soak --hours $(or $(HOURS),1)

.PHONY: day
day: .venv/installed ## 24 hours of the companion in virtual time under a random schedule of faults (HOURS=24 SEEDS="1 2 3")
	@nice $(PYTHON) -m tests.companion.stress.day --hours $(or $(HOURS),24) --seeds $(or $(SEEDS),1)

.PHONY: bench-growth
bench-growth: .venv/installed images ## companion with 1,000 to 300,000 sessions, edge with up to 1,000,000 records (docs/reference/scale.md)
	@$(PYTHON) -m tests.bench.scale.growth

.PHONY: scale-page
scale-page: .venv/installed ## write the figures of docs/reference/scale.md from tests/bench/measured
	@$(PYTHON) -m tests.bench.scale.page
