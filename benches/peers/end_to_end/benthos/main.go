// Benthos with only the components that this comparison needs, and an output to Kafka, which its open modules lack.
package main

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

func main() {
	if err := service.RegisterBatchOutput("kafka", kafkaSpec(), newKafka); err != nil {
		panic(err)
	}
	service.RunCLI(context.Background())
}
