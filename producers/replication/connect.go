package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Session derives the configuration of an ordinary session on the source: all
// settings that decide how values are printed are pinned (hazard S9), and a
// commit of ours never waits for a standby.
func Session(source *pgx.ConnConfig, application string) *pgx.ConnConfig {
	c := source.Copy()
	if c.RuntimeParams == nil {
		c.RuntimeParams = make(map[string]string)
	}
	maps.Copy(c.RuntimeParams, pgsession.Source(application))
	c.RuntimeParams["synchronous_commit"] = "local"
	return c
}

// Conn is a replication connection before its stream starts.
type Conn struct {
	pg     *pgconn.PgConn
	wire   *wire
	socket *socket
	// status is the pace of status replies.
	status time.Duration
}

// DefaultSenderTimeout is wal_sender_timeout of our replication connections: the
// server gives the slot of an owner that does not answer free after it (hazard S15).
// The server reckons with it only what it could have read: a walsender that is busy
// decoding takes the replies that wait in its socket first.
const DefaultSenderTimeout = 2500 * time.Millisecond

// Connect opens a replication connection to the database of source, with the
// default time-out.
func Connect(ctx context.Context, source *pgx.ConnConfig, application string) (*Conn, error) {
	return ConnectWithin(ctx, source, application, DefaultSenderTimeout)
}

// ConnectWithin is Connect with a wal_sender_timeout of its own. Status replies go
// out five times as often, so that a pause of the whole process (a collection, a busy
// machine) of up to four fifths of it goes unnoticed.
func ConnectWithin(ctx context.Context, source *pgx.ConnConfig, application string, senderTimeout time.Duration) (*Conn, error) {
	config := Session(source, application).Config
	config.RuntimeParams["replication"] = "database"
	config.RuntimeParams["wal_sender_timeout"] = fmt.Sprintf("%dms", senderTimeout.Milliseconds())
	dial := config.DialFunc
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	c := &Conn{status: senderTimeout / 5}
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		plain, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.socket = &socket{Conn: plain}
		return c.socket, nil
	}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		c.wire = newWire(r)
		return pgproto3.NewFrontend(c.wire, w)
	}
	pg, err := pgconn.ConnectConfig(ctx, &config)
	if err != nil {
		return nil, fmt.Errorf("open a replication connection: %w", redact.SQLError(err))
	}
	c.pg = pg
	return c, nil
}

// Close ends the connection; a temporary slot ends with it.
func (c *Conn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := c.pg.Close(ctx); err != nil {
		return fmt.Errorf("close the replication connection: %w", err)
	}
	return nil
}

// PID is the walsender's process id.
func (c *Conn) PID() uint32 { return c.pg.PID() }

// System is who the server says it is.
type System struct {
	ID       string
	Timeline uint32
	// End is where its write-ahead log ends (flushed).
	End      schemas.LSN
	Database string
}

// Identify asks the server for its identity (hazard S10).
func (c *Conn) Identify(ctx context.Context) (System, error) {
	r, err := pglogrepl.IdentifySystem(ctx, c.pg)
	if err != nil {
		return System{}, fmt.Errorf("identify the source: %w", redact.SQLError(err))
	}
	return System{ID: r.SystemID, Timeline: uint32(r.Timeline), End: schemas.LSN(r.XLogPos), Database: r.DBName}, nil
}

// ForkOf tells where the history of timeline left the timeline old: what was read
// beyond it on old does not exist on the new one (hazard S10). ok is false when
// old is not an ancestor.
func (c *Conn) ForkOf(ctx context.Context, timeline, old uint32) (fork schemas.LSN, ok bool, err error) {
	h, err := pglogrepl.TimelineHistory(ctx, c.pg, int32(timeline))
	if err != nil {
		return 0, false, fmt.Errorf("read the history of timeline %d: %w", timeline, redact.SQLError(err))
	}
	for line := range strings.Lines(string(h.Content)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.ParseUint(fields[0], 10, 32); err != nil || uint32(n) != old {
			continue
		}
		fork, err := schemas.ParseLSN(fields[1])
		return fork, err == nil, err
	}
	return 0, false, nil
}

