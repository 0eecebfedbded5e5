package checksum

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/schemas"
)

// side is one of the two copies of a table: how it is asked for. Both are asked the
// same, by statements of the simple protocol, whose values come as the server prints
// them. Keys are compared by each server's own order.
type side struct {
	conn       *pgx.Conn
	from       string   // FROM ONLY "s"."t" AS the alias
	filter     string   // SQL over the columns, or ""
	keys       []string // quoted
	types      []string // of the keys
	columns    []string // quoted, the keys first
	searchPath string
}

// alias names the table in a statement: a system column is found by it alone where the
// table is joined.
const (
	alias = "backstitch_t"
	as    = " AS " + alias
)

// newSide prepares to ask for columns of a table, its primary key's first.
func newSide(ctx context.Context, conn *pgx.Conn, t schemas.Table, columns, keyTypes []string) (*side, error) {
	s := &side{conn: conn, from: "FROM ONLY " + t.SQL() + as, types: keyTypes}
	for _, c := range columns {
		s.columns = append(s.columns, schemas.QuoteIdent(c))
	}
	s.keys = s.columns[:len(keyTypes)]
	var err error
	s.searchPath, err = backfill.KeySearchPath(ctx, conn, t)
	return s, err
}

// query runs one statement and returns its rows as text.
func (s *side) query(ctx context.Context, sql string) ([][][]byte, error) {
	results, err := s.conn.PgConn().Exec(ctx, "SET search_path = "+s.searchPath+"; "+sql).ReadAll()
	if err != nil {
		return nil, redact.SQLError(err)
	}
	return results[len(results)-1].Rows, nil
}

// hash is a digest of values as the server prints them, in so many hexadecimal
// digits. A record's output quotes each value and leaves NULL empty, so that no two
// rows look alike; UTF-8 makes the encodings of the two databases meet.
func hash(columns []string, digits int) string {
	return fmt.Sprintf("substr(encode(sha256(convert_to(ROW(%s)::text, 'UTF8')), 'hex'), 1, %d)", strings.Join(columns, ", "), digits)
}

// Digits of a row's digest where ranges are summed (64 bits, as a bigint), where rows
// are compared, and of each column.
const (
	sumDigits    = 16
	rowDigits    = 32
	columnDigits = 16
)

// summed is SQL for a row's digest as a number: sums do not depend on the order.
func (s *side) summed() string {
	return "('x' || " + hash(s.columns, sumDigits) + ")::bit(64)::bigint"
}

// sum is the number of rows of a range and the sum of their digests.
type sum struct {
	rows   int64
	digest string
}

// next sums the rows of the range that begins after a key (nil: at the beginning) and
// holds at most limit rows; last is its last key, nil where nothing follows it.
func (s *side) next(ctx context.Context, after []string, limit int) (total sum, last []string, err error) {
	list := strings.Join(s.keys, ", ")
	rows, err := s.query(ctx, fmt.Sprintf(`WITH backstitch_r AS MATERIALIZED (SELECT %[1]s, %[2]s AS backstitch_h %[3]s%[4]s ORDER BY %[1]s LIMIT %[5]d)
		SELECT a.n, a.h%[6]s FROM (SELECT count(*) AS n, coalesce(sum(backstitch_h), 0) AS h FROM backstitch_r) a
		LEFT JOIN (SELECT * FROM backstitch_r ORDER BY %[7]s LIMIT 1) l ON true`,
		list, s.summed(), s.from, s.where(schemas.Range{From: after}), limit, texts("l.", s.keys), strings.Join(s.keys, " DESC, ")+" DESC"))
	if err != nil {
		return sum{}, nil, err
	}
	total, err = readSum(rows[0])
	if total.rows == int64(limit) {
		last = strs(rows[0][2:])
	}
	return total, last, err
}

// sum sums the rows of a range.
func (s *side) sum(ctx context.Context, r schemas.Range) (sum, error) {
	rows, err := s.query(ctx, fmt.Sprintf("SELECT count(*), coalesce(sum(%s), 0) %s%s", s.summed(), s.from, s.where(r)))
	if err != nil {
		return sum{}, err
	}
	return readSum(rows[0])
}

