# make fleet [ARGS="--robots 8"]   set everything up and drive the fleet
# make test  [ARGS="-k planner"]   set everything up and run the tests
# make train [ARGS="--out ..."]    set everything up (with torch) and train a model bundle
# make results [ARGS="--list"]     set everything up (with the opponents) and make docs/results.md, in hours
#
# Everything is installed into .venv inside the checkout, once per content of the requirement inputs. On a machine
# with ROS sourced (rclpy importable) that ROS is used; elsewhere ROS comes from wheels.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help fleet test train results lint clean

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
HAS_ROS := $(shell $(PYTHON) -c "import rclpy" 2>/dev/null && echo yes)
ROS_EXTRA := $(if $(HAS_ROS),,ros,)
SITE_PACKAGES := $(if $(HAS_ROS),--system-site-packages)
# The key names what an installation depends on: requirement inputs, interpreter and whose ROS it is.
KEY := $(shell { cat setup.py setup.cfg; $(PYTHON) --version; echo "ros: $(HAS_ROS)"; pwd; } | sha256sum | cut -c1-16)

help:
	@sed -n '1,4s/^# //p' Makefile

$(VENV)/installed-%-$(KEY):
	@test -e $(VENV)/venv-$(KEY) || { rm -rf $(VENV) && $(PYTHON) -m venv $(SITE_PACKAGES) $(VENV) && touch $(VENV)/venv-$(KEY); }
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$(ROS_EXTRA)$*]"
	@touch $@

# Compiled kernels are cached beside the sources, so the first command of a run does not wait for the compiler.
$(VENV)/warm: $(VENV)/installed-simulation-$(KEY) $(shell find dyna_nav -name '*.py')
	$(RUN)/dyna-nav warmup
	@touch $@

fleet: $(VENV)/warm
	$(RUN)/dyna-nav fleet $(ARGS)

test: $(VENV)/installed-test-$(KEY) $(VENV)/warm
	$(RUN)/python -m pytest $(ARGS)

train: $(VENV)/installed-training-$(KEY)
	$(RUN)/dyna-nav train $(ARGS)

results: $(VENV)/installed-evaluation,outsiders-$(KEY) $(VENV)/warm
	$(RUN)/dyna-nav campaign $(ARGS)

lint: $(VENV)/installed-dev-$(KEY)
	$(RUN)/ruff check .

clean:
	rm -rf $(VENV) build install log
