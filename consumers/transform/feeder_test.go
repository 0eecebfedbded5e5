package transform

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/backstitch/backstitch/schemas/registry"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// feeder is a legacy database and, in the producer's place, a hand that writes its
// changes to Kafka as the producer would. What it changes in the topics it changes
// in the legacy database too, so that mirror and legacy tables can be compared.
type feeder struct {
	t           testing.TB
	ctx         context.Context
	legacy      *pgx.Conn
	legacyURL   string
	url         string // of the ledger
	pool        *pgxpool.Pool
	prefix      string
	brokers     []string
	kafka       *kgo.Client
	admin       *kadm.Client
	registry    *registry.Registry
	registryURL string
	plan        *Plan
	cfg         Config
	tables      map[string]*fedTable
	commit      schemas.LSN
	change      schemas.LSN
	epoch       uint32
	run         int64
	complete    bool
	done        map[string]schemas.TableProgress
	ends        map[string]schemas.TopicEnds
	last        schemas.Position
}

type fedTable struct {
	rel            *schemas.Relation
	codec          *avro.Table
	keyID, valueID int
	topic          string
}

// toasted stands for a TOASTed value that a change did not touch.
type toasted struct{}

func newFeeder(t testing.TB, ddl string, tables []schemas.Table, mappings ...consumers.Mapping) *feeder {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	f := &feeder{
		t: t, ctx: ctx, prefix: testenv.Name(t), brokers: testenv.Kafka(t), tables: map[string]*fedTable{}, commit: 0x1000, change: 0x1000,
		epoch: 1, run: 1, done: map[string]schemas.TableProgress{}, ends: map[string]schemas.TopicEnds{},
	}
	f.legacyURL = testenv.Postgres(t)
	legacy, err := pgx.Connect(ctx, f.legacyURL)
	f.check(err)
	f.legacy = legacy
	t.Cleanup(func() { pgsession.Close(legacy) })
	f.sql(ddl)
	f.url = testenv.Postgres(t)
	f.check(ledger.Migrate(ctx, f.url))
	f.pool, err = ledger.Open(ctx, f.url, "test")
	f.check(err)
	t.Cleanup(f.pool.Close)
	f.registryURL = testenv.Registry(t)
	f.registry, err = registry.New(f.registryURL)
	f.check(err)
	f.connect()
	f.plan, err = Compile(ctx, legacy, tables, mappings)
	f.check(err)
	f.cfg = Config{Name: f.prefix, Prefix: f.prefix, Tables: tables, Mappings: mappings, ApplyPartitions: 4, Standby: 20 * time.Millisecond}
	f.topics(tables)
	return f
}

// connect makes a new producer: one cannot go on with topics that were recreated.
func (f *feeder) connect() {
	f.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.TransactionalID(f.prefix), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	f.check(err)
	f.t.Cleanup(client.Close)
	f.kafka, f.admin = client, kadm.NewClient(client)
}

func (f *feeder) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *feeder) sql(sql string, args ...any) {
	f.t.Helper()
	_, err := f.legacy.Exec(f.ctx, sql, args...)
	f.check(err)
}

func (f *feeder) topics(tables []schemas.Table) {
	f.t.Helper()
	compact := "compact"
	week := "604800000"
	config := map[string]*string{"cleanup.policy": &compact, "delete.retention.ms": &week, "min.compaction.lag.ms": &week}
	create := func(partitions int32, names ...string) {
		f.t.Helper()
		answers, err := f.admin.CreateTopics(f.ctx, partitions, 1, config, names...)
		f.check(err)
		f.check(answers.Error())
	}
	captured, err := describeSource(f.ctx, f.legacy, tables)
	f.check(err)
	for _, c := range captured {
		f.describe(c.Relation)
		create(3, schemas.DataTopic(f.prefix, c.Relation.Table))
	}
	create(1, schemas.CheckpointsTopic(f.prefix))
	create(4, schemas.ApplyTopic(f.prefix, schemas.LaneLive), schemas.ApplyTopic(f.prefix, schemas.LaneBackfill))
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := f.admin.DeleteTopics(ctx, f.topicNames()...); err != nil {
			f.t.Logf("delete topics: %v", err)
		}
	})
	f.identify()
}

func (f *feeder) topicNames() []string {
	names := []string{schemas.CheckpointsTopic(f.prefix), schemas.ApplyTopic(f.prefix, schemas.LaneLive), schemas.ApplyTopic(f.prefix, schemas.LaneBackfill)}
	for _, table := range f.tables {
		names = append(names, table.topic)
	}
	return names
}

