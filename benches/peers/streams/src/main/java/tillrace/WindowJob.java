package tillrace;

import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;

/**
 * Runs the window job in Kafka Streams over a topic until its end and prints what it cost, as one JSON object.
 *
 * <p>The first third warms the compiler up and is not measured; the measurement ends when all is committed.
 */
public final class WindowJob {
    static final Duration WINDOW = Duration.ofMinutes(1);
    static final Duration GRACE = Duration.ofHours(24);
    static final Duration COMMIT_INTERVAL = Duration.ofSeconds(5);

    final String input;
    final String output;
    final LongAdder events = new LongAdder();
    final LongAdder linesRead = new LongAdder();
    final LongAdder linesSummed = new LongAdder();
    final Serde<Receipt> receipts;
    private final String brokers;

    private WindowJob(String brokers, String input, String output) {
        this.brokers = brokers;
        this.input = input;
        this.output = output;
        this.receipts = Serdes.serdeFrom((topic, receipt) -> {
            throw new UnsupportedOperationException("receipts are only read");
        }, new ReceiptReader());
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 5) {
            System.err.println("usage: WindowJob dsl|processor BROKERS INPUT OUTPUT APPLICATION-ID");
            System.exit(2);
        }
        WindowJob job = new WindowJob(arguments[1], arguments[2], arguments[3]);
        Topology topology = arguments[0].equals("dsl") ? Dsl.topology(job) : ByStore.topology(job);
        String cost = job.run(topology, arguments[4]);
        Records.requireConserved(job.brokers, job.input, job.output, (earlier, later) -> later);
        System.out.println(cost);
    }

    long occurredAt(ConsumerRecord<Object, Object> record, long partitionTime) {
        events.increment();
        return ((Receipt) record.value()).occurredAtMs;
    }

    private String run(Topology topology, String application) throws Exception {
        long total = Records.count(brokers, input);
        try (KafkaStreams streams = new KafkaStreams(topology, settings(application))) {
            streams.start();
            while (events.sum() < total / 3) {
                Thread.sleep(20);
                require(streams);
            }
            Measurement measurement = new Measurement(linesSummed.sum());
            while (events.sum() < total || linesSummed.sum() < linesRead.sum()) {
                Thread.sleep(20);
                require(streams);
            }
            // One more interval for what waits for its punctuation; closing commits the rest.
            Thread.sleep(COMMIT_INTERVAL.toMillis());
            streams.close();
            return measurement.end(total, linesSummed.sum());
        }
    }

    private static void require(KafkaStreams streams) {
        if (streams.state() == KafkaStreams.State.ERROR) {
            throw new IllegalStateException("the job failed");
        }
    }

    private Properties settings(String application) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("java.io.tmpdir"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL.toMillis());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        // All that changes between two commits fits, so that each key is written once.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 1L << 30);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 * 1024);
        // With the usual ten seconds a flush of many windows is fenced on a busy machine.
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), 60_000);
        // Output carries event time, which may lie ahead of the broker's clock.
        settings.put(StreamsConfig.topicPrefix("message.timestamp.after.max.ms"), Long.toString(Long.MAX_VALUE));
        return settings;
    }
}
