#!/usr/bin/env bash
# PostgreSQL, RabbitMQ and Redis on this machine's loopback, for tests and development.
#
#   infra/services.sh start    starts what does not answer yet; returns at once when all do
#   infra/services.sh env      prints `export` lines with the addresses (fails when something is missing)
#   infra/services.sh status   says which address serves what
#   infra/services.sh stop     stops what `start` started; never anything else
#
# Per service the first of these is used: the address in DATABASE_URL, RABBITMQ_URL, REDIS_URL; our own instance; one on the
# default port with the usual credentials; a container (Docker Compose); an own instance of Debian's package, on its own
# port with its own data. An installed system-wide server is never changed, started or stopped.
# TEST_POSTGRES_OPTIONS, such as `-c fsync=off` where the data need not outlive the machine, are for the last of these.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

export MILLRACE_POSTGRES_PORT=${MILLRACE_POSTGRES_PORT:-54329}
export MILLRACE_RABBITMQ_PORT=${MILLRACE_RABBITMQ_PORT:-56729}
export MILLRACE_RABBITMQ_MANAGEMENT_PORT=${MILLRACE_RABBITMQ_MANAGEMENT_PORT:-56730}
export MILLRACE_REDIS_PORT=${MILLRACE_REDIS_PORT:-56379}
readonly PASSWORD=millrace # the instances hold test data and listen on loopback only

declare -A OWN=(
    [postgres]="postgresql://millrace:$PASSWORD@127.0.0.1:$MILLRACE_POSTGRES_PORT/millrace"
    [rabbitmq]="amqp://millrace:$PASSWORD@127.0.0.1:$MILLRACE_RABBITMQ_PORT/millrace"
    [redis]="redis://:$PASSWORD@127.0.0.1:$MILLRACE_REDIS_PORT/0"
)
declare -A GIVEN=([postgres]=${DATABASE_URL:-} [rabbitmq]=${RABBITMQ_URL:-} [redis]=${REDIS_URL:-})
declare -A VARIABLE=([postgres]=DATABASE_URL [rabbitmq]=RABBITMQ_URL [redis]=REDIS_URL)
declare -A USUAL=(
    [postgres]="postgresql://postgres:postgres@127.0.0.1:5432/postgres postgresql://millrace:millrace@127.0.0.1:5432/millrace"
    [rabbitmq]="amqp://guest:guest@127.0.0.1:5672/ amqp://millrace:millrace@127.0.0.1:5672/millrace"
    [redis]="redis://127.0.0.1:6379/15"
)
declare -A URL=()
KINDS=(postgres rabbitmq redis)

fail() { echo "$1" >&2; exit 1; }

# PostgreSQL refuses to run as root and must reach its data, which the home of root does not allow.
if [ -n "${MILLRACE_SERVICES_DIR:-}" ]; then state=$MILLRACE_SERVICES_DIR
elif [ "$(id -u)" = 0 ]; then state=/var/tmp/millrace-services
else state=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-services; fi

python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
probe() { timeout 200 "$python" "$root/infra/services/probe.py" "$@"; }

# Fills URL with the addresses that answer.
resolve() {
    local kind address urls=()
    for kind in "${KINDS[@]}"; do
        if [ -n "${GIVEN[$kind]}" ]; then urls+=("${GIVEN[$kind]}")
        else urls+=("${OWN[$kind]}"); for address in ${USUAL[$kind]}; do urls+=("$address"); done; fi
    done
    while read -r kind address; do URL[$kind]=$address; done < <(probe "${urls[@]}")
}

missing() { for kind in "${KINDS[@]}"; do [ -n "${URL[$kind]:-}" ] || echo "$kind"; done; }