// identify reads the topics' ids, which checkpoints carry.
func (f *feeder) identify() {
	f.t.Helper()
	var details kadm.TopicDetails
	f.until("the broker that is asked knows the topics", func() (known bool) {
		var err error
		details, err = f.admin.ListTopics(f.ctx, f.topicNames()...)
		f.check(err)
		return details.Error() == nil
	})
	for _, table := range f.tables {
		f.ends[table.topic] = schemas.TopicEnds{ID: details[table.topic].ID.String(), Ends: make([]int64, 3)}
	}
}

// describe registers the schemas of a relation as it is now.
func (f *feeder) describe(rel *schemas.Relation) {
	f.t.Helper()
	codec, err := avro.NewTable(f.prefix, "legacy", rel)
	f.check(err)
	fed := &fedTable{rel: rel, codec: codec, topic: schemas.DataTopic(f.prefix, rel.Table)}
	fed.keyID, err = f.registry.Register(f.ctx, fed.topic+"-key", codec.KeySchema())
	f.check(err)
	fed.valueID, err = f.registry.Register(f.ctx, fed.topic+"-value", codec.ValueSchema())
	f.check(err)
	f.tables[rel.Name] = fed
}

// fedTx is one source transaction on its way to the topics.
type fedTx struct {
	f       *feeder
	commit  schemas.LSN
	read    bool
	records []*kgo.Record
}

// begin starts a source transaction; reading is a backfill's range at its point.
func (f *feeder) begin() *fedTx {
	f.commit += 0x100
	return &fedTx{f: f, commit: f.commit}
}

func (f *feeder) reading() *fedTx { tx := f.begin(); tx.read = true; return tx }

func (tx *fedTx) version() schemas.Version {
	if tx.read {
		return schemas.Version{Epoch: tx.f.epoch, Commit: tx.commit}
	}
	tx.f.change += 8
	return schemas.Version{Epoch: tx.f.epoch, Commit: tx.commit, Change: tx.f.change}
}

func row(values []any) schemas.Row {
	r := make(schemas.Row, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case nil:
		case toasted:
			r[i].State = schemas.Unchanged
		default:
			r[i] = schemas.Value{State: schemas.Text, Data: fmt.Append(nil, v)}
		}
	}
	return r
}

func (tx *fedTx) add(table string, version schemas.Version, op schemas.Op, old, new schemas.Row, headers ...kgo.RecordHeader) {
	f := tx.f
	f.t.Helper()
	fed := f.tables[table]
	keyRow := new
	if op == schemas.Delete {
		keyRow = old
	}
	key, err := fed.codec.AppendKey(nil, fed.keyID, keyRow)
	f.check(err)
	c := &schemas.Change{Op: op, Relation: fed.rel, Version: version, Old: old, New: new, CommitTime: time.Now()}
	value, err := fed.codec.AppendValue(nil, fed.valueID, c, time.Now())
	f.check(err)
	headers = append([]kgo.RecordHeader{{Key: schemas.HeaderVersion, Value: version.Append(nil)}}, headers...)
	r := &kgo.Record{Topic: fed.topic, Partition: schemas.Partition(key, 3), Key: key, Value: value, Headers: headers}
	tx.records = append(tx.records, r)
	if op == schemas.Delete {
		tx.records = append(tx.records, &kgo.Record{Topic: fed.topic, Partition: r.Partition, Key: key, Headers: headers})
	}
}

// insert, update, move and remove write events, and the legacy table.
func (tx *fedTx) insert(table string, values ...any) *fedTx {
	tx.f.t.Helper()
	op := schemas.Create
	if tx.read {
		op = schemas.Read
	}
	tx.add(table, tx.version(), op, nil, row(values))
	marks := make([]string, len(values))
	for i := range values {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	tx.f.sql(fmt.Sprintf("INSERT INTO %s VALUES (%s)", schemas.QuoteIdent(table), strings.Join(marks, ", ")), texts(values)...)
	return tx
}

func texts(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		if v != nil {
			out[i] = fmt.Sprint(v)
		}
	}
	return append([]any{pgx.QueryExecModeSimpleProtocol}, out...)
}

