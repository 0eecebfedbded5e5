package capture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// publish makes the publication hold exactly the configured tables. Tables that
// cannot be captured are refused before they enter it: the application's own
// updates would fail otherwise (hazard S21). It comes before the slot: decoding
// from before a publication fails for good on servers before 18.
func (x *session) publish(ctx context.Context, mayCreate bool) error {
	if _, err := producers.DescribeTables(ctx, x.control, x.cfg.Tables); err != nil {
		return err
	}
	var exists, everything bool
	err := x.control.QueryRow(ctx, `SELECT count(*) > 0, coalesce(bool_or(puballtables), false) FROM pg_publication WHERE pubname = $1`,
		x.cfg.Publication).Scan(&exists, &everything)
	if err != nil {
		return fmt.Errorf("look up publication %s: %w", x.cfg.Publication, redact.SQLError(err))
	}
	if !exists && !mayCreate {
		return stage.Hold(fixAll, "publication %s is gone: changes that the slot kept cannot be decoded", x.cfg.Publication)
	}
	if everything {
		return stage.Hold("Name a publication for these tables alone", "publication %s is FOR ALL TABLES", x.cfg.Publication)
	}
	if !exists {
		return x.alter(ctx, "CREATE PUBLICATION "+schemas.QuoteIdent(x.cfg.Publication)+" FOR TABLE "+tableList(x.cfg.Tables)+
			" WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)")
	}
	have, err := x.published(ctx)
	if err != nil {
		return err
	}
	if !mayCreate {
		if err := x.checkNoneLeft(ctx, have); err != nil {
			return err
		}
	}
	return x.alignPublication(ctx, have)
}

// published are the tables that the publication holds.
func (x *session) published(ctx context.Context) ([]schemas.Table, error) {
	rows, err := x.control.Query(ctx, "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1", x.cfg.Publication)
	if err != nil {
		return nil, fmt.Errorf("read publication %s: %w", x.cfg.Publication, redact.SQLError(err))
	}
	have, err := pgx.CollectRows(rows, pgx.RowToStructByPos[schemas.Table])
	if err != nil {
		return nil, fmt.Errorf("read publication %s: %w", x.cfg.Publication, redact.SQLError(err))
	}
	return have, nil
}

// checkNoneLeft holds when a table that was captured has left the publication: to put
// it back would hide that its changes since then are in no topic (hazard S35). One
// that was made again has left it too, and is told (hazard S25).
func (x *session) checkNoneLeft(ctx context.Context, have []schemas.Table) error {
	for _, t := range x.cfg.Tables {
		if _, known := x.backfill.Tables[t.String()]; !known || slices.Contains(have, t) {
			continue
		}
		var oid uint32
		if err := x.control.QueryRow(ctx, "SELECT coalesce(to_regclass($1)::oid, 0)", t.SQL()).Scan(&oid); err != nil {
			return fmt.Errorf("look at table %s: %w", t, redact.SQLError(err))
		}
		if shape, ok := x.shapes[t.String()]; !ok || shape.OID == oid {
			return stage.Hold(fixAll, "table %s is not in publication %s any more: its changes since then are in no topic", t, x.cfg.Publication)
		}
	}
	return nil
}

func (x *session) alignPublication(ctx context.Context, have []schemas.Table) error {
	missing := slices.DeleteFunc(slices.Clone(x.cfg.Tables), func(t schemas.Table) bool { return slices.Contains(have, t) })
	extra := slices.DeleteFunc(slices.Clone(have), func(t schemas.Table) bool { return slices.Contains(x.cfg.Tables, t) })
	name := schemas.QuoteIdent(x.cfg.Publication)
	if len(missing) > 0 {
		if err := x.alter(ctx, "ALTER PUBLICATION "+name+" ADD TABLE "+tableList(missing)); err != nil {
			return err
		}
	}
	if len(extra) > 0 {
		return x.alter(ctx, "ALTER PUBLICATION "+name+" DROP TABLE "+tableList(extra))
	}
	return nil
}

// alter changes the publication, or asks for the change where somebody else keeps it.
func (x *session) alter(ctx context.Context, sql string) error {
	if x.cfg.KeepPublication {
		return stage.Hold("Run as the tables' owner: "+sql, "publication %s does not hold exactly the captured tables, and this pipeline may not change it", x.cfg.Publication)
	}
	_, err := x.control.Exec(ctx, sql)
	if redact.SQLState(err) == "42501" { // insufficient_privilege
		return stage.Hold("Run as the tables' owner: "+sql, "the role may not change publication %s", x.cfg.Publication)
	}
	if err != nil {
		return fmt.Errorf("change publication %s: %w", x.cfg.Publication, redact.SQLError(err))
	}
	return nil
}

func tableList(tables []schemas.Table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.SQL()
	}
	return strings.Join(names, ", ")
}
