package tillrace;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetIdentifier;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacetProvider;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Makes Kafka's record of an increment. It names its topic, which Flink asks for to use transactional ids again. */
final class IncrementWriter implements KafkaRecordSerializationSchema<Increment>, KafkaDatasetFacetProvider {
    private static final long serialVersionUID = 1;

    private final String topic;

    IncrementWriter(String topic) {
        this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Increment increment, KafkaSinkContext context, Long eventTime) {
        FlinkJob.LINES_SENT.add(increment.movement.events());
        byte[] key = increment.key.getBytes(StandardCharsets.UTF_8);
        return new ProducerRecord<>(topic, null, increment.window, key, increment.movement.toBytes());
    }

    @Override
    public Optional<KafkaDatasetFacet> getKafkaDatasetFacet() {
        return Optional.of(new DefaultKafkaDatasetFacet(DefaultKafkaDatasetIdentifier.ofTopics(List.of(topic))));
    }
}
