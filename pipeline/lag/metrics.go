package lag

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/pipeline/admin"
)

// maxPartitions bounds the series: of a pipeline with more partitions each topic has
// one, whose partition is "all".
const maxPartitions = 1000

var (
	lagLabels    = []string{"group", "topic", "partition", "lane"}
	recordsDesc  = prometheus.NewDesc("backstitch_lag_records", "Offsets that a group has not processed, to the last stable offset.", lagLabels, nil)
	bytesDesc    = prometheus.NewDesc("backstitch_lag_bytes", "Bytes that a group has not processed, estimated from the size on disk; of the source's group, log after the slot's confirmed position.", lagLabels, nil)
	secondsDesc  = prometheus.NewDesc("backstitch_lag_seconds", "Age of the oldest record that a group has not processed; of the source's group, of the slot's position.", lagLabels, nil)
	rowsDesc     = prometheus.NewDesc("backstitch_backfill_rows", "Rows that the current or last backfill has read.", []string{"table"}, nil)
	estimateDesc = prometheus.NewDesc("backstitch_backfill_rows_total_estimate", "Rows that the planner expected when the backfill began.", []string{"table"}, nil)
	etaDesc      = prometheus.NewDesc("backstitch_backfill_eta_seconds", "How long the rest of a table takes at the rate of the last minute; 0 when it is read, absent without a rate.", []string{"table"}, nil)
	entitiesDesc = prometheus.NewDesc("backstitch_entities", "Entities by state. Those with a call in flight are counted there only.", []string{"kind", "state"}, nil)
	parkedDesc   = prometheus.NewDesc("backstitch_entities_parked", "Parked entities by reason.", []string{"kind", "reason"}, nil)
	rateDesc     = prometheus.NewDesc("backstitch_entities_applied_per_second", "Entities that became as desired, by the whole cluster, over the last 30 s.", nil, nil)
	applyETADesc = prometheus.NewDesc("backstitch_entities_eta_seconds", "How long it takes until nothing waits, at that rate; 0 when nothing waits, absent without a rate.", nil, nil)
)

// The states of entities, in the words of docs/status.md, and what has a call in
// flight.
const stateInFlight = "in_flight"

var states = []string{
	string(consumers.Current), string(consumers.Pending), string(consumers.Deferred), string(consumers.Blocked), string(consumers.Parked),
	string(consumers.Dropped), string(consumers.AwaitingConsent), string(consumers.Released), stateInFlight,
}

var kinds = []consumers.Kind{consumers.Organization, consumers.Member}

// Describe implements prometheus.Collector.
func (p *Poller) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{recordsDesc, bytesDesc, secondsDesc, rowsDesc, estimateDesc, etaDesc, entitiesDesc, parkedDesc, rateDesc, applyETADesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector: it shows the last look and never waits for
// another. What could not be read is absent.
func (p *Poller) Collect(out chan<- prometheus.Metric) {
	rep, ok := p.last()
	if !ok {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	partitions := 0
	for _, l := range rep.Lag {
		partitions += len(l.Partitions)
	}
	for _, l := range rep.Lag {
		if partitions > maxPartitions {
			collectLag(gauge, l, "all", l.Records, l.Bytes, l.Seconds)
			continue
		}
		for _, part := range l.Partitions {
			collectLag(gauge, l, strconv.Itoa(int(part.Partition)), part.Records, part.Bytes, part.Seconds)
		}
	}
	if s := rep.Source; s != nil && s.WALStatus != "" {
		gauge(bytesDesc, float64(s.SlotLagBytes), rep.Name+"-source", "", "", "")
		if s.SlotLagSeconds != nil {
			gauge(secondsDesc, *s.SlotLagSeconds, rep.Name+"-source", "", "", "")
		}
	}
	for _, t := range rep.Backfill {
		gauge(rowsDesc, float64(t.Rows), t.Table)
		gauge(estimateDesc, float64(t.Estimate), t.Table)
		switch {
		case t.Done:
			gauge(etaDesc, 0, t.Table)
		case t.ETASeconds != nil:
			gauge(etaDesc, *t.ETASeconds, t.Table)
		}
	}
	if rep.Entities.Counts != nil {
		collectEntities(gauge, rep)
	}
}

func collectLag(gauge func(*prometheus.Desc, float64, ...string), l admin.Lag, partition string, records int64, bytes *int64, seconds *float64) {
	labels := []string{l.Group, l.Topic, partition, string(l.Lane)}
	gauge(recordsDesc, float64(records), labels...)
	if bytes != nil {
		gauge(bytesDesc, float64(*bytes), labels...)
	}
	if seconds != nil {
		gauge(secondsDesc, *seconds, labels...)
	}
}

func collectEntities(gauge func(*prometheus.Desc, float64, ...string), rep Report) {
	type label struct {
		kind  consumers.Kind
		value string
	}
	counts, parked := map[label]int64{}, map[label]int64{}
	for _, kind := range kinds {
		for _, s := range states {
			counts[label{kind, s}] = 0
		}
		for _, reason := range consumers.Reasons() {
			parked[label{kind, string(reason)}] = 0
		}
	}
	for _, c := range rep.Entities.Counts {
		counts[label{c.Kind, string(c.Status)}] += c.Count
		if c.Status == consumers.Parked {
			parked[label{c.Kind, string(c.Reason)}] += c.Count
		}
	}
	for _, c := range rep.Entities.Calls {
		counts[label{c.Kind, string(c.Status)}] -= c.Count
		counts[label{c.Kind, stateInFlight}] += c.Count
	}
	for l, n := range counts {
		gauge(entitiesDesc, float64(max(0, n)), string(l.kind), l.value) // a call may have begun between two statements
	}
	for l, n := range parked {
		gauge(parkedDesc, float64(n), string(l.kind), l.value)
	}
	gauge(rateDesc, rep.Entities.AppliedPerSecond)
	if waiting := rep.Entities.Waiting(); waiting == 0 || rep.Entities.AppliedPerSecond > 0 {
		gauge(applyETADesc, rep.Entities.ETASeconds())
	}
}
