package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/schemas"
)

// display shows a status: redrawn in place on a terminal, a line now and then
// otherwise.
type display struct {
	w        io.Writer
	terminal bool
	lines    int // drawn by the last frame
	last     time.Time
}

func newDisplay(w io.Writer) *display {
	f, ok := w.(*os.File)
	return &display{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// every is how often a plain log gets a line.
const every = 5 * time.Second

func (d *display) show(s admin.Status, changes int64) {
	if d.terminal {
		frame := d.frame(s, changes)
		fmt.Fprint(d.w, strings.Repeat("\x1b[A\x1b[2K", d.lines), frame)
		d.lines = strings.Count(frame, "\n")
		return
	}
	if time.Since(d.last) >= every {
		d.last = time.Now()
		fmt.Fprintln(d.w, line(s, changes))
	}
}

// done leaves the last frame where it is.
func (d *display) done() { d.lines = 0 }

func (d *display) frame(s admin.Status, changes int64) string {
	var b strings.Builder
	for _, t := range s.Backfill {
		whole := max(t.Estimate, t.Rows, 1)
		part := float64(t.Rows) / float64(whole)
		if t.Done {
			part = 1
		}
		const width = 30
		full := int(part * width)
		fmt.Fprintf(&b, "  read     %-20s %s%s %9d rows\n", t.Table, strings.Repeat("█", full), strings.Repeat("░", width-full), t.Rows)
	}
	c := count(s)
	whole := max(c.current+c.waiting, 1)
	full := int(30 * c.current / whole)
	fmt.Fprintf(&b, "  applied  %-20s %s%s %9d of %d\n", "to Stytch", strings.Repeat("█", full), strings.Repeat("░", 30-full), c.current, whole)
	fmt.Fprintf(&b, "  rate     %.0f calls/s, %d calls, %s to go\n", s.Apply.CallsPerSecond, s.Apply.Calls, eta(s))
	fmt.Fprintf(&b, "  live     %d changes made by people, lag %d wake-ups, oldest unapplied %s\n", changes, liveLag(s), age(s))
	fmt.Fprintf(&b, "  aside    %d parked, %d blocked, %d awaiting consent\n", c.parked, c.blocked, c.awaiting)
	return b.String()
}

func line(s admin.Status, changes int64) string {
	var rows int64
	for _, t := range s.Backfill {
		rows += t.Rows
	}
	c := count(s)
	return fmt.Sprintf("  read %d rows | applied %d, waiting %d | %.0f calls/s, %s to go | %d live changes, lag %d, oldest unapplied %s | parked %d, blocked %d",
		rows, c.current, c.waiting, s.Apply.CallsPerSecond, eta(s), changes, liveLag(s), age(s), c.parked, c.blocked)
}

type totals struct{ current, waiting, parked, blocked, awaiting int64 }

func count(s admin.Status) (t totals) {
	for _, c := range s.Entities.Counts {
		switch c.Status {
		case consumers.Current, consumers.Released, consumers.Dropped:
			t.current += c.Count
		case consumers.Pending, consumers.Deferred:
			t.waiting += c.Count
		case consumers.Parked:
			t.parked += c.Count
		case consumers.Blocked:
			t.blocked += c.Count
		case consumers.AwaitingConsent:
			t.awaiting += c.Count
		}
	}
	return t
}

func eta(s admin.Status) string {
	if s.Apply.ETASeconds <= 0 {
		return "nothing"
	}
	return (time.Duration(s.Apply.ETASeconds) * time.Second).String()
}

// liveLag is how many wake-ups of the live lane nobody has finished.
func liveLag(s admin.Status) (n int64) {
	for _, l := range s.Lag {
		if strings.HasSuffix(l.Topic, ".apply."+string(schemas.LaneLive)) {
			n += l.Records
		}
	}
	return n
}

// age is how long the oldest live change has waited for Stytch.
func age(s admin.Status) string {
	if s.Entities.OldestPending == nil {
		return "none"
	}
	return time.Since(*s.Entities.OldestPending).Round(100 * time.Millisecond).String()
}

// drained reports whether a group has read everything.
func drained(s admin.Status, group string) bool {
	for _, l := range s.Lag {
		if l.Group == group && l.Records > 0 {
			return false
		}
	}
	return true
}
