package transform

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lockKey is the advisory lock of a prefix's transform in its ledger.
func lockKey(prefix string) int64 { return hashKey("backstitch/transform/" + prefix) }

// auditKey is the advisory lock that audits share while they hold their snapshot, so
// that a successor finds the sessions of one that is frozen.
func auditKey() int64 { return hashKey("backstitch/transform/audits") }

func hashKey(name string) int64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name) // a hash's Write does not fail
	return int64(h.Sum64())
}

// election is the session that holds the transform's advisory lock. The lock only
// elects: what keeps a former owner out is the fence (hazard C13). The server ends
// the session when nothing came over it for a lease, and sets the lock free: an
// owner that was killed, frozen or cut off needs nobody's permission to be
// succeeded.
type election struct {
	conn  *pgx.Conn
	kafka *kgo.Client // of the candidate, and of the owner after it
}

func (e *election) close() {
	pgsession.Close(e.conn)
	e.kafka.Close()
}

// stand opens the candidate's connections, before it is elected: taking over must be
// quick.
func (t *Transform) stand(ctx context.Context) (*election, error) {
	config := t.deps.LedgerConn.Copy()
	config.RuntimeParams["application_name"] = t.Connector() + " " + t.cfg.Owner
	config.RuntimeParams["idle_session_timeout"] = strconv.FormatInt(max(1, t.cfg.Lease.Milliseconds()), 10)
	conn, err := t.dial(ctx, config)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(t.deps.Kafka...)
	if err != nil {
		pgsession.Close(conn)
		return nil, fmt.Errorf("make the transform's Kafka client: %w", err)
	}
	return &election{conn, client}, nil
}

// elect waits until this instance holds the lock; nil when stopping.
func (t *Transform) elect(ctx context.Context, stopping <-chan struct{}) (*election, error) {
	t.set(func(s *Status) { s.State, s.Doing = Standby, "waiting for the owner to leave" })
	e, err := t.stand(ctx)
	if err != nil {
		return nil, err
	}
	for {
		mine, err := t.candidate(ctx, e)
		switch {
		case err != nil:
			e.close()
			return nil, fmt.Errorf("elect the transform's owner: %w", err)
		case mine:
			return e, nil
		}
		select {
		case <-ctx.Done():
			e.close()
			return nil, ctx.Err()
		case <-stopping:
			e.close()
			return nil, nil
		case <-time.After(t.cfg.Standby):
		}
	}
}

// candidate tries to become the owner: with the accepted mapping (hazard C23), and
// within reach of Kafka, because an owner that is not would only keep others away.
func (t *Transform) candidate(ctx context.Context, e *election) (mine bool, err error) {
	if err := ledger.SameDigest(ctx, e.conn, t.cfg.Digest); err != nil {
		return false, err
	}
	err = e.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockKey(t.cfg.Prefix)).Scan(&mine)
	if err != nil || !mine {
		return false, err
	}
	within, cancel := context.WithTimeout(ctx, t.cfg.Lease/2)
	defer cancel()
	if e.kafka.Ping(within) == nil {
		return true, nil
	}
	t.set(func(s *Status) { s.Doing = "waiting for Kafka" })
	_, err = e.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", lockKey(t.cfg.Prefix))
	return false, err
}

// assume is takeOver, with the sessions of a former owner ended that stand in its
// way: one that is frozen in the middle of a transaction holds locks.
func (e *election) assume(ctx context.Context, conn *pgx.Conn, t *Transform) (*state, error) {
	evicting, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		ended int64
		err   error
	}
	evicted := make(chan result, 1)
	go func() {
		ended, err := ledger.Evict(evicting, e.conn, conn.PgConn().PID(), t.cfg.Standby)
		evicted <- result{ended, err}
	}()
	s, err := takeOver(ctx, conn, &t.cfg)
	stop()
	r := <-evicted
	if err != nil {
		return nil, errors.Join(err, r.err)
	}
	if r.ended > 0 {
		t.log.Warn("sessions of a former owner that hindered this one were ended", "connector", t.Connector(), "sessions", r.ended)
	}
	// nobody waits for an audit's snapshot yet: a change of the mirror's columns would
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid = (($1::bigint >> 32) & 4294967295)::oid AND objid = ($1::bigint & 4294967295)::oid`, auditKey())
	if err != nil && redact.SQLState(err) != "42501" {
		return nil, fmt.Errorf("end a former owner's audit: %w", redact.SQLError(err))
	}
	return s, nil
}

var (
	errLostLock = errors.New("the session that holds the transform's lock is gone")
	errCutOff   = errors.New("no answer from Kafka for a lease: another instance may reach it")
)

// hold keeps the lock's session in use. It ends, and gives the lock away at once,
// when the session is gone, when another term began, and when Kafka does not answer.
func (o *owner) hold(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	reached, over := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(over)
		o.reach(ctx, reached)
	}()
	defer func() {
		pgsession.Close(o.lock.conn) // a successor need not wait for what this one has in flight
		cancel()
		<-over
	}()
	tick := time.NewTicker(o.cfg.Lease / 5)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reached:
			last = time.Now()
			continue
		case <-tick.C:
		}
		if time.Since(last) > o.cfg.Lease {
			return errCutOff
		}
		if err := o.stillOwner(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// stillOwner tells the ledger that the owner lives, and asks whether it still is.
func (o *owner) stillOwner(ctx context.Context) error {
	alive, cancel := context.WithTimeout(ctx, 2*o.cfg.Lease)
	defer cancel()
	var term int64
	err := o.lock.conn.QueryRow(alive, "SELECT coalesce(max(term), 0) FROM backstitch.transform WHERE prefix = $1", o.cfg.Prefix).Scan(&term)
	if err != nil {
		return errors.Join(errLostLock, redact.SQLError(err))
	}
	if term != o.state.term {
		return errFenced
	}
	return nil
}

// reach asks Kafka for a sign of life, over and over.
func (o *owner) reach(ctx context.Context, reached chan<- struct{}) {
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, o.cfg.Lease/2)
		err := o.lock.kafka.Ping(within)
		cancel()
		if err == nil {
			select {
			case reached <- struct{}{}:
			case <-ctx.Done():
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(o.cfg.Lease / 5):
		}
	}
}

// connect opens a dedicated ledger session of the owner.
func (t *Transform) connect(ctx context.Context) (*pgx.Conn, error) {
	config := t.deps.LedgerConn.Copy()
	config.RuntimeParams["idle_in_transaction_session_timeout"] = idleInTransaction
	return t.dial(ctx, config)
}

// dial connects to the ledger, if it answers: what was sent into a partition is not
// answered for minutes after its end.
func (t *Transform) dial(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	within, cancel := context.WithTimeout(ctx, 2*t.cfg.Lease)
	defer cancel()
	conn, err := pgx.ConnectConfig(within, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the ledger: %w", err)
	}
	return conn, nil
}

// idleInTransaction ends a frozen owner's open transactions where a successor may
// not. No step of a healthy one waits nearly as long.
const idleInTransaction = "30s"
