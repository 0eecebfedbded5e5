package lag

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/producers/capture"
)

// heartbeatSlack is how much later than source.heartbeat a commit of a source that
// works may be.
const heartbeatSlack = 5 * time.Second

// slotLook is two looks at the slot, a little apart.
type slotLook struct{ before, now capture.SlotLook }

// lookAtSlot looks once, on a session that is kept, and made anew when it was lost.
func (r *Reader) lookAtSlot(ctx context.Context) (capture.SlotLook, error) {
	kept := r.source != nil
	for {
		if r.source == nil {
			conn, err := r.deps.Source(ctx)
			if err != nil {
				return capture.SlotLook{}, err
			}
			r.source = conn
		}
		look, err := capture.LookAtSlot(ctx, r.source, r.cfg.Slot)
		if err == nil {
			return *look, nil
		}
		r.disconnect()
		if !kept || ctx.Err() != nil {
			return capture.SlotLook{}, err
		}
		kept = false
	}
}

// show fills what the looks say into s, which holds the last checkpoint's position.
func (l slotLook) show(s *admin.Source, heartbeat time.Duration) {
	n := l.now
	s.SlotActive, s.WALStatus, s.SafeWALSize = n.Active, n.WALStatus, n.SafeBytes
	s.ConfirmedLSN, s.RestartLSN = n.ConfirmedLSN.String(), n.RestartLSN.String()
	s.RetainedBytes, s.SlotLagBytes = n.RetainedBytes, n.LagBytes
	s.SlotLagSeconds = l.seconds(s.CommitTime, heartbeat)
}

// seconds is the age of the slot's position: how long ago, by the server's clock, the
// last change that is in the topics was committed. It is 0 when everything is there
// that the server had logged at the first look, and also while the reader was sent
// all of that and the last commit is no older than heartbeats make it: what the
// server logs for itself, or for other databases, nobody waits for. Nil: not known.
func (l slotLook) seconds(committed time.Time, heartbeat time.Duration) *float64 {
	age := 0.0
	switch {
	case !l.now.Exists:
		return nil
	case l.now.ConfirmedLSN >= l.before.EndLSN:
	case committed.IsZero():
		return nil
	default:
		since := max(0, l.now.Now.Sub(committed))
		if l.now.SentLSN < l.before.EndLSN || since > heartbeat+heartbeatSlack {
			age = since.Seconds()
		}
	}
	return &age
}