func (tx *fedTx) update(table string, values ...any) *fedTx {
	tx.f.t.Helper()
	tx.add(table, tx.version(), schemas.Update, nil, row(values))
	tx.set(table, values[0], values)
	return tx
}

// move is a primary-key update.
func (tx *fedTx) move(table string, oldKey any, values ...any) *fedTx {
	tx.f.t.Helper()
	v := tx.version()
	fed := tx.f.tables[table]
	old := make(schemas.Row, len(fed.rel.Columns))
	for i := range old {
		old[i].State = schemas.Absent
	}
	old[0] = schemas.Value{State: schemas.Text, Data: fmt.Append(nil, oldKey)}
	key := func(v any) []byte {
		b, err := json.Marshal(map[string]any{fed.rel.Columns[0].Name: v})
		tx.f.check(err)
		return b
	}
	tx.add(table, v, schemas.Delete, old, nil, kgo.RecordHeader{Key: headerNewKey, Value: key(values[0])})
	tx.add(table, v, schemas.Create, nil, row(values), kgo.RecordHeader{Key: headerOldKey, Value: key(oldKey)})
	tx.set(table, oldKey, values)
	return tx
}

func (tx *fedTx) set(table string, key any, values []any) {
	tx.f.t.Helper()
	var set []string
	var args []any
	for i, v := range values {
		if _, same := v.(toasted); !same {
			args = append(args, v)
			set = append(set, fmt.Sprintf("%s = $%d", schemas.QuoteIdent(tx.f.tables[table].rel.Columns[i].Name), len(args)))
		}
	}
	args = append(args, key)
	tx.f.sql(fmt.Sprintf("UPDATE %s SET %s WHERE id = $%d", schemas.QuoteIdent(table), strings.Join(set, ", "), len(args)), texts(args)...)
}

func (tx *fedTx) remove(table string, key any) *fedTx {
	tx.f.t.Helper()
	old := make(schemas.Row, len(tx.f.tables[table].rel.Columns))
	for i := range old {
		old[i].State = schemas.Absent
	}
	old[0] = schemas.Value{State: schemas.Text, Data: fmt.Append(nil, key)}
	tx.add(table, tx.version(), schemas.Delete, old, nil)
	tx.f.sql(fmt.Sprintf("DELETE FROM %s WHERE id = $1", schemas.QuoteIdent(table)), texts([]any{key})...)
	return tx
}

// commit publishes what is left of the transaction with a checkpoint that ends it.
func (tx *fedTx) end() { tx.f.t.Helper(); tx.publish(true) }

// publish is one Kafka transaction: the records so far, and a checkpoint.
func (tx *fedTx) publish(ends bool) {
	f := tx.f
	f.t.Helper()
	position := schemas.Position{Version: schemas.Version{Epoch: f.epoch, Commit: tx.commit, Change: f.change}, EndLSN: f.last.EndLSN, EndsTransaction: ends, CommitTime: time.Now()}
	if ends {
		position.Version, position.EndLSN = schemas.EndOf(f.epoch, tx.commit), tx.commit+0x28
	}
	f.publish(tx.records, position)
	tx.records = nil
}

func (f *feeder) publish(records []*kgo.Record, position schemas.Position) {
	f.t.Helper()
	f.check(f.kafka.BeginTransaction())
	if len(records) > 0 {
		results := f.kafka.ProduceSync(f.ctx, records...)
		f.check(results.FirstErr())
		for _, r := range results {
			if ends := f.ends[r.Record.Topic].Ends; ends != nil {
				ends[r.Record.Partition] = max(ends[r.Record.Partition], r.Record.Offset+1)
			}
		}
	}
	f.last = position
	value, err := schemas.Encode(f.checkpoint())
	f.check(err)
	f.check(f.kafka.ProduceSync(f.ctx, &kgo.Record{Topic: schemas.CheckpointsTopic(f.prefix), Key: []byte(schemas.KeyCheckpoint), Value: value}).FirstErr())
	f.check(f.kafka.EndTransaction(f.ctx, kgo.TryCommit))
}

func (f *feeder) checkpoint() schemas.Checkpoint {
	return schemas.Checkpoint{
		Source: schemas.Source{SystemID: "1", Timeline: 1, Database: "legacy", Epoch: f.epoch}, Position: f.last,
		Backfill: schemas.Backfill{Run: f.run, FirstComplete: f.complete, Tables: f.done}, Topics: f.ends, WrittenAt: time.Now(),
	}
}

