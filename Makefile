# Two commands: `make run` and `make test`. Both install what is missing, and say so.
SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: run test build fmt lint setup setup-test

# Everything on this machine: pages and API on http://127.0.0.1:8080. Flags: make run UP="--http …"
run: setup
	$(CARGO) build --release --locked -p souk -p soukd -p souk-front
	exec $(TARGET)/release/souk up $(UP)

# Formatting, lints with warnings denied, and every test, on servers of their own.
test: setup-test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) build --workspace --all-targets --locked
	$(CARGO) test --workspace --locked

# Programs and tests together: alone, the programs take other features of their libraries, and most
# of these are built again.
build:
	$(CARGO) build --workspace --all-targets

fmt:
	$(CARGO) fmt --all

lint:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

setup:
	@tools/setup.sh run

setup-test:
	@tools/setup.sh test
