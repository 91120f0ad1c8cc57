// Command post_sale posts one sale by itself and one in a batch, by the generated client.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	tillrace "github.com/example/tillrace"
)

func sale(sequence int64) tillrace.Event {
	now := time.Now()
	line := tillrace.NewLine(1, "2", "100001", "sale")
	line.SetAmount("2.58")
	event := tillrace.NewEvent(now.Format("2006-01-02"), fmt.Sprintf("go-%d", sequence), "sale", now, "go", "1")
	event.SetSequence(sequence)
	event.SetCurrency("EUR")
	event.SetLines([]tillrace.Line{*line})
	return *event
}

func main() {
	configuration := tillrace.NewConfiguration()
	configuration.Servers = tillrace.ServerConfigurations{{URL: os.Getenv("TILLRACE_URL")}}
	configuration.AddDefaultHeader("Authorization", "Bearer "+os.Getenv("TILLRACE_KEY"))
	api := tillrace.NewAPIClient(configuration).DefaultAPI
	acknowledged, _, err := api.PostEvent(context.Background()).Event(sale(1)).Execute()
	if err != nil || acknowledged.Outcome != "accepted" {
		fail(acknowledged, err)
	}
	tally, _, err := api.PostEvents(context.Background()).Event([]tillrace.Event{sale(2)}).Execute()
	if err != nil || tally.Accepted != 1 || tally.Rejected != 0 {
		fail(tally, err)
	}
}

func fail(answer any, err error) {
	fmt.Fprintf(os.Stderr, "unexpected answer: %+v %v\n", answer, err)
	os.Exit(1)
}
