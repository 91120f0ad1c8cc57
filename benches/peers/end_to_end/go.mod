module tillrace/peers/end_to_end

go 1.25

require (
	github.com/redpanda-data/benthos/v4 v4.77.0
	github.com/redpanda-data/connect/v4 v4.49.1
)
