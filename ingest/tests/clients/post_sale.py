"""Posts one sale by itself and one in a batch, by the client that the named generator made."""

import datetime
import os
import sys

URL, KEY = os.environ["TILLRACE_URL"], os.environ["TILLRACE_KEY"]
NOW = datetime.datetime.now(datetime.timezone.utc)


def sale(store, sequence):
    return {
        "store": store, "terminal": "1", "sequence": sequence, "event_id": f"{store}-{sequence}", "kind": "sale",
        "occurred_at": NOW.isoformat(), "business_date": NOW.date().isoformat(), "currency": "EUR",
        "lines": [{"line": 1, "type": "sale", "sku": "100001", "quantity": "2", "amount": "2.58"}],
    }


def by_openapi_generator():
    import openapi_client as client

    configuration = client.Configuration(host=URL, access_token=KEY)
    api = client.DefaultApi(client.ApiClient(configuration))
    events = [client.Event.from_dict(sale("python", sequence)) for sequence in (1, 2)]
    return api.post_event(events[0]).outcome, api.post_events([events[1]]).accepted


def by_openapi_python_client():
    from tillrace_gateway_client import AuthenticatedClient
    from tillrace_gateway_client.api.default import post_event, post_events
    from tillrace_gateway_client.models import Event

    client = AuthenticatedClient(base_url=URL, token=KEY)
    events = [Event.from_dict(sale("python-client", sequence)) for sequence in (1, 2)]
    outcome = post_event.sync(client=client, body=events[0]).outcome
    return str(outcome), post_events.sync(client=client, body=[events[1]]).accepted


made_by = {"openapi-generator": by_openapi_generator, "openapi-python-client": by_openapi_python_client}
answer = made_by[sys.argv[1]]()
if answer != ("accepted", 1):
    sys.exit(f"unexpected answer: {answer}")
