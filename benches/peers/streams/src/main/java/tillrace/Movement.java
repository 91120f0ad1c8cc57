package tillrace;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What some lines do to the stock of one SKU, in millionths of its unit. */
record Movement(long net, long sold, long returned, long adjusted, long events) {
    static final Serde<Movement> SERDE = Serdes.serdeFrom((topic, value) -> value == null ? null : value.toBytes(), reader());

    Movement plus(Movement other) {
        return new Movement(net + other.net, sold + other.sold, returned + other.returned, adjusted + other.adjusted,
                events + other.events);
    }

    byte[] toBytes() {
        return ByteBuffer.allocate(40).putLong(net).putLong(sold).putLong(returned).putLong(adjusted).putLong(events).array();
    }

    private static Deserializer<Movement> reader() {
        return (topic, bytes) -> {
            if (bytes == null) {
                return null;
            }
            ByteBuffer in = ByteBuffer.wrap(bytes);
            return new Movement(in.getLong(), in.getLong(), in.getLong(), in.getLong(), in.getLong());
        };
    }
}
