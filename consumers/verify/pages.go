package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// pageSize is the largest that a search gives.
const pageSize = 1000

// organizations reads every organization of the project into the ledger, and
// compares them.
func (v *Verifier) organizations(ctx context.Context, run *ledger.Verification) error {
	for {
		var page *stytch.OrganizationPage
		err := v.search(ctx, run, consumers.Organization, func(ctx context.Context) (err error) {
			page, err = v.client.SearchOrganizations(ctx, stytch.OrganizationSearch{Cursor: run.Cursor, Limit: v.pageSize})
			return err
		})
		if err != nil {
			return fmt.Errorf("list the project's organizations: %w", err)
		}
		seen := make([]ledger.SeenObject, len(page.Organizations))
		for i, o := range page.Organizations {
			seen[i] = ledger.SeenObject{Kind: consumers.Organization, StytchID: o.ID, OrganizationID: o.ID, ExternalID: o.ExternalID, Object: o}
		}
		if err := run.See(ctx, seen, page.NextCursor); err != nil {
			return err
		}
		if page.NextCursor == "" {
			return v.compare(ctx, run, consumers.Organization, nil)
		}
	}
}

// members reads and compares the members of every organization that is in the ledger
// and in Stytch, some organizations at a time.
func (v *Verifier) members(ctx context.Context, run *ledger.Verification) error {
	for {
		p, err := run.NextPartition(ctx)
		if err != nil {
			return err
		}
		if len(p.Keys) == 0 {
			run.Phase = ledger.VerifySettle
			return run.Save(ctx)
		}
		if err := v.partition(ctx, run, p.IDs); err != nil {
			return err
		}
		if err := v.compare(ctx, run, consumers.Member, p.Keys); err != nil {
			return err
		}
	}
}

// partition reads the members of organizations. One that is gone meanwhile makes the
// search fail for all: it is found, left out, and the partition read again.
func (v *Verifier) partition(ctx context.Context, run *ledger.Verification, ids []string) error {
	for len(ids) > 0 {
		var page *stytch.MemberPage
		err := v.search(ctx, run, consumers.Member, func(ctx context.Context) (err error) {
			page, err = v.client.SearchMembers(ctx, stytch.MemberSearch{OrganizationIDs: ids, Cursor: run.Cursor, Limit: v.pageSize})
			return err
		})
		if err != nil {
			return fmt.Errorf("list the members of %d organizations: %w", len(ids), err)
		}
		if page == nil {
			if ids, err = v.alive(ctx, run, ids); err != nil {
				return err
			}
			continue
		}
		seen := make([]ledger.SeenObject, len(page.Members))
		for i, m := range page.Members {
			seen[i] = ledger.SeenObject{Kind: consumers.Member, StytchID: m.ID, OrganizationID: m.OrganizationID, ExternalID: m.ExternalID, Object: m}
		}
		if err := run.See(ctx, seen, page.NextCursor); err != nil {
			return err
		}
		if page.NextCursor == "" {
			return nil
		}
	}
	return nil
}

// alive reads organizations one by one and forgets those that are gone.
func (v *Verifier) alive(ctx context.Context, run *ledger.Verification, ids []string) ([]string, error) {
	var left []string
	for _, id := range ids {
		there, err := v.read(ctx, func(ctx context.Context) error {
			_, err := v.client.GetOrganization(ctx, id)
			return err
		})
		if err != nil {
			return nil, err
		}
		if there {
			left = append(left, id)
		} else if err := run.Unsee(ctx, id); err != nil {
			return nil, err
		}
	}
	if len(left) == len(ids) {
		return nil, fmt.Errorf("a search says that one of %d organizations does not exist, and each of them is there by its id: try again", len(ids))
	}
	return left, run.Forget(ctx, consumers.Member)
}

// search makes one search. A cursor that Stytch does not take any more, after an
// interruption, starts the kind's reading again.
func (v *Verifier) search(ctx context.Context, run *ledger.Verification, kind consumers.Kind, call func(context.Context) error) error {
	_, err := v.patient(ctx, v.pace.search, time.Minute, call)
	if run.Cursor != "" && stytch.ErrorType(err) == "user_search_invalid_cursor" {
		if err := run.Forget(ctx, kind); err != nil {
			return err
		}
		_, err = v.patient(ctx, v.pace.search, time.Minute, call)
	}
	return err
}

// read makes one reading call; false: there is no such object.
func (v *Verifier) read(ctx context.Context, call func(context.Context) error) (bool, error) {
	v.reads.Add(1)
	return v.patient(ctx, v.pace.read, time.Second, call)
}
