package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/producers/checksum"
	"github.com/backstitch/backstitch/schemas"
)

// MirrorComparison is the mirror compared with the source.
type MirrorComparison struct {
	*checksum.Report
	// NotMirrored are captured tables that no mapping reads.
	NotMirrored []string `json:"not_mirrored"`
}

// mirror compares, and records what came of it where the status shows it.
func (a *auditor) mirror(ctx context.Context) (*MirrorComparison, error) {
	a.o.Progress("the mirror is compared with the source")
	session := a.clients.Ledger.Copy()
	session.RuntimeParams["application_name"] = a.cfg.Name + "-audit"
	conn, err := pgx.ConnectConfig(ctx, session)
	if err != nil {
		return nil, fmt.Errorf("connect to the ledger: %w", redact.SQLError(err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0; SET jit = off; SET statement_timeout = '5min'")
	if err != nil {
		return nil, fmt.Errorf("prepare the ledger's session: %w", redact.SQLError(err))
	}
	kept, err := ledger.BeginMirrorAudit(ctx, conn, a.o.By)
	if err != nil {
		return nil, err
	}
	c, err := a.compare(ctx, conn)
	if ctx.Err() != nil {
		return nil, ctx.Err() // it is as if it had never begun
	}
	if err != nil {
		return nil, err
	}
	return c, kept.End(ctx, a.pool, c.Verdict, c)
}

func (a *auditor) compare(ctx context.Context, conn *pgx.Conn) (*MirrorComparison, error) {
	c := &MirrorComparison{Report: &checksum.Report{Verdict: checksum.Unknown, Tables: []*checksum.TableReport{}}, NotMirrored: []string{}}
	position, err := transform.ReadMirrorPosition(ctx, a.pool, a.cfg.Kafka.Topics.Prefix)
	if err != nil {
		return nil, err
	}
	if !position.Following {
		c.Why = "the mirror is being filled: everything is compared when it follows the source"
		return c, nil
	}
	tables, err := a.tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range a.cfg.Source.Tables {
		if !slices.ContainsFunc(tables, func(m checksum.Table) bool { return m.Table == t }) {
			c.NotMirrored = append(c.NotMirrored, t.String())
		}
	}
	id, _, err := ledger.Recorded(ctx, a.pool)
	if err != nil {
		return nil, err
	}
	c.Report, err = checksum.Compare(ctx, checksum.Config{Share: a.o.Share}, checksum.Deps{
		Source: a.clients.Source, Mirror: conn, Copy: &mirrorCopy{auditor: a}, Publication: a.cfg.Source.Publication, Slot: a.cfg.Source.Slot,
		SystemID: id.SystemID, Database: id.Database, Application: a.cfg.Name + "-audit", Progress: a.o.Progress,
	}, tables)
	if err != nil && ctx.Err() == nil {
		a.o.Progress("the comparison ended early: " + err.Error())
	}
	return c, nil
}

// tables are the mirror's, with what cannot be compared of them.
func (a *auditor) tables(ctx context.Context) ([]checksum.Table, error) {
	mirrored, err := transform.MirroredTables(ctx, a.pool)
	if err != nil {
		return nil, err
	}
	// one that was added later, and that no backfill has read whole yet, is not in the
	// mirror; a run with the embedded broker reads every table before it follows
	var last *schemas.Checkpoint
	if a.clients.noTopics() == nil {
		last, err = capture.LastCheckpoint(ctx, a.clients.Kafka, a.cfg.Kafka.Topics.Prefix)
		if err == nil && last == nil {
			err = errors.New("the topics hold no checkpoint, and what the mirror should hold stands in there")
		}
		if err != nil {
			return nil, err
		}
	}
	var list []checksum.Table
	for _, m := range mirrored {
		t := checksum.Table{Table: m.Table, Columns: m.Columns, Types: m.Types, Keys: m.Keys}
		for _, column := range m.Incomplete {
			t.Left = append(t.Left, column+": its former values were not read yet; `backstitch backfill --table "+m.Table.String()+"` does")
		}
		if last != nil {
			if progress := last.Backfill.Tables[m.Table.String()]; !progress.Done && progress.Run == 0 {
				t.Why = "it is being read for the first time"
			}
		}
		list = append(list, t)
	}
	return list, nil
}
