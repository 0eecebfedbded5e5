package admin

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
)

// acme is the cluster under the names of the page's pipeline.
type acme struct{ *shape }

func (acme) Names() []string { return []string{"acme-source", "acme-transform", "acme-apply"} }

// held is the trace of the connector that waits for a person.
const held = "held: public.team_members was truncated at 16/B374D848, and 1,204 members would be deleted. Answer consent 1: `backstitch approve 1`, or insert the rows again"

// running is a pipeline of three instances in the middle of its backfill, with one
// connector held.
func running() Status {
	now := time.Now().UTC()
	since := now.Add(-47 * time.Minute)
	task := func(connector string, id int, worker string) ledger.Task {
		return ledger.Task{Connector: connector, ID: id, Instance: worker, State: "RUNNING", Since: since, SeenAt: now}
	}
	s := Status{
		Name: "acme", Time: now,
		Connectors: []Connector{
			{Name: "acme-source", State: "RUNNING", Worker: "etl-1:8710", Since: &since, Tasks: []ledger.Task{task("acme-source", 0, "etl-1:8710")}},
			{
				Name: "acme-transform", State: "FAILED", Held: true, Worker: "etl-2:8710", Since: &since, Trace: held, Tasks: []ledger.Task{{Connector: "acme-transform", ID: 0, Instance: "etl-2:8710", State: "FAILED", Held: true, Trace: held, Since: since}},
			},
			{Name: "acme-apply", State: "RUNNING", Worker: "etl-1:8710", Since: &since},
		},
		Instances: []ledger.Instance{
			{ID: "etl-1:8710", Version: "v1.4.0", State: "RUNNING", StartedAt: since, SeenAt: now, Alive: true},
			{ID: "etl-2:8710", Version: "v1.4.0", State: "RUNNING", StartedAt: since, SeenAt: now, Alive: true},
			{ID: "etl-3:8710", Version: "v1.4.1", State: "STANDBY_DIGEST", StartedAt: since, SeenAt: now, Alive: true},
		},
		Source: &Source{Epoch: 1, CommitLSN: "16/B374D848", EndLSN: "16/B374D878", CommitTime: now.Add(-1400 * time.Millisecond), SlotActive: true, ConfirmedLSN: "16/B374C0A8", RestartLSN: "16/B06D0000", RetainedBytes: 50_700_000, SlotLagBytes: 6_096, SlotLagSeconds: new(1.4), WALStatus: "reserved"},
		Backfill: []Table{
			{Table: "public.teams", Rows: 20_412, Estimate: 20_000, Done: true}, {Table: "public.users", Rows: 812_450, Estimate: 1_200_000, RowsPerSecond: new(5_100.0), ETASeconds: new(76.0)}, {Table: "public.team_members", Rows: 0, Estimate: 2_450_000},
		},
		Transform: Transform{Phase: "following", EvaluatedLSN: "16/B374C0A8", Audits: []Audit{}},
		Lag: []Lag{
			{Group: "acme-transform", Topic: "acme.public.users", Records: 318, Bytes: new(int64(51_000)), Seconds: new(0.6)},
			{Group: "acme-transform", Topic: "acme.checkpoints", Records: 2, Seconds: new(0.2)},
			{Group: "acme-apply", Topic: "acme.apply.live", Lane: "live", Records: 12, Bytes: new(int64(960)), Seconds: new(0.3)},
			{Group: "acme-apply", Topic: "acme.apply.backfill", Lane: "backfill", Records: 1_284_117, Bytes: new(int64(64_000_000)), Seconds: new(2_700.0)},
		},
		Apply: Apply{CallsPerSecond: 58.4, Calls: 190_000, ETASeconds: 21_900},
	}
	for p := range 12 {
		s.Connectors[2].Tasks = append(s.Connectors[2].Tasks, task("acme-apply", p, fmt.Sprintf("etl-%d:8710", 1+p/6)))
	}
	return s
}

