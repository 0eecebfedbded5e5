// Package preflight finds what would stop or hurt a pipeline before it runs: the
// source's settings and rights, tables, publication and slot, the topics, the
// ledger, Stytch's credentials and roles, the mapping and its cost. It changes
// nothing anywhere.
//
// Every finding says where, what and why it matters, and the fix. One check that
// cannot be made (a server that does not answer) is a finding and leaves the others.
package preflight

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers"
)

// Deps are the clients that the pipeline builds from the same configuration.
type Deps struct {
	// Source is the configuration of ordinary sessions on the source.
	Source *pgx.ConnConfig
	// Ledger is the configuration of sessions on the ledger database.
	Ledger *pgx.ConnConfig
	// Kafka are the client options: brokers, TLS, SASL.
	Kafka []kgo.Opt
	// Registry proves that the schema registry answers.
	Registry interface{ Ping(context.Context) error }
	// Stytch calls the project.
	Stytch *stytch.Client
	// Patience bounds a connection attempt; 0 means 10 s.
	Patience time.Duration
	// CountFor bounds each query that reads the legacy tables; 0 means 60 s. What
	// takes longer is left uncounted, and said so. Below 0 nothing is counted: the
	// counts read every row that the mapping reads, several times.
	CountFor time.Duration
}

// check is one run.
type check struct {
	cfg    *config.Config
	deps   Deps
	report *Report

	source *pgx.Conn
	ledger *pgx.Conn
	system string          // the source's system identifier, "" when unknown
	plan   *transform.Plan // nil when the mapping does not compile

	captured []producers.CapturedTable // nil when one of them cannot be
	public   publicationState
}

// Check looks at everything that the configuration names.
func Check(ctx context.Context, cfg *config.Config, deps Deps) *Report {
	if deps.Patience == 0 {
		deps.Patience = 10 * time.Second
	}
	if deps.CountFor == 0 {
		deps.CountFor = 60 * time.Second
	}
	c := &check{cfg: cfg, deps: deps, report: &Report{Name: cfg.Name, Findings: []Finding{}, Run: Run{Tables: []RunTable{}}}}
	if c.openSource(ctx) {
		defer c.source.Close(context.WithoutCancel(ctx))
		c.sourceSettings(ctx)
		c.replication(ctx)
		c.privileges(ctx)
		c.tables(ctx)
		c.publication(ctx)
		c.slot(ctx)
		c.mapping(ctx)
		c.published()
		c.toast(ctx)
		c.summary(ctx)
	}
	if c.openLedger(ctx) {
		defer c.ledger.Close(context.WithoutCancel(ctx))
		c.ledgerDatabase(ctx)
		c.ledgerIdentity(ctx)
	}
	if cfg.Kafka.Embedded {
		c.embedded()
	} else {
		c.kafka(ctx)
		c.registry(ctx)
	}
	c.stytch(ctx)
	if c.plan != nil && c.deps.CountFor > 0 {
		c.forecast(ctx)
	}
	c.report.sort()
	return c.report
}

// find adds a finding at a key of the configuration.
func (c *check) find(severity Severity, code, key, fix, what string, args ...any) {
	c.report.Findings = append(c.report.Findings, Finding{
		Severity: severity, Code: code, Where: c.cfg.Where(key), Key: key, What: fmt.Sprintf(what, args...), Fix: fix,
	})
}

// failed adds the finding of a check that could not be made. err is redacted.
func (c *check) failed(code, key string, err error) {
	c.find(Error, code, key, "Mend what the error names, then check again", "could not be checked: %v", err)
}
