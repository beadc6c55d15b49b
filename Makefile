.PHONY: help run test bench build format certificates clean

help:
	@echo "make run           build, then run the edge with an echo backend and a development certificate"
	@echo "make test          build and run every test: unit, integration, format"
	@echo "make bench         measure beside nginx, HAProxy, Caddy and h2o; writes Benchmarks/RESULTS.md"
	@echo "make build         build .build/release/sluice"
	@echo "make format        format the Swift sources"
	@echo "make certificates  make certs/dev, where it is missing or about to expire"
	@echo "make clean         remove what was built"

run:
	@scripts/run

test:
	@scripts/test

bench:
	@Benchmarks/run

build:
	@scripts/build

format:
	swift format --in-place --recursive Package.swift Sources Tests Benchmarks

certificates:
	@certs/generate

clean:
	rm -rf .build .build-static .venv-tests certs/dev
