// Reads the events of a file again and again by simdjson's on-demand API: every value that the engine needs, unparsed.
//
//     read_events FILE ROUNDS      # one event a line
//
// The texts are copied once, with the padding that simdjson asks for; what is timed does not copy them. Members are asked
// for in the order in which a fleet sends them, and found in any; going over all members instead is slower by a quarter.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "simdjson.h"

using namespace simdjson;

// The length of a text; 0 where there is no such member.
static uint64_t text(simdjson_result<ondemand::value> value) {
    std::string_view text;
    return value.get_string().get(text) ? 0 : text.size();
}

static uint64_t number(simdjson_result<ondemand::value> value) { return uint64_t(value.get_uint64()); }

static uint64_t line(ondemand::object line) {
    uint64_t seen = number(line["line"]) + text(line["type"]) + text(line["sku"]) + text(line["gtin"]);
    return seen + text(line["quantity"]) + text(line["unit_price"]) + text(line["amount"]);
}

static uint64_t tender(ondemand::object tender) {
    return text(tender["type"]) + text(tender["amount"]) + text(tender["last_four"]);
}

static uint64_t event(ondemand::object event) {
    uint64_t seen = text(event["store"]) + text(event["terminal"]) + number(event["sequence"]);
    seen += text(event["event_id"]) + text(event["kind"]) + text(event["occurred_at"]);
    seen += text(event["business_date"]) + text(event["currency"]);
    for (auto element : event["lines"].get_array()) seen += line(element.get_object());
    for (auto element : event["tenders"].get_array()) seen += tender(element.get_object());
    ondemand::object totals = event["totals"].get_object();
    return seen + text(totals["total"]) + number(totals["line_count"]);
}

int main(int count, char** arguments) {
    if (count != 3) return std::fputs("usage: read_events FILE ROUNDS\n", stderr), 2;
    std::ifstream file(arguments[1]);
    std::vector<padded_string> events;
    for (std::string text; std::getline(file, text);) events.emplace_back(text);
    if (events.empty()) return std::fputs("no events\n", stderr), 1;
    ondemand::parser parser;
    uint64_t seen = 0;
    for (long round = std::atol(arguments[2]); round > 0; round--)
        for (const auto& text : events) {
            ondemand::document document = parser.iterate(text);
            seen += event(document.get_object());
        }
    std::printf("%llu\n", static_cast<unsigned long long>(seen));
}