// Point is where a new slot starts: the snapshot contains exactly the commits
// below LSN. The snapshot lives until the next command on the connection
// (hazard S8).
type Point struct {
	LSN      schemas.LSN
	Snapshot string
}

// ErrBusy says that running transactions kept a slot from being created in time
// (hazard S20).
var ErrBusy = errors.New("running transactions kept the slot from being created in time")

// CreateSlot creates the source's slot. It waits for the transactions that run, at
// most for patience: then it fails with ErrBusy.
func (c *Conn) CreateSlot(ctx context.Context, slot string, patience time.Duration) (Point, error) {
	return c.create(ctx, slot, false, patience)
}

// CreateTemporarySlot creates a slot that ends with the connection, for the
// snapshot that it exports.
func (c *Conn) CreateTemporarySlot(ctx context.Context, slot string, patience time.Duration) (Point, error) {
	return c.create(ctx, slot, true, patience)
}

func (c *Conn) create(ctx context.Context, slot string, temporary bool, patience time.Duration) (Point, error) {
	if temporary {
		if err := c.boundLocks(ctx, patience+lockGrace); err != nil {
			return Point{}, fmt.Errorf("create slot %s: %w", slot, redact.SQLError(err))
		}
	}
	stop := c.cancelAfter(ctx, patience)
	r, err := pglogrepl.CreateReplicationSlot(ctx, c.pg, schemas.QuoteIdent(slot), "pgoutput", pglogrepl.CreateReplicationSlotOptions{
		Temporary: temporary, SnapshotAction: "(SNAPSHOT 'export')",
	})
	stop()
	switch redact.SQLState(err) {
	case "57014": // query_canceled
		return Point{}, fmt.Errorf("create slot %s: %w", slot, ErrBusy)
	case "42710": // duplicate_object
		return Point{}, fmt.Errorf("create slot %s: it exists: %w", slot, producers.ErrStandby)
	}
	if err != nil {
		return Point{}, fmt.Errorf("create slot %s: %w", slot, redact.SQLError(err))
	}
	lsn, err := schemas.ParseLSN(r.ConsistentPoint)
	if err != nil {
		return Point{}, fmt.Errorf("create slot %s: %w", slot, err)
	}
	return Point{LSN: lsn, Snapshot: r.SnapshotName}, nil
}

// EndWhenIdle has the server end the session, and with it a temporary slot, when
// nothing is heard from the client for so long: one that was stopped would keep it
// (hazard S39).
func (c *Conn) EndWhenIdle(ctx context.Context, after time.Duration) error {
	ms := after.Milliseconds()
	sql := fmt.Sprintf("SET idle_session_timeout = %d; SET idle_in_transaction_session_timeout = %d", ms, ms)
	if _, err := c.pg.Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("bound the life of a replication connection: %w", redact.SQLError(err))
	}
	return nil
}

// lockGrace is how much longer than the client the server itself waits.
const lockGrace = 5 * time.Second

// boundLocks has the server give up by itself what waits for a transaction that runs: it
// does not notice while it waits that its client was killed, and until then the slot in
// the making, though temporary, keeps the server's log (hazard S39).
func (c *Conn) boundLocks(ctx context.Context, most time.Duration) error {
	return c.pg.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", most.Milliseconds())).Close()
}

// cancelAfter asks the server to cancel what the connection does after a while:
// statement_timeout does not reach replication commands. The returned function
// ends the watch, and waits for a request that is on its way.
func (c *Conn) cancelAfter(ctx context.Context, patience time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			// A request that fails leaves the command to its end; nothing else depends on it.
			_ = c.pg.CancelRequest(ctx)
		}
	})
	return func() { cancel(); watch.Wait() }
}

// DropSlot drops the source's slot, which nobody must be reading.
func (c *Conn) DropSlot(ctx context.Context, slot string) error {
	err := pglogrepl.DropReplicationSlot(ctx, c.pg, schemas.QuoteIdent(slot), pglogrepl.DropReplicationSlotOptions{})
	if redact.SQLState(err) == "42704" { // undefined_object
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop slot %s: %w", slot, redact.SQLError(err))
	}
	return nil
}
