package main

import (
	"fmt"
	"strings"
	"time"

	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// applyRate is calls per second, below the simulator's 1,000 per endpoint.
const applyRate = 900

// applying measures what reaches Stytch: writes per changed entity, how much of the
// configured rate is used while there is work, and how often we were throttled.
func applying(b *bench) {
	members := b.scaled(18_000)
	w := b.world(members, applyRate)
	r := b.start(w)
	r.caughtUp()
	from := b.calls(w.Simulator, 0, "create", members+members/usersPerTeam+1, 1)
	some := members / 4
	w.Exec(b, fmt.Sprintf("UPDATE users SET email = 'new.' || email WHERE id <= %d", some))
	r.caughtUp()
	from = b.calls(w.Simulator, from, "new e-mail, with password", some, 2)
	w.Exec(b, fmt.Sprintf("UPDATE users SET hash = '$2a$10$' || substr(translate(hash, 'abcdefghij', 'bcdefghija'), 8) WHERE id <= %d", some))
	r.caughtUp()
	b.calls(w.Simulator, from, "new password hash", some, 2)
	b.report("apply/throttled", float64(throttled(w.Simulator)), "answers 429", "wanted", 0)
}

// throttled counts the answers that say: not so fast.
func throttled(s *simulator.Simulator) (n int) {
	for _, byStatus := range s.Counts() {
		n += byStatus[429]
	}
	return n
}

// after selects the calls after a number of the journal.
func after(seq uint64) simulator.Filter { return simulator.Filter{After: seq} }

// span is from the first call's arrival to the last answer.
func span(entries []simulator.Entry) (begun, ended time.Time) {
	for i, e := range entries {
		if i == 0 || e.Time.Before(begun) {
			begun = e.Time
		}
		if e.End.After(ended) {
			ended = e.End
		}
	}
	return begun, ended
}

// calls reports on the calls that came after a number of the journal, and returns
// the number of the last one.
func (b *bench) calls(s *simulator.Simulator, from uint64, what string, entities int, wanted float64) uint64 {
	entries := s.Journal(after(from))
	if len(entries) == 0 {
		b.Fatalf("%s: no calls", what)
	}
	reads := 0
	begun, ended := span(entries)
	for _, e := range entries {
		if e.Method == "GET" || strings.HasSuffix(string(e.Endpoint), "search") {
			reads++
		}
	}
	b.report("apply/calls/"+what, float64(len(entries)-reads)/float64(entities), "writes/entity", "the plan's", wanted)
	if reads > 0 {
		b.report("apply/reads/"+what, float64(reads)/float64(entities), "reads/entity", "without a foreign hand", 0)
	}
	b.report("apply/rate/"+what, rate(len(entries), ended.Sub(begun)), "calls/s", "rate_limit", applyRate)
	return entries[len(entries)-1].Seq
}
