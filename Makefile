# The two commands of the README. Each installs what it needs, builds, and runs.
# ARGS="..." goes on to `trunkline demo` or to the test runner.

export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help demo test checks
.DEFAULT_GOAL := help

help:
	@echo "make demo    installs PostgreSQL if it is missing, builds, moves a live database"
	@echo "make test    installs what the tests need, and runs them all"
	@echo "make checks  formatting, lints, documentation, licences"

demo:
	@.ci/toolchain
	cargo xtask demo $(ARGS)

test:
	@.ci/toolchain
	cargo xtask test $(ARGS)

checks:
	@.ci/toolchain
	cargo xtask checks
