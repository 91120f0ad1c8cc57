package tillrace;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.CopyableValue;

/**
 * What changed of one store, SKU, unit and window since the last flush: what the jobs in Flink write, and shuffle.
 *
 * <p>It writes and reads itself, which is cheaper than Flink's reflective serializers.
 */
public final class Increment implements CopyableValue<Increment> {
    private static final Movement NOTHING = new Movement(0, 0, 0, 0, 0);

    String key = "";
    long window;
    Movement movement = NOTHING;

    /** For Flink, which then reads into it. */
    public Increment() {}

    Increment(Receipt receipt, Receipt.Line line, long window) {
        this.key = receipt.stockKey(line) + '/' + window;
        this.window = window;
        this.movement = line.movement();
    }

    void add(Movement more) {
        movement = movement.plus(more);
    }

    @Override
    public void write(DataOutputView out) throws IOException {
        out.writeUTF(key);
        out.writeLong(window);
        out.writeLong(movement.net());
        out.writeLong(movement.sold());
        out.writeLong(movement.returned());
        out.writeLong(movement.adjusted());
        out.writeLong(movement.events());
    }

    @Override
    public void read(DataInputView in) throws IOException {
        key = in.readUTF();
        window = in.readLong();
        movement = new Movement(in.readLong(), in.readLong(), in.readLong(), in.readLong(), in.readLong());
    }

    @Override
    public void copyTo(Increment target) {
        target.key = key;
        target.window = window;
        target.movement = movement;
    }

    @Override
    public Increment copy() {
        Increment copy = new Increment();
        copyTo(copy);
        return copy;
    }

    @Override
    public void copy(DataInputView source, DataOutputView target) throws IOException {
        Increment increment = new Increment();
        increment.read(source);
        increment.write(target);
    }

    /** Varies with the key. */
    @Override
    public int getBinaryLength() {
        return -1;
    }
}
