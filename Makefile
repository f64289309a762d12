.DEFAULT_GOAL := help
.PHONY: help demo demo-rabbitmq up test coverage check lint types bench faults live docs services clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## see it work, on an embedded PostgreSQL; nothing to install
	@scripts/demo.sh

demo-rabbitmq: ## the same through RabbitMQ
	@scripts/demo.sh rabbitmq

up: ## start the whole system for development on http://localhost:8000
	@scripts/up.sh

test: ## run the tests on real services (ARGS="tests/unit -k job" for some of them)
	@scripts/test.sh $(ARGS)

coverage: ## the tests within one process, and which lines they do not reach
	@scripts/test.sh coverage

check: ## formatter, linter, types, layers
	@scripts/check.sh

lint: ## formatter and linter only
	@scripts/check.sh format lint

types: ## types only
	@scripts/check.sh types

bench: ## run the benchmarks
	@scripts/bench.sh $(ARGS)

faults: ## kill, freeze, cut and wipe everything while it works (PROFILE=smoke|full|soak SEED=42)
	@scripts/faults.sh $(or $(PROFILE),smoke) "$(SEED)" $(ARGS)

live: ## cut 200 clients of the live feed 20 times each and kill a service meanwhile
	@LIVE_CLIENTS=200 LIVE_CUTS=20 scripts/test.sh tests/faults/test_live_reconnects.py -s $(ARGS)

docs: ## write the generated documents in docs/ anew
	@scripts/docs.sh

services: ## start PostgreSQL, RabbitMQ and Redis for the tests, and print how to reach them
	@infra/services.sh start && infra/services.sh env

clean: ## stop the test services and remove everything that the other targets made
	@scripts/clean.sh