// loaded says that the first backfill is complete.
func (f *feeder) loaded() {
	f.t.Helper()
	f.complete = true
	f.begin().end()
}

// control writes a control record at the transaction's place.
func (tx *fedTx) control(kind, table string, columns ...string) *fedTx {
	v := tx.version()
	value, err := schemas.Encode(schemas.Control{Kind: kind, Table: tx.f.tables[table].rel.Table, Columns: columns, Version: v, Time: time.Now()})
	tx.f.check(err)
	tx.records = append(tx.records, &kgo.Record{Topic: schemas.CheckpointsTopic(tx.f.prefix), Key: []byte(schemas.KeyControlPrefix + v.String()), Value: value})
	return tx
}

// describeSource describes tables as the pipeline does.
func describeSource(ctx context.Context, conn *pgx.Conn, tables []schemas.Table) (captured []Captured, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil {
			return err
		}
		described, err := producers.DescribeTables(ctx, conn, tables)
		if err != nil {
			return err
		}
		indexes, err := producers.Indexes(ctx, conn, tables)
		for _, d := range described {
			c := Captured{Relation: d.Relation}
			if err == nil {
				c.Types, err = producers.EnumsAndDomains(ctx, conn, []*schemas.Relation{d.Relation})
			}
			for _, x := range indexes[d.Relation.Table] {
				c.Indexes = append(c.Indexes, SourceIndex{Name: x.Name, Definition: x.Definition, Columns: x.Columns})
			}
			captured = append(captured, c)
		}
		return err
	})
	return captured, err
}

// start runs a transform until the test ends or it is stopped.
func (f *feeder) start(edit ...func(*Transform)) *Transform {
	f.t.Helper()
	conn, err := ledger.ConnConfig(f.url, "test")
	f.check(err)
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	legacy := f.legacy.Config()
	tr := New(f.cfg, Deps{
		Ledger: f.pool, LedgerConn: conn, Plan: f.plan, Kafka: []kgo.Opt{kgo.SeedBrokers(f.brokers...)}, Registry: f.registry, Logger: log,
		Describe: func(ctx context.Context) ([]Captured, error) {
			conn, err := pgx.ConnectConfig(ctx, legacy)
			if err != nil {
				return nil, err
			}
			defer pgsession.Close(conn)
			return describeSource(ctx, conn, f.cfg.Tables)
		},
	})
	for _, e := range edit {
		e(tr)
	}
	tr.Start(f.ctx)
	f.t.Cleanup(func() { f.stop(tr) })
	return tr
}

func (f *feeder) stop(tr *Transform) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := tr.Stop(ctx); err != nil && ctx.Err() != nil {
		f.t.Errorf("the transform did not drain: %v", err)
	}
}

// until polls a condition.
func (f *feeder) until(what string, done func() bool) {
	f.t.Helper()
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			f.t.Fatalf("waited too long until %s", what)
		}
	}
}

// evaluated waits until the last checkpoint was evaluated.
func (f *feeder) evaluated(tr *Transform) {
	f.t.Helper()
	f.until("the last checkpoint is evaluated", func() bool {
		select {
		case <-tr.Done():
			f.t.Fatalf("the transform ended: %v", tr.Err())
		default:
		}
		s := tr.Status()
		return s.Evaluated.CommitLSN >= f.last.Version.Commit && s.Evaluated.Epoch == f.epoch
	})
}

func (f *feeder) number(sql string, args ...any) (n int64) {
	f.t.Helper()
	f.check(f.pool.QueryRow(f.ctx, sql, args...).Scan(&n))
	return n
}

// rows prints a table's rows, of the ledger or the legacy database.
func rows(ctx context.Context, q ledger.Querier, table string, columns []string) (string, error) {
	got, err := q.Query(ctx, fmt.Sprintf("SELECT (ROW(%s))::text FROM %s ORDER BY 1", list("", columns), schemas.QuoteIdent(table)))
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(got, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}

// same compares the mirror with the legacy tables.
func (f *feeder) same() {
	f.t.Helper()
	for name, fed := range f.tables {
		columns := f.plan.Columns[fed.rel.Table]
		want, err := rows(f.ctx, f.legacy, name, columns)
		f.check(err)
		got, err := rows(f.ctx, f.pool, name, columns)
		f.check(err)
		if got != want {
			f.t.Errorf("the mirror of %s is\n%s\nand the legacy table\n%s", name, got, want)
		}
	}
}
