package tillrace;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.AutoOffsetReset;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

/** The window job in the DSL: lines are keyed by store, SKU and unit, which takes a repartition, and summed by window. */
final class Dsl {
    private Dsl() {}

    static Topology topology(WindowJob job) {
        StreamsBuilder builder = new StreamsBuilder();
        var store = Stores.inMemoryWindowStore("totals", WindowJob.GRACE.plus(WindowJob.WINDOW), WindowJob.WINDOW, false);
        builder.stream(job.input, Consumed.with(Serdes.String(), job.receipts)
                        .withTimestampExtractor(job::occurredAt).withOffsetResetPolicy(AutoOffsetReset.earliest()))
                .flatMap((key, receipt) -> {
                    job.linesRead.add(receipt.lines.size());
                    return receipt.lines.stream().map(line -> KeyValue.pair(receipt.stockKey(line), line.movement())).toList();
                })
                .repartition(Repartitioned.with(Serdes.String(), Movement.SERDE).withName("lines"))
                .peek((key, movement) -> job.linesSummed.increment())
                .groupByKey(Grouped.with(Serdes.String(), Movement.SERDE))
                .windowedBy(TimeWindows.ofSizeAndGrace(WindowJob.WINDOW, WindowJob.GRACE))
                .reduce(Movement::plus, Materialized.<String, Movement>as(store).withKeySerde(Serdes.String())
                        .withValueSerde(Movement.SERDE).withCachingEnabled())
                .toStream((windowed, total) -> windowed.key() + '/' + windowed.window().start())
                .to(job.output, Produced.with(Serdes.String(), Movement.SERDE));
        return builder.build();
    }
}
