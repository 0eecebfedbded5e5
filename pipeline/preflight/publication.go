package preflight

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// publicationState is the publication as it is.
type publicationState struct {
	exists, all, insert, update, remove, truncate, viaRoot bool
	columns                                                map[schemas.Table][]string
	filters                                                map[schemas.Table]string
}

func (c *check) readPublication(ctx context.Context) (publicationState, error) {
	p := publicationState{columns: map[schemas.Table][]string{}, filters: map[schemas.Table]string{}}
	err := c.source.QueryRow(ctx, `SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot FROM pg_publication WHERE pubname = $1`,
		c.cfg.Source.Publication).Scan(&p.all, &p.insert, &p.update, &p.remove, &p.truncate, &p.viaRoot)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.exists = true
	rows, err := c.source.Query(ctx, `SELECT schemaname, tablename, coalesce(attnames::text[], '{}'), coalesce(rowfilter, '')
		FROM pg_publication_tables WHERE pubname = $1`, c.cfg.Source.Publication)
	if err != nil {
		return p, err
	}
	var t schemas.Table
	var columns []string
	var filter string
	_, err = pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &columns, &filter}, func() error {
		p.columns[t], p.filters[t] = slices.Clone(columns), filter
		return nil
	})
	return p, err
}

func (c *check) publication(ctx context.Context) {
	p, err := c.readPublication(ctx)
	if err != nil {
		c.failed("source.publication", "source.publication", redact.SQLError(err))
		return
	}
	c.public = p
	const key = "source.publication"
	name := schemas.QuoteIdent(c.cfg.Source.Publication)
	if !p.exists {
		c.mayPublish(ctx, "CREATE PUBLICATION "+name+" FOR TABLE "+sqlList(c.cfg.Source.Tables)+" WITH (publish_via_partition_root = true)", true)
		return
	}
	if p.all {
		c.find(Error, "source.publication", key, "Name another publication: one for these tables alone is made",
			"publication %s is FOR ALL TABLES: what it sends changes with every new table", c.cfg.Source.Publication)
		return
	}
	if !p.insert || !p.update || !p.remove || !p.truncate {
		c.find(Error, "source.publication", key, "ALTER PUBLICATION "+name+" SET (publish = 'insert, update, delete, truncate')",
			"publication %s leaves out a kind of change: it would never reach Stytch", c.cfg.Source.Publication)
	}
	for _, t := range c.captured {
		if t.Partitioned && !p.viaRoot {
			c.find(Error, "source.publication", key, "ALTER PUBLICATION "+name+" SET (publish_via_partition_root = true)",
				"publication %s sends changes of %s under the names of its partitions, which are not captured", c.cfg.Source.Publication, t.Relation.Table)
			return // it lists partitions in the tables' stead
		}
	}
	missing := slices.DeleteFunc(slices.Clone(c.cfg.Source.Tables), func(t schemas.Table) bool { _, in := p.columns[t]; return in })
	if len(missing) > 0 {
		c.mayPublish(ctx, "ALTER PUBLICATION "+name+" ADD TABLE "+sqlList(missing), false)
	}
	var extra []string
	for t := range p.columns {
		if !slices.Contains(c.cfg.Source.Tables, t) {
			extra = append(extra, t.String())
		}
	}
	if slices.Sort(extra); len(extra) > 0 {
		c.find(Warning, "source.publication", key, "Name a publication of its own for the pipeline, if somebody else reads this one",
			"publication %s has tables that are not captured: %s; a run takes them out", c.cfg.Source.Publication, strings.Join(extra, ", "))
	}
	for _, t := range c.cfg.Source.Tables {
		if p.filters[t] != "" {
			c.find(Warning, "source.row_filter", key, "Leave the filter out, or keep it if the mapping needs no row that it hides",
				"publication %s has a row filter on %s: a row that leaves the filter arrives as a delete", c.cfg.Source.Publication, t)
		}
	}
}

// published checks that the publication sends every column that the mapping reads.
func (c *check) published() {
	if c.plan == nil {
		return
	}
	for _, t := range c.captured {
		table := t.Relation.Table
		sent, in := c.public.columns[table]
		if !in {
			continue
		}
		lacks := slices.DeleteFunc(slices.Clone(c.plan.Columns[table]), func(column string) bool { return slices.Contains(sent, column) })
		if len(lacks) > 0 {
			c.find(Error, "source.publication", "source.publication", "Add them to the column list of "+table.SQL()+", or publish the table without a list",
				"publication %s leaves out columns of %s that the mapping reads: %s", c.cfg.Source.Publication, table, strings.Join(lacks, ", "))
		}
	}
}

// mayPublish checks that a run may change the publication, or says what to run.
func (c *check) mayPublish(ctx context.Context, sql string, create bool) {
	const key = "source.publication"
	what := "lacks tables"
	if create {
		what = "does not exist"
	}
	if !c.cfg.Source.CreatePublication {
		c.find(Error, "source.publication", "source.create_publication", "Run as the tables' owner: "+sql, "publication %s %s, and source.create_publication is false", c.cfg.Source.Publication, what)
		return
	}
	var mayCreate bool
	if err := c.source.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE')`).Scan(&mayCreate); err != nil {
		c.failed("source.publication", key, redact.SQLError(err))
		return
	}
	rights, err := c.rights(ctx)
	if err != nil {
		c.failed("source.publication", key, redact.SQLError(err))
		return
	}
	foreign := slices.ContainsFunc(rights, func(r right) bool { return !r.owner })
	if foreign || create && !mayCreate {
		c.find(Error, "source.publication", key, "Run as the tables' owner: "+sql,
			"publication %s %s, and the role may not change that: it needs CREATE on the database and the ownership of the tables", c.cfg.Source.Publication, what)
	}
}

func sqlList(tables []schemas.Table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.SQL()
	}
	return strings.Join(names, ", ")
}
