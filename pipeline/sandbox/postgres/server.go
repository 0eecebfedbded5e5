package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/pipeline/sandbox/process"
)

// Options of a server.
type Options struct {
	Binaries Binaries
	// Dir holds data and log; empty: a temporary directory, removed by Stop.
	Dir string
	// Port to listen on at 127.0.0.1; 0: any free one.
	Port int
	// Settings are added to postgresql.conf, over those that logical replication needs.
	Settings map[string]string
	// Durable keeps fsync on. Without it a crash of the machine loses the data, a
	// crash of the server does not.
	Durable bool
}

// Server is a running PostgreSQL. Its superuser is postgres, with a random password.
type Server struct {
	options  Options
	user     *process.User
	dir      string
	port     int
	password string
	child    *process.Child
	log      *os.File
}

// Start creates a cluster and runs a server with logical replication switched on.
// As root the server runs as postgres or nobody, because it refuses root.
func Start(ctx context.Context, o Options) (*Server, error) {
	u, err := process.Unprivileged("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, user: u, port: o.Port, password: randomHex()}
	if s.dir, err = s.makeDir(); err != nil {
		return nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := s.Resume(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func randomHex() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func (s *Server) makeDir() (string, error) {
	dir := s.options.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "backstitch-postgres-"); err != nil {
			return "", err
		}
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, s.user.Own(dir)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) initialise() error {
	secret := filepath.Join(s.dir, "superuser")
	if err := errors.Join(os.WriteFile(secret, []byte(s.password), 0o600), s.user.Own(secret)); err != nil {
		return err
	}
	initdb := process.Command(s.user, filepath.Join(s.options.Binaries.Dir, "initdb"),
		"-D", s.data(), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret,
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(string(out), 3))
	}
	return s.writeSettings()
}

func (s *Server) writeSettings() error {
	if s.port == 0 {
		var err error
		if s.port, err = freePort(); err != nil {
			return err
		}
	}
	settings := map[string]string{
		"listen_addresses":          "127.0.0.1",
		"port":                      fmt.Sprint(s.port),
		"unix_socket_directories":   "",
		"wal_level":                 "logical",
		"max_replication_slots":     "100",
		"max_wal_senders":           "100",
		"max_connections":           "300",
		"max_prepared_transactions": "10",
		"shared_buffers":            "256MB",
		"max_wal_size":              "2GB",
		"logging_collector":         "off",
		"log_min_messages":          "warning",
		"log_min_error_statement":   "panic", // a statement may carry values (invariant 8)
	}
	if !s.options.Durable {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
	}
	for k, v := range s.options.Settings {
		settings[k] = v
	}
	var b strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&b, "%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''"))
	}
	path := filepath.Join(s.data(), "postgresql.auto.conf")
	return errors.Join(os.WriteFile(path, []byte(b.String()), 0o600), s.user.Own(path))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Resume starts the server process over existing data and waits until it answers.
func (s *Server) Resume(ctx context.Context) error {
	var err error
	if s.log == nil {
		if s.log, err = os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	cmd := process.Command(s.user, filepath.Join(s.options.Binaries.Dir, "postgres"), "-D", s.data())
	// SIGQUIT: an immediate shutdown, so that no orphan keeps the port when this
	// program is killed.
	if s.child, err = process.Start(cmd, s.log, syscall.SIGQUIT); err != nil {
		return err
	}
	return s.await(ctx)
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.child.Done():
			return fmt.Errorf("PostgreSQL ended at once: see %s", filepath.Join(s.dir, "log"))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not answer in time: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// URL is a superuser's connection string for a database.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", s.password),
		Host: fmt.Sprintf("127.0.0.1:%d", s.port), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// CreateDatabase makes a database and returns its URL.
func (s *Server) CreateDatabase(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return s.URL(name), nil
}

// BinDir is where the server's binaries are.
func (s *Server) BinDir() string { return s.options.Binaries.Dir }

// PID is the postmaster's process id.
func (s *Server) PID() int { return s.child.PID() }

// Halt ends the server (SIGINT: fast, SIGQUIT: immediate, SIGKILL: as a crash)
// and leaves its data for Resume.
func (s *Server) Halt(sig syscall.Signal) error {
	s.child.Signal(sig)
	if err := s.child.Wait(); err != nil && sig == syscall.SIGINT {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}

// Stop ends the server and removes a temporary directory.
func (s *Server) Stop() error {
	var errs []error
	if s.child != nil {
		errs = append(errs, s.Halt(syscall.SIGINT))
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if s.options.Dir == "" && s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
