package ledger

import (
	"github.com/backstitch/backstitch/consumers"
	"github.com/jackc/pgx/v5"
)

// heldSQL restricts an effect to entities whose lease is still ours: the lease rows
// are locked since the batch's first statement.
const heldSQL = ` EXISTS (SELECT FROM backstitch.leases l WHERE (l.partition, l.term) = (o.partition, o.term))`

const (
	wakeMembersSQL = `UPDATE backstitch.entities e SET due_at = now(), status = CASE e.status WHEN 'current' THEN 'pending' ELSE e.status END
		FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS o(org_key, stytch_id, partition, term)
		WHERE e.kind = 'member' AND e.org_key = o.org_key
		  AND (e.status IN ('deferred', 'blocked') OR e.status = 'current' AND e.desired IS NOT NULL AND e.stytch_id IS NULL
		    OR e.status <> 'dropped' AND e.stytch_id IS NOT NULL AND e.org_stytch_id IS DISTINCT FROM o.stytch_id) AND` + heldSQL

	endMembersSQL = `UPDATE backstitch.entities e SET
		  applied = '{}', org_stytch_id = NULL, stytch_id = NULL, password_id = NULL, hash_digest = NULL, losses = '{}', attempts = 0,
		  consent_id = NULL, adopted = false,
		  status = CASE WHEN e.status = 'dropped' OR ` + parkedByEvaluation + ` THEN e.status
		                WHEN e.desired IS NULL THEN 'current' ELSE 'pending' END,
		  reason = CASE WHEN ` + parkedByEvaluation + ` THEN e.reason END,
		  detail = NULL, due_at = CASE WHEN e.desired IS NOT NULL AND e.status <> 'dropped' THEN now() END,
		  tried_revision = CASE WHEN e.desired IS NULL THEN e.revision ELSE e.tried_revision END,
		  applied_revision = CASE WHEN e.desired IS NULL THEN e.revision ELSE e.applied_revision END, applied_at = now()
		FROM unnest($1::text[], $2::int[], $3::bigint[]) AS o(org_key, partition, term)
		WHERE e.kind = 'member' AND e.org_key = o.org_key AND` + heldSQL

	// What Stytch refused of members for reasons that lie in their organization's settings.
	retryMembersSQL = `UPDATE backstitch.entities e SET due_at = now()
		FROM unnest($1::text[], $2::int[], $3::bigint[]) AS o(org_key, partition, term)
		WHERE e.kind = 'member' AND e.org_key = o.org_key AND e.status = 'parked'
		  AND e.reason IN ('refused', 'domain_claimed', 'invalid_field', 'invalid_role', 'invalid_email') AND` + heldSQL

	endClaimsSQL = `DELETE FROM backstitch.claims c USING unnest($1::text[], $2::int[], $3::bigint[]) AS o(org_key, partition, term)
		WHERE c.kind = 'member' AND c.org_key = o.org_key AND` + heldSQL
)

// effects queues what records mean for others, each statement only when one of
// the records needs it. They come after the records: a row that is recorded and
// woken in one batch ends up woken.
func effects(batch *pgx.Batch, records []Record) {
	var wake, end, retry, reclaim orgs
	var reclaimed []consumers.Key
	var keep, waits claimRows
	scopes := map[string]bool{}
	for _, r := range records {
		if r.WakeMembers {
			wake.add(r)
		}
		if r.EndMembers {
			end.add(r)
			scopes[r.Key.Organization] = true
		}
		if r.RetryMembers {
			retry.add(r)
		}
		if r.Reclaim {
			reclaim.add(r)
			reclaimed = append(reclaimed, r.Key)
			keep.add(r, r.Keep)
			scopes[r.Key.Organization], scopes[""] = true, true
		}
		waits.add(r, r.Waits)
		for _, c := range r.Waits {
			scopes[c.Scope] = true
		}
	}
	if len(end.keys) > 0 {
		batch.Queue(endMembersSQL, end.keys, end.partitions, end.terms)
		batch.Queue(endClaimsSQL, end.keys, end.partitions, end.terms)
	}
	if len(wake.keys) > 0 {
		batch.Queue(wakeMembersSQL, wake.keys, wake.ids, wake.partitions, wake.terms)
	}
	if len(retry.keys) > 0 {
		batch.Queue(retryMembersSQL, retry.keys, retry.partitions, retry.terms)
	}
	if len(reclaimed) > 0 {
		kinds, orgKeys, ids := keyColumns(reclaimed)
		batch.Queue(releaseSQL, kinds, orgKeys, ids, reclaim.partitions, reclaim.terms, keep.kinds, keep.orgs, keep.ids, keep.scopes, keep.fields, keep.digests)
	}
	if len(keep.kinds) > 0 {
		batch.Queue(keepSQL, keep.kinds, keep.orgs, keep.ids, keep.scopes, keep.fields, keep.digests, keep.partitions, keep.terms)
	}
	if len(waits.kinds) > 0 {
		batch.Queue(waitSQL, waits.scopes, waits.fields, waits.digests, waits.kinds, waits.orgs, waits.ids)
	}
	if len(scopes) > 0 {
		list := make([]string, 0, len(scopes))
		for s := range scopes {
			list = append(list, s)
		}
		batch.Queue(wakeWaitersSQL, list)
	}
}

type orgs struct {
	keys, ids  []string
	partitions []int32
	terms      []int64
}

func (o *orgs) add(r Record) {
	o.keys, o.ids = append(o.keys, r.Key.Organization), append(o.ids, r.StytchID)
	o.partitions, o.terms = append(o.partitions, r.Partition), append(o.terms, r.Term)
}

type claimRows struct {
	kinds, orgs, ids, scopes, fields []string
	digests                          [][]byte
	partitions                       []int32
	terms                            []int64
}

func (c *claimRows) add(r Record, claims []Claim) {
	for _, claim := range claims {
		k := r.Key
		c.partitions, c.terms = append(c.partitions, r.Partition), append(c.terms, r.Term)
		c.kinds, c.orgs, c.ids = append(c.kinds, string(k.Kind)), append(c.orgs, k.Organization), append(c.ids, k.Entity)
		c.scopes, c.fields, c.digests = append(c.scopes, claim.Scope), append(c.fields, claim.Field), append(c.digests, claim.Digest)
	}
}
