package tillrace;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BinaryOperator;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.BytesDeserializer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.utils.Bytes;

/** Counts and checks what stands in the topics, apart from the jobs. */
final class Records {
    private Records() {}

    /** How many records a topic has. */
    static long count(String brokers, String topic) {
        try (var consumer = consumer(brokers, new BytesDeserializer())) {
            return consumer.endOffsets(assign(consumer, topic)).values().stream().mapToLong(end -> end).sum();
        }
    }

    /**
     * Requires that the committed output moves as much stock as the events of the input do.
     *
     * @param again what holds for a key that was written before: the sum of increments, or the later of two totals
     */
    static void requireConserved(String brokers, String input, String output, BinaryOperator<Movement> again) {
        Sum expected = new Sum();
        forEach(brokers, input, new ReceiptReader(), event -> event.value().lines.forEach(line -> expected.add(line.movement())));
        Map<Bytes, Movement> written = new HashMap<>();
        forEach(brokers, output, Movement.SERDE.deserializer(), record -> written.merge(record.key(), record.value(), again));
        Sum actual = new Sum();
        written.values().forEach(actual::add);
        if (!actual.movement.equals(expected.movement)) {
            throw new IllegalStateException("the output holds " + actual.movement + ", the input " + expected.movement);
        }
    }

    private static <V> void forEach(String brokers, String topic, Deserializer<V> values, Consumer<ConsumerRecord<Bytes, V>> each) {
        try (var consumer = consumer(brokers, values)) {
            var partitions = assign(consumer, topic);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                consumer.poll(Duration.ofMillis(100)).forEach(each);
            }
        }
    }

    private static <V> KafkaConsumer<Bytes, V> consumer(String brokers, Deserializer<V> values) {
        return new KafkaConsumer<>(Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers,
                ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false), new BytesDeserializer(), values);
    }

    private static List<TopicPartition> assign(KafkaConsumer<?, ?> consumer, String topic) {
        var partitions = consumer.partitionsFor(topic).stream().map(part -> new TopicPartition(topic, part.partition())).toList();
        consumer.assign(partitions);
        return partitions;
    }

    private static final class Sum {
        private Movement movement = new Movement(0, 0, 0, 0, 0);

        void add(Movement more) {
            movement = movement.plus(more);
        }
    }
}
