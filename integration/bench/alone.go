package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	peerUpsert = `INSERT INTO peer.users SELECT * FROM peer.stage ON CONFLICT (id) DO UPDATE SET
	team_id = excluded.team_id, email = excluded.email, name = excluded.name, hash = excluded.hash, role = excluded.role, verified = excluded.verified`
	peerEvaluate = `INSERT INTO peer.entities (kind, org_key, key, partition, lane, revision, desired)
	SELECT 'member', q.organization_external_id, q.external_id, 0, 'backfill', $1, to_jsonb(q) FROM peer.members q %s
	ON CONFLICT (kind, org_key, key) DO UPDATE SET revision = excluded.revision, desired = excluded.desired
	WHERE sha256(convert_to(entities.desired::text, 'UTF8')) <> sha256(convert_to(excluded.desired::text, 'UTF8'))`
)

// alone is what SQL does with a loading: the source's rows copied, upserted, the
// mapping evaluated.
func (f *follower) alone(l *legacy) (fill, evaluate time.Duration) {
	conn, err := pgx.Connect(f.b.ctx, f.url)
	f.b.ok(err)
	defer conn.Close(f.b.ctx)
	f.exec(conn, strings.ReplaceAll(peerDDL, "FROM users u", "FROM peer.users u"))
	start := time.Now()
	f.copyIn(conn, l, "users")
	f.exec(conn, "SET synchronous_commit = off")
	f.exec(conn, peerUpsert)
	fill = time.Since(start)
	f.exec(conn, "RESET synchronous_commit")
	start = time.Now()
	f.exec(conn, fmt.Sprintf(peerEvaluate, ""), 1)
	return fill, time.Since(start)
}

// aloneFollowing is what SQL does with changes in batches of 20,000: copied,
// upserted, evaluated by key, compared, stored.
func (f *follower) aloneFollowing(l *legacy, changes int) time.Duration {
	conn, err := pgx.Connect(f.b.ctx, f.url)
	f.b.ok(err)
	defer conn.Close(f.b.ctx)
	const batch = 20_000
	f.exec(conn, "VACUUM (ANALYZE) peer.users, peer.entities")
	start := time.Now()
	for low := 0; low < changes; low += batch {
		f.exec(conn, "TRUNCATE peer.stage")
		f.copyIn(conn, l, fmt.Sprintf("users WHERE id > %d AND id <= %d", low, min(low+batch, changes)))
		f.exec(conn, "BEGIN")
		f.exec(conn, peerUpsert)
		f.exec(conn, fmt.Sprintf(peerEvaluate, "WHERE q.external_id = ANY ((SELECT array_agg(id) FROM peer.stage)::bigint[])"), 2+low)
		f.exec(conn, "COMMIT")
	}
	return time.Since(start)
}

func (f *follower) exec(conn *pgx.Conn, sql string, args ...any) {
	_, err := conn.Exec(f.b.ctx, sql, args...)
	f.b.ok(err)
}

// copyIn pipes the mapped columns of users from the source into the stage.
func (f *follower) copyIn(conn *pgx.Conn, l *legacy, from string) {
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		_, err := l.conn.PgConn().CopyTo(f.b.ctx, w, "COPY (SELECT id, team_id, email, name, hash, role, verified FROM "+from+") TO STDOUT")
		_ = w.CloseWithError(err) // never fails (io.Pipe)
		sent <- err
	}()
	_, err := conn.PgConn().CopyFrom(f.b.ctx, r, "COPY peer.stage FROM STDIN")
	_ = r.CloseWithError(err) // likewise
	f.b.ok(<-sent)
	f.b.ok(err)
}
