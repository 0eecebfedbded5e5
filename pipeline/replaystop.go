package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/config"
)

const (
	// replayPatience is how long a replay waits until nobody runs the connector: longer
	// than a drain, and than Kafka remembers a killed member.
	replayPatience = 60 * time.Second
	// offsetsPatience is as long for who changes offsets by hand: below the 90 s in which
	// clients of Kafka Connect expect an answer.
	offsetsPatience = 30 * time.Second
	// obeyed is how long an instance may take to follow a target that it has not read.
	obeyed = 3 * orderEvery
	// resumePatience bounds giving the connector its target back, whatever happened.
	resumePatience = 10 * time.Second
)

// stopped is a connector that a replay has stopped, or is about to.
type stopped struct {
	cfg       *config.Config
	clients   *Clients
	pool      *pgxpool.Pool
	connector string
	patience  time.Duration
}

// while sets the connector's target to STOPPED, waits until no instance runs it,
// does the work, and gives it its former target back: also after an error and when
// ctx ends. Who is killed in between leaves it stopped, with a reason that says so.
func (s stopped) while(ctx context.Context, command, by string, work func(context.Context) error) (ledger.Target, error) {
	if s.patience == 0 {
		s.patience = replayPatience
	}
	// not cut off half-way: what was set must be known, to be set back
	beginning, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumePatience)
	defer cancel()
	replaying, err := ledger.BeginReplay(beginning, s.pool, s.connector, command, by)
	if err != nil {
		return "", err
	}
	err = s.work(ctx, func(ctx context.Context) error { return s.untouched(ctx, replaying) }, work)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumePatience)
	defer cancel()
	target, ended := replaying.End(ending, err)
	return target, errors.Join(err, ended)
}

// work does the work once nobody runs the connector, and as long as its target stands;
// an instance that comes between is refused by Kafka, and waited for again. Who is in
// the way for longer than the patience is named in a stillBusy.
func (s stopped) work(ctx context.Context, stands, work func(context.Context) error) error {
	waiting, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	begun := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		busy, err := s.busy(waiting, stands, begun)
		if err == nil && busy == "" {
			err = work(ctx) // which takes what it takes
			if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.NonEmptyGroup) {
				busy, err = "somebody joined the group", nil
			}
			if busy == "" {
				return err
			}
		}
		if err != nil && waiting.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-waiting.Done():
			if ctx.Err() == nil {
				return stillBusy{s, busy}
			}
			return errors.New("interrupted; nothing was changed")
		}
	}
}

// stillBusy says who works on a connector that was to stop. It is ErrNotStopped.
type stillBusy struct {
	stopped

	who string
}

func (b stillBusy) Error() string {
	return fmt.Sprintf("%s was not stopped within %s: %s. Nothing was changed", b.connector, b.patience, b.who)
}

func (stillBusy) Unwrap() error { return ErrNotStopped }

// untouched returns nil while the target is the one that the replay has set.
func (s stopped) untouched(ctx context.Context, r *ledger.Replaying) error {
	ours, err := r.Stopped(ctx)
	if err == nil && !ours {
		err = fmt.Errorf("somebody set the target of %s meanwhile. Nothing was changed", s.connector)
	}
	return err
}

// busy says who may still work on the connector; "" when nobody does.
func (s stopped) busy(ctx context.Context, stands func(context.Context) error, begun time.Time) (string, error) {
	if err := stands(ctx); err != nil {
		return "", err
	}
	busy, alive, err := s.running(ctx)
	if busy == "" && alive && time.Since(begun) < obeyed {
		busy = "an instance may not have seen it yet"
	}
	return busy, err
}

// running says who runs the connector, and whether any instance lives.
func (s stopped) running(ctx context.Context) (busy string, alive bool, err error) {
	cluster, err := ledger.ReadCluster(ctx, s.pool)
	if err != nil {
		return "", false, err
	}
	for _, i := range cluster.Instances {
		alive = alive || i.Alive
	}
	for _, t := range cluster.Tasks {
		if t.Connector == s.connector {
			return fmt.Sprintf("instance %s shows task %d as %s", t.Instance, t.ID, t.State), alive, nil
		}
	}
	if s.connector != apply.Group(s.cfg.Name) {
		return "", alive, nil
	}
	members, err := apply.Members(ctx, s.cfg.Name, s.clients.Kafka)
	if err != nil {
		return "", alive, err
	}
	if len(members) > 0 {
		return "the consumer group has members: " + strings.Join(members, ", "), alive, nil
	}
	return "", alive, nil
}
