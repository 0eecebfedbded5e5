package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/producers/checksum"
)

// audited is the report of `backstitch audit`, which must end with a code.
func audited(t *testing.T, w *harness.World, code int, args ...string) *pipeline.AuditReport {
	t.Helper()
	p := w.Start(t, append([]string{"audit", "-o", "json", "-c", w.Config}, args...)...)
	got := p.Wait(t, 3*time.Minute)
	out, errOut := p.Streams()
	if got != code {
		t.Fatalf("audit %v exits with %d, want %d:\n%s%s", args, got, code, out, errOut)
	}
	r := &pipeline.AuditReport{}
	if err := json.Unmarshal([]byte(out), r); err != nil {
		t.Fatalf("%v:\n%s%s", err, out, errOut)
	}
	if strings.Contains(out, "corp.example") || strings.Contains(out, "$2a$") || strings.Contains(out, "Person ") { // invariant 8
		t.Errorf("the report holds values:\n%s", out)
	}
	return r
}

// auditedTable is a report's part on a table.
func auditedTable(t *testing.T, r *pipeline.AuditReport, name string) *checksum.TableReport {
	t.Helper()
	for _, found := range r.Mirror.Tables {
		if found.Table == name {
			return found
		}
	}
	t.Fatalf("the report has nothing on %s: %+v", name, r.Mirror)
	return nil
}

