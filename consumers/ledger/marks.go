package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/jackc/pgx/v5"
)

// MarkRequest asks to put a call in flight.
type MarkRequest struct {
	Key       consumers.Key
	Partition int32
	Term      int64
	Revision  int64
	Step      string
	Maybe     map[string]any // the values that the call may set, by field
	Claims    []Claim        // the values that the entity will hold
}

// MarkResult is the answer to a MarkRequest. Without Marked and Lost and Holder
// there is another unresolved mark.
type MarkResult struct {
	Marked bool
	// Lost: the lease of its partition has another term; nothing was written.
	Lost bool
	// Incident: a person must answer first; nothing was written (hazard A13).
	Incident bool
	// Holder has the value of Claim; nothing was written.
	Holder *consumers.Key
	Claim  Claim
}

const markSQL = `
WITH incident AS MATERIALIZED (SELECT FROM backstitch.consents WHERE kind = 'incident' AND approved_at IS NULL AND done_at IS NULL LIMIT 1),
input AS (
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::text[], $8::text[]) WITH ORDINALITY
    AS i(kind, org_key, key, partition, term, revision, step, maybe, n)),
` + "%s" + `,
want AS (SELECT * FROM unnest($9::bigint[], $10::text[], $11::text[], $12::bytea[]) AS w(n, scope, field, value_digest)),
held AS (
  SELECT w.n, w.scope, w.field, w.value_digest, c.kind, c.org_key, c.key
  FROM want w JOIN input i USING (n) JOIN backstitch.claims c USING (scope, field, value_digest)
  WHERE (c.kind, c.org_key, c.key) <> (i.kind, i.org_key, i.key)),
marked AS (
  INSERT INTO backstitch.marks (kind, org_key, key, partition, term, revision, step, fields, maybe, deadline, settle_until)
  SELECT i.kind, i.org_key, i.key, i.partition, i.term, i.revision, i.step,
         ARRAY(SELECT jsonb_object_keys(i.maybe::jsonb)), i.maybe::jsonb,
         now() + $13 * interval '1 ms', now() + ($13 + $14) * interval '1 ms'
  FROM input i JOIN lease USING (partition, term)
  WHERE NOT EXISTS (SELECT FROM held h WHERE h.n = i.n) AND NOT EXISTS (SELECT FROM incident)
  ON CONFLICT DO NOTHING RETURNING kind, org_key, key),
claimed AS (
  INSERT INTO backstitch.claims (scope, field, value_digest, kind, org_key, key)
  SELECT w.scope, w.field, w.value_digest, i.kind, i.org_key, i.key
  FROM want w JOIN input i USING (n) JOIN marked USING (kind, org_key, key)
  WHERE NOT EXISTS (SELECT FROM backstitch.claims c WHERE (c.scope, c.field, c.value_digest) = (w.scope, w.field, w.value_digest))
  ORDER BY 1, 2, 3)
SELECT i.n, m.key IS NOT NULL, l.term IS NULL, coalesce(h.kind, ''), coalesce(h.org_key, ''), coalesce(h.key, ''),
       coalesce(h.scope, ''), coalesce(h.field, ''), h.value_digest, EXISTS (SELECT FROM incident)
FROM input i LEFT JOIN lease l USING (partition, term) LEFT JOIN marked m USING (kind, org_key, key)
LEFT JOIN LATERAL (SELECT * FROM held h WHERE h.n = i.n LIMIT 1) h ON true`

// Mark commits that calls are about to be made, with the values that they claim,
// in one statement (hazards A2, A4). Window is how long from now the connection
// may write; settle is how long after that nobody looks. An entity has one mark:
// whoever comes second gets none (invariant 4).
func (a *Applier) Mark(ctx context.Context, reqs []MarkRequest, window, settle time.Duration) ([]MarkResult, error) {
	results := make([]MarkResult, len(reqs))
	sent, index := distinctClaims(reqs, results)
	if len(sent) == 0 {
		return results, nil
	}
	args, err := markArgs(sent, window, settle)
	if err != nil {
		return nil, err
	}
	err = a.write(ctx, "mark calls in flight", func() (*pgx.Batch, func(pgx.BatchResults) error) {
		batch := &pgx.Batch{}
		batch.Queue(fmt.Sprintf(markSQL, leaseLock("$4::int[]")), args...)
		return batch, func(br pgx.BatchResults) error {
			rows, err := br.Query()
			if err != nil {
				return err
			}
			return scanMarks(rows, index, results)
		}
	})
	return results, err
}

// distinctClaims leaves out requests that want a value which an earlier one of the
// same batch takes, or that are for its entity.
func distinctClaims(reqs []MarkRequest, results []MarkResult) (sent []MarkRequest, index []int) {
	taken, marked := map[string]int{}, map[consumers.Key]bool{}
next:
	for i, r := range reqs {
		if marked[r.Key] {
			continue
		}
		for _, c := range r.Claims {
			if first, ok := taken[c.id()]; ok {
				holder := reqs[first].Key
				results[i] = MarkResult{Holder: &holder, Claim: c}
				continue next
			}
		}
		for _, c := range r.Claims {
			taken[c.id()] = i
		}
		marked[r.Key] = true
		sent, index = append(sent, r), append(index, i)
	}
	return sent, index
}

func markArgs(reqs []MarkRequest, window, settle time.Duration) ([]any, error) {
	var (
		keys              []consumers.Key
		partitions        []int32
		terms, revisions  []int64
		steps, maybes     []string
		wantN             []int64
		wantScope, wantFd []string
		wantDigest        [][]byte
	)
	for i, r := range reqs {
		maybe, err := json.Marshal(r.Maybe)
		if err != nil {
			return nil, fmt.Errorf("mark a call in flight: a field holds something that JSON cannot")
		}
		if r.Maybe == nil {
			maybe = []byte("{}")
		}
		keys, partitions, terms = append(keys, r.Key), append(partitions, r.Partition), append(terms, r.Term)
		revisions, steps, maybes = append(revisions, r.Revision), append(steps, r.Step), append(maybes, string(maybe))
		for _, c := range r.Claims {
			wantN, wantScope = append(wantN, int64(i+1)), append(wantScope, c.Scope)
			wantFd, wantDigest = append(wantFd, c.Field), append(wantDigest, c.Digest)
		}
	}
	kinds, orgs, ids := keyColumns(keys)
	return []any{
		kinds, orgs, ids, partitions, terms, revisions, steps, maybes,
		wantN, wantScope, wantFd, wantDigest, window.Milliseconds(), settle.Milliseconds(),
	}, nil
}

func scanMarks(rows pgx.Rows, index []int, results []MarkResult) error {
	defer rows.Close()
	for rows.Next() {
		var (
			n      int64
			r      MarkResult
			holder consumers.Key
		)
		err := rows.Scan(&n, &r.Marked, &r.Lost, &holder.Kind, &holder.Organization, &holder.Entity,
			&r.Claim.Scope, &r.Claim.Field, &r.Claim.Digest, &r.Incident)
		if err != nil {
			return err
		}
		if holder.Kind != "" {
			r.Holder = &holder
		}
		results[index[n-1]] = r
	}
	return rows.Err()
}
