package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
)

// servers are durable, unlike those of the tests: a figure without fsync would say
// little about a real one. The ledger has its own, as the design wants it.
type servers struct {
	binaries       postgres.Binaries
	source, ledger *postgres.Server
	profile        string
}

var serverSettings = map[string]string{
	"shared_buffers":         "1GB",
	"max_wal_size":           "8GB",
	"track_commit_timestamp": "on", // latencies begin at the commit
}

func startServers(ctx context.Context) (*servers, error) {
	s := &servers{}
	var err error
	if s.binaries, err = postgres.Ensure(ctx, os.Stderr); err != nil {
		return nil, err
	}
	for _, server := range []**postgres.Server{&s.source, &s.ledger} {
		*server, err = postgres.Start(ctx, postgres.Options{Binaries: s.binaries, Durable: true, Settings: serverSettings})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), s.stop())
		}
	}
	return s, nil
}

func (s *servers) stop() error {
	var errs []error
	for _, server := range []*postgres.Server{s.source, s.ledger} {
		if server != nil {
			errs = append(errs, server.Stop())
		}
	}
	return errors.Join(errs...)
}

// program finds a client program of PostgreSQL beside the server's; "" without.
func (s *servers) program(name string) string {
	path := filepath.Join(s.binaries.Dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return ""
}

// describe says on what the figures were measured.
func (s *servers) describe(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, s.source.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d cores %s, %s of memory, %s; %s; PostgreSQL %s (fsync on, shared_buffers 1GB); Kafka %s\nservers, broker and Backstitch share the machine: read the ratios",
		runtime.NumCPU(), proc("/proc/cpuinfo", "model name"), proc("/proc/meminfo", "MemTotal"), proc("/proc/version", ""), runtime.Version(), version, kafkaVersion(ctx)), nil
}

// proc is a field of a file of the kernel's, or its first words.
func proc(path, field string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if field == "" {
			return strings.Join(strings.Fields(lines.Text())[:3], " ")
		}
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == field {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func kafkaVersion(ctx context.Context) string {
	brokers := os.Getenv(testenv.EnvKafka)
	if brokers == "" {
		return "none: the embedded broker, no figure to publish"
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		return err.Error()
	}
	defer client.Close()
	versions, err := kadm.NewClient(client).ApiVersions(ctx)
	if err != nil {
		return err.Error()
	}
	for _, v := range versions.Sorted() {
		return v.VersionGuess()
	}
	return "unknown"
}

// profiled measures f under a CPU profile, if one is wanted; several go into one
// file each, the last one wins.
func (s *servers) profiled(f func()) {
	if s.profile == "" {
		f()
		return
	}
	file, err := os.Create(s.profile)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		f()
		return
	}
	defer file.Close()
	if err := pprof.StartCPUProfile(file); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	f()
	pprof.StopCPUProfile()
}