// seededLedger is a ledger with entities in every state that the page shows, thousands
// of them parked, and one history.
func seededLedger(t *testing.T) *pgxpool.Pool {
	t.Helper()
	dsn := testenv.Postgres(t)
	if err := ledger.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(t.Context(), dsn, "page")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `
		INSERT INTO backstitch.consents (kind, subject, question) VALUES ('truncate', 'public.team_members', 'public.team_members was truncated: may the members that it held be deleted?');
		INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, reason, detail, desired, commit_lsn, committed_at, attempts, stytch_id, consent_id)
		SELECT 'member', 'team-' || n / 25, 'user-' || n, n % 12, 'backfill', n, s.status, s.reason, s.detail, '{"email_address": "hidden@corp.example"}', 97601902664 + n, now() - interval '40 minutes', 1, 'member-test-' || n,
			CASE WHEN s.status = 'awaiting_consent' THEN (SELECT min(id) FROM backstitch.consents) END
		FROM generate_series(1, 6000) n, LATERAL (SELECT * FROM (VALUES
			(0, 'current', NULL, NULL), (1, 'current', NULL, NULL), (2, 'pending', NULL, NULL), (3, 'parked', 'invalid_role', 'rbac_role_not_found'), (4, 'deferred', 'backoff', NULL), (5, 'awaiting_consent', 'delete_unearned', NULL)
		) v (m, status, reason, detail) WHERE v.m = n % 6) s;
		INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, reason, detail, desired, commit_lsn, committed_at) VALUES
			('organization', 'team-900', 'team-900', 1, 'live', 5, 'parked', 'invalid_slug', 'organization_slug_invalid', '{}', 500, now()),
			('organization', 'team-901', 'team-901', 1, 'live', 5, 'parked', 'evaluation_error', '22P02', '{}', 501, now()),
			('member', 'team-900', 'user-9001', 1, 'live', 6, 'blocked', 'organization_blocked', NULL, '{}', 502, now());
		INSERT INTO backstitch.history (kind, org_key, key, slot, revision, at, events) VALUES ('member', 'team-0', 'user-3', 0, 3, now(), '[
			{"at": "2026-11-24T19:00:00Z", "event": "came", "lane": "live", "cause": "change", "table": "public.team_members", "commit_lsn": "16/B374D848", "fields": ["email_address", "roles"]},
			{"at": "2026-11-24T19:00:00.1Z", "event": "planned", "steps": ["update_member"]},
			{"at": "2026-11-24T19:00:00.4Z", "event": "call", "step": "update_member", "outcome": "refused", "http_status": 400, "error_type": "rbac_role_not_found", "request_id": "request-id-test-1", "duration_ms": 212},
			{"at": "2026-11-24T19:00:00.5Z", "event": "outcome", "status": "parked", "reason": "invalid_role"}]')`)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// anHour is what an hour of such a pipeline leaves in the samples.
func anHour(s *Series) {
	now := time.Now().Unix() / 10 * 10
	for i := range int64(361) {
		x := float64(i)
		wave := 1 + 0.25*math.Sin(x/17) + 0.08*math.Sin(x*1.7)
		v := map[string]float64{
			seriesSourceRate: 4200 * wave, seriesTransformRate: 3900 * wave, seriesApplyRate: 58 + 3*math.Sin(x/5),
			seriesSlotBytes: 9e6 * wave, seriesSlotRetained: 52e6 * wave, seriesSlotSeconds: 1.8 * wave, seriesSourceSeconds: 0.5 * wave * wave, seriesSourceRecords: 300 * wave, seriesLive: 14 * wave, seriesBackfill: 1.5e6 - 600*x,
			seriesFreshnessP50: 0.18 * wave, seriesFreshnessP99: 0.9 * wave * wave, seriesWaiting: 1.6e6 - 650*x, seriesParked: 3 * x, seriesInFlight: 12,
		}
		if i > 200 && i < 215 { // the ledger did not answer
			v = map[string]float64{seriesSourceRate: 4000 * wave}
		}
		s.add(now-3600+i*10, v)
	}
}
