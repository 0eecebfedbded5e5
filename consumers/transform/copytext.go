package transform

import (
	"bytes"
	"context"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// copyText collects rows in COPY's text format: the mirror's types read what the
// source's printed.
type copyText struct {
	b    []byte
	rows int
}

func (c *copyText) value(v schemas.Value) {
	if v.State != schemas.Text {
		c.b = append(c.b, `\N`...)
		return
	}
	data := v.Data
	for {
		i := bytes.IndexAny(data, "\\\t\n\r")
		if i < 0 {
			c.b = append(c.b, data...)
			return
		}
		c.b = append(append(c.b, data[:i]...), '\\')
		switch data[i] {
		case '\t':
			c.b = append(c.b, 't')
		case '\n':
			c.b = append(c.b, 'n')
		case '\r':
			c.b = append(c.b, 'r')
		default:
			c.b = append(c.b, '\\')
		}
		data = data[i+1:]
	}
}

func (c *copyText) values(row []schemas.Value) {
	for i, v := range row {
		if i > 0 {
			c.b = append(c.b, '\t')
		}
		c.value(v)
	}
}

func (c *copyText) endRow() {
	c.b = append(c.b, '\n')
	c.rows++
}

// send copies the rows into a table's columns.
func (c *copyText) send(ctx context.Context, conn *pgx.Conn, table, columns string) error {
	if err := c.copy(ctx, conn, table, columns); err != nil {
		return fmt.Errorf("copy %d rows to the ledger: %w", c.rows, redact.SQLError(err))
	}
	return nil
}

// copy is send with the server's error as it is: its message may quote values.
func (c *copyText) copy(ctx context.Context, conn *pgx.Conn, table, columns string) error {
	if c.rows == 0 {
		return nil
	}
	_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(c.b), fmt.Sprintf("COPY %s (%s) FROM STDIN", table, columns))
	return err
}
