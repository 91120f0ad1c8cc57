package tillrace;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.LongAdder;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;

/**
 * Runs the window job in Apache Flink, in a cluster within this process, and prints what it cost as {@link WindowJob} does.
 *
 * <p>Flink ships its functions as bytes, so what they count is static.
 */
public final class FlinkJob {
    static final LongAdder EVENTS = new LongAdder();
    static final LongAdder LINES_READ = new LongAdder();
    static final LongAdder LINES_SUMMED = new LongAdder();
    static final LongAdder LINES_SENT = new LongAdder();

    private final String brokers;
    private final String input;
    private final String output;
    private final String application;

    private FlinkJob(String brokers, String input, String output, String application) {
        this.brokers = brokers;
        this.input = input;
        this.output = output;
        this.application = application;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 5) {
            System.err.println("usage: FlinkJob keyed|chained BROKERS INPUT OUTPUT APPLICATION-ID");
            System.exit(2);
        }
        FlinkJob job = new FlinkJob(arguments[1], arguments[2], arguments[3], arguments[4]);
        String cost = job.run(arguments[0].equals("keyed"));
        Records.requireConserved(job.brokers, job.input, job.output, Movement::plus);
        System.out.println(cost);
    }

    static long windowStart(long timeMs) {
        return timeMs - timeMs % WindowJob.WINDOW.toMillis();
    }

    /** Whether a window takes no more lines. */
    static boolean isClosed(long window, long watermark) {
        return window + WindowJob.WINDOW.plus(WindowJob.GRACE).toMillis() - 1 <= watermark;
    }

    private String run(boolean keyed) throws Exception {
        long total = Records.count(brokers, input);
        StreamExecutionEnvironment flink = StreamExecutionEnvironment.getExecutionEnvironment(settings());
        DataStream<Receipt> receipts = flink.fromSource(source(), eventTime(), "events");
        DataStream<Increment> deltas = keyed ? KeyedSum.deltas(receipts) : ChainedSum.deltas(receipts);
        deltas.sinkTo(sink());
        JobClient running = flink.executeAsync(application);
        var ended = running.getJobExecutionResult();
        while (EVENTS.sum() < total / 3) {
            pause(ended);
        }
        Measurement measurement = new Measurement(LINES_SUMMED.sum());
        while (EVENTS.sum() < total || LINES_SENT.sum() < LINES_READ.sum()) {
            pause(ended);
        }
        // Stopping commits what was sent since the last checkpoint.
        running.stopWithSavepoint(false, folder("savepoint"), SavepointFormatType.NATIVE).get();
        ended.get();
        return measurement.end(total, LINES_SUMMED.sum());
    }

    private static void pause(CompletableFuture<?> ended) throws Exception {
        Thread.sleep(20);
        if (ended.isDone()) {
            ended.get();
            throw new IllegalStateException("the job ended by itself");
        }
    }

    private static String folder(String name) {
        return "file://" + System.getProperty("java.io.tmpdir") + '/' + name;
    }

    private static Configuration settings() {
        return new Configuration()
                .set(CoreOptions.DEFAULT_PARALLELISM, 2)
                .set(PipelineOptions.OBJECT_REUSE, true)
                .set(StateBackendOptions.STATE_BACKEND, "hashmap")
                .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, WindowJob.COMMIT_INTERVAL)
                .set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder("checkpoints"))
                .set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    }

    private KafkaSource<Receipt> source() {
        return KafkaSource.<Receipt>builder()
                .setBootstrapServers(brokers)
                .setTopics(input)
                .setGroupId(application)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(KafkaRecordDeserializationSchema.valueOnly(ReceiptReader.class))
                .setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed")
                .setProperty(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, "5000")
                .build();
    }

    /** Few stores leave some partitions empty, which must not hold event time up. */
    private static WatermarkStrategy<Receipt> eventTime() {
        return WatermarkStrategy.<Receipt>forMonotonousTimestamps()
                .withTimestampAssigner((receipt, recordTime) -> {
                    EVENTS.increment();
                    return receipt.occurredAtMs;
                })
                .withIdleness(WindowJob.COMMIT_INTERVAL);
    }

    private KafkaSink<Increment> sink() {
        return KafkaSink.<Increment>builder()
                .setBootstrapServers(brokers)
                .setRecordSerializer(new IncrementWriter(output))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(application)
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                // Flink's default of an hour is more than brokers allow.
                .setProperty(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, Long.toString(Duration.ofMinutes(10).toMillis()))
                .setProperty(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4")
                .setProperty(ProducerConfig.LINGER_MS_CONFIG, "100")
                .setProperty(ProducerConfig.BATCH_SIZE_CONFIG, Integer.toString(256 * 1024))
                .build();
    }
}
