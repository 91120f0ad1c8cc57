package tillrace;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.camel.Exchange;
import org.apache.camel.Message;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.main.Main;
import org.apache.camel.support.DefaultMessage;

/**
 * The gateway's work in Apache Camel: lines in, each checked to be JSON and keyed by tenant and store, acknowledged by Kafka, and
 * only then answered.
 *
 * <p>usage: Gateway HOST:PORT BROKERS TOPIC
 */
public final class Gateway extends RouteBuilder {
    private static final JsonFactory JSON = new JsonFactory();

    private final String http;
    private final String kafka;

    private Gateway(String address, String brokers, String topic) {
        // Camel's other HTTP servers hold a thread until Kafka has answered. Here nothing blocks, so that Netty's threads suffice.
        http = "netty-http:http://" + address + "/events?httpMethodRestrict=POST&usingExecutorService=false&mapHeaders=false";
        kafka = "kafka:" + topic + "?brokers=" + brokers
                + "&enableIdempotence=true&requestRequiredAcks=all&compressionCodec=lz4"
                + "&lingerMs=1&producerBatchSize=131072&recordMetadata=false&workerPoolCoreSize=2&workerPoolMaxSize=2"
                + "&valueSerializer=org.apache.kafka.common.serialization.ByteArraySerializer";
    }

    public static void main(String[] arguments) throws Exception {
        Main main = new Main();
        // Exchanges are not pooled: camel-netty-http releases the body of a pooled one twice when the route is asynchronous.
        main.configure().addRoutesBuilder(new Gateway(arguments[0], arguments[1], arguments[2]));
        main.run(new String[0]);
    }

    @Override
    public void configure() {
        onException(JsonProcessingException.class)
                .handled(true)
                .setHeader(Exchange.HTTP_RESPONSE_CODE, constant(400))
                .setBody(simple("${exception.message}"));
        // The answer waits for the callbacks of all records, on no thread.
        from(http)
                .process(exchange -> exchange.getMessage().setBody(records(exchange)))
                .to(kafka)
                .setHeader(Exchange.HTTP_RESPONSE_CODE, constant(202))
                .setBody(constant(""));
    }

    /** Returns a message for each line of the body; one bad line refuses all. */
    private static List<Message> records(Exchange exchange) throws IOException {
        byte[] body = exchange.getMessage().getBody(byte[].class);
        List<Message> records = new ArrayList<>();
        for (int start = 0, end; start < body.length; start = end + 1) {
            end = lineEnd(body, start);
            Message record = new DefaultMessage(exchange);
            record.setHeader(KafkaConstants.KEY, "demo/" + store(body, start, end));
            record.setBody(Arrays.copyOfRange(body, start, end));
            records.add(record);
        }
        return records;
    }

    private static int lineEnd(byte[] body, int start) {
        int end = start;
        while (end < body.length && body[end] != '\n') {
            end++;
        }
        return end;
    }

    /** Reads the whole event, and returns its member {@code store}. */
    private static String store(byte[] body, int start, int end) throws IOException {
        try (JsonParser parser = JSON.createParser(body, start, end - start)) {
            String store = null;
            while (parser.nextToken() != null) {
                boolean isMember = parser.currentToken() == JsonToken.FIELD_NAME && parser.getParsingContext().getParent().inRoot();
                if (isMember && parser.currentName().equals("store")) {
                    store = parser.nextTextValue();
                }
            }
            if (store == null) {
                throw new JsonParseException(parser, "an event has no store");
            }
            return store;
        }
    }
}
