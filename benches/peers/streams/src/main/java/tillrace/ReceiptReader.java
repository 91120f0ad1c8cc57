package tillrace;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Deserializer;

/** Reads an envelope with its event in one pass of Jackson's streaming parser; what the job does not need is skipped. */
public final class ReceiptReader implements Deserializer<Receipt> {
    private final JsonFactory json = new JsonFactory();

    // The fields of the line at hand.
    private String type;
    private String sku;
    private String unit;
    private String disposition;
    private long quantity;
    private boolean isVoid;

    @Override
    public Receipt deserialize(String topic, byte[] value) {
        Receipt receipt = new Receipt();
        try (JsonParser in = json.createParser(value)) {
            in.nextToken();
            while (in.nextToken() == JsonToken.FIELD_NAME) {
                String name = in.currentName();
                in.nextToken();
                switch (name) {
                    case "store" -> receipt.store = in.getText();
                    case "time" -> receipt.occurredAtMs = Text.instantMs(in.getText());
                    case "data" -> readEvent(in, receipt);
                    default -> in.skipChildren();
                }
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return receipt;
    }

    private void readEvent(JsonParser in, Receipt receipt) throws IOException {
        String kind = "";
        while (in.nextToken() == JsonToken.FIELD_NAME) {
            String name = in.currentName();
            in.nextToken();
            switch (name) {
                case "kind" -> kind = in.getText();
                case "lines" -> {
                    while (in.nextToken() == JsonToken.START_OBJECT) {
                        readLine(in, kind, receipt);
                    }
                }
                default -> in.skipChildren();
            }
        }
    }

    private void readLine(JsonParser in, String kind, Receipt receipt) throws IOException {
        type = "";
        sku = "";
        unit = "EA";
        disposition = "restock";
        quantity = 0;
        isVoid = false;
        while (in.nextToken() == JsonToken.FIELD_NAME) {
            String name = in.currentName();
            in.nextToken();
            switch (name) {
                case "type" -> type = in.getText();
                case "sku" -> sku = in.getText();
                case "unit" -> unit = in.getText();
                case "disposition" -> disposition = in.getText();
                case "quantity" -> quantity = Text.millionths(in.getText());
                case "void" -> isVoid = in.getBooleanValue();
                default -> in.skipChildren();
            }
        }
        Movement movement = isVoid ? null : movement(kind);
        if (movement != null) {
            receipt.lines.add(new Receipt.Line(sku, unit, movement));
        }
    }

    /** The same table as in core/src/stock.rs; null for a pair that moves nothing. */
    private Movement movement(String kind) {
        boolean restocked = disposition.equals("restock");
        return switch (kind) {
            case "sale", "exchange", "return" -> switch (type) {
                case "sale" -> kind.equals("return") ? null : new Movement(-quantity, quantity, 0, 0, 1);
                case "return" -> new Movement(restocked ? quantity : 0, 0, quantity, 0, 1);
                default -> null;
            };
            case "post_void" -> switch (type) {
                case "sale" -> new Movement(quantity, -quantity, 0, 0, 1);
                case "return" -> new Movement(restocked ? -quantity : 0, 0, -quantity, 0, 1);
                default -> null;
            };
            case "inventory_adjustment" -> type.equals("adjustment") ? new Movement(quantity, 0, 0, quantity, 1) : null;
            case "transfer_out" -> type.equals("transfer") ? new Movement(-quantity, 0, 0, -quantity, 1) : null;
            case "transfer_in" -> type.equals("transfer") ? new Movement(quantity, 0, 0, quantity, 1) : null;
            default -> null;
        };
    }
}
