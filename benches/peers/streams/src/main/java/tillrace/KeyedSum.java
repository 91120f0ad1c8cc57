package tillrace;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The window job in Flink's DataStream API: lines are keyed by store, SKU, unit and window, which takes a shuffle, and summed
 * in keyed state; a timer sends the sum and forgets it.
 *
 * <p>With Flink's own windows, every one would keep a second timer for its end and be kept for the 24 h of lateness. A delta
 * needs neither.
 */
final class KeyedSum extends KeyedProcessFunction<String, Increment, Increment> {
    private static final long serialVersionUID = 1;
    private static final TypeInformation<Increment> INCREMENT = Types.VALUE(Increment.class);

    private transient ValueState<Increment> pending;

    static DataStream<Increment> deltas(DataStream<Receipt> receipts) {
        return receipts
                .<Increment>flatMap((receipt, out) -> {
                    FlinkJob.LINES_READ.add(receipt.lines.size());
                    long window = FlinkJob.windowStart(receipt.occurredAtMs);
                    for (Receipt.Line line : receipt.lines) {
                        out.collect(new Increment(receipt, line, window));
                    }
                })
                .returns(INCREMENT)
                .keyBy(increment -> increment.key, Types.STRING)
                .process(new KeyedSum())
                .returns(INCREMENT);
    }

    @Override
    public void open(OpenContext context) {
        pending = getRuntimeContext().getState(new ValueStateDescriptor<>("pending", INCREMENT));
    }

    @Override
    public void processElement(Increment line, Context context, Collector<Increment> out) throws Exception {
        FlinkJob.LINES_SUMMED.increment();
        if (FlinkJob.isClosed(line.window, context.timerService().currentWatermark())) {
            return;
        }
        Increment sum = pending.value();
        if (sum == null) {
            // All keys of an interval are due together.
            long interval = WindowJob.COMMIT_INTERVAL.toMillis();
            long now = context.timerService().currentProcessingTime();
            context.timerService().registerProcessingTimeTimer(now - now % interval + interval);
            sum = line.copy();
        } else {
            sum.add(line.movement);
        }
        pending.update(sum);
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<Increment> out) throws Exception {
        out.collect(pending.value());
        pending.clear();
    }
}
