package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// Run verifies once, or goes on with a run that was interrupted: by a signal, a
// crash, or an error. Whoever calls it holds the lock of all verifications until it
// returns; the error is ledger.ErrVerifying where somebody else does.
func (v *Verifier) Run(ctx context.Context) (*Report, error) {
	if err := v.identify(ctx); err != nil {
		return nil, err
	}
	run, err := ledger.BeginVerification(ctx, v.pool, v.cfg.By, v.cfg.Anew)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	if run.Resumed {
		v.tell(fmt.Sprintf("run %d goes on where it was interrupted", run.ID))
	}
	if run.Phase == ledger.VerifyOrganizations {
		if err := v.organizations(ctx, run); err != nil {
			return nil, err
		}
	}
	if run.Phase == ledger.VerifyMembers {
		if err := v.members(ctx, run); err != nil {
			return nil, err
		}
	}
	if err := v.settle(ctx, run); err != nil {
		return nil, err
	}
	canaries, err := v.canaries(ctx, run)
	if err != nil {
		return nil, err
	}
	return v.conclude(ctx, run, canaries)
}

// identify refuses a ledger of another project: everything in it would be missing
// here. The report names the mapping that the desired states come from.
func (v *Verifier) identify(ctx context.Context) error {
	id, found, err := ledger.Recorded(ctx, v.pool)
	switch {
	case err != nil:
		return err
	case !found:
		return errors.New("verify: no pipeline has used this ledger yet: let `backstitch run` catch up first")
	case id.ProjectID != v.cfg.ProjectID:
		return fmt.Errorf("verify: this ledger belongs to the Stytch project %s, and the configuration names %s: verify with the configuration of the pipeline",
			id.ProjectID, v.cfg.ProjectID)
	}
	v.mapping = id.Digest
	return nil
}

// conclude counts, repairs where it was asked for, and ends the run.
func (v *Verifier) conclude(ctx context.Context, run *ledger.Verification, canaries []CanaryResult) (*Report, error) {
	if err := run.Unconfirmed(ctx); err != nil {
		return nil, err
	}
	classes, fields, err := run.FindingCounts(ctx)
	if err != nil {
		return nil, err
	}
	for class, n := range run.Tally.Classes {
		classes[class] += n
	}
	found, err := run.Findings(ctx, maxFindings)
	if err != nil {
		return nil, err
	}
	r := v.report(run, classes, fields, found, canaries)
	if v.cfg.Repair && r.Verdict == DriftFound {
		if r.Repair, err = v.repair(ctx, run); err != nil {
			return nil, err
		}
	}
	run.Tally.Reads += v.reads.Swap(0)
	if err := run.Finish(ctx, classes, string(r.Verdict)); err != nil {
		return nil, err
	}
	r.Finished, r.Searches, r.Reads = *run.Finished, run.Tally.Searches, run.Tally.Reads
	return r, nil
}
