package transform

import (
	"bytes"
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readFeedItem reads a record of the checkpoints topic; a barrier is neither a
// checkpoint nor a control record (hazard S13).
func readFeedItem(r *kgo.Record) (feedItem, error) {
	switch {
	case string(r.Key) == schemas.KeyCheckpoint:
		c, err := schemas.DecodeCheckpoint(r.Value)
		if err != nil || c.Creating { // hazard S12: no position yet
			return feedItem{}, err
		}
		return feedItem{offset: r.Offset, checkpoint: c}, nil
	case bytes.HasPrefix(r.Key, []byte(schemas.KeyControlPrefix)):
		c, err := schemas.DecodeControl(r.Value)
		if err != nil {
			return feedItem{}, err
		}
		return feedItem{offset: r.Offset, control: &control{Control: *c, offset: r.Offset}}, nil
	}
	return feedItem{}, nil
}

// admit records a control record that was met and says whether it must wait for a
// person: a table emptied otherwise than by its rows' changes deletes nothing by
// itself (invariant 7, hazard S25). Before the first evaluation there is nothing
// that could be deleted.
func admit(ctx context.Context, q ledger.Querier, prefix string, c *control, loading bool) (done, waits bool, err error) {
	_, err = q.Exec(ctx, `INSERT INTO backstitch.controls (prefix, version, kind, schema_name, table_name, columns, happened_at)
		VALUES ($1, $2, $3, $4, $5, coalesce($6, '{}'::text[]), $7) ON CONFLICT DO NOTHING`,
		prefix, c.Version.String(), c.Kind, c.Table.Schema, c.Table.Name, c.Columns, c.Time)
	if err != nil {
		return false, false, fmt.Errorf("record a control record: %w", redact.SQLError(err))
	}
	var consent *int64
	err = q.QueryRow(ctx, "SELECT done_at IS NOT NULL, consent_id FROM backstitch.controls"+whereControl,
		prefix, c.Version.String(), c.Kind, c.Table.Schema, c.Table.Name).Scan(&done, &consent)
	if err != nil {
		return false, false, fmt.Errorf("read a control record: %w", redact.SQLError(err))
	}
	if done || loading || c.Kind == schemas.ControlColumns {
		return done, false, nil
	}
	if consent == nil {
		return false, true, ask(ctx, q, prefix, c)
	}
	answer, err := ledger.Get(ctx, q, *consent)
	if err != nil {
		return false, false, err
	}
	c.consentID = answer.ID
	return false, !answer.Approved(), nil
}

const whereControl = " WHERE prefix = $1 AND version = $2 AND kind = $3 AND schema_name = $4 AND table_name = $5"

func ask(ctx context.Context, q ledger.Querier, prefix string, c *control) error {
	kind, what := ledger.ConsentTruncate, "was truncated"
	if c.Kind == schemas.ControlRecreated {
		kind, what = ledger.ConsentRecreated, "was dropped and made again"
	}
	answer, err := ledger.Ask(ctx, q, kind, c.Table.String()+" at "+c.Version.Commit.String(), fmt.Sprintf(
		"Table %s %s in the source at %s. Approve to empty its mirror too: entities that then have no row are deleted in Stytch, under the brake. Until then nothing after it is evaluated.",
		c.Table, what, c.Time.UTC().Format("2006-01-02 15:04:05 MST")))
	if err != nil {
		return err
	}
	c.consentID = answer.ID
	_, err = q.Exec(ctx, "UPDATE backstitch.controls SET consent_id = $6"+whereControl,
		prefix, c.Version.String(), c.Kind, c.Table.Schema, c.Table.Name, answer.ID)
	if err != nil {
		return fmt.Errorf("record a consent that was asked: %w", redact.SQLError(err))
	}
	return nil
}

// finish closes a control record whose effect is in the ledger, in the same
// transaction, and the consent with it.
func finish(ctx context.Context, tx pgx.Tx, prefix string, c *control) error {
	_, err := tx.Exec(ctx, "UPDATE backstitch.controls SET done_at = now()"+whereControl,
		prefix, c.Version.String(), c.Kind, c.Table.Schema, c.Table.Name)
	if err != nil {
		return fmt.Errorf("close a control record: %w", redact.SQLError(err))
	}
	if c.consentID != 0 {
		return ledger.Done(ctx, tx, c.consentID)
	}
	return nil
}
