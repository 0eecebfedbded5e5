package pgsession

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Close says goodbye to a session, for at most a second: the server ends it either way.
func Close(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // only the end of the session matters
}

// Discard ends a session whose outcome does not matter any more, within 5 s, and waits
// until its socket is closed: the server notices then, whatever the session does.
func Discard(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // only the end of the session matters
	<-conn.PgConn().CleanupDone()
}
