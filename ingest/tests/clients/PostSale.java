package example;

import java.net.URI;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.List;
import org.openapitools.client.ApiClient;
import org.openapitools.client.api.DefaultApi;
import org.openapitools.client.model.Acknowledgement;
import org.openapitools.client.model.Event;
import org.openapitools.client.model.Line;
import org.openapitools.client.model.Tally;

/** Posts one sale by itself and one in a batch, by the generated client. */
public final class PostSale {
    public static void main(String[] args) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(System.getenv("TILLRACE_URL"));
        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + System.getenv("TILLRACE_KEY")));
        DefaultApi api = new DefaultApi(client);
        Acknowledgement acknowledged = api.postEvent(sale(1), null, null);
        require(acknowledged.getOutcome() == Acknowledgement.OutcomeEnum.ACCEPTED, acknowledged);
        Tally tally = api.postEvents(List.of(sale(2)), null, null);
        require(tally.getAccepted() == 1 && tally.getRejected() == 0, tally);
    }

    private static Event sale(long sequence) {
        Line line = new Line().line(1L).type(Line.TypeEnum.SALE).sku("100001").quantity("2").amount("2.58");
        return new Event().store("java").terminal("1").sequence(sequence).eventId("java-" + sequence).kind("sale")
            .occurredAt(OffsetDateTime.now()).businessDate(LocalDate.now()).currency("EUR").lines(List.of(line));
    }

    private static void require(boolean holds, Object answer) {
        if (!holds) {
            throw new IllegalStateException("unexpected answer: " + answer);
        }
    }
}
