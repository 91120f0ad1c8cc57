package tillrace;

import java.util.ArrayList;
import java.util.List;

/** What the window job needs of an event: whose it is, when it happened, and the lines that move stock. */
final class Receipt {
    String store = "";
    long occurredAtMs;
    final List<Line> lines = new ArrayList<>();

    /** A line that moves stock. */
    record Line(String sku, String unit, Movement movement) {}

    /** The stock key of a line: what a delta is per, besides its window. */
    String stockKey(Line line) {
        return store + '/' + line.sku + '/' + line.unit;
    }
}