func readSum(row [][]byte) (sum, error) {
	n, err := strconv.ParseInt(string(row[0]), 10, 64)
	if err != nil {
		return sum{}, fmt.Errorf("read a range's sum: %w", err)
	}
	return sum{rows: n, digest: string(row[1])}, nil
}

// keyed is a row by its key, with the digest of what it holds.
type keyed struct {
	key    []string
	digest string
}

// page reads at most limit rows of a range, in the order of the key.
func (s *side) page(ctx context.Context, r schemas.Range, limit int) ([]keyed, error) {
	// a bare name would mean the text beside it, not the column
	rows, err := s.query(ctx, fmt.Sprintf("SELECT %s%s %s%s ORDER BY %s LIMIT %d",
		hash(s.columns, rowDigits), texts("", s.keys), s.from, s.where(r), alias+"."+strings.Join(s.keys, ", "+alias+"."), limit))
	if err != nil {
		return nil, err
	}
	page := make([]keyed, len(rows))
	for i, row := range rows {
		page[i] = keyed{key: strs(row[1:]), digest: string(row[0])}
	}
	return page, nil
}

// row is what one side has under a key; the zero row is none.
type row struct {
	columns string // the columns' digests, separated by commas
	version string // its xmin: whatever writes the row gives it another
}

func (r row) there() bool { return r.columns != "" }

// lookUp reads the rows of some keys; the i-th is that of keys[i].
func (s *side) lookUp(ctx context.Context, keys [][]string) ([]row, error) {
	found := make([]row, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	digests, on := make([]string, len(s.columns)), make([]string, len(s.keys))
	for i, c := range s.columns {
		digests[i] = hash([]string{c}, columnDigits)
	}
	names := "backstitch_n"
	for i, k := range s.keys {
		on[i] = fmt.Sprintf("%s = backstitch_w.backstitch_k%d::%s", k, i, s.types[i])
		names += fmt.Sprintf(", backstitch_k%d", i)
	}
	filter := ""
	if s.filter != "" {
		filter = " WHERE (" + s.filter + ")"
	}
	const most = 1000 // keys of a statement
	for start := 0; start < len(keys); start += most {
		var values strings.Builder
		for i, key := range keys[start:min(start+most, len(keys))] {
			if i > 0 {
				values.WriteString(", ")
			}
			fmt.Fprintf(&values, "(%d, %s)", start+i, literals(key))
		}
		rows, err := s.query(ctx, fmt.Sprintf("SELECT backstitch_n, %s.xmin::text, concat_ws(',', %s) %s JOIN (VALUES %s) AS backstitch_w (%s) ON %s%s",
			alias, strings.Join(digests, ", "), s.from, values.String(), names, strings.Join(on, " AND "), filter))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			n, err := strconv.Atoi(string(r[0]))
			if err != nil {
				return nil, fmt.Errorf("read which row was found: %w", err)
			}
			found[n] = row{columns: string(r[2]), version: string(r[1])}
		}
	}
	return found, nil
}

// where are the conditions of a range (From, To].
func (s *side) where(r schemas.Range) string {
	var conditions []string
	if s.filter != "" {
		conditions = append(conditions, "("+s.filter+")")
	}
	list := strings.Join(s.keys, ", ")
	if len(s.keys) > 1 {
		list = "(" + list + ")"
	}
	for _, bound := range []struct {
		operator string
		key      []string
	}{{">", r.From}, {"<=", r.To}} {
		switch {
		case bound.key == nil:
		case len(s.keys) == 1:
			conditions = append(conditions, list+" "+bound.operator+" "+literals(bound.key))
		default:
			conditions = append(conditions, list+" "+bound.operator+" ("+literals(bound.key)+")")
		}
	}
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

// texts selects columns as text, each after a comma.
func texts(prefix string, columns []string) string {
	var b strings.Builder
	for _, c := range columns {
		b.WriteString(", " + prefix + c + "::text")
	}
	return b.String()
}

func literals(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = producers.QuoteLiteral(v)
	}
	return strings.Join(quoted, ", ")
}

func strs(values [][]byte) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}
