package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/lag"
)

// unknown stands for what could not be read.
const unknown = "-"

// printLag prints a look in the words of kafka-consumer-groups: a line for each topic,
// and below it the partitions that lag.
func printLag(out io.Writer, r lag.Report) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s  %s\n\n", r.Name, r.Time.UTC().Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintln(w, "GROUP\tTOPIC\tLANE\tPARTITION\tCURRENT-OFFSET\tLOG-END-OFFSET\tLAG\tBYTES\tSECONDS")
	for _, l := range r.Lag {
		lane := string(l.Lane)
		if lane == "" {
			lane = unknown
		}
		fmt.Fprintf(w, "%s\t%s\t%s\tall\t\t\t%d\t%s\t%s\n", l.Group, l.Topic, lane, l.Records, whole(l.Bytes), seconds(l.Seconds))
		for _, p := range l.Partitions {
			if p.Records > 0 {
				fmt.Fprintf(w, "\t\t\t%d\t%d\t%d\t%d\t%s\t%s\n", p.Partition, p.CurrentOffset, p.LogEndOffset, p.Records, whole(p.Bytes), seconds(p.Seconds))
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	printSlot(w, r.Source, r.Problems)
	printBackfill(w, r.Backfill)
	for _, t := range r.Backfill {
		printTable(w, t)
	}
	if r.Entities.Counts != nil {
		printEntities(w, r)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "not read\t%s\n", p)
	}
	return w.Flush()
}

func printSlot(w io.Writer, s *admin.Source, problems []string) {
	if missing := slotMissing(s, problems); missing != "" {
		fmt.Fprintf(w, "slot\t%s\n", missing)
		return
	}
	reader := "nobody reads it"
	if s.SlotActive {
		reader = "read"
	}
	safe := "no limit (max_slot_wal_keep_size)"
	if s.SafeWALSize != nil {
		safe = fmt.Sprintf("%d bytes until it is lost", *s.SafeWALSize)
	}
	fmt.Fprintf(w, "slot\t%s, %s, %s\n", s.WALStatus, reader, safe)
	fmt.Fprintf(w, "slot lag\t%d bytes, %s s since confirmed %s\n", s.SlotLagBytes, seconds(s.SlotLagSeconds), s.ConfirmedLSN)
	fmt.Fprintf(w, "slot retains\t%d bytes since restart %s\n", s.RetainedBytes, s.RestartLSN)
}

// slotMissing says why there is nothing to say of a slot: "" when there is.
func slotMissing(s *admin.Source, problems []string) string {
	switch {
	case s != nil && s.WALStatus != "":
		return ""
	case slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, "slot: ") }):
		return "not read"
	}
	return "not there"
}

// printBackfill sums up what is left to read.
func printBackfill(w io.Writer, tables []admin.Table) {
	var rows, left int64
	var rate float64
	reading := false
	for _, t := range tables {
		rows += t.Rows
		if t.Done {
			continue
		}
		reading = true
		left += max(0, t.Estimate-t.Rows)
		if t.RowsPerSecond != nil {
			rate += *t.RowsPerSecond
		}
	}
	if !reading {
		return
	}
	fmt.Fprintf(w, "backfill\t%d rows of about %d", rows, rows+left)
	if rate > 0 && left > 0 {
		fmt.Fprintf(w, ", %.0f rows/s, %s to go", rate, duration(float64(left)/rate))
	}
	fmt.Fprintln(w)
}

func printTable(w io.Writer, t admin.Table) {
	switch {
	case t.Done:
		fmt.Fprintf(w, "backfill %s\t%d rows, read\n", t.Table, t.Rows)
	case t.ETASeconds != nil:
		fmt.Fprintf(w, "backfill %s\t%d rows of about %d, %.0f rows/s, %s to go\n", t.Table, t.Rows, max(t.Estimate, t.Rows), *t.RowsPerSecond, duration(*t.ETASeconds))
	default:
		fmt.Fprintf(w, "backfill %s\t%d rows of about %d\n", t.Table, t.Rows, max(t.Estimate, t.Rows))
	}
}

func printEntities(w io.Writer, r lag.Report) {
	e := r.Entities
	left := "nothing waits"
	switch {
	case len(e.Counts) == 0:
		left = "none yet: the mapping was not evaluated"
	case e.Waiting() > 0:
		left = fmt.Sprintf("%d wait, %d calls in flight, %.1f applied/s", e.Waiting(), e.InFlight, e.AppliedPerSecond)
		if eta := e.ETASeconds(); eta > 0 {
			left += ", " + duration(eta) + " to go"
		}
	}
	fmt.Fprintf(w, "entities\t%s\n", left)
	if e.OldestPending != nil {
		fmt.Fprintf(w, "oldest live change\t%s s\n", seconds(new(max(0, r.Time.Sub(*e.OldestPending).Seconds()))))
	}
	for _, c := range e.Counts {
		if c.Status == consumers.Current {
			continue
		}
		fmt.Fprintf(w, "%ss %s\t%d %s\n", c.Kind, strings.ReplaceAll(string(c.Status), "_", " "), c.Count, laneAndReason(c))
	}
}

func laneAndReason(c ledger.Count) string {
	if c.Reason == "" {
		return string(c.Lane)
	}
	return fmt.Sprintf("%s, %s", c.Lane, c.Reason)
}

func whole(n *int64) string {
	if n == nil {
		return unknown
	}
	return fmt.Sprint(*n)
}

// seconds shows a tenth where it says something.
func seconds(s *float64) string {
	switch {
	case s == nil:
		return unknown
	case *s == 0:
		return "0"
	case *s < 10:
		return fmt.Sprintf("%.1f", *s)
	}
	return fmt.Sprintf("%.0f", *s)
}

// duration is a time to go, to the second or the minute.
func duration(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d > time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return max(d.Round(time.Second), time.Second).String()
}
