# Where a cluster of some name keeps its files, and how its brokers are found. Sourced by up, kill and down.
#
#   target/kafka/jars-VERSION/     the broker, fetched by Maven once
#   target/kafka/NAME/brokers      how many it has
#   target/kafka/NAME/ports        one line a broker: client port, controller port
#   target/kafka/NAME/proxied      with --proxied: one line a broker: the proxy's port, the broker's port for it
#   target/kafka/NAME/secure/      with --secure: password, ca.pem, and the brokers' own certificate
#   target/kafka/NAME/broker-N/    server.properties, data/, log, pid

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${TILLRACE_KAFKA_DIR:-$(cd "$here/../.." && pwd)/target/kafka}

fail() { echo "deploy/kafka: $*" >&2; exit 1; }
note() { echo "deploy/kafka: $*" >&2; }

# Takes the name of a cluster: it becomes a folder and is deleted by it.
use_name() {
    [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail "name '$1': use letters, digits, '.', '_' and '-'"
    [[ $1 != jars-* ]] || fail "name '$1': jars- is taken"
    name=$1
    cluster=$root/$name
}

# Prints the process id of a broker that runs. A process counts only if its command line names the
# broker's own properties file, so that a recycled id is never taken for it.
pid_of() {
    local file=$cluster/broker-$1/pid pid
    [ -f "$file" ] || return 1
    pid=$(cat "$file")
    [ -n "$pid" ] || return 1
    ps -ww -p "$pid" -o args= 2>/dev/null | grep -qF "$cluster/broker-$1/server.properties" || return 1
    echo "$pid"
}

broker_count() { cat "$cluster/brokers" 2>/dev/null || echo 0; }
