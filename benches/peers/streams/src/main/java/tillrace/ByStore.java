package tillrace;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.AutoOffsetReset;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The window job in the Processor API. The input is keyed by store already, so each task sums its own stores' lines where
 * they arrive, without a repartition; what changed since the last commit goes out once an interval.
 */
final class ByStore implements Processor<String, Receipt, Bytes, Movement> {
    private static final String TOTALS = "totals";

    private final WindowJob job;
    private final Set<Bytes> changed = new HashSet<>();
    private ProcessorContext<Bytes, Movement> context;
    private KeyValueStore<Bytes, Movement> totals;
    private long streamTimeMs;

    private ByStore(WindowJob job) {
        this.job = job;
    }

    static Topology topology(WindowJob job) {
        // The cache in front keeps the changelog to one record a key and commit.
        var store = Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(TOTALS), Serdes.Bytes(), Movement.SERDE)
                .withCachingEnabled();
        return new Topology()
                .addSource(AutoOffsetReset.earliest(), "events", job::occurredAt, Serdes.String().deserializer(), job.receipts.deserializer(), job.input)
                .addProcessor("sum", () -> new ByStore(job), "events")
                .addStateStore(store, "sum")
                .addSink("deltas", job.output, Serdes.Bytes().serializer(), Movement.SERDE.serializer(), "sum");
    }

    @Override
    public void init(ProcessorContext<Bytes, Movement> context) {
        this.context = context;
        totals = context.getStateStore(TOTALS);
        context.schedule(WindowJob.COMMIT_INTERVAL, PunctuationType.WALL_CLOCK_TIME, now -> flush());
    }

    @Override
    public void process(Record<String, Receipt> event) {
        Receipt receipt = event.value();
        streamTimeMs = Math.max(streamTimeMs, receipt.occurredAtMs);
        long window = windowStart(receipt.occurredAtMs);
        if (window >= oldestWindow()) {
            for (Receipt.Line line : receipt.lines) {
                Bytes key = key(window, receipt.stockKey(line));
                Movement before = totals.get(key);
                totals.put(key, before == null ? line.movement() : before.plus(line.movement()));
                changed.add(key);
            }
        }
        job.linesRead.add(receipt.lines.size());
        job.linesSummed.add(receipt.lines.size());
    }

    @Override
    public void close() {
        changed.clear();
    }

    private void flush() {
        for (Bytes key : changed) {
            context.forward(new Record<>(key, totals.get(key), windowOf(key)));
        }
        changed.clear();
        if (streamTimeMs > 0) {
            try (KeyValueIterator<Bytes, Movement> closed = totals.range(key(0, ""), key(oldestWindow(), ""))) {
                while (closed.hasNext()) {
                    KeyValue<Bytes, Movement> entry = closed.next();
                    totals.delete(entry.key);
                }
            }
        }
    }

    private static long windowStart(long timeMs) {
        return timeMs - timeMs % WindowJob.WINDOW.toMillis();
    }

    private long oldestWindow() {
        return windowStart(Math.max(streamTimeMs - WindowJob.GRACE.toMillis(), 0));
    }

    /** Window first, so that closed windows lie together. */
    private static Bytes key(long window, String stockKey) {
        byte[] text = stockKey.getBytes(StandardCharsets.UTF_8);
        return Bytes.wrap(ByteBuffer.allocate(8 + text.length).putLong(window).put(text).array());
    }

    private static long windowOf(Bytes key) {
        return ByteBuffer.wrap(key.get()).getLong();
    }
}