by_docker() {
    timeout 5 docker info >/dev/null 2>&1 && timeout 5 docker compose version >/dev/null 2>&1 || return 1
    echo "Starting containers: $*."
    POSTGRES_PORT=$MILLRACE_POSTGRES_PORT REDIS_PORT=$MILLRACE_REDIS_PORT RABBITMQ_PORT=$MILLRACE_RABBITMQ_PORT \
        RABBITMQ_MANAGEMENT_PORT=$MILLRACE_RABBITMQ_MANAGEMENT_PORT \
        compose up --detach --wait --wait-timeout 120 "$@" && touch "$state/docker"
}

alive() { true; } # a container that dies fails `compose up --wait` already

compose() {
    local variable
    for variable in $(grep -oE '\$\{[A-Z0-9_]+:\?' docker-compose.yml | tr -d '${:?' | sort -u); do
        export "$variable=$PASSWORD"
    done
    timeout 400 docker compose --project-name millrace-services "$@" </dev/null >"$state/docker.log" 2>&1
}

start() {
    local kinds kind deadline
    mkdir -p "$state"
    chmod 0711 "$state"
    [ -O "$state" ] || fail "$state belongs to somebody else: set MILLRACE_SERVICES_DIR to a directory of your own."
    exec 9>"$state/lock"
    if command -v flock >/dev/null; then
        flock -w 400 9 || fail "Another start of the services has been running for minutes: look at $state."
    fi
    resolve
    mapfile -t kinds < <(missing)
    [ ${#kinds[@]} -gt 0 ] || return 0
    for kind in "${kinds[@]}"; do
        if [ -n "${GIVEN[$kind]}" ] && [ "${GIVEN[$kind]}" != "${OWN[$kind]}" ]; then
            fail "Nothing answers at ${VARIABLE[$kind]}: start that server, or 'unset ${VARIABLE[$kind]}' to have one started."
        fi
    done
    if ! by_docker "${kinds[@]}"; then
        # shellcheck source=services/debian.sh
        . "$root/infra/services/debian.sh"
        by_debian "${kinds[@]}"
    fi
    deadline=$((SECONDS + 90))
    for kind in "${kinds[@]}"; do
        until probe --wait 3 "${OWN[$kind]}" >/dev/null; do
            [ $SECONDS -lt "$deadline" ] || fail "The start of $kind takes too long: its log is in $state/$kind."
            alive "$kind" || fail "The start of $kind failed: its log is in $state/$kind."
        done
        URL[$kind]=${OWN[$kind]}
    done
}

management_url() {
    local url=${URL[rabbitmq]} host
    host=${url#*://}
    host=${host%%/*}
    if [ -n "${RABBITMQ_MANAGEMENT_URL:-}" ]; then echo "$RABBITMQ_MANAGEMENT_URL"
    elif [ "$url" = "${OWN[rabbitmq]}" ]; then echo "http://operator:$PASSWORD@127.0.0.1:$MILLRACE_RABBITMQ_MANAGEMENT_PORT"
    else echo "http://${host%:*}:15672"; fi
}

print_env() {
    resolve
    [ -z "$(missing)" ] || fail "The services are not running: run make services."
    for kind in "${KINDS[@]}"; do printf 'export %s=%q\n' "${VARIABLE[$kind]}" "${URL[$kind]}"; done
    printf 'export RABBITMQ_MANAGEMENT_URL=%q\n' "$(management_url)"
}

print_status() {
    resolve
    for kind in "${KINDS[@]}"; do
        # shellcheck disable=SC2001
        printf '%-9s %s\n' "$kind" "$(sed 's|//[^@]*@|//|' <<<"${URL[$kind]:-does not answer}")"
    done
}

stop() {
    [ -d "$state" ] || return 0
    if [ -e "$state/docker" ]; then compose stop && rm -f "$state/docker"; fi
    # shellcheck source=services/debian.sh
    . "$root/infra/services/debian.sh"
    stop_debian
}

case ${1:-start} in
    start) start ;;
    stop) stop ;;
    status) print_status ;;
    env) print_env ;;
    *) fail "usage: infra/services.sh [start|stop|status|env]" ;;
esac
