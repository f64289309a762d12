# shellcheck shell=bash disable=SC2154
# Own instances of Debian's servers; sourced by infra/services.sh, which sets `root`, `state`, `PASSWORD` and the ports.
# Everything of an instance (data, log, configuration, cookie) lies below its folder in $state.

readonly DISTRIBUTION_PORT=$((MILLRACE_RABBITMQ_PORT + 20)) EPMD_PORT=$((MILLRACE_RABBITMQ_PORT + 21))
declare -A PACKAGE=([postgres]=postgresql [rabbitmq]=rabbitmq-server [redis]=redis-server)
declare -A ACCOUNT=([postgres]=postgres [rabbitmq]=rabbitmq [redis]=redis)

by_debian() {
    local kind packages=() pids=() pid
    for kind in "$@"; do "binary_$kind" >/dev/null || packages+=("${PACKAGE[$kind]}"); done
    [ ${#packages[@]} = 0 ] || install "${packages[@]}"
    for kind in "$@"; do
        mkdir -p "$state/$kind"
        [ "$(id -u)" != 0 ] || chown "${ACCOUNT[$kind]}:" "$state/$kind"
        chmod 0700 "$state/$kind"
    done
    echo "Starting $*."
    for kind in "$@"; do "start_$kind" & pids+=($!); done
    for pid in "${pids[@]}"; do wait "$pid" || fail "A service did not start: the logs are in $state."; done
}

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null \
        || fail "Missing: $*. Start Docker, or run 'apt-get install $*' as root, and try again."
    echo "Installing $*."
    export DEBIAN_FRONTEND=noninteractive
    local policy=/usr/sbin/policy-rc.d log=$state/apt.log
    # Without this the packages would start system-wide servers, RabbitMQ's on all interfaces.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    { timeout 120 apt-get update && timeout 300 apt-get -o DPkg::Lock::Timeout=60 install -y --no-install-recommends "$@"; } \
        </dev/null >"$log" 2>&1 9>&- || fail "apt-get could not install $*: see $log."
}

# ----------------------------------------------------------------------------------------------------- running a server
# Becomes a command under the account of a service, with a clean environment and none of our open files: a caller that reads
# our output through a pipe must see its end. Call it in a process of its own.
become() {
    local kind=$1 descriptor identity=()
    shift
    [ "$(id -u)" != 0 ] || identity=(setpriv "--reuid=${ACCOUNT[$kind]}" "--regid=${ACCOUNT[$kind]}" --init-groups)
    cd "$state/$kind"
    ulimit -n "$(ulimit -Hn)"
    for descriptor in /proc/self/fd/*; do
        descriptor=${descriptor##*/}
        [ "$descriptor" -le 2 ] || eval "exec $descriptor>&-"
    done
    exec env -i PATH=/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        "HOME=$state/$kind" "${identity[@]}" "$@" </dev/null >>"$state/$kind/start.log" 2>&1
}

as() { (become "$@"); }

write() { # write <kind> <file>: standard input becomes a private file of the service
    cat >"$state/$1/$2"
    [ "$(id -u)" != 0 ] || chown "${ACCOUNT[$1]}:" "$state/$1/$2"
    chmod 0600 "$state/$1/$2"
}

# Fails when a server that needs a while to come up has already died.
alive() { [ "$1" != rabbitmq ] || kill -0 "$(cat "$state/rabbitmq/pid")" 2>/dev/null; }

# Stops the process of a pid file, if it is really the one that we started there.
stop_pid() {
    local pid deadline=$((SECONDS + 30))
    pid=$(head -n 1 "$2" 2>/dev/null) || return 0
    [ -n "$pid" ] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -e "$state/$1" -e "$3" || return 0
    kill -"${4:-TERM}" "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || { kill -KILL "$pid"; break; }
        sleep 0.1
    done
}

# ----------------------------------------------------------------------------------------------------------- PostgreSQL
binary_postgres() {
    local folder
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$(dirname "$(command -v initdb || echo /-)")"; do
        if [ -x "$folder/initdb" ] && [ "$("$folder/postgres" -V | grep -oE '[0-9]+' | head -n 1)" -ge 15 ]; then
            echo "$folder"
            return
        fi
    done
    return 1
}

