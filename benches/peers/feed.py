"""Prints sales of a fleet, one a line: about 912 bytes and five lines each, as most terminals send them.

usage: feed.py EVENTS STORES SKUS MINUTES

The sales of four terminals a store happen within the MINUTES before now, in order; SKUs are drawn evenly. Each run has an epoch
of its own, so that none of its events was sent before.
"""

import random
import sys
import time
from datetime import datetime, timedelta, timezone

events, stores, skus, minutes = map(int, sys.argv[1:])
dice = random.Random(1)
epoch = f"r{time.time_ns():x}"
end = datetime.now(timezone.utc)
sequences = {}


def gtin(number):
    body = f"400{number:09}"
    return body + str(-sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body)) % 10)


gtins = [gtin(sku) for sku in range(skus)]


def line(number):
    sku = dice.randrange(skus)
    quantity, cents = dice.randint(1, 3), 99 + sku % 2000
    amount = cents * quantity
    return amount, (
        f'{{"line":{number},"type":"sale","sku":"{1000000 + sku}","gtin":"{gtins[sku]}","quantity":"{quantity}",'
        f'"unit_price":"{cents // 100}.{cents % 100:02}","amount":"{amount // 100}.{amount % 100:02}"}}'
    )


for number in range(events):
    place = dice.randrange(stores * 4)
    store, terminal = f"{place // 4:04}", f"{place % 4:02}"
    sequence = sequences[place] = sequences.get(place, 0) + 1
    at = end - timedelta(minutes=minutes * (1 - number / events))
    amounts, lines = zip(*map(line, range(1, 6)))
    total = f"{sum(amounts) // 100}.{sum(amounts) % 100:02}"
    print(
        f'{{"store":"{store}","terminal":"{terminal}","sequence":{sequence},"epoch":"{epoch}",'
        f'"event_id":"{store}.{terminal}.{sequence}","kind":"sale","occurred_at":"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",'
        f'"business_date":"{at:%Y-%m-%d}","currency":"EUR","operator_id":"op-{place % 200:03}","lines":[{",".join(lines)}],'
        f'"tenders":[{{"type":"card","amount":"{total}","last_four":"1881"}}],"totals":{{"total":"{total}","line_count":5}}}}'
    )
