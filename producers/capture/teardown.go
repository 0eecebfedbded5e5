package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
)

// TeardownReport says what Teardown dropped and what is left for a person.
type TeardownReport struct {
	DroppedSlot        bool     `json:"dropped_slot"`
	DroppedPublication bool     `json:"dropped_publication"`
	Topics             []string `json:"topics"`   // left
	Subjects           []string `json:"subjects"` // left
}

// Teardown drops slot and publication, which cost the source server disk space
// while they exist. Topics and subjects are left: they hold what was captured. It
// fails with producers.ErrStandby while an instance runs.
func Teardown(ctx context.Context, cfg Config, deps Deps) (*TeardownReport, error) {
	cfg = cfg.withDefaults()
	conn, err := pgx.ConnectConfig(ctx, replication.Session(deps.Source, cfg.Name+" teardown"))
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", redact.SQLError(err))
	}
	x := &session{Source: &Source{cfg: cfg, deps: deps}, control: conn, failure: make(chan error, 1)}
	ctx, x.cancel = context.WithCancel(ctx)
	defer x.cancel()
	report, err := x.teardown(ctx)
	closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return report, errors.Join(err, conn.Close(closeCtx))
}

func (x *session) teardown(ctx context.Context) (*TeardownReport, error) {
	if err := x.takeLock(ctx); err != nil {
		return nil, err
	}
	defer x.lock.release()
	r := &TeardownReport{Topics: publisher.TopicNames(x.cfg.Prefix, x.cfg.Tables)}
	for _, t := range x.cfg.Tables {
		topic := schemas.DataTopic(x.cfg.Prefix, t)
		r.Subjects = append(r.Subjects, registry.KeySubject(topic), registry.ValueSubject(topic))
	}
	err := x.control.QueryRow(ctx, "SELECT count(pg_drop_replication_slot(slot_name)) > 0 FROM pg_replication_slots WHERE slot_name = $1", x.cfg.Slot).Scan(&r.DroppedSlot)
	if redact.SQLState(err) == "55006" { // object_in_use
		return nil, fmt.Errorf("drop slot %s: stop the instances that run first: %w", x.cfg.Slot, producers.ErrStandby)
	}
	if err != nil {
		return nil, fmt.Errorf("drop slot %s: %w", x.cfg.Slot, redact.SQLError(err))
	}
	if err := x.control.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_publication WHERE pubname = $1", x.cfg.Publication).Scan(&r.DroppedPublication); err != nil {
		return nil, fmt.Errorf("look up publication %s: %w", x.cfg.Publication, redact.SQLError(err))
	}
	if x.cfg.KeepPublication {
		r.DroppedPublication = false
	}
	if r.DroppedPublication {
		return r, x.alter(ctx, "DROP PUBLICATION "+schemas.QuoteIdent(x.cfg.Publication))
	}
	return r, nil
}
