package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/producers/checksum"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// mirrorCopy tells checksum how far the mirror is.
type mirrorCopy struct {
	*auditor
	still *replication.Ahead // what the slot holds beyond a mirror that stands still
	upTo  schemas.LSN
}

// Await is of checksum.Copy. While the transform runs it waits for it. Without one the
// mirror stands still: it is as good as at lsn for every table of which the slot holds
// no change before that.
func (m *mirrorCopy) Await(ctx context.Context, lsn schemas.LSN, t schemas.Table) error {
	var position transform.MirrorPosition
	runs := true
	passed, err := m.await(ctx, m.o.Timeout, func(ctx context.Context) (bool, error) {
		var err error
		if position, err = transform.ReadMirrorPosition(ctx, m.pool, m.cfg.Kafka.Topics.Prefix); err != nil {
			return false, err
		}
		if position.Passed(lsn) || !position.Following {
			return true, nil
		}
		runs, err = m.transformRuns(ctx)
		return !runs, err
	})
	switch {
	case err != nil:
		return err
	case position.Passed(lsn):
		return nil
	case !position.Following:
		return &checksum.BehindError{Why: "the mirror is being filled anew"}
	case !passed:
		return &checksum.BehindError{Why: fmt.Sprintf("the mirror stands at %s and did not get to %s within %s: `backstitch status` says what it waits for", position.FilledLSN, lsn, m.o.Timeout.Round(time.Second))}
	}
	return m.standsStill(ctx, lsn, position, t)
}

func (m *mirrorCopy) standsStill(ctx context.Context, lsn schemas.LSN, at transform.MirrorPosition, t schemas.Table) error {
	unknown := &checksum.BehindError{Why: "the pipeline does not run, and the mirror stands before changes that differ from it: start it, and audit again"}
	if at.EvaluatedLSN != at.FilledLSN || at.EndLSN == 0 {
		return unknown
	}
	if m.still == nil || m.upTo != lsn {
		conn, err := m.clients.ConnectSource(ctx, m.cfg.Name+"-audit")
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if m.still, err = replication.Peek(ctx, conn, m.cfg.Source.Slot, m.cfg.Source.Publication, lsn); err != nil {
			m.o.Progress(err.Error())
			m.still = nil
			return unknown
		}
		m.upTo = lsn
	}
	// what is confirmed beyond the mirror stands in the topics, and is not in it
	if m.still.Confirmed > at.EndLSN || m.still.Changed(t) {
		return unknown
	}
	return nil
}

// Lacks is of checksum.Copy.
func (m *mirrorCopy) Lacks(ctx context.Context, t schemas.Table, keys [][]string) ([][]string, error) {
	return transform.LackedValues(ctx, m.pool, t, keys)
}
