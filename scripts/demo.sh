#!/usr/bin/env bash
# Runs the demo: on an embedded PostgreSQL, or with the argument `rabbitmq` through RabbitMQ and a PostgreSQL server.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
arguments=()
if [ "${1:-}" = rabbitmq ]; then
    infra/services.sh start
    services=$(infra/services.sh env)
    eval "$services"
    arguments=(--amqp)
fi
exec .venv/bin/python -m demo.run "${arguments[@]}"
