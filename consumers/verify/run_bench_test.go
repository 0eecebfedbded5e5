package verify

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// BenchmarkLargeOrganization verifies one organization of 200,000 members, every
// hundredth of them gone. What the process needs beyond the simulator in it is the
// growth of its memory meanwhile.
func BenchmarkLargeOrganization(b *testing.B) {
	const members = 200_000
	w := newWorld(b, sim.Options{})
	id := w.organization("a")
	ids := make([]string, members)
	for i := range ids {
		m, err := w.sim.Behind().CreateMember(id, map[string]any{"email_address": fmt.Sprintf("member%d@corp.example", i), "external_id": strconv.Itoa(i)})
		w.must(err)
		if ids[i] = m.MemberID; i%100 == 0 {
			w.must(w.sim.Behind().DeleteMember(m.MemberID))
		}
	}
	w.exec(`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, tried_revision, desired, stytch_id, status)
		SELECT 'member', 'a', (n - 1)::text, 0, 'backfill', 1, 1, jsonb_build_object('email_address', 'member' || n - 1 || '@corp.example'), id, 'current'
		FROM unnest($1::text[]) WITH ORDINALITY AS u (id, n)`, ids)
	for b.Loop() {
		before, began := resident(b), time.Now()
		r := w.run(w.verifier(func(c *Config, _ *Deps) { c.Timeout = time.Hour }))
		if r.Classes[Missing] != members/100 || r.Classes[Match] != members-members/100+1 {
			b.Fatalf("%s %v", r.Verdict, r.Classes)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s")
		b.ReportMetric(float64(resident(b)-before)/1024, "MB-more")
	}
}

// resident is the highest memory of this process so far, in kB.
func resident(b *testing.B) int {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "grep", "VmHWM", fmt.Sprintf("/proc/%d/status", os.Getpid())).Output()
	if err != nil {
		b.Skip("the memory of a process is read from /proc")
	}
	n, err := strconv.Atoi(strings.Fields(string(out))[1])
	if err != nil {
		b.Fatal(err)
	}
	return n
}
