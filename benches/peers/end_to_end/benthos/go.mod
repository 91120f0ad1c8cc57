module tillrace/peers/benthos

go 1.26.4

require (
	github.com/redpanda-data/benthos/v4 v4.77.0
	github.com/twmb/franz-go v1.22.3
)