start_postgres() {
    local bin data
    bin=$(binary_postgres)
    data=$state/postgres/data-$("$bin/postgres" -V | grep -oE '[0-9]+' | head -n 1)
    if [ ! -e "$data" ]; then
        # Made aside and renamed, so that an interrupted run leaves nothing half done behind.
        rm -rf "$data.new"
        write postgres password <<<"$PASSWORD"
        as postgres timeout 60 "$bin/initdb" --pgdata="$data.new" --username=millrace --pwfile=password --auth=scram-sha-256 \
            --encoding=UTF8 --locale=C --data-checksums
        as postgres timeout 30 sh -c "echo 'CREATE DATABASE millrace' | '$bin/postgres' --single -D '$data.new' postgres"
        mv "$data.new" "$data"
    fi
    as postgres timeout 60 "$bin/pg_ctl" start --pgdata="$data" --log="$state/postgres/postgres.log" --wait --timeout=50 \
        --options="-p $MILLRACE_POSTGRES_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 ${TEST_POSTGRES_OPTIONS:-}"
}

# ------------------------------------------------------------------------------------------------------------- RabbitMQ
binary_rabbitmq() { # the wrapper in /usr/sbin insists on the system's own instance
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && echo /usr/lib/rabbitmq/bin/rabbitmq-server
}

start_rabbitmq() {
    local home=$state/rabbitmq
    sed "s/\${[A-Z_]*PASSWORD}/$PASSWORD/" "$root/infra/definitions.json" | write rabbitmq definitions.json
    write rabbitmq enabled_plugins <<<'[rabbitmq_management].'
    write rabbitmq rabbitmq.conf <<CONF
listeners.tcp.1 = 127.0.0.1:$MILLRACE_RABBITMQ_PORT
management.tcp.ip = 127.0.0.1
management.tcp.port = $MILLRACE_RABBITMQ_MANAGEMENT_PORT
load_definitions = $home/definitions.json
CONF
    # RUNNING_UNDER_SYSTEMD replaces the shell by the virtual machine, so that a TERM to the pid file's process is a clean stop.
    # An own epmd, because a shared one would listen wherever the first user of this machine has told it to.
    rm -f "$home/start.log"
    become rabbitmq setsid env RUNNING_UNDER_SYSTEMD=true RABBITMQ_NODENAME=millrace@localhost \
        "RABBITMQ_MNESIA_BASE=$home/data" "RABBITMQ_LOG_BASE=$home/log" \
        "RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf" "RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins" \
        RABBITMQ_CONF_ENV_FILE=/dev/null "RABBITMQ_DIST_PORT=$DISTRIBUTION_PORT" \
        ERL_EPMD_ADDRESS=127.0.0.1 "ERL_EPMD_PORT=$EPMD_PORT" \
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}" \
        "$(binary_rabbitmq)" &
    write rabbitmq pid <<<$!
}

# ---------------------------------------------------------------------------------------------------------------- Redis
binary_redis() { command -v redis-server; }

start_redis() {
    write redis redis.conf <<CONF
bind 127.0.0.1
port $MILLRACE_REDIS_PORT
requirepass $PASSWORD
daemonize yes
dir $state/redis
pidfile $state/redis/pid
logfile $state/redis/redis.log
save ""
CONF
    as redis "$(binary_redis)" "$state/redis/redis.conf"
}

stop_debian() {
    local file
    for file in "$state"/postgres/data-*/postmaster.pid; do
        stop_pid postgres "$file" "$state/postgres" INT # INT is a fast shutdown: open sessions are ended
    done
    stop_pid rabbitmq "$state/rabbitmq/pid" "$state/rabbitmq"
    stop_pid redis "$state/redis/pid" "redis-server 127.0.0.1:$MILLRACE_REDIS_PORT"
    if [ -d "$state/rabbitmq" ] && command -v epmd >/dev/null; then
        ERL_EPMD_PORT=$EPMD_PORT timeout 5 epmd -kill >/dev/null 2>&1 || true # it refuses while another node uses it
    fi
}
