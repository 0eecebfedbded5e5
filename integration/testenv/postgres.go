package testenv

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
)

// EnvPostgres names the variable with the URL of a superuser on a PostgreSQL
// server with wal_level=logical.
const EnvPostgres = "BACKSTITCH_TEST_POSTGRES"

var serial atomic.Int64

// Name is a name that no other test of any process uses. It is always as long, so that
// texts which are wrapped or aligned around names are the same in every run.
func Name(tb testing.TB) string {
	tb.Helper()
	return fmt.Sprintf("t%07d_%09d_%04d", os.Getpid(), time.Now().UnixMilli()%1e9, serial.Add(1))
}

// Postgres makes a fresh, empty database and returns its URL. It is dropped, with
// its replication slots, when the test ends.
func Postgres(tb testing.TB) string {
	tb.Helper()
	return Database(tb, postgresServer(tb))
}

// Database makes a fresh database on the server of adminURL.
func Database(tb testing.TB, adminURL string) string {
	tb.Helper()
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		tb.Fatalf("connect to the test PostgreSQL: %v", err)
	}
	defer admin.Close(ctx)
	name := Name(tb)
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("create database %s: %v", name, err)
	}
	tb.Cleanup(func() { dropDatabase(tb, adminURL, name) })
	config := admin.Config()
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", config.User, config.Password,
		strings.TrimSuffix(fmt.Sprintf("%s:%d", config.Host, config.Port), ":0"), name)
}

// dropDatabase drops a database; slots that a test left behind would keep it.
func dropDatabase(tb testing.TB, adminURL, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	admin, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return // the server is gone, and the database with it
	}
	defer admin.Close(ctx)
	for _, sql := range []string{
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active",
	} {
		if _, err := admin.Exec(ctx, sql, name); err != nil {
			tb.Logf("clean up %s: %v", name, err)
		}
	}
	for ctx.Err() == nil {
		_, err = admin.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", name)
		if err == nil {
			_, err = admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		}
		if err == nil {
			return
		}
	}
	tb.Logf("drop database %s: %v", name, err)
}

// postgresServer is the shared server of the run, or one that this test process
// starts for itself and that ends with it.
func postgresServer(tb testing.TB) string {
	tb.Helper()
	if url := os.Getenv(EnvPostgres); url != "" {
		return url
	}
	own.once.Do(func() {
		ctx := context.Background()
		var binaries postgres.Binaries
		if binaries, own.err = postgres.Ensure(ctx, os.Stderr); own.err != nil {
			return
		}
		if own.server, own.err = postgres.Start(ctx, postgres.Options{Binaries: binaries}); own.err == nil {
			own.url = own.server.URL("postgres")
		}
	})
	if own.err != nil {
		tb.Fatalf("start PostgreSQL for tests: %v", own.err)
	}
	return own.url
}

// own is this process's server; Main stops it, and without Main it dies with the
// process.
var own struct {
	once   sync.Once
	server *postgres.Server
	url    string
	err    error
}

// OwnDatabase is a database on a server of this test's own: for one that holds a
// transaction open. On a shared server every slot in the making would wait for it.
func OwnDatabase(tb testing.TB) string {
	tb.Helper()
	url, err := OwnPostgres(tb, nil).CreateDatabase(context.Background(), "legacy")
	if err != nil {
		tb.Fatal(err)
	}
	return url
}

// OwnPostgres starts a server for this test alone, which the test may kill,
// restart and reconfigure.
func OwnPostgres(tb testing.TB, settings map[string]string) *postgres.Server {
	tb.Helper()
	ctx := context.Background()
	binaries, err := postgres.Ensure(ctx, os.Stderr)
	if err != nil {
		tb.Fatal(err)
	}
	server, err := postgres.Start(ctx, postgres.Options{Binaries: binaries, Settings: settings})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Logf("stop PostgreSQL: %v", err)
		}
	})
	return server
}