func ledgerExec(t *testing.T, w *harness.World, sql string) {
	t.Helper()
	if _, err := w.LedgerPool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Without a pipeline: equal is clean; what somebody changed in the mirror or in the
// ledger is found; what changed in the source since is not taken for a difference, and
// the next pipeline repairs.
func TestAuditWithoutAPipeline(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(8)
	w := harness.New(t, o)
	if out, code := w.Command(t, "audit"); code != 1 || !strings.Contains(out, "no pipeline has used it") {
		t.Errorf("audit before the first run exits with %d:\n%s", code, out)
	}
	untilCaughtUp(t, w, 0)
	r := audited(t, w, 0)
	if r.Verdict != checksum.Clean || r.Mapping.EvaluatedBy != "this command" || r.Mapping.Entities == 0 || auditedTable(t, r, "public.users").Rows != 40 || r.Mirror.FirstLSN == "" {
		t.Errorf("%+v, %+v, %+v", r, r.Mapping, r.Mirror.Report)
	}

	ledgerExec(t, w, "UPDATE public.users SET name = 'Somebody' WHERE id = 3")
	ledgerExec(t, w, "DELETE FROM public.team_members WHERE id = 1")
	ledgerExec(t, w, "INSERT INTO public.teams (id, name, slug) VALUES (99, 'Nobody', 'nobody')")
	r = audited(t, w, 3)
	users, members, teams := auditedTable(t, r, "public.users"), auditedTable(t, r, "public.team_members"), auditedTable(t, r, "public.teams")
	if r.Mapping.Different == 0 || users.Differ() != 1 || fmt.Sprint(users.Different.Samples) != "[{[3] [name]}]" ||
		members.Differ() != 1 || fmt.Sprint(members.Missing.Samples) != "[{[1] []}]" || teams.Differ() != 1 || fmt.Sprint(teams.Extra.Samples) != "[{[99] []}]" {
		t.Errorf("%+v, %+v, %+v, %+v", r.Mapping, users, members, teams)
	}
	if mirror := w.Status(t).Transform.Mirror; mirror == nil || mirror.Verdict != checksum.Drift || mirror.Different != 1 || mirror.Missing != 1 || mirror.Extra != 1 {
		t.Errorf("the status says %+v", mirror)
	}
	if out := w.Output(t, "status"); !strings.Contains(out, "3 that differ: `backstitch audit` says more of public.team_members, public.teams, public.users") {
		t.Errorf("the status says:\n%s", out)
	}

	ledgerExec(t, w, "DELETE FROM public.teams WHERE id = 99")
	ledgerExec(t, w, "UPDATE public.users SET name = (SELECT 'Person ' || id) WHERE id = 3")
	w.Exec(t, "UPDATE users SET name = 'Changed' WHERE id = 5")
	r = audited(t, w, 3, "--only", "mirror")
	if users, members := auditedTable(t, r, "public.users"), auditedTable(t, r, "public.team_members"); users.Verdict != checksum.Unknown || users.Unsettled != 1 || members.Missing.Count != 1 || r.Mapping != nil {
		t.Errorf("while the mirror lacks a change of users: %+v, %+v", users, members)
	}

	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	w.Output(t, "backfill", "--table", "team_members")
	harness.Eventually(t, 2*time.Minute, "the audit is clean again", func() bool {
		_, code := w.Command(t, "audit")
		return code == 0
	})
	w.CaughtUp(t, 2*time.Minute)
	w.Clean(t)
	if code := p.Stop(t); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// Beside a pipeline with a live application nothing is said to differ, faults are found
// all the same, and the pipeline repairs what of the ledger differs.
func TestAuditBesideAPipeline(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(40)
	w := harness.New(t, o)
	w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan int, 1)
	go func() {
		n := 0
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ; ctx.Err() == nil; n++ {
			<-tick.C
			id := n%40 + 1
			_, _ = w.Pool.Exec(ctx, "UPDATE users SET name = $2 WHERE id = $1", id, fmt.Sprint("Person ", n))
			_, _ = w.Pool.Exec(ctx, "UPDATE users SET name = $2 WHERE id = $1", 41+n%100, fmt.Sprint("Person ", n))
			_, _ = w.Pool.Exec(ctx, "DELETE FROM team_members WHERE user_id = $1", 150+n%4)
			_, _ = w.Pool.Exec(ctx, "INSERT INTO team_members (team_id, user_id) VALUES ($1, $2)", 1+n%10, 150+n%4)
		}
		written <- n
	}()
	for range 2 {
		r := audited(t, w, 0)
		if r.Mapping.EvaluatedBy != "the running pipeline" || r.Mapping.Verdict != checksum.Clean || r.Mirror.Verdict != checksum.Clean {
			t.Errorf("%+v, %+v", r.Mapping, r.Mirror.Report)
		}
	}
	ledgerExec(t, w, "UPDATE backstitch.entities SET desired = desired || '{\"name\": \"fault\"}' WHERE (kind, key) = ('member', '180')")
	r := audited(t, w, 3)
	if r.Mapping.Different == 0 || !r.Mapping.Repaired || r.Mirror.Verdict != checksum.Clean {
		t.Errorf("%+v, %+v", r.Mapping, r.Mirror.Report)
	}
	ledgerExec(t, w, "UPDATE public.users SET email = 'fault@corp.example' WHERE id = 190")
	r = audited(t, w, 3)
	users := auditedTable(t, r, "public.users")
	if users.Differ() != 1 || fmt.Sprint(users.Different.Samples) != "[{[190] [email]}]" || r.Mapping.Verdict != checksum.Unknown || r.Mapping.Entities != 0 {
		t.Errorf("%+v, and over a wrong mirror %+v", users, r.Mapping)
	}
	stop()
	if n := <-written; n < 20 {
		t.Errorf("only %d turns were written meanwhile", n)
	}
	ledgerExec(t, w, "UPDATE public.users SET email = 'user190@corp.example' WHERE id = 190")
	harness.Eventually(t, 2*time.Minute, "what differed is repaired", func() bool {
		_, code := w.Command(t, "audit")
		return code == 0
	})
	w.CaughtUp(t, 2*time.Minute)
	w.Clean(t)
}

// Killed wherever it is, the command leaves no slot and no lock on the source, and the
// next one works.
func TestAuditKilled(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Legacy = testenv.OwnDatabase(t)
	o.Schema += harness.ExampleRows(200)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	sessions := func() (n int) {
		err := w.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE $1)
			+ (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND (application_name LIKE 'backstitch%' OR application_name LIKE '%-audit'))`,
			"backstitch_"+w.Prefix+"\\_%").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, during := range []string{"while its slot waits for a writer", "while it reads"} {
		t.Run(during, func(t *testing.T) {
			tx, err := w.Pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.WithoutCancel(t.Context()))
			started := "the mirror is compared"
			if strings.Contains(during, "slot") {
				if _, err := tx.Exec(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
					t.Fatal(err)
				}
			} else {
				started = "rows in"
			}
			p := w.Start(t, "audit", "--only", "mirror", "--share", "0.0001", "-c", w.Config)
			harness.Eventually(t, time.Minute, started, func() bool { return strings.Contains(p.Log(), started) && sessions() > 0 })
			p.Kill()
			harness.Eventually(t, time.Minute, "nothing is left on the source", func() bool { return sessions() == 0 })
		})
	}
	audited(t, w, 0)
}

// A pipeline that runs compares its mirror by itself.
func TestAuditEvery(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(4)
	o.More += "\naudit: 1m"
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	const said = "the mirror was compared with the source"
	harness.Eventually(t, 4*time.Minute, said, func() bool { return strings.Contains(p.Log(), said) })
	if m := w.Status(t).Transform.Mirror; m == nil || m.Verdict != checksum.Clean || m.Rows == 0 || len(m.Tables) != 0 {
		t.Errorf("the status says %+v", m)
	}
	if page := p.Get(t, "/metrics"); !strings.Contains(page, `backstitch_mirror_audit_rows{class="compared"} `) || strings.Contains(page, `backstitch_mirror_audit_rows{class="compared"} 0`) {
		t.Error("the metrics do not show the comparison")
	}
}
