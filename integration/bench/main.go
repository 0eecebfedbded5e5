// Command bench measures Backstitch beside peers and physical limits, in one run
// on one machine: absolute figures move with the machine, ratios within a run mean
// something.
//
//	make bench
//	make bench BENCH_FLAGS='-quick -only source'
//
// It prints a table and writes a JSON list of {name, value, unit, anchor,
// anchor_value, ratio}; ratio is value / anchor_value. It starts two durable
// PostgreSQL servers of its own, one for the legacy system and one for the ledger,
// and takes Kafka from KAFKA_BROKERS (testrun sets it).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// benchmarks in the order in which they run.
var benchmarks = []struct {
	name string
	run  func(b *bench)
}{
	{"source/stream/1-row", func(b *bench) { stream(b, 1) }},
	{"source/stream/1000-row", func(b *bench) { stream(b, 1000) }},
	{"source/backfill", backfill},
	{"transform", transforming},
	{"apply", applying},
	{"latency", latency},
	{"memory", memory},
	{"cluster/take-over", takeOvers},
	{"cluster/rate", together},
	{"cluster/rolling restart", rolling},
}

// bench is what a benchmark is given.
type bench struct {
	*tb
	servers *servers
	rows    int
	quick   bool
	results *[]result
}

// rounds is how often a measurement that is cheap is taken; its median counts.
func (b *bench) rounds() int {
	if b.quick {
		return 1
	}
	return 3
}

// scaled is n, or a tenth of it in a quick run.
func (b *bench) scaled(n int) int {
	if b.quick {
		return n / 10
	}
	return n
}

// report adds a line to the table. An anchor of 0 was not measured.
func (b *bench) report(name string, value float64, unit, anchor string, anchorValue float64) {
	r := result{Name: name, Value: value, Unit: unit, Anchor: anchor, AnchorValue: anchorValue}
	if anchorValue != 0 {
		r.Ratio = value / anchorValue
	}
	*b.results = append(*b.results, r)
	fmt.Fprintln(os.Stderr, "bench:", r)
}

func main() {
	out := flag.String("out", "", "write the results as JSON to this file")
	rows := flag.Int("rows", 300_000, "rows of the large tables and backlogs")
	only := flag.String("only", "", "run the benchmarks whose name matches this regular expression")
	quick := flag.Bool("quick", false, "a tenth of the rows, one round: shows that it works, not how fast")
	cpu := flag.String("cpuprofile", "", "write a CPU profile of this process while it measures")
	flag.Parse()
	if *quick {
		*rows /= 10
	}
	if err := run(options{out: *out, rows: *rows, only: *only, quick: *quick, profile: *cpu}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	out, only, profile string
	rows               int
	quick              bool
}

func run(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	s, err := startServers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	s.profile = o.profile
	machine, err := s.describe(ctx)
	if err != nil {
		return err
	}
	var results []result
	var errs []error
	begun := time.Now()
	for _, m := range benchmarks {
		if !only.MatchString(m.name) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s (%s so far)\n", m.name, time.Since(begun).Round(time.Second))
		t := &tb{ctx: ctx}
		b := &bench{tb: t, servers: s, rows: o.rows, quick: o.quick, results: &results}
		if err := t.run(func() { m.run(b) }); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	fmt.Printf("\n%s\n\n", machine)
	printTable(os.Stdout, results)
	if o.out != "" {
		errs = append(errs, writeJSON(o.out, results))
	}
	return errors.Join(append(errs, ctx.Err())...)
}
