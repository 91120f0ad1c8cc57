# What the comparisons in this folder share: where things are, a broker of their own, CPU time, and the table.
# Sourced by their `run`; each sets `title` first.
#
#   target/peers/NAME/           what a comparison installs and builds
#   target/peers/NAME/results    one JSON object a measurement; the table is made of these

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repository"
comparison=${title:?}
home=$repository/target/peers/$comparison
results=$home/results
# Of this run only: another may be on its way.
cluster=peers-$comparison-$$
bin=${CARGO_TARGET_DIR:-$repository/target}/dist

fail() { echo "benches/peers/$comparison: $*" >&2; exit 1; }
say() { printf '== %s\n' "$*" >&2; }
need() {
    local program
    for program in "$@"; do command -v "$program" >/dev/null || fail "$program is not installed"; done
}

pids=()

begin() { # begin PROGRAM…: what it needs beside Rust and Python
    need cargo python3 "$@"
    mkdir -p "$home"
    : >"$results"
    # What ran, and on what, as it was when it began.
    local changes
    changes=$(git status --porcelain --untracked-files=no)
    machine="$(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), Linux $(uname -r), \
commit $(git rev-parse --short HEAD)${changes:+ with changes}, $(date -u +%F)"
    trap clean_up EXIT
}

# Ends only what was started here.
clean_up() {
    local pid
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    [ -z "${brokers:-}" ] || deploy/kafka/down --name "$cluster" --delete >&2 || true
}

build_tillrace() {
    say "building Tillrace"
    cargo build --profile dist --locked --quiet --workspace --bins >&2
}

# Sets `brokers`, and `jars`, which hold Kafka's own tools.
start_broker() {
    say "starting one Apache Kafka broker"
    brokers=$(deploy/kafka/up --name "$cluster" --brokers 1 --free-ports --heap 1g --fresh --owner $$)
    jars=$(echo "${TILLRACE_KAFKA_DIR:-$repository/target/kafka}"/jars-*)
}

kafka_tool() { # kafka_tool CLASS ARGUMENTS…
    java -Xmx1g -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$jars/*" "org.apache.kafka.tools.$1" "${@:2}"
}

make_topic() { # make_topic NAME PARTITIONS [CONFIG…]
    local config configs=()
    for config in "${@:3}"; do configs+=(--config "$config"); done
    kafka_tool TopicCommand --bootstrap-server "$brokers" --create --topic "$1" --partitions "$2" "${configs[@]}" >/dev/null
}

records_of() { # records_of TOPIC: how many records were ever written to it
    kafka_tool GetOffsetShell --bootstrap-server "$brokers" --topic "$1" | awk -F: '{ sum += $3 } END { print sum + 0 }'
}

# Sets `port`: below the range that systems hand out to clients.
choose_port() {
    local _
    for _ in $(seq 200); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
    done
    fail "found no free port"
}

await_port() { # await_port PID LOG
    local _
    for _ in $(seq 600); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        kill -0 "$1" 2>/dev/null || fail "a process ended instead of listening; see $2"
        sleep 0.1
    done
    fail "nothing listens on port $port after a minute; see $2"
}

stop() { # stop PID: lets it end by itself, within 30 seconds
    local _
    kill -TERM "$1" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
}

cpu_s() { # cpu_s PID: user and system time of all its threads, seconds
    awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$1/stat"
}

record() { # record JOB WHO: keeps the JSON object on standard input as one measurement
    python3 -c 'import json, sys
row = {"job": sys.argv[1], "who": sys.argv[2], **json.load(sys.stdin)}
if "cpu_s" in row:
    row["cpu_us_per_event"] = row["cpu_s"] * 1e6 / row["events"]
print(json.dumps(row))' "$1" "$2" >>"$results"
}

table() { python3 benches/peers/table.py "$results" "$@"; }
