package integration_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/harness"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// positions are what moves forward only, by name: the slot's confirmed position, and in
// the ledger the terms, offsets, evaluated position and every entity's revisions
// (invariant 10).
var positions = map[string]string{
	"source": `SELECT 'slot', (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = @slot AND confirmed_flush_lsn IS NOT NULL`,
	"ledger": `SELECT 'transform term', term FROM backstitch.transform
		UNION ALL SELECT 'filled', filled_commit_lsn FROM backstitch.transform
		UNION ALL SELECT 'evaluated', evaluated_commit_lsn FROM backstitch.transform
		UNION ALL SELECT 'offset ' || topic || '/' || partition, next_offset FROM backstitch.offsets
		UNION ALL SELECT 'lease term ' || partition, term FROM backstitch.leases
		UNION ALL SELECT 'revision ' || kind || ' ' || org_key || ' ' || key, revision FROM backstitch.entities
		UNION ALL SELECT 'applied ' || kind || ' ' || org_key || ' ' || key, applied_revision FROM backstitch.entities`,
}

// watchPositions looks at the positions again and again, and fails the test when one
// goes back. It looks until the function that it returns is called.
func watchPositions(t *testing.T, w *harness.Demo) (stop func()) {
	t.Helper()
	end, ended := make(chan struct{}), make(chan struct{})
	highest := map[string]int64{}
	looks := 0
	look := func() {
		for server, sql := range positions {
			pool := w.Pool
			if server == "ledger" {
				pool = w.LedgerPool
			}
			rows, err := pool.Query(context.Background(), sql, pgx.NamedArgs{"slot": "backstitch_" + w.Prefix})
			if err != nil {
				continue // no ledger yet
			}
			var name string
			var at int64
			_, err = pgx.ForEachRow(rows, []any{&name, &at}, func() error {
				if at < highest[name] {
					t.Errorf("%s went back from %d to %d", name, highest[name], at)
				}
				highest[name] = at
				return nil
			})
			if err == nil {
				looks++
			}
		}
	}
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				look()
				return
			case <-tick.C:
				look()
			}
		}
	}()
	quiet := sync.OnceFunc(func() { close(end); <-ended })
	t.Cleanup(quiet)
	return func() {
		quiet()
		t.Logf("%d positions, %d looks", len(highest), looks)
		if highest["slot"] == 0 || highest["evaluated"] == 0 || highest["transform term"] < 2 {
			t.Errorf("the slot is at %d, evaluated is %d under term %d: nothing was watched",
				highest["slot"], highest["evaluated"], highest["transform term"])
		}
	}
}

// neverBack fails the test when a write that carries an older state of a row took
// effect after one that carries a newer one (invariant 3).
func neverBack(t *testing.T, journal []simulator.Entry) {
	t.Helper()
	slices.SortStableFunc(journal, func(a, b simulator.Entry) int { return a.Time.Compare(b.Time) })
	newest := map[string]int64{}
	writes := 0
	for _, e := range journal {
		var body struct {
			Metadata struct{ Rev int64 } `json:"trusted_metadata"`
		}
		if e.Status != 200 || json.Unmarshal(e.Body, &body) != nil || body.Metadata.Rev == 0 {
			continue
		}
		id := e.OrganizationID + " " + e.MemberID
		if body.Metadata.Rev < newest[id] {
			t.Errorf("%s carried revision %d after %d", e.Endpoint, body.Metadata.Rev, newest[id])
		}
		newest[id] = max(newest[id], body.Metadata.Rev)
		writes++
	}
	t.Logf("%d writes to %d entities carried a row's number", writes, len(newest))
	if writes < len(newest)+probes {
		t.Errorf("%d writes to %d entities: nothing was compared", writes, len(newest))
	}
}
