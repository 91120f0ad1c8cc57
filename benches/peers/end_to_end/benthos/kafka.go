package main

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafka writes each message of a batch as a record. The batch succeeds once Kafka has acknowledged all of them; if it has
// not, the whole batch fails, and whoever sent it sends it again.
//
// franz-go's producer is idempotent and waits for all in-sync replicas unless it is told otherwise.
type kafka struct {
	options []kgo.Opt
	client  *kgo.Client
}

func kafkaSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Writes to Kafka by franz-go; the record's key is the message's metadata `key`.").
		Fields(
			service.NewStringListField("brokers"),
			service.NewStringField("topic"),
			service.NewDurationField("linger"),
			service.NewIntField("max_in_flight"),
		)
}

func newKafka(config *service.ParsedConfig, _ *service.Resources) (
	output service.BatchOutput, batching service.BatchPolicy, maxInFlight int, err error,
) {
	brokers, err := config.FieldStringList("brokers")
	if err != nil {
		return
	}
	topic, err := config.FieldString("topic")
	if err != nil {
		return
	}
	linger, err := config.FieldDuration("linger")
	if err != nil {
		return
	}
	maxInFlight, err = config.FieldInt("max_in_flight")
	output = &kafka{options: []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.DefaultProduceTopic(topic),
		kgo.ProducerLinger(linger),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		// Hashes a key as Kafka's own producer does.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}}
	return
}

func (k *kafka) Connect(ctx context.Context) error {
	client, err := kgo.NewClient(k.options...)
	if err != nil {
		return err
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return err
	}
	k.client = client
	return nil
}

func (k *kafka) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	records := make([]*kgo.Record, len(batch))
	for i, message := range batch {
		key, _ := message.MetaGet("key")
		value, err := message.AsBytes()
		if err != nil {
			return err
		}
		records[i] = &kgo.Record{Key: []byte(key), Value: value}
	}
	return k.client.ProduceSync(ctx, records...).FirstErr()
}

func (k *kafka) Close(context.Context) error {
	if k.client != nil {
		k.client.Close()
	}
	return nil
}
