package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/jackc/pgx/v5"
)

// Record is the durable outcome of a call, or of a whole turn: what is applied now
// and what becomes of the entity.
type Record struct {
	Key       consumers.Key
	Partition int32
	Term      int64
	Revision  int64 // that the turn started from

	Applied        Applied
	OrganizationID string
	StytchID       string
	PasswordID     string
	HashDigest     []byte
	Adopted        bool
	Losses         []consumers.Loss

	Status     consumers.Status
	Reason     consumers.Reason
	Detail     string         // error type or digest, never a value (invariant 8)
	Due        *time.Duration // from now; nil: nothing is due
	Attempts   int
	ConsentID  int64 // 0: none
	ReadWanted bool

	// Unmark: the outcome of the call in flight is known.
	Unmark bool
	// Reclaim: the entity holds Keep from now on and nothing else.
	Reclaim bool
	Keep    []Claim
	// Waits are values of other entities that it waits for.
	Waits []Claim
	// WakeMembers: members that wait for this organization, or were made in another
	// incarnation of it, are due (hazards A6, A10).
	WakeMembers bool
	// EndMembers: this organization was deleted, and its members with it (hazard A11).
	EndMembers bool
	// RetryMembers: what Stytch refused of this organization's members is tried again,
	// because its settings have changed.
	RetryMembers bool
	// Events go into the entity's history, in the same statement.
	Events []HistoryEvent
}

// historyRing is how many rows of history an entity keeps.
const historyRing = "20"

// An evaluation that failed meanwhile, and a newer revision, win over the outcome.
const recordSQL = `
WITH input AS (
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[],
      $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[], $12::bool[], $13::text[],
      $14::text[], $15::text[], $16::text[], $17::bigint[], $18::int[], $19::bigint[], $20::bool[], $21::bool[], $22::text[]) WITH ORDINALITY
    AS i(kind, org_key, key, partition, term, revision, applied, organization_id, stytch_id, password_id, hash_digest, adopted, losses,
         status, reason, detail, due_ms, attempts, consent_id, read_wanted, unmark, events, n)),
%s,
unmarked AS (
  DELETE FROM backstitch.marks m USING input i JOIN lease USING (partition, term)
  WHERE (m.kind, m.org_key, m.key) = (i.kind, i.org_key, i.key) AND i.unmark),
recorded AS (UPDATE backstitch.entities e SET
  applied = i.applied::jsonb, org_stytch_id = nullif(i.organization_id, ''), stytch_id = nullif(i.stytch_id, ''),
  password_id = nullif(i.password_id, ''), hash_digest = i.hash_digest, adopted = i.adopted,
  losses = CASE WHEN i.losses = '' THEN '{}' ELSE string_to_array(i.losses, ',') END,
  status = CASE WHEN ` + parkedByEvaluation + ` THEN e.status
                WHEN e.revision > i.revision THEN 'pending' ELSE i.status END,
  reason = CASE WHEN ` + parkedByEvaluation + ` THEN e.reason
                WHEN e.revision > i.revision THEN NULL ELSE nullif(i.reason, '') END,
  detail = nullif(i.detail, ''),
  due_at = CASE WHEN e.revision > i.revision THEN now()
                WHEN i.status = 'awaiting_consent' AND EXISTS (SELECT FROM backstitch.consents c WHERE c.id = i.consent_id AND c.approved_at IS NOT NULL) THEN now()
                ELSE now() + i.due_ms * interval '1 ms' END,
  turns = e.turns + (i.events <> '')::int, attempts = i.attempts, consent_id = nullif(i.consent_id, 0), read_wanted = i.read_wanted,
  tried_revision = greatest(e.tried_revision, i.revision),
  applied_revision = CASE WHEN i.status = 'current' THEN greatest(e.applied_revision, i.revision) ELSE e.applied_revision END,
  applied_at = CASE WHEN i.status = 'current' THEN now() ELSE e.applied_at END
FROM input i JOIN lease USING (partition, term)
WHERE (e.kind, e.org_key, e.key) = (i.kind, i.org_key, i.key)
RETURNING i.n, i.kind, i.org_key, i.key, i.revision, i.events, e.turns),
told AS (
  INSERT INTO backstitch.history (kind, org_key, key, slot, revision, events)
  SELECT kind, org_key, key, mod(turns, ` + historyRing + `), revision, events::jsonb FROM recorded WHERE events <> ''
  ON CONFLICT (kind, org_key, key, slot) DO UPDATE SET at = now(), revision = excluded.revision, events = excluded.events)
SELECT n FROM recorded`

