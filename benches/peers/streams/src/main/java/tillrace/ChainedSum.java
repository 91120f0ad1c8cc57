package tillrace;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * The window job as an operator of Flink, as Flink SQL's mini-batches are made. The input is keyed by store already, so lines
 * are summed in the task that reads them, without a shuffle.
 *
 * <p>It has no state: all sums leave ahead of a checkpoint's barrier, so the checkpoint finds none.
 */
final class ChainedSum extends AbstractStreamOperator<Increment> implements OneInputStreamOperator<Receipt, Increment> {
    private static final long serialVersionUID = 1;

    private transient Map<String, Increment> sums;
    private transient long watermark;

    static DataStream<Increment> deltas(DataStream<Receipt> receipts) {
        return receipts.transform("sum", Types.VALUE(Increment.class), new ChainedSum());
    }

    @Override
    public void open() throws Exception {
        super.open();
        sums = new HashMap<>();
        watermark = Long.MIN_VALUE;
    }

    @Override
    public void processElement(StreamRecord<Receipt> event) {
        Receipt receipt = event.getValue();
        long window = FlinkJob.windowStart(receipt.occurredAtMs);
        if (!FlinkJob.isClosed(window, watermark)) {
            for (Receipt.Line line : receipt.lines) {
                Increment increment = new Increment(receipt, line, window);
                Increment sum = sums.putIfAbsent(increment.key, increment);
                if (sum != null) {
                    sum.add(increment.movement);
                }
            }
        }
        FlinkJob.LINES_READ.add(receipt.lines.size());
        FlinkJob.LINES_SUMMED.add(receipt.lines.size());
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        watermark = mark.getTimestamp();
        super.processWatermark(mark);
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpoint) {
        flush();
    }

    @Override
    public void finish() {
        flush();
    }

    private void flush() {
        StreamRecord<Increment> record = new StreamRecord<>(null);
        sums.values().forEach(sum -> output.collect(record.replace(sum)));
        sums.clear();
    }
}
