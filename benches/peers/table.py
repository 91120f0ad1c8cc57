"""Makes one Markdown table of a comparison's measurements: medians, and the median of the ratios within each round.

usage: table.py RESULTS MEASURE JOB/WHO=FLOOR… [-- COLUMN…]

RESULTS has one JSON object a line, in the order measured: `job`, `who`, and figures. The n-th measurement of a rival is
compared with the n-th of Tillrace at the same job. A ratio above 1 means that Tillrace's MEASURE is the lower one. Jobs that
are not named are left out, and so is who has not got the measure. A FLOOR may be empty: its ratio is shown and held to nothing.
"""

import json
import sys
from collections import defaultdict
from statistics import median

path, measure, *rest = sys.argv[1:]
split = rest.index("--") if "--" in rest else len(rest)
floors = dict(floor.rsplit("=", 1) for floor in rest[:split])
jobs = {floor.rsplit("/", 1)[0] for floor in floors}
columns = [measure, *rest[split + 1 :]]

figures = defaultdict(list)
with open(path) as lines:
    for line in lines:
        row = json.loads(line)
        figures[row["job"], row["who"]].append(row)


def show(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


print("| job | who | " + " | ".join(column.replace("_", " ") for column in columns) + " | × Tillrace | floor | runs |")
print("|---|---|" + "---:|" * (len(columns) + 3))
for (job, who), rows in figures.items():
    if not all(measure in row for row in rows):
        continue
    own = figures.get((job, "tillrace"), [])
    if job in jobs:
        ratios = [row[measure] / mine[measure] for row, mine in zip(rows, own) if mine[measure]]
        cells = [show(median(row[column] for row in rows)) if all(column in row for row in rows) else "" for column in columns]
        ratio = "1" if who == "tillrace" else show(median(ratios)) if ratios else ""
        floor = floors.get(f"{job}/{who}", "")
        print(f"| {job} | {who} | " + " | ".join(cells) + f" | {ratio} | {floor} | {len(rows)} |")