var recordQuery = fmt.Sprintf(recordSQL, leaseLock("$4::int[]"))

// Record commits outcomes in one transaction: applied states, resolved marks, and
// what wakes others. False for those whose lease is lost: nothing of them was
// written, and their marks stand.
func (a *Applier) Record(ctx context.Context, records []Record) ([]bool, error) {
	args, err := recordArgs(records)
	if err != nil {
		return nil, err
	}
	var ok []bool
	err = a.write(ctx, "record outcomes", func() (*pgx.Batch, func(pgx.BatchResults) error) {
		batch := &pgx.Batch{}
		batch.Queue(recordQuery, args...)
		effects(batch, records)
		return batch, func(br pgx.BatchResults) error {
			rows, err := br.Query()
			if err != nil {
				return err
			}
			ok = make([]bool, len(records))
			for rows.Next() {
				var n int64
				if err := rows.Scan(&n); err != nil {
					rows.Close()
					return err
				}
				ok[n-1] = true
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return err
			}
			for range batch.Len() - 1 {
				if _, err := br.Exec(); err != nil {
					return err
				}
			}
			return nil
		}
	})
	return ok, err
}

func recordArgs(records []Record) ([]any, error) {
	n := len(records)
	var (
		keys                                                          = make([]consumers.Key, n)
		partitions, attempts                                          = make([]int32, n), make([]int32, n)
		terms, revisions, consents                                    = make([]int64, n), make([]int64, n), make([]int64, n)
		applied, orgs, ids, passwords, losses, status, reason, detail = make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		digests                                                       = make([][]byte, n)
		adopted, reads, unmark                                        = make([]bool, n), make([]bool, n), make([]bool, n)
		due                                                           = make([]*int64, n)
		events                                                        = make([]string, n)
	)
	for i, r := range records {
		if r.Applied == nil {
			r.Applied = Applied{}
		}
		raw, err := json.Marshal(r.Applied)
		if err != nil {
			return nil, errors.New("record an outcome: a field holds something that JSON cannot") // invariant 8: err may quote it
		}
		if len(r.Events) > 0 {
			told, err := json.Marshal(r.Events)
			if err != nil {
				return nil, errors.New("record an outcome: an event holds something that JSON cannot")
			}
			events[i] = string(told)
		}
		keys[i], partitions[i], terms[i], revisions[i] = r.Key, r.Partition, r.Term, r.Revision
		applied[i], orgs[i], ids[i], passwords[i], digests[i] = string(raw), r.OrganizationID, r.StytchID, r.PasswordID, r.HashDigest
		adopted[i], status[i], reason[i], detail[i] = r.Adopted, string(r.Status), string(r.Reason), r.Detail
		attempts[i], consents[i], reads[i], unmark[i] = int32(min(r.Attempts, 1<<20)), r.ConsentID, r.ReadWanted, r.Unmark
		for j, l := range r.Losses {
			if j > 0 {
				losses[i] += ","
			}
			losses[i] += string(l)
		}
		if r.Due != nil {
			ms := max(0, r.Due.Milliseconds())
			due[i] = &ms
		}
	}
	kinds, orgKeys, entityKeys := keyColumns(keys)
	return []any{
		kinds, orgKeys, entityKeys, partitions, terms, revisions, applied, orgs, ids, passwords, digests, adopted, losses,
		status, reason, detail, due, attempts, consents, reads, unmark, events,
	}, nil
}
